//! **Mathematics.** The mean over k batches has 1/k of the sum's gradient: without dividing, the effective rate is k
//! times the configured one.
//!
//! **Signature.** The gradient passed to the update is exactly k times the mean.
//!
//! **Cure.** Divide by k.
//!
//! **Example.** `accumulation_without_dividing`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::watch::Handed;

pub(super) struct NotAveraged;

impl Detect for NotAveraged {
    const TITLE: &str = "accumulation without dividing";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let batches = f.recipe.accumulate;
        let found = f.watched.handed == Some(Handed::Sum);
        Ok(found.then(|| {
            format!(
                "the gradient passed to the update is {batches} times the mean over the step's {batches} batches"
            )
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Average])
    }
}
