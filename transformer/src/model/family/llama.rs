//! Llama: rotary positions, RMS normalisation, shared key-value heads, a gated feed-forward part.
//! Source: Touvron et al. 2023; `LlamaConfig` and `LlamaForCausalLM` of transformers.

use super::keys::refused;
use super::{Family, Keys, Order, Tensor, renamed};
use crate::model::architecture::{Activation, Architecture, ConfigError, Norm, Positions};
use calculus::Parameter;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Llama;

impl Family for Llama {
    fn name(&self) -> &'static str {
        "llama"
    }

    /// An empty configuration is Llama 7B. The dropout of attention weights, which matters only in training, is used
    /// for all dropout.
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let width = keys.whole("hidden_size", 4096)?;
        let heads = keys.whole("num_attention_heads", 32)?;
        let shared = keys.optional("num_key_value_heads")?.unwrap_or(heads);
        if let Some(features) = keys.optional("head_dim")?
            && features.checked_mul(heads) != Some(width)
        {
            let found = Value::from(features);
            let expected = "hidden_size / num_attention_heads: heads of another width are not read";
            return Err(refused("head_dim", &found, expected));
        }
        let bias = keys.flag("attention_bias", false)?;
        if keys.flag("mlp_bias", false)? != bias {
            let found = Value::from(!bias);
            return Err(refused("mlp_bias", &found, "the same as attention_bias"));
        }
        Ok(Architecture {
            vocabulary: keys.whole("vocab_size", 32000)?,
            context: keys.whole("max_position_embeddings", 2048)?,
            width,
            layers: keys.whole("num_hidden_layers", 32)?,
            positions: Positions::Rotary { base: base(keys)? },
            norm: Norm::Rms,
            epsilon: keys.number("rms_norm_eps", 1e-6)?,
            heads,
            key_value_heads: (shared != heads).then_some(shared),
            hidden: keys.whole("intermediate_size", 11008)?,
            activation: keys.activation("hidden_act", Activation::Silu)?,
            gated: true,
            bias,
            tied: keys.flag("tie_word_embeddings", false)?,
            dropout: keys.number("attention_dropout", 0.0)?,
        })
    }

    fn write(&self, a: &Architecture) -> Result<Value, String> {
        let Positions::Rotary { base } = a.positions else {
            return Err("positions are not rotary".to_owned());
        };
        if a.norm != Norm::Rms {
            return Err("the norm is not RMS normalisation".to_owned());
        }
        if !a.gated {
            return Err("the feed-forward part is not gated".to_owned());
        }
        Ok(json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": a.vocabulary,
            "max_position_embeddings": a.context,
            "hidden_size": a.width,
            "intermediate_size": a.hidden,
            "num_hidden_layers": a.layers,
            "num_attention_heads": a.heads,
            "num_key_value_heads": a.key_value_heads(),
            "head_dim": a.head_width(),
            "hidden_act": a.activation.hugging_face()[0],
            "rms_norm_eps": a.epsilon,
            "rope_theta": base,
            "rope_parameters": { "rope_type": "default", "rope_theta": base },
            "attention_bias": a.bias,
            "mlp_bias": a.bias,
            "attention_dropout": a.dropout,
            "tie_word_embeddings": a.tied,
            "bos_token_id": null,
            "eos_token_id": null,
            "pad_token_id": null,
            "torch_dtype": "float32",
        }))
    }

    fn prefix(&self) -> &'static str {
        "model."
    }

    fn tensors(&self, a: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        const PARTS: [(&str, &str); 7] = [
            ("embedding.token", "embed_tokens"),
            ("norm_1", "input_layernorm"),
            ("norm_2", "post_attention_layernorm"),
            ("attention.projection", "self_attn.o_proj"),
            ("feed_forward.contracted", "mlp.down_proj"),
            ("head", "lm_head"),
            ("norm", "norm"),
        ];
        let name = &parameter.name;
        // One matrix here is several in the file.
        let (queries, keys) = (a.width, a.key_value_heads() * a.head_width());
        let packed: &[(&str, &str, usize)] = if name.contains(".attention.qkv.") {
            &[
                ("attention.qkv", "self_attn.q_proj", queries),
                ("attention.qkv", "self_attn.k_proj", keys),
                ("attention.qkv", "self_attn.v_proj", keys),
            ]
        } else if name.contains(".feed_forward.expanded.") {
            &[
                ("feed_forward.expanded", "mlp.gate_proj", a.hidden),
                ("feed_forward.expanded", "mlp.up_proj", a.hidden),
            ]
        } else {
            // Both formats store a table token by token.
            let table = !name.starts_with("block.");
            let order = if table { Order::ColumnMajor } else { Order::RowMajor };
            let all = 0..parameter.shape.rows;
            return vec![Tensor::part(renamed(name, "layers", &PARTS), parameter, all, order)];
        };
        let mut start = 0;
        let part = |&(ours, theirs, rows): &(&str, &str, usize)| {
            let own = start..start + rows;
            start += rows;
            let name = renamed(name, "layers", &[(ours, theirs)]);
            Tensor::part(name, parameter, own, Order::RowMajor)
        };
        packed.iter().map(part).collect()
    }

    /// The rotation's frequencies in old checkpoints.
    fn is_buffer(&self, tensor: &str) -> bool {
        tensor.ends_with("rotary_emb.inv_freq")
    }
}

/// Reads θ from `rope_parameters`, or from `rope_theta` and `rope_scaling` in older configurations. Only the plain
/// rotation is supported.
fn base(keys: &Keys<'_>) -> Result<f64, ConfigError> {
    const PLAIN: f64 = 1e4;
    let mut base = keys.number("rope_theta", PLAIN)?;
    for key in ["rope_parameters", "rope_scaling"] {
        let Some(inner) = keys.object(key)? else { continue };
        for kind in ["rope_type", "type"] {
            if let Some(found) = inner.get(kind).filter(|kind| *kind != "default") {
                return Err(refused("rope_type", found, "\"default\", the plain rotation"));
            }
        }
        base = inner.number("rope_theta", base)?;
    }
    Ok(base)
}
