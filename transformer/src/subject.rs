//! What `check` and `diagnose` examine: a training step that records itself over any scalar.
//!
//! One code, several scalars: the step is recorded at `f32` as it trains, at `f64` and
//! [`calculus::Dual`] to certify its gradients and to find its curvature, at [`calculus::Witness`] to
//! learn which arithmetic failed. Whoever composes a model from the crates implements [`Subject`] and
//! gets all of that.

use crate::check::initialised;
use crate::corpus::Corpus;
use crate::model::{Form, IGNORED, ModelError, RecordedStep};
use crate::trainer::sequences_at_once;
use crate::{Architecture, TrainingConfig};
use calculus::{Tape, Var};
use linalg::Real;
use probability::dropout;
use std::sync::Arc;

/// A recorded step, its loss, and the values that readers ask for.
pub struct Recording<T: Real> {
    /// The step.
    pub tape: Tape<T>,
    /// The loss, 1×1.
    pub loss: Var,
    /// Values that some certificates and findings are about.
    pub handles: Handles,
}

/// Values that some certificates and findings are about; those do not apply where a step has none. A reader never
/// looks for a value by its name.
#[derive(Clone, Debug, Default)]
pub struct Handles {
    /// The input of token indices (1 × tokens).
    pub tokens: Option<Var>,
    /// The input of targets (1 × tokens); a negative one is ignored.
    pub targets: Option<Var>,
    /// The input of the step number that selects dropout's masks ([`dropout::STEP`]).
    pub step: Option<Var>,
    /// The logits (classes × tokens).
    pub logits: Option<Var>,
    /// What each token's logits are computed from, where logits never exist together (features × tokens).
    pub last: Option<Var>,
}

/// What an input is given: its dotted name and its elements, column after column.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The input's name.
    pub name: &'static str,
    /// Its elements.
    pub elements: Vec<f64>,
}

/// A training step: how to record it, and what it is given.
///
/// Some certificates are about tokens, targets and logits: [`Handles`] says which values these are.
pub trait Subject: Sync {
    /// Writes the step down over any scalar. Every call records the same operations.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError>;

    /// What batch `number` gives to the inputs.
    fn batch(&self, number: u64) -> Vec<Given>;

    /// Tokens of a sequence, where columns are tokens.
    fn length(&self) -> Option<usize> {
        None
    }

    /// The same step in a recording that shows more of it, if there is one: a fused operation's
    /// formulas one by one.
    ///
    /// # Errors
    /// As [`Subject::record`].
    fn record_in_full<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.record()
    }

    /// The same step on a few tokens of its batches, where those take too long to differentiate twice.
    fn fewer(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// The same step of a model of twice the width, with its parameters before training; none where there is none.
    fn larger(&self) -> Option<(Self, Vec<f32>)>
    where
        Self: Sized,
    {
        None
    }

    /// Bytes that [`Subject::record`] takes, or [`Subject::record_in_full`], where it is known before;
    /// 0 where it is not: what is small need not be asked.
    ///
    /// # Errors
    /// As [`Subject::record`].
    fn bytes<T: Real>(&self, _in_full: bool) -> Result<u128, ModelError> {
        Ok(0)
    }
}

impl<T: Real> Recording<T> {
    /// A step of which readers know its loss and nothing else.
    pub fn new(tape: Tape<T>, loss: Var) -> Self {
        Recording { tape, loss, handles: Handles::default() }
    }

    /// What a batch gives to an input.
    pub fn given<'a>(&self, input: Option<Var>, batch: &'a [Given]) -> Option<&'a [f64]> {
        let name = self.tape.name(input?);
        batch.iter().find(|given| given.name == name).map(|given| &given.elements[..])
    }

    /// Gives a batch to the inputs.
    ///
    /// # Panics
    /// If an input is missing or has another number of elements.
    pub fn give(&mut self, batch: &[Given]) {
        for Given { name, elements } in batch {
            let var = self.tape.find(name).expect("an input of the recording");
            let place = self.tape.value_mut(var);
            assert_eq!(place.len(), elements.len(), "elements of {name}");
            place.iter_mut().zip(elements).for_each(|(x, &e)| *x = T::from_f64(e));
        }
    }

    /// Sets all parameters.
    ///
    /// # Panics
    /// If their number is another.
    pub fn set_parameters<S: Real>(&mut self, parameters: &[S]) {
        let own = self.tape.parameters_mut();
        assert_eq!(own.len(), parameters.len(), "parameters of another model");
        own.iter_mut().zip(parameters).for_each(|(p, x)| *p = T::from_f64(x.to_f64()));
    }

    /// What a token's prediction is made of: the logits, or what they are computed from token by token.
    pub fn predictions(&self) -> Option<Var> {
        self.handles.logits.or(self.handles.last)
    }

    /// The loss of what is given.
    pub fn forward(&mut self) -> T {
        self.tape.forward();
        self.tape.elements(self.loss)[0]
    }

    /// Predict, and propagate back from zeroed gradients; the loss.
    pub fn step(&mut self) -> T {
        let loss = self.forward();
        self.tape.zero_gradients();
        self.tape.backward(self.loss);
        loss
    }
}

