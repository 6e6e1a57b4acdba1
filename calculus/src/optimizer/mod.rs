//! Optimizers: gradient descent and its variants, as functions of two slices.
//!
//! Notation: θ parameters, g gradients, η the learning rate, as given by a [`crate::schedule`].
//!
//! Each optimizer documents its formula and its state per parameter. A step of [`Sgd`] and [`Nesterov`] is proportional
//! to the gradient. The others normalise ([`OptimizerKind::normalises`]): a step changes a parameter by about η, for
//! any size of its gradient.
//!
//! ## Hard gradients
//! A NaN gradient makes its parameter and its state NaN, and only a checkpoint restores them: check the norm that
//! [`crate::clip`] returns before a step. ∞ moves a parameter to ∓∞ (descent, momentum) or to NaN (∞/∞, if the
//! optimizer divides); Lion moves it by η and stores ∞. RMSProp and Adam store squares. They limit a finite gradient to
//! ±0.999·√MAX of the scalar (1.8·10¹⁹ in `f32`, 1.3·10¹⁵⁴ in `f64`): its square is then finite, the step is about η as
//! for every other gradient, and later steps are normal. (If v were ∞, the parameter would stop for ever.) A square
//! that underflows gives v = 0, and the step is g/ε. A gradient of ±0 alone moves nothing. Without parameters only the
//! step is counted. A test checks each of these.
//!
//! Rates and constants are not checked: a negative rate ascends.

#[macro_use]
mod config;
mod groups;

pub use config::{OptimizerConfig, Rule, UnknownOptimizer};

use crate::{Parameter, clip};
use groups::{Groups, Settings};
use linalg::{Formula, Real, ViewMut, parallel};
use std::ops::Range;

// A new optimizer needs a file and a line here.
rules! {
    adam: Adam;
    sgd: Sgd;
    nesterov: Nesterov;
    rms_prop: RmsProp;
    lion: Lion;
    ada_max: AdaMax;
    muon: Muon;
    schedule_free: ScheduleFree;
}

/// The name of the weights to evaluate among the parts of a state, if they are not the parameters
/// ([`Optimizer::evaluated`]).
pub const MEAN: &str = "mean_of_iterates";

/// An optimizer: changes parameters by their gradients.
pub trait Optimizer<T: Real>: Send {
    /// Performs one update with learning rate `rate`.
    ///
    /// # Panics
    /// If the slices' lengths differ from each other, or from one step to the next.
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]);

    /// Like [`Optimizer::step`] with every gradient multiplied by `factor`, for clipping. If possible, both are done in
    /// one pass over memory. The gradients are unspecified afterwards. The factor is applied like [`clip::scale`], also
    /// if it is out of the scalar's range.
    ///
    /// # Panics
    /// Like [`Optimizer::step`].
    fn step_scaled(&mut self, rate: f64, factor: f64, parameters: &mut [T], gradients: &mut [T]) {
        clip::scale(gradients, factor);
        self.step(rate, parameters, gradients);
    }

    /// Returns an upper bound on every number in the next update of the parameters. `parameters` is a bound on the
    /// current parameters, and `gradients` on that step's gradients (such as their norms). If the scalar can represent
    /// twice the result, every parameter stays finite. ∞ if no bound is known.
    ///
    /// Before every step it costs a few multiplications: the bound of the state is carried from step to step, and the
    /// state is read only if it may have been changed.
    ///
    /// ```
    /// use calculus::optimizer::{Optimizer, Sgd};
    /// let mut descent = Sgd::<f32>::new(2, 0.0);
    /// assert_eq!(descent.reach(0.5, 10.0, 4.0), 12.0); // ‖θ‖ + η·‖g‖
    /// assert!(descent.reach(3e38, 10.0, 4.0) > f64::from(f32::MAX)); // this step may overflow
    /// ```
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        let _ = (rate, parameters, gradients);
        f64::INFINITY
    }

    /// Returns the divisors of the next step with these gradients, one per parameter; `None` if they are 1.
    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        let _ = gradients;
        None
    }

    /// Returns the next update of parameter number `parameter` as a formula, which an explanation prints and evaluates.
    /// Operands: θ, the gradient g, then the parts of [`Optimizer::state`], in order. `gradients` are all of the step's,
    /// for an optimizer whose update of one parameter depends on the others ([`Muon`]): what it computes of them is a
    /// table of the formula.
    fn formula(&self, rate: f64, parameter: usize, gradients: &[T]) -> Formula;

    /// Returns the weights to evaluate if they are not the parameters, at which gradients are taken
    /// ([`OptimizerKind::averages`]); `None` before the first step. They are the part [`MEAN`] of the state.
    fn evaluated(&self) -> Option<&[T]> {
        None
    }

    /// Returns the optimizer state by name, for checkpoints.
    fn state(&mut self) -> Vec<(&'static str, &mut [T])>;

    /// Returns the number of steps so far.
    fn steps(&self) -> u64;

    /// Sets the number of steps, to resume after them.
    fn set_steps(&mut self, steps: u64);
}

