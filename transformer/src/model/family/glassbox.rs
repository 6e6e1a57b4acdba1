//! This project's own format, which holds every architecture: `config.json` has its fields, and tensors have the names and
//! the layout of parameters. It is used for parts that no family of transformers has together.

use super::{Family, Keys, Order, Tensor};
use crate::model::architecture::{Architecture, ConfigError};
use calculus::Parameter;
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Glassbox;

/// Fields that are written only where a model does not have their default: they came after the first stored models, whose
/// `config.json` remains the same.
const LATER: [&str; 3] = ["rotary_layers", "residual_scale", "logit_divisor"];

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