/// In how many parts a run replays a batch.
pub fn parts(config: &TrainingConfig) -> u64 {
    (config.batch / sequences_at_once(config.batch, config.context)) as u64
}

/// Draws batch number n: tokens and targets.
pub type Batches<'a> = Arc<dyn Fn(u64) -> (Vec<u32>, Vec<u32>) + Send + Sync + 'a>;

/// A GPT-2's training step as a [`Subject`].
#[derive(Clone)]
pub struct ModelStep<'a> {
    /// The model's sizes.
    pub config: Architecture,
    /// Sequences of a batch.
    pub sequences: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Selects dropout's masks.
    pub seed: u64,
    /// Where batches come from.
    pub batches: Batches<'a>,
}

impl<'a> ModelStep<'a> {
    /// The step that a training run takes, in parts as large as the run replays at once: batch number n
    /// of this step is part n mod p of the run's batch n div p, with p = [`parts`].
    pub fn of_run(config: &TrainingConfig, model: &Architecture, corpus: &'a Corpus) -> Self {
        let (seed, length) = (config.seed, config.context);
        let sequences = config.batch / parts(config) as usize;
        ModelStep {
            config: model.clone(),
            sequences,
            length,
            seed,
            // Windows are numbered through all batches, so that a part is drawn as a smaller batch is.
            batches: Arc::new(move |number| {
                let size = sequences * length;
                let (mut tokens, mut targets) = (vec![0; size], vec![0; size]);
                corpus.fill(seed, number, length, &mut tokens, &mut targets);
                (tokens, targets)
            }),
        }
    }

    /// The same step on smaller batches: the first tokens of the first sequences.
    pub fn smaller(&self, sequences: usize, length: usize) -> Self {
        let (sequences, length) = (sequences.min(self.sequences), length.min(self.length));
        let (whole, batches) = (self.length, Arc::clone(&self.batches));
        let cut = move |all: Vec<u32>| -> Vec<u32> {
            all.chunks(whole).take(sequences).flat_map(|s| s[..length].to_vec()).collect()
        };
        ModelStep {
            sequences,
            length,
            batches: Arc::new(move |number| {
                let (tokens, targets) = batches(number);
                (cut(tokens), cut(targets))
            }),
            ..self.clone()
        }
    }

    /// The step in one of its two recordings, with the marks of its parts.
    ///
    /// # Errors
    /// As [`Subject::record`].
    pub fn recorded<T: Real>(&self, form: Form) -> Result<RecordedStep<T>, ModelError> {
        RecordedStep::record(&self.config, self.sequences, self.length, form, self.seed)
    }

    /// What a batch gives to the inputs, with a step number that selects dropout's masks.
    pub(crate) fn given(&self, tokens: Vec<u32>, targets: Vec<u32>, step: [f64; 2]) -> Vec<Given> {
        let target = |t: u32| if t == IGNORED { infotheory::IGNORED } else { f64::from(t) };
        let mut batch = vec![
            Given { name: "tokens", elements: tokens.into_iter().map(f64::from).collect() },
            Given { name: "targets", elements: targets.into_iter().map(target).collect() },
        ];
        if self.config.dropout > 0.0 {
            batch.push(Given { name: "step", elements: step.into() });
        }
        batch
    }

    fn record_form<T: Real>(&self, form: Form) -> Result<Recording<T>, ModelError> {
        Ok(self.recorded(form)?.into_recording())
    }
}

impl Subject for ModelStep<'_> {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.record_form(Form::Fused)
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        let (tokens, targets) = (self.batches)(number);
        self.given(tokens, targets, dropout::step(number))
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
        let config = Architecture { width, hidden, ..self.config.clone() };
        let parameters = initialised(&config, self.seed).ok()?;
        Some((ModelStep { config, ..self.clone() }, parameters))
    }

    fn bytes<T: Real>(&self, in_full: bool) -> Result<u128, ModelError> {
        let form = if in_full { Form::Textbook } else { Form::Fused };
        RecordedStep::<T>::bytes(&self.config, self.sequences, self.length, form)
    }
}
