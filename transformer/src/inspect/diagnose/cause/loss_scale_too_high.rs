//! **Mathematics.** Gradients times the scale exceed 65,504.
//!
//! **Signature.** All values finite; origin *backward*, beyond the largest float16.
//!
//! **Cure.** The loss scale as above.
//!
//! **Example.** `loss_scale_too_high`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;

pub(super) struct LossScaleTooHigh;

impl Detect for LossScaleTooHigh {
    const TITLE: &str = "loss scale too high";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let scaled = f.recipe.loss_scale > 1.0 && f.finite_in_f32()?;
        Ok(f.origin_where(|o| scaled && o.direction == Direction::Backward))
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::LossScale(f.loss_scale()?)])
    }
}
