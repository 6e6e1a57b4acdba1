//! A decoder: its parts, the network that they make, and the step that is recorded from it.
//!
//! [`architecture`] describes the parts, `layers` records them in the order of the network, and [`family`] knows how
//! GPT-2 and Llama are stored. Nothing else asks which of them a model is.

// A new operation is a file and a line here.
linalg::operations! {
    pub(crate) mod cached_attention: CachedAttention;
    pub(crate) mod causal_attention: CausalAttention;
    pub(crate) mod vocabulary_loss: VocabularyLoss;
}

pub mod architecture;
pub(crate) mod cached;
pub mod family;
pub(crate) mod layers;
pub(crate) mod recorded_step;
pub(crate) mod recording;
