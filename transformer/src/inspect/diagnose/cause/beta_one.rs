//! **Mathematics.** A bias correction divides the mean of gradients or of squares by 1 − βᵗ, which is 0 for β = 1.
//! Schedule-free descent divides by 1 − β₁, the share of its iterate in the weights.
//!
//! **Signature.** Origin *update* at the first step, in every parameter at once, of a rule with bias correction or with a mean of iterates.
//!
//! **Cure.** β₁ = 0.9, β₂ = 0.99.
//!
//! **Example.** `beta_of_1`, `second_beta_of_1`, `every_rule_that_corrects_a_mean`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;

pub(super) struct BetaOne;

impl Detect for BetaOne {
    const TITLE: &str = "beta of 1";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let rule = &f.recipe.optimizer;
        let one = rule.corrections(0).iter().any(|correction| *correction <= 0.0)
            || rule.kind.averages() && rule.beta1 >= 1.0;
        Ok(f.origin_where(|o| one && o.direction == Direction::Update))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Betas(0.9, 0.99)])
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{start, step};
    use crate::inspect::diagnose::{Cause, Course, Recipe, diagnose};
    use calculus::optimizer::{OptimizerConfig, OptimizerKind};

    /// It is the cause for every rule whose first step makes a parameter NaN or ∞ by a β of 1, and for no other.
    #[test]
    fn every_rule_that_corrects_a_mean() {
        let (step, start, mut accused) = (step(), start(), vec![]);
        for &kind in OptimizerKind::ALL {
            for (beta1, beta2) in [(1.0, 0.99), (0.9, 1.0)] {
                let optimizer =
                    OptimizerConfig { kind, beta1, beta2, ..OptimizerConfig::default() };
                let recipe = Recipe { optimizer, ..Recipe::sgd(1e-3) };
                let mut course = Course::from(&step, &recipe, &start).unwrap();
                let fails = course.step().unwrap().origin.is_some();
                let found = diagnose(&step, &start, &recipe, 5).unwrap();
                let is_it = found.cause.as_ref().is_some_and(|c| c.0 == Cause::BetaOne);
                assert_eq!(is_it, fails, "{optimizer:?}: {:?}", found.cause);
                assert!(!is_it || found.trials.iter().any(|t| t.cured), "{optimizer:?}");
                accused.extend(is_it.then_some((kind, beta1)));
            }
        }
        assert!(accused.contains(&(OptimizerKind::AdaMax, 1.0)), "{accused:?}");
    }
}
