//! The end of a recorded step: predictions and their loss.

use crate::memory;
use crate::model::architecture::Architecture;
use crate::model::layers::{self, Marks};
use crate::model::recorded_step::{Form, ModelError, RecordedStep};
use crate::model::recording::PairHandles;
use crate::model::target::pairs_of;
use crate::model::vocabulary_distillation::VocabularyDistillation;
use crate::model::vocabulary_loss::VocabularyLoss;
use crate::model::vocabulary_surprisal::VocabularySurprisal;
use calculus::{RecordError, Recorder, Tape, Var};
use infotheory::divergence::Divergence;
use infotheory::objective::distillation::Distillation;
use infotheory::preference::PreferenceLoss;
use infotheory::surprisal::{MeanOverTargets, Surprisal};
use linalg::add::Add;
use linalg::scale::Scale;
use linalg::{Matrix, Real, Shape, View, product_into, transposed};
use probability::softmax::Softmax;

/// The predictions of a textbook recording, formula by formula.
#[derive(Clone, Copy, Debug)]
pub struct Predictions {
    /// A score for every token of the vocabulary (V × n).
    pub logits: Var,
    /// Their softmax (V × n).
    pub probabilities: Var,
    /// −ln of the target's probability, in nats (1 × n).
    pub surprisal: Var,
}

/// Allocates every value and gradient its own memory.
pub(super) fn kept<T: Real>(recorder: Recorder<T>, _: Var) -> Result<Tape<T>, ModelError> {
    memory::afford(recorder.bytes())?;
    Ok(recorder.finish())
}

/// A recorded loss (1 × 1), and what it is computed from.
pub(super) struct Loss {
    pub(super) loss: Var,
    pub(super) predictions: Option<Predictions>,
    pub(super) pairs: Option<PairHandles>,
    pub(super) teacher: Option<Var>,
}

/// Records the loss of targets (1 × n): the mean of their nats, with those of a teacher's divergence, or that of preferences.
pub(super) fn record<T: Real>(
    config: &Architecture,
    form: Form,
    r: &mut Recorder<T>,
    (marks, targets): (&Marks, Var),
    mean: VocabularyLoss,
) -> Result<Loss, RecordError> {
    let (x, table) = (marks.last, marks.table); // d×n, d×V
    let cap = config.logit_cap;
    let predictions = match form {
        Form::Fused => None,
        Form::Textbook => {
            let logits = layers::logits(config, r, x, table)?; // V×n
            let probabilities = r.push("probabilities", Softmax, [logits])?; // V×n
            let surprisal = r.push("surprisal", Surprisal, [probabilities, targets])?; // 1×n
            Some(Predictions { logits, probabilities, surprisal })
        }
    };
    let head = VocabularyLoss { cap, ..mean };
    let Some(preference) = config.preference else {
        // Without weight, a teacher changes no bit.
        let distillation = config.distillation.filter(Distillation::uses_the_teacher);
        let logits = Shape::new(r.shape(table).columns, r.shape(x).columns);
        let teacher = distillation.map(|_| r.input("teacher", logits)).transpose()?; // V×n
        let loss = match (&predictions, distillation.zip(teacher)) {
            (None, None) => r.push("loss", head, [table, x, targets])?, // 1×1
            (None, Some((distillation, teacher))) => {
                let distilled = VocabularyDistillation { head, distillation };
                r.push("loss", distilled, [table, x, teacher, targets])? // 1×1
            }
            (Some(p), None) => r.push("loss", MeanOverTargets, [p.surprisal, targets])?, // 1×1
            (Some(p), Some(taught)) => {
                let nats = r.scope("distillation", |r| distilled(r, p, taught))?; // 1×n
                r.push("loss", MeanOverTargets, [nats, targets])? // 1×1
            }
        };
        return Ok(Loss { loss, predictions, pairs: None, teacher });
    };
    let surprisal = VocabularySurprisal { cap, chunk: mean.chunk };
    let nats = match &predictions {
        None => r.push("surprisal", surprisal, [table, x, targets])?, // 1×n
        Some(p) => p.surprisal,
    };
    let mut row = |name: &str| r.input(name, Shape::new(1, r.shape(nats).columns)); // 1×n
    let (reference, pairs, sides) = (row("reference")?, row("pairs")?, row("sides")?);
    let loss = r.push("loss", preference, [nats, reference, pairs, sides])?; // 1×1
    let pairs = PairHandles { nats, reference, pairs, sides };
    Ok(Loss { loss, predictions, pairs: Some(pairs), teacher: None })
}

/// Records the nats of every token (1 × n) in learning from a teacher, formula by formula.
fn distilled<T: Real>(
    r: &mut Recorder<T>,
    predictions: &Predictions,
    (Distillation { temperature, weight }, teacher): (Distillation, Var),
) -> Result<Var, RecordError> {
    let mut softened = |whose: &str, logits: Var| {
        r.scope(whose, |r| {
            let logits = r.push("logits", Scale { factor: 1.0 / temperature }, [logits])?; // V×n
            r.push("probabilities", Softmax, [logits]) // V×n
        })
    };
    let own = softened("student", predictions.logits)?;
    let teacher = softened("teacher", teacher)?;
    let divergence = r.push("divergence", Divergence, [teacher, own])?; // 1×n
    let factor = weight * temperature * temperature;
    let from_teacher = r.push("from_teacher", Scale { factor }, [divergence])?; // 1×n
    if weight == 1.0 {
        return Ok(from_teacher);
    }
    let factor = 1.0 - weight;
    let from_text = r.push("from_text", Scale { factor }, [predictions.surprisal])?; // 1×n
    r.push("nats", Add, [from_text, from_teacher]) // 1×n
}

