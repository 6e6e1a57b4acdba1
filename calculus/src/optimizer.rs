//! Gradient descent and its relatives: functions of two slices.
//!
//! Notation: θ parameters, g gradients, η the learning rate, which a [`crate::schedule`] gives.

use linalg::formula::{I, J, operand, sqrt};
use linalg::{Formula, Real, ViewMut, parallel, simd};
use std::ops::Range;

/// A rule that changes parameters by their gradients.
pub trait Optimizer<T: Real>: Send {
    /// One update with learning rate `rate`.
    ///
    /// # Panics
    /// If the slices' lengths differ from each other, or from one step to the next.
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]);

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

/// Gradient descent, with momentum µ if it is not zero: v ← µ·v + g, θ ← θ − η·v.
///
/// Source: the textbook's A.3; Polyak 1964 for momentum (as in PyTorch, without dampening).
///
/// ```
/// use calculus::optimizer::{Optimizer, Sgd};
/// // L = (2w − 3)², w₀ = 1, η = 0.1: the error shrinks by 1 − 8η = 0.2 a step.
/// let mut w = [1.0_f64];
/// let mut descent = Sgd::new(1, 0.0);
/// for _ in 0..10 {
///     let gradient = [4.0 * (2.0 * w[0] - 3.0)];
///     descent.step(0.1, &mut w, &gradient);
/// }
/// assert!((w[0] - 1.4999999488).abs() < 1e-15);
/// ```
#[derive(Clone, Debug)]
pub struct Sgd<T> {
    momentum: f64,
    velocity: Vec<T>,
    steps: u64,
}

impl<T: Real> Sgd<T> {
    /// For this many parameters.
    pub fn new(parameters: usize, momentum: f64) -> Self {
        let remembered = if momentum == 0.0 { 0 } else { parameters };
        Sgd { momentum, velocity: vec![T::zero(); remembered], steps: 0 }
    }
}

impl<T: Real> Optimizer<T> for Sgd<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        self.steps += 1;
        let (rate, momentum) = (T::from_f64(rate), T::from_f64(self.momentum));
        if self.velocity.is_empty() {
            return blocks([parameters], |range, [p]| {
                for (p, &g) in p.iter_mut().zip(&gradients[range]) {
                    *p -= rate * g;
                }
            });
        }
        blocks([parameters, &mut self.velocity], |range, [p, v]| {
            for ((p, v), &g) in p.iter_mut().zip(v.iter_mut()).zip(&gradients[range]) {
                *v = momentum * *v + g;
                *p -= rate * *v;
            }
        });
    }

    fn formula(&self, rate: f64, _: usize) -> Formula {
        let (p, g, v) = (operand(0).at(I, J), operand(1).at(I, J), operand(2).at(I, J));
        let meaning = "Steps against the gradient.";
        if self.velocity.is_empty() {
            let f = Formula::new("θ′", ["θ", "g"], meaning, "the textbook's A.3");
            return f.value(p - rate * g);
        }
        let meaning = "Steps against the gradient, and keeps rolling.";
        let mut f = Formula::new("θ′", ["θ", "g", "v"], meaning, "Polyak 1964");
        let velocity = f.define("v′", [I, J], self.momentum * v + g);
        f.value(p - rate * velocity.at2(I, J))
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        vec![("velocity", &mut self.velocity)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
}

/// Adam, and AdamW where `decay` is not zero.
///
/// m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², θ ← (1 − η·λ)·θ − η·m̂ / (√v̂ + ε), with the bias
/// corrections m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ). The decay λ applies to `decayed` only, by
/// custom the matrices.
///
/// Source: Kingma and Ba 2014; Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2017.
///
/// ```
/// use calculus::optimizer::{Adam, Optimizer};
/// // The first step is about η·sign(g), whatever the size of g.
/// let mut w = [0.0_f64, 0.0];
/// Adam::new(2, 0.9, 0.999, 1e-8).step(0.01, &mut w, &[1e-3, -5.0]);
/// assert!((w[0] + 0.01).abs() < 1e-6 && (w[1] - 0.01).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct Adam<T> {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decay: f64,
    decayed: Vec<Range<usize>>,
    first: Vec<T>,
    second: Vec<T>,
    steps: u64,
}

impl<T: Real> Adam<T> {
    /// Without decay, for this many parameters.
    pub fn new(parameters: usize, beta1: f64, beta2: f64, epsilon: f64) -> Self {
        let moment = vec![T::zero(); parameters];
        let second = moment.clone();
        Adam { beta1, beta2, epsilon, decay: 0.0, decayed: vec![], first: moment, second, steps: 0 }
    }

