//! Generation: the writer reads a prompt, draws a token, reads it, draws the next.

use crate::generation::decoder::Decoder;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::ModelError;
use crate::streams;
use linalg::Real;
use probability::random::Random;
use probability::sample::{SampleError, Sampler};
use std::fmt;
use thiserror::Error;

/// A failure to generate.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// An empty prompt, from which nothing is predicted.
    #[error("the prompt is empty; give at least one token")]
    Empty,
    /// An invalid model, or a token outside the vocabulary.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A setting out of range, or logits that are NaN.
    #[error(transparent)]
    Sample(#[from] SampleError),
}

/// A [`Decoder`] with parameters, and the logits of the next token.
///
/// ```
/// use probability::sample::Sampler;
/// use transformer::{Architecture, Writer};
/// let config = Architecture { vocabulary: 5, context: 8, width: 16, heads: 2, layers: 1, ..Default::default() };
/// let parameters: Vec<f32> = (0..config.parameters()).map(|i| (i as f32).sin()).collect();
/// let mut writer = Writer::new(&config, &parameters, None)?;
/// let greedy = Sampler { temperature: 0.0, ..Sampler::default() };
/// let tokens: Vec<u32> = writer.write(&[3, 1], greedy, 7)?.take(4).collect::<Result<_, _>>()?;
/// assert_eq!(tokens.len(), 4);
/// # Ok::<(), transformer::WriteError>(())
/// ```
pub struct Writer<T: Real> {
    decoder: Decoder<T>,
    logits: Vec<f64>,
    /// The tokens read, for the repetition penalty.
    history: Vec<u32>,
}

impl<T: Real> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("decoder", &self.decoder)
            .field("read", &self.history.len())
            .finish_non_exhaustive()
    }
}

impl<T: Real> Writer<T> {
    /// Records the model. Tokens that do not fit the context are forgotten up to a `boundary` token, if there is one:
    /// see [`Decoder`].
    ///
    /// # Errors
    /// Sizes that contradict each other.
    ///
    /// # Panics
    /// If the number of parameters is not the configuration's.
    pub fn new(
        config: &Architecture,
        parameters: &[T],
        boundary: Option<u32>,
    ) -> Result<Self, ModelError> {
        let mut decoder = Decoder::record(config)?;
        decoder.parameters_mut().copy_from_slice(parameters);
        decoder.set_boundary(boundary);
        Ok(Writer { decoder, logits: Vec::new(), history: Vec::new() })
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.decoder.clear();
        self.logits.clear();
        self.history.clear();
    }

    /// Returns the tokens that were read since the beginning or [`Writer::clear`].
    pub fn tokens(&self) -> &[u32] {
        &self.history
    }

    /// Reads a token; returns the logits of the next one.
    ///
    /// # Errors
    /// A token outside the vocabulary.
    pub fn read(&mut self, token: u32) -> Result<&[f64], ModelError> {
        self.read_all(&[token])
    }

    /// Reads tokens in order, many at once; returns the logits of the next one.
    ///
    /// # Errors
    /// A token outside the vocabulary; then none is read.
    pub fn read_all(&mut self, tokens: &[u32]) -> Result<&[f64], ModelError> {
        if tokens.is_empty() {
            return Ok(&self.logits);
        }
        let logits = self.decoder.read_all(tokens)?;
        self.history.extend_from_slice(tokens);
        self.logits.clear();
        self.logits.extend(logits.iter().map(|z| z.to_f64()));
        Ok(&self.logits)
    }

    /// Reads `prompt` after the earlier tokens; returns an endless iterator over the tokens that follow. Token i is
    /// chosen by random number i of the seed.
    ///
    /// # Errors
    /// A token outside the vocabulary, or nothing to continue from.
    pub fn write(
        &mut self,
        prompt: &[u32],
        sampler: Sampler,
        seed: u64,
    ) -> Result<Written<'_, T>, WriteError> {
        self.read_all(prompt)?;
        if self.logits.is_empty() {
            return Err(WriteError::Empty);
        }
        let random = Random::new(seed, streams::GENERATION, 0);
        Ok(Written { writer: self, sampler, random, drawn: 0, last: None })
    }
}

/// The tokens that a [`Writer`] generates. Each is read when the next one is requested.
#[must_use = "nothing is drawn until it is iterated"]
pub struct Written<'a, T: Real> {
    writer: &'a mut Writer<T>,
    sampler: Sampler,
    random: Random,
    drawn: u64,
    last: Option<u32>,
}

impl<T: Real> fmt::Debug for Written<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("sampler", &self.sampler)
            .field("drawn", &self.drawn)
            .finish_non_exhaustive()
    }
}

impl<T: Real> Iterator for Written<'_, T> {
    type Item = Result<u32, WriteError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut draw = || {
            if let Some(last) = self.last {
                self.writer.read(last)?;
            }
            let u = self.random.uniform(self.drawn);
            let Writer { history, logits, .. } = &*self.writer;
            let token = self.sampler.draw_after(history, logits, u)? as u32;
            self.drawn += 1;
            self.last = Some(token);
            Ok(token)
        };
        Some(draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recorded_step::{Form, RecordedStep};

    fn model() -> (Architecture, Vec<f64>) {
        let config = Architecture {
            vocabulary: 9,
            context: 12,
            width: 8,
            layers: 2,
            ..Architecture::default()
        };
        let parameters = (0..config.parameters()).map(|i| (i as f64 * 0.7).sin()).collect();
        (config, parameters)
    }

    #[test]
    fn reading_one_by_one_is_reading_at_once() {
        let (config, parameters) = model();
        let tokens = [3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 8, 0];
        let mut whole =
            RecordedStep::<f64>::record_forward_only(&config, 1, 12, Form::Textbook).unwrap();
        whole.copy_parameters(&parameters);
        whole.loss(&tokens, &tokens).unwrap();
        let expected = whole.tape().value(whole.logits_var().unwrap());
        let mut writer = Writer::new(&config, &parameters, None).unwrap();
        for (token, expected) in tokens.iter().zip(expected.column_iter()) {
            for (found, expected) in writer.read(*token).unwrap().iter().zip(expected.iter()) {
                // Sums of up to 32 terms, through two blocks.
                assert!((found - expected).abs() <= 1e-13 * (1.0 + expected.abs()));
            }
        }
    }

    #[test]
    fn the_same_seed_writes_the_same_and_a_longer_text_goes_on() {
        let (config, parameters) = model();
        let mut writer = Writer::new(&config, &parameters, None).unwrap();
        let sampler = Sampler::default();
        let mut write = |seed, count| {
            writer.clear();
            let written = writer.write(&[1], sampler, seed).unwrap().take(count);
            written.collect::<Result<Vec<u32>, _>>().unwrap()
        };
        let long = write(1, 30); // past the end of the context
        assert_eq!(write(1, 7), long[..7]);
        assert_ne!(write(2, 30), long);
    }

    #[test]
    fn nothing_follows_nothing() {
        let (config, parameters) = model();
        let mut writer = Writer::new(&config, &parameters, None).unwrap();
        let sampler = Sampler::default();
        assert_eq!(writer.write(&[], sampler, 0).err(), Some(WriteError::Empty));
        let error = writer.write(&[9], sampler, 0).err().unwrap().to_string();
        assert!(error.contains("token 9"), "{error}");
    }
}