/// The log-ratios of a pair: by how many nats each answer is likelier than under the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogRatios {
    /// Of the chosen answer.
    pub chosen: f64,
    /// Of the rejected answer.
    pub rejected: f64,
}

/// A step on preferences ([`Architecture::preference`]): a batch holds pairs, and the loss is a mean over them.
impl<T: Real> RecordedStep<T> {
    /// Returns the number over which the loss of a batch with these targets is a mean: of predicted tokens, or of pairs.
    pub fn averaged_over(&self, targets: &[u32]) -> usize {
        match self.handles().pairs {
            None => targets.iter().filter(|&&t| super::target::is_counted(t)).count(),
            Some(_) => {
                let sides = pairs_of(targets, self.length()).into_iter().flatten();
                sides.map(|(pair, _)| pair + 1).max().unwrap_or(0)
            }
        }
    }

    /// Sets which pair each token belongs to, and on which side. The reference is unknown until
    /// [`RecordedStep::set_reference`], and a teacher's logits until [`RecordedStep::set_teacher`].
    pub(super) fn set_beside(&mut self, targets: &[u32]) {
        if let Some(teacher) = self.handles().teacher {
            self.tape_mut().value_mut(teacher).fill(T::from_f64(f64::NAN));
        }
        let Some(PairHandles { reference, pairs, sides, .. }) = self.handles().pairs else {
            return;
        };
        let places = pairs_of(targets, self.length());
        let tape = self.tape_mut();
        tape.value_mut(reference).fill(T::from_f64(f64::NAN));
        for (i, place) in places.into_iter().enumerate() {
            let (pair, side) = place.unwrap_or((0, 0.0));
            tape.value_mut(pairs)[i] = T::from_f64(pair as f64);
            tape.value_mut(sides)[i] = T::from_f64(side);
        }
    }

    /// Sets the reference's nats of every token of the batch, after [`RecordedStep::set_batch`]: those of
    /// [`RecordedStep::nats`] under the reference's weights. Nothing is set in a step without preferences.
    ///
    /// # Panics
    /// If their number is not that of tokens.
    pub fn set_reference<S: Real>(&mut self, nats: &[S]) {
        let Some(PairHandles { reference, .. }) = self.handles().pairs else { return };
        let own = self.tape_mut().value_mut(reference);
        assert_eq!(own.len(), nats.len(), "one number a token");
        own.iter_mut().zip(nats).for_each(|(own, x)| *own = T::from_f64(x.to_f64()));
    }

    /// Sets the teacher's logits of every token of the batch (vocabulary × tokens, token by token), after
    /// [`RecordedStep::set_batch`]; −∞ for a token that the teacher excludes. Nothing is set in a step without a teacher.
    ///
    /// # Panics
    /// If their number is not that of the step's logits.
    pub fn set_teacher<S: Real>(&mut self, logits: &[S]) {
        let Some(teacher) = self.handles().teacher else { return };
        let own = self.tape_mut().value_mut(teacher);
        assert_eq!(own.len(), logits.len(), "one logit for a word and a token");
        own.iter_mut().zip(logits).for_each(|(own, z)| *own = T::from_f64(z.to_f64()));
    }

    /// Returns whether the loss has a part of a teacher, which [`RecordedStep::set_teacher`] sets.
    pub fn has_teacher(&self) -> bool {
        self.handles().teacher.is_some()
    }

    /// Returns the nats of every token of a batch, 0 for one without a target, with the arithmetic of training, without
    /// dropout. Any recording of a step on preferences can do it.
    ///
    /// # Errors
    /// See [`RecordedStep::set_batch`].
    ///
    /// # Panics
    /// If the step is not on preferences.
    pub fn nats(&mut self, tokens: &[u32], targets: &[u32]) -> Result<Vec<T>, ModelError> {
        let nats = self.handles().pairs.expect("a step on preferences").nats;
        self.value_of(nats, tokens, targets)
    }

    /// Returns the vectors from which each token's logits are computed (d × n), without dropout.
    ///
    /// # Errors
    /// See [`RecordedStep::set_batch`].
    pub(crate) fn last(&mut self, tokens: &[u32], targets: &[u32]) -> Result<Vec<T>, ModelError> {
        self.value_of(self.marks().last, tokens, targets)
    }

