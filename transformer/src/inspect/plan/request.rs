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
    /// Bytes that the program takes besides training.
    pub resident: u64,
    /// The entropy of the text, nats per token, if it is known.
    pub entropy: Option<f64>,
}

impl Request {
    /// Whether a setting stays as it is.
    pub fn is_fixed(&self, name: &str) -> bool {
        self.fixed.contains(name)
    }

    /// Returns the seconds of the run's steps.
    pub(super) fn stepping(&self) -> f64 {
        (STEPPING * self.seconds - self.loading).max(0.0)
    }
}
