use super::{Bound, Groups, Optimizer, OptimizerConfig, Rule, Settings, blocks, count, foretold};
use super::{largest_of, largest_squared, limited, same_lengths};
use crate::Parameter;
use crate::stability::limit;
use linalg::formula::{I, J, operand, sqrt};
use linalg::{Formula, Real};

/// RMSProp: <var>v ← α·v + (1 − α)·g²</var>, <var>θ ← θ − η·g/(√v + ε)</var>.
///
/// Every parameter has its own rate: its gradient is divided by its root mean square, so a plateau is crossed as fast
/// as a slope. In the first step v is (1 − α)·g², and the step has length <var>η/√(1 − α)</var>, ten times η for the
/// usual α of 0.99. Adam's bias correction avoids this.
///
/// g is the gradient, or ±0.999·√MAX of the scalar if it is finite and larger, so that v stays finite
/// ([`crate::optimizer`], hard gradients).
///
/// Source: Hinton, *Neural Networks for Machine Learning*, lecture 6e, 2012 (as in PyTorch, ε outside
/// the root).
///
/// ```
/// use calculus::optimizer::{Optimizer, RmsProp};
/// let mut w = [0.0_f64, 0.0];
/// RmsProp::new(2, 0.99, 1e-8).step(0.01, &mut w, &[1e-3, -5.0]);
/// assert!((w[0] + 0.1).abs() < 1e-4 && (w[1] - 0.1).abs() < 1e-4);
/// ```
#[derive(Clone, Debug)]
pub struct RmsProp<T> {
    alpha: f64,
    epsilon: f64,
    second: Vec<T>,
    /// The bound of the second moment.
    bound: Bound,
    groups: Groups,
    steps: u64,
}

impl<T: Real> RmsProp<T> {
    /// Creates the optimizer for this many parameters.
    pub fn new(parameters: usize, alpha: f64, epsilon: f64) -> Self {
        let (second, groups) = (vec![T::zero(); parameters], Groups::decaying(vec![]));
        RmsProp { alpha, epsilon, second, bound: None, groups, steps: 0 }
    }
}

impl<T: Real> Rule<T> for RmsProp<T> {
    const KEY: &'static str = "rmsprop";
    const MEANING: &'static str = "Gradients over their own root mean square";
    const TAKES: &'static [&'static str] = &["beta2", "epsilon"];
    const NORMALISES: bool = true;
    const DIVISORS: &'static [&'static str] = &["second_moment"];

    /// Creates the optimizer with α = β₂.
    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let groups = Groups::of(c, parameters, false);
        RmsProp { groups, ..RmsProp::new(count(parameters), c.beta2, c.epsilon) }
    }

    /// Returns 2/λ, like gradient descent.
    fn limit(_: &OptimizerConfig, eigenvalue: f64, _: u64) -> Option<f64> {
        Some(limit(eigenvalue, 0.0))
    }
}

impl<T: Real> Optimizer<T> for RmsProp<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        same_lengths(parameters, gradients, &self.second);
        self.steps = self.steps.saturating_add(1);
        let real = T::from_f64;
        let epsilon = real(self.epsilon);
        let (old, new) = (real(self.alpha), real(1.0 - self.alpha));
        let (most, infinity) = (largest_squared::<T>(), real(f64::INFINITY));
        self.groups.each(gradients.len(), |range, Settings { share, .. }| {
            let rate = real(share * rate);
            let slices = [&mut parameters[range.clone()], &mut self.second[range.clone()]];
            let gradients = &gradients[range];
            blocks(slices, |range, [p, v]| {
                for ((p, v), &g) in p.iter_mut().zip(v.iter_mut()).zip(&gradients[range]) {
                    let g = limited(g, most, infinity);
                    *v = old * *v + new * (g * g);
                    *p -= rate * g / (v.sqrt() + epsilon);
                }
            });
        });
    }

    /// For α from 0 to 1, v stays a mean of squares ≥ 0: v′ ≤ α·v + (1 − α)·g². So √v′ + ε ≥ ε however small the
    /// gradients were, and |θ′| ≤ |θ| + |η|·|g|/ε. With ε = 0 there is no bound.
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        // The state may have been set from outside: √v of a negative number makes its parameter NaN.
        let sound = self.bound.is_some() || self.second.iter().all(|v| *v >= T::zero());
        if !sound || !(0.0..=1.0).contains(&self.alpha) {
            return f64::INFINITY;
        }
        let square = gradients.min(largest_squared::<T>().to_f64()).powi(2);
        let next = |v| self.alpha * v + (1.0 - self.alpha) * square;
        let second = foretold(&mut self.bound, self.steps, &self.second, next);
        let rate = self.groups.most() * rate.abs();
        let epsilon = T::from_f64(self.epsilon).to_f64();
        let change = rate * gradients / epsilon;
        largest_of(&[parameters + change, change, rate, rate * gradients, second])
    }

    /// Returns √v + ε, over the shares of the rate.
    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        let next = |v: f64, g: f64| self.alpha * v + (1.0 - self.alpha) * g * g;
        let entry = |(v, &g): (&T, &f64)| next(v.to_f64(), g).sqrt() + self.epsilon;
        let divisors = self.second.iter().zip(gradients).map(entry).collect();
        self.groups.over_shares(gradients.len(), Some(divisors))
    }

    fn formula(&self, rate: f64, parameter: usize, _: &[T]) -> Formula {
        let rate = self.groups.at(parameter).share * rate;
        let (p, g, v) = (operand(0).at(I, J), operand(1).at(I, J), operand(2).at(I, J));
        let meaning = "Steps by about the learning rate, whatever the size of the gradient.";
        let mut f = Formula::new("θ′", ["θ", "g", "v"], meaning, "Tieleman and Hinton 2012");
        let square = self.alpha * v + (1.0 - self.alpha) * (g.clone() * g.clone());
        let square = f.define("v′", [I, J], square);
        f.value(p - rate * g / (sqrt(square.at2(I, J)) + self.epsilon))
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.bound = None;
        vec![("second_moment", &mut self.second)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        (self.steps, self.bound) = (steps, None);
    }
}
