//! The training step that `check` and `diagnose` examine: it records itself over any scalar.
//!
//! One code, several scalars: the step is recorded at `f32` as it trains, at `f64` and [`calculus::Dual`] to certify
//! its gradients and to compute its curvature, and at [`calculus::Witness`] to find the arithmetic that failed. A model
//! composed from the crates gets all of that by implementing [`Subject`].

use crate::model::architecture::Architecture;
use crate::model::recorded_step::{
    Form, ModelError, RecordedStep, first_tokens, is_counted, pairs_of,
};
use crate::model::recording::{Given, Recording};
use crate::text::corpus::Corpus;
use crate::text::teacher::{Teacher, Windows};
use crate::training::config::TrainingConfig;
use infotheory::objective::distillation::Distillation;
use linalg::Real;
use probability::dropout;
use std::fmt;
use std::sync::Arc;

/// A training step: how to record it, and its input data.
///
/// Some certificates are about tokens, targets and logits: [`crate::Handles`] states which values these are.
pub trait Subject: Sync {
    /// Records the step over any scalar. Every call records the same operations.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError>;

    /// Returns the values of the inputs for batch `number`.
    fn batch(&self, number: u64) -> Vec<Given>;

    /// Tokens per sequence, if columns are tokens.
    fn length(&self) -> Option<usize> {
        None
    }

    /// Records the same step in more detail, if such a form exists: a fused operation's formulas one by one.
    ///
    /// # Errors
    /// Like [`Subject::record`].
    fn record_in_full<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.record()
    }

    /// Returns the same step on a few tokens of its batches, for steps that take too long to differentiate twice.
    fn fewer(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Returns the same step for a model of twice the width, with its initial parameters; `None` if there is no such
    /// model.
    fn larger(&self) -> Option<(Self, Vec<f32>)>
    where
        Self: Sized,
    {
        None
    }

    /// Returns the same step with this factor of its adapters' products ([`crate::Adapter::factor`]); `None` if it has no
    /// adapters.
    fn with_adapter_factor(&self, _factor: f64) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Returns the same step with the mean nats of its targets as its loss, if its own loss is another.
    fn with_nats(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Returns the bytes that [`Subject::record`] or [`Subject::record_in_full`] takes, if known beforehand; 0 if not,
    /// which suits small steps.
    ///
    /// # Errors
    /// Like [`Subject::record`].
    fn bytes<T: Real>(&self, _in_full: bool) -> Result<u128, ModelError> {
        Ok(0)
    }
}

/// Draws batch number n: tokens and targets.
pub type Batches<'a> = Arc<dyn Fn(u64) -> (Vec<u32>, Vec<u32>) + Send + Sync + 'a>;

/// Draws the reference's nats of batch number n, for a step on preferences ([`crate::refer`]).
pub type References<'a> = Arc<dyn Fn(u64) -> Vec<f32> + Send + Sync + 'a>;

/// A GPT-2's training step as a [`Subject`].
#[derive(Clone)]
pub struct ModelStep<'a> {
    /// The model's sizes.
    pub config: Architecture,
    /// Sequences per batch.
    pub sequences: usize,
    /// Tokens per sequence.
    pub length: usize,
    /// Seed of dropout's masks.
    pub seed: u64,
    /// Source of the batches.
    pub batches: Batches<'a>,
    /// Source of the reference of each batch, if the step is on preferences.
    pub references: Option<References<'a>>,
    /// The teacher, if the step learns from one.
    pub teacher: Option<Arc<dyn Teacher>>,
}

