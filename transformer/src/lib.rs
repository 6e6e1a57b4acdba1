//! # A transformer's training step as a value

mod cached_attention;
mod causal_attention;
pub mod checkpoint;
pub mod config;
pub mod corpus;
mod decoder;
mod evaluation;
pub mod explain;
pub mod files;
mod layers;
mod model;
pub mod profile;
pub mod stories;
mod streams;
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
pub use model::{Form, Gpt2, IGNORED, ModelError, Without};
pub use streams::GENERATION as GENERATION_STREAM;
pub use trainer::{Step, Trainer, matrices};
pub use training_config::{
    OptimizerKind, ScheduleKind, TokenizerKind, TrainingConfig, TrainingConfigError,
};
pub use vocabulary_loss::VocabularyLoss;
