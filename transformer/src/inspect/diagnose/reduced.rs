//! Effects of 16-bit storage on a step.

use super::signs;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::precision::Precision;
use calculus::Source;
use linalg::parallel::BLOCK;
use rayon::prelude::*;
use serde::Serialize;

/// The loss of elements when one value is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stored {
    /// The value's name; `gradient of …` for a gradient.
    pub name: String,
    /// Its operation.
    pub operation: String,
    /// Whether it is a gradient, which a loss scale affects.
    pub gradient: bool,
    /// The largest magnitude before storing.
    pub largest: f64,
    /// Share of elements that become infinite.
    pub overflowing: f64,
    /// Share of nonzero elements that become 0.
    pub vanishing: f64,
}

/// A step in a 16-bit format: what overflows and what underflows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reduced {
    /// The format.
    pub precision: Precision,
    /// The loss scale.
    pub scale: f64,
    /// Values and gradients that lose elements, in the order of computation.
    pub losing: Vec<Stored>,
    /// Share of nonzero elements of the parameters' gradients that underflow to 0.
    pub lost_gradients: f64,
    /// The largest magnitude of any gradient, without loss scale.
    pub largest_gradient: f64,
    /// The loss, and the loss in `f32`.
    pub losses: (f64, f64),
}

/// Share of gradient elements that may underflow without harm.
const FEW: f64 = 1e-3;

/// The effect of a loss scale for a step in a 16-bit format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Nothing overflows, and almost nothing underflows.
    Yes,
    /// A value overflows in the forward pass, which a loss scale does not affect.
    Forward,
    /// A gradient overflows.
    Overflows,
    /// More than one gradient element in a thousand underflows.
    Vanishes,
}

impl Reduced {
    /// Checks whether the scale avoids both overflow and underflow.
    pub fn saved(&self) -> Saved {
        let over = |gradient: bool| {
            self.losing.iter().any(|s| s.gradient == gradient && s.overflowing > 0.0)
        };
        match (over(false), over(true)) {
            (true, _) => Saved::Forward,
            (_, true) => Saved::Overflows,
            _ if self.lost_gradients >= FEW => Saved::Vanishes,
            _ => Saved::Yes,
        }
    }
}

/// Replays one step with every stored value and gradient rounded: shows what overflows or underflows on hardware that
/// stores this format and adds in `f32`.
///
/// # Errors
/// If the step cannot be recorded.
pub fn reduced(
    subject: &impl Subject,
    parameters: &[f32],
    batch: u64,
    precision: Precision,
    scale: f64,
) -> Result<Reduced, ModelError> {
    let given = subject.batch(batch);
    let plain = signs::signs(subject, parameters, &given)?.loss;
    let mut step = subject.record_in_full::<f32>()?;
    step.set_parameters(parameters);
    step.give(&given);
    let (tape, loss) = (&mut step.tape, step.loss);
    let mut losing = vec![];
    for var in tape.vars() {
        tape.forward_one(var);
        // A view is stored with its matrix.
        if tape.source(var) == Source::Input || tape.is_view(var) {
            continue;
        }
        let name = tape.name(var).to_owned();
        let operation = tape.operation(var).unwrap_or("parameter").to_owned();
        losing.extend(store(precision, tape.elements_mut(var), (name, operation, false)));
    }
    let rounded = f64::from(tape.elements(loss)[0]);
    let needed = tape.dependencies(loss);
    tape.zero_gradients();
    tape.begin_backward(loss, &[scale as f32]);
    let (mut largest, mut vanished, mut all) = (0.0_f64, 0.0, 0.0);
    tape.backward_one(loss); // its own gradient, the scale, is not stored
    let below = tape.vars().zip(needed).rev().filter(|(var, needed)| *needed && *var != loss);
    for (var, _) in below {
        if tape.is_view(var) {
            continue;
        }
        let operation = tape.operation(var).unwrap_or("parameter").to_owned();
        let name = format!("gradient of {}", tape.name(var));
        let elements = tape.gradient_elements(var);
        let nonzero = elements.par_iter().with_min_len(BLOCK).filter(|g| **g != 0.0).count();
        let finite = elements.par_iter().with_min_len(BLOCK).filter(|g| g.is_finite());
        largest = largest.max(f64::from(finite.map(|g| g.abs()).reduce(|| 0.0, f32::max)));
        let parameter = tape.source(var) == Source::Parameter;
        let what = (name, operation, true);
        let stored = store(precision, tape.gradient_elements_mut(var), what);
        if parameter {
            all += nonzero as f64;
            let n = tape.gradient_elements(var).len() as f64;
            vanished += stored.as_ref().map_or(0.0, |s| s.vanishing * n);
        }
        losing.extend(stored);
        tape.backward_one(var);
    }
    Ok(Reduced {
        precision,
        scale,
        losing,
        lost_gradients: if all > 0.0 { vanished / all } else { 0.0 },
        largest_gradient: largest / scale,
        losses: (rounded, plain),
    })
}

/// Rounds, and reports what was lost, if anything.
fn store(
    precision: Precision,
    x: &mut [f32],
    (name, operation, gradient): (String, String, bool),
) -> Option<Stored> {
    let n = x.len() as f64;
    let lost = x.par_chunks_mut(BLOCK).map(|part| {
        let (mut over, mut under, mut largest) = (0_usize, 0_usize, 0.0_f32);
        for x in part {
            let stored = precision.round(*x);
            over += usize::from(x.is_finite() && !stored.is_finite());
            under += usize::from(*x != 0.0 && stored == 0.0);
            if x.is_finite() {
                largest = largest.max(x.abs());
            }
            *x = stored;
        }
        (over, under, largest)
    });
    let both =
        |a: (usize, usize, f32), b: (usize, usize, f32)| (a.0 + b.0, a.1 + b.1, a.2.max(b.2));
    let (over, under, largest) = lost.reduce(|| (0, 0, 0.0), both);
    let largest = f64::from(largest);
    let (overflowing, vanishing) = (over as f64 / n, under as f64 / n);
    let losing = over + under > 0;
    losing.then_some(Stored { name, operation, gradient, largest, overflowing, vanishing })
}

/// Returns the largest power of two that keeps the largest gradient four times below a format's largest number and is
/// itself representable: it is the gradient of the loss.
///
/// ```
/// use transformer::Precision;
/// use transformer::inspect::diagnose::loss_scale;
/// assert_eq!(loss_scale(Precision::F16, 0.5), 16384.0); // 16384·0.5 is below 65504/4 = 16376
/// assert_eq!(loss_scale(Precision::F16, 3.0), 4096.0);
/// assert_eq!(loss_scale(Precision::F16, 1e-9), 32768.0); // f16 has no 65536
/// ```
pub fn loss_scale(precision: Precision, largest_gradient: f64) -> f64 {
    let room = precision.largest() / 4.0 / largest_gradient.max(f64::MIN_POSITIVE);
    let highest = precision.largest().log2().floor().min(24.0);
    room.log2().floor().clamp(-24.0, highest).exp2()
}
