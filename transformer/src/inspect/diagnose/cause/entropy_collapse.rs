//! **Mathematics.** Growing scores make weights one-hot: entropy 0, gradient 0, and a loss that jumps when the maximum
//! changes.
//!
//! **Signature.** Scores above 30, saturated queries, entropy near 0, while the loss is no better than ln V.
//!
//! **Cure.** Smaller weights or rate; norms on queries and keys.
//!
//! **Example.** `attention_entropy_collapse`

use super::{Cure, Cures, Detect, Earlier, Findings, Replay, Sign, Subject, saturation};
use crate::inspect::diagnose::signs::Signs;

/// Share of queries with a weight above 0.99.
const SATURATED: f64 = 0.5;
/// The largest score: e⁻³⁰ is 10⁻¹³, far below f32's spacing at 1 (6·10⁻⁸).
pub(crate) const SCORE: f64 = 30.0;

pub(super) struct EntropyCollapse;

impl Detect for EntropyCollapse {
    const TITLE: &str = "attention entropy collapse";
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

/// Returns the saturated softmax, if the model has not learned.
pub(super) fn sign(signs: &Signs) -> Option<String> {
    let attention = if saturation::knows(signs) { &[] } else { &signs.attention[..] };
    let a = attention.iter().find(|a| a.saturated > SATURATED && a.largest > SCORE)?;
    Some(format!(
        "{}: scores of up to {:.1}, entropy {:.3} of the maximum",
        a.name, a.largest, a.entropy
    ))
}
