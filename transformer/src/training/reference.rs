//! The reference of preferences: the nats of every answer under the model before training.

use crate::model::recorded_step::{IGNORED, ModelError, RecordedStep};
use crate::text::corpus::{Corpus, Window};
use linalg::Real;
use std::ops::{ControlFlow, Range};

/// Computes the reference of a corpus of preferences: the nats of every token under this model, with its present weights. They
/// stay with the windows, so that no second model is needed afterwards; known ones are not computed again. `numbers` are
/// the seed and the numbers of windows to train on, as [`Corpus::fill`] draws them; all if absent. All windows to measure on
/// get their reference.
///
/// Calls `batch` with the number of windows that are done, and of all; `batch` can interrupt, and the result is then `false`.
///
/// # Errors
/// Windows of another length than the model's; tokens that it does not have.
///
/// # Panics
/// If the model does not learn preferences ([`crate::Architecture::preference`]).
pub fn refer<T: Real>(
    corpus: &mut Corpus,
    model: &mut RecordedStep<T>,
    numbers: Option<(u64, Range<u64>)>,
    mut batch: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<bool, ModelError> {
    let (wanted, mut done) = (corpus.unreferred(numbers), 0);
    for some in wanted.chunks(model.sequences()) {
        let windows: Vec<Window> = some.iter().map(|&place| corpus.window_of(place)).collect();
        for (&place, nats) in some.iter().zip(nats_of(&windows, model)?) {
            corpus.set_reference(place, nats);
        }
        done += some.len();
        if batch(done, wanted.len()).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Like [`refer`], but of windows alone.
///
/// # Errors
/// See [`refer`].
///
/// # Panics
/// See [`refer`].
pub fn refer_windows<T: Real>(
    windows: &mut [Window],
    model: &mut RecordedStep<T>,
    mut batch: impl FnMut(usize),
) -> Result<(), ModelError> {
    let mut done = 0;
    for some in windows.chunks_mut(model.sequences()) {
        let nats = nats_of(some, model)?;
        some.iter_mut().zip(nats).for_each(|(window, nats)| window.reference = nats);
        done += some.len();
        batch(done);
    }
    Ok(())
}

/// Returns the nats of every token of windows, at most as many as the model reads at once.
fn nats_of<T: Real>(
    windows: &[Window],
    model: &mut RecordedStep<T>,
) -> Result<Vec<Vec<f32>>, ModelError> {
    let (length, size) = (model.length(), model.batch());
    let (mut tokens, mut targets) = (Vec::with_capacity(size), Vec::with_capacity(size));
    for window in windows {
        if window.tokens.len() != length {
            return Err(ModelError::Batch { expected: length, found: window.tokens.len() });
        }
        tokens.extend(&window.tokens);
        targets.extend(&window.targets);
    }
    tokens.resize(size, 0);
    targets.resize(size, IGNORED);
    let nats = model.nats(&tokens, &targets)?;
    let of_window = |nats: &[T]| nats.iter().map(|x| x.to_f64() as f32).collect();
    Ok(nats.chunks(length).take(windows.len()).map(of_window).collect())
}
