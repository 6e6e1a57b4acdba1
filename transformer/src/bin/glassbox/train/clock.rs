//! The time of a run, and what its end will take.

use crate::Result;
use std::ops::ControlFlow;
use std::time::Instant;
use transformer::{Corpus, Evaluation, Observer, Recording, Replay, Time, TimeBudget, Trainer};

/// The bytes per second at which a checkpoint is written, until one was: a slow disk.
const WRITTEN: f64 = 4e8;
/// The bytes of weights per second that generation reads, until known: a laptop's memory.
const READ: f64 = 8e9;
/// The seconds per generated token besides, of a small model.
const STARTED: f64 = 1.5e-3;
/// The share of a step's time that measuring its tokens takes, until known: a third, and what a loaded machine adds.
const MEASURED: f64 = 0.4;
/// The tokens of the sample after training, at most.
pub(super) const SAMPLE: usize = 600;

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
    /// Seconds to measure a token, to save, to generate the sample.
    token: f64,
    saving: f64,
    sample: f64,
    /// Whether an evaluation was timed.
    timed: bool,
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
            sample: SAMPLE as f64 * (STARTED + bytes / READ),
            timed: false,
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

    /// Tries the first part of a step, without an update, and sets the expected number of steps.
    ///
    /// # Errors
    /// A time that is too short for one step.
    pub(super) fn try_step(
        &mut self,
        trainer: &mut Trainer<f32>,
        corpus: &Corpus,
        last: usize,
    ) -> Result<()> {
        let Some(time) = self.time else { return Ok(()) };
        let (began, mut trial) = (Instant::now(), Trial(1));
        let _interrupted = trainer.step_observed(corpus, &mut trial)?;
        self.stepped(began.elapsed().as_secs_f64() * trial.0 as f64, trainer);
        let left = time.seconds() as f64 - self.elapsed() - self.reserve(last);
        if left < self.step {
            return Err(format!(
                "time is {time}, too short for one step: reading the data took {:.1} s, a step takes {:.1} s, and the \
                 end about {:.1} s; give more --time, or a smaller model or batch",
                self.elapsed(),
                self.step,
                self.reserve(last)
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
    pub(super) fn stepped(&mut self, seconds: f64, trainer: &Trainer<f32>) {
        let share = if self.step > 0.0 { 0.1 } else { 1.0 };
        self.step += share * (seconds - self.step);
        if !self.timed {
            let c = trainer.config();
            self.token = MEASURED * self.step / (c.batch * c.context * c.accumulate) as f64;
        }
    }

    /// Records the time of an evaluation.
    pub(super) fn measured(&mut self, seconds: f64, measured: &Evaluation) {
        self.token = seconds / measured.tokens.max(1) as f64;
        self.timed = true;
    }

    /// Records the time of a checkpoint.
    pub(super) fn saved(&mut self, seconds: f64) {
        self.saving = seconds;
    }

    /// Returns the seconds of an evaluation of this many tokens, and a checkpoint.
    pub(super) fn checkpoint(&self, tokens: usize) -> f64 {
        tokens as f64 * self.token + self.saving
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
