//! How well a model predicts a text.

use crate::corpus::Window;
use crate::model::{Gpt2, IGNORED, ModelError};
use linalg::Real;

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
        let (mut nats, mut tokens) = (0.0, 0);
        let size = model.batch();
        let (mut x, mut y) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for batch in windows.chunks(model.sequences()) {
            x.clear();
            y.clear();
            for window in batch {
                x.extend(&window.tokens);
                y.extend(&window.targets);
            }
            if batch.len() < model.sequences() {
                x.resize(size, 0);
                y.resize(size, IGNORED);
            }
            let counted = y.iter().filter(|&&t| t != IGNORED).count();
            if counted > 0 {
                nats += model.loss(&x, &y)? * counted as f64;
                tokens += counted;
            }
        }
        if tokens == 0 {
            Err(ModelError::NoTarget)
        } else {
            Ok(Evaluation { loss: nats / tokens as f64, tokens })
        }
    }
}
