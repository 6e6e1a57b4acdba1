//! The training loop: predict, propagate back, update. There is only one; to look into a step, pass an [`Observer`].

use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use crate::training::precision::{Precision, round_all};
use crate::training::recipe::Recipe;
use calculus::optimizer::Optimizer;
use calculus::{Tape, Var, clip};
use linalg::Real;
use linalg::parallel::BLOCK;
use rayon::prelude::*;
use serde::Serialize;
use std::cell::RefCell;
use std::ops::ControlFlow;

/// The statistics of one training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The step's number, from 1.
    pub number: u64,
    /// The mean loss of the batches before the update, nats per token.
    pub loss: f64,
    /// The learning rate of the update.
    pub learning_rate: f64,
    /// The norm of all gradients together, before clipping.
    pub gradient_norm: f64,
    /// Whether the update was applied. If the loss, a gradient or an updated parameter is not finite, it is not, and the
    /// state is as before the step.
    pub applied: bool,
}

/// A replay of the recorded step, on one batch or one part of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replay {
    /// Its number among all replays of the run.
    pub number: u64,
    /// Its loss, nats per token.
    pub loss: f64,
    /// The replays of this step that are done, this one included, and their total.
    pub done: (usize, usize),
}

/// Observes a step from inside. Every method does nothing by default.
///
/// ```
/// use std::ops::ControlFlow;
/// use transformer::{Corpus, Observer, Recording, Replay, Trainer, TrainingConfig};
/// /// Losses of a step's replays.
/// struct Losses(Vec<f64>);
/// impl Observer<f32> for Losses {
///     fn replayed(&mut self, _: &Recording<f32>, replay: Replay) -> ControlFlow<()> {
///         self.0.push(replay.loss);
///         ControlFlow::Continue(())
///     }
/// }
/// let config = TrainingConfig {
///     batch: 1, accumulate: 2, context: 8, width: 8, heads: 2, layers: 1, warmup: 1, steps: 4, ..Default::default()
/// };
/// let corpus = Corpus::text((0..200).map(|i| i % 7).collect(), 0.1, 8)?;
/// let mut trainer = Trainer::<f32>::new(config.clone(), &config.model(7)?)?;
/// let mut losses = Losses(vec![]);
/// let step = trainer.step_observed(&corpus, &mut losses)?.expect("nothing interrupted the step");
/// assert_eq!(losses.0.len(), 2);
/// assert!((step.loss - (losses.0[0] + losses.0[1]) / 2.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer<T: Real> {
    /// Called when an operation's value is computed, which it may change ([`Tape::forward_watched`]).
    fn value(&mut self, var: Var, value: &mut [T]) {
        let _ = (var, value);
    }

    /// Called when the gradient of an operation's value is complete, which it may change ([`Tape::backward_watched`]).
    fn gradient(&mut self, var: Var, gradient: &mut [T]) {
        let _ = (var, gradient);
    }

    /// Called after a replay. [`ControlFlow::Break`] interrupts the step: the state is then as before the step.
    fn replayed(&mut self, recording: &Recording<T>, replay: Replay) -> ControlFlow<()> {
        let _ = (recording, replay);
        ControlFlow::Continue(())
    }

    /// Called when the step's gradients are complete and finite, before clipping. May interrupt like
    /// [`Observer::replayed`].
    fn before_update(
        &mut self,
        tape: &Tape<T>,
        optimizer: &mut dyn Optimizer<T>,
    ) -> ControlFlow<()> {
        let _ = (tape, optimizer);
        ControlFlow::Continue(())
    }

    /// Called after the update. If a parameter is not finite, the update is undone after this call.
    fn after_update(&mut self, tape: &Tape<T>) {
        let _ = tape;
    }
}

impl<T: Real> Observer<T> for () {}

/// Two observers of one step, one after the other; either can interrupt it.
impl<T: Real, A: Observer<T>, B: Observer<T>> Observer<T> for (&mut A, &mut B) {
    fn value(&mut self, var: Var, value: &mut [T]) {
        self.0.value(var, value);
        self.1.value(var, value);
    }

    fn gradient(&mut self, var: Var, gradient: &mut [T]) {
        self.0.gradient(var, gradient);
        self.1.gradient(var, gradient);
    }

    fn replayed(&mut self, recording: &Recording<T>, replay: Replay) -> ControlFlow<()> {
        self.0.replayed(recording, replay)?;
        self.1.replayed(recording, replay)
    }

    fn before_update(
        &mut self,
        tape: &Tape<T>,
        optimizer: &mut dyn Optimizer<T>,
    ) -> ControlFlow<()> {
        self.0.before_update(tape, optimizer)?;
        self.1.before_update(tape, optimizer)
    }

