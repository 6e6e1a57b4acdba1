//! GPT-NeoX and Pythia: rotary positions for a quarter of each head, layer normalisation, attention and feed-forward part
//! of one sum.
//! Source: Black et al., *GPT-NeoX-20B*, 2022; Biderman et al., *Pythia*, 2023; `GPTNeoXConfig` and
//! `GPTNeoXForCausalLM` of transformers.

use super::{Family, Keys, Order, Tensor, decoder, renamed, rotary};
use crate::model::architecture::{
    Activation, Architecture, Biases, ConfigError, Norm, Placement, Positions, Rotary,
};
use calculus::Parameter;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct GptNeox;

impl Family for GptNeox {
    fn name(&self) -> &'static str {
        "gpt_neox"
    }

    /// An empty configuration is GPT-NeoX-20B. Of two dropout rates, which matter only in training, the residual stream's
    /// is used.
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let usual = Rotary {
            base: keys.number("rotary_emb_base", 1e4)?,
            share: keys.number("rotary_pct", 0.25)?,
            ..Rotary::default()
        };
        keys.number("attention_dropout", 0.0)?;
        let parallel = keys.flag("use_parallel_residual", true)?;
        Ok(Architecture {
            vocabulary: keys.whole("vocab_size", 50432)?,
            context: keys.whole("max_position_embeddings", 2048)?,
            width: keys.whole("hidden_size", 6144)?,
            layers: keys.whole("num_hidden_layers", 44)?,
            positions: Positions::Rotary(rotary::read(*keys, usual)?),
            norm: Norm::Layer,
            placement: if parallel { Placement::Parallel } else { Placement::Pre },
            epsilon: keys.number("layer_norm_eps", 1e-5)?,
            heads: keys.whole("num_attention_heads", 64)?,
            hidden: keys.whole("intermediate_size", 24576)?,
            activation: keys.activation("hidden_act", Activation::Gelu)?,
            biases: decoder::attention_bias(keys, true, Biases::ALL)?,
            tied: keys.flag("tie_word_embeddings", false)?,
            dropout: keys.number("hidden_dropout", 0.0)?,
            ..Architecture::default()
        })
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = json!({
            "architectures": ["GPTNeoXForCausalLM"],
            "model_type": "gpt_neox",
            "vocab_size": a.vocabulary,
            "max_position_embeddings": a.context,
            "hidden_size": a.width,
            "intermediate_size": a.hidden,
            "num_hidden_layers": a.layers,
            "num_attention_heads": a.heads,
            "hidden_act": a.activation.hugging_face()[0],
            "layer_norm_eps": a.epsilon,
            "use_parallel_residual": a.placement == Placement::Parallel,
            "attention_bias": a.biases.query_key_value,
            "attention_dropout": a.dropout,
            "hidden_dropout": a.dropout,
            "tie_word_embeddings": a.tied,
            "bos_token_id": null,
            "eos_token_id": null,
            "torch_dtype": "float32",
        });
        if let (Positions::Rotary(rotary), Some(keys)) = (a.positions, config.as_object_mut()) {
            keys.insert("rotary_pct".to_owned(), rotary.share.into());
            keys.insert("rotary_emb_base".to_owned(), rotary.base.into());
            rotary::write(a.positions, keys);
        }
        config
    }

    fn prefix(&self) -> &'static str {
        "gpt_neox."
    }

    fn head(&self) -> &'static str {
        "embed_out"
    }

    fn tensors(&self, a: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        const PARTS: [(&str, &str); 9] = [
            ("embedding.token", "embed_in"),
            ("norm_1", "input_layernorm"),
            ("norm_2", "post_attention_layernorm"),
            ("attention.qkv", "attention.query_key_value"),
            ("attention.projection", "attention.dense"),
            ("feed_forward.expanded", "mlp.dense_h_to_4h"),
            ("feed_forward.contracted", "mlp.dense_4h_to_h"),
            ("head", "embed_out"),
            ("norm", "final_layer_norm"),
        ];
        let name = renamed(&parameter.name, "layers", &PARTS);
        if parameter.name.contains(".attention.qkv.") {
            // The file has the query, the key and the value of one head after another.
            let c = a.head_width();
            let rows = |head| (0..3).map(move |part| (part * a.heads + head) * c);
            let rows = (0..a.heads).flat_map(rows).map(|first| first..first + c);
            return vec![Tensor::part(name, parameter, rows.collect(), Order::RowMajor)];
        }
        let block = parameter.name.starts_with("block.");
        let order = if block { Order::RowMajor } else { Order::ColumnMajor };
        vec![Tensor::whole(name, parameter, order)]
    }

    /// The causal mask and the rotation's frequencies in old checkpoints.
    fn is_buffer(&self, tensor: &str) -> bool {
        tensor.ends_with(".attention.bias")
            || tensor.ends_with(".attention.masked_bias")
            || decoder::is_frequencies(tensor)
    }
}
