use super::{Bound, Groups, Optimizer, OptimizerConfig, Rule, Settings, blocks, correction, count};
use super::{corrected_roots, largest_of, largest_squared, limited, same_lengths};
use crate::{Parameter, clip};
use linalg::formula::{I, J, operand, sqrt};
use linalg::{Formula, Real};

/// Schedule-free AdamW: the weights that are evaluated are the mean x of all iterates z, and gradients are taken between
/// the two, at <var>θ = (1 − β₁)·z + β₁·x</var>.
///
/// <var>v ← β₂·v + (1 − β₂)·g²</var>, <var>u = η·g/(√v̂ + ε) + η·λ·θ</var>, <var>z ← z − u</var>,
/// <var>x ← (1 − c)·x + c·z</var> with <var>c = 2/(t + 1)</var> at step number t, and θ of the new z and x. The decay λ
/// applies only to matrices; <var>v̂ = v/(1 − β₂ᵗ)</var>.
///
/// The mean replaces a falling learning rate: the rate stays constant, and a run can be evaluated at every step, and
/// ended or extended without planning its length. β₁ has the part of momentum: 0 is descent with a mean (Polyak), 1
/// would take the gradient at the mean itself. x is [`Optimizer::evaluated`].
///
/// c = 2/(t + 1) weighs iterate number t by t: iterates of a warm-up, which are near the random start, count little. The
/// paper weighs by the squared rate and else equally, c = 1/t; its implementations have both weights as an option.
///
/// Only θ (as the parameters), x and v are stored: z − x is (θ − x)/(1 − β₁), a difference of near numbers, so that
/// <var>d = (θ − x)/(1 − β₁) − u</var>, <var>x ← x + c·d</var>, <var>θ ← θ + β₁·c·d − (1 − β₁)·u</var>. x starts at θ.
///
/// Source: Defazio et al., *The Road Less Scheduled*, 2024, algorithm 1 and section 4.
///
/// ```
/// use calculus::optimizer::{Optimizer, OptimizerConfig, OptimizerKind};
/// # let (tape, _) = calculus::example::product();
/// let config = OptimizerConfig { kind: OptimizerKind::ScheduleFree, ..OptimizerConfig::default() };
/// let mut rule = config.build::<f64>(&tape.parameter_list());
/// let mut w = [0.0];
/// rule.step(0.03, &mut w, &[5.0]); // z = x = −0.03
/// rule.step(0.03, &mut w, &[5.0]); // z = −0.06, c = 2/3: x = −0.05
/// assert!((rule.evaluated().unwrap()[0] + 0.05).abs() < 1e-9);
/// assert!((w[0] + 0.1 * 0.06 + 0.9 * 0.05).abs() < 1e-9);
/// ```
#[derive(Clone, Debug)]
pub struct ScheduleFree<T> {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decay: f64,
    groups: Groups,
    mean: Vec<T>,
    second: Vec<T>,
    /// The bound of z and x.
    bound: Bound,
    steps: u64,
}

impl<T: Real> ScheduleFree<T> {
    /// Returns c, the share of the newest iterate in the mean, at a step's number.
    fn newest(step: u64) -> f64 {
        2.0 / (step as f64 + 1.0)
    }
}

impl<T: Real> Rule<T> for ScheduleFree<T> {
    const KEY: &'static str = "schedule_free";
    const MEANING: &'static str = "adamw without a falling rate: evaluates a mean of all iterates";
    const TAKES: &'static [&'static str] = &["beta1", "beta2", "epsilon", "weight_decay"];
    const NORMALISES: bool = true;
    const DIVISORS: &'static [&'static str] = &["second_moment"];
    const AVERAGES: bool = true;

    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let zeros = vec![T::zero(); count(parameters)];
        ScheduleFree {
            beta1: c.beta1,
            beta2: c.beta2,
            epsilon: c.epsilon,
            decay: c.weight_decay,
            groups: Groups::of(c, parameters, true),
            mean: zeros.clone(),
            second: zeros,
            bound: None,
            steps: 0,
        }
    }

    /// Returns <var>2·(2 − c)/(((1 − β₁)·(2 − c) + β₁·c)·λ)</var>: on a quadratic, with c and the divisor of the next step,
    /// −1 is an eigenvalue of the map of (z, x) there. It rises from 2/λ at the first step to 2/((1 − β₁)·λ).
    fn limit(config: &OptimizerConfig, eigenvalue: f64, steps: u64) -> Option<f64> {
        let (beta, c) = (config.beta1, Self::newest(steps.saturating_add(1)));
        let factor = (2.0 - c) / ((1.0 - beta) * (2.0 - c) + beta * c);
        Some(factor * crate::stability::limit(eigenvalue, 0.0))
    }

    /// Returns 1, as there is no mean of gradients, and Adam's correction of the mean of squares.
    fn corrections(c: &OptimizerConfig, step: u64) -> [f64; 2] {
        [1.0, correction(c.beta2, step)]
    }
}

