//! **Mathematics.** exp z overflows f32 above 88.7, f16 above 11.1. softmax(z) = softmax(z − c) for every c; with c =
//! max z no exponential exceeds 1.
//!
//! **Signature.** Origin forward, in a softmax: `exp(1230.9109) overflows` if a score is far above 0, `0 / 0` if all of
//! a column are far below.
//!
//! **Cure.** Subtract each column's own maximum. A change of code.
//!
//! **Example.** `softmax_without_maximum` (0/0), `exponential_overflows`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use calculus::Arithmetic;

pub(super) struct NoMaximum;

impl Detect for NoMaximum {
    const TITLE: &str = "softmax without its maximum";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| {
            o.is_in_softmax() && (o.fails_at(Arithmetic::Exp) || o.divides_by_zero())
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("subtract each column's own maximum before the exponential")])
    }
}
