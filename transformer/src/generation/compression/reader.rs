//! Predicts the next token of several texts in lock-step.

use crate::model::architecture::Architecture;
use crate::model::cached::CachedStep;
use crate::model::recorded_step::ModelError;

/// A recorded prediction of one token of every text after those that were read: [`crate::Decoder`] for several texts.
///
/// When the context is full, its first half is forgotten and the rest is read again from position 0, because learned
/// positions cannot slide. A prediction sees at least half a context, once there are that many tokens; every token is
/// read twice.
pub(super) struct Reader {
    step: CachedStep<f32>,
    context: usize,
    texts: usize,
    /// The tokens in the caches: one of every text at every position.
    read: Vec<Vec<u32>>,
}

impl Reader {
    /// Records the prediction for `texts` texts; parameters are in the order of [`crate::RecordedStep`].
    pub(super) fn new(
        config: &Architecture,
        parameters: &[f32],
        texts: usize,
    ) -> Result<Self, ModelError> {
        let mut step = CachedStep::<f32>::record(config, texts)?;
        step.tape.parameters_mut().copy_from_slice(parameters);
        let context = config.context;
        Ok(Reader { step, context, texts, read: Vec::with_capacity(context) })
    }

    /// Reads a token of every text.
    pub(super) fn read(&mut self, tokens: &[u32]) {
        if self.read.len() == self.context {
            let later = self.read.split_off(self.context.div_ceil(2));
            self.read.clear();
            later.into_iter().for_each(|tokens| self.advance(tokens));
        }
        self.advance(tokens.to_vec());
    }

    /// Returns the logits of a text's next token.
    pub(super) fn logits(&self, text: usize) -> impl Iterator<Item = f32> {
        let all = self.step.logits();
        let vocabulary = all.len() / self.texts;
        all[text * vocabulary..(text + 1) * vocabulary].iter().copied()
    }

    fn advance(&mut self, tokens: Vec<u32>) {
        self.step.advance(&tokens, self.read.len());
        self.read.push(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recorded_step::{Form, RecordedStep};

    fn model() -> (Architecture, Vec<f32>) {
        let config = Architecture {
            vocabulary: 11,
            context: 8,
            width: 16,
            heads: 2,
            layers: 2,
            hidden: 64,
            ..Default::default()
        };
        let mut model = RecordedStep::<f32>::record(&config, 1, 8, Form::Fused, 0).unwrap();
        model.initialise(5);
        // Weights large enough that predictions differ.
        let parameters = model.tape().parameters().iter().map(|p| p * 5.0).collect();
        (config, parameters)
    }

    /// The rounding of logits of size 1: sums of up to 64 terms in another order, through two layers.
    const SLACK: f32 = 1024.0 * f32::EPSILON;

    fn token(text: usize, t: usize) -> u32 {
        ((7 * t + 3 * text + t * t) % 11) as u32
    }

    #[test]
    fn a_text_is_read_in_company_as_alone() {
        let (config, parameters) = model();
        let mut together = Reader::new(&config, &parameters, 5).unwrap();
        let mut alone: Vec<Reader> =
            (0..5).map(|_| Reader::new(&config, &parameters, 1).unwrap()).collect();
        for t in 0..30 {
            together.read(&[0, 1, 2, 3, 4].map(|text| token(text, t)));
            for (text, reader) in alone.iter_mut().enumerate() {
                reader.read(&[token(text, t)]);
                let difference =
                    together.logits(text).zip(reader.logits(0)).map(|(a, b)| (a - b).abs());
                let most = difference.fold(0.0, f32::max);
                assert!(most <= SLACK, "text {text}, token {t}: off by {most}");
            }
        }
    }

    #[test]
    fn predictions_are_those_of_the_model_on_the_same_window() {
        let (config, parameters) = model();
        let mut reader = Reader::new(&config, &parameters, 1).unwrap();
        let mut window: Vec<u32> = Vec::new();
        for t in 0..30 {
            if window.len() == config.context {
                window.drain(..4);
            }
            window.push(token(0, t));
            reader.read(&[token(0, t)]);
            let n = window.len();
            let mut whole =
                RecordedStep::<f32>::record_forward_only(&config, 1, n, Form::Textbook).unwrap();
            whole.copy_parameters(&parameters);
            whole.loss(&window, &vec![0; n]).unwrap();
            let expected = whole.tape().value(whole.logits_var().unwrap());
            for (i, found) in reader.logits(0).enumerate() {
                let error = (found - expected[(i, n - 1)]).abs();
                assert!(error <= SLACK, "token {t}: off by {error}");
            }
        }
    }
}
