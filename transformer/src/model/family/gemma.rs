//! Gemma 2: Llama with norms before and after each part, gains of 1 plus a parameter, scaled embeddings, a window in every
//! other layer, capped scores and logits. Gemma 3: normalised queries and keys instead of caps, a full layer after five
//! with a window, and a base of rotation for each kind of layer.
//! Source: Gemma Team, *Gemma 2*, 2024, and *Gemma 3 Technical Report*, 2025; `Gemma2Config`, `Gemma3TextConfig` of
//! transformers.

use super::{Family, Keys, Tensor, decoder, rotary};
use crate::model::architecture::{
    Activation, Architecture, Biases, ConfigError, Gain, MOST_LAYERS, Placement, Positions,
    QueryKeyNorm, Rotary,
};
use calculus::Parameter;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Gemma2;

#[derive(Debug)]
pub(super) struct Gemma3;

/// Returns the parts that both have, with the sizes of the 2-billion models.
fn usual() -> Architecture {
    Architecture {
        vocabulary: 256_000,
        context: 8192,
        width: 2304,
        layers: 26,
        gain: Gain::OnePlus,
        placement: Placement::Sandwich,
        heads: 8,
        key_value_heads: Some(4),
        head_width: Some(256),
        hidden: 9216,
        activation: Activation::GeluTanh,
        tied: true,
        ..decoder::usual()
    }
}

/// Reads the keys of both; `caps` are those of scores and logits if absent, `pattern` that of the windows.
fn read(
    keys: &Keys<'_>,
    usual: Architecture,
    caps: [Option<f64>; 2],
    pattern: Vec<bool>,
) -> Result<Architecture, ConfigError> {
    keys.must_be_absent_or_false("use_bidirectional_attention")?;
    let cap = |key, absent| match keys.get(key) {
        None => Ok(absent),
        Some(value) if value.is_null() => Ok(None),
        Some(_) => keys.number(key, 0.0).map(Some),
    };
    let size = decoder::window_size(keys)?;
    let activation = keys.activation("hidden_activation", usual.activation)?;
    let a = decoder::read(keys, Architecture { activation, ..usual })?;
    let scalar = keys.number("query_pre_attn_scalar", 256.0)?;
    let plain = scalar == a.head_width() as f64;
    Ok(Architecture {
        embedding_scale: (a.width as f64).sqrt(),
        biases: decoder::attention_bias(keys, false, Biases::NONE)?,
        score_scale: (!plain).then(|| scalar.powf(-0.5)),
        score_cap: cap("attn_logit_softcapping", caps[0])?,
        logit_cap: cap("final_logit_softcapping", caps[1])?,
        window: decoder::window(keys, a.layers, size, pattern)?,
        activation,
        ..a
    })
}

fn write(a: &Architecture, model_type: &str, class: &str) -> Value {
    let mut config = decoder::write(a, model_type, class);
    // The scalar of a score's factor, 1/√scalar: a whole number where that has the same factor.
    let scalar = a.score_scale.map_or(a.head_width() as f64, |scale| scale.powi(-2));
    let whole = scalar.round();
    let same = whole.powf(-0.5) == a.score_scale.unwrap_or(whole.powf(-0.5));
    config["query_pre_attn_scalar"] = if same { json!(whole as u64) } else { json!(scalar) };
    config["attention_bias"] = a.biases.query_key_value.into();
    config["hidden_activation"] = config["hidden_act"].take();
    if let Some(keys) = config.as_object_mut() {
        keys.remove("hidden_act");
    }
    config["attn_logit_softcapping"] = a.score_cap.into();
    config["final_logit_softcapping"] = a.logit_cap.into();
    config["sliding_window"] = a.window.as_ref().map(|window| window.size).into();
    config["layer_types"] = decoder::layer_types(a);
    config
}

const NORMS: [(&str, &str); 4] = [
    ("norm_1", "input_layernorm"),
    ("attention_norm", "post_attention_layernorm"),
    ("norm_2", "pre_feedforward_layernorm"),
    ("feed_forward_norm", "post_feedforward_layernorm"),
];

impl Family for Gemma2 {
    fn name(&self) -> &'static str {
        "gemma2"
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        read(keys, usual(), [Some(50.0), Some(30.0)], vec![true, false])
    }

    fn write(&self, a: &Architecture) -> Value {
        write(a, self.name(), "Gemma2ForCausalLM")
    }

    fn tensors(&self, a: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        decoder::tensors(a, parameter, &NORMS)
    }
}

impl Family for Gemma3 {
    fn name(&self) -> &'static str {
        "gemma3_text"
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let (global, local) = (1e6, 1e4);
        let base = keys.number("rope_theta", global)?;
        let local_base = Some(keys.number("rope_local_base_freq", local)?);
        let mut rotary = Rotary { base, local_base, ..Rotary::default() };
        if let Some(scaling) = keys.object("rope_scaling")? {
            rotary = rotary::read_object(scaling, *keys, rotary)?;
        }
        if let Some(both) = keys.object("rope_parameters")? {
            if let Some(full) = both.object("full_attention")? {
                rotary = rotary::read_object(full, *keys, rotary)?;
            }
            if let Some(sliding) = both.object("sliding_attention")? {
                rotary.local_base = Some(sliding.number("rope_theta", local)?);
            }
        }
        let every = keys.whole("sliding_window_pattern", 6)?.clamp(1, MOST_LAYERS + 1);
        let usual = Architecture {
            vocabulary: 262_208,
            context: 131_072,
            query_key_norm: QueryKeyNorm::Head,
            // Its rotation is not stored under the common keys.
            positions: Positions::Learned,
            ..usual()
        };
        let pattern = (1..=every).map(|i| i != every).collect();
        let a = read(keys, usual, [None, None], pattern)?;
        Ok(Architecture { positions: Positions::Rotary(rotary::whole(rotary)?), ..a })
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = write(a, self.name(), "Gemma3ForCausalLM");
        if let Positions::Rotary(rotary) = a.positions {
            let base = rotary.local_base.unwrap_or(rotary.base);
            let local = rotary::object(Rotary { base, ..Rotary::default() });
            config["rope_local_base_freq"] = base.into();
            config["rope_parameters"] =
                json!({ "full_attention": rotary::object(rotary), "sliding_attention": local });
        }
        config
    }

    fn tensors(&self, a: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        decoder::tensors(a, parameter, &NORMS)
    }
}
