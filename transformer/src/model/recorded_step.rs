//! A recorded decoder: parameters, a batch of tokens, logits, the loss.

use crate::memory::{self, MemoryError};
use crate::model::architecture::{Architecture, ConfigError};
use crate::model::layers::{self, Context, Marks};
pub use crate::model::loss::Predictions;
use crate::model::loss::{self, Loss, kept};
use crate::model::recording::{Handles, PairHandles, Recording};
pub use crate::model::target::{IGNORED, LAST, is_counted};
pub(crate) use crate::model::target::{first_tokens, pairs_of};
use crate::model::vocabulary_loss::VocabularyLoss;
use crate::words;
use calculus::{RecordError, Recorder, Tape, Var};
use linalg::{Real, Shape};
use probability::dropout;
use std::fmt;
use std::num::NonZeroUsize;
use thiserror::Error;

/// One of two recordings of a model. Their values and gradients are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For training: attention in one operation, the loss directly from logits.
    Fused,
    /// For explanation: every formula of the textbook is a node.
    Textbook,
}

/// Parts that a textbook recording leaves out, to show their effect. Training leaves out nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// The causal mask: every token sees the future.
    pub mask: bool,
    /// The factor 1/√d of attention scores.
    pub scale: bool,
    /// Layer normalisation, with its gain and shift; its parameters stay but have no effect.
    pub norm: bool,
}

/// An invalid model or batch.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A configuration that contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Shapes that do not fit.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A sequence longer than the model's positions.
    #[error("sequences of {}: the model has positions for 1 to {context}", words::of(*found, "token"))]
    Length {
        /// The requested length.
        found: usize,
        /// The model's context.
        context: usize,
    },
    /// A batch of another size than recorded.
    #[error("a batch of {}, but {expected} were recorded", words::of(*found, "token"))]
    Batch {
        /// Tokens of the recording.
        expected: usize,
        /// Tokens found.
        found: usize,
    },
    /// A token id outside the vocabulary.
    #[error(
        "token {found} at place {place} of the batch: the vocabulary has {vocabulary} (0 to {})",
        vocabulary - 1
    )]
    Token {
        /// Its place in the batch.
        place: usize,
        /// The id.
        found: u32,
        /// The size of the vocabulary.
        vocabulary: usize,
    },
    /// A model that needs more memory than is available.
    #[error("{0}: take a smaller batch, context or model")]
    Memory(#[from] MemoryError),
    /// A budget of memory in which the model cannot be trained.
    #[error(
        "training takes at least {} of memory, with the values of every block computed again, and the budget is {}: take a \
         smaller batch or context, adapters (lora) or frozen weights, or a larger budget",
        memory::bytes(*needed), memory::bytes(*budget)
    )]
    Budget {
        /// The bytes that are needed at least.
        needed: u128,
        /// The bytes that are allowed.
        budget: u128,
    },
    /// A batch without a token to predict.
    #[error("every target of the batch is ignored: the mean loss over no token is undefined")]
    NoTarget,
    /// Preferences without the nats of their reference.
    #[error(
        "the nats of the preferences under the reference are not known: find them first (`refer`)"
    )]
    NoReference,
    /// A step on a teacher's predictions without them.
    #[error("no teacher predicts a window of the step: give the corpus one (`set_teacher`)")]
    NoTeacher,
    /// A window of several sequences, for a recording whose windows hold one.
    #[error(
        "a sequence ends at place {place} of the batch and another follows in its window, but this step was recorded for \
         windows of one sequence: record an architecture with `packed` set"
    )]
    Packed {
        /// The place of the sequence's last token.
        place: usize,
    },
    /// Tokens that could not be read from their file.
    #[error("{reason}")]
    Data {
        /// The file and the cause.
        reason: String,
    },
}

