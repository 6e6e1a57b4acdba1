//! The reference of preferences: the nats of every answer under the model before training.

use crate::model::recorded_step::{ModelError, RecordedStep};
use crate::text::corpus::Corpus;
use linalg::Real;
use std::ops::{ControlFlow, Range};

/// Finds the reference of a corpus of preferences: the nats of every token under this model, with its weights of now. They
/// stay with the windows, and known ones are not computed again: no second model is needed afterwards. Of the windows to
/// train on, those are taken that a run draws with these numbers ([`Corpus::fill`]), or all.
///
/// Calls `batch` with the number of windows that are done, and of all; `batch` can interrupt, and the result is then `false`.
///
/// # Errors
/// Tokens that the model does not have.
///
/// # Panics
/// If the model does not learn preferences ([`crate::Architecture::preference`]).
pub fn refer<T: Real>(
    corpus: &mut Corpus,
    model: &mut RecordedStep<T>,
    numbers: Option<(u64, Range<u64>)>,
    mut batch: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<bool, ModelError> {
    let wanted = corpus.unreferred(numbers);
    let (length, mut done) = (model.length(), 0);
    for some in wanted.chunks(model.sequences()) {
        let (mut tokens, mut targets) = (vec![], vec![]);
        for &place in some {
            let window = corpus.window_of(place);
            tokens.extend(window.tokens);
            targets.extend(window.targets);
        }
        tokens.resize(model.batch(), 0);
        targets.resize(model.batch(), crate::IGNORED);
        let nats = model.nats(&tokens, &targets)?;
        for (&place, nats) in some.iter().zip(nats.chunks(length)) {
            corpus.set_reference(place, nats.iter().map(|x| x.to_f64() as f32).collect());
        }
        done += some.len();
        if batch(done, wanted.len()).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}
