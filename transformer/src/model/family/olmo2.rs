//! OLMo 2: Llama with the normalisation after each part, and normalised queries and keys.
//! Source: OLMo Team, *2 OLMo 2 Furious*, 2025; `Olmo2Config` and `Olmo2ForCausalLM` of transformers.

use super::{Family, Keys, Tensor, decoder};
use crate::model::architecture::{Architecture, Biases, ConfigError, Placement, QueryKeyNorm};
use calculus::Parameter;
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Olmo2;

impl Family for Olmo2 {
    fn name(&self) -> &'static str {
        "olmo2"
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let usual = Architecture {
            vocabulary: 50304,
            epsilon: 1e-5,
            placement: Placement::After,
            query_key_norm: QueryKeyNorm::Whole,
            biases: decoder::attention_bias(keys, false, Biases::NONE)?,
            ..decoder::usual()
        };
        decoder::read(keys, usual)
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = decoder::write(a, self.name(), "Olmo2ForCausalLM");
        config["attention_bias"] = a.biases.query_key_value.into();
        config
    }

    fn tensors(&self, a: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        const NORMS: [(&str, &str); 2] = [
            ("attention_norm", "post_attention_layernorm"),
            ("feed_forward_norm", "post_feedforward_layernorm"),
        ];
        decoder::tensors(a, parameter, &NORMS)
    }
}
