//! A model whose predictions of windows are learned beside their text.

use crate::model::recorded_step::ModelError;
use std::fmt;

/// Windows for a teacher, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// The number of each, if they are those of a run: of the training part, or [`HELD_BACK`] and the number of one to
    /// measure on.
    pub numbers: Option<&'a [u64]>,
    /// The tokens of each.
    pub length: usize,
    /// All tokens.
    pub tokens: &'a [u32],
    /// The token that follows each, as in [`crate::Corpus::fill`].
    pub targets: &'a [u32],
}

/// The bit that distinguishes the number of a window to measure on.
pub const HELD_BACK: u64 = 1 << 63;

/// A model whose predictions of windows are learned beside their text ([`crate::Corpus::set_teacher`]).
pub trait Teacher: fmt::Debug + Send + Sync {
    /// Writes the logits of every token of windows, token by token: as many for each as the student has tokens, −∞ for one
    /// that is excluded. Logits of a token without a target mean nothing.
    ///
    /// # Errors
    /// Windows that the teacher cannot predict.
    ///
    /// # Panics
    /// If the number of logits is no multiple of that of tokens.
    fn logits(&self, windows: Windows<'_>, logits: &mut [f32]) -> Result<(), ModelError>;
}
