//! Predicts the next token of each of several texts, from new tokens and the cached keys and values of those before.

use crate::memory;
use crate::model::architecture::Architecture;
use crate::model::layers::{self, BlockMarks, Context};
use crate::model::recorded_step::{Form, ModelError, Without};
use calculus::{Recorder, Tape, Var};
use linalg::{Real, Shape, gather::Gather};

/// A recorded forward pass for new tokens of every text. Parameters are in the order of [`crate::RecordedStep`].
pub(crate) struct CachedStep<T: Real> {
    pub(crate) tape: Tape<T>,
    read: Read,
    context: usize,
    texts: usize,
    /// The new tokens of a text in the last replay.
    tokens: usize,
}

/// The values of a forward pass that are set or read.
struct Read {
    tokens: Var,
    positions: Var,
    filled: Var,
    newest: Var,
    logits: Var,
    blocks: Vec<BlockMarks>,
}

impl Read {
    /// The values that are read after a replay.
    fn outputs(&self) -> Vec<Var> {
        let new = self.blocks.iter().flat_map(|block| [block.key, block.value]);
        new.chain([self.logits]).collect()
    }
}

/// The most tokens of a text that are read at once, where one text is read. A matrix of weights is read from memory once for
/// all of them; more would hardly be faster.
const AT_ONCE: usize = 256;

impl<T: Real> CachedStep<T> {
    /// Returns the bytes that [`CachedStep::record`] would allocate.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub(crate) fn bytes(config: &Architecture, texts: usize) -> Result<u128, ModelError> {
        let (mut recorder, read) = Self::written(config, texts)?;
        Ok(recorder.bytes_for_outputs(&read.outputs()))
    }

    /// Records the prediction for `texts` texts: of one text after up to [`CachedStep::most`] new tokens, of several after
    /// one new token each.
    ///
    /// # Errors
    /// Sizes that contradict each other or need more memory than is available.
    pub(crate) fn record(config: &Architecture, texts: usize) -> Result<Self, ModelError> {
        let (mut recorder, read) = Self::written(config, texts)?;
        let outputs = read.outputs();
        memory::afford(recorder.bytes_for_outputs(&outputs))?;
        let tape = recorder.finish_for_outputs(&outputs);
        let tokens = tape.shape(read.tokens).columns / texts;
        let mut step = CachedStep { tape, read, context: config.context, texts, tokens };
        step.set_tokens(1);
        Ok(step)
    }

    /// Returns the most tokens of a text that are read at once.
    pub(crate) fn most(config: &Architecture, texts: usize) -> usize {
        if texts == 1 { AT_ONCE.min(config.context) } else { 1 }
    }

    /// Records the prediction before its memory is allocated.
    fn written(config: &Architecture, texts: usize) -> Result<(Recorder<T>, Read), ModelError> {
        config.validate()?;
        let mut recorder = Recorder::new();
        let r = &mut recorder;
        let length = Self::most(config, texts);
        let all = Shape::new(1, texts * length);
        let tokens = r.input("tokens", all)?; // 1×n·texts
        let positions = r.input("positions", all)?; // 1×n·texts
        let filled = r.input("filled", Shape::new(1, texts))?; // 1×texts
        let newest = r.input("newest", Shape::new(1, texts))?; // 1×texts
        let (form, without) = (Form::Fused, Without::default());
        let cached = Some(filled);
        let c = Context { config, length, form, without, dropout: None, cached, first: None };
        let marks = layers::network(c, r, tokens, positions)?;
        // Only the last new token of a text predicts.
        let last = r.push("last", Gather, [marks.last, newest])?; // d×texts
        let logits = layers::logits(config, r, last, marks.table)?; // V×texts
        Ok((recorder, Read { tokens, positions, filled, newest, logits, blocks: marks.blocks }))
    }

    /// Reads the same number of tokens of every text, one text after another, from position `place` on, and caches their
    /// keys and values.
    pub(crate) fn advance(&mut self, tokens: &[u32], place: usize) {
        let (texts, n) = (self.texts, tokens.len() / self.texts);
        self.set_tokens(n);
        let tape = &mut self.tape;
        for (x, &token) in tape.value_mut(self.read.tokens).iter_mut().zip(tokens) {
            *x = T::from_f64(f64::from(token));
        }
        for (i, x) in tape.value_mut(self.read.positions).iter_mut().enumerate() {
            *x = T::from_f64((place + i % n) as f64);
        }
        tape.value_mut(self.read.filled).fill(T::from_f64(place as f64));
        for (text, x) in tape.value_mut(self.read.newest).iter_mut().enumerate() {
            *x = T::from_f64((text * n + n - 1) as f64);
        }
        tape.forward();
        for block in &self.read.blocks {
            let caches = block.caches.into_iter().flatten();
            for (own, cache) in [block.key, block.value].into_iter().zip(caches) {
                // A view's column lies in the matrix that it views.
                let (matrix, rows) = tape.root(own);
                let stride = tape.shape(matrix).rows;
                for column in 0..texts * n {
                    let [start, end] = [rows.start, rows.end].map(|row| column * stride + row);
                    let to = (column / n * self.context + place + column % n) * rows.len();
                    tape.copy(matrix, start..end, cache, to);
                }
            }
        }
    }

    /// Makes the next replay one of n new tokens of every text.
    fn set_tokens(&mut self, n: usize) {
        if n != self.tokens {
            let columns = [self.read.tokens, self.read.positions].map(|var| (var, n * self.texts));
            self.tape.set_columns(&columns).expect("rules that hold for any number of tokens");
            self.tokens = n;
        }
    }

    /// Returns the logits of every text's next token, one text after another.
    pub(crate) fn logits(&self) -> &[T] {
        self.tape.elements(self.read.logits)
    }
}
