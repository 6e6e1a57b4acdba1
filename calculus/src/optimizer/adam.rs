use super::{
    Bound, Groups, Optimizer, OptimizerConfig, Rule, Settings, blocks, correction, count, foretold,
};
use super::{corrected_roots, largest_of, largest_squared, limited, same_lengths};
use crate::stability::limit;
use crate::{Parameter, clip};
use linalg::formula::{I, J, operand, sqrt};
use linalg::{Formula, Real};
use std::ops::Range;

/// Adam, or AdamW if `decay` is not zero.
///
/// <var>m ← β₁·m + (1 − β₁)·g</var>, <var>v ← β₂·v + (1 − β₂)·g²</var>, <var>θ ← (1 − η·λ)·θ − η·m̂ / (√v̂ + ε)</var>,
/// with the bias corrections <var>m̂ = m/(1 − β₁ᵗ)</var> and <var>v̂ = v/(1 − β₂ᵗ)</var>. The decay λ applies only to
/// `decayed`, usually the matrices. AdamW applies the decay to θ directly and not through the moments, so that
/// parameters with large gradients decay as fast as the others.
///
/// g is the gradient, or ±0.999·√MAX of the scalar if it is finite and larger, so that v stays finite
/// ([`crate::optimizer`], hard gradients).
///
/// The bias corrections keep the first step at about η·sign(g). Without them it would be
/// <var>η·(1 − β₁)/√(1 − β₂) = 3.2·η</var>, because the moments are averages with zeros.
///
/// Source: Kingma and Ba 2014; Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2017.
///
/// ```
/// use calculus::optimizer::{Adam, Optimizer};
/// // The first step is about η·sign(g) for any size of g.
/// let mut w = [0.0_f64, 0.0];
/// Adam::new(2, 0.9, 0.999, 1e-8).step(0.01, &mut w, &[1e-3, -5.0]);
/// assert!((w[0] + 0.01).abs() < 1e-6 && (w[1] - 0.01).abs() < 1e-6);
/// ```
#[doc(alias = "AdamW")]
#[derive(Clone, Debug)]
pub struct Adam<T> {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decay: f64,
    groups: Groups,
    pub(super) first: Vec<T>,
    second: Vec<T>,
    /// The bound of the first moment.
    pub(super) bound: Bound,
    steps: u64,
}

impl<T: Real> Adam<T> {
    /// Creates Adam without decay, for this many parameters.
    pub fn new(parameters: usize, beta1: f64, beta2: f64, epsilon: f64) -> Self {
        let moment = vec![T::zero(); parameters];
        let second = moment.clone();
        Adam {
            beta1,
            beta2,
            epsilon,
            decay: 0.0,
            groups: Groups::decaying(vec![]),
            first: moment,
            second,
            bound: None,
            steps: 0,
        }
    }

    /// Adds the decay λ of the parameters in these ranges, which are in order and do not overlap (AdamW).
    #[must_use]
    pub fn with_decay(mut self, decay: f64, decayed: Vec<Range<usize>>) -> Self {
        (self.decay, self.groups) = (decay, Groups::decaying(decayed));
        self
    }
}

impl<T: Real> Adam<T> {
    /// Performs one update with `factor` times the gradients, except of the ranges in `others`, which are among those
    /// that decay.
    pub(super) fn update(
        &mut self,
        rate: f64,
        factor: f64,
        (parameters, gradients): (&mut [T], &[T]),
        others: &[Range<usize>],
    ) {
        same_lengths(parameters, gradients, &self.first);
        self.steps = self.steps.saturating_add(1);
        let real = T::from_f64;
        let (b1, b2) = (real(self.beta1), real(self.beta2));
        let (c1, c2) = (real(1.0 - self.beta1), real(1.0 - self.beta2));
        let size = rate / correction(self.beta1, self.steps);
        let root = real(1.0 / correction(self.beta2, self.steps).sqrt());
        let (epsilon, factor) = (real(self.epsilon), real(factor));
        let keep = real(1.0 - rate * self.decay);
        let (most, infinity) = (largest_squared::<T>(), real(f64::INFINITY));
        self.groups.each(gradients.len(), |range, Settings { share, decays }| {
            if others.contains(&range) {
                return;
            }
            let keep = if decays { keep } else { T::one() };
            let size = real(share * size);
            let slices = [
                &mut parameters[range.clone()],
                &mut self.first[range.clone()],
                &mut self.second[range.clone()],
            ];
            let gradients = &gradients[range];
            blocks(slices, |range, [p, m, v]| {
                let moments = m.iter_mut().zip(v.iter_mut());
                for ((p, (m, v)), &g) in p.iter_mut().zip(moments).zip(&gradients[range]) {
                    let g = limited(factor * g, most, infinity);
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * (g * g);
                    *p = keep * *p - size * *m / (v.sqrt() * root + epsilon);
                }
            });
        });
    }
}

