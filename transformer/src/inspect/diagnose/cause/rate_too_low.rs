//! A learning rate with which the whole run comes to nothing.
//!
//! **Mathematics.** Short steps follow the gradient flow: what they come to depends on Σ η, not on η. With the gain G
//! of the watched steps and their Σ η = p, the planned run, of Σ η = P, gains at most about G·P/p (a loss falls more
//! and more slowly).
//!
//! **Signature.** G·P/p is below a twentieth of the loss; as many steps as were watched, at a rate at least ten times the
//! run's peak, gain more than three times G·P/p and a fiftieth of ln V.

use super::Cause;
use super::slow::{EARLY, Slow, WATCHED};
use crate::inspect::diagnose::course::Descent;
use crate::inspect::diagnose::cure::Cure;
use crate::inspect::diagnose::evidence::Evidence;

/// Its heading in the catalogue.
pub(crate) const TITLE: &str = "learning rate too low";
/// Of the loss: what the planned run is expected to gain at the least. Adam at 10⁻⁴ over 400 steps, the slowest of the
/// healthy runs of the tests, gains a twelfth.
const LITTLE: f64 = 0.05;
/// How many times the gain of the planned run another rate must come to in the steps that were watched.
const TIMES: f64 = 3.0;
/// Of ln V: a gain that matters.
const MATTERS: f64 = 0.02;
/// How many times the peak another rate must be.
const FACTOR: f64 = 10.0;
/// Rates that Adam is used with, the largest first.
const USUAL: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// See [`Slow`].
pub(crate) const SLOW: Slow =
    Slow { cause: Cause::RateTooLow, suspect, fixes, least, certain: false };

fn suspect(e: &Evidence) -> Option<String> {
    let judged = e.planned >= EARLY && e.watched >= WATCHED && e.path > 0.0;
    let planned = e.projected(e.plan);
    (judged && planned < LITTLE * e.train.before).then(|| {
        format!(
            "{} steps at rates up to {:.1e} gain {:.1e} nats, so that all {} planned steps gain about {planned:.1e} of \
             the {:.3} that the loss is",
            e.watched,
            e.peak,
            e.train.gain(),
            e.planned,
            e.train.before
        )
    })
}

fn least(e: &Evidence) -> f64 {
    (TIMES * e.projected(e.plan)).max(MATTERS * e.scale()) - e.train.gain().max(0.0)
}

fn fixes(e: &Evidence) -> Vec<Cure> {
    let rates: Vec<f64> = match (e.descent, e.limit) {
        (Descent::Adam { .. }, _) => USUAL.to_vec(),
        // Half of the limit of stability, as for a rate that is too high.
        (Descent::Sgd { .. }, Some(limit)) => vec![0.5 * limit, 0.05 * limit],
        (Descent::Sgd { .. }, None) => vec![1e-1, 1e-2],
    };
    rates.into_iter().filter(|r| *r >= FACTOR * e.peak).map(Cure::Hold).collect()
}
