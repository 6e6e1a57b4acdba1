//! A model in training: its recorded step, its corpus's batches, and the loop.

use crate::memory::{self, Bytes};
use crate::model::architecture::Architecture;
use crate::model::layers::learned_list;
use crate::model::recorded_step::{ModelError, RecordedStep};
use crate::model::recording::Recording;
use crate::text::corpus::Corpus;
use crate::training::average::Average;
use crate::training::config::TrainingConfig;
use crate::training::drift::Drift;
use crate::training::evaluation::{Evaluation, Preferred};
use crate::training::recipe::Recipe;
use crate::training::reference::refer;
use crate::training::training_loop::{Observer, Source, Step, TrainingLoop};
use crate::training::training_memory::TrainingMemory;
use calculus::Parameter;
use calculus::optimizer::{MEAN, OptimizerKind};
use linalg::Real;
use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;

/// A model in training: its recorded step, its optimizer, and its progress.
///
/// Everything random in a step is a function of (seed, step): a resumed run equals an uninterrupted one.
pub struct Trainer<T: Real> {
    config: TrainingConfig,
    model: RecordedStep<T>,
    training: TrainingLoop<T>,
    /// The averaged weights, if the run has them.
    average: Option<Average<T>>,
    /// The predictions of the reference of preferences.
    drift: Option<Drift>,
    tokens: Vec<u32>,
    targets: Vec<u32>,
    /// The reference's nats of the tokens of a batch; empty without preferences.
    reference: Vec<f32>,
    /// The teacher's logits of the tokens of a replay; empty without one.
    logits: Vec<f32>,
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

/// Batches from a corpus, cut into parts.
struct Drawn<'a, T: Real> {
    config: &'a TrainingConfig,
    corpus: &'a Corpus,
    model: &'a mut RecordedStep<T>,
    tokens: &'a mut [u32],
    targets: &'a mut [u32],
    reference: &'a mut [f32],
    logits: &'a mut [f32],
}

impl<T: Real> Source<T> for Drawn<'_, T> {
    fn recording(&mut self) -> &mut Recording<T> {
        self.model.recording_mut()
    }

    fn give(&mut self, number: u64, replays: u64) -> Result<f64, ModelError> {
        let Drawn { config, corpus, model, tokens, targets, reference, logits } = self;
        let (parts, size) = (config.parts(), model.batch());
        let (batch, part) = (number / parts, (number % parts) as usize);
        if part == 0 {
            corpus.fill(config.seed, batch, config.context, tokens, targets);
            corpus.check_read()?;
            let known = corpus.fill_reference(config.seed, batch, config.context, reference);
            if !known && !reference.is_empty() {
                return Err(ModelError::NoReference);
            }
        }
        let range = part * size..(part + 1) * size;
        model.set_batch(&tokens[range.clone()], &targets[range.clone()])?;
        if let Some(nats) = reference.get(range.clone()) {
            model.set_reference(nats);
        }
        if model.has_teacher() {
            let drawn = (config.seed, number, config.context);
            corpus.fill_teacher(
                drawn,
                (&tokens[range.clone()], &targets[range.clone()]),
                logits,
            )?;
            model.set_teacher(logits);
        }
        model.set_step(Some(number));
        // Every predicted token of the step's batches has the same weight, or every pair.
        let first = number / replays * (replays / parts);
        let batches = first..first + replays / parts;
        let of_batch = |batch| corpus.counted(config.seed, batch, config.context, config.batch);
        let all = batches.map(of_batch).sum::<usize>() as f64;
        Ok(model.averaged_over(&targets[range]) as f64 / all)
    }
}

impl<T: Real> Trainer<T> {
    /// Returns the bytes that must be free besides the recording: the optimizer state, a checkpoint while it is written,
    /// and averaged weights.
    pub(crate) fn beside(config: &TrainingConfig, parameters: u64) -> u128 {
        let averaged = u128::from(config.average.is_some());
        u128::from(parameters) * (2 + 6 + 2 * averaged) * size_of::<T>() as u128
    }

