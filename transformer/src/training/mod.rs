//! Training: settings, the loop's step, and the loss on text that is held back.

pub(crate) mod config;
pub(crate) mod evaluation;
pub(crate) mod preset;
pub(crate) mod trainer;
