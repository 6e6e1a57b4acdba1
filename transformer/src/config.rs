//! The sizes of a GPT-2, and Hugging Face's `config.json`.

use crate::printable::printable;
pub use calculus::activation::Activation;
use linalg::Shape;
use serde_json::{Map, Value, json};
use thiserror::Error;

/// The sizes of a GPT-2.
///
/// ```
/// use transformer::Gpt2Config;
/// let small = Gpt2Config {
///     vocabulary: 50257, context: 1024, width: 768, heads: 12, layers: 12, hidden: 3072,
///     ..Gpt2Config::default()
/// };
/// assert_eq!(small.parameters(), 124_439_808);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt2Config {
    /// Tokens of the vocabulary, V.
    pub vocabulary: usize,
    /// Positions, T.
    pub context: usize,
    /// Features of a token, d.
    pub width: usize,
    /// Attention heads of a block; they share the width.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Features inside the feed-forward part, by custom 4·d.
    pub hidden: usize,
    /// ε of layer normalisation, inside the root.
    pub epsilon: f64,
    /// The activation function of the feed-forward part.
    pub activation: Activation,
    /// Whether affine maps and norms have biases.
    pub bias: bool,
    /// Whether the head shares the embedding's table.
    pub tied: bool,
    /// The share of activations that is dropped in training.
    pub dropout: f64,
}

impl Default for Gpt2Config {
    fn default() -> Self {
        Gpt2Config {
            vocabulary: 256,
            context: 64,
            width: 16,
            heads: 2,
            layers: 1,
            hidden: 64,
            epsilon: 1e-5,
            activation: Activation::GeluTanh,
            bias: true,
            tied: true,
            dropout: 0.0,
        }
    }
}

