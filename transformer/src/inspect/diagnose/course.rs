//! A training loop as a value: what is diagnosed, and what a fix changes; where it stands, and what a step did.

use super::origin::Origin;
use crate::inspect::precision::Precision;
use crate::inspect::subject;
use crate::training::config::TrainingConfig;
use calculus::Parameter;
use calculus::optimizer::{Optimizer, OptimizerConfig};
use calculus::schedule::Schedule;
use serde::Serialize;

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
            accumulate: config.accumulate as u64 * subject::parts(config),
            parts: subject::parts(config),
            ..Recipe::sgd(0.0)
        }
    }

    /// The rule as it stands at a state of a model with these parameters.
    pub(crate) fn rule(&self, list: &[Parameter], state: &State) -> Box<dyn Optimizer<f32>> {
        let mut rule = self.optimizer.build(list);
        rule.set_steps(state.steps);
        for ((_, own), saved) in rule.state().into_iter().zip(&state.memory) {
            if own.len() == saved.len() {
                own.copy_from_slice(saved);
            }
        }
        rule
    }

    /// The subject's batch number n as the run counts: its batch, and which part of it.
    ///
    /// ```
    /// use transformer::inspect::diagnose::Recipe;
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

/// Where training stands: everything that the next step depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps taken.
    pub steps: u64,
    /// The parameters.
    pub parameters: Vec<f32>,
    /// What the optimiser remembers, in its order; empty where it has not begun.
    pub memory: Vec<Vec<f32>>,
    /// The gradients that the last step left behind, for a loop that does not zero them; else empty.
    pub gradients: Vec<f32>,
}

impl State {
    /// Before the first step.
    pub fn start(parameters: Vec<f32>) -> Self {
        State { steps: 0, parameters, memory: vec![], gradients: vec![] }
    }
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Taken {
    /// Its number; the first is 1.
    pub number: u64,
    /// Its first batch, or the one that failed, as the subject counts: [`Recipe::called`] tells the run's.
    pub batch: u64,
    /// The loss before the update.
    pub loss: f64,
    /// Norm of all gradients together, before clipping, unscaled.
    pub gradient_norm: f64,
    /// Norm of the change over norm of the parameters.
    pub update_ratio: f64,
    /// The same layer by layer, in the order of the parameters; empty where there was no update.
    pub layer_ratios: Vec<f64>,
    /// The learning rate.
    pub rate: f64,
    /// The largest size of every value, in the order of the recording; infinite where one is not finite.
    pub largest: Vec<f64>,
    /// The largest size of every value's gradient.
    pub largest_gradient: Vec<f64>,
    /// Why the step was not taken, or what it broke.
    pub origin: Option<Origin>,
}
