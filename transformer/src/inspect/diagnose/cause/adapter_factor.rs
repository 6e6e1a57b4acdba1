//! **Mathematics.** y = (W + s·B·A)·x: a step of size η in B moves the matrix by s·η·A, and curvature along B grows with
//! s². With an optimizer that normalises, a factor s is a rate of s·η for the model; for gradient descent, s²·η.
//!
//! **Signature.** A run that fails as at a rate that is too high, with adapters whose factor s (α/r, or α/√r) is above 16.
//! With the adapters reinitialised and a factor of 1, the same steps at the same rate are stable and learn.
//!
//! **Cure.** A factor of 1: an alpha equal to the rank.
//!
//! **Example.** `alpha_a_hundred_thousand_times_the_rank`

use super::{
    Cure, Cures, Detect, Earlier, Findings, ModelError, Replay, Sign, Subject, Trial, dynamics,
};

/// The largest usual factor: with one above, the factor is suspected before the rate.
const USUAL: f64 = 16.0;
/// Steps of a replay: long enough to learn.
const LEARNING: u64 = 40;

pub(super) struct AdapterFactor;

impl Detect for AdapterFactor {
    const TITLE: &str = "adapter factor too large";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let factors = f.watched.handles.adapters.iter().map(|own| own.factor.abs());
        let largest = factors.fold(0.0, f64::max);
        if largest <= USUAL || !dynamics::are_asked(f)? {
            return Ok(None);
        }
        Ok(Some(format!(
            "the products of the adapters are multiplied by s = {largest:e}, so that a rate η moves the matrices like s·η"
        )))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Adapters(1.0)])
    }

    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        let usual = f.replay();
        Replay { steps: usual.steps.max(LEARNING), ..usual }
    }

    /// Only a usual factor that trains says that it was the factor.
    fn trials<S: Subject>(f: &Findings<'_, S>) -> Result<Option<Vec<Trial>>, ModelError> {
        let trials = Self::replay(f).trials(&Self::cures(f)?)?;
        Ok(trials.iter().any(|trial| trial.cured).then_some(trials))
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{adapted, start_of};
    use crate::inspect::diagnose::{Cause, Recipe, diagnose};

    #[test]
    fn alpha_a_hundred_thousand_times_the_rank() {
        let step = adapted(1e5);
        let found = diagnose(&step, &start_of(&step), &Recipe::adam(3e-3), 40).unwrap();
        let (cause, why) = found.cause.unwrap();
        assert_eq!(cause, Cause::AdapterFactor, "{why}");
        assert!(why.contains("s = 1e5"), "{why}");
        assert!(found.trials[0].cured, "{:?}", found.trials);
    }

    #[test]
    fn the_rate_is_at_fault_where_the_factor_is_usual() {
        let step = adapted(2.0);
        let found = diagnose(&step, &start_of(&step), &Recipe::adam(100.0), 40).unwrap();
        let (cause, why) = found.cause.unwrap();
        assert!(matches!(cause, Cause::RateTooHigh | Cause::NoWarmup), "{cause}: {why}");
    }
}