impl fmt::Debug for ModelStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelStep")
            .field("config", &self.config)
            .field("sequences", &self.sequences)
            .field("length", &self.length)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<'a> ModelStep<'a> {
    /// Returns the step that a training run takes, in parts as large as the run replays at once: batch number n of this
    /// step is part n mod p of the run's batch n div p, with p = [`TrainingConfig::parts`].
    pub fn of_run(config: &TrainingConfig, model: &Architecture, corpus: &'a Corpus) -> Self {
        let (seed, length) = (config.seed, config.context);
        let sequences = config.sequences_at_once();
        ModelStep {
            config: model.clone(),
            sequences,
            length,
            seed,
            // Windows are numbered through all batches, so that a part is drawn like a smaller batch.
            batches: Arc::new(move |number| {
                let size = sequences * length;
                let (mut tokens, mut targets) = (vec![0; size], vec![0; size]);
                corpus.fill(seed, number, length, &mut tokens, &mut targets);
                (tokens, targets)
            }),
            teacher: corpus.teacher().cloned(),
            references: model.preference.map(|_| -> References<'a> {
                Arc::new(move |number| {
                    let mut nats = vec![f32::NAN; sequences * length];
                    corpus.fill_reference(seed, number, length, &mut nats);
                    nats
                })
            }),
        }
    }

    /// Returns the step with the mean nats of targets as its loss, in place of that of preferences between answers or of a
    /// teacher's predictions, for what is certified of the model and not of the loss.
    #[must_use]
    pub fn with_cross_entropy(&self) -> Self {
        let config = Architecture { preference: None, distillation: None, ..self.config.clone() };
        ModelStep { config, references: None, teacher: None, ..self.clone() }
    }

    /// Returns the same step on smaller batches: the first tokens of the first sequences; if the first predicted one is far
    /// from the beginning, as in a conversation, those around it.
    #[must_use]
    pub fn smaller(&self, sequences: usize, length: usize) -> Self {
        let (sequences, length) = (sequences.min(self.sequences), length.min(self.length));
        let (whole, batches) = (self.length, Arc::clone(&self.batches));
        let starts = move |targets: &[u32]| -> Vec<usize> {
            let start = |targets: &[u32]| {
                let first = targets.iter().position(|t| is_counted(*t)).unwrap_or(0);
                first.saturating_sub(length / 2).min(whole - length)
            };
            targets.chunks(whole).take(sequences).map(start).collect()
        };
        let references = self.references.as_ref().map(|references| -> References<'a> {
            let (references, batches) = (Arc::clone(references), Arc::clone(&batches));
            Arc::new(move |number| {
                cut(&references(number), (whole, length), &starts(&batches(number).1))
            })
        });
        ModelStep {
            sequences,
            length,
            batches: Arc::new(move |number| {
                let (tokens, targets) = batches(number);
                let starts = starts(&targets);
                let [tokens, targets] =
                    [tokens, targets].map(|all| cut(&all, (whole, length), &starts));
                (tokens, targets)
            }),
            references,
            ..self.clone()
        }
    }

    /// Records the step in one of its two forms, with the marks of its parts.
    ///
    /// # Errors
    /// Like [`Subject::record`].
    pub fn recorded<T: Real>(&self, form: Form) -> Result<RecordedStep<T>, ModelError> {
        RecordedStep::record(&self.config, self.sequences, self.length, form, self.seed)
    }

    /// Returns the input values of a batch, with its reference if the step is on preferences, and with a step number that
    /// selects dropout's masks.
    pub(crate) fn given(
        &self,
        (tokens, targets): (Vec<u32>, Vec<u32>),
        reference: Option<Vec<f32>>,
        step: [f64; 2],
    ) -> Vec<Given> {
        let target = |t: u32| if is_counted(t) { f64::from(t) } else { infotheory::IGNORED };
        let starts = self.config.packed.then(|| first_tokens(&targets, self.length));
        let places = self.config.preference.map(|_| pairs_of(&targets, self.length));
        let teacher = self.teacher_of(&tokens, &targets);
        let mut batch = vec![
            Given { name: "tokens", elements: tokens.into_iter().map(f64::from).collect() },
            Given { name: "targets", elements: targets.into_iter().map(target).collect() },
        ];
        if let Some(starts) = starts {
            let place = |i: usize| i % self.length;
            let last = self.config.context - 1;
            let positions = starts.iter().enumerate();
            let positions = positions.map(|(i, start)| (place(i) - start).min(last) as f64);
            batch.push(Given { name: "positions", elements: positions.collect() });
            let first = starts.iter().map(|&start| start as f64);
            batch.push(Given { name: "first", elements: first.collect() });
        }
        if let (Some(places), Some(reference)) = (places, reference) {
            let reference = reference.into_iter().map(f64::from).collect();
            let of = |number: fn((usize, f64)) -> f64| -> Vec<f64> {
                places.iter().map(|place| place.map_or(0.0, number)).collect()
            };
            batch.push(Given { name: "reference", elements: reference });
            batch.push(Given { name: "pairs", elements: of(|(pair, _)| pair as f64) });
            batch.push(Given { name: "sides", elements: of(|(_, side)| side) });
        }
        if let Some(logits) = teacher {
            let elements = logits.into_iter().map(f64::from).collect();
            batch.push(Given { name: "teacher", elements });
        }
        if self.config.drops() {
            batch.push(Given { name: "step", elements: step.into() });
        }
        batch
    }

    /// Returns the teacher's logits of a batch, if the step learns from one; NaN if there is no teacher.
    fn teacher_of(&self, tokens: &[u32], targets: &[u32]) -> Option<Vec<f32>> {
        self.config.distillation.filter(Distillation::uses_the_teacher)?;
        /// In place of −∞, which would be taken for the beginning of what is not finite. Its probability is 0 as well.
        const EXCLUDED: f32 = -1e30;
        let mut logits = vec![f32::NAN; self.config.vocabulary * tokens.len()];
        let windows = Windows { numbers: None, length: self.length, tokens, targets };
        let known = self.teacher.as_ref().map(|teacher| teacher.logits(windows, &mut logits));
        if !matches!(known, Some(Ok(()))) {
            logits.fill(f32::NAN);
        }
        logits.iter_mut().filter(|z| **z == f32::NEG_INFINITY).for_each(|z| *z = EXCLUDED);
        Some(logits)
    }

    fn record_form<T: Real>(&self, form: Form) -> Result<Recording<T>, ModelError> {
        Ok(self.recorded(form)?.into_recording())
    }
}

