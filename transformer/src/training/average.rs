//! A running mean of the weights, which is evaluated and written in their place.

use linalg::Real;
use linalg::parallel::BLOCK;
use rayon::prelude::*;

/// An exponential moving average of the weights of all steps: <var>w̄ₜ = (1 − β)/(1 − βᵗ)·Σₖ βᵗ⁻ᵏ·wₖ</var> for k from 1
/// to t.
///
/// Late in training, weights oscillate around a mean with an amplitude of about the learning rate; their mean has a lower
/// loss, as if the rate had decayed. About the last 1/(1 − β) steps count.
///
/// The division by 1 − βᵗ corrects the bias: the weights before the first step count nothing, and the first steps have a
/// plain mean (<var>w̄₁ = w₁</var>, <var>w̄₂ = (β·w₁ + w₂)/(β + 1)</var>). Without it a run of less than 1/(1 − β) steps
/// would be evaluated near its random start. The corrected mean itself is kept, by the same formula as a recursion:
/// <var>w̄ₜ = (1 − c)·w̄ₜ₋₁ + c·wₜ</var> with <var>c = (1 − β)/(1 − βᵗ)</var>. It is convex, so that it is finite if the
/// weights are.
///
/// Source: Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992; Kingma and Ba 2014,
/// section 7.2, for the correction.
#[derive(Clone, Debug)]
pub(crate) struct Average<T> {
    beta: f64,
    weights: Vec<T>,
}

impl<T: Real> Average<T> {
    /// Creates the average of the weights before the first step, with smoothing β.
    pub(crate) fn new(beta: f64, weights: &[T]) -> Self {
        Average { beta, weights: weights.to_vec() }
    }

    /// Adds the weights after step number `step`, from 1.
    pub(crate) fn add(&mut self, step: u64, weights: &[T]) {
        let share = (1.0 - self.beta) / (1.0 - self.beta.powf(step as f64));
        let (new, old) = (T::from_f64(share), T::from_f64(1.0 - share));
        let pieces = self.weights.par_chunks_mut(BLOCK).zip(weights.par_chunks(BLOCK));
        pieces.for_each(|(mean, weights)| {
            T::simd(
                #[inline(always)]
                || mean.iter_mut().zip(weights).for_each(|(m, &w)| *m = old * *m + new * w),
            );
        });
    }

    /// Returns the averaged weights.
    pub(crate) fn weights(&self) -> &[T] {
        &self.weights
    }

    /// Returns the averaged weights, to be restored or exchanged.
    pub(crate) fn weights_mut(&mut self) -> &mut [T] {
        &mut self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recursion is the weighted mean, from the first step on, and forgets what was before.
    #[test]
    fn the_average_is_the_weighted_mean_of_all_steps() {
        let beta = 0.9_f64;
        let weights: Vec<f64> = (1..=50).map(|k| f64::from(k * k % 17) - 5.0).collect();
        let mut average = Average::new(beta, &[1e6]);
        for t in 1..=weights.len() {
            average.add(t as u64, &weights[t - 1..t]);
            let share = |k: usize| beta.powi((t - k) as i32);
            let sum: f64 = (1..=t).map(|k| share(k) * weights[k - 1]).sum();
            let expected = sum / (1..=t).map(share).sum::<f64>();
            let found = average.weights()[0];
            // Every step has a few roundings of numbers up to 12.
            let bound = 12.0 * 8.0 * t as f64 * f64::EPSILON;
            assert!((found - expected).abs() <= bound, "{t}: {found} {expected}");
        }
        let mut first = Average::new(0.999, &[7.0_f32; 3]);
        first.add(1, &[1.0, -2.0, 3e38]);
        assert_eq!(first.weights(), [1.0, -2.0, 3e38]);
    }
}
