//! **Mathematics.** Logits W·x of vectors of width d are a matrix of rank d at most: where the table of ln p(next | past) has
//! a higher rank, no weights reach it (Yang et al., *Breaking the Softmax Bottleneck*, 2018). More generally a model holds about
//! two bits a parameter (Allen-Zhu and Li, *Physics of Language Models: Part 3.3*, 2024).
//!
//! **Signature.** The loss stands still: what the watched steps gain for sure would come to less than a fiftieth of it over as many
//! steps again as were taken (100 or more). Held-back text costs no tenth more; the loss is not within a tenth of the source's
//! entropy, where that is known. A model of twice the width, from its own start and over as many steps, ends below it by
//! a twentieth of the loss. Runs of more than 500 steps, or of more than half a minute, are not trained again, and not
//! accused.
//!
//! **Cure.** Twice the width.
//!
//! **Example.** `two_features`

use super::slow::{EARLY, Evidence, Slow, WATCHED};
use super::{Cure, Cures, Earlier, Findings, Subject};

/// Of the loss: a gain that matters.
const MATTERS: f64 = 0.02;
/// Of the loss: how far below a larger model must end.
const BELOW: f64 = 0.05;
/// Of ln V: the same, where the loss is near 0.
const BELOW_UNIFORM: f64 = 0.02;
/// Of the loss on held-back text: above this gap the text is learned by heart, and a larger model would do no better.
const GAP: f64 = 0.1;
/// Standard errors of a gain that is no chance.
const ERRORS: f64 = 3.0;
/// How many times the source's entropy is near enough to it.
const NEAR: f64 = 1.1;

pub(super) struct ModelTooSmall;

impl Slow for ModelTooSmall {
    const TITLE: &str = "model too small";
    const AFTER: Earlier = Earlier::FallenRate;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let loss = e.train.after;
        let judged = e.steps >= EARLY && e.watched >= WATCHED && e.path > 0.0 && e.again;
        // What is not chance of the gain, over as many steps again.
        let sure = (e.train.gain() - ERRORS * e.train.doubt).max(0.0);
        let more = if e.path > 0.0 { sure * e.gone / e.path } else { 0.0 };
        let apart = e.validation.as_ref().is_some_and(|v| v.after - loss > GAP * v.after);
        let near = e.background.entropy.is_some_and(|entropy| loss < NEAR * entropy);
        (judged && !apart && !near && more < MATTERS * loss).then(|| {
            format!(
                "the loss stands still at {loss:.3}: {} steps more would gain about {more:.1e}; the model has {} parameters",
                e.steps, e.parameters
            )
        })
    }

    fn fixes<S: Subject>(_: &Findings<'_, S>, _: &Evidence<'_>) -> Cures {
        Ok(vec![Cure::Larger])
    }

    fn least(e: &Evidence<'_>) -> f64 {
        (BELOW * e.train.after).max(BELOW_UNIFORM * e.scale())
    }
}