    /// Records the step and initialises the weights.
    ///
    /// # Errors
    /// Sizes that contradict each other, or that take more memory than this process may have.
    pub fn new(config: TrainingConfig, model: &Architecture) -> Result<Self, ModelError> {
        Self::starting_from::<T>(config, model, None)
    }

    /// Like [`Trainer::new`], but begins with these weights, in the order of the model's parameter list. Adapters begin as
    /// in [`RecordedStep::initialise_adapters`]. If the values of frozen weights are given
    /// ([`Adaptation::frozen`](crate::Adaptation::frozen)), these are the learned ones alone, in recording order.
    ///
    /// # Errors
    /// See [`Trainer::new`].
    ///
    /// # Panics
    /// If the model has another number of weights, or of learned ones.
    pub fn starting_from<S: Real>(
        config: TrainingConfig,
        model: &Architecture,
        weights: Option<&[S]>,
    ) -> Result<Self, ModelError> {
        let room = memory::room();
        let mut model = recorded(&config, model)?;
        match weights {
            None => model.initialise(config.seed),
            Some(learned) if model.config().adaptation.frozen.is_some() => {
                let own = model.tape_mut().parameters_mut();
                assert_eq!(own.len(), learned.len(), "learned weights of another model");
                own.iter_mut().zip(learned).for_each(|(p, x)| *p = T::from_f64(x.to_f64()));
            }
            Some(weights) => {
                model.set_weights(weights);
                model.initialise_adapters(config.seed);
            }
        }
        let parameters = model.tape().parameters().len();
        let m = model.tape().memory();
        let tape = m.parameters
            + m.parameter_gradients
            + m.frozen // what is shared was there before
            + m.values
            + m.gradients
            + m.kept
            + m.scratch;
        memory::afford_of(room, tape as u128 + Self::beside(&config, parameters as u64))?;
        let optimizer = config.rule().build(&model.tape().parameter_list());
        let training = TrainingLoop::new(Recipe::of_run(&config), optimizer);
        let average = config.average.map(|beta| Average::new(beta, model.tape().parameters()));
        let size = config.batch * config.context;
        let (tokens, targets) = (vec![0; size], vec![0; size]);
        let reference = if model.preference().is_some() { vec![0.0; size] } else { vec![] };
        let words = if model.has_teacher() { model.config().vocabulary } else { 0 };
        let (drift, logits) = (None, vec![0.0; words * model.batch()]);
        Ok(Trainer { config, model, training, average, drift, tokens, targets, reference, logits })
    }

