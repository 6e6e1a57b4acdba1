//! **Mathematics.** float16 has no numbers between 0 and 6·10⁻⁸. Gradients below half of that are 0, and their
//! parameters stop.
//!
//! **Signature.** A large share of the parameters' gradients is 0 in the format and not in f32.
//!
//! **Cure.** A loss scale: the largest power of two that keeps the largest gradient four times below 65,504 and is
//! itself a float16 (at most 2¹⁵): it is the gradient of the loss. If gradients still underflow with it, no scale
//! avoids both ends, and `diagnose --precision f16` reports it.
//!
//! **Example.** `f16_underflow_of_gradients`

use super::{Cure, Cures, Detect, Findings, Replay, Sign, Subject};
use crate::inspect::diagnose::reduced::reduced;
use crate::training::precision::Precision;

/// Share of the gradient elements that are nonzero in f32: if more than a quarter is 0 in the format, too many
/// parameters stop for the others to compensate. A convention.
const LOST: f64 = 0.25;

pub(super) struct Underflow;

impl Detect for Underflow {
    const TITLE: &str = "underflow of gradients";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let precision = f.recipe.precision;
        if precision == Precision::F32 || f.watched.origin().is_some() {
            return Ok(None);
        }
        let (parameters, batch) = (&f.watched.last_good.parameters, f.watched.batch());
        let stored = reduced(f.subject, parameters, batch, precision, f.recipe.loss_scale)?;
        Ok((stored.lost_gradients > LOST).then(|| {
            format!(
                "{:.0} % of the parameters' gradients are below {:.1e}, the smallest {precision}",
                100.0 * stored.lost_gradients,
                precision.smallest()
            )
        }))
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::LossScale(f.loss_scale()?)])
    }

    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        // The loss of a run with underflowing gradients may have any value: ln V is no threshold for it.
        Replay { knows_nothing: true, ..f.replay() }
    }
}
