//! # A transformer's training step as a value

mod cached_attention;
mod causal_attention;
pub mod config;
mod decoder;
mod layers;
mod model;
mod streams;

pub use cached_attention::CachedAttention;
pub use causal_attention::CausalAttention;
pub use config::Gpt2Config;
pub use decoder::Decoder;
pub use model::{Form, Gpt2, IGNORED, ModelError};
