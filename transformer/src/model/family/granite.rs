//! Granite: Llama with four factors, of the embedding, of attention scores, of what is added to the residual stream and of
//! logits.
//! Source: Granite Team, IBM, *Granite 3.0 Language Models*, 2024; `GraniteConfig` and `GraniteForCausalLM` of
//! transformers.

use super::{Family, Keys, decoder};
use crate::model::architecture::{Architecture, Biases, ConfigError};
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Granite;

impl Family for Granite {
    fn name(&self) -> &'static str {
        "granite"
    }

    /// Granite 3.0 2B: in an empty configuration all factors are 1, which no published model has.
    fn usual(&self) -> Value {
        json!({
            "model_type": "granite", "vocab_size": 49155, "max_position_embeddings": 4096, "hidden_size": 2048,
            "intermediate_size": 8192, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "embedding_multiplier": 12.0,
            "attention_multiplier": 0.015625, "residual_multiplier": 0.22, "logits_scaling": 8.0
        })
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let feed_forward = keys.flag("mlp_bias", false)?;
        let biases = decoder::attention_bias(keys, false, Biases { feed_forward, ..Biases::NONE })?;
        let a = decoder::read(keys, Architecture { biases, ..decoder::usual() })?;
        let score_scale = keys.number("attention_multiplier", 1.0)?;
        Ok(Architecture {
            embedding_scale: keys.number("embedding_multiplier", 1.0)?,
            residual_scale: keys.number("residual_multiplier", 1.0)?,
            score_scale: Some(score_scale).filter(|&scale| scale != a.usual_score_scale()),
            logit_divisor: keys.number("logits_scaling", 1.0)?,
            ..a
        })
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = decoder::write(a, self.name(), "GraniteForCausalLM");
        config["attention_bias"] = a.biases.query_key_value.into();
        config["mlp_bias"] = a.biases.feed_forward.into();
        config["embedding_multiplier"] = a.embedding_scale.into();
        config["attention_multiplier"] = a.score_scale.unwrap_or(a.usual_score_scale()).into();
        config["residual_multiplier"] = a.residual_scale.into();
        config["logits_scaling"] = a.logit_divisor.into();
        config
    }
}
