//! What `check` and `diagnose` examine: a training step that records itself over any scalar.
//!
//! One code, several scalars: the step is recorded at `f32` as it trains, at `f64` and
//! [`calculus::Dual`] to certify its gradients and to find its curvature, at [`calculus::Witness`] to
//! learn which arithmetic failed. Whoever composes a model from the crates implements [`Subject`] and
//! gets all of that.

use crate::check::initialised;
use crate::corpus::Corpus;
use crate::model::{Form, Gpt2, IGNORED, ModelError};
use crate::trainer::sequences_at_once;
use crate::{Gpt2Config, TrainingConfig};
use calculus::{Tape, Var};
use linalg::Real;
use probability::dropout;
use std::sync::Arc;

/// A recorded step and its loss.
pub struct Recording<T: Real> {
    /// The step.
    pub tape: Tape<T>,
    /// The loss, 1×1.
    pub loss: Var,
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
/// Some certificates look for values by name, where there are such: inputs `tokens` and `targets` (indices
/// in a row, a negative target is ignored), and the value `logits` (classes × tokens); where logits never exist
/// together, `norm`, from which each token's logits are computed.
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
        self.tape.find("logits").or_else(|| self.tape.find("norm"))
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
pub struct GptStep<'a> {
    /// The model's sizes.
    pub config: Gpt2Config,
    /// Sequences of a batch.
    pub sequences: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Selects dropout's masks.
    pub seed: u64,
    /// Where batches come from.
    pub batches: Batches<'a>,
}

impl<'a> GptStep<'a> {
    /// The step that a training run takes, in parts as large as the run replays at once: batch number n
    /// of this step is part n mod p of the run's batch n div p, with p = [`parts`].
    pub fn of_run(config: &TrainingConfig, model: &Gpt2Config, corpus: &'a Corpus) -> Self {
        let (seed, length) = (config.seed, config.context);
        let sequences = config.batch / parts(config) as usize;
        GptStep {
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
        GptStep {
            sequences,
            length,
            batches: Arc::new(move |number| {
                let (tokens, targets) = batches(number);
                (cut(tokens), cut(targets))
            }),
            ..self.clone()
        }
    }

    fn record_form<T: Real>(&self, form: Form) -> Result<Recording<T>, ModelError> {
        let model = Gpt2::record(&self.config, self.sequences, self.length, form, self.seed)?;
        let loss = model.loss_var();
        Ok(Recording { tape: model.into_tape(), loss })
    }
}

impl Subject for GptStep<'_> {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.record_form(Form::Fused)
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        let (tokens, targets) = (self.batches)(number);
        let target = |t: u32| if t == IGNORED { infotheory::IGNORED } else { f64::from(t) };
        let mut batch = vec![
            Given { name: "tokens", elements: tokens.into_iter().map(f64::from).collect() },
            Given { name: "targets", elements: targets.into_iter().map(target).collect() },
        ];
        if self.config.dropout > 0.0 {
            batch.push(Given { name: "step", elements: dropout::step(number).into() });
        }
        batch
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
        let config = Gpt2Config { width, hidden, ..self.config.clone() };
        let parameters = initialised(&config, self.seed).ok()?;
        Some((GptStep { config, ..self.clone() }, parameters))
    }

    fn bytes<T: Real>(&self, in_full: bool) -> Result<u128, ModelError> {
        let form = if in_full { Form::Textbook } else { Form::Fused };
        Gpt2::<T>::bytes(&self.config, self.sequences, self.length, form)
    }
}