/// A recorded training step of a decoder on batches of one size.
///
/// ```
/// use transformer::{Form, RecordedStep, Architecture};
/// let config = Architecture { vocabulary: 65, context: 8, width: 16, heads: 2, layers: 1, ..Default::default() };
/// let mut model = RecordedStep::<f32>::record(&config, 1, 4, Form::Fused, 0)?;
/// model.initialise(1);
/// let loss = model.loss(&[1, 2, 3, 4], &[2, 3, 4, 5])?;
/// assert!((loss - 65.0_f64.ln()).abs() < 0.1); // the loss of a uniform prediction is ln V
/// # Ok::<(), transformer::ModelError>(())
/// ```
pub struct RecordedStep<T: Real> {
    config: Architecture,
    length: usize,
    recording: Recording<T>,
    tokens: Var,
    positions: Var,
    targets: Var,
    predictions: Option<Predictions>,
    marks: Marks,
}

impl<T: Real> fmt::Debug for RecordedStep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedStep")
            .field("config", &self.config)
            .field("length", &self.length)
            .field("tape", &self.recording.tape)
            .finish_non_exhaustive()
    }
}

/// The values of a recording that are set or read.
pub(super) struct Values {
    tokens: Var,
    pub(super) positions: Var,
    first: Option<Var>,
    targets: Var,
    step: Option<Var>,
    predictions: Option<Predictions>,
    pairs: Option<PairHandles>,
    teacher: Option<Var>,
    pub(super) loss: Var,
    pub(super) marks: Marks,
}

/// A request for a recording.
pub(super) struct Wanted<'a> {
    config: &'a Architecture,
    sequences: usize,
    length: usize,
    form: Form,
    without: Without,
    /// Selects dropout's masks.
    seed: u64,
    /// The fused form's loss.
    loss: VocabularyLoss,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(config: &'a Architecture, sequences: usize, length: usize) -> Self {
        let (without, loss) = (Without::default(), VocabularyLoss::default());
        Wanted { config, sequences, length, form: Form::Fused, without, seed: 0, loss }
    }

    #[must_use]
    pub(super) fn with_seed(self, seed: u64) -> Self {
        Wanted { seed, ..self }
    }

    pub(super) fn record<T: Real>(
        &self,
        finish: impl FnOnce(Recorder<T>, Var) -> Result<Tape<T>, ModelError>,
    ) -> Result<RecordedStep<T>, ModelError> {
        let (recorder, values) = self.written()?;
        let Values { tokens, positions, first, targets, step, .. } = values;
        let Values { predictions, pairs, teacher, loss, marks, .. } = values;
        let mut tape = finish(recorder, loss)?;
        if let Some(frozen) = &self.config.adaptation.frozen {
            let own: Vec<Var> = tape.frozen_vars().map(|(var, _)| var).collect();
            assert_eq!(own.len(), frozen.singles().count(), "frozen weights of another model");
            for (var, values) in own.into_iter().zip(frozen.singles()) {
                let Some(values) = values else { continue };
                let own = tape.value_mut(var);
                assert_eq!(own.len(), values.len(), "frozen weights of another model");
                own.iter_mut().zip(values).for_each(|(p, &x)| *p = T::from_f64(f64::from(x)));
            }
        }
        for (i, p) in tape.value_mut(positions).iter_mut().enumerate() {
            *p = T::from_f64((i % self.length).min(self.config.context - 1) as f64);
        }
        let handles = Handles {
            tokens: Some(tokens),
            targets: Some(targets),
            first,
            step,
            logits: predictions.map(|p| p.logits),
            last: Some(marks.last),
            pairs,
            adapters: marks.weights.adapters.clone(),
            teacher,
        };
        let (config, length) = (self.config.clone(), self.length);
        let recording = Recording { tape, loss, handles };
        Ok(RecordedStep {
            config,
            length,
            recording,
            tokens,
            positions,
            targets,
            predictions,
            marks,
        })
    }

    /// Records the step before its memory is allocated.
    pub(super) fn written<T: Real>(&self) -> Result<(Recorder<T>, Values), ModelError> {
        let &Wanted { config, sequences, length, form, without, seed, loss } = self;
        config.validate()?;
        // A window of several sequences may be longer than each of them.
        let most = if config.packed { config.context.saturating_mul(2) } else { config.context };
        if length == 0 || length > most {
            return Err(ModelError::Length { found: length, context: most });
        }
        let mut recorder = Recorder::new();
        let adaptation = config.adaptation.clone();
        recorder.freeze(move |name| adaptation.freezes(name));
        let r = &mut recorder;
        let row = Shape::new(1, sequences.saturating_mul(length));
        let tokens = r.input("tokens", row)?; // 1×n
        let positions = r.input("positions", row)?; // 1×n
        let first = if config.packed { Some(r.input("first", row)?) } else { None }; // 1×n
        let targets = r.input("targets", row)?; // 1×n
        let step = if config.drops() { Some(r.input("step", dropout::STEP)?) } else { None };
        let dropout = step.map(|step| (step, seed));
        let c = Context { config, length, form, without, dropout, cached: None, first };
        let marks = layers::network(c, r, tokens, positions)?;
        let Loss { loss, predictions, pairs, teacher } =
            loss::record(config, form, r, (&marks, targets), loss)?;
        if let Some(frozen) = &config.adaptation.frozen {
            recorder.share(frozen.halves());
        }
        let values = Values {
            tokens,
            positions,
            first,
            targets,
            step,
            predictions,
            pairs,
            teacher,
            loss,
            marks,
        };
        Ok((recorder, values))
    }
}

