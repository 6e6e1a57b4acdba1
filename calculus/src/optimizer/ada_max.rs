use super::{
    Adam, Bound, Groups, Optimizer, OptimizerConfig, Rule, Settings, blocks, correction, count,
};
use super::{foretold, largest_of, same_lengths};
use crate::Parameter;
use linalg::formula::{I, J, operand, positive};
use linalg::{Formula, Real};

/// AdaMax: <var>m ← β₁·m + (1 − β₁)·g</var>, <var>u ← max(β₂·u, |g| + ε)</var>,
/// <var>θ ← θ − η/(1 − β₁ᵗ)·m/u</var>.
///
/// Adam with the largest recent gradient in place of the root mean square: its limit for a norm of order ∞. No square
/// is taken, so no gradient is too large for it, and u needs no bias correction.
///
/// Source: Kingma and Ba, *Adam*, 2014, section 7.1 (as in PyTorch, ε inside the maximum).
///
/// ```
/// use calculus::optimizer::{AdaMax, Optimizer};
/// let (mut w, mut rule) = ([0.0_f64], AdaMax::new(1, 0.5, 0.5, 0.0));
/// rule.step(1.0, &mut w, &[4.0]);
/// assert_eq!(w, [-1.0]);
/// rule.step(0.75, &mut w, &[0.0]);
/// assert_eq!(w, [-1.5]); // m = 1, u = 2: 0.75/(1 − ½²)·½
/// ```
#[derive(Clone, Debug)]
pub struct AdaMax<T> {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    first: Vec<T>,
    largest: Vec<T>,
    /// The bounds of the first moment and of u.
    bounds: [Bound; 2],
    groups: Groups,
    steps: u64,
}

impl<T: Real> AdaMax<T> {
    /// Creates AdaMax for this many parameters.
    pub fn new(parameters: usize, beta1: f64, beta2: f64, epsilon: f64) -> Self {
        let first = vec![T::zero(); parameters];
        let (largest, groups) = (first.clone(), Groups::decaying(vec![]));
        AdaMax { beta1, beta2, epsilon, largest, first, bounds: [None; 2], groups, steps: 0 }
    }
}

impl<T: Real> Rule<T> for AdaMax<T> {
    const KEY: &'static str = "adamax";
    const MEANING: &'static str =
        "Adam with the largest recent gradient in place of the mean square";
    const TAKES: &'static [&'static str] = &["beta1", "beta2", "epsilon"];
    const NORMALISES: bool = true;
    const DIVISORS: &'static [&'static str] = &["largest"];

    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let groups = Groups::of(c, parameters, false);
        AdaMax { groups, ..AdaMax::new(count(parameters), c.beta1, c.beta2, c.epsilon) }
    }

    /// Returns the same limit as Adam, which has the same mean of gradients.
    fn limit(c: &OptimizerConfig, eigenvalue: f64, steps: u64) -> Option<f64> {
        Adam::<T>::limit(c, eigenvalue, steps)
    }

    /// Returns Adam's correction for m; u needs none.
    fn corrections(c: &OptimizerConfig, step: u64) -> [f64; 2] {
        [correction(c.beta1, step), 1.0]
    }
}

impl<T: Real> Optimizer<T> for AdaMax<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        same_lengths(parameters, gradients, &self.first);
        self.steps = self.steps.saturating_add(1);
        let real = T::from_f64;
        let size = rate / correction(self.beta1, self.steps);
        let (b1, c1) = (real(self.beta1), real(1.0 - self.beta1));
        let (b2, epsilon) = (real(self.beta2), real(self.epsilon));
        self.groups.each(gradients.len(), |range, Settings { share, .. }| {
            let size = real(share * size);
            let slices = [
                &mut parameters[range.clone()],
                &mut self.first[range.clone()],
                &mut self.largest[range.clone()],
            ];
            let gradients = &gradients[range];
            blocks(slices, |range, [p, m, u]| {
                let memory = m.iter_mut().zip(u.iter_mut());
                for ((p, (m, u)), &g) in p.iter_mut().zip(memory).zip(&gradients[range]) {
                    *m = b1 * *m + c1 * g;
                    *u = (b2 * *u).larger(g.abs() + epsilon);
                    *p -= size * (*m / *u);
                }
            });
        });
    }

    /// |m′| ≤ |β₁|·|m| + |1 − β₁|·|g|, and u′ ≥ |g| + ε ≥ ε, however small the gradients were: |θ′| ≤ |θ| + |η|/(1 − β₁ᵗ)·|m′|/ε. u′ ≤ max(|β₂|·u, |g| + ε) must be finite too, because 0·∞ is NaN. With β₁ = 1 or ε = 0 there is no bound.
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        let (b1, b2, epsilon) = (self.beta1, self.beta2, T::from_f64(self.epsilon).to_f64());
        let size = self.groups.most() * rate.abs() / correction(b1, self.steps.saturating_add(1));
        let [first, largest] = &mut self.bounds;
        let next = |m| b1.abs() * m + (1.0 - b1).abs() * gradients;
        let first = foretold(first, self.steps, &self.first, next);
        let next = |u| largest_of(&[b2.abs() * u, gradients + epsilon]);
        let largest = foretold(largest, self.steps, &self.largest, next);
        let (ratio, change) = (first / epsilon, size * first / epsilon);
        largest_of(&[parameters + change, change, ratio, size, first, largest, b1.abs(), b2.abs()])
    }

    /// Returns u, over the shares of the rate.
    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        let entry = |(u, g): (&T, &f64)| (self.beta2 * u.to_f64()).max(g.abs() + self.epsilon);
        let divisors = self.largest.iter().zip(gradients).map(entry).collect();
        self.groups.over_shares(gradients.len(), Some(divisors))
    }

    fn formula(&self, rate: f64, parameter: usize, _: &[T]) -> Formula {
        let rate = self.groups.at(parameter).share * rate;
        let [p, g, m, u] = [0, 1, 2, 3].map(|o| operand(o).at(I, J));
        let meaning =
            "Steps in the direction that the gradient keeps, measured by its largest size.";
        let mut f = Formula::new("θ′", ["θ", "g", "m", "u"], meaning, "Kingma and Ba 2014");
        let first = f.define("m′", [I, J], self.beta1 * m + (1.0 - self.beta1) * g.clone());
        let size = positive(g.clone()) * g.clone() - positive(-g.clone()) * g;
        let now = f.define("a", [I, J], size + self.epsilon);
        // The larger of the two: the old one, plus the excess of the new one over it.
        let old = f.define("b", [I, J], self.beta2 * u);
        let above = positive(now.at2(I, J) - old.at2(I, J));
        let new = above.clone() * now.at2(I, J) + (1.0 - above) * old.at2(I, J);
        let new = f.define("u′", [I, J], new);
        let step = rate / correction(self.beta1, self.steps.saturating_add(1));
        f.value(p - step * (first.at2(I, J) / new.at2(I, J)))
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.bounds = [None; 2];
        vec![("first_moment", &mut self.first), ("largest", &mut self.largest)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        (self.steps, self.bounds) = (steps, [None; 2]);
    }
}