    /// Returns the logits of the tokens at some places of a batch (vocabulary × places), without dropout.
    ///
    /// # Errors
    /// See [`RecordedStep::set_batch`].
    ///
    /// # Panics
    /// If a place is not in the batch.
    pub fn logits_at(
        &mut self,
        (tokens, targets): (&[u32], &[u32]),
        places: &[usize],
    ) -> Result<Matrix<T>, ModelError> {
        let last = self.last(tokens, targets)?;
        let (width, words) = (self.config().width, self.config().vocabulary);
        let read: Vec<T> =
            places.iter().flat_map(|p| &last[p * width..(p + 1) * width]).copied().collect();
        let mut logits = Matrix::<T>::zeros(words, places.len());
        let read = View::from_slice(&read, width, places.len());
        let table = self.tape().value(self.marks().table);
        product_into(logits.as_view_mut(), T::one(), transposed(table), read);
        if let Some(cap) = self.config().logit_cap {
            let cap = T::from_f64(cap);
            logits.iter_mut().for_each(|z| *z = cap * (*z / cap).tanh());
        }
        Ok(logits)
    }

    /// Returns the loss of every token of a batch in nats, without dropout; 0 for a token without a target.
    ///
    /// # Errors
    /// See [`RecordedStep::set_batch`].
    pub fn surprisals(&mut self, tokens: &[u32], targets: &[u32]) -> Result<Vec<f64>, ModelError> {
        let last = self.last(tokens, targets)?;
        Ok(self.of_last(&last, VocabularyLoss::nats).into_iter().map(Real::to_f64).collect())
    }

    /// Returns the mean cross-entropy of a batch in nats per token, without dropout, whatever the loss in training.
    ///
    /// # Errors
    /// See [`RecordedStep::set_batch`].
    pub fn cross_entropy(&mut self, tokens: &[u32], targets: &[u32]) -> Result<f64, ModelError> {
        let plain = !self.has_teacher() && self.preference().is_none();
        if plain {
            return self.loss(tokens, targets);
        }
        let counted = targets.iter().filter(|t| super::target::is_counted(**t)).count();
        Ok(self.surprisals(tokens, targets)?.iter().sum::<f64>() / counted as f64)
    }

    /// Returns the mean loss of a batch in nats per token, without dropout, and for every token whether its target is the
    /// likeliest of all: whether greedy generation would write it after the tokens before it.
    ///
    /// # Errors
    /// See [`RecordedStep::set_batch`].
    pub fn loss_and_hits(
        &mut self,
        tokens: &[u32],
        targets: &[u32],
    ) -> Result<(f64, Vec<bool>), ModelError> {
        let last = self.last(tokens, targets)?;
        let hits = self.of_last(&last, VocabularyLoss::hits);
        let loss = match self.has_teacher() {
            true => {
                let nats = self.of_last(&last, VocabularyLoss::nats).into_iter().map(Real::to_f64);
                nats.sum::<f64>() / self.averaged_over(targets) as f64
            }
            false => self.tape().value(self.loss_var())[0].to_f64(),
        };
        Ok((loss, hits))
    }

    /// Returns what the product with the head finds of every token of the batch, given the vectors of [`RecordedStep::last`].
    fn of_last<R>(
        &self,
        last: &[T],
        find: impl Fn(&VocabularyLoss, [View<'_, T>; 3]) -> Vec<R>,
    ) -> Vec<R> {
        let (tape, table) = (self.tape(), self.marks().table);
        let last = View::from_slice(last, self.config().width, self.batch());
        let head = VocabularyLoss { cap: self.config().logit_cap, ..VocabularyLoss::default() };
        find(&head, [tape.value(table), last, tape.value(self.targets_var())])
    }

    /// Returns an operation's value for a batch.
    fn value_of(
        &mut self,
        var: Var,
        tokens: &[u32],
        targets: &[u32],
    ) -> Result<Vec<T>, ModelError> {
        self.set_batch(tokens, targets)?;
        self.set_step(None);
        let mut found = vec![];
        // A recording for training reuses the memory afterwards.
        self.tape_mut().forward_watched(|computed, value| {
            if computed == var {
                found = value.to_vec();
            }
        });
        Ok(found)
    }

    /// Returns the log-ratios of the pairs of a batch, with the reference's nats of every token.
    ///
    /// # Errors
    /// See [`RecordedStep::set_batch`].
    ///
    /// # Panics
    /// See [`RecordedStep::nats`]; if the numbers of nats and tokens differ.
    pub fn log_ratios<S: Real>(
        &mut self,
        (tokens, targets): (&[u32], &[u32]),
        reference: &[S],
    ) -> Result<Vec<LogRatios>, ModelError> {
        assert_eq!(tokens.len(), reference.len(), "one number a token");
        let nats = self.nats(tokens, targets)?;
        let mut all = vec![LogRatios::default(); self.averaged_over(targets)];
        let gains = nats.iter().zip(reference).map(|(own, r)| r.to_f64() - own.to_f64());
        for (place, gain) in pairs_of(targets, self.length()).into_iter().zip(gains) {
            match place {
                Some((pair, side)) if side > 0.0 => all[pair].chosen += gain,
                Some((pair, _)) => all[pair].rejected += gain,
                None => {}
            }
        }
        Ok(all)
    }

    /// Returns the loss of a step on preferences.
    pub fn preference(&self) -> Option<PreferenceLoss> {
        self.config().preference
    }
}
