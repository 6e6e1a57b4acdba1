//! **Mathematics.** After its last step a schedule stays at its minimum. Where that is 0, or a small part of the peak,
//! training goes on and little more is learned, whatever the text holds.
//!
//! **Signature.** A step at or beyond the schedule's end and beyond 100; the watched steps gain less than a fiftieth of the
//! loss; as many steps at the peak, at 3 or at 1 tenths of it, gain more than three times as much, and a fiftieth of the loss.
//! A run that ended where it should does not: at a higher rate its loss rises.
//!
//! **Cure.** The peak, or 3 or 1 tenths of it, held; better, a longer schedule (`--steps`).
//!
//! **Example.** `schedule_that_ended`

use super::slow::{EARLY, Evidence, Slow, WATCHED};
use super::{Cure, Cures, Earlier, Findings, Subject};

/// Of the loss: below this gain of the watched steps the loss stands still, and above it another rate matters.
const MATTERS: f64 = 0.02;
/// How many times the gain at the last rate another rate must come to.
const TIMES: f64 = 3.0;

pub(super) struct ScheduleEnded;

impl Slow for ScheduleEnded {
    const TITLE: &str = "schedule at its end";
    const AFTER: Earlier = Earlier::FallenRate;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
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

    fn fixes<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Cures {
        Ok([1.0, 0.3, 0.1].map(|share| Cure::Hold(share * e.peak)).to_vec())
    }

    fn least(e: &Evidence<'_>) -> f64 {
        let gain = e.train.gain().max(0.0);
        (TIMES * gain).max(MATTERS * e.train.before) - gain
    }
}
