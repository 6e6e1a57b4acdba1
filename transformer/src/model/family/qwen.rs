//! Qwen2: Llama with biases of queries, keys and values. Qwen3: without them, with normalised queries and keys and a head
//! width of its own.
//! Source: Qwen Team, *Qwen2 Technical Report*, 2024, and *Qwen3 Technical Report*, 2025; `Qwen2Config`, `Qwen3Config` of
//! transformers.

use super::{Family, Keys, decoder};
use crate::model::architecture::{Architecture, Biases, ConfigError, QueryKeyNorm};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Qwen2;

#[derive(Debug)]
pub(super) struct Qwen3;

/// Reads the keys of both; if the window is used, layers from `max_window_layers` on have it.
fn read(keys: &Keys<'_>, usual: Architecture) -> Result<Architecture, ConfigError> {
    let used = keys.flag("use_sliding_window", false)?;
    let size = decoder::window_size(keys)?.filter(|_| used);
    let usual = Architecture { vocabulary: 151_936, context: 32768, hidden: 22016, ..usual };
    let a = decoder::read(keys, usual)?;
    let first = keys.whole("max_window_layers", 28)?;
    let layers = a.layers.min(crate::model::architecture::MOST_LAYERS);
    let window = decoder::window(keys, a.layers, size, (0..layers).map(|i| i >= first).collect())?;
    Ok(Architecture { window, ..a })
}

fn write(a: &Architecture, model_type: &str, class: &str) -> Value {
    let mut config = decoder::write(a, model_type, class);
    config["use_sliding_window"] = a.window.is_some().into();
    config["sliding_window"] = a.window.as_ref().map(|window| window.size).into();
    config["layer_types"] = decoder::layer_types(a);
    config
}

impl Family for Qwen2 {
    fn name(&self) -> &'static str {
        "qwen2"
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let biases = Biases { query_key_value: true, ..Biases::NONE };
        read(keys, Architecture { biases, ..decoder::usual() })
    }

    fn write(&self, a: &Architecture) -> Value {
        write(a, self.name(), "Qwen2ForCausalLM")
    }
}

impl Family for Qwen3 {
    fn name(&self) -> &'static str {
        "qwen3"
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let biases = decoder::attention_bias(keys, false, Biases::NONE)?;
        let query_key_norm = QueryKeyNorm::Head;
        read(
            keys,
            Architecture { biases, query_key_norm, head_width: Some(128), ..decoder::usual() },
        )
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = write(a, self.name(), "Qwen3ForCausalLM");
        config["attention_bias"] = a.biases.query_key_value.into();
        config
    }
}