    fn after_update(&mut self, tape: &Tape<T>) {
        self.0.after_update(tape);
        self.1.after_update(tape);
    }
}

/// The recording that a loop replays, and the inputs of each replay.
pub(crate) trait Source<T: Real> {
    /// The recording.
    fn recording(&mut self) -> &mut Recording<T>;

    /// Gives replay `number` its inputs; returns its share of the tokens of a step with `replays` replays.
    fn give(&mut self, number: u64, replays: u64) -> Result<f64, ModelError>;
}

/// A training loop: its recipe, its optimizer, and its progress.
pub(crate) struct TrainingLoop<T: Real> {
    pub(crate) recipe: Recipe,
    pub(crate) optimizer: Box<dyn Optimizer<T>>,
    /// An upper bound on |parameter|; `None` if the parameters may have been changed from outside.
    pub(crate) farthest: Option<f64>,
    /// The gradients that the last step passed to the optimizer, if the loop does not zero them; else empty.
    pub(crate) left: Vec<T>,
    /// The memory for a step in low precision, kept from step to step.
    unrounded: Option<Unrounded<T>>,
}

/// Parameters and gradient sums in full precision, beside a recording whose own are rounded.
struct Unrounded<T> {
    parameters: Vec<T>,
    gradients: Vec<T>,
}

impl<T: Real> TrainingLoop<T> {
    /// Returns a loop that has taken no step.
    pub(crate) fn new(recipe: Recipe, optimizer: Box<dyn Optimizer<T>>) -> Self {
        TrainingLoop { recipe, optimizer, farthest: None, left: vec![], unrounded: None }
    }

    /// Returns the number of steps taken.
    pub(crate) fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Returns the numbers of the next step's replays.
    pub(crate) fn replays(&self) -> Vec<u64> {
        self.recipe.replays(self.steps())
    }

    /// Takes one step: the mean gradient of its replays, clipping, an update. The update is not applied if the loss, a
    /// gradient or an updated parameter is not finite. Returns `None` if the observer interrupts the step.
    ///
    /// # Errors
    /// Those of the source.
    pub(crate) fn step(
        &mut self,
        source: &mut impl Source<T>,
        observer: &mut impl Observer<T>,
    ) -> Result<Option<Step>, ModelError> {
        let (number, replays) = (self.steps() + 1, self.replays());
        let Recipe { precision, loss_scale, average, zero_gradients, .. } = self.recipe;
        let tape = &mut source.recording().tape;
        tape.set_products(self.recipe.products);
        match zero_gradients {
            true => tape.forget_gradients(),
            false if self.left.is_empty() => tape.zero_gradients(),
            false => tape.parameters_and_gradients().1.copy_from_slice(&self.left),
        }
        let mut unrounded = (precision != Precision::F32).then(|| {
            let mut kept = self
                .unrounded
                .take()
                .unwrap_or(Unrounded { parameters: vec![], gradients: vec![] });
            copy(tape.parameters(), &mut kept.parameters);
            match self.left.is_empty() {
                true => {
                    kept.gradients.clear();
                    kept.gradients.resize(kept.parameters.len(), T::zero());
                }
                false => copy(&self.left, &mut kept.gradients),
            }
            kept
        });
        let mut mean = 0.0;
        for (i, &replay) in replays.iter().enumerate() {
            let share = source.give(replay, replays.len() as u64)?;
            let recording = source.recording();
            let scale = loss_scale * if average { share } else { 1.0 };
            replay_once(recording, T::from_f64(scale), precision, unrounded.as_mut(), observer);
            let loss = recording.tape.elements(recording.loss)[0].to_f64();
            mean += share * loss;
            let done = (i + 1, replays.len());
            if observer.replayed(recording, Replay { number: replay, loss, done }).is_break() {
                if let Some(Unrounded { parameters, .. }) = unrounded {
                    recording.tape.parameters_mut().copy_from_slice(&parameters);
                }
                return Ok(None);
            }
        }
        let tape = &mut source.recording().tape;
        if let Some(Unrounded { parameters, gradients }) = &unrounded {
            tape.parameters_mut().copy_from_slice(parameters);
            tape.parameters_and_gradients().1.copy_from_slice(gradients);
        }
        self.unrounded = unrounded;
        if loss_scale != 1.0 {
            let back = T::from_f64(1.0 / loss_scale);
            tape.parameters_and_gradients().1.iter_mut().for_each(|g| *g *= back);
        }
        if replays.is_empty() {
            self.optimizer.set_steps(number);
            let learning_rate = self.recipe.schedule.rate(number - 1);
            let (loss, gradient_norm, applied) = (0.0, 0.0, true);
            return Ok(Some(Step { number, loss, learning_rate, gradient_norm, applied }));
        }
        Ok(self.update(tape, mean, observer))
    }

