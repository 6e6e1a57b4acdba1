//! A decoder: its parts, the network built from them, and the recorded step.
//!
//! [`architecture`] describes the parts, `layers` records them in the order of the network, and [`family`] knows how
//! each family of models is stored. No other module depends on the family.

// A new operation is a file and a line here.
linalg::operations! {
    pub(crate) mod cached_attention: CachedAttention;
    pub(crate) mod causal_attention: CausalAttention, PackedAttention;
    pub(crate) mod vocabulary_distillation: VocabularyDistillation;
    pub(crate) mod vocabulary_loss: VocabularyLoss;
    pub(crate) mod vocabulary_surprisal: VocabularySurprisal;
}

pub mod adaptation;
mod adapted;
pub(crate) mod adapters;
pub mod architecture;
pub(crate) mod cached;
pub mod family;
pub(crate) mod frozen;
pub(crate) mod initial;
pub(crate) mod layers;
pub(crate) mod loss;
pub(crate) mod outline;
pub(crate) mod parameter_kind;
mod parameters;
mod recomputation;
pub(crate) mod recorded_step;
pub(crate) mod recording;
pub(crate) mod scores;
mod target;
