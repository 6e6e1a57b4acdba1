//! Weights of 0 that no gradient leaves, and units that are switched off for every token.
//!
//! **Mathematics.** y = W·x sends W·ȳ to x and ȳ·xᵀ to W: where W and x are 0 both are 0, and the pair stays at 0
//! whatever the rate. An activation of slope 0 at every token (ReLU far below 0, GELU where its tail underflows) sends
//! nothing either.
//!
//! **Signature.** Gradients that are exactly 0 on several batches, while `check` finds no cut: tensors that are 0
//! throughout, or more than half of an activation's units.

use super::Cause;
use super::slow::Slow;
use crate::inspect::diagnose::cure::Cure;
use crate::inspect::diagnose::evidence::{Evidence, listed};
use crate::inspect::diagnose::health::DEAD;

/// Its heading in the catalogue.
pub(crate) const TITLE: &str = "dead parameters";
/// Of ln V: below this loss there is nothing left to learn, and p − 1 of a prediction that is sure rounds to 0.
const LEFT: f64 = 0.01;

/// See [`Slow`].
pub(crate) const SLOW: Slow =
    Slow { cause: Cause::DeadParameters, suspect, fixes, least: |_| 0.0, certain: true };

fn suspect(e: &Evidence) -> Option<String> {
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
            names => format!("; 0 throughout: {}", listed(names)),
        };
        return Some(reached(&e.unmoved) + &zero);
    }
    let (name, share, _) = e.dead.iter().find(|(_, share, _)| *share > DEAD)?;
    Some(format!("{name}: {:.0} % of the units send no gradient for any token", 100.0 * share))
}

fn fixes(e: &Evidence) -> Vec<Cure> {
    let names = match (&e.zero, &e.unmoved) {
        (zero, _) if !zero.is_empty() => zero.clone(),
        (_, unmoved) if !unmoved.is_empty() => unmoved.clone(),
        // What the dead units are computed from.
        _ => {
            let dead = e.dead.iter().filter(|(_, share, _)| *share > DEAD);
            dead.flat_map(|(_, _, from)| from.clone()).collect()
        }
    };
    vec![Cure::Redraw(names)]
}
