//! The time of a run, and what its end will take.

use crate::Result;
use std::ops::ControlFlow;
use std::time::Instant;
use transformer::{Corpus, Observer, Recording, Replay, Time, TimeBudget, Trainer, TrainingConfig};

/// The bytes per second at which a checkpoint is written, until one was: a slow disk.
const WRITTEN: f64 = 4e8;
/// The bytes of weights per second that generation reads, until known: a laptop's memory.
const READ: f64 = 8e9;
/// The seconds per generated token besides, of a small model.
const STARTED: f64 = 1.5e-3;
/// The tokens of the sample after training, at most.
pub(super) const SAMPLE: usize = 600;
/// The shares of a limited time that the last evaluation and the sample take at most: a machine that slows down by half
/// in the last seconds then ends the run late by 2 % at most, for the sample ends with the time.
const LAST: f64 = 0.02;
const SAMPLED: f64 = 0.015;
/// The least tokens of the last evaluation.
const LEAST: usize = 1 << 13;

/// Measures a run's time. It counts from the start of the program, and goes on from earlier processes of the run.
pub(super) struct Clock {
    began: Instant,
    /// The time of the run, if it is limited.
    time: Option<Time>,
    /// Seconds of earlier processes of this run.
    before: f64,
    /// Seconds before the first step of this process.
    loading: f64,
    /// Seconds of a step, averaged over about the last ten.
    step: f64,
    /// The time to measure a token as a share of a step's, so that it changes with the machine's load as a step's does.
    token: f64,
    /// Seconds to save, to generate the sample.
    saving: f64,
    sample: f64,
}

/// Interrupts a step after its first replay, of so many: the state is as before the step.
struct Trial(usize);

impl Observer<f32> for Trial {
    fn replayed(&mut self, _: &Recording<f32>, replay: Replay) -> ControlFlow<()> {
        self.0 = replay.done.1;
        ControlFlow::Break(())
    }
}

impl Clock {
    pub(super) fn new(began: Instant, time: Option<Time>, parameters: usize) -> Self {
        let bytes = 4.0 * parameters as f64;
        Clock {
            began,
            time,
            before: 0.0,
            loading: 0.0,
            step: 0.0,
            token: 0.0,
            // Weights, and a state of weights and two moments.
            saving: 4.0 * bytes / WRITTEN,
            sample: (SAMPLE as f64 * (STARTED + bytes / READ))
                .min(time.map_or(f64::INFINITY, |time| SAMPLED * time.seconds() as f64)),
        }
    }

    /// Goes on from a run that took this many seconds.
    pub(super) fn resume(&mut self, seconds: f64) {
        self.before = seconds;
    }

    /// Returns the seconds of the run so far.
    pub(super) fn elapsed(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// Times the first part of a step, without an update, and an evaluation of one batch.
    ///
    /// # Errors
    /// A corpus with tokens that the model does not have.
    pub(super) fn time(&mut self, trainer: &mut Trainer<f32>, corpus: &Corpus) -> Result<()> {
        if self.time.is_none() {
            return Ok(());
        }
        let mut trial = Trial(1);
        // The first replay touches its memory for the first time.
        let _interrupted = trainer.step_observed(corpus, &mut trial)?;
        let began = Instant::now();
        let _interrupted = trainer.step_observed(corpus, &mut trial)?;
        self.stepped(began.elapsed().as_secs_f64() * trial.0 as f64);
        let (began, batch) = (Instant::now(), trainer.model().batch());
        trainer.evaluate_sample(corpus, batch, |_, _| ControlFlow::Continue(()))?;
        // A batch that the text does not fill takes as long as a whole one.
        self.measured(began.elapsed().as_secs_f64(), batch);
        Ok(())
    }

    /// Sets the expected number of steps of a new run.
    ///
    /// # Errors
    /// A time that is too short for one step.
    pub(super) fn expect(&self, trainer: &mut Trainer<f32>, corpus: &Corpus) -> Result<()> {
        let Some(time) = self.time else { return Ok(()) };
        let last = self.last_tokens(trainer.config()).min(corpus.measured());
        let end = self.reserve(last);
        let left = time.seconds() as f64 - self.elapsed() - end;
        if left < self.step {
            return Err(format!(
                "time is {time}, too short for one step: reading the data took {:.1} s, a step takes {:.1} s, and the \
                 end about {end:.1} s; give more --time, or a smaller model or batch",
                self.elapsed(),
                self.step,
            )
            .into());
        }
        trainer.expect_steps(((left / self.step) as u64).max(1));
        Ok(())
    }

    /// Begins the steps of this process.
    pub(super) fn begin(&mut self) {
        self.loading = self.began.elapsed().as_secs_f64();
    }

    /// Records the time of a step.
    pub(super) fn stepped(&mut self, seconds: f64) {
        let share = if self.step > 0.0 { 0.1 } else { 1.0 };
        self.step += share * (seconds - self.step);
    }

    /// Records the time of an evaluation of this many tokens.
    pub(super) fn measured(&mut self, seconds: f64, tokens: usize) {
        if self.step > 0.0 {
            self.token = seconds / tokens.max(1) as f64 / self.step;
        }
    }

    /// Records the time of a checkpoint.
    pub(super) fn saved(&mut self, seconds: f64) {
        self.saving = seconds;
    }

    /// Returns the number of tokens that are measured at the end of a run: fewer if its time is short.
    pub(super) fn last_tokens(&self, config: &TrainingConfig) -> usize {
        let most = config.evaluated_tokens(true);
        match self.time {
            Some(time) if self.token * self.step > 0.0 => {
                let share = LAST * time.seconds() as f64 / (self.token * self.step);
                most.min((share as usize).max(LEAST))
            }
            _ => most,
        }
    }

    /// Returns whether a limited time is over.
    pub(super) fn is_over(&self) -> bool {
        self.time.is_some_and(|time| self.elapsed() >= time.seconds() as f64)
    }

    /// Returns the seconds of an evaluation of this many tokens, and a checkpoint.
    pub(super) fn checkpoint(&self, tokens: usize) -> f64 {
        tokens as f64 * self.token * self.step + self.saving
    }

    /// Returns the seconds that the end takes, with an evaluation of `last` tokens.
    fn reserve(&self, last: usize) -> f64 {
        self.checkpoint(last) + self.sample
    }

    /// Returns the budget of steps, if the time is limited; `last` tokens are measured at the end.
    pub(super) fn budget(&self, last: usize) -> Option<TimeBudget> {
        let seconds = self.time?.seconds() as f64 - self.loading;
        Some(TimeBudget { seconds, reserve: self.reserve(last) })
    }

    /// Returns the seconds since the first step of this process, and of earlier ones.
    pub(super) fn in_steps(&self) -> f64 {
        self.elapsed() - self.loading
    }

    /// Returns the seconds of a usual step.
    pub(super) fn step(&self) -> f64 {
        self.step
    }
}
