//! **Mathematics.** −∞ that means *masked* may be compared and exponentiated, but not subtracted from itself: −∞ − (−∞)
//! = NaN. KL divergences of masked distributions do this.
//!
//! **Signature.** Origin forward, in a difference or sum, both operands −∞.
//!
//! **Cure.** Select the visible elements first, or use a large finite number for −∞.
//!
//! **Example.** `infinity_minus_infinity`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;

pub(super) struct InfinityMinusInfinity;

impl Detect for InfinityMinusInfinity {
    const TITLE: &str = "∞ − ∞";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.direction == Direction::Forward && o.cancels_infinities()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("select the masked elements, or use a large finite number for −∞")])
    }
}
