//! # A transformer's training step as a value

mod cached_attention;
mod causal_attention;
pub mod check;
pub mod checkpoint;
pub mod config;
pub mod corpus;
pub mod curvature;
mod decoder;
pub mod diagnose;
mod evaluation;
pub mod files;
pub mod health;
mod layers;
mod model;
pub mod precision;
pub mod profile;
pub mod stories;
mod streams;
mod subject;
pub mod tokenizer;
mod trainer;
mod training_config;
mod vocabulary_loss;

pub use cached_attention::CachedAttention;
pub use causal_attention::CausalAttention;
pub use config::Gpt2Config;
pub use corpus::Corpus;
pub use decoder::Decoder;
pub use evaluation::Evaluation;
pub use model::{Form, Gpt2, IGNORED, ModelError};
pub use precision::Precision;
pub use streams::GENERATION as GENERATION_STREAM;
pub use subject::{Batches, Given, GptStep, Recording, Subject, parts};
pub use trainer::{Step, Trainer, matrices};
pub use training_config::{
    OptimizerKind, ScheduleKind, TokenizerKind, TrainingConfig, TrainingConfigError,
};
pub use vocabulary_loss::VocabularyLoss;