/// Why a model of these sizes cannot be.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    /// A size of nothing.
    #[error("{size} is 0; it must be 1 or more")]
    Zero {
        /// Which size.
        size: &'static str,
    },
    /// Heads that do not divide the width.
    #[error(
        "width {width} is not a multiple of {heads} heads, which share it; take a width of {} or {}",
        width / heads * heads,
        width.div_ceil(*heads) * heads
    )]
    Heads {
        /// The width.
        width: usize,
        /// The number of heads.
        heads: usize,
    },
    /// A setting that is not in its range.
    #[error("{setting} is {found}; it must be {expected}")]
    Range {
        /// Which setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// More than memory can address.
    #[error("a model with {sizes} is more than memory can address")]
    Large {
        /// The sizes.
        sizes: String,
    },
    /// A file that is not JSON, or not an object.
    #[error("this is not a JSON object: {reason}")]
    Json {
        /// What is wrong.
        reason: String,
    },
    /// A key that is missing or not what it should be.
    #[error("key {key}: found {found}, expected {expected}")]
    Key {
        /// The key.
        key: &'static str,
        /// What is there.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// Token ids travel as scalars; an f32 counts exactly as far as this.
const LARGEST_SIZE: usize = 1 << 24;

/// Every layer is a dozen named values, whatever its width: more would be a list, not a network.
const MOST_LAYERS: usize = 1024;

impl Gpt2Config {
    /// Checks that a model of these sizes can be.
    ///
    /// # Errors
    /// The first contradiction, with its numbers.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("vocabulary", self.vocabulary),
            ("context", self.context),
            ("width", self.width),
            ("heads", self.heads),
            ("layers", self.layers),
            ("hidden", self.hidden),
        ];
        for (size, found) in sizes {
            if found == 0 {
                return Err(ConfigError::Zero { size });
            }
            let (most, expected) = match size {
                "layers" => (MOST_LAYERS, "at most 1024"),
                _ => (LARGEST_SIZE, "at most 16777216"),
            };
            if found > most {
                let found = found.to_string();
                return Err(ConfigError::Range { setting: size, found, expected });
            }
        }
        if !self.width.is_multiple_of(self.heads) {
            return Err(ConfigError::Heads { width: self.width, heads: self.heads });
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            let (setting, found) = ("layer normalisation's epsilon", decimal(self.epsilon));
            return Err(ConfigError::Range { setting, found, expected: "a finite number above 0" });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let (setting, found) = ("dropout", decimal(self.dropout));
            return Err(ConfigError::Range { setting, found, expected: "at least 0 and below 1" });
        }
        // Bounded sizes: no sum or product below can overflow 128 bits.
        let large = self.count() > (isize::MAX / 64) as u128;
        if large {
            let sizes = sizes.map(|(name, size)| format!("{name} {size}")).join(", ");
            return Err(ConfigError::Large { sizes });
        }
        Ok(())
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        usize::try_from(self.count()).unwrap_or(usize::MAX)
    }

    fn count(&self) -> u128 {
        let size = |n: usize| n as u128;
        let (d, hidden) = (size(self.width), size(self.hidden));
        let bias = u128::from(self.bias);
        let block = 2 * d * (1 + bias) // norms
            + d * 3 * d + 3 * d * bias + d * d + d * bias // attention
            + d * hidden + hidden * bias + hidden * d + d * bias; // feed-forward
        let tables = if self.tied { 1 } else { 2 };
        tables * size(self.vocabulary) * d
            + size(self.context) * d
            + size(self.layers) * block
            + d * (1 + bias)
    }

    /// Name and shape of every parameter, in the order of recording, without the memory of a
    /// recording.
    pub fn parameter_shapes(&self) -> impl Iterator<Item = (String, Shape)> {
        let (d, hidden) = (self.width, self.hidden);
        let bias = self.bias;
        let linear = move |name: String, out: usize, inputs: usize| {
            let b = bias.then(|| (format!("{name}.bias"), Shape::new(out, 1)));
            std::iter::once((format!("{name}.weight"), Shape::new(out, inputs))).chain(b)
        };
        let table = (String::from("embedding.token.weight"), Shape::new(d, self.vocabulary));
        let places = (String::from("embedding.position.weight"), Shape::new(d, self.context));
        let blocks = (0..self.layers).flat_map(move |i| {
            linear(format!("block.{i}.norm_1"), d, 1)
                .chain(linear(format!("block.{i}.attention.qkv"), 3 * d, d))
                .chain(linear(format!("block.{i}.attention.projection"), d, d))
                .chain(linear(format!("block.{i}.norm_2"), d, 1))
                .chain(linear(format!("block.{i}.feed_forward.expanded"), hidden, d))
                .chain(linear(format!("block.{i}.feed_forward.contracted"), d, hidden))
        });
        let head =
            (!self.tied).then(|| (String::from("head.weight"), Shape::new(d, self.vocabulary)));
        let norm = linear("norm".to_owned(), d, 1);
        [table, places].into_iter().chain(blocks).chain(norm).chain(head)
    }

    /// Hugging Face's `config.json`.
    pub fn to_json(&self) -> String {
        let mut config = json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_layer": self.layers,
            "n_head": self.heads,
            "n_embd": self.width,
            "n_positions": self.context,
            "n_ctx": self.context,
            "n_inner": self.hidden,
            "vocab_size": self.vocabulary,
            "activation_function": self.activation.hugging_face()[0],
            "layer_norm_epsilon": self.epsilon,
            "tie_word_embeddings": self.tied,
            "embd_pdrop": self.dropout,
            "attn_pdrop": self.dropout,
            "resid_pdrop": self.dropout,
            "bos_token_id": null,
            "eos_token_id": null,
            "torch_dtype": "float32",
        });
        if !self.bias {
            // Hugging Face's GPT-2 always has biases: the file holds zeros, and this says so.
            config["glassbox"] = json!({ "bias": false });
        }
        serde_json::to_string_pretty(&config).expect("a tree of plain values") + "\n"
    }

    /// Reads Hugging Face's `config.json`. An absent key means what it means to transformers' `GPT2Config`
    /// (an empty one is GPT-2 small), and a size may have its general name, such as `hidden_size`. Keys
    /// that change nothing in a GPT-2's mathematics are passed over; those that would are refused. Of the three
    /// rates of dropout, which matter in training only, the residual stream's is taken.
    ///
    /// # Errors
    /// The first key that is not what it should be or means a model that this crate does not have.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let not_json = |reason: String| ConfigError::Json { reason };
        let value: Value = serde_json::from_str(text).map_err(|e| not_json(e.to_string()))?;
        let Value::Object(keys) = &value else {
            return Err(not_json(format!("it begins with {}", shortened(&value))));
        };
        let kind = keys.get("model_type").unwrap_or(&Value::Null);
        if kind != "gpt2" {
            return Err(refused("model_type", kind, "\"gpt2\", the only family that is read"));
        }
        for (key, needed) in [
            ("scale_attn_weights", true),
            ("scale_attn_by_inverse_layer_idx", false),
            ("add_cross_attention", false),
        ] {
            if flag(keys, key, needed)? != needed {
                let expected = if needed { "true" } else { "false" };
                return Err(refused(key, &keys[key], expected));
            }
        }
        let absent = |v: &Value| v.is_null() || v.as_object().is_some_and(Map::is_empty);
        for key in ["quantization_config", "pruned_heads"] {
            if let Some(value) = keys.get(key).filter(|v| !absent(v)) {
                return Err(refused(
                    key,
                    value,
                    "none: its weights would not be those of the file",
                ));
            }
        }
        let width = size(keys, "n_embd", "hidden_size", 768)?;
        let hidden = match keys.get("n_inner") {
            None | Some(Value::Null) => width.saturating_mul(4),
            Some(value) => whole("n_inner", value)?,
        };
        let activation = match keys.get("activation_function") {
            None => Activation::GeluTanh,
            Some(name) => named(name).ok_or_else(|| {
                refused(
                    "activation_function",
                    name,
                    "gelu, gelu_new, relu, silu, tanh or another of transformers' names",
                )
            })?,
        };
        for rate in ["attn_pdrop", "embd_pdrop"] {
            number(keys, rate, 0.1)?;
        }
        let bias = match keys.get("glassbox") {
            Some(Value::Object(own)) => flag(own, "bias", true)?,
            _ => true,
        };
        let config = Gpt2Config {
            vocabulary: keys.get("vocab_size").map_or(Ok(50257), |n| whole("vocab_size", n))?,
            context: size(keys, "n_positions", "max_position_embeddings", 1024)?,
            width,
            heads: size(keys, "n_head", "num_attention_heads", 12)?,
            layers: size(keys, "n_layer", "num_hidden_layers", 12)?,
            hidden,
            epsilon: number(keys, "layer_norm_epsilon", 1e-5)?,
            activation,
            bias,
            tied: flag(keys, "tie_word_embeddings", true)?,
            dropout: number(keys, "resid_pdrop", 0.1)?,
        };
        config.validate()?;
        Ok(config)
    }
}

