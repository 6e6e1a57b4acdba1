//! None of the other causes: the run fails, or its softmaxes saturate, at a rate within the limit of stability; or, if
//! no limit is measured, at a rate that is not to blame, because no lower one trains.

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

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{start, step};
    use crate::inspect::diagnose::{Cause, Recipe, diagnose};
    use crate::inspect::subject::ModelStep;
    use calculus::optimizer::{OptimizerConfig, OptimizerKind};
    use calculus::schedule::Schedule;
    use std::sync::Arc;

    /// A text whose targets turn when the model is sure of them, and the rate has fallen: the loss stays above that of a model
    /// that knows nothing. No lower rate undoes that; where no limit of stability is measured the rate is not blamed.
    #[test]
    fn no_lower_rate_turns_targets_back() {
        const TURNED: u64 = 60;
        let regular = step();
        let batch = move |n: u64| {
            let (tokens, targets) = (regular.batches)(n);
            let turn = if n < TURNED { 0 } else { 9 };
            (tokens, targets.into_iter().map(|t| (t + turn) % 11).collect())
        };
        let subject = ModelStep { batches: Arc::new(batch), ..step() };
        let optimizer = OptimizerConfig { kind: OptimizerKind::Lion, ..OptimizerConfig::default() };
        let schedule = Schedule::Step { peak: 3e-3, factor: 0.1, every: TURNED };
        let recipe = Recipe { optimizer, schedule, clip: 1.0, ..Recipe::sgd(0.0) };
        let found = diagnose(&subject, &start(), &recipe, 150).unwrap();
        let losses: Vec<f64> = found.history.iter().map(|t| t.loss).collect();
        assert!(losses[TURNED as usize - 1] < 0.5 * 11.0_f64.ln(), "{losses:?}");
        let (cause, why) = found.cause.unwrap_or_else(|| panic!("{losses:?}"));
        assert_eq!(cause, Cause::Unknown, "{why}");
        assert!(why.contains("no limit of stability was measured"), "{why}");
        assert!(found.trials.iter().all(|t| !t.cured), "{:?}", found.trials);
    }
}