    /// Takes the present weights as the reference of preferences: computes the nats ([`refer`]) of the pairs to measure on, and
    /// of those to train on after `done` steps, and keeps some predictions, from which the divergence is measured. Called
    /// again, it changes nothing that is known. Nothing is done without preferences. `batch` as in [`refer`].
    ///
    /// # Errors
    /// A corpus with tokens that the model does not have.
    pub fn refer(
        &mut self,
        corpus: &mut Corpus,
        done: u64,
        batch: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<bool, ModelError> {
        if self.model.preference().is_none() {
            return Ok(true);
        }
        if self.drift.is_none() {
            self.drift = Some(Drift::of(&mut self.model, corpus)?);
        }
        let windows = (self.config.batch * self.config.accumulate) as u64;
        let [first, last] = [done, self.config.steps].map(|steps| steps.saturating_mul(windows));
        // The number of steps in a limited time is not known yet.
        let known = self.config.time.is_none();
        let numbers = known.then_some((self.config.seed, first..last.max(first)));
        refer(corpus, &mut self.model, numbers, batch)
    }

    /// Takes one step: gradients of `accumulate` batches, averaged; clipping; an update. If the loss, a gradient or an
    /// updated parameter is not finite, the update is not applied and everything is as after the last good step.
    ///
    /// # Errors
    /// A corpus with tokens that the model does not have.
    pub fn step(&mut self, corpus: &Corpus) -> Result<Step, ModelError> {
        let step = self.step_observed(corpus, &mut ())?;
        Ok(step.expect("nothing interrupted the step"))
    }

    /// Like [`Trainer::step`], with an observer, which can interrupt the step: the result is then `None`, and everything
    /// is as before.
    ///
    /// # Errors
    /// See [`Trainer::step`].
    pub fn step_observed(
        &mut self,
        corpus: &Corpus,
        observer: &mut impl Observer<T>,
    ) -> Result<Option<Step>, ModelError> {
        let Trainer { config, model, training, average, .. } = self;
        let (tokens, targets) = (&mut self.tokens[..], &mut self.targets[..]);
        let (reference, logits) = (&mut self.reference[..], &mut self.logits[..]);
        let mut drawn = Drawn { config, corpus, model, tokens, targets, reference, logits };
        let step = training.step(&mut drawn, observer)?;
        if let (Some(average), Some(Step { number, applied: true, .. })) = (average, step) {
            average.add(number, self.model.tape().parameters());
        }
        Ok(step)
    }

    /// Returns the learned parameters that are evaluated and written: the averaged ones if the run has them
    /// ([`TrainingConfig::average`]) or its optimizer does ([`OptimizerKind::averages`]), otherwise those of the last step.
    pub fn evaluated(&self) -> &[T] {
        let averaged = self.average.as_ref().map(Average::weights);
        let averaged = averaged.or_else(|| self.training.optimizer.evaluated());
        averaged.unwrap_or_else(|| self.model.tape().parameters())
    }

    /// Returns the weights of the model itself that are evaluated and written, with adapters merged
    /// ([`RecordedStep::merged`]): those of [`RecordedStep::config`] without its adaptation.
    pub fn merged(&self) -> Cow<'_, [T]> {
        self.model.merged(self.evaluated())
    }

    /// Measures the model with the weights that are evaluated; those of the last step are there again afterwards.
    fn with_evaluated<R>(&mut self, measure: impl FnOnce(&mut RecordedStep<T>) -> R) -> R {
        let Trainer { model, average, training, .. } = self;
        let optimizer = &mut training.optimizer;
        let mut exchange = |model: &mut RecordedStep<T>| {
            let parameters = model.tape_mut().parameters_mut();
            if let Some(average) = average.as_mut() {
                parameters.swap_with_slice(average.weights_mut());
            } else if optimizer.evaluated().is_some() {
                let mean = optimizer.state().into_iter().find(|(name, _)| *name == MEAN);
                mean.into_iter().for_each(|(_, mean)| parameters.swap_with_slice(mean));
            }
        };
        exchange(model);
        let measured = measure(model);
        exchange(model);
        measured
    }

    /// Returns the loss of the evaluated weights ([`Trainer::evaluated`]) on the whole validation part.
    ///
    /// # Errors
    /// A corpus with tokens that the model does not have.
    pub fn evaluate(&mut self, corpus: &Corpus) -> Result<Evaluation, ModelError> {
        let windows = corpus.validation_windows(self.config.context);
        corpus.check_read()?;
        self.with_evaluated(|model| Evaluation::of(model, &windows))
    }

