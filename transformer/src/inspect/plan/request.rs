//! What a user asks of a plan.

use crate::training::config::TrainingConfig;
use std::collections::BTreeSet;

/// The share of a run's time in which it takes steps; evaluations and checkpoints have the rest.
const STEPPING: f64 = 0.9;

/// What a user asks of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Settings of the run.
    pub config: TrainingConfig,
    /// The names of settings that stay as they are; the plan chooses sizes, context, batch, rates, schedule, dropout and
    /// decay that are not among them.
    pub fixed: BTreeSet<String>,
    /// The size of the vocabulary.
    pub vocabulary: usize,
    /// The tokens of the text to train on.
    pub text: u64,
    /// The tokens of the text to measure on.
    pub held_back: u64,
    /// Seconds of the run.
    pub seconds: f64,
    /// Seconds of the run before its first step.
    pub loading: f64,
    /// The most bytes that the run may take.
    pub memory: u64,
    /// Bytes that this process may still allocate.
    pub room: u64,
    /// Bytes that the program takes besides training, and the most that it took while it prepared training.
    pub resident: [u64; 2],
    /// The entropy of the text, nats per token, if it is known.
    pub entropy: Option<f64>,
}

impl Request {
    /// Whether a setting stays as it is.
    pub fn is_fixed(&self, name: &str) -> bool {
        self.fixed.contains(name)
    }

    /// Checks what does not depend on the size.
    ///
    /// # Errors
    /// A text with one kind of token; an optimizer whose rate does not follow from the size.
    pub(super) fn check(&self) -> Result<(), String> {
        let config = &self.config;
        if self.vocabulary < 2 {
            return Err("the text has one kind of token: there is nothing to predict".to_owned());
        }
        let optimizer = config.optimizer;
        if !optimizer.normalises() && !self.is_fixed("learning_rate") {
            return Err(format!(
                "no learning rate of {} suits every size, because its steps are as long as the gradients: give --learning-rate",
                optimizer.key()
            ));
        }
        Ok(())
    }

    /// Returns the seconds of the run's steps.
    pub(super) fn stepping(&self) -> f64 {
        (STEPPING * self.seconds - self.loading).max(0.0)
    }
}
