//! **Mathematics.** θ holds a NaN or ∞. NaN = f(NaN) for every rule, so every value from the first that reads it is
//! NaN.
//!
//! **Signature.** Origin *given*, in a parameter, before any operation. Loss NaN at the first step, whatever the rate.
//! A finite weight that only a 16-bit format cannot hold is not broken: *overflow of a 16-bit format*.
//!
//! **Cure.** Set the broken elements to 0 and continue training; better, an earlier checkpoint.
//!
//! **Example.** `poisoned_weight`, `infinite_weight`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use calculus::Source;

pub(super) struct BrokenWeights;

impl Detect for BrokenWeights {
    const TITLE: &str = "broken weights";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let broken = f.watched.has_broken_weights();
        Ok(f.origin_where(|o| {
            broken && o.direction == Direction::Given && o.source.is_some_and(Source::is_weight)
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Mend])
    }
}
