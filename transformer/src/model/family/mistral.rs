//! Mistral: Llama with a window of attention.
//! Source: Jiang et al., *Mistral 7B*, 2023; `MistralConfig` and `MistralForCausalLM` of transformers.

use super::{Family, Keys, decoder};
use crate::model::architecture::{Architecture, ConfigError, Window};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Mistral;

impl Family for Mistral {
    fn name(&self) -> &'static str {
        "mistral"
    }

    /// An empty configuration is Mistral 7B.
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let size = decoder::window_size(keys)?;
        let usual = Architecture {
            context: 131_072,
            key_value_heads: Some(8),
            hidden: 14336,
            window: size.and_then(|size| Window::repeating(size, vec![true])),
            ..decoder::usual()
        };
        decoder::read(keys, usual)
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = decoder::write(a, self.name(), "MistralForCausalLM");
        config["sliding_window"] = a.window.as_ref().map(|window| window.size).into();
        config
    }
}