impl<T: Real> RecordedStep<T> {
    /// Records a step on `sequences` sequences of `length` tokens; `seed` selects dropout's masks.
    pub fn record(
        config: &Architecture,
        sequences: usize,
        length: usize,
        form: Form,
        seed: u64,
    ) -> Result<Self, ModelError> {
        Wanted { form, seed, ..Wanted::new(config, sequences, length) }.record(kept)
    }

    /// Like [`RecordedStep::record`] in the fused form, with the loss in chunks of `chunk` tokens: a small version of
    /// training with a large vocabulary.
    pub(crate) fn record_in_chunks(
        config: &Architecture,
        sequences: usize,
        length: usize,
        chunk: usize,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let loss = VocabularyLoss { chunk: NonZeroUsize::new(chunk), ..Default::default() };
        Wanted { loss, seed, ..Wanted::new(config, sequences, length) }.record(kept)
    }

    /// Like [`RecordedStep::record`] in the textbook form, without some of its parts.
    pub fn record_without(
        config: &Architecture,
        sequences: usize,
        length: usize,
        without: Without,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let form = Form::Textbook;
        Wanted { form, without, seed, ..Wanted::new(config, sequences, length) }.record(kept)
    }

    /// Like [`RecordedStep::record`], but for prediction and measurement only: no gradients, half the memory.
    pub fn record_forward_only(
        config: &Architecture,
        sequences: usize,
        length: usize,
        form: Form,
    ) -> Result<Self, ModelError> {
        Wanted { form, ..Wanted::new(config, sequences, length) }.record(|r, _| {
            memory::afford(r.bytes_forward_only())?;
            Ok(r.finish_forward_only())
        })
    }

    /// Returns the bytes that [`RecordedStep::record`] would allocate.
    ///
    /// # Errors
    /// Sizes that cannot be recorded.
    pub fn bytes(
        config: &Architecture,
        sequences: usize,
        length: usize,
        form: Form,
    ) -> Result<u128, ModelError> {
        let wanted = Wanted { form, ..Wanted::new(config, sequences, length) };
        Ok(wanted.written::<T>()?.0.bytes())
    }

