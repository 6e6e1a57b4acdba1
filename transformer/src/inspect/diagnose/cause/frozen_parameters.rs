//! **Mathematics.** θ ← θ − u changes nothing if |u| is below half of the distance from θ to its neighbour: about
//! 2⁻²⁵·|θ| in f32. With an optimizer that normalises, u is about the rate: at 3·10⁻³ a weight above 10⁵ does not change.
//!
//! **Signature.** No bit of a whole tensor changes over five watched steps or more, at a rate above 0 and under a
//! gradient of at least a thousandth of the largest tensor's (root mean square); other tensors do move. The next update, computed
//! in f64, tells whether it is rounded away or below the smallest number itself.
//!
//! **Cure.** Redraw the tensor.
//!
//! **Example.** `table_beyond_its_updates`

use super::slow::{Evidence, Slow};
use super::{Cure, Cures, Earlier, Findings, Subject};
use crate::inspect::diagnose::evidence::listed;

/// Minimum number of watched steps.
const WATCHED: u64 = 5;
/// Share of the largest tensor's root mean square gradient: below it, a tensor may stay unchanged without harm, like a
/// key's bias, which the loss depends on only by rounding.
const MATTERS: f64 = 1e-3;

pub(super) struct FrozenParameters;

impl Slow for FrozenParameters {
    const TITLE: &str = "frozen parameters";
    const CERTAIN: bool = true;
    const AFTER: Earlier = Earlier::FallenRate;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let found = frozen(e);
        let judged = e.watched >= WATCHED && e.path > 0.0 && e.still.len() < e.tensors;
        let (_, gradient, size) = found.first().filter(|_| judged)?;
        let names: Vec<String> = found.iter().map(|(name, ..)| name.clone()).collect();
        let next = e.next.as_ref();
        let next =
            next.and_then(|n| Some((n.unmoved.iter().find(|u| u.name == names[0])?, n.rate)));
        let why =
            next.map_or(format!("its weights are about {size:.1e}"), |(u, rate)| u.because(rate));
        Some(format!(
            "no bit of {} changes in {} steps, under a gradient of {gradient:.1e} (root mean square): {why}",
            listed(&names),
            e.watched
        ))
    }

    fn fixes<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Cures {
        Ok(vec![Cure::Redraw(frozen(e).into_iter().map(|(name, ..)| name.clone()).collect())])
    }
}

/// Returns the unchanged tensors: name, root mean square of gradient and of weights.
fn frozen<'a>(e: &'a Evidence<'_>) -> Vec<&'a (String, f64, f64)> {
    e.still.iter().filter(|(_, gradient, _)| *gradient > MATTERS * e.largest_gradient).collect()
}
