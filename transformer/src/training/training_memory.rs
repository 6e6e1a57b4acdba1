//! The memory that training takes.

use crate::model::architecture::Architecture;
use crate::model::cached::CachedStep;
use crate::model::recorded_step::ModelError;
use crate::training::config::TrainingConfig;
use calculus::optimizer::OptimizerConfig;
use calculus::{Recorder, TapeMemory};
use linalg::{Real, Shape, limits};
use rayon::current_num_threads;
use serde::Serialize;

/// The bytes that a run takes while it trains, by what they hold, without its text and tokenizer.
///
/// ```
/// use transformer::{Trainer, TrainingConfig};
/// let config = TrainingConfig::default();
/// let trainer = Trainer::<f32>::new(config.clone(), &config.model(65)?)?;
/// let memory = trainer.memory();
/// assert_eq!(memory.optimizer, 2 * memory.weights); // AdamW's two moments
/// assert!(memory.total() > u128::from(memory.activations));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrainingMemory {
    /// Weights, learned and frozen.
    pub weights: u64,
    /// The gradients of the learned ones.
    pub gradients: u64,
    /// The optimizer state.
    pub optimizer: u64,
    /// Averaged weights ([`TrainingConfig::average`]).
    pub average: u64,
    /// Values of the recorded step, their gradients, and the memory that its operations need.
    pub activations: u64,
    /// Tokens and targets of a batch, and the reference's nats of preferences.
    pub batch: u64,
    /// The model once more: for a sample at the end ([`TrainingConfig::generates_a_sample`]), or with frozen weights to write it.
    pub copy: u64,
    /// Buffers in which products pack their factors, for every thread, and the program itself.
    pub program: u64,
}

/// What the program takes besides: code, stacks of threads, tokenizer, metrics. Measured: 19 MB with a small text.
const PROGRAM: u64 = 24_000_000;

impl TrainingMemory {
    /// Returns what training takes besides the recorded step and weights that are not learned: `learned` is the number of
    /// those that are.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub(crate) fn beside<T: Real>(
        config: &TrainingConfig,
        model: &Architecture,
        learned: u64,
    ) -> Result<Self, ModelError> {
        let size = size_of::<T>() as u64;
        let drawn = (config.batch * config.context) as u64;
        // Two for a token and its target; the reference's are f32.
        let numbers = if model.preference.is_some() { 3 } else { 2 };
        let all = size * model.parameters() as u64;
        let merged = if model.adaptation.is_none() { 0 } else { all };
        let written = if model.adaptation.adapter.is_some() { 0 } else { merged };
        let sampled = match config.generates_a_sample(model.parameters()) {
            true => {
                merged
                    + u64::try_from(CachedStep::<T>::bytes(&model.base(), 1)?).unwrap_or(u64::MAX)
            }
            false => 0,
        };
        let packing = limits::packing_bytes() * current_num_threads();
        Ok(TrainingMemory {
            optimizer: size * learned * state_per_parameter(config.rule()),
            average: if config.average.is_some() { size * learned } else { 0 },
            batch: 4 * numbers * drawn,
            copy: sampled.max(written),
            program: PROGRAM + packing as u64,
            ..TrainingMemory::default()
        })
    }

    /// Adds a recorded step of a model.
    #[must_use]
    pub(crate) fn with_step(self, step: TapeMemory, model: &Architecture) -> Self {
        let frozen = model.adaptation.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
        TrainingMemory {
            weights: (step.parameters + step.frozen + frozen) as u64,
            gradients: step.parameter_gradients as u64,
            activations: (step.values + step.gradients + step.kept + step.scratch) as u64,
            ..self
        }
    }

    /// Returns the sum.
    pub fn total(&self) -> u128 {
        let Self { weights, gradients, optimizer, average, activations, batch, copy, program } =
            *self;
        let all = [weights, gradients, optimizer, average, activations, batch, copy, program];
        all.into_iter().map(u128::from).sum()
    }
}

impl TrainingConfig {
    /// Returns whether a run ends with a sample of the model, of this many parameters: not if it started from a large one, of
    /// which there would be a second copy in memory.
    pub fn generates_a_sample(&self, parameters: usize) -> bool {
        const LARGEST: usize = 1 << 26;
        self.from.is_none() || parameters <= LARGEST
    }
}

/// Returns the numbers that an optimizer remembers for each parameter.
pub(crate) fn state_per_parameter(optimizer: OptimizerConfig) -> u64 {
    let mut one = Recorder::<f32>::new();
    let added = one.parameter("one", Shape::new(1, 1));
    debug_assert!(added.is_ok(), "a first name");
    let mut built = optimizer.build::<f32>(&one.parameter_list());
    built.state().iter().map(|(_, state)| state.len() as u64).sum()
}
