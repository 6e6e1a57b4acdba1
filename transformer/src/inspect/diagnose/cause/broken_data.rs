//! **Mathematics.** An input x holds a NaN or ∞ (a division by a count of zero, a missing value read as NaN).
//!
//! **Signature.** Origin *given*, in an input, at one batch; all earlier steps are healthy.
//!
//! **Cure.** Leave the batch out.
//!
//! **Example.** `poisoned_data`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use calculus::Source;

pub(super) struct BrokenData;

impl Detect for BrokenData {
    const TITLE: &str = "broken data";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.direction == Direction::Given && o.source == Some(Source::Input)))
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Skip(f.watched.batch())])
    }
}
