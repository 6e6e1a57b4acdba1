//! Shared parts of the causes of a loss that does not fall or falls too slowly, although every number is finite.
//!
//! Such a cause has a *suspicion*, a measured sign with its threshold, and *fixes*. If a healthy run could show the
//! same sign (every run learns faster at some other rate, or with more units), the cause holds only if one of its
//! fixes, replayed from the same state over the same batches, learns more than continuing unchanged.

use super::{Cures, Detect, Earlier, Findings, ModelError, Sign, Subject, Trial};
pub(super) use crate::inspect::adapters::AdapterSize;
pub(super) use crate::inspect::diagnose::evidence::Evidence;
use crate::inspect::diagnose::pace::Pace;

/// Steps of a run before which its pace is not judged: Adam's second moment (β₂ = 0.99) averages over a hundred steps,
/// and the presets' warm-up takes as many.
pub(super) const EARLY: u64 = 100;
/// Minimum number of watched steps to estimate a pace.
pub(super) const WATCHED: u64 = 15;

/// A cause of a loss that falls slowly or not at all.
pub(super) trait Slow {
    /// See [`Detect::TITLE`].
    const TITLE: &'static str;
    /// Whether the sign alone is sufficient; if not, a fix must learn more for the cause to hold.
    const CERTAIN: bool = false;
    /// See [`Detect::AFTER`].
    const AFTER: Earlier = Earlier::Nothing;

    /// Returns the sign, in words and numbers, if it is present.
    fn suspect<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String>;

    /// Returns the proposed fixes, the likeliest first.
    fn fixes<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Cures;

    /// Returns by how many nats a fix must end below continuing unchanged.
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
