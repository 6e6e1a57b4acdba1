//! Comparison of runs and models: which settings differ, which predicts better, and whether that is chance.
//!
//! The losses of two models on one text differ even if the models are equally good. Three questions have three answers:
//!
//! | question | answer | file |
//! |---|---|---|
//! | Which settings differ? | a table of settings and parts | [`settings`] |
//! | Do these weights predict this text better than those? | a paired test over windows of text | [`verdict`] |
//! | Are these *settings* better than those? | a test over runs with several seeds | [`verdict`] |
//!
//! The second answer does not imply the third: with another seed, the same settings give other weights. Tokens of one
//! window depend on each other, so that a window counts as one observation, not each of its tokens.
//!
//! All models read the same text. Where their tokenizers are equal, losses are nats per token; otherwise nats per byte.

pub mod curve;
pub mod divergence;
pub mod dump;
pub mod losses;
pub mod report;
mod rounding;
pub mod settings;
mod text;
pub mod tokens;
pub mod verdict;

pub use curve::Curve;
pub use losses::{Losses, Unit};
pub use report::{Compared, Report};
pub use verdict::Verdict;
