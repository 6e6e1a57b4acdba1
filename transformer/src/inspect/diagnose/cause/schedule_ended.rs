//! A schedule that came to its end before the model did.
//!
//! **Mathematics.** After its last step a schedule stays at its minimum. Where that is 0, or a small part of the peak,
//! training goes on and nothing more is learned, whatever the data holds.
//!
//! **Signature.** The step is at or beyond the schedule's end; the watched steps gain less than a fiftieth of the loss, and
//! as many steps at the peak, or a third or a tenth of it, gain more than three times as much, and a fiftieth of the loss.

use super::Cause;
use super::slow::{EARLY, Slow, WATCHED};
use crate::inspect::diagnose::cure::Cure;
use crate::inspect::diagnose::evidence::Evidence;

/// Its heading in the catalogue.
pub(crate) const TITLE: &str = "schedule at its end";
/// Of the loss: below this gain of the watched steps the loss stands still, and above it another rate matters.
const MATTERS: f64 = 0.02;
/// How many times the gain at the last rate another rate must come to.
const TIMES: f64 = 3.0;

/// See [`Slow`].
pub(crate) const SLOW: Slow =
    Slow { cause: Cause::ScheduleEnded, suspect, fixes, least, certain: false };

fn suspect(e: &Evidence) -> Option<String> {
    let end = e.schedule_end?;
    let judged = e.steps >= EARLY.max(end) && e.watched >= WATCHED && e.rate < 0.5 * e.peak;
    (judged && e.train.gain() < MATTERS * e.train.before).then(|| {
        format!(
            "the schedule ended at step {end}: since then the rate is {:.1e}, where its peak was {:.1e}; {} steps at it \
             gain {:.1e} nats",
            e.rate,
            e.peak,
            e.watched,
            e.train.gain()
        )
    })
}

fn least(e: &Evidence) -> f64 {
    let gain = e.train.gain().max(0.0);
    (TIMES * gain).max(MATTERS * e.train.before) - gain
}

fn fixes(e: &Evidence) -> Vec<Cure> {
    [1.0, 0.3, 0.1].map(|share| Cure::Hold(share * e.peak)).to_vec()
}
