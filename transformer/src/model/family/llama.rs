//! Llama: rotary positions, RMS normalisation, shared key-value heads, a gated feed-forward part.
//! Source: Touvron et al. 2023; `LlamaConfig` and `LlamaForCausalLM` of transformers.

use super::{Family, Keys, decoder};
use crate::model::architecture::{Architecture, Biases, ConfigError};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Llama;

impl Family for Llama {
    fn name(&self) -> &'static str {
        "llama"
    }

    /// An empty configuration is Llama 7B.
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let feed_forward = keys.flag("mlp_bias", false)?;
        let biases = decoder::attention_bias(keys, false, Biases { feed_forward, ..Biases::NONE })?;
        decoder::read(keys, Architecture { biases, ..decoder::usual() })
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = decoder::write(a, self.name(), "LlamaForCausalLM");
        config["attention_bias"] = a.biases.query_key_value.into();
        config["mlp_bias"] = a.biases.feed_forward.into();
        config
    }
}
