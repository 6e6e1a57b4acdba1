//! **Mathematics.** y = W·x sends Wᵀ·ȳ to x and ȳ·xᵀ to W: if W and x are 0, both gradients are 0, and the pair stays
//! at 0 at any rate. An activation of slope 0 at every token (ReLU far below 0, GELU with an underflowing tail) sends
//! no gradient either.
//!
//! **Signature.** Gradients that are exactly 0 at the first and at the last watched state, on two batches, without an
//! operation that cuts them: whole tensors, or more than half of an activation's units; and a loss above a hundredth of
//! ln V: at a loss of 0, gradients are 0, too.
//!
//! **Cure.** Redraw all-zero tensors and those that feed dead units: matrices with a deviation of ½/√inputs, gains at
//! 1, other vectors at 0.
//!
//! **Example.** `all_weights_zero`, `units_switched_off`

use super::slow::{Evidence, Slow};
use super::{Cure, Cures, Earlier, Findings, Subject};
use crate::inspect::diagnose::evidence::listed;
use crate::inspect::diagnose::health::DEAD;

/// Share of ln V: below this loss nothing is left to learn, and p − 1 of a certain prediction rounds to 0.
const LEFT: f64 = 0.01;

pub(super) struct DeadParameters;

impl Slow for DeadParameters {
    const TITLE: &str = "dead parameters";
    const CERTAIN: bool = true;
    const AFTER: Earlier = Earlier::LargeWeights;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        if e.train.after <= LEFT * e.scale() {
            return None;
        }
        let reached = |names: &[String]| {
            let n = names.len();
            format!("no gradient reaches {} ({n} of {} tensors)", listed(names), e.tensors)
        };
        if !e.unmoved.is_empty() {
            let zero = match e.zero.as_slice() {
                [] => String::new(),
                names => format!("; all zero: {}", listed(names)),
            };
            return Some(reached(&e.unmoved) + &zero);
        }
        let (name, share, _) = e.dead.iter().find(|(_, share, _)| *share > DEAD)?;
        Some(format!("{name}: {:.0} % of the units send no gradient for any token", 100.0 * share))
    }

    fn fixes<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Cures {
        let names = match (&e.zero, &e.unmoved) {
            (zero, _) if !zero.is_empty() => zero.clone(),
            (_, unmoved) if !unmoved.is_empty() => unmoved.clone(),
            // The parameters that the dead units are computed from.
            _ => {
                let dead = e.dead.iter().filter(|(_, share, _)| *share > DEAD);
                dead.flat_map(|(_, _, from)| from.clone()).collect()
            }
        };
        Ok(vec![Cure::Redraw(names)])
    }
}
