//! **Mathematics.** After its last step a schedule stays at its minimum. If that is 0, or a small part of the peak,
//! continued training learns little more, whatever the text.
//!
//! **Signature.** A step at or beyond the schedule's end and beyond 100; the watched steps gain less than a fiftieth of
//! the loss; as many steps at the peak, or at 0.3 or 0.1 of it, gain more than three times as much, and a fiftieth of
//! the loss. A run that ended in time does not match: at a higher rate its loss rises.
//!
//! **Cure.** Hold the peak, or 0.3 or 0.1 of it; better, a longer schedule (`--steps`).
//!
//! **Example.** `schedule_that_ended`

use super::slow::{EARLY, Evidence, Slow, WATCHED};
use super::{Cure, Cures, Earlier, Findings, Subject};

/// Share of the loss: with a smaller gain of the watched steps the loss does not fall; another rate must gain more.
const MATTERS: f64 = 0.02;
/// The ratio to the gain at the last rate that another rate must reach.
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
                "the schedule ended at step {end}: since then the rate is {:.1e}, its peak was {:.1e}; {} steps at \
                 this rate gain {:.1e} nats",
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
