//! Parameters that have a gradient and do not move.
//!
//! **Mathematics.** θ ← θ − u changes nothing where |u| is below half of the distance from θ to its neighbour: 2⁻²⁵·|θ| for
//! f32. Adam's u is about the rate: at 3·10⁻³ a weight above 10⁵ stands still.
//!
//! **Signature.** No bit of a whole tensor changes over the watched steps, at a rate above 0 and under a gradient that is
//! not small against that of the others; other tensors do move.

use super::Cause;
use super::slow::Slow;
use crate::inspect::diagnose::cure::Cure;
use crate::inspect::diagnose::evidence::{Evidence, listed};

/// Its heading in the catalogue.
pub(crate) const TITLE: &str = "frozen parameters";
/// Steps that must be watched.
const WATCHED: u64 = 5;
/// Of the largest tensor's root mean square gradient: what is below may stand still without loss, as a key's bias, which
/// the loss does not depend on but by rounding.
const MATTERS: f64 = 1e-3;

/// See [`Slow`].
pub(crate) const SLOW: Slow =
    Slow { cause: Cause::FrozenParameters, suspect, fixes, least: |_| 0.0, certain: true };

/// The tensors that stand still: name, root mean square of gradient and of weights.
fn frozen<'a>(e: &'a Evidence<'_>) -> Vec<&'a (String, f64, f64)> {
    e.still.iter().filter(|(_, gradient, _)| *gradient > MATTERS * e.largest_gradient).collect()
}

fn suspect(e: &Evidence) -> Option<String> {
    let found = frozen(e);
    let judged = e.watched >= WATCHED && e.path > 0.0 && e.still.len() < e.tensors;
    let (_, gradient, size) = found.first().filter(|_| judged)?;
    let names: Vec<String> = found.iter().map(|(name, ..)| name.clone()).collect();
    let ulp = 2.0_f64.powi(-25) * size;
    Some(format!(
        "no bit of {} changes in {} steps, under a gradient of {gradient:.1e} (root mean square): its weights are about \
         {size:.1e}, and a step below {ulp:.1e} is rounded away; the rate is {:.1e}",
        listed(&names),
        e.watched,
        e.rate
    ))
}

fn fixes(e: &Evidence) -> Vec<Cure> {
    vec![Cure::Redraw(frozen(e).into_iter().map(|(name, ..)| name.clone()).collect())]
}