/// The function of a name that Hugging Face has for it.
fn named(name: &Value) -> Option<Activation> {
    let name = name.as_str()?;
    Activation::ALL.iter().copied().find(|a| a.hugging_face().contains(&name))
}

fn refused(key: &'static str, found: &Value, expected: &'static str) -> ConfigError {
    ConfigError::Key { key, found: shortened(found), expected }
}

/// A number as people write it: digits where they are few, else a power of ten.
pub(crate) fn decimal(x: f64) -> String {
    let plain = x == 0.0 || !x.is_finite() || (1e-4..1e15).contains(&x.abs());
    if plain { x.to_string() } else { format!("{x:e}") }
}

/// Whether a parameter is a vector by what it is: a bias, or the gain of a normalisation. All others are
/// matrices, even where a size of 1 makes them a single row or column.
///
/// ```
/// use transformer::is_vector;
/// assert!(is_vector("block.0.norm_1.weight") && is_vector("block.0.attention.qkv.bias"));
/// assert!(!is_vector("embedding.position.weight"));
/// ```
pub fn is_vector(parameter: &str) -> bool {
    let mut parts = parameter.rsplit('.');
    let (last, layer) = (parts.next(), parts.next().unwrap_or_default());
    match last {
        Some("bias") => true,
        Some("weight") => layer.split('_').next() == Some("norm"),
        _ => false,
    }
}

/// A value as it stands in the file, but not all of a long one.
pub(crate) fn shortened(value: &Value) -> String {
    let text = printable(&value.to_string());
    if text.chars().count() > 60 { text.chars().take(57).collect::<String>() + "…" } else { text }
}

