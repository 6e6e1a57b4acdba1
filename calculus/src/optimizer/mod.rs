//! Gradient descent and its relatives: functions of two slices.
//!
//! Notation: θ parameters, g gradients, η the learning rate, which a [`crate::schedule`] gives.
//!
//! Each rule's own documentation gives its formula and what it remembers of every parameter. A step of [`Sgd`] and
//! [`Nesterov`] is proportional to the gradient; the others normalise ([`OptimizerKind::normalises`]): a step changes a
//! parameter by about η, whatever the size of its gradient.
//!
//! ## Hard gradients
//! A gradient of NaN makes its parameter NaN, and what is remembered of it too: look at the norm that
//! [`crate::clip`] returns before a step, for there is no way back but a checkpoint. ∞ moves a parameter
//! to ∓∞ (descent, momentum) or to NaN (∞/∞: the rules that divide); Lion moves it by η and remembers ∞. RMSProp and Adam
//! remember squares, and take a finite gradient beyond ±0.999·√MAX of the scalar (1.8·10¹⁹ in `f32`, 1.3·10¹⁵⁴ in `f64`)
//! as one of that size: its square is a number, the step is about η as of every other gradient, and the rule goes on
//! from there. (A v of ∞ would stop the parameter for ever.) A square that underflows is a v of 0, and the step is g/ε. A
//! gradient of ±0 moves nothing by itself. No parameters: nothing happens, but the step is counted. A test
//! holds each of these.
//!
//! Rates and constants are not checked: a negative rate climbs.

#[macro_use]
mod config;

pub use config::{OptimizerConfig, Rule, UnknownOptimizer};

use crate::{Parameter, clip};
use linalg::{Formula, Real, ViewMut, parallel, simd};
use std::ops::Range;

// A new rule is a file and a line here.
rules! {
    adam: Adam;
    sgd: Sgd;
    nesterov: Nesterov;
    rms_prop: RmsProp;
    lion: Lion;
    ada_max: AdaMax;
}

/// A rule that changes parameters by their gradients.
pub trait Optimizer<T: Real>: Send {
    /// One update with learning rate `rate`.
    ///
    /// # Panics
    /// If the slices' lengths differ from each other, or from one step to the next.
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]);

    /// As [`Optimizer::step`] with every gradient times `factor`, as clipping asks; a rule that can does
    /// both in one pass over memory. What the gradients are afterwards is left open. A factor is applied as
    /// [`clip::scale`] applies it, also one that the scalar does not hold.
    ///
    /// # Panics
    /// As [`Optimizer::step`].
    fn step_scaled(&mut self, rate: f64, factor: f64, parameters: &mut [T], gradients: &mut [T]) {
        clip::scale(gradients, factor);
        self.step(rate, parameters, gradients);
    }

    /// A size that nothing in the next step's way to the parameters exceeds, where `parameters` bounds every
    /// parameter now and `gradients` every gradient of that step (as their norms do): if the scalar can hold twice
    /// that, every parameter will be finite. ∞ where the rule knows none.
    ///
    /// Asked before every step it costs a few multiplications: what is remembered is bounded from one step to
    /// the next, and looked at only where it may have been changed.
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

    /// What the next step, of these gradients, divides by, parameter by parameter; none where that is 1.
    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        let _ = gradients;
        None
    }

    /// The next update of parameter number `parameter` as a formula: what an explanation prints and
    /// evaluates. Operands: θ, the gradient g, then what [`Optimizer::state`] remembers, in its order.
    fn formula(&self, rate: f64, parameter: usize) -> Formula;

    /// What the rule remembers between steps, by name: written to and read from checkpoints.
    fn state(&mut self) -> Vec<(&'static str, &mut [T])>;

    /// Steps taken so far.
    fn steps(&self) -> u64;

    /// Continues after this many steps.
    fn set_steps(&mut self, steps: u64);
}

/// How many numbers these parameters are.
fn count(parameters: &[Parameter]) -> usize {
    parameters.iter().map(|p| p.range.end).max().unwrap_or(0)
}

/// 1 − βᵗ at step number t: a mean of t numbers that began with 0, over this, is one of those numbers alone.
fn correction(beta: f64, step: u64) -> f64 {
    1.0 - beta.powf(step as f64)
}

/// A bound of everything that is remembered, and after which step it holds; none where it is not known.
type Bound = Option<(u64, f64)>;

/// The bound of what is remembered after the coming step: `next` of its bound now, which is the one that was foretold, or
/// its norm. Where the scalar does not hold it something may be infinite: that is looked at again.
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

/// The largest of some bounds; ∞ where one is negative or NaN, and bounds nothing.
fn largest_of(bounds: &[f64]) -> f64 {
    bounds.iter().fold(0.0, |m, &x| if x >= 0.0 { x.max(m) } else { f64::INFINITY })
}

/// Calls `work` on equal pieces of slices of one length, with the piece's range.
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
        simd(
            #[inline(always)]
            || work(range, columns.each_mut().map(|c| c.as_mut_slice())),
        );
    });
}

/// The largest gradient whose square can be remembered: 0.999·√MAX of the scalar, so that no running mean of squares
/// rounds to ∞.
fn largest_squared<T: Real>() -> T {
    let of = |most: f64| T::from_f64(0.999 * most.sqrt());
    let double = of(f64::MAX);
    if double.to_f64().is_finite() { double } else { of(f64::from(f32::MAX)) }
}

/// g, or ±`most` where it is finite and larger; ±∞ and NaN stay.
#[inline(always)]
fn limited<T: Real>(g: T, most: T, infinity: T) -> T {
    let g = if (g > most) & (g < infinity) { most } else { g };
    if (g < -most) & (g > -infinity) { -most } else { g }
}

/// # Panics
/// If the lengths differ; what is remembered may be nothing.
fn same_lengths<T>(parameters: &[T], gradients: &[T], remembered: &[T]) {
    assert_eq!(parameters.len(), gradients.len(), "one gradient per parameter");
    assert!(
        remembered.is_empty() || remembered.len() == parameters.len(),
        "a rule for {} parameters, given {}",
        remembered.len(),
        parameters.len()
    );
}

/// Calls `update` on the ranges that decay and on those between them, in order, up to `n`.
fn by_decay(decayed: &[Range<usize>], n: usize, mut update: impl FnMut(Range<usize>, bool)) {
    let mut done = 0;
    for range in decayed {
        update(done..range.start, false);
        update(range.clone(), true);
        done = range.end;
    }
    update(done..n, false);
}

#[cfg(test)]
mod tests;
