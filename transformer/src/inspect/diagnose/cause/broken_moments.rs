//! **Mathematics.** A moment that is NaN or ∞ makes its parameter so at the next update; a second moment below 0 does it by
//! its root, √v = NaN. No training leaves a negative mean of squares, or a negative largest size: a file was cut, converted or
//! edited.
//!
//! **Signature.** Origin *given*, in what the rule remembers (a moment, a velocity, a largest size), while loss and gradients
//! are finite: named before the update, with the tensor and the element of the parameter it belongs to. `train --resume`
//! refuses such a state and names the same place. ∞ in what the rule divides by is named too, but resumes: its parameter
//! stands still.
//!
//! **Cure.** All moments reset to 0, at the same step.
//!
//! **Example.** `poisoned_moment`, `negative_second_moment`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;

pub(super) struct BrokenMoments;

impl Detect for BrokenMoments {
    const TITLE: &str = "broken optimiser state";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.direction == Direction::Given && o.source.is_none()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Forget])
    }
}
