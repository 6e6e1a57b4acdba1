//! This project's own format, which holds every architecture: `config.json` has its fields, and tensors have the names and
//! the layout of parameters. It is used for parts that no family of transformers has together.

use super::{Family, Keys, Order, Tensor};
use crate::model::architecture::{
    Activation, Architecture, Biases, ConfigError, Gain, Norm, Placement, Positions,
};
use calculus::Parameter;
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Glassbox;

/// Returns Karpathy's GPT of 200 lines, of 4,192 parameters.
/// Source: Karpathy, *microgpt*, 2026 (a gist).
pub(super) fn microgpt() -> Architecture {
    Architecture {
        vocabulary: 27,
        context: 16,
        width: 16,
        layers: 1,
        embedding_norm: true,
        norm: Norm::Rms,
        gain: Gain::None,
        final_norm: false,
        heads: 4,
        hidden: 64,
        activation: Activation::Relu,
        biases: Biases::NONE,
        tied: false,
        ..Architecture::default()
    }
}

/// Returns the decoder of 2017 without attention to an encoder, at the sizes of its base model. Texts had no longest
/// length there.
/// Source: Vaswani et al., *Attention Is All You Need*, 2017.
pub(super) fn transformer2017() -> Architecture {
    Architecture {
        vocabulary: 37000,
        context: 512,
        width: 512,
        layers: 6,
        positions: Positions::Sinusoidal,
        embedding_scale: 512_f64.sqrt(),
        placement: Placement::Post,
        heads: 8,
        hidden: 2048,
        activation: Activation::Relu,
        dropout: 0.1,
        ..Architecture::default()
    }
}

/// Fields that are written only where a model does not have their default: they came after the first stored models, whose
/// `config.json` remains the same.
const LATER: [&str; 5] =
    ["rotary_layers", "embedding_norm", "residual_scale", "final_norm", "logit_divisor"];

/// The keys beside the architecture's.
const OWN: [&str; 1] = ["model_type"];

impl Family for Glassbox {
    fn name(&self) -> &'static str {
        "glassbox"
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        let mut fields = keys.all().clone();
        fields.retain(|key, _| !OWN.contains(&key.as_str()));
        serde_json::from_value(Value::Object(fields))
            .map_err(|e| ConfigError::Json { reason: e.to_string() })
    }

    fn write(&self, a: &Architecture) -> Value {
        let plain = |a: &Architecture| serde_json::to_value(a).expect("a tree of plain values");
        let (mut config, usual) = (plain(a), plain(&Architecture::default()));
        if let Some(keys) = config.as_object_mut() {
            keys.retain(|key, value| !LATER.contains(&key.as_str()) || usual[key] != *value);
        }
        config["model_type"] = self.name().into();
        config
    }

    fn prefix(&self) -> &'static str {
        ""
    }

    fn head(&self) -> &'static str {
        "head"
    }

    fn tensors(&self, _: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        vec![Tensor::whole(parameter.name.clone(), parameter, Order::ColumnMajor)]
    }

    fn is_buffer(&self, _: &str) -> bool {
        false
    }
}