impl<T: Real> Rule<T> for Adam<T> {
    const KEY: &'static str = "adamw";
    const MEANING: &'static str = "Adam with decay of matrices";
    const TAKES: &'static [&'static str] = &["beta1", "beta2", "epsilon", "weight_decay"];
    const NORMALISES: bool = true;
    const DIVISORS: &'static [&'static str] = &["second_moment"];

    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let rule = Adam::new(count(parameters), c.beta1, c.beta2, c.epsilon);
        Adam { decay: c.weight_decay, groups: Groups::of(c, parameters, true), ..rule }
    }

    /// Adam's step is η·m̂/P with m̂ = m/(1 − β₁ᵗ) and a mean m of gradients. On a quadratic, with its current P, this
    /// is descent with momentum β₁ and rate η·(1 − β₁)/(1 − β₁ᵗ), so the limit is (1 − β₁ᵗ)·(2 + 2β₁)/((1 − β₁)·λ),
    /// with t the number of the next step. For β₁ = 0.9 the first step's limit is a tenth of the later one, because of
    /// the bias correction. Source: Cohen et al., *Adaptive Gradient Methods at the Edge of Stability*, 2022, equation
    /// 2 (38/η for β₁ = 0.9, t → ∞).
    fn limit(c: &OptimizerConfig, eigenvalue: f64, steps: u64) -> Option<f64> {
        let [correction, _] = c.corrections(steps);
        Some(correction * limit(eigenvalue, c.beta1) / (1.0 - c.beta1))
    }

    fn corrections(c: &OptimizerConfig, step: u64) -> [f64; 2] {
        [c.beta1, c.beta2].map(|beta| correction(beta, step))
    }
}

impl<T: Real> Optimizer<T> for Adam<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        self.update(rate, 1.0, (parameters, gradients), &[]);
    }

    fn step_scaled(&mut self, rate: f64, factor: f64, parameters: &mut [T], gradients: &mut [T]) {
        if clip::is_held::<T>(factor) {
            return self.update(rate, factor, (parameters, gradients), &[]);
        }
        clip::scale(gradients, factor);
        self.update(rate, 1.0, (parameters, gradients), &[]);
    }

    /// |m′| ≤ |β₁|·|m| + |1 − β₁|·|g|. For β₂ from 0 to 1, v stays a mean of squares ≥ 0, so √v̂ + ε ≥ ε however small the gradients were: |θ′| ≤ max(1, |1 − η·λ|)·|θ| + |η|/(1 − β₁ᵗ)·|m′|/ε, as some parameters do not decay. With β = 1 or ε = 0 there is no bound. If v overflows, its parameter stops: m/∞ = 0.
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        let (b1, step) = (self.beta1, self.steps.saturating_add(1));
        let size = self.groups.most() * rate.abs() / correction(b1, step);
        let root = 1.0 / correction(self.beta2, step).sqrt();
        // The state may have been set from outside: √v of a negative number or NaN makes its parameter NaN.
        let sound = |v: &T| (0.0..f64::INFINITY).contains(&v.to_f64());
        let sound = self.bound.is_some() || self.second.iter().all(sound);
        if !sound || !(0.0..=1.0).contains(&self.beta2) {
            return f64::INFINITY;
        }
        let next = |m| b1.abs() * m + (1.0 - b1).abs() * gradients;
        let first = foretold(&mut self.bound, self.steps, &self.first, next);
        let keep = (1.0 - rate * self.decay).abs().max(1.0);
        let change = size * first / T::from_f64(self.epsilon).to_f64();
        let way = [keep, size, root, size * first, gradients * gradients, b1.abs()];
        largest_of(&way).max(largest_of(&[keep * parameters + change, change]))
    }

    /// Returns √v̂ + ε, over the shares of the rate.
    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        let constants = (self.beta2, self.epsilon);
        let divisors = corrected_roots(&self.second, gradients, constants, self.steps);
        self.groups.over_shares(gradients.len(), Some(divisors))
    }

    fn formula(&self, rate: f64, parameter: usize, _: &[T]) -> Formula {
        let [p, g, m, v] = [0, 1, 2, 3].map(|o| operand(o).at(I, J));
        let correction = |beta: f64| correction(beta, self.steps.saturating_add(1));
        let Settings { share, decays } = self.groups.at(parameter);
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
        f.value(keep * p - share * rate * (mean.at2(I, J) / size.at2(I, J)))
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.bound = None;
        vec![("first_moment", &mut self.first), ("second_moment", &mut self.second)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        (self.steps, self.bound) = (steps, None);
    }
}
