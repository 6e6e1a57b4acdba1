//! **Mathematics.** p·ln p → 0 as p → 0, but its derivative ln p + 1 → −∞. A forward rule may treat 0·ln 0 as 0 while
//! its backward rule does not.
//!
//! **Signature.** All values finite; origin *backward*, `ln 0`.
//!
//! **Cure.** Skip p = 0 in the backward pass, too.
//!
//! **Example.** `entropy_at_zero`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use calculus::Arithmetic;

pub(super) struct EntropyAtZero;

impl Detect for EntropyAtZero {
    const TITLE: &str = "gradient of p·ln p at zero";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.direction == Direction::Backward && o.fails_at(Arithmetic::Ln)))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("skip elements of probability 0: p·ln p → 0")])
    }
}
