//! **Mathematics.** An n-gram model, counted on the same text in a second, predicts a token from n − 1 others. A transformer
//! that sees as many can do all that it does; one that does not beat it has not used what it sees.
//!
//! **Signature.** After 100 steps or more, with a tenth of the plan's Σ η left at the most, or for a model that was trained
//! elsewhere: a loss on held-back text that is above that of 1-, 2- or 3-grams by a fiftieth and three standard errors, and, at
//! the pace of the watched steps, will be at the end.
//!
//! **Cure.** Going on at the peak, or, of a rule that normalises, at the usual 10⁻³ where the peak is below half of that. What keeps
//! it there otherwise is one of the causes above, which are asked first.
//!
//! **Example.** `ended_above_its_bigram`

use super::slow::{EARLY, Evidence, Slow};
use super::{Cure, Cures, Earlier, Findings, Subject};

/// The longest n-gram that a model must beat. Longer ones are strong on text that repeats itself.
const ORDER: usize = 3;
/// Standard errors of a difference that is no chance.
const ERRORS: f64 = 3.0;
/// How many times the baseline a loss must be: what is nearer may be at the same entropy.
const ABOVE: f64 = 1.02;
/// Of the plan's Σ η: what may be left of a run that is judged. Over more a pace that is read off a few steps says little.
const LEFT: f64 = 0.1;
/// A rate that rules that normalise learn small models with.
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
            left => format!(", and about {ends:.3} after the {left} steps that are left"),
        };
        Some(format!(
            "held-back text costs {:.3} nats a token{left}; counting {n} tokens at a time predicts it with {nats:.3}",
            held_out.after
        ))
    }

    /// Going on, at the peak that the run had or at a usual rate.
    fn fixes<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Cures {
        let normalises = f.recipe.optimizer.kind.normalises();
        let usual = (normalises && e.peak < 0.5 * USUAL).then_some(USUAL);
        Ok(usual.into_iter().chain([e.peak]).map(Cure::Hold).collect())
    }
}
