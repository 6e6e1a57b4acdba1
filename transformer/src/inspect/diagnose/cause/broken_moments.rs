//! **Mathematics.** A moment that is NaN or ∞ makes its parameter NaN or ∞ at the next update; a second moment below 0
//! does so by its root, √v = NaN. Training never produces a negative mean of squares or a negative maximum: a file was
//! cut, converted or edited.
//!
//! **Signature.** Origin *given*, in the optimizer state (a moment, a velocity, a maximum), while loss and gradients
//! are finite: reported before the update, with the tensor and the element of the parameter it belongs to. `train
//! --resume` refuses such a state and reports the same place. ∞ in the divisor of an update is reported too, but
//! resumes: its parameter does not change.
//!
//! **Cure.** All moments reset to 0, at the same step.
//!
//! **Example.** `poisoned_moment`, `negative_second_moment`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;

pub(super) struct BrokenMoments;

impl Detect for BrokenMoments {
    const TITLE: &str = "broken optimizer state";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.direction == Direction::Given && o.source.is_none()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Forget])
    }
}
