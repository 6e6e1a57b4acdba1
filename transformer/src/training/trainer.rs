//! The training loop: predict, propagate back, descend.

use crate::memory;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::{IGNORED, ModelError, RecordedStep};
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use crate::training::evaluation::Evaluation;
use calculus::optimizer::Optimizer;
use calculus::schedule::Schedule;
use calculus::{Parameter, Var, clip};
use linalg::Real;
use serde::Serialize;
use std::fmt;
use std::ops::ControlFlow;

/// A model in training: its recorded step, the optimiser, and where it stands.
///
/// Everything that a step draws is a function of (seed, step): a run that stops and goes on is the
/// run that never stopped.
pub struct Trainer<T: Real> {
    config: TrainingConfig,
    model: RecordedStep<T>,
    optimizer: Box<dyn Optimizer<T>>,
    schedule: Schedule,
    tokens: Vec<u32>,
    targets: Vec<u32>,
    /// No parameter is further from 0 than this; none where somebody else may have changed them.
    farthest: Option<f64>,
}

impl<T: Real> fmt::Debug for Trainer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("steps", &self.steps())
            .field("config", &self.config)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Its number; the first is 1.
    pub number: u64,
    /// The batch's mean loss before the update, nats per token.
    pub loss: f64,
    /// The learning rate of the update.
    pub learning_rate: f64,
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f64,
    /// Whether the update was made. It is not where the loss or a gradient is not finite, nor where a
    /// parameter would not be: then everything is as after the step before.
    pub applied: bool,
}

impl<T: Real> Trainer<T> {
    /// Records the step and initialises the weights.
    ///
    /// # Errors
    /// Sizes that contradict each other, or that take more memory than this process may have.
    pub fn new(config: TrainingConfig, model: &Architecture) -> Result<Self, ModelError> {
        let sequences = sequences_at_once(config.batch, config.context);
        let room = memory::room();
        let mut model =
            RecordedStep::record_for_training(model, sequences, config.context, config.seed)?;
        model.initialise(config.seed);
        let parameters = model.tape().parameters().len();
        // The recording; what the rule of descent remembers; the bytes of a checkpoint while it is written.
        let m = model.tape().memory();
        let tape =
            m.parameters + m.parameter_gradients + m.values + m.gradients + m.kept + m.scratch;
        let more = parameters as u128 * (2 + 6) * size_of::<T>() as u128;
        memory::afford_of(room, tape as u128 + more)?;
        let optimizer = config.rule().build(&model.tape().parameter_list());
        let size = config.batch * config.context;
        Ok(Trainer {
            schedule: config.schedule(),
            config,
            model,
            optimizer,
            tokens: vec![0; size],
            targets: vec![0; size],
            farthest: None,
        })
    }

    /// One step: gradients of `accumulate` batches, averaged; clipping; an update. Where the loss or a
    /// gradient is not finite, or a parameter would not be after the update, there is none: everything is as
    /// after the last good step.
    ///
    /// # Errors
    /// A corpus with tokens that the model does not have.
    pub fn step(&mut self, corpus: &Corpus) -> Result<Step, ModelError> {
        self.step_watched(corpus, |_, _| {}, |_, _| {})
    }

