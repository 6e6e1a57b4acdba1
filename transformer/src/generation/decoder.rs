//! Prediction of the next token, with a cache of keys and values.

use crate::model::architecture::Architecture;
use crate::model::cached::CachedStep;
use crate::model::recorded_step::ModelError;
use linalg::Real;
use std::fmt;

/// A recorded prediction of the next token after those that were read. Many tokens are read at once, up to 256: each matrix
/// of weights is then read from memory once for all of them.
///
/// When the context is full, the later part of the tokens is read again from position 0, because learned positions
/// cannot slide. That part begins at a *boundary* token if one is set and occurs in the last three quarters, so that a
/// model of lines continues from the beginning of a line; else it is the later half.
///
/// ```
/// use transformer::{Decoder, Architecture};
/// let config = Architecture { vocabulary: 5, context: 8, width: 16, heads: 2, layers: 1, ..Default::default() };
/// let mut decoder = Decoder::<f32>::record(&config)?;
/// let logits = decoder.read(3)?; // after token 3
/// assert_eq!(logits.len(), 5);
/// # Ok::<(), transformer::ModelError>(())
/// ```
pub struct Decoder<T: Real> {
    step: CachedStep<T>,
    vocabulary: usize,
    context: usize,
    /// The most tokens that are read at once.
    most: usize,
    /// The tokens in the caches.
    read: Vec<u32>,
    /// The token at which reading may restart.
    boundary: Option<u32>,
}

impl<T: Real> fmt::Debug for Decoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("vocabulary", &self.vocabulary)
            .field("context", &self.context)
            .field("read", &self.read.len())
            .field("boundary", &self.boundary)
            .finish_non_exhaustive()
    }
}

impl<T: Real> Decoder<T> {
    /// Records the prediction. Parameters are in the order of [`crate::RecordedStep`].
    ///
    /// # Errors
    /// Sizes that contradict each other, or that need more memory than is available.
    pub fn record(config: &Architecture) -> Result<Self, ModelError> {
        let step = CachedStep::record(config, 1)?;
        let Architecture { vocabulary, context, .. } = *config;
        let most = CachedStep::<T>::most(config, 1);
        let read = Vec::with_capacity(context);
        Ok(Decoder { step, vocabulary, context, most, read, boundary: None })
    }

    /// Returns all parameters, in the order of [`crate::RecordedStep`].
    pub fn parameters_mut(&mut self) -> &mut [T] {
        self.step.tape.parameters_mut()
    }

    /// Sets the token at which reading restarts, if possible, when the context is full.
    pub fn set_boundary(&mut self, boundary: Option<u32>) {
        self.boundary = boundary;
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.read.clear();
    }

    /// Reads a token; returns the logits of the next one.
    ///
    /// # Errors
    /// A token outside the vocabulary.
    pub fn read(&mut self, token: u32) -> Result<&[T], ModelError> {
        self.read_all(&[token])
    }

    /// Reads tokens in order; returns the logits of the next one. They equal those after [`Decoder::read`] of each up to
    /// rounding. Without a token, they are those of the last read, which are undefined at the beginning.
    ///
    /// # Errors
    /// A token outside the vocabulary; then none is read.
    pub fn read_all(&mut self, tokens: &[u32]) -> Result<&[T], ModelError> {
        let vocabulary = self.vocabulary;
        if let Some(i) = tokens.iter().position(|&token| token as usize >= vocabulary) {
            let place = self.read.len() + i;
            return Err(ModelError::Token { place, found: tokens[i], vocabulary });
        }
        let mut rest = tokens;
        while !rest.is_empty() {
            if self.read.len() == self.context {
                self.read.drain(..self.later_part());
                for (i, tokens) in self.read.chunks(self.most).enumerate() {
                    self.step.advance(tokens, i * self.most);
                }
            }
            let count = rest.len().min(self.most).min(self.context - self.read.len());
            let (tokens, later) = rest.split_at(count);
            self.step.advance(tokens, self.read.len());
            self.read.extend_from_slice(tokens);
            rest = later;
        }
        Ok(self.step.logits())
    }

    /// Returns the start of the part that is read again.
    fn later_part(&self) -> usize {
        let (context, first) = (self.context, self.context.div_ceil(4));
        let mut places = first..context;
        let boundary = places.find(|&i| Some(self.read[i]) == self.boundary);
        boundary.unwrap_or(context - context / 2)
    }
}