impl<T: Real> Optimizer<T> for ScheduleFree<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        same_lengths(parameters, gradients, &self.mean);
        self.steps = self.steps.saturating_add(1);
        if self.steps == 1 {
            self.mean.copy_from_slice(parameters);
        }
        let real = T::from_f64;
        let (beta, decay) = (self.beta1, real(rate * self.decay));
        let (own, b2, c2) = (real(1.0 - beta), real(self.beta2), real(1.0 - self.beta2));
        let root = real(1.0 / correction(self.beta2, self.steps).sqrt());
        let (epsilon, apart) = (real(self.epsilon), real(1.0 / (1.0 - beta)));
        let newest = Self::newest(self.steps);
        let (of_mean, of_both) = (real(newest), real(beta * newest));
        let (most, infinity) = (largest_squared::<T>(), real(f64::INFINITY));
        self.groups.each(gradients.len(), |range, Settings { share, decays }| {
            let (size, decay) = (real(share * rate), if decays { decay } else { T::zero() });
            let slices = [
                &mut parameters[range.clone()],
                &mut self.mean[range.clone()],
                &mut self.second[range.clone()],
            ];
            let gradients = &gradients[range];
            blocks(slices, |range, [p, x, v]| {
                let state = x.iter_mut().zip(v.iter_mut());
                for ((p, (x, v)), &g) in p.iter_mut().zip(state).zip(&gradients[range]) {
                    let g = limited(g, most, infinity);
                    *v = b2 * *v + c2 * (g * g);
                    let u = size * (g / (v.sqrt() * root + epsilon)) + decay * *p;
                    let d = (*p - *x) * apart - u;
                    *x += of_mean * d;
                    *p += of_both * d - own * u;
                }
            });
        });
    }

    /// z′ and x′ are at most |u| farther than the farther of z and x, and θ′ lies between them. For β₂ from 0 to 1, v stays
    /// a mean of squares ≥ 0, so |u| ≤ |η|·(|g|/ε + |λ|·|θ|). If no bound is known, |z| ≤ (|θ| + β₁·|x|)/(1 − β₁).
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        // The state may have been set from outside: √v of a negative number or NaN makes its parameter NaN.
        let sound = |v: &T| (0.0..f64::INFINITY).contains(&v.to_f64());
        let sound = self.bound.is_some() || self.second.iter().all(sound);
        if !sound || !(0.0..=1.0).contains(&self.beta2) || !(0.0..1.0).contains(&self.beta1) {
            return f64::INFINITY;
        }
        let now = match self.bound {
            Some((after, size)) if after == self.steps => size,
            _ => {
                let x = if self.steps == 0 { parameters } else { clip::global_norm(&self.mean) };
                largest_of(&[x, (parameters + self.beta1 * x) / (1.0 - self.beta1)])
            }
        };
        let epsilon = T::from_f64(self.epsilon).to_f64();
        let (size, decay) = (self.groups.most() * rate.abs(), (rate * self.decay).abs());
        let change = size * (gradients / epsilon) + decay * parameters;
        let next = now + change;
        let holds = T::from_f64(next).to_f64().is_finite();
        self.bound = holds.then_some((self.steps.saturating_add(1), next));
        let root = 1.0 / correction(self.beta2, self.steps.saturating_add(1)).sqrt();
        let square = gradients.min(largest_squared::<T>().to_f64()).powi(2);
        let far = 2.0 * now + change; // |d|, of the new z and the old x
        largest_of(&[next, far, root, square, gradients / epsilon, size, decay])
    }

    /// Returns √v̂ + ε, over the shares of the rate.
    fn preconditioner(&self, gradients: &[f64]) -> Option<Vec<f64>> {
        let constants = (self.beta2, self.epsilon);
        let divisors = corrected_roots(&self.second, gradients, constants, self.steps);
        self.groups.over_shares(gradients.len(), Some(divisors))
    }

    fn formula(&self, rate: f64, parameter: usize, _: &[T]) -> Formula {
        let [p, g, v, x] = [0, 1, 2, 3].map(|o| operand(o).at(I, J));
        let Settings { share, decays } = self.groups.at(parameter);
        let (beta, step) = (self.beta1, self.steps.saturating_add(1));
        let newest = Self::newest(step);
        let mut f = Formula::new(
            "θ′",
            ["θ", "g", "v", "x"],
            "Steps the iterate z = (θ − β₁·x)/(1 − β₁), adds it to the mean x, and goes between the two.",
            "Defazio et al., The Road Less Scheduled, 2024",
        );
        let second = self.beta2 * v + (1.0 - self.beta2) * (g.clone() * g.clone());
        let second = f.define("v′", [I, J], second);
        let square = f.define("v̂", [I, J], second.at2(I, J) / correction(self.beta2, step));
        let size = f.define("s", [I, J], sqrt(square.at2(I, J)) + self.epsilon);
        let decay = if decays { rate * self.decay } else { 0.0 };
        let u = share * rate * (g / size.at2(I, J)) + decay * p.clone();
        let u = f.define("u", [I, J], u);
        // Before the first step x is θ.
        let apart = if self.steps == 0 { 0.0 } else { 1.0 / (1.0 - beta) };
        let d = f.define("d", [I, J], apart * (p.clone() - x) - u.at2(I, J));
        f.value(p + beta * newest * d.at2(I, J) - (1.0 - beta) * u.at2(I, J))
    }

    fn evaluated(&self) -> Option<&[T]> {
        (self.steps > 0).then_some(&self.mean)
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.bound = None;
        vec![("second_moment", &mut self.second), (super::MEAN, &mut self.mean)]
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        (self.steps, self.bound) = (steps, None);
    }
}