    /// As [`Trainer::step`], with every value and every gradient seen when it is there: what a recording
    /// that reuses memory shows of itself.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn step_watched(
        &mut self,
        corpus: &Corpus,
        value: impl FnMut(Var, &mut [T]),
        gradient: impl FnMut(Var, &mut [T]),
    ) -> Result<Step, ModelError> {
        let whole = self.parts(corpus, value, gradient, |_, _| ControlFlow::Continue(()))?;
        Ok(whole.expect("nobody broke it off"))
    }

    /// As [`Trainer::step`]. `part` is told after every part of the step how many of how many are done, and can
    /// break the step off: then everything is as before it.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn step_unless(
        &mut self,
        corpus: &Corpus,
        part: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Step>, ModelError> {
        self.parts(corpus, |_, _| {}, |_, _| {}, part)
    }

    fn parts(
        &mut self,
        corpus: &Corpus,
        mut value: impl FnMut(Var, &mut [T]),
        mut gradient: impl FnMut(Var, &mut [T]),
        mut go_on: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Step>, ModelError> {
        let (done, config) = (self.steps(), &self.config);
        let batches = config.accumulate as u64;
        let (loss, model) = (self.model.loss_var(), &mut self.model);
        model.tape_mut().forget_gradients();
        let (size, mut mean, mut taken) = (model.batch(), 0.0, 0);
        let parts_in_all = self.tokens.len() / size * config.accumulate;
        for batch in done * batches..(done + 1) * batches {
            let (tokens, targets) = (&mut self.tokens, &mut self.targets);
            corpus.fill(config.seed, batch, config.context, tokens, targets);
            let all = counted(targets) as f64 * batches as f64;
            let parts = tokens.chunks_exact(size).zip(targets.chunks_exact(size));
            let number = batch * parts.len() as u64;
            for (part, (tokens, targets)) in (number..).zip(parts) {
                model.set_batch(tokens, targets)?;
                model.set_step(Some(part));
                let share = counted(targets) as f64 / all;
                let tape = model.tape_mut();
                let scale = T::from_f64(share);
                tape.forward_and_backward_watched(loss, scale, &mut value, &mut gradient);
                mean += share * tape.elements(loss)[0].to_f64();
                taken += 1;
                if go_on(taken, parts_in_all).is_break() {
                    return Ok(None);
                }
            }
        }
        let (learning_rate, gradient_norm, applied) = self.update(mean.is_finite());
        Ok(Some(Step { number: done + 1, loss: mean, learning_rate, gradient_norm, applied }))
    }

    /// The update of a step: clips the gradients that are there and descends, if they and the loss are
    /// finite and the parameters stay so. Returns the learning rate, the norm before clipping, and whether
    /// there was an update.
    ///
    /// Bounds that are carried from step to step tell of nearly every step that it cannot overflow; where
    /// they do not, the state is kept and the parameters are looked at afterwards.
    pub(crate) fn update(&mut self, finite: bool) -> (f64, f64, bool) {
        let done = self.steps();
        let learning_rate = self.schedule.rate(done);
        let (parameters, gradients) = self.model.tape_mut().parameters_and_gradients();
        let limit = if self.config.clip > 0.0 { self.config.clip } else { f64::INFINITY };
        let gradient_norm = clip::global_norm(gradients);
        if !finite || !gradient_norm.is_finite() {
            return (learning_rate, gradient_norm, false);
        }
        let factor = clip::factor(gradient_norm, limit);
        let rule = &mut self.optimizer;
        let mut reach = |farthest| rule.reach(learning_rate, farthest, factor * gradient_norm);
        let holds = |reach: f64| T::from_f64(2.0 * reach).to_f64().is_finite();
        let mut farthest = self.farthest.map_or(f64::INFINITY, &mut reach);
        if !holds(farthest) {
            // Bounds of bounds grow; what is there may be small.
            farthest = reach(clip::global_norm(parameters));
        }
        let safe = holds(farthest);
        self.farthest = safe.then_some(farthest);
        let before = (!safe).then(|| {
            let memory = rule.state().into_iter().map(|(_, m)| m.to_vec());
            (parameters.to_vec(), memory.collect::<Vec<_>>())
        });
        rule.step_scaled(learning_rate, factor, parameters, gradients);
        if let Some((kept, memory)) = before
            && parameters.iter().any(|p| !p.to_f64().is_finite())
        {
            parameters.copy_from_slice(&kept);
            for ((_, own), kept) in rule.state().into_iter().zip(&memory) {
                own.copy_from_slice(kept);
            }
            rule.set_steps(done);
            return (learning_rate, gradient_norm, false);
        }
        (learning_rate, gradient_norm, true)
    }

    /// The loss on the whole validation part.
    ///
    /// # Errors
    /// A corpus with tokens that the model does not have.
    pub fn evaluate(&mut self, corpus: &Corpus) -> Result<Evaluation, ModelError> {
        Evaluation::of(&mut self.model, &corpus.validation_windows(self.config.context))
    }

    /// The loss on at most so many tokens of the validation part ([`Corpus::validation_sample`]). `batch` is told
    /// how many windows of how many are measured, and can break off: then there is no result.
    ///
    /// # Errors
    /// A corpus with tokens that the model does not have.
    pub fn evaluate_sample(
        &mut self,
        corpus: &Corpus,
        tokens: usize,
        mut batch: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Evaluation>, ModelError> {
        let windows = corpus.validation_sample(self.config.context, tokens);
        Evaluation::of_watched(&mut self.model, &windows, |done| batch(done, windows.len()))
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// The run's settings.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// The model.
    pub fn model(&self) -> &RecordedStep<T> {
        &self.model
    }

    /// The model, to be replayed.
    pub fn model_mut(&mut self) -> &mut RecordedStep<T> {
        self.farthest = None;
        &mut self.model
    }

    /// What a checkpoint holds besides the number of steps, by name: parameters first, then what the
    /// optimiser remembers.
    pub fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.farthest = None;
        let mut state = vec![("parameters", self.model.tape_mut().parameters_mut())];
        state.extend(self.optimizer.state());
        state
    }

    /// Goes on after this many steps.
    pub fn set_steps(&mut self, steps: u64) {
        self.optimizer.set_steps(steps);
    }
}

/// How many sequences of a batch are replayed at once. Each part adds its share to the gradients, so
/// that activations take the memory of a part and stay in the processor's caches; the mathematics is
/// that of the whole batch. A matter of shape alone: the largest divisor of the batch with at most this
/// many tokens.
pub(crate) fn sequences_at_once(batch: usize, length: usize) -> usize {
    const TOKENS: usize = 1024;
    let fits = |n: &usize| batch.is_multiple_of(*n) && n * length <= TOKENS;
    (1..=batch).rev().find(fits).unwrap_or(1)
}

fn counted(targets: &[u32]) -> usize {
    targets.iter().filter(|&&t| t != IGNORED).count()
}

/// Whether an optimiser's remembered number is one that training can leave: finite, and not negative where it
/// is a mean of squares.
///
/// ```
/// use transformer::is_sound;
/// assert!(is_sound("first_moment", -0.5) && is_sound("second_moment", 0.0));
/// assert!(!is_sound("second_moment", -1e-20) && !is_sound("velocity", f64::INFINITY));
/// ```
pub fn is_sound(name: &str, x: f64) -> bool {
    x.is_finite() && (name != "second_moment" || x >= 0.0)
}

/// The parameter tensor in which number `at` of all parameters lies, and its row and column there.
pub(crate) fn place(list: &[Parameter], at: usize) -> (String, (usize, usize)) {
    let found = list.iter().find(|p| p.range.contains(&at));
    found.map_or((String::new(), (0, 0)), |p| {
        let i = at - p.range.start;
        (p.name.clone(), (i % p.shape.rows, i / p.shape.rows))
    })
}