    /// Returns the loss on at most `tokens` tokens of the validation part ([`Corpus::validation_sample`]). Calls
    /// `batch` with the number of measured windows and their total; `batch` can interrupt: the result is then `None`.
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
        corpus.check_read()?;
        if let (None, Some(_), Some(teacher)) =
            (&self.drift, self.model.config().distillation, corpus.teacher())
        {
            self.drift = Some(Drift::of_teacher(&self.model, corpus, &**teacher)?);
        }
        let drift = self.drift.take();
        let measured = self.with_evaluated(|model| {
            let measured =
                Evaluation::of_watched(model, &windows, |done| batch(done, windows.len()))?;
            let asked = drift.as_ref().filter(|_| measured.is_some());
            let divergence = asked.map(|drift| drift.divergence(model)).transpose()?;
            let with = |preferred| Preferred { divergence, ..preferred };
            let from_teacher = divergence.filter(|_| model.preference().is_none());
            let measured = measured.map(|m| Evaluation { preferred: m.preferred.map(with), ..m });
            Ok(measured.map(|m| Evaluation { teacher_divergence: from_teacher, ..m }))
        });
        self.drift = drift;
        measured
    }

    /// Returns the memory that training takes.
    pub fn memory(&self) -> TrainingMemory {
        let model = self.model.config();
        let learned = self.model.tape().parameters().len() as u64;
        let beside = TrainingMemory::beside::<T>(&self.config, model, learned);
        let beside = beside.expect("the sizes of a model that is recorded");
        beside.with_step(self.model.tape().memory(), model)
    }

    /// Sets the number of steps at which the schedule ends, for a run whose number of steps follows its time.
    pub fn expect_steps(&mut self, steps: u64) {
        self.config.steps = steps.min(self.config.most_steps());
        self.training.recipe.schedule = self.config.schedule();
    }

    /// Returns the number of steps taken.
    pub fn steps(&self) -> u64 {
        self.training.steps()
    }

    /// Returns the run's settings.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// Returns the model.
    pub fn model(&self) -> &RecordedStep<T> {
        &self.model
    }

    /// Returns the model for replay.
    pub fn model_mut(&mut self) -> &mut RecordedStep<T> {
        self.training.farthest = None;
        &mut self.model
    }

    /// Returns the contents of a checkpoint by name, without the number of steps: parameters first, then the optimizer
    /// state, then the averaged weights ([`AVERAGED`]) if the run has them.
    pub fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.training.farthest = None;
        let mut state = vec![("parameters", self.model.tape_mut().parameters_mut())];
        state.extend(self.training.optimizer.state());
        state.extend(self.average.as_mut().map(|average| (AVERAGED, average.weights_mut())));
        state
    }

    /// Sets the number of steps taken, to continue from there.
    pub fn set_steps(&mut self, steps: u64) {
        self.training.optimizer.set_steps(steps);
    }
}

/// Records the step of a run within its budget of memory ([`TrainingConfig::memory`]).
fn recorded<T: Real>(
    config: &TrainingConfig,
    model: &Architecture,
) -> Result<RecordedStep<T>, ModelError> {
    let (sequences, length) = (config.sequences_at_once(), config.context);
    let Some(Bytes(budget)) = config.memory else {
        return RecordedStep::record_for_training(model, sequences, length, config.seed);
    };
    let learned: usize = learned_list(model)?.iter().map(|p| p.shape.len()).sum();
    let beside = TrainingMemory::beside::<T>(config, model, learned as u64)?;
    let frozen = model.adaptation.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
    let beside = beside.total() + frozen as u128;
    let budget = u128::from(budget);
    let left = budget.saturating_sub(beside);
    RecordedStep::record_within(model, sequences, length, config.seed, left).map_err(|e| match e {
        ModelError::Budget { needed, .. } => ModelError::Budget { needed: needed + beside, budget },
        other => other,
    })
}

/// The name of the averaged weights in a checkpoint.
pub const AVERAGED: &str = "averaged";

/// Returns whether a value of the optimizer state is valid: finite, and not negative if the update rule divides by it
/// ([`OptimizerKind::divides_by`]).
///
/// ```
/// use transformer::is_sound;
/// assert!(is_sound("first_moment", -0.5) && is_sound("second_moment", 0.0));
/// assert!(!is_sound("second_moment", -1e-20) && !is_sound("velocity", f64::INFINITY));
/// ```
pub fn is_sound(name: &str, x: f64) -> bool {
    x.is_finite() && (x >= 0.0 || !OptimizerKind::divides_by(name))
}

/// Returns the name of the tensor that holds element `at` of all parameters, and its row and column there.
pub(crate) fn place(list: &[Parameter], at: usize) -> (String, (usize, usize)) {
    let found = list.iter().find(|p| p.range.contains(&at));
    found.map_or((String::new(), (0, 0)), |p| {
        let i = at - p.range.start;
        (p.name.clone(), (i % p.shape.rows, i / p.shape.rows))
    })
}
