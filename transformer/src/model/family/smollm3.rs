//! SmolLM3: Llama whose every fourth layer does not rotate queries and keys, so that these layers have no positions.
//! Source: Bakouch et al., *SmolLM3: smol, multilingual, long-context reasoner*, 2025; `SmolLM3Config` and
//! `SmolLM3ForCausalLM` of transformers.

use super::keys::refused;
use super::{Family, Keys, decoder};
use crate::model::architecture::{
    Architecture, Biases, ConfigError, MOST_LAYERS, Positions, Rotary, layer_list,
};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct SmolLm3;

/// Reads which layers rotate: `no_rope_layers`, 1 where a layer does, at least one number per layer; or all but every
/// `no_rope_layer_interval`-th.
fn rotary_layers(keys: &Keys<'_>, layers: usize) -> Result<Vec<bool>, ConfigError> {
    let layers = layers.min(MOST_LAYERS);
    let Some(given) = keys.get("no_rope_layers").filter(|given| !given.is_null()) else {
        let every = keys.whole("no_rope_layer_interval", 4)?;
        if every == 0 {
            return Err(ConfigError::Zero { size: "no_rope_layer_interval" });
        }
        return Ok(layer_list::without_every(Some(every), layers));
    };
    let bit = |value: &Value| match value.as_u64() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    };
    let bits = given.as_array().filter(|list| list.len() >= layers);
    let bits = bits.and_then(|list| list.iter().take(layers).map(bit).collect::<Option<_>>());
    let expected = "a list of 1 (the layer rotates) and 0, one for each layer";
    bits.ok_or_else(|| refused("no_rope_layers", given, expected))
}

impl Family for SmolLm3 {
    fn name(&self) -> &'static str {
        "smollm3"
    }

    /// An empty configuration is SmolLM3-3B. If the window is used, layers without rotation have it.
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let feed_forward = keys.flag("mlp_bias", false)?;
        let usual = Architecture {
            vocabulary: 128_256,
            context: 32768,
            width: 2048,
            layers: 36,
            positions: Positions::Rotary(Rotary { base: 2e6, ..Rotary::default() }),
            heads: 16,
            key_value_heads: Some(4),
            biases: decoder::attention_bias(keys, false, Biases { feed_forward, ..Biases::NONE })?,
            tied: true,
            ..decoder::usual()
        };
        let a = decoder::read(keys, usual)?;
        let rotary_layers = rotary_layers(keys, a.layers)?;
        let used = keys.flag("use_sliding_window", false)?;
        let local = rotary_layers.iter().map(|rotates| used && !rotates).collect();
        let window = decoder::window(keys, a.layers, keys.optional("sliding_window")?, local)?;
        Ok(Architecture { rotary_layers, window, ..a })
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = decoder::write(a, self.name(), "SmolLM3ForCausalLM");
        config["attention_bias"] = a.biases.query_key_value.into();
        config["mlp_bias"] = a.biases.feed_forward.into();
        let rotates = |layer| u8::from(layer_list::contains(&a.rotary_layers, layer));
        config["no_rope_layers"] = (0..a.layers).map(rotates).collect();
        config["use_sliding_window"] = a.window.is_some().into();
        config["sliding_window"] = a.window.as_ref().map(|window| window.size).into();
        config["layer_types"] = decoder::layer_types(a);
        config
    }
}
