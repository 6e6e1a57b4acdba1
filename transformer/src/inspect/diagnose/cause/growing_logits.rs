//! **Mathematics.** The loss of a wrong, certain prediction is the distance of two logits: it grows without bound, and
//! its gradient is ±1 for every token.
//!
//! **Signature.** Logits of one token further apart than 50, and a loss above ln V: at the start, or at the end of a
//! run that fails although its rate is not beyond the edge of stability.
//!
//! **Cure.** Scale the head's weights down, and reset moments to 0: they belong to the gradients of large weights.
//!
//! **Example.** `output_logits_too_large`; `logits_grow_until_labels_turn`, which starts healthy

use super::{Cure, Cures, Detect, Earlier, Findings, Replay, Sign, Subject, saturation};
use crate::inspect::diagnose::signs::Signs;

/// The range of a token's logits: the least likely class has a probability below e⁻⁵⁰ = 2·10⁻²², far below what f32 can
/// distinguish from 0 in 1 − p.
const RANGE: f64 = 50.0;

pub(super) struct GrowingLogits;

impl Detect for GrowingLogits {
    const TITLE: &str = "output logits too large";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        saturation::sign_of(f, sign)
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Shrink(0.5), Cure::Shrink(0.05)])
    }

    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        Replay { is_gone: saturation::is_gone, ..f.replay() }
    }
}

/// Returns the range of the logits, if it is large and the model has not learned.
pub(super) fn sign(signs: &Signs) -> Option<String> {
    let (range, ..) = signs.logits.filter(|_| !saturation::knows(signs))?;
    (range > RANGE && signs.loss > signs.uniform).then(|| {
        format!(
            "logits of a token are up to {range:.1} apart while the loss is {:.2}, above ln V = {:.2}",
            signs.loss, signs.uniform
        )
    })
}
