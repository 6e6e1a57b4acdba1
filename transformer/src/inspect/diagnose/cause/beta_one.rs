//! **Mathematics.** The bias corrections divide by 1 − βᵗ, which is 0 for β = 1.
//!
//! **Signature.** Origin *update* at the first step, in every parameter at once.
//!
//! **Cure.** β₁ = 0.9, β₂ = 0.99.
//!
//! **Example.** `beta_of_1`, `second_beta_of_1`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use calculus::optimizer::OptimizerKind;

pub(super) struct BetaOne;

impl Detect for BetaOne {
    const TITLE: &str = "beta of 1";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let rule = f.recipe.optimizer;
        let one = rule.kind == OptimizerKind::Adam && (rule.beta1 >= 1.0 || rule.beta2 >= 1.0);
        Ok(f.origin_where(|o| one && o.direction == Direction::Update))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Betas(0.9, 0.99)])
    }
}
