//! None of the other causes: the run fails, or its softmaxes saturate, at a rate within the limit of stability as far
//! as that is known.

use super::rate_too_high::RateTooHigh;
use super::{Cure, Cures, Detect, Earlier, Findings, Replay, Sign, Subject, dynamics};

pub(super) struct Unknown;

impl Detect for Unknown {
    const TITLE: &str = "no documented cause";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        if !f.watched.failed() && f.symptom.get().is_none() {
            return Ok(None);
        }
        let (rate, shown) = dynamics::rate(f)?;
        Ok(Some(format!("the rate is {rate:.2e}{shown}")))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Rate(0.1), Cure::Clip(1.0)])
    }

    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        RateTooHigh::replay(f)
    }
}
