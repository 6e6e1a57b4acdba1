//! **Mathematics.** A mask of zeros and ones multiplied by scores of −∞: 0·(−∞) = NaN. The same holds for p·ln p at p =
//! 0.
//!
//! **Signature.** Origin forward, in an elementwise product, `0 · (−∞)`.
//!
//! **Cure.** Select instead of multiplying.
//!
//! **Example.** `zero_times_infinity`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use calculus::Arithmetic;

pub(super) struct ZeroTimesInfinity;

impl Detect for ZeroTimesInfinity {
    const TITLE: &str = "0 · ∞";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| {
            let form = o.fault.is_some_and(|f| f.is_indeterminate());
            let product = o.fails_at(Arithmetic::Multiply) && form;
            o.direction == Direction::Forward && product && !o.is_in_softmax()
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("select the masked elements, or use a large finite number for −∞")])
    }
}
