//! The gradient noise scale: the batch above which larger batches gain little.

use crate::model::recording::Recording;
use crate::training::training_loop::{Observer, Replay};
use linalg::Real;
use linalg::parallel::BLOCK;
use rayon::prelude::*;
use std::fmt;
use std::ops::ControlFlow;

/// Measures the simple noise scale <var>B = tr(Σ)/|G|²</var>, where G is the gradient of the mean loss and Σ the covariance
/// of the gradients of single windows: batches much smaller than B are mostly noise, and those much larger hardly improve
/// on each other.
///
/// A mean gradient of n windows has the expected square |G|² + tr(Σ)/n. So two sizes b < B of batches of the same step,
/// its parts and the whole, give unbiased estimates: <var>|G|² ≈ (B·|g_B|² − b·|g_b|²)/(B − b)</var>, <var>tr(Σ) ≈
/// (|g_b|² − |g_B|²)/(1/b − 1/B)</var>. A ratio of means is not the mean of ratios: numerator and denominator are
/// averaged on their own, over about 1/(1 − β) measurements, with the bias of the start corrected.
///
/// A step that is replayed in one part is measured together with the next one, whose parameters are almost the same.
///
/// Source: McCandlish, Kaplan, Amodei et al., *An Empirical Model of Large-Batch Training*, 2018, appendix A.1.
pub struct NoiseScale<T> {
    beta: f64,
    /// Windows of a replay.
    windows: usize,
    /// The sums of gradients before a replay, and of the measured replays.
    before: Vec<T>,
    sum: Vec<T>,
    /// Σ|g|² of the measured replays, and their number.
    squares: f64,
    count: usize,
    /// Replays that make a measurement.
    wanted: usize,
    /// The means of tr(Σ) and |G|², and the sum of their weights.
    means: [f64; 2],
    weight: f64,
}

impl<T> fmt::Debug for NoiseScale<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoiseScale")
            .field("beta", &self.beta)
            .field("windows", &self.windows)
            .field("means", &self.means)
            .finish_non_exhaustive()
    }
}

/// Returns the estimates of tr(Σ) and |G|² from the mean |g|² of gradients of `small` samples, and that of their mean, of
/// `large` samples.
pub(crate) fn estimates(square: f64, small: f64, of_mean: f64, large: f64) -> [f64; 2] {
    let covariance = (square - of_mean) / (1.0 / small - 1.0 / large);
    let gradient = (large * of_mean - small * square) / (large - small);
    [covariance, gradient]
}

impl<T: Real> NoiseScale<T> {
    /// Creates a measurement for steps whose replays have so many windows, averaged with smoothing β.
    pub fn new(windows: usize, beta: f64) -> Self {
        NoiseScale {
            beta,
            windows,
            before: vec![],
            sum: vec![],
            squares: 0.0,
            count: 0,
            wanted: 2,
            means: [0.0; 2],
            weight: 0.0,
        }
    }

    /// Adds a measurement: |g|², averaged over gradients of `small` windows, and that of their mean, of `large` windows.
    ///
    /// ```
    /// use transformer::NoiseScale;
    /// let mut noise = NoiseScale::<f32>::new(1, 0.9);
    /// // Two gradients (3, 1) and (1, 1): their mean is (2, 1).
    /// noise.measured((10.0 + 2.0) / 2.0, 1.0, 5.0, 2.0);
    /// assert_eq!(noise.covariance(), Some(2.0)); // the variance of 3 and 1
    /// assert_eq!(noise.gradient(), Some(4.0));
    /// assert_eq!(noise.windows(), Some(0.5));
    /// ```
    pub fn measured(&mut self, square: f64, small: f64, of_mean: f64, large: f64) {
        for (mean, new) in self.means.iter_mut().zip(estimates(square, small, of_mean, large)) {
            *mean = self.beta * *mean + (1.0 - self.beta) * new;
        }
        self.weight = self.beta * self.weight + (1.0 - self.beta);
    }

