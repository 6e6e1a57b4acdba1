//! The verdict of a diagnosis, derived from everything that is reported.

use super::{Cause, Diagnosis};
use crate::inspect::diagnose::health::Health;
use std::fmt;

/// The verdict of a diagnosis.
///
/// ```
/// use transformer::inspect::diagnose::{Cause, Verdict};
/// assert_eq!(Verdict::NothingWrong.to_string(), "nothing wrong");
/// assert_eq!(Verdict::TooFew.to_string(), "too few steps to judge (at least 2 are needed)");
/// assert_eq!(Verdict::Unusual(2).to_string(), "2 findings below");
/// assert_eq!(Verdict::Found(Cause::RateTooLow).to_string(), "learning rate too low");
/// assert!(Verdict::NothingWrong.is_well() && !Verdict::Unusual(1).is_well());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No cause was found, every measure lies in its range, and there were no warnings.
    NothingWrong,
    /// As `NothingWrong`, but fewer than 2 steps were watched: a fault shows as a change between steps, of which there is none.
    TooFew,
    /// No cause was found, but this number of measures lie outside their ranges or warnings were given.
    Unusual(usize),
    /// A cause of the list.
    Found(Cause),
}

/// The fewest steps of which "nothing wrong" is said.
const FEWEST: usize = 2;

impl Verdict {
    /// Derives the verdict from the diagnosis, the health if it was measured, and the number of other warnings.
    pub fn of(diagnosis: &Diagnosis, health: Option<&Health>, warnings: usize) -> Self {
        let unusual = health.map_or(0, |h| h.measures.iter().filter(|m| !m.is_usual()).count());
        match (&diagnosis.cause, unusual + warnings) {
            (Some((cause, _)), _) => Verdict::Found(*cause),
            (None, 0) if diagnosis.history.len() < FEWEST => Verdict::TooFew,
            (None, 0) => Verdict::NothingWrong,
            (None, n) => Verdict::Unusual(n),
        }
    }

    /// Checks whether nothing is wrong.
    pub fn is_well(self) -> bool {
        self == Verdict::NothingWrong
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::NothingWrong => f.write_str("nothing wrong"),
            Verdict::TooFew => write!(f, "too few steps to judge (at least {FEWEST} are needed)"),
            Verdict::Unusual(1) => f.write_str("1 finding below"),
            Verdict::Unusual(n) => write!(f, "{n} findings below"),
            Verdict::Found(cause) => write!(f, "{cause}"),
        }
    }
}
