//! How far a model is from its reference or its teacher: the divergence of their predictions.

use crate::model::recorded_step::{IGNORED, ModelError, RecordedStep, is_counted};
use crate::text::corpus::{Corpus, Window};
use crate::text::teacher::{HELD_BACK, Teacher, Windows};
use linalg::Real;
use probability::softmax::log_softmax;

/// The predictions of a reference for some tokens of held-back answers, from which those of a model can be measured.
#[derive(Debug)]
pub(super) struct Drift {
    windows: Vec<Window>,
    /// The places in the windows, one after another.
    places: Vec<usize>,
    /// ln p of every token of the vocabulary, a column a place.
    reference: Vec<f32>,
    /// Whether the reference is a teacher, from which the model's divergence is measured.
    taught: bool,
}

impl Drift {
    /// The most tokens that are compared, and the most numbers of their predictions: 16 MB.
    const TOKENS: usize = 128;
    const NUMBERS: usize = 1 << 22;

    /// Takes the present weights as the reference.
    pub(super) fn of<T: Real>(
        model: &mut RecordedStep<T>,
        corpus: &Corpus,
    ) -> Result<Self, ModelError> {
        let mut drift = Self::on(model, corpus);
        drift.reference = drift.predictions(model)?.concat();
        Ok(drift)
    }

    /// Takes the predictions of the corpus's teacher as the reference.
    pub(super) fn of_teacher<T: Real>(
        model: &RecordedStep<T>,
        corpus: &Corpus,
        teacher: &dyn Teacher,
    ) -> Result<Self, ModelError> {
        let mut drift = Drift { taught: true, ..Self::on(model, corpus) };
        let (words, length) = (model.config().vocabulary, model.length());
        let joined =
            |of: fn(&Window) -> &Vec<u32>| drift.windows.iter().flat_map(of).copied().collect();
        let (tokens, targets): (Vec<u32>, Vec<u32>) =
            (joined(|w| &w.tokens), joined(|w| &w.targets));
        let numbers: Vec<u64> = (0..drift.windows.len() as u64).map(|i| HELD_BACK | i).collect();
        let mut logits = vec![0.0; words * tokens.len()];
        let windows =
            Windows { numbers: Some(&numbers), length, tokens: &tokens, targets: &targets };
        teacher.logits(windows, &mut logits)?;
        let of_place = |&place: &usize| logarithms(&logits[place * words..(place + 1) * words]);
        drift.reference = drift.places.iter().flat_map(of_place).collect();
        Ok(drift)
    }

    /// Chooses the tokens.
    fn on<T: Real>(model: &RecordedStep<T>, corpus: &Corpus) -> Self {
        let most = (Self::NUMBERS / model.config().vocabulary).clamp(1, Self::TOKENS);
        let mut windows = corpus.validation_sample(model.length(), model.batch());
        windows.truncate(model.sequences());
        let targets = windows.iter().flat_map(|window| &window.targets).enumerate();
        let counted: Vec<usize> =
            targets.filter(|(_, target)| is_counted(**target)).map(|(i, _)| i).collect();
        let taken = counted.len().min(most);
        let places = (0..taken).map(|i| counted[i * counted.len() / taken]).collect();
        Drift { windows, places, reference: vec![], taught: false }
    }

    /// Returns KL(model ‖ reference) in nats, or KL(teacher ‖ model), the mean over the tokens.
    pub(super) fn divergence<T: Real>(
        &self,
        model: &mut RecordedStep<T>,
    ) -> Result<f64, ModelError> {
        let words = model.config().vocabulary;
        let predictions = self.predictions(model)?;
        let tokens = predictions.iter().zip(self.reference.chunks(words));
        let of_token = |(own, reference): (&Vec<f32>, &[f32])| match self.taught {
            true => divergence_of(reference, own),
            false => divergence_of(own, reference),
        };
        Ok(tokens.map(of_token).sum::<f64>() / self.places.len() as f64)
    }

    /// Returns ln p of every token of the vocabulary at every place.
    fn predictions<T: Real>(
        &self,
        model: &mut RecordedStep<T>,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let (mut tokens, mut targets) = (vec![], vec![]);
        for window in &self.windows {
            tokens.extend(&window.tokens);
            targets.extend(&window.targets);
        }
        tokens.resize(model.batch(), 0);
        targets.resize(model.batch(), IGNORED);
        let logits = model.logits_at((&tokens, &targets), &self.places)?;
        Ok(logits.as_slice().chunks(logits.nrows()).map(logarithms).collect())
    }
}

/// Returns ln p of the prediction with these logits.
fn logarithms<T: Real>(logits: &[T]) -> Vec<f32> {
    let logits: Vec<f64> = logits.iter().map(|z| z.to_f64()).collect();
    log_softmax(&logits).into_iter().map(|x| x as f32).collect()
}

/// Returns KL(P ‖ Q) of predictions, given their logarithms.
fn divergence_of(p: &[f32], q: &[f32]) -> f64 {
    let terms = p.iter().zip(q).map(|(&p, &q)| {
        let (p, q) = (f64::from(p), f64::from(q));
        // Each term is at least 0: p ln(p/q) − p + q; where P excludes a token, 0·∞ is not the limit.
        let gain = if p == f64::NEG_INFINITY { 0.0 } else { p.exp() * (p - q) };
        gain - p.exp() + q.exp()
    });
    terms.sum()
}