    fn mean(&self, i: usize) -> Option<f64> {
        (self.weight > 0.0).then(|| self.means[i] / self.weight)
    }

    /// Returns the mean of tr(Σ).
    pub fn covariance(&self) -> Option<f64> {
        self.mean(0)
    }

    /// Returns the mean of |G|².
    pub fn gradient(&self) -> Option<f64> {
        self.mean(1)
    }

    /// Returns the noise scale in windows; `None` before the first measurement, and as long as the noise hides the gradient.
    pub fn windows(&self) -> Option<f64> {
        let (covariance, gradient) = (self.covariance()?, self.gradient()?);
        (gradient > 0.0).then(|| covariance.max(0.0) / gradient)
    }

    /// Whether the measurement that has begun needs the next step, too.
    pub fn is_open(&self) -> bool {
        self.count > 0
    }

    /// Adds the gradient of a replay, that of a mean loss: the difference of the sums, times `factor`.
    fn add(&mut self, sums: &[T], factor: f64) {
        let n = sums.len();
        self.before.resize(n, T::zero());
        if self.count == 0 {
            self.sum.clear();
        }
        self.sum.resize(n, T::zero());
        let scale = T::from_f64(factor);
        let blocks = self.before.par_chunks_mut(BLOCK).zip(self.sum.par_chunks_mut(BLOCK));
        let squares: Vec<f64> = blocks
            .zip(sums.par_chunks(BLOCK))
            .map(|((before, sum), now)| {
                let mut square = 0.0;
                for ((before, sum), &now) in before.iter_mut().zip(sum).zip(now) {
                    let g = scale * (now - *before);
                    *before = now;
                    *sum += g;
                    square += g.to_f64() * g.to_f64();
                }
                square
            })
            .collect();
        // In order, so that the bits do not depend on the threads.
        self.squares += squares.iter().sum::<f64>();
        self.count += 1;
    }

    /// Ends a measurement.
    fn close(&mut self) {
        let count = self.count as f64;
        let blocks = self.sum.par_chunks(BLOCK);
        let squares: Vec<f64> =
            blocks.map(|sum| sum.iter().map(|s| s.to_f64() * s.to_f64()).sum()).collect();
        let of_mean = squares.iter().sum::<f64>() / (count * count);
        let (small, square) = (self.windows as f64, self.squares / count);
        if square.is_finite() && of_mean.is_finite() {
            self.measured(square, small, of_mean, count * small);
        }
        (self.squares, self.count) = (0.0, 0);
    }
}

