//! A training loop as a value: every choice that it makes, mistakes included.

use crate::training::config::TrainingConfig;
use crate::training::precision::Precision;
use calculus::optimizer::OptimizerConfig;
use calculus::schedule::Schedule;

/// How training goes: every choice that a loop makes, so that a mistake in one is a value and a cure
/// another.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The rule that changes the parameters.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the steps.
    pub schedule: Schedule,
    /// The largest norm of all gradients together; 0 does not clip.
    pub clip: f64,
    /// Batches of a step, every part of a batch counted.
    pub accumulate: u64,
    /// In how many parts the subject has each batch: batch number n of the subject is part n mod p of batch
    /// n div p.
    pub parts: u64,
    /// Whether the gradients of a step's batches are averaged (or added up).
    pub average: bool,
    /// Whether gradients are set to zero before a step.
    pub zero_gradients: bool,
    /// What the loss is multiplied with before, and gradients divided by after, propagating back.
    pub loss_scale: f64,
    /// How values and gradients are stored.
    pub precision: Precision,
    /// Batches that are left out.
    pub skipped: Vec<u64>,
}

impl Recipe {
    /// Adam at a constant rate, as most people begin.
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
            skipped: vec![],
        }
    }

    /// What a training run does.
    pub fn of_run(config: &TrainingConfig) -> Self {
        Recipe {
            optimizer: config.rule(),
            schedule: config.schedule(),
            clip: config.clip,
            accumulate: config.accumulate as u64 * config.parts(),
            parts: config.parts(),
            ..Recipe::sgd(0.0)
        }
    }

    /// The replays of the step after `steps`, by number: those that are left out excepted.
    pub(crate) fn replays(&self, steps: u64) -> Vec<u64> {
        let first = steps * self.accumulate;
        (first..first + self.accumulate).filter(|n| !self.skipped.contains(n)).collect()
    }

    /// The subject's batch number n as the run counts: its batch, and which part of it.
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

    /// As [`Recipe::counted`], in words; batches count from 0, parts from 1.
    pub fn called(&self, batch: u64) -> String {
        match (self.counted(batch), self.parts) {
            ((batch, _), 0 | 1) => format!("batch {batch}"),
            ((batch, part), parts) => format!("batch {batch}, part {} of {parts}", part + 1),
        }
    }
}
