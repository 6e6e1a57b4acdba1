//! **Mathematics.** Logits W·x of vectors of width d are a matrix of rank at most d: if the table of ln p(next | past)
//! has a higher rank, no weights reach it (Yang et al., *Breaking the Softmax Bottleneck*, 2018). More generally, a
//! model holds about two bits per parameter (Allen-Zhu and Li, *Physics of Language Models: Part 3.3*, 2024).
//!
//! **Signature.** The loss does not fall: the significant gain of the watched steps would come to less than a fiftieth
//! of it over as many steps again as were taken (100 or more). The loss on held-back text is less than a tenth higher;
//! the loss is not within a tenth of the source's entropy, if that is known. A model of twice the width, from its own
//! start and over as many steps, ends below it by a twentieth of the loss. Runs of more than 500 steps, or of more than
//! half a minute, are not trained again and do not match.
//!
//! **Cure.** Twice the width.
//!
//! **Example.** `two_features`

use super::slow::{EARLY, Evidence, Slow, WATCHED};
use super::{Cure, Cures, Earlier, Findings, Subject};

/// Minimum gain that matters, as a share of the loss.
const MATTERS: f64 = 0.02;
/// How far below a larger model must end, as a share of the loss.
const BELOW: f64 = 0.05;
/// The same as a share of ln V, if the loss is near 0.
const BELOW_UNIFORM: f64 = 0.02;
/// Share of the loss on held-back text: with a larger gap the text is memorised, and a larger model would do no better.
const GAP: f64 = 0.1;
/// Standard errors above which a gain is significant.
const ERRORS: f64 = 3.0;
/// The ratio to the source's entropy below which a loss is near enough to it.
const NEAR: f64 = 1.1;

pub(super) struct ModelTooSmall;

impl Slow for ModelTooSmall {
    const TITLE: &str = "model too small";
    const AFTER: Earlier = Earlier::FallenRate;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let loss = e.train.after;
        let judged = e.steps >= EARLY && e.watched >= WATCHED && e.path > 0.0 && e.again;
        // The significant part of the gain, over as many steps again.
        let sure = (e.train.gain() - ERRORS * e.train.doubt).max(0.0);
        let more = if e.path > 0.0 { sure * e.gone / e.path } else { 0.0 };
        let apart = e.validation.as_ref().is_some_and(|v| v.after - loss > GAP * v.after);
        let near = e.background.entropy.is_some_and(|entropy| loss < NEAR * entropy);
        (judged && !apart && !near && more < MATTERS * loss).then(|| {
            format!(
                "the loss stays at {loss:.3}: {} more steps would gain about {more:.1e}; the model has {} parameters",
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