    /// AdamW: decay λ of the parameters in these ranges, which are in order and do not overlap.
    pub fn with_decay(mut self, decay: f64, decayed: Vec<Range<usize>>) -> Self {
        (self.decay, self.decayed) = (decay, decayed);
        self
    }
}

impl<T: Real> Optimizer<T> for Adam<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        self.steps += 1;
        let real = T::from_f64;
        let correction = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let (b1, b2) = (real(self.beta1), real(self.beta2));
        let (c1, c2) = (real(1.0 - self.beta1), real(1.0 - self.beta2));
        let size = real(rate / correction(self.beta1));
        let root = real(1.0 / correction(self.beta2).sqrt());
        let epsilon = real(self.epsilon);
        let keep = real(1.0 - rate * self.decay);
        let mut update = |range: Range<usize>, keep: T| {
            let slices = [
                &mut parameters[range.clone()],
                &mut self.first[range.clone()],
                &mut self.second[range.clone()],
            ];
            let gradients = &gradients[range];
            blocks(slices, |range, [p, m, v]| {
                let moments = m.iter_mut().zip(v.iter_mut());
                for ((p, (m, v)), &g) in p.iter_mut().zip(moments).zip(&gradients[range]) {
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * (g * g);
                    *p = keep * *p - size * *m / (v.sqrt() * root + epsilon);
                }
            });
        };
        let mut done = 0;
        for decayed in &self.decayed {
            update(done..decayed.start, T::one());
            update(decayed.clone(), keep);
            done = decayed.end;
        }
        update(done..gradients.len(), T::one());
    }

    fn formula(&self, rate: f64, parameter: usize) -> Formula {
        let [p, g, m, v] = [0, 1, 2, 3].map(|o| operand(o).at(I, J));
        let correction = |beta: f64| 1.0 - beta.powf((self.steps + 1) as f64);
        let decays = self.decayed.iter().any(|range| range.contains(&parameter));
        let keep = if decays { 1.0 - rate * self.decay } else { 1.0 };
        let mut f = Formula::new(
            "θ′",
            ["θ", "g", "m", "v"],
            "Steps by about the learning rate, in the direction that the gradient keeps.",
            "Kingma and Ba 2014; Loshchilov and Hutter, Decoupled Weight Decay, 2017",
        );
        let first = self.beta1 * m + (1.0 - self.beta1) * g.clone();
        let first = f.define("m′", [I, J], first);
        let second = self.beta2 * v + (1.0 - self.beta2) * (g.clone() * g);
        let second = f.define("v′", [I, J], second);
        let mean = f.define("m̂", [I, J], first.at2(I, J) / correction(self.beta1));
        let square = f.define("v̂", [I, J], second.at2(I, J) / correction(self.beta2));
        let size = f.define("s", [I, J], sqrt(square.at2(I, J)) + self.epsilon);
        f.value(keep * p - rate * (mean.at2(I, J) / size.at2(I, J)))
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        vec![("first_moment", &mut self.first), ("second_moment", &mut self.second)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
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
    parallel::rows(columns, 8192, |first, mut pieces| {
        let range = first..first + pieces[0].nrows();
        let mut columns = pieces.each_mut().map(|p| p.column_mut(0));
        simd(
            #[inline(always)]
            || work(range, columns.each_mut().map(|c| c.as_mut_slice())),
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_touches_its_ranges_only() {
        let mut w = vec![1.0_f64; 5];
        let mut adam = Adam::new(5, 0.9, 0.99, 1e-8).with_decay(0.5, vec![0..1, 2..4]);
        adam.step(0.1, &mut w, &[0.0; 5]);
        assert_eq!(w, [0.95, 1.0, 0.95, 0.95, 1.0]);
    }

    #[test]
    fn stability_of_descent_on_a_quadratic() {
        // L = (2w − 3)² has curvature 8: η = 1/8 lands at once, ¼ swings for ever, 0.3 diverges.
        let run = |rate: f64| {
            let (mut w, mut sgd) = ([1.0_f64], Sgd::new(1, 0.0));
            for _ in 0..10 {
                let g = [4.0 * (2.0 * w[0] - 3.0)];
                sgd.step(rate, &mut w, &g);
            }
            w[0]
        };
        assert_eq!(run(0.125), 1.5);
        assert_eq!(run(0.25), 1.0);
        assert!((run(0.3) + 12.9627).abs() < 1e-4);
        assert!((run(0.2) - 1.4969767).abs() < 1e-7);
    }

    #[test]
    fn momentum_of_zero_is_plain_descent_and_velocity_adds_up() {
        let mut w = [0.0_f64];
        let mut heavy = Sgd::new(1, 0.5);
        heavy.step(1.0, &mut w, &[1.0]);
        heavy.step(1.0, &mut w, &[1.0]);
        assert_eq!(w, [-2.5]); // 1, then ½·1 + 1
    }
}
