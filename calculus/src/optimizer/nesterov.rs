use super::{Bound, Groups, Optimizer, OptimizerConfig, Rule, Settings, blocks, count, foretold};
use super::{largest_of, same_lengths};
use crate::Parameter;
use crate::stability::limit;
use linalg::formula::{I, J, operand};
use linalg::{Formula, Real};

/// Nesterov's accelerated gradient: <var>v ← µ·v + g</var>, <var>θ ← θ − η·(g + µ·v)</var>.
///
/// The step looks ahead: it is the step that momentum would take next if the gradient stayed the same. On smooth convex
/// functions the error falls as 1/k² and not as 1/k.
///
/// Source: Nesterov 1983, in the form of Sutskever et al. 2013 that PyTorch has.
///
/// ```
/// use calculus::optimizer::{Nesterov, Optimizer};
/// let (mut w, mut rule) = ([0.0_f64], Nesterov::new(1, 0.5));
/// rule.step(1.0, &mut w, &[1.0]);
/// assert_eq!(w, [-1.5]); // 1 + ½·1
/// rule.step(1.0, &mut w, &[1.0]);
/// assert_eq!(w, [-3.25]); // v = 1.5; 1 + ½·1.5
/// ```
#[derive(Clone, Debug)]
pub struct Nesterov<T> {
    momentum: f64,
    velocity: Vec<T>,
    /// The bound of the velocity.
    bound: Bound,
    groups: Groups,
    steps: u64,
}

impl<T: Real> Nesterov<T> {
    /// Creates the optimizer for this many parameters; µ is usually 0.9.
    pub fn new(parameters: usize, momentum: f64) -> Self {
        let (velocity, groups) = (vec![T::zero(); parameters], Groups::decaying(vec![]));
        Nesterov { momentum, velocity, bound: None, groups, steps: 0 }
    }
}

impl<T: Real> Rule<T> for Nesterov<T> {
    const KEY: &'static str = "nesterov";
    const MEANING: &'static str = "Gradient descent with momentum that looks a step ahead";
    const TAKES: &'static [&'static str] = &["momentum"];
    const NORMALISES: bool = false;

    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let groups = Groups::of(c, parameters, false);
        Nesterov { groups, ..Nesterov::new(count(parameters), c.momentum) }
    }

    /// Returns 2·(1 + µ)/((1 + 2µ)·λ): there −1 is a root of z² − (1 + µ)·(1 − ηλ)·z + µ·(1 − ηλ), the error's
    /// recurrence.
    fn limit(c: &OptimizerConfig, eigenvalue: f64, _: u64) -> Option<f64> {
        Some(limit(eigenvalue, c.momentum) / (1.0 + 2.0 * c.momentum))
    }
}

impl<T: Real> Optimizer<T> for Nesterov<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        same_lengths(parameters, gradients, &self.velocity);
        self.steps = self.steps.saturating_add(1);
        let momentum = T::from_f64(self.momentum);
        self.groups.each(gradients.len(), |range, Settings { share, .. }| {
            let rate = T::from_f64(share * rate);
            let slices = [&mut parameters[range.clone()], &mut self.velocity[range.clone()]];
            let gradients = &gradients[range];
            blocks(slices, |range, [p, v]| {
                for ((p, v), &g) in p.iter_mut().zip(v.iter_mut()).zip(&gradients[range]) {
                    *v = momentum * *v + g;
                    *p -= rate * (g + momentum * *v);
                }
            });
        });
    }

    /// |v′| ≤ |µ|·|v| + |g|; the step looks ahead, by |a| = |g + µ·v′| ≤ |g| + |µ|·|v′|; |θ′| ≤ |θ| + |η|·|a|.
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        let (rate, momentum) = (self.groups.most() * rate.abs(), self.momentum.abs());
        let next = |v| momentum * v + gradients;
        let velocity = foretold(&mut self.bound, self.steps, &self.velocity, next);
        let ahead = gradients + momentum * velocity;
        largest_of(&[parameters + rate * ahead, rate, momentum, velocity, ahead])
    }

    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        self.groups.over_shares(gradients.len(), None)
    }

    fn formula(&self, rate: f64, parameter: usize, _: &[T]) -> Formula {
        let rate = self.groups.at(parameter).share * rate;
        let (p, g, v) = (operand(0).at(I, J), operand(1).at(I, J), operand(2).at(I, J));
        let meaning = "Keeps rolling, and looks ahead along the roll.";
        let mut f =
            Formula::new("θ′", ["θ", "g", "v"], meaning, "Nesterov 1983; Sutskever et al. 2013");
        let velocity = f.define("v′", [I, J], self.momentum * v + g.clone());
        f.value(p - rate * (g + self.momentum * velocity.at2(I, J)))
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