    /// Clips the gradients and updates the parameters, given the step's mean loss, if the loss, the gradients and the
    /// updated parameters are finite. Returns `None` if the observer interrupts the step.
    ///
    /// Bounds carried from step to step prove for nearly every step that it cannot overflow; otherwise the state is
    /// kept and the parameters are checked afterwards.
    fn update(
        &mut self,
        tape: &mut Tape<T>,
        loss: f64,
        observer: &mut impl Observer<T>,
    ) -> Option<Step> {
        let done = self.steps();
        let learning_rate = self.recipe.schedule.rate(done);
        let handed = (!self.recipe.zero_gradients).then(|| tape.gradients().to_vec());
        let gradient_norm = clip::global_norm(tape.gradients());
        let step = |applied| Step { number: done + 1, loss, learning_rate, gradient_norm, applied };
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Some(step(false));
        }
        if observer.before_update(tape, &mut *self.optimizer).is_break() {
            return None;
        }
        let factor = clip::factor(gradient_norm, self.recipe.largest_norm());
        let rule = &mut self.optimizer;
        let (parameters, gradients) = tape.parameters_and_gradients();
        let mut reach = |farthest| rule.reach(learning_rate, farthest, factor * gradient_norm);
        let holds = |reach: f64| T::from_f64(2.0 * reach).to_f64().is_finite();
        let mut farthest = self.farthest.map_or(f64::INFINITY, &mut reach);
        if !holds(farthest) {
            // The carried bound is loose; recompute it from the parameters.
            farthest = reach(clip::global_norm(parameters));
        }
        let safe = holds(farthest);
        self.farthest = safe.then_some(farthest);
        let before = (!safe).then(|| {
            let memory = rule.state().into_iter().map(|(_, m)| m.to_vec());
            (parameters.to_vec(), memory.collect::<Vec<_>>())
        });
        rule.step_scaled(learning_rate, factor, parameters, gradients);
        observer.after_update(tape);
        let parameters = tape.parameters_mut();
        if let Some((kept, memory)) = before
            && parameters.iter().any(|p| !p.to_f64().is_finite())
        {
            parameters.copy_from_slice(&kept);
            for ((_, own), kept) in rule.state().into_iter().zip(&memory) {
                own.copy_from_slice(kept);
            }
            rule.set_steps(done);
            return Some(step(false));
        }
        self.left = handed.unwrap_or_default();
        Some(step(true))
    }
}

/// Copies on all threads.
pub(crate) fn copy<T: Real>(from: &[T], to: &mut Vec<T>) {
    to.resize(from.len(), T::zero());
    to.par_chunks_mut(BLOCK).zip(from.par_chunks(BLOCK)).for_each(|(to, from)| {
        to.copy_from_slice(from);
    });
}

/// Runs forward, and backward from the loss times `scale`. In low precision, parameters and every value and gradient
/// are rounded (except the loss's own gradient, the scale), and gradients are summed unrounded.
fn replay_once<T: Real>(
    recording: &mut Recording<T>,
    scale: T,
    precision: Precision,
    unrounded: Option<&mut Unrounded<T>>,
    observer: &mut impl Observer<T>,
) {
    let (loss, tape, observer) = (recording.loss, &mut recording.tape, RefCell::new(observer));
    if let Some(unrounded) = &unrounded {
        tape.parameters_mut().copy_from_slice(&unrounded.parameters);
        round_all(precision, tape.parameters_mut());
        tape.zero_gradients();
    }
    let value = |var, value: &mut [T]| {
        round_all(precision, value);
        observer.borrow_mut().value(var, value);
    };
    let gradient = |var, gradient: &mut [T]| {
        if var != loss {
            round_all(precision, gradient);
        }
        observer.borrow_mut().gradient(var, gradient);
    };
    tape.forward_and_backward_watched(loss, scale, value, gradient);
    if let Some(Unrounded { gradients, .. }) = unrounded {
        let (_, own) = tape.parameters_and_gradients();
        round_all(precision, own);
        let parts = gradients.par_chunks_mut(BLOCK).zip(own.par_chunks(BLOCK));
        parts.for_each(|(sums, own)| sums.iter_mut().zip(own).for_each(|(sum, g)| *sum += *g));
    }
}
