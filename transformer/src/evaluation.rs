//! How well a model predicts a text.

use crate::corpus::Window;
use crate::model::{Gpt2, IGNORED, ModelError};
use linalg::Real;
use std::ops::ControlFlow;

/// A model's cross-entropy on a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Nats per token.
    pub loss: f64,
    /// Tokens predicted.
    pub tokens: usize,
}

impl Evaluation {
    /// Measures a model on all windows, with dropout off. The last batch is filled up with windows
    /// that are not counted.
    ///
    /// # Errors
    /// Tokens that the model does not have, windows of another length than recorded, or no target.
    pub fn of<T: Real>(model: &mut Gpt2<T>, windows: &[Window]) -> Result<Self, ModelError> {
        let whole = Self::of_watched(model, windows, |_| ControlFlow::Continue(()))?;
        Ok(whole.expect("nobody broke it off"))
    }

    /// As [`Evaluation::of`]. `batch` is told after every batch how many windows are measured, and can break off:
    /// then there is no result.
    ///
    /// # Errors
    /// As [`Evaluation::of`].
    pub fn of_watched<T: Real>(
        model: &mut Gpt2<T>,
        windows: &[Window],
        mut batch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Self>, ModelError> {
        let (mut nats, mut tokens, mut done) = (0.0, 0, 0);
        let size = model.batch();
        let (mut x, mut y) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for these in windows.chunks(model.sequences()) {
            x.clear();
            y.clear();
            for window in these {
                x.extend(&window.tokens);
                y.extend(&window.targets);
            }
            if these.len() < model.sequences() {
                x.resize(size, 0);
                y.resize(size, IGNORED);
            }
            let counted = y.iter().filter(|&&t| t != IGNORED).count();
            if counted > 0 {
                nats += model.loss(&x, &y)? * counted as f64;
                tokens += counted;
            }
            done += these.len();
            if batch(done).is_break() {
                return Ok(None);
            }
        }
        if tokens == 0 {
            Err(ModelError::NoTarget)
        } else {
            Ok(Some(Evaluation { loss: nats / tokens as f64, tokens }))
        }
    }
}
