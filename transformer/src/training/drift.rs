//! How far a model moved from its reference: the divergence of their predictions.

use crate::model::recorded_step::{IGNORED, ModelError, RecordedStep, is_counted};
use crate::text::corpus::{Corpus, Window};
use linalg::{Matrix, Real, View, product_into, transposed};
use probability::softmax::log_softmax;

/// The predictions of a reference for some tokens of held-back answers, from which those of a model can be measured.
#[derive(Debug)]
pub(super) struct Drift {
    windows: Vec<Window>,
    /// The places in the windows, one after another.
    places: Vec<usize>,
    /// ln p of every token of the vocabulary, a column a place.
    reference: Vec<f32>,
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
        let most = (Self::NUMBERS / model.config().vocabulary).clamp(1, Self::TOKENS);
        let mut windows = corpus.validation_sample(model.length(), model.batch());
        windows.truncate(model.sequences());
        let targets = windows.iter().flat_map(|window| &window.targets).enumerate();
        let counted: Vec<usize> =
            targets.filter(|(_, target)| is_counted(**target)).map(|(i, _)| i).collect();
        let taken = counted.len().min(most);
        let places = (0..taken).map(|i| counted[i * counted.len() / taken]).collect();
        let mut drift = Drift { windows, places, reference: vec![] };
        drift.reference = drift.predictions(model)?.concat();
        Ok(drift)
    }

    /// Returns KL(model ‖ reference) in nats, the mean over the tokens.
    pub(super) fn divergence<T: Real>(
        &self,
        model: &mut RecordedStep<T>,
    ) -> Result<f64, ModelError> {
        let words = model.config().vocabulary;
        let predictions = self.predictions(model)?;
        let of_token = |(own, reference): (&Vec<f32>, &[f32])| {
            let terms = own.iter().zip(reference).map(|(&p, &q)| {
                let (p, q) = (f64::from(p), f64::from(q));
                // Each term is at least 0: p ln(p/q) − p + q.
                p.exp() * (p - q) - p.exp() + q.exp()
            });
            terms.sum::<f64>()
        };
        let tokens = predictions.iter().zip(self.reference.chunks(words));
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
        let last = model.last(&tokens, &targets)?;
        let (width, words) = (model.config().width, model.config().vocabulary);
        let table = model.tape().value(model.marks().table);
        let read: Vec<T> =
            self.places.iter().flat_map(|p| &last[p * width..(p + 1) * width]).copied().collect();
        let mut logits = Matrix::<T>::zeros(words, self.places.len());
        let read = View::from_slice(&read, width, self.places.len());
        product_into(logits.as_view_mut(), T::one(), transposed(table), read);
        let cap = model.config().logit_cap;
        let capped = |z: &T| match cap {
            Some(cap) => cap * (z.to_f64() / cap).tanh(),
            None => z.to_f64(),
        };
        let columns = logits.as_slice().chunks(words).map(|z| {
            let z: Vec<f64> = z.iter().map(capped).collect();
            log_softmax(&z).into_iter().map(|x| x as f32).collect()
        });
        Ok(columns.collect())
    }
}