/// Returns the number of elements of these parameters.
fn count(parameters: &[Parameter]) -> usize {
    parameters.iter().map(|p| p.range.end).max().unwrap_or(0)
}

/// Returns 1 − βᵗ at step number t, the sum of the weights in a mean of t numbers that started at 0.
fn correction(beta: f64, step: u64) -> f64 {
    1.0 - beta.powf(step as f64)
}

/// Returns √v̂ + ε of the step after `steps`, with v̂ the corrected mean of squares that includes these gradients.
fn corrected_roots<T: Real>(
    second: &[T],
    gradients: &[f64],
    (beta2, epsilon): (f64, f64),
    steps: u64,
) -> Vec<f64> {
    let correction = correction(beta2, steps.saturating_add(1));
    let next = |v: f64, g: f64| beta2 * v + (1.0 - beta2) * g * g;
    let entry = |(v, &g): (&T, &f64)| (next(v.to_f64(), g) / correction).sqrt() + epsilon;
    second.iter().zip(gradients).map(entry).collect()
}

/// A bound on the state, and the step after which it holds; `None` if unknown.
type Bound = Option<(u64, f64)>;

/// Returns the bound on the state after the next step: `next` of its current bound, which is the predicted one or its
/// norm. If it is out of the scalar's range, the state may be infinite and is read again.
fn foretold<T: Real>(
    bound: &mut Bound,
    steps: u64,
    remembered: &[T],
    next: impl FnOnce(f64) -> f64,
) -> f64 {
    let size = next(match *bound {
        Some((after, size)) if after == steps => size,
        _ => clip::global_norm(remembered),
    });
    let holds = T::from_f64(size).to_f64().is_finite();
    *bound = holds.then_some((steps.saturating_add(1), size));
    size
}

/// Returns the largest of some bounds; ∞ if one is negative or NaN and therefore no bound.
fn largest_of(bounds: &[f64]) -> f64 {
    bounds.iter().fold(0.0, |m, &x| if x >= 0.0 { x.max(m) } else { f64::INFINITY })
}

/// Calls `work` on equal pieces of slices of the same length, with the piece's range.
fn blocks<T: Real, const M: usize>(
    slices: [&mut [T]; M],
    work: impl Fn(Range<usize>, [&mut [T]; M]) + Sync,
) {
    let columns = slices.map(|s| {
        let n = s.len();
        ViewMut::from_slice(s, n, 1)
    });
    parallel::rows(columns, parallel::BLOCK, |first, mut pieces| {
        let range = first..first + pieces[0].nrows();
        let mut columns = pieces.each_mut().map(|p| p.column_mut(0));
        T::simd(
            #[inline(always)]
            || work(range, columns.each_mut().map(|c| c.as_mut_slice())),
        );
    });
}

/// Returns the largest gradient whose square can be stored: 0.999·√MAX of the scalar, so that no running mean of
/// squares rounds to ∞.
fn largest_squared<T: Real>() -> T {
    let of = |most: f64| T::from_f64(0.999 * most.sqrt());
    let double = of(f64::MAX);
    if double.to_f64().is_finite() { double } else { of(f64::from(f32::MAX)) }
}

/// Returns g, or ±`most` if g is finite and larger; ±∞ and NaN stay.
#[inline(always)]
fn limited<T: Real>(g: T, most: T, infinity: T) -> T {
    let g = if (g > most) & (g < infinity) { most } else { g };
    if (g < -most) & (g > -infinity) { -most } else { g }
}

/// # Panics
/// If the lengths differ; the state may be empty.
fn same_lengths<T>(parameters: &[T], gradients: &[T], remembered: &[T]) {
    assert_eq!(parameters.len(), gradients.len(), "one gradient per parameter");
    assert!(
        remembered.is_empty() || remembered.len() == parameters.len(),
        "a rule for {} parameters, given {}",
        remembered.len(),
        parameters.len()
    );
}

#[cfg(test)]
mod tests;
