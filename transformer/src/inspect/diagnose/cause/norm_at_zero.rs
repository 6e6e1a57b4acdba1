//! **Mathematics.** ∂‖x‖/∂x = x/‖x‖ is 0/0 at x = 0 (√ has slope ∞ there). Forward is a plain 0.
//!
//! **Signature.** All values finite; origin *backward*, in a norm or root, `0 / 0` or `1 / 0`.
//!
//! **Cure.** √(‖x‖² + ε), or skip the term if x = 0.
//!
//! **Example.** `norm_at_zero`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;

pub(super) struct NormAtZero;

impl Detect for NormAtZero {
    const TITLE: &str = "gradient of a norm at zero";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.direction == Direction::Backward && o.divides_by_zero()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("√(x² + ε) for the norm, or skip vectors of 0")])
    }
}
