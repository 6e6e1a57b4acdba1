//! **Mathematics.** An n-gram model, counted on the same text in a second, predicts a token from the n − 1 before it. A
//! transformer with at least that context can express the same; one that does not beat it has not used its context.
//!
//! **Signature.** After 100 steps or more, with at most a tenth of the plan's Σ η left, or for a model that was trained
//! elsewhere: the loss on held-back text is above that of 1-, 2- or 3-grams by a fiftieth and three standard errors,
//! and at the pace of the watched steps still will be at the end.
//!
//! **Cure.** Continue at the peak, or, with an optimizer that normalises, at the usual 10⁻³ if the peak is below half of
//! that. Other reasons are among the causes above, which are checked first.
//!
//! **Example.** `ended_above_its_bigram`

use super::slow::{EARLY, Evidence, Slow};
use super::{Cure, Cures, Earlier, Findings, Subject};

/// The longest n-gram that a model must beat. Longer ones are strong on text that repeats itself.
const ORDER: usize = 3;
/// Standard errors above which a difference is significant.
const ERRORS: f64 = 3.0;
/// The ratio to the baseline that a loss must exceed: a closer one may be at the same entropy.
const ABOVE: f64 = 1.02;
/// The largest share of the plan's Σ η that a judged run may have left. With more, the pace of a few steps says little.
const LEFT: f64 = 0.1;
/// A rate with which optimizers that normalise train small models.
const USUAL: f64 = 1e-3;

pub(super) struct BelowBaselines;

impl Slow for BelowBaselines {
    const TITLE: &str = "below its n-gram baselines";
    const CERTAIN: bool = true;
    const AFTER: Earlier = Earlier::FallenRate;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let held_out = e.validation.as_ref()?;
        let early = e.steps < EARLY || e.left > LEFT * e.plan;
        if early && !e.background.finished {
            return None;
        }
        let ends = held_out.after - e.projected(e.left);
        let all = e.background.baselines.iter().filter(|(n, _)| *n <= ORDER);
        let beaten = |nats: f64| ends - ERRORS * e.spread > ABOVE * nats;
        let (n, nats) = all.filter(|(_, nats)| beaten(*nats)).min_by(|a, b| a.1.total_cmp(&b.1))?;
        let left = match e.planned.saturating_sub(e.steps) {
            _ if e.left == 0.0 => String::new(),
            left => format!(", and about {ends:.3} after the remaining {left} steps"),
        };
        Some(format!(
            "the loss on held-back text is {:.3} nats per token{left}; that of {n}-grams is {nats:.3}",
            held_out.after
        ))
    }

    /// Continues, at the run's peak or at a usual rate.
    fn fixes<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Cures {
        let normalises = f.recipe.optimizer.kind.normalises();
        let usual = (normalises && e.peak < 0.5 * USUAL).then_some(USUAL);
        Ok(usual.into_iter().chain([e.peak]).map(Cure::Hold).collect())
    }
}
