//! Training: settings, the loop, and the loss on held-out text.

mod architecture;
pub(crate) mod average;
pub(crate) mod config;
mod drift;
pub(crate) mod evaluation;
pub(crate) mod noise_scale;
pub(crate) mod parametrization;
pub mod paths;
pub mod precision;
pub(crate) mod preference_kind;
pub(crate) mod preset;
mod ranges;
pub(crate) mod recipe;
pub(crate) mod reference;
pub(crate) mod teacher;
pub(crate) mod time;
pub(crate) mod tokenizer_choice;
pub(crate) mod trainer;
pub(crate) mod training_loop;
pub(crate) mod training_memory;