/// A size, by GPT-2's name or by the name that all families share.
fn size(
    keys: &Map<String, Value>,
    key: &'static str,
    general: &'static str,
    absent: usize,
) -> Result<usize, ConfigError> {
    match (keys.get(key), keys.get(general)) {
        (None, None) => Ok(absent),
        (Some(value), None) => whole(key, value),
        (None, Some(value)) => whole(general, value),
        (Some(value), Some(other)) if value == other => whole(key, value),
        (Some(value), Some(_)) => {
            let expected = "the same number as under its general name (hidden_size, \
                            max_position_embeddings, num_attention_heads, num_hidden_layers)";
            Err(refused(key, value, expected))
        }
    }
}

fn whole(key: &'static str, value: &Value) -> Result<usize, ConfigError> {
    let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| refused(key, value, "a whole number"))
}

fn number(
    keys: &Map<String, Value>,
    key: &'static str,
    otherwise: f64,
) -> Result<f64, ConfigError> {
    match keys.get(key) {
        None => Ok(otherwise),
        Some(value) => value.as_f64().ok_or_else(|| refused(key, value, "a number")),
    }
}

fn flag(
    keys: &Map<String, Value>,
    key: &'static str,
    otherwise: bool,
) -> Result<bool, ConfigError> {
    match keys.get(key) {
        None => Ok(otherwise),
        Some(value) => value.as_bool().ok_or_else(|| refused(key, value, "true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Form, Gpt2};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_and_names_what_is_recorded(
            layers in 1usize..3, bias: bool, tied: bool, hidden in 1usize..9, dropped: bool,
        ) {
            let dropout = if dropped { 0.1 } else { 0.0 };
            let config = Gpt2Config {
                vocabulary: 5, context: 3, width: 4, layers, hidden, bias, tied, dropout,
                ..Gpt2Config::default()
            };
            let model = Gpt2::<f32>::record(&config, 1, 2, Form::Fused, 0).unwrap();
            prop_assert_eq!(model.tape().parameters().len(), config.parameters());
            let recorded = model.tape().parameter_list().into_iter().map(|p| (p.name, p.shape));
            prop_assert_eq!(recorded.collect::<Vec<_>>(), config.parameter_shapes().collect::<Vec<_>>());
            prop_assert_eq!(Gpt2Config::from_json(&config.to_json()), Ok(config));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Gpt2Config::from_json(&text);
        }
    }

    fn with(key: &str, value: Value) -> Result<Gpt2Config, ConfigError> {
        let mut json: Value = serde_json::from_str(&Gpt2Config::default().to_json()).unwrap();
        json[key] = value;
        Gpt2Config::from_json(&json.to_string())
    }

    #[test]
    fn other_models_are_refused() {
        let message = |key, value| with(key, value).unwrap_err().to_string();
        assert_eq!(
            message("model_type", json!("llama")),
            "key model_type: found \"llama\", expected \"gpt2\", the only family that is read"
        );
        assert!(message("n_head", json!(3)).contains("not a multiple of 3 heads"));
        assert!(message("n_layer", json!(-1)).contains("whole number"));
        assert!(message("vocab_size", json!(u64::MAX)).contains("at most"));
        assert!(message("scale_attn_weights", json!(false)).ends_with("expected true"));
        assert!(message("activation_function", json!("mish")).contains("gelu_new"));
        assert!(message("layer_norm_epsilon", json!(0)).contains("above 0"));
        // Weights that transformers would change when it reads them.
        assert!(message("quantization_config", json!({"bits": 4})).contains("weights"));
        assert!(message("pruned_heads", json!({"0": [1]})).contains("weights"));
        for nothing in [json!(null), json!({})] {
            assert!(with("pruned_heads", nothing.clone()).is_ok());
            assert!(with("quantization_config", nothing).is_ok());
        }
        let huge =
            Gpt2Config { width: 1 << 24, layers: 1024, hidden: 1 << 24, ..Gpt2Config::default() };
        assert!(matches!(huge.validate(), Err(ConfigError::Large { .. })));
        assert!(message("n_layer", json!(1025)).contains("at most 1024"));
    }

    /// As `GPT2Config` of transformers 5.23 has it: what a key means that is not there, other names of a key, and what
    /// is refused there too.
    #[test]
    fn keys_mean_what_hugging_face_means() {
        let empty = Gpt2Config::from_json(r#"{"model_type": "gpt2"}"#).unwrap();
        assert_eq!(
            empty,
            Gpt2Config {
                vocabulary: 50257,
                context: 1024,
                width: 768,
                heads: 12,
                layers: 12,
                hidden: 3072,
                epsilon: 1e-5,
                activation: Activation::GeluTanh,
                bias: true,
                tied: true,
                dropout: 0.1,
            }
        );
        // Each key is read: another value of it is another model.
        let other = Gpt2Config {
            vocabulary: 7,
            context: 3,
            width: 6,
            heads: 3,
            layers: 2,
            hidden: 5,
            epsilon: 0.125,
            activation: Activation::Relu,
            bias: false,
            tied: false,
            dropout: 0.5,
        };
        assert_eq!(Gpt2Config::from_json(&other.to_json()), Ok(other));
        assert_eq!(with("n_inner", Value::Null).unwrap().hidden, 64);
        for &activation in Activation::ALL {
            for name in activation.hugging_face() {
                let read = with("activation_function", json!(name)).unwrap();
                assert_eq!(read.activation, activation);
            }
        }
        let general = r#"{"model_type": "gpt2", "hidden_size": 6, "num_attention_heads": 3,
            "num_hidden_layers": 2, "max_position_embeddings": 5, "vocab_size": 4}"#;
        let general = Gpt2Config::from_json(general).unwrap();
        assert_eq!((general.width, general.heads, general.layers, general.context), (6, 3, 2, 5));
        assert_eq!((general.vocabulary, general.hidden), (4, 24));
        assert!(with("hidden_size", json!(16)).is_ok());
        assert!(with("hidden_size", json!(17)).unwrap_err().to_string().contains("n_embd"));
        for key in [
            "n_embd",
            "n_head",
            "n_layer",
            "n_positions",
            "vocab_size",
            "tie_word_embeddings",
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "add_cross_attention",
            "layer_norm_epsilon",
            "activation_function",
            "resid_pdrop",
            "attn_pdrop",
            "embd_pdrop",
        ] {
            let message = with(key, Value::Null).unwrap_err().to_string();
            assert!(message.starts_with(&format!("key {key}: found null")), "{message}");
        }
        for (key, value) in [("add_cross_attention", true), ("scale_attn_weights", false)] {
            assert!(with(key, json!(value)).is_err() && with(key, json!(!value)).is_ok());
        }
        assert!(with("scale_attn_by_inverse_layer_idx", json!(true)).is_err());
        // The order of the same products and sums, at higher precision: nothing changes in this arithmetic.
        assert!(with("reorder_and_upcast_attn", json!(true)).is_ok());
    }

    #[test]
    fn numbers_are_said_as_they_are() {
        let most = Gpt2Config { layers: i64::MAX as usize, ..Gpt2Config::default() };
        assert_eq!(
            most.validate().unwrap_err().to_string(),
            "layers is 9223372036854775807; it must be at most 1024"
        );
        let dropout = Gpt2Config { dropout: 1e308, ..Gpt2Config::default() };
        assert_eq!(
            dropout.validate().unwrap_err().to_string(),
            "dropout is 1e308; it must be at least 0 and below 1"
        );
        assert_eq!(
            [0.0, -0.5, 1e-5, f64::NAN, 123456.0].map(decimal),
            ["0", "-0.5", "1e-5", "NaN", "123456"]
        );
    }

    /// A parameter is a vector or a matrix by what it is, whatever the sizes: as GPT-2 in transformers has them.
    #[test]
    fn vectors_are_gains_and_biases() {
        for config in [
            Gpt2Config::default(),
            Gpt2Config {
                vocabulary: 1,
                context: 1,
                width: 1,
                heads: 1,
                hidden: 1,
                tied: false,
                ..Gpt2Config::default()
            },
        ] {
            for (name, shape) in config.parameter_shapes() {
                let layer =
                    ["token", "position", "qkv", "projection", "expanded", "contracted", "head"];
                let table = layer.iter().any(|l| name.ends_with(&format!("{l}.weight")));
                assert_eq!(is_vector(&name), !table, "{name} {shape}");
            }
        }
    }
}
