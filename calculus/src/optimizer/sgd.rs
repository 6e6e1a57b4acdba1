use super::{Bound, Groups, Optimizer, OptimizerConfig, Rule, Settings, blocks, count, foretold};
use super::{largest_of, same_lengths};
use crate::Parameter;
use crate::stability::limit;
use linalg::formula::{I, J, operand};
use linalg::{Formula, Real};

/// Gradient descent, with momentum µ if it is not zero: <var>v ← µ·v + g</var>, <var>θ ← θ − η·v</var>.
///
/// Momentum amplifies the common part of successive gradients, up to 1/(1 − µ) times, and cancels the rest. On a
/// quadratic of curvature λ it is stable for <var>η < 2·(1 + µ)/λ</var> ([`crate::stability`]).
///
/// Source: the textbook's A.3; Polyak 1964 for momentum (as in PyTorch, without dampening).
///
/// ```
/// use calculus::optimizer::{Optimizer, Sgd};
/// // L = (2w − 3)², w₀ = 1, η = 0.1: each step multiplies the error by 1 − 8η = 0.2.
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
    /// The bound of the velocity.
    bound: Bound,
    groups: Groups,
    steps: u64,
}

impl<T: Real> Sgd<T> {
    /// Creates the optimizer for this many parameters.
    pub fn new(parameters: usize, momentum: f64) -> Self {
        let remembered = if momentum == 0.0 { 0 } else { parameters };
        let (velocity, groups) = (vec![T::zero(); remembered], Groups::decaying(vec![]));
        Sgd { momentum, velocity, bound: None, groups, steps: 0 }
    }
}

impl<T: Real> Rule<T> for Sgd<T> {
    const KEY: &'static str = "sgd";
    const MEANING: &'static str = "Gradient descent, with momentum if that is not 0";
    const TAKES: &'static [&'static str] = &["momentum"];
    const NORMALISES: bool = false;

    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let groups = Groups::of(c, parameters, false);
        Sgd { groups, ..Sgd::new(count(parameters), c.momentum) }
    }

    /// Returns 2·(1 + µ)/λ.
    fn limit(c: &OptimizerConfig, eigenvalue: f64, _: u64) -> Option<f64> {
        Some(limit(eigenvalue, c.momentum))
    }
}

impl<T: Real> Optimizer<T> for Sgd<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        same_lengths(parameters, gradients, &self.velocity);
        self.steps = self.steps.saturating_add(1);
        let momentum = T::from_f64(self.momentum);
        self.groups.each(gradients.len(), |range, Settings { share, .. }| {
            let rate = T::from_f64(share * rate);
            let (parameters, gradients) =
                (&mut parameters[range.clone()], &gradients[range.clone()]);
            if self.velocity.is_empty() {
                return blocks([parameters], |range, [p]| {
                    for (p, &g) in p.iter_mut().zip(&gradients[range]) {
                        *p -= rate * g;
                    }
                });
            }
            blocks([parameters, &mut self.velocity[range]], |range, [p, v]| {
                for ((p, v), &g) in p.iter_mut().zip(v.iter_mut()).zip(&gradients[range]) {
                    *v = momentum * *v + g;
                    *p -= rate * *v;
                }
            });
        });
    }

    /// |v′| ≤ |µ|·|v| + |g| and |θ′| ≤ |θ| + |η|·|v′|; η and µ are intermediate values too.
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        let (rate, momentum) = (self.groups.most() * rate.abs(), self.momentum.abs());
        let next = |v| momentum * v + gradients;
        let velocity = foretold(&mut self.bound, self.steps, &self.velocity, next);
        largest_of(&[parameters + rate * velocity, rate, momentum, velocity])
    }

    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        self.groups.over_shares(gradients.len(), None)
    }

    fn formula(&self, rate: f64, parameter: usize, _: &[T]) -> Formula {
        let rate = self.groups.at(parameter).share * rate;
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
        self.bound = None;
        vec![("velocity", &mut self.velocity)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        (self.steps, self.bound) = (steps, None);
    }
}
