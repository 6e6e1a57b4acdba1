//! The choices of a training loop as a value, mistakes included.

use crate::training::config::TrainingConfig;
use crate::training::precision::Precision;
use calculus::optimizer::OptimizerConfig;
use calculus::schedule::Schedule;
use linalg::Products;

/// Every choice of a training loop, so that a mistake in one, and its fix, is a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The learning-rate schedule.
    pub schedule: Schedule,
    /// The largest norm of all gradients together; 0 disables clipping.
    pub clip: f64,
    /// Batches per step; every part of a batch counts.
    pub accumulate: u64,
    /// The number of parts of each batch in the subject: the subject's batch n is part n mod p of batch n div p.
    pub parts: u64,
    /// Whether the gradients of a step's batches are averaged (otherwise summed).
    pub average: bool,
    /// Whether gradients are zeroed before a step.
    pub zero_gradients: bool,
    /// The factor on the loss before backpropagation; gradients are divided by it afterwards.
    pub loss_scale: f64,
    /// The storage format of values and gradients.
    pub precision: Precision,
    /// How linear maps and the loss multiply.
    pub products: Products,
    /// Batches to skip.
    pub skipped: Vec<u64>,
}

impl Recipe {
    /// Adam at a constant rate, the usual default.
    pub fn adam(rate: f64) -> Self {
        Recipe { optimizer: OptimizerConfig::default(), ..Recipe::sgd(rate) }
    }

    /// Plain gradient descent at a constant rate.
    pub fn sgd(rate: f64) -> Self {
        Recipe {
            optimizer: OptimizerConfig::sgd(0.0),
            schedule: Schedule::Constant { rate },
            clip: 0.0,
            accumulate: 1,
            parts: 1,
            average: true,
            zero_gradients: true,
            loss_scale: 1.0,
            precision: Precision::F32,
            products: Products::Full,
            skipped: vec![],
        }
    }

    /// The recipe of a training run.
    pub fn of_run(config: &TrainingConfig) -> Self {
        Recipe {
            optimizer: config.rule(),
            schedule: config.schedule(),
            clip: config.clip,
            accumulate: config.accumulate as u64 * config.parts(),
            parts: config.parts(),
            products: config.precision.products(),
            ..Recipe::sgd(0.0)
        }
    }

    /// Returns the largest norm that is not clipped.
    pub(crate) fn largest_norm(&self) -> f64 {
        if self.clip > 0.0 { self.clip } else { f64::INFINITY }
    }

    /// Returns the numbers of the replays in the step after `steps`, without skipped ones.
    pub(crate) fn replays(&self, steps: u64) -> Vec<u64> {
        let first = steps * self.accumulate;
        (first..first + self.accumulate).filter(|n| !self.skipped.contains(n)).collect()
    }

    /// Returns the batch and the part of it that the subject's batch number n is.
    ///
    /// ```
    /// use transformer::Recipe;
    /// let recipe = Recipe { parts: 4, ..Recipe::sgd(0.1) };
    /// assert_eq!(recipe.counted(11), (2, 3));
    /// assert_eq!(recipe.called(11), "batch 2, part 4 of 4");
    /// ```
    pub fn counted(&self, batch: u64) -> (u64, u64) {
        (batch / self.parts.max(1), batch % self.parts.max(1))
    }

    /// Like [`Recipe::counted`], in words; batches count from 0, parts from 1.
    pub fn called(&self, batch: u64) -> String {
        match (self.counted(batch), self.parts) {
            ((batch, _), 0 | 1) => format!("batch {batch}"),
            ((batch, part), parts) => format!("batch {batch}, part {} of {parts}", part + 1),
        }
    }
}
