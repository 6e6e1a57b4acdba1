//! Short runs on a machine and a text.

use super::{Trained, Trials};
use crate::model::recorded_step::ModelError;
use crate::text::corpus::Corpus;
use crate::training::config::{TrainingConfig, TrainingConfigError};
use crate::training::trainer::Trainer;
use std::fmt;
use std::ops::ControlFlow;
use thiserror::Error;

/// Steps that are timed, unless they take longer than [`TIMED`] seconds together.
const TIMED_STEPS: u32 = 6;
const TIMED: f64 = 0.3;
/// The pilots of a plan: training with `f32` on a corpus.
pub struct Pilots<'a> {
    /// The text.
    pub corpus: &'a Corpus,
    /// The size of the vocabulary.
    pub vocabulary: usize,
    /// Returns the seconds since any fixed moment.
    pub clock: &'a dyn Fn() -> f64,
}

impl fmt::Debug for Pilots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pilots").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

/// A pilot that could not be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PilotError {
    /// Settings that contradict each other.
    #[error(transparent)]
    Settings(#[from] TrainingConfigError),
    /// A model that cannot be trained here.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Pilots<'_> {
    fn trainer(&self, config: &TrainingConfig) -> Result<Trainer<f32>, PilotError> {
        config.validate()?;
        Ok(Trainer::new(config.clone(), &config.model(self.vocabulary)?)?)
    }
}

impl Trials for Pilots<'_> {
    type Error = PilotError;

    fn step(&mut self, config: &TrainingConfig) -> Result<f64, PilotError> {
        let mut trainer = self.trainer(config)?;
        // The first step touches its memory for the first time.
        trainer.step(self.corpus)?;
        let (began, mut best) = ((self.clock)(), f64::INFINITY);
        for _ in 0..TIMED_STEPS {
            let before = (self.clock)();
            trainer.step(self.corpus)?;
            let now = (self.clock)();
            best = best.min(now - before);
            if now - began > TIMED {
                break;
            }
        }
        Ok(best)
    }

    fn train(
        &mut self,
        config: &TrainingConfig,
        share: f64,
        measured: usize,
    ) -> Result<Trained, PilotError> {
        let began = (self.clock)();
        let mut trainer = self.trainer(config)?;
        let less = (share < 1.0).then(|| self.corpus.with_less(share, config.context));
        let corpus = less.as_ref().unwrap_or(self.corpus);
        let first = (self.clock)();
        let mut diverged = false;
        while trainer.steps() < config.steps && !diverged {
            diverged = !trainer.step(corpus)?.applied;
        }
        let trained = (self.clock)() - first;
        let step = trained / config.steps as f64;
        let go_on = |_, _| ControlFlow::Continue(());
        let loss = match diverged {
            true => f64::NAN,
            false => trainer
                .evaluate_sample(self.corpus, measured, go_on)?
                .map_or(f64::NAN, |measured| measured.loss),
        };
        Ok(Trained { loss, seconds: (self.clock)() - began, step })
    }
}
