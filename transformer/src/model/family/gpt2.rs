//! GPT-2: learned positions, layer normalisation, one packed projection, an ungated feed-forward part.
//! Source: Radford et al. 2019; `GPT2Config` and `GPT2LMHeadModel` of transformers.

use super::keys::refused;
use super::{Family, Keys, Order, Tensor};
use crate::model::architecture::{Activation, Architecture, Biases, ConfigError};
use calculus::Parameter;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Gpt2;

impl Family for Gpt2 {
    fn name(&self) -> &'static str {
        "gpt2"
    }

    /// An empty configuration is GPT-2 small. A size may have its general name, such as `hidden_size`. Of the three
    /// dropout rates, which matter only in training, the residual stream's is used.
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        keys.must_be("add_cross_attention", false)?;
        let width = keys.size("n_embd", "hidden_size", 768)?;
        for rate in ["attn_pdrop", "embd_pdrop"] {
            keys.number(rate, 0.1)?;
        }
        let bias = match keys.get("glassbox") {
            Some(own @ Value::Object(_)) => {
                Keys::of(own).map_or(Ok(true), |own| own.flag("bias", true))?
            }
            _ => true,
        };
        if let Some(found) = keys.get("num_key_value_heads") {
            return Err(refused(
                "num_key_value_heads",
                found,
                "none: a GPT-2 has as many as heads",
            ));
        }
        Ok(Architecture {
            vocabulary: keys.whole("vocab_size", 50257)?,
            context: keys.size("n_positions", "max_position_embeddings", 1024)?,
            width,
            heads: keys.size("n_head", "num_attention_heads", 12)?,
            layers: keys.size("n_layer", "num_hidden_layers", 12)?,
            hidden: keys.optional("n_inner")?.unwrap_or(width.saturating_mul(4)),
            epsilon: keys.number("layer_norm_epsilon", 1e-5)?,
            activation: keys.activation("activation_function", Activation::GeluTanh)?,
            biases: Biases::everywhere(bias),
            score_scale: (!keys.flag("scale_attn_weights", true)?).then_some(1.0),
            score_scale_by_layer: keys.flag("scale_attn_by_inverse_layer_idx", false)?,
            tied: keys.flag("tie_word_embeddings", true)?,
            dropout: keys.number("resid_pdrop", 0.1)?,
            ..Architecture::default()
        })
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_layer": a.layers,
            "n_head": a.heads,
            "n_embd": a.width,
            "n_positions": a.context,
            "n_ctx": a.context,
            "n_inner": a.hidden,
            "vocab_size": a.vocabulary,
            "activation_function": a.activation.hugging_face()[0],
            "layer_norm_epsilon": a.epsilon,
            "tie_word_embeddings": a.tied,
            "embd_pdrop": a.dropout,
            "attn_pdrop": a.dropout,
            "resid_pdrop": a.dropout,
            "bos_token_id": null,
            "eos_token_id": null,
            "torch_dtype": "float32",
        });
        // The usual values are not written: a compressed file knows its model by this text.
        if a.score_scale.is_some() {
            config["scale_attn_weights"] = false.into();
        }
        if a.score_scale_by_layer {
            config["scale_attn_by_inverse_layer_idx"] = true.into();
        }
        if a.biases == Biases::NONE {
            // Hugging Face's GPT-2 always has biases: the file holds zeros, and this flag says so.
            config["glassbox"] = json!({ "bias": false });
        }
        config
    }

    fn prefix(&self) -> &'static str {
        "transformer."
    }

    fn tensors(&self, _: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        const PARTS: [(&str, &str); 10] = [
            ("embedding.token", "wte"),
            ("embedding.position", "wpe"),
            ("norm_1", "ln_1"),
            ("norm_2", "ln_2"),
            ("attention.qkv", "attn.c_attn"),
            ("attention.projection", "attn.c_proj"),
            ("feed_forward.expanded", "mlp.c_fc"),
            ("feed_forward.contracted", "mlp.c_proj"),
            ("head", "lm_head"),
            ("norm", "ln_f"),
        ];
        let name = super::renamed(&parameter.name, "h", &PARTS);
        vec![Tensor::whole(name, parameter, Order::ColumnMajor)]
    }

    /// The causal mask in old checkpoints.
    fn is_buffer(&self, tensor: &str) -> bool {
        tensor.ends_with(".attn.bias") || tensor.ends_with(".attn.masked_bias")
    }

    fn stored_biases(&self, _: Biases) -> Biases {
        Biases::ALL
    }
}
