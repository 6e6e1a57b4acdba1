//! **Mathematics.** p·ln p → 0 as p → 0, but its derivative ln p + 1 → −∞. A forward rule that treats 0·ln 0 as 0 has a
//! backward rule that does not.
//!
//! **Signature.** All values finite; origin *backward*, `ln 0`.
//!
//! **Cure.** Leave out p = 0 backward too.
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
        Ok(vec![Cure::Code("leave out what has probability 0: p·ln p → 0")])
    }
}
