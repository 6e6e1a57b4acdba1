//! **Mathematics.** ∂L/∂z = p − one-hot(y). If the odds against every target are below what the format holds, p is exactly 1,
//! every gradient is 0, and the loss is 0 for good, whatever the model says about other text. A loss that adds the odds to
//! 1 (ln Σ e^z) loses them at a gap of ln 2²⁴ = 16.6 between two logits in f32, of 7.6 in float16 and 5.5 in bfloat16; one that
//! keeps them, as this program's, at 104. Without decay or a penalty, a memorised text drives the gap there: larger logits are
//! the way to a smaller loss. Source: Prieto et al., *Grokking at the Edge of Numerical Stability*, 2025.
//!
//! **Signature.** At least 99 of 100 tokens of the training text send a gradient of exactly 0 before and after the
//! watch, and the loss on held-back text is above a hundredth of ln V and above the training loss by three standard
//! errors: something is left to learn, and nothing to learn it from. A run without evaluation is not checked.
//!
//! **Cure.** Smaller weights, with moments at 0; better, weight decay, a penalty on (ln Σ e^z)² or smoothed targets from the
//! start.
//!
//! **Example.** `memorised_until_no_gradient_is_left`

use super::slow::{Evidence, Slow};
use super::{Cure, Cures, Earlier, Findings, Subject};

/// Share of tokens without a gradient. The others, under a hundredth, are those that the model cannot tell apart.
const ALL: f64 = 0.99;
/// Share of ln V: below this loss on held-back text nothing is left to learn.
const LEFT: f64 = 0.01;
/// Standard errors above which a difference is significant.
const ERRORS: f64 = 3.0;

pub(super) struct SoftmaxCollapse;

impl Slow for SoftmaxCollapse {
    const TITLE: &str = "softmax collapse";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn suspect<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let held_out = e.validation.as_ref()?;
        let left =
            held_out.after > LEFT * e.scale() && held_out.after - e.train.after > ERRORS * e.apart;
        let range = f.signs.as_ref().and_then(|(_, last)| last.logits).map_or(f64::NAN, |l| l.0);
        (e.silent >= ALL && left).then(|| {
            format!(
                "{:.0} % of the tokens of a batch send a gradient of exactly 0 (their logits are up to {range:.0} apart), while \
                 the loss is {:.1e} on training text and {:.3} on held-back text",
                100.0 * e.silent, e.train.after, held_out.after
            )
        })
    }

    fn fixes<S: Subject>(_: &Findings<'_, S>, _: &Evidence<'_>) -> Cures {
        let advice = Cure::Code("weight decay, a penalty on (ln Σ e^z)², or smoothed targets");
        Ok(vec![Cure::Shrink(0.5), Cure::Shrink(0.05), advice])
    }
}
