//! Why a loss stands still or falls too slowly, although every number is finite: the causes in the order in which they
//! are asked, one file each.
//!
//! A cause of this list has a *suspicion*, a measured sign with its threshold, and *fixes*. Where the sign alone could
//! be that of a healthy run (every run learns faster at some other rate, or with more units), the cause holds only if
//! one of its fixes, replayed from the same state over the same batches, learns more than going on as it is.

use super::{
    Cause, below_baselines, data_exhausted, dead_parameters, frozen_parameters, model_too_small,
    rate_too_low, schedule_ended,
};
use crate::inspect::diagnose::cure::Cure;
use crate::inspect::diagnose::evidence::Evidence;

/// Steps of a run before which nothing is said of its pace: Adam's second moment (β₂ = 0.99) is a mean over a hundred
/// steps, and presets rise to their peak over as many.
pub(crate) const EARLY: u64 = 100;
/// Steps that must be watched before a pace is read off them.
pub(crate) const WATCHED: u64 = 15;

/// A cause of a slow or standing loss.
pub(crate) struct Slow {
    /// Which.
    pub(crate) cause: Cause,
    /// The sign, in words and numbers, if it is there.
    pub(crate) suspect: fn(&Evidence) -> Option<String>,
    /// What may help, the likeliest first.
    pub(crate) fixes: fn(&Evidence) -> Vec<Cure>,
    /// By how many nats a fix must end below what going on as it is comes to.
    pub(crate) least: fn(&Evidence) -> f64,
    /// Whether the sign says it all, or a fix must learn more for the cause to hold.
    pub(crate) certain: bool,
}

/// The causes, the most specific first.
pub(crate) const SLOW: &[Slow] = &[
    dead_parameters::SLOW,
    rate_too_low::SLOW,
    schedule_ended::SLOW,
    frozen_parameters::SLOW,
    data_exhausted::SLOW,
    model_too_small::SLOW,
    below_baselines::SLOW,
];