    /// Sets a batch: tokens, and the token that follows each ([`IGNORED`] if there is none to predict), sequence after
    /// sequence. A step with [`Architecture::packed`] takes windows of several sequences; [`LAST`] ends each but the last.
    pub fn set_batch(&mut self, tokens: &[u32], targets: &[u32]) -> Result<(), ModelError> {
        let (expected, vocabulary) =
            (self.recording.tape.shape(self.tokens).columns, self.config.vocabulary);
        for found in [tokens.len(), targets.len()] {
            if found != expected {
                return Err(ModelError::Batch { expected, found });
            }
        }
        let outside = |&(_, &t): &(usize, &u32)| t as usize >= vocabulary;
        let counted = || targets.iter().enumerate().filter(|(_, t)| is_counted(**t));
        let bad = tokens.iter().enumerate().find(outside).or_else(|| counted().find(outside));
        if let Some((place, &found)) = bad {
            return Err(ModelError::Token { place, found, vocabulary });
        }
        if counted().next().is_none() {
            return Err(ModelError::NoTarget);
        }
        match self.recording.handles.first {
            Some(first) => {
                let starts = first_tokens(targets, self.length);
                let most = self.config.context - 1;
                for (i, start) in starts.into_iter().enumerate() {
                    let position = i % self.length - start;
                    if position > most && is_counted(targets[i]) {
                        return Err(ModelError::Length { found: position + 1, context: most + 1 });
                    }
                    // Of what fills up a window, nothing is predicted.
                    let position = position.min(most);
                    self.recording.tape.value_mut(first)[i] = T::from_f64(start as f64);
                    self.recording.tape.value_mut(self.positions)[i] = T::from_f64(position as f64);
                }
            }
            None => {
                if let Some(place) = targets.iter().position(|t| *t == LAST) {
                    return Err(ModelError::Packed { place });
                }
            }
        }
        for (x, &t) in self.recording.tape.value_mut(self.tokens).iter_mut().zip(tokens) {
            *x = T::from_f64(f64::from(t));
        }
        for (x, &t) in self.recording.tape.value_mut(self.targets).iter_mut().zip(targets) {
            *x = T::from_f64(if is_counted(t) { f64::from(t) } else { infotheory::IGNORED });
        }
        self.set_beside(targets);
        Ok(())
    }

    /// Sets the step number that selects dropout's masks; `None` for evaluation.
    pub fn set_step(&mut self, step: Option<u64>) {
        if let Some(var) = self.recording.handles.step {
            let step = step.map_or(dropout::EVALUATION, dropout::step);
            self.recording.tape.set(var, &step.map(T::from_f64));
        }
    }

    /// Returns the mean loss of a batch in nats per token, without dropout.
    pub fn loss(&mut self, tokens: &[u32], targets: &[u32]) -> Result<f64, ModelError> {
        self.set_batch(tokens, targets)?;
        self.set_step(None);
        self.recording.tape.forward();
        Ok(self.recording.tape.value(self.recording.loss)[0].to_f64())
    }

    /// Copies the parameters of another recording of the same model.
    ///
    /// # Panics
    /// If the models' parameters differ in number.
    pub fn copy_parameters(&mut self, parameters: &[T]) {
        self.recording.tape.parameters_mut().copy_from_slice(parameters);
    }

    /// Returns the number of tokens of a batch: sequences × length.
    pub fn batch(&self) -> usize {
        self.recording.tape.shape(self.tokens).columns
    }

    /// Returns the number of sequences of a batch.
    pub fn sequences(&self) -> usize {
        self.batch() / self.length
    }

    /// Returns the number of tokens of a sequence.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Architecture {
        &self.config
    }

    /// Returns the values that readers need.
    pub(super) fn handles(&self) -> &Handles {
        &self.recording.handles
    }

    /// Returns the tape.
    pub fn tape(&self) -> &Tape<T> {
        &self.recording.tape
    }

    /// Converts into the tape.
    pub fn into_tape(self) -> Tape<T> {
        self.recording.tape
    }

    /// Converts into the recording that certificates and diagnoses take.
    pub fn into_recording(self) -> Recording<T> {
        self.recording
    }

    /// Returns the tape for replay.
    pub fn tape_mut(&mut self) -> &mut Tape<T> {
        &mut self.recording.tape
    }

    /// Returns the recording that certificates and diagnoses take, for replay.
    pub fn recording_mut(&mut self) -> &mut Recording<T> {
        &mut self.recording
    }

    /// Returns the logits (vocabulary × tokens); `None` in the fused form, where they never exist all at once.
    pub fn logits_var(&self) -> Option<Var> {
        self.predictions.map(|p| p.logits)
    }

    /// Returns the predictions of a textbook recording; `None` in the fused form.
    pub fn predictions(&self) -> Option<Predictions> {
        self.predictions
    }

    /// Returns the targets (1 × tokens).
    pub fn targets_var(&self) -> Var {
        self.targets
    }

    /// Returns the places of the network's parts in the recording.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Returns the loss (1 × 1), mean cross-entropy in nats per token.
    pub fn loss_var(&self) -> Var {
        self.recording.loss
    }
}
