//! Predicts one token of each of several texts, from cached keys and values.

use crate::memory;
use crate::model::architecture::Architecture;
use crate::model::layers::{self, BlockMarks, Context};
use crate::model::recorded_step::{Form, ModelError, Without};
use calculus::{Recorder, Tape, Var};
use linalg::{Real, Shape};

/// A recorded forward pass for one token of every text. Parameters are in the order of [`crate::RecordedStep`].
pub(crate) struct CachedStep<T: Real> {
    pub(crate) tape: Tape<T>,
    tokens: Var,
    positions: Var,
    logits: Var,
    blocks: Vec<BlockMarks>,
    context: usize,
}

impl<T: Real> CachedStep<T> {
    /// Returns the bytes that [`CachedStep::record`] would allocate.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub(crate) fn bytes(config: &Architecture, texts: usize) -> Result<u128, ModelError> {
        Ok(Self::written(config, texts)?.0.bytes_forward_only())
    }

    /// Records the prediction for `texts` texts.
    ///
    /// # Errors
    /// Sizes that contradict each other or need more memory than is available.
    pub(crate) fn record(config: &Architecture, texts: usize) -> Result<Self, ModelError> {
        let (recorder, [tokens, positions, logits], blocks) = Self::written(config, texts)?;
        memory::afford(recorder.bytes_forward_only())?;
        let tape = recorder.finish_forward_only();
        Ok(CachedStep { tape, tokens, positions, logits, blocks, context: config.context })
    }

    /// Records the prediction before its memory is allocated; returns also tokens, positions and logits.
    fn written(
        config: &Architecture,
        texts: usize,
    ) -> Result<(Recorder<T>, [Var; 3], Vec<BlockMarks>), ModelError> {
        config.validate()?;
        let mut recorder = Recorder::new();
        let r = &mut recorder;
        let row = Shape::new(1, texts);
        let tokens = r.input("tokens", row)?; // 1×texts
        let positions = r.input("positions", row)?; // 1×texts
        let (form, without) = (Form::Fused, Without::default());
        let cached = Some(positions);
        let c = Context { config, length: 1, form, without, dropout: None, cached, first: None };
        let marks = layers::network(c, r, tokens, positions)?;
        let logits = layers::logits(config, r, marks.last, marks.table)?; // V×texts
        Ok((recorder, [tokens, positions, logits], marks.blocks))
    }

    /// Reads a token of every text at position `place`, and caches its keys and values.
    pub(crate) fn advance(&mut self, tokens: &[u32], place: usize) {
        let tape = &mut self.tape;
        for (x, &token) in tape.value_mut(self.tokens).iter_mut().zip(tokens) {
            *x = T::from_f64(f64::from(token));
        }
        tape.value_mut(self.positions).fill(T::from_f64(place as f64));
        tape.forward();
        for block in &self.blocks {
            let caches = block.caches.into_iter().flatten();
            for (own, cache) in [block.key, block.value].into_iter().zip(caches) {
                // A view's column lies in the matrix that it views.
                let (matrix, rows) = tape.root(own);
                let stride = tape.shape(matrix).rows;
                for text in 0..tokens.len() {
                    let [start, end] = [rows.start, rows.end].map(|row| text * stride + row);
                    let to = (text * self.context + place) * rows.len();
                    tape.copy(matrix, start..end, cache, to);
                }
            }
        }
    }

    /// Returns the logits of every text's next token, one text after another.
    pub(crate) fn logits(&self) -> &[T] {
        self.tape.elements(self.logits)
    }
}
