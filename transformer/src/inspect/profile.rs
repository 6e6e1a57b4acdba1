//! Measures the time of a training step, operation by operation.
//!
//! The tape is replayed with an observer that reads the clock after each operation. Each operation states how much it
//! computes and moves ([`linalg::Primitive::flops`], the sizes of its operands).

use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use crate::text::corpus::Corpus;
use crate::training::trainer::Trainer;
use crate::training::training_loop::{Observer, Replay};
use calculus::{Row, Source, Tape, Var};
use linalg::Real;
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::Instant;

/// One operation of a step, in one direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// The dotted name of its output.
    pub name: String,
    /// The operation.
    pub operation: &'static str,
    /// Its branch of mathematics.
    pub branch: &'static str,
    /// Median seconds of the forward replay.
    pub forward_seconds: f64,
    /// Median seconds of the backward replay; 0 if the loss does not depend on the operation.
    pub backward_seconds: f64,
    /// Floating-point operations of the forward replay.
    pub forward_flops: u64,
    /// Floating-point operations of the backward replay.
    pub backward_flops: u64,
    /// Bytes that the forward replay reads and writes without any cache.
    pub forward_bytes: u64,
    /// Bytes that the backward replay reads and writes without any cache.
    pub backward_bytes: u64,
    /// Floating-point operations of the values that are computed again before it, in the seconds of the backward replay.
    pub recomputed_flops: u64,
    /// Bytes that they read and write without any cache.
    pub recomputed_bytes: u64,
}

/// The measurements of a training step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Seconds of each whole step, measured without an observer, in order.
    pub steps: Vec<f64>,
    /// Replays of the recording per step.
    pub replays: usize,
    /// Tokens per step.
    pub tokens: usize,
    /// Every operation of one replay, in order.
    pub operations: Vec<Cost>,
    /// Median seconds of clipping and the optimizer.
    pub update_seconds: f64,
}

impl Profile {
    /// Runs `steps` steps for the total time, and half as many with the observer.
    ///
    /// # Errors
    /// Like [`Trainer::step`].
    pub fn of<T: Real>(
        trainer: &mut Trainer<T>,
        corpus: &Corpus,
        steps: usize,
    ) -> Result<Self, ModelError> {
        trainer.step(corpus)?; // the first step touches memory for the first time
        let mut seconds = Vec::with_capacity(steps);
        for _ in 0..steps {
            let start = Instant::now();
            trainer.step(corpus)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        let config = trainer.config();
        let tokens = config.step_tokens();
        let rows: Vec<Row<'_, T>> = trainer.model().tape().rows().collect();
        let mut costs: Vec<Cost> = rows.iter().map(|row| cost(row, &rows)).collect();
        let mut clock = Clock {
            lap: Instant::now(),
            running: None,
            forward: vec![vec![]; costs.len()],
            backward: vec![vec![]; costs.len()],
            update: vec![],
        };
        for _ in 0..steps.div_ceil(2) {
            clock.lap = Instant::now();
            trainer.step_observed(corpus, &mut clock)?;
        }
        let Clock { forward: mut f, backward: mut b, mut update, .. } = clock;
        for (cost, (f, b)) in costs.iter_mut().zip(f.iter_mut().zip(&mut b)) {
            (cost.forward_seconds, cost.backward_seconds) = (median(f), median(b));
        }
        costs.retain(|c| !c.operation.is_empty());
        let update_seconds = median(&mut update);
        let replays = tokens / trainer.model().batch();
        Ok(Profile { steps: seconds, replays, tokens, operations: costs, update_seconds })
    }

    /// Returns the median seconds of a step.
    pub fn step_seconds(&self) -> f64 {
        median(&mut self.steps.clone())
    }

    /// Returns the tokens per second of the median step.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.step_seconds()
    }

    /// Returns the floating-point operations of a step's forward and backward replay, without recomputation that saves
    /// memory.
    pub fn flops(&self) -> u64 {
        let replay =
            self.operations.iter().map(|c| c.forward_flops + c.backward_flops).sum::<u64>();
        replay * self.replays as u64
    }

    /// Returns the floating-point operations of the values of a step that are computed again.
    pub fn recomputed_flops(&self) -> u64 {
        self.operations.iter().map(|c| c.recomputed_flops).sum::<u64>() * self.replays as u64
    }
}

/// Times the operations of a step.
struct Clock {
    lap: Instant,
    /// The operation whose backward rule runs: from when its gradient is complete until the next one's is.
    running: Option<usize>,
    forward: Vec<Vec<f64>>,
    backward: Vec<Vec<f64>>,
    update: Vec<f64>,
}

impl Clock {
    fn lap(&mut self) -> f64 {
        std::mem::replace(&mut self.lap, Instant::now()).elapsed().as_secs_f64()
    }
}

impl<T: Real> Observer<T> for Clock {
    fn value(&mut self, var: Var, _: &mut [T]) {
        let seconds = self.lap();
        self.forward[var.index()].push(seconds);
    }

    fn gradient(&mut self, var: Var, _: &mut [T]) {
        let seconds = self.lap();
        if let Some(before) = self.running.replace(var.index()) {
            self.backward[before].push(seconds);
        }
    }

    fn replayed(&mut self, _: &Recording<T>, _: Replay) -> ControlFlow<()> {
        let seconds = self.lap();
        if let Some(before) = self.running.take() {
            self.backward[before].push(seconds);
        }
        ControlFlow::Continue(())
    }

    fn after_update(&mut self, _: &Tape<T>) {
        let seconds = self.lap();
        self.update.push(seconds);
    }
}

fn cost<T: Real>(row: &Row<'_, T>, rows: &[Row<'_, T>]) -> Cost {
    let again = || row.recomputed.iter().map(|var| &rows[var.index()]);
    let computed = row.source == Source::Operation;
    Cost {
        name: row.name.to_owned(),
        operation: row.operation.filter(|_| computed).unwrap_or_default(),
        branch: row.branch.unwrap_or_default(),
        forward_seconds: 0.0,
        backward_seconds: 0.0,
        forward_flops: row.flops,
        backward_flops: row.backward_flops,
        forward_bytes: row.bytes,
        backward_bytes: row.backward_bytes,
        recomputed_flops: again().map(|row| row.flops).sum(),
        recomputed_bytes: again().map(|row| row.bytes).sum(),
    }
}

/// Returns the median, or 0 for an empty list.
pub fn median(x: &mut [f64]) -> f64 {
    x.sort_by(f64::total_cmp);
    match x.len() {
        0 => 0.0,
        n if n % 2 == 1 => x[n / 2],
        n => 0.5 * (x[n / 2 - 1] + x[n / 2]),
    }
}
