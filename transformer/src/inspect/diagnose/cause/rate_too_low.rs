//! **Mathematics.** Short steps follow the gradient flow: the result depends on Σ η, not on η. If the watched steps, of
//! Σ η = p, gain G nats, the planned run, of Σ η = P, gains at most about G·P/p: a loss falls more and more slowly.
//!
//! **Signature.** G·P/p is below a twentieth of the loss, in a run of 100 planned steps or more; and as many steps as
//! were watched, at a rate at least ten times the run's peak, gain more than three times G·P/p and more than a fiftieth
//! of ln V. A small rate with enough steps does not match: Adam at 10⁻⁴ over 5000 steps.
//!
//! **Cure.** With an optimizer that normalises 10⁻², 10⁻³ or 10⁻⁴, with gradient descent half of the limit of stability,
//! or a tenth of that.
//!
//! **Example.** `rate_of_a_ten_millionth`, `descent_that_crawls`

use super::slow::{EARLY, Evidence, Slow, WATCHED};
use super::{Cure, Cures, Findings, Subject};

/// Minimum expected gain of the planned run, as a share of the loss. Adam at 10⁻⁴ over 400 steps, the slowest of the
/// healthy runs of the tests, gains a twelfth.
const LITTLE: f64 = 0.05;
/// The ratio to the planned run's gain that another rate must reach in the watched number of steps.
const TIMES: f64 = 3.0;
/// Minimum gain that matters, as a share of ln V.
const MATTERS: f64 = 0.02;
/// The minimum ratio of another rate to the peak.
const FACTOR: f64 = 10.0;
/// Usual rates of optimizers that normalise, the largest first.
const USUAL: [f64; 3] = [1e-2, 1e-3, 1e-4];

pub(super) struct RateTooLow;

impl Slow for RateTooLow {
    const TITLE: &str = "learning rate too low";

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let judged = e.planned >= EARLY && e.watched >= WATCHED && e.path > 0.0;
        let planned = e.projected(e.plan);
        (judged && planned < LITTLE * e.train.before).then(|| {
            format!(
                "{} steps at rates up to {:.1e} gain {:.1e} nats, so all {} planned steps gain about {planned:.1e} of \
                 the loss of {:.3}",
                e.watched,
                e.peak,
                e.train.gain(),
                e.planned,
                e.train.before
            )
        })
    }

    fn fixes<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Cures {
        let rule = f.recipe.optimizer;
        let rates: Vec<f64> = match rule.kind.normalises() {
            true => USUAL.to_vec(),
            false => {
                let limit = f.stability_at_start()?.and_then(|s| rule.limit(s.eigenvalue, 0));
                match limit.filter(|l| l.is_finite() && *l > 0.0) {
                    // Half of the limit of stability, as for a rate that is too high.
                    Some(limit) => vec![0.5 * limit, 0.05 * limit],
                    None => vec![1e-1, 1e-2],
                }
            }
        };
        Ok(rates.into_iter().filter(|r| *r >= FACTOR * e.peak).map(Cure::Hold).collect())
    }

    fn least(e: &Evidence<'_>) -> f64 {
        (TIMES * e.projected(e.plan)).max(MATTERS * e.scale()) - e.train.gain().max(0.0)
    }
}