impl<T: Real> Observer<T> for NoiseScale<T> {
    fn replayed(&mut self, recording: &Recording<T>, replay: Replay) -> ControlFlow<()> {
        let (done, parts) = replay.done;
        if done == 1 {
            // A step begins with sums of 0.
            self.before.fill(T::zero());
            if parts > 1 {
                (self.squares, self.count) = (0.0, 0);
            }
            self.wanted = parts.max(2);
        }
        self.add(recording.tape.gradients(), parts as f64);
        if self.count == self.wanted {
            self.close();
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::corpus::Corpus;
    use crate::training::config::TrainingConfig;
    use crate::training::trainer::Trainer;
    use probability::Random;

    /// Gradients with a known mean and covariance: both are estimated without bias, whatever the sizes of batches.
    #[test]
    fn estimates_have_no_bias() {
        const N: usize = 40;
        let random = Random::new(1, 0, 0);
        let truth: Vec<f64> = (0..N).map(|i| 0.1 * (i % 5) as f64).collect();
        let square = |g: &[f64]| g.iter().map(|x| x * x).sum::<f64>();
        for (small, parts) in [(1, 2), (2, 3), (4, 8)] {
            let mut noise = NoiseScale::<f64>::new(small, 0.9995);
            let mut drawn = 0;
            for _ in 0..3000 {
                // A mean of n windows has a standard deviation of 1/√n.
                let part = |drawn: &mut u64| -> Vec<f64> {
                    let deviation = 1.0 / (small as f64).sqrt();
                    truth
                        .iter()
                        .map(|t| {
                            *drawn += 1;
                            t + deviation * random.normal(*drawn)
                        })
                        .collect()
                };
                let all: Vec<Vec<f64>> = (0..parts).map(|_| part(&mut drawn)).collect();
                let mean: Vec<f64> =
                    (0..N).map(|i| all.iter().map(|g| g[i]).sum::<f64>() / parts as f64).collect();
                let of_parts = all.iter().map(|g| square(g)).sum::<f64>() / parts as f64;
                noise.measured(of_parts, small as f64, square(&mean), (small * parts) as f64);
            }
            let (covariance, gradient) = (noise.covariance().unwrap(), noise.gradient().unwrap());
            assert!((covariance / N as f64 - 1.0).abs() < 0.02, "{small} {parts}: {covariance}");
            assert!((gradient / square(&truth) - 1.0).abs() < 0.1, "{small} {parts}: {gradient}");
        }
    }

    fn config(batch: usize) -> TrainingConfig {
        TrainingConfig {
            layers: 1,
            heads: 2,
            width: 16,
            context: 256,
            batch,
            warmup: 0,
            clip: 0.0,
            ..Default::default()
        }
    }

    fn corpus() -> Corpus {
        let text: Vec<u32> = (0..9000_u32).map(|i| (i * i + i / 7) % 13).collect();
        Corpus::text(text, 0.1, 256).unwrap()
    }

    /// The norm of the gradient of batch `number` at the first parameters.
    fn norm(batch: usize, number: u64) -> f64 {
        let config = config(batch);
        let mut trainer = Trainer::<f64>::new(config.clone(), &config.model(13).unwrap()).unwrap();
        trainer.set_steps(number);
        trainer.step(&corpus()).unwrap().gradient_norm
    }

    /// What is measured within a step are the gradients of its parts, each by itself, and of the whole.
    #[test]
    fn parts_of_a_step_are_measured() {
        let config = config(8);
        assert_eq!(config.parts(), 2);
        let mut trainer = Trainer::<f64>::new(config.clone(), &config.model(13).unwrap()).unwrap();
        let mut noise = NoiseScale::new(4, 0.9);
        let step = trainer.step_observed(&corpus(), &mut noise).unwrap().unwrap();
        assert!(!noise.is_open());
        let (one, two) = (norm(4, 0), norm(4, 1));
        let mut expected = NoiseScale::<f64>::new(4, 0.9);
        expected.measured((one * one + two * two) / 2.0, 4.0, step.gradient_norm.powi(2), 8.0);
        for (found, expected) in
            [(noise.covariance(), expected.covariance()), (noise.gradient(), expected.gradient())]
        {
            let (found, expected) = (found.unwrap(), expected.unwrap());
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
    }

    /// A step of one part is measured with the next one.
    #[test]
    fn a_step_of_one_part_waits_for_the_next() {
        let config = TrainingConfig { learning_rate: 1e-9, min_learning_rate: 0.0, ..config(4) };
        let mut trainer = Trainer::<f64>::new(config.clone(), &config.model(13).unwrap()).unwrap();
        let mut noise = NoiseScale::new(4, 0.9);
        let corpus = corpus();
        trainer.step_observed(&corpus, &mut noise).unwrap();
        assert!(noise.is_open() && noise.windows().is_none());
        trainer.step_observed(&corpus, &mut noise).unwrap();
        assert!(!noise.is_open());
        let (one, two, both) = (norm(4, 0), norm(4, 1), norm(8, 0));
        let mut expected = NoiseScale::<f64>::new(4, 0.9);
        expected.measured((one * one + two * two) / 2.0, 4.0, both * both, 8.0);
        let (found, expected) = (noise.covariance().unwrap(), expected.covariance().unwrap());
        assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
    }
}