/// Returns `length` elements of each sequence of `whole`, from its start.
fn cut<T: Clone>(all: &[T], (whole, length): (usize, usize), starts: &[usize]) -> Vec<T> {
    let some = all.chunks(whole).zip(starts);
    some.flat_map(|(s, &start)| s[start..start + length].to_vec()).collect()
}

impl Subject for ModelStep<'_> {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.record_form(Form::Fused)
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        let reference = self.references.as_ref().map(|references| references(number));
        self.given((self.batches)(number), reference, dropout::step(number))
    }

    fn length(&self) -> Option<usize> {
        Some(self.length)
    }

    fn record_in_full<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.record_form(Form::Textbook)
    }

    fn fewer(&self) -> Option<Self> {
        const FEW: usize = 32;
        Some(self.smaller(1, FEW))
    }

    fn larger(&self) -> Option<(Self, Vec<f32>)> {
        let (width, hidden) = (2 * self.config.width, 2 * self.config.hidden);
        let config = Architecture { width, hidden, ..self.config.base() };
        let parameters = config.initial_parameters(self.seed).ok()?;
        Some((ModelStep { config, ..self.clone() }, parameters))
    }

    fn with_nats(&self) -> Option<Self> {
        let other = self.config.preference.is_some() || self.config.distillation.is_some();
        other.then(|| self.with_cross_entropy())
    }

    fn with_adapter_factor(&self, factor: f64) -> Option<Self> {
        let mut changed = self.clone();
        let adapter = changed.config.adaptation.adapter.as_mut()?;
        adapter.alpha = 1.0;
        adapter.alpha = factor / adapter.factor();
        Some(changed)
    }

    fn bytes<T: Real>(&self, in_full: bool) -> Result<u128, ModelError> {
        let form = if in_full { Form::Textbook } else { Form::Fused };
        RecordedStep::<T>::bytes(&self.config, self.sequences, self.length, form)
    }
}
