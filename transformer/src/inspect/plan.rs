//! Plans a training run for a machine, a text and a time, from short runs.
//!
//! A plan measures the speed of a few sizes ([`Speed`]), trains a handful of small models for a tenth of the time, fits a
//! law of the loss to them ([`ScalingLaw`]), and takes the size with the least predicted loss among those whose steps fit
//! the time and whose memory fits the machine. If the text is shorter than the run, the price of its repetition is
//! measured in miniature ([`Repetition`]).

mod candidate;
mod law;
mod outcome;
mod pilots;
mod planner;
mod repetition;
mod request;
mod speed;

pub use candidate::Candidate;
pub use law::{Fit, FitError, Known, Point, ScalingLaw};
pub use outcome::{Alternative, Pilot, Plan, PlanError, Progress, Purpose};
pub use pilots::{PilotError, Pilots};
pub use repetition::{Price, Repetition};
pub use request::Request;
pub use speed::Speed;

use crate::training::config::TrainingConfig;

/// What a plan is measured on: a machine and a text.
pub trait Trials {
    /// A failure of a measurement.
    type Error;

    /// Returns the seconds that a step takes.
    ///
    /// # Errors
    /// A model that cannot be trained here.
    fn step(&mut self, config: &TrainingConfig) -> Result<f64, Self::Error>;

    /// Trains a model from its start on the first `share` of the training text, and measures it on `measured` tokens of the
    /// held-back text, the same ones for all models with the same context.
    ///
    /// # Errors
    /// A model that cannot be trained here.
    fn train(
        &mut self,
        config: &TrainingConfig,
        share: f64,
        measured: usize,
    ) -> Result<Trained, Self::Error>;
}

/// A short run's result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Nats per token of held-back text; NaN if the run diverged.
    pub loss: f64,
    /// Seconds of the whole trial.
    pub seconds: f64,
    /// Seconds of a step.
    pub step: f64,
}
