use super::{Bound, Groups, Optimizer, OptimizerConfig, Rule, Settings, blocks, count, foretold};
use super::{largest_of, same_lengths};
use crate::Parameter;
use linalg::formula::{I, J, operand, positive};
use linalg::{Formula, Real};
use std::ops::Range;

/// Lion: <var>c = β₁·m + (1 − β₁)·g</var>, <var>θ ← (1 − η·λ)·θ − η·sign(c)</var>,
/// <var>m ← β₂·m + (1 − β₂)·g</var>.
///
/// Apart from decay every parameter changes by η, −η, or 0 if c = 0 (the sign of NaN is NaN). Its state is one number
/// per parameter, half of Adam's. Usually η is three to ten times smaller than Adam's, and λ larger by the same factor.
///
/// Source: Chen et al., *Symbolic Discovery of Optimization Algorithms*, 2023, algorithm 2.
///
/// ```
/// use calculus::optimizer::{Lion, Optimizer};
/// let mut w = [0.0_f64, 0.0, 1.0];
/// let mut rule = Lion::new(3, 0.9, 0.99).with_decay(0.5, vec![2..3]);
/// rule.step(0.01, &mut w, &[1e-3, -5.0, 0.0]);
/// assert_eq!(w, [-0.01, 0.01, 0.995]);
/// ```
#[derive(Clone, Debug)]
pub struct Lion<T> {
    beta1: f64,
    beta2: f64,
    decay: f64,
    groups: Groups,
    first: Vec<T>,
    /// The bound of the first moment.
    bound: Bound,
    steps: u64,
}

impl<T: Real> Lion<T> {
    /// Creates Lion without decay, for this many parameters; the paper's β₁ and β₂ are 0.9 and 0.99.
    pub fn new(parameters: usize, beta1: f64, beta2: f64) -> Self {
        let first = vec![T::zero(); parameters];
        let groups = Groups::decaying(vec![]);
        Lion { beta1, beta2, decay: 0.0, groups, first, bound: None, steps: 0 }
    }

    /// Adds the decay λ of the parameters in these ranges, which are in order and do not overlap.
    #[must_use]
    pub fn with_decay(mut self, decay: f64, decayed: Vec<Range<usize>>) -> Self {
        (self.decay, self.groups) = (decay, Groups::decaying(decayed));
        self
    }
}

impl<T: Real> Rule<T> for Lion<T> {
    const KEY: &'static str = "lion";
    const MEANING: &'static str = "The sign of a running mean of gradients, with decay of matrices";
    const TAKES: &'static [&'static str] = &["beta1", "beta2", "weight_decay"];
    const NORMALISES: bool = true;

    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let rule = Lion::new(count(parameters), c.beta1, c.beta2);
        Lion { decay: c.weight_decay, groups: Groups::of(c, parameters, true), ..rule }
    }

    /// Returns `None`: every step has the same length for any curvature.
    fn limit(_: &OptimizerConfig, _: f64, _: u64) -> Option<f64> {
        None
    }
}

impl<T: Real> Optimizer<T> for Lion<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        same_lengths(parameters, gradients, &self.first);
        self.steps = self.steps.saturating_add(1);
        let real = T::from_f64;
        let (b1, b2) = (real(self.beta1), real(self.beta2));
        let (c1, c2) = (real(1.0 - self.beta1), real(1.0 - self.beta2));
        let keep = real(1.0 - rate * self.decay);
        self.groups.each(gradients.len(), |range, Settings { share, decays }| {
            let keep = if decays { keep } else { T::one() };
            let rate = real(share * rate);
            let slices = [&mut parameters[range.clone()], &mut self.first[range.clone()]];
            let gradients = &gradients[range];
            blocks(slices, |range, [p, m]| {
                for ((p, m), &g) in p.iter_mut().zip(m.iter_mut()).zip(&gradients[range]) {
                    *p = keep * *p - rate * sign(b1 * *m + c1 * g);
                    *m = b2 * *m + c2 * g;
                }
            });
        });
    }

    /// |θ′| ≤ max(1, |1 − η·λ|)·|θ| + |η|, as some parameters do not decay, if c is not NaN: |c| ≤ |β₁|·|m| + |1 − β₁|·|g|, and |m′| likewise with β₂.
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        let keep = (1.0 - rate * self.decay).abs().max(1.0);
        let (b1, b2, rate) = (self.beta1, self.beta2, self.groups.most() * rate.abs());
        let mut mean = 0.0;
        let next = |m| {
            mean = b1.abs() * m + (1.0 - b1).abs() * gradients;
            b2.abs() * m + (1.0 - b2).abs() * gradients
        };
        let first = foretold(&mut self.bound, self.steps, &self.first, next);
        largest_of(&[keep * parameters + rate, keep, rate, mean, first, b1.abs(), b2.abs()])
    }

    fn formula(&self, rate: f64, parameter: usize, _: &[T]) -> Formula {
        let (p, g, m) = (operand(0).at(I, J), operand(1).at(I, J), operand(2).at(I, J));
        let Settings { share, decays } = self.groups.at(parameter);
        let keep = if decays { 1.0 - rate * self.decay } else { 1.0 };
        let meaning = "Steps by the learning rate, in the direction of a running mean's sign.";
        let mut f = Formula::new("θ′", ["θ", "g", "m"], meaning, "Chen et al. 2023");
        let u = f.define("u", [I, J], self.beta1 * m + (1.0 - self.beta1) * g);
        // The sign of u: 1, 0 or −1.
        let sign = positive(u.at2(I, J)) - positive(-u.at2(I, J));
        f.value(keep * p - share * rate * sign)
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.bound = None;
        vec![("first_moment", &mut self.first)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        (self.steps, self.bound) = (steps, None);
    }
}

/// Returns 1, −1, or x itself if it is neither above nor below 0: 0 and NaN.
#[inline(always)]
fn sign<T: Real>(x: T) -> T {
    if x > T::zero() {
        T::one()
    } else if x < T::zero() {
        -T::one()
    } else {
        x
    }
}
