//! What the causes of a loss that stands still or falls too slowly have in common, where every number is finite.
//!
//! Such a cause has a *suspicion*, a measured sign with its threshold, and *fixes*. Where the sign alone could
//! be that of a healthy run (every run learns faster at some other rate, or with more units), the cause holds only if
//! one of its fixes, replayed from the same state over the same batches, learns more than going on as it is.

use super::{Cures, Detect, Earlier, Findings, ModelError, Sign, Subject, Trial};
pub(super) use crate::inspect::diagnose::evidence::Evidence;
use crate::inspect::diagnose::pace::Pace;

/// Steps of a run before which nothing is said of its pace: Adam's second moment (β₂ = 0.99) is a mean over a hundred
/// steps, and presets rise to their peak over as many.
pub(super) const EARLY: u64 = 100;
/// Steps that must be watched before a pace is read off them.
pub(super) const WATCHED: u64 = 15;

/// A cause of a slow or standing loss.
pub(super) trait Slow {
    /// See [`Detect::TITLE`].
    const TITLE: &'static str;
    /// Whether the sign says it all, or a fix must learn more for the cause to hold.
    const CERTAIN: bool = false;
    /// See [`Detect::AFTER`].
    const AFTER: Earlier = Earlier::Nothing;

    /// The sign, in words and numbers, if it is there.
    fn suspect<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String>;

    /// What may help, the likeliest first.
    fn fixes<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Cures;

    /// By how many nats a fix must end below what going on as it is comes to.
    fn least(_: &Evidence<'_>) -> f64 {
        0.0
    }
}

impl<C: Slow> Detect for C {
    const TITLE: &'static str = C::TITLE;
    const SLOW: bool = true;
    const AFTER: Earlier = C::AFTER;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.evidence()?.and_then(|e| C::suspect(f, e)))
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        f.evidence()?.map_or(Ok(vec![]), |e| C::fixes(f, e))
    }

    fn trials<S: Subject>(f: &Findings<'_, S>) -> Result<Option<Vec<Trial>>, ModelError> {
        let Some(e) = f.evidence()? else { return Ok(None) };
        let pace = Pace { subject: f.subject, recipe: f.recipe, start: f.start };
        let trials = pace.trials(&C::fixes(f, e)?, e, C::least(e))?;
        Ok(Some(trials).filter(|all| C::CERTAIN || all.iter().any(|t| t.cured)))
    }
}
