//! A decoder described by its parts. A family of models ([`crate::model::family`]) differs from another by these parts;
//! no reader of a recorded step depends on the family.

use crate::keyed::keyed;
use crate::model::layers;
use crate::printable::decimal;
use calculus::Parameter;
pub use calculus::activation::Activation;
use linalg::{Role, Shape};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a token's position enters the network.
///
/// ```
/// use transformer::Positions;
/// assert_eq!(Positions::default(), Positions::Learned);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Positions {
    /// A learned vector per position is added to the token's. Source: Vaswani et al. 2017; GPT-2.
    #[default]
    Learned,
    /// Pairs of coordinates (i, i + d/2) of each query and key are rotated by t·base^(−2i/d) at position t
    /// ([`linalg::rotation`]). Source: Su et al., RoFormer, 2021.
    Rotary {
        /// The base θ: 10⁴ in Llama 2.
        base: f64,
    },
}

keyed! {
    /// The normalisation before each part and before the head: [`probability::layer_norm`], with a shift if the model
    /// has biases, or [`probability::rms_norm`].
    #[derive(Default)]
    #[non_exhaustive]
    Norm {
        #[default]
        Layer: "layer", "Mean 0, variance 1, gain and shift";
        Rms: "rms", "Root mean square 1, gain";
    }
}

/// A decoder described by its parts, which determine what is recorded and what a file of weights holds.
///
/// ```
/// use transformer::{Activation, Architecture, Norm, Positions};
/// let gpt2 = Architecture {
///     vocabulary: 50257, context: 1024, width: 768, heads: 12, layers: 12, hidden: 3072,
///     ..Architecture::default()
/// };
/// assert_eq!(gpt2.parameters(), 124_439_808);
///
/// // SmolLM2-135M is a Llama: four fields for its parts, and its sizes.
/// let smollm2 = Architecture {
///     vocabulary: 49152, context: 8192, width: 576, heads: 9, key_value_heads: Some(3), layers: 30, hidden: 1536,
///     positions: Positions::Rotary { base: 1e5 }, norm: Norm::Rms, activation: Activation::Silu, gated: true,
///     bias: false, ..Architecture::default()
/// };
/// assert_eq!(smollm2.parameters(), 134_515_008);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Size of the vocabulary, V.
    pub vocabulary: usize,
    /// The number of positions, T.
    pub context: usize,
    /// Features of a token, d.
    pub width: usize,
    /// The number of blocks.
    pub layers: usize,
    /// How a token's position enters the network.
    pub positions: Positions,
    /// The normalisation.
    pub norm: Norm,
    /// ε of the normalisation, inside the root.
    pub epsilon: f64,
    /// Query heads per block; together they have the model's width.
    pub heads: usize,
    /// Key-value heads, each shared by `heads / key_value_heads` query heads; as many as `heads` if absent. Source:
    /// Ainslie et al., *GQA*, 2023.
    pub key_value_heads: Option<usize>,
    /// Features inside the feed-forward part, usually 4·d.
    pub hidden: usize,
    /// The activation function f of the feed-forward part.
    pub activation: Activation,
    /// Whether the feed-forward part is W₂·(f(W₁·x) ⊙ W₃·x) instead of W₂·f(W₁·x). Source: Shazeer, *GLU Variants*,
    /// 2020.
    pub gated: bool,
    /// Whether linear maps and layer normalisation have biases.
    pub bias: bool,
    /// Whether the head shares the embedding's table.
    pub tied: bool,
    /// The share of activations dropped in training.
    pub dropout: f64,
}

impl Default for Architecture {
    fn default() -> Self {
        Architecture {
            vocabulary: 256,
            context: 64,
            width: 16,
            layers: 1,
            positions: Positions::Learned,
            norm: Norm::Layer,
            epsilon: 1e-5,
            heads: 2,
            key_value_heads: None,
            hidden: 64,
            activation: Activation::GeluTanh,
            gated: false,
            bias: true,
            tied: true,
            dropout: 0.0,
        }
    }
}

/// An invalid model or `config.json`.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A size of 0.
    #[error("{size} is 0; it must be 1 or more")]
    Zero {
        /// The name of the size.
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
    /// Key-value heads that do not divide the query heads.
    #[error(
        "{heads} heads are not a multiple of {key_value_heads} key-value heads; take a divisor of {heads}"
    )]
    KeyValueHeads {
        /// The number of query heads.
        heads: usize,
        /// The number of key-value heads.
        key_value_heads: usize,
    },
    /// A head with an odd number of coordinates, which cannot be rotated in pairs.
    #[error(
        "rotary positions rotate pairs of coordinates: a head of {head_width} (width {width}, {heads} heads) has an \
         odd number; take another number of heads, or learned positions"
    )]
    OddHeads {
        /// Features of a head.
        head_width: usize,
        /// The width.
        width: usize,
        /// The number of heads.
        heads: usize,
    },
    /// A setting out of range.
    #[error("{setting} is {found}; it must be {expected}")]
    Range {
        /// The name of the setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// Its range.
        expected: &'static str,
    },
    /// A model larger than memory can address.
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
    /// A key that is missing or invalid.
    #[error("key {key}: found {found}, expected {expected}")]
    Key {
        /// The key.
        key: &'static str,
        /// The value found.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// A combination of parts that no Hugging Face family has, so that no file can hold it.
    #[error("no family of models has these parts together: {reason}")]
    Family {
        /// What each family lacks.
        reason: String,
    },
}

/// Token ids are stored as scalars; `f32` represents every integer up to this one.
const LARGEST_SIZE: usize = 1 << 24;

/// Every layer has a dozen named values, whatever its width; a deeper model is refused.
const MOST_LAYERS: usize = 1024;

impl Architecture {
    /// Returns the number of key-value heads.
    pub fn key_value_heads(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    /// Returns the features of a head; 0 if there are no heads.
    pub fn head_width(&self) -> usize {
        self.width.checked_div(self.heads).unwrap_or(0)
    }

    /// Checks that a model of these parts and sizes is possible.
    ///
    /// # Errors
    /// The first contradiction, with its numbers.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.parameter_list().map(drop)
    }

    fn sizes(&self) -> [(&'static str, usize); 6] {
        [
            ("vocabulary", self.vocabulary),
            ("context", self.context),
            ("width", self.width),
            ("heads", self.heads),
            ("layers", self.layers),
            ("hidden", self.hidden),
        ]
    }

    /// Checks everything that [`Architecture::validate`] does except that memory can address the model.
    fn check_parts(&self) -> Result<(), ConfigError> {
        let shared = [("key_value_heads", self.key_value_heads())];
        for (size, found) in self.sizes().into_iter().chain(shared) {
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
        let (width, heads, key_value_heads) = (self.width, self.heads, self.key_value_heads());
        if !width.is_multiple_of(heads) {
            return Err(ConfigError::Heads { width, heads });
        }
        if !heads.is_multiple_of(key_value_heads) {
            return Err(ConfigError::KeyValueHeads { heads, key_value_heads });
        }
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let above = "a finite number above 0";
        if let Positions::Rotary { base } = self.positions {
            let head_width = self.head_width();
            if !head_width.is_multiple_of(2) {
                return Err(ConfigError::OddHeads { head_width, width, heads });
            }
            if !positive(base) {
                let (setting, found) = ("the base of rotary positions", decimal(base));
                return Err(ConfigError::Range { setting, found, expected: above });
            }
        }
        if !positive(self.epsilon) {
            let (setting, found) = ("the normalisation's epsilon", decimal(self.epsilon));
            return Err(ConfigError::Range { setting, found, expected: above });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let (setting, found) = ("dropout", decimal(self.dropout));
            return Err(ConfigError::Range { setting, found, expected: "at least 0 and below 1" });
        }
        Ok(())
    }

    /// Returns the number of parameters; `usize::MAX` if the model is invalid.
    pub fn parameters(&self) -> usize {
        self.parameter_list().map_or(usize::MAX, |list| list.last().map_or(0, |p| p.range.end))
    }

    /// Returns the name, shape, place and uses of every parameter, from a recording that allocates no memory.
    ///
    /// # Errors
    /// See [`Architecture::validate`].
    pub fn parameter_list(&self) -> Result<Vec<Parameter>, ConfigError> {
        self.check_parts()?;
        let list = layers::parameter_list(self).ok();
        let count = |list: &Vec<Parameter>| list.last().map_or(0, |p| p.range.end);
        list.filter(|list| count(list) <= isize::MAX as usize / 64).ok_or_else(|| {
            let sizes = self.sizes().map(|(name, size)| format!("{name} {size}")).join(", ");
            ConfigError::Large { sizes }
        })
    }
}

/// Returns whether a parameter's role makes it a vector: a bias, or a gain or shift of a normalisation. All others are
/// matrices, even if a size of 1 makes them a single row or column. Hugging Face stores vectors with one dimension;
/// weight decay excludes them.
///
/// ```
/// use transformer::{Architecture, is_vector};
/// let list = Architecture { width: 1, heads: 1, ..Architecture::default() }.parameter_list()?;
/// let vectors = list.iter().filter(|p| is_vector(p)).map(|p| p.name.as_str());
/// assert!(vectors.clone().any(|name| name == "block.0.norm_1.weight"));
/// assert!(!vectors.clone().any(|name| name == "embedding.position.weight")); // 1 × 64, a table
/// # Ok::<(), transformer::ConfigError>(())
/// ```
pub fn is_vector(parameter: &Parameter) -> bool {
    is_gain(parameter) || is_bias(parameter)
}

/// Returns whether a parameter is the gain of a normalisation, which is 1 before training.
pub fn is_gain(parameter: &Parameter) -> bool {
    parameter.uses.contains(&(Role::Norm, 1))
}

/// Returns whether a parameter is a bias of a linear map or a normalisation, which is 0 before training.
pub fn is_bias(parameter: &Parameter) -> bool {
    parameter.uses.iter().any(|u| matches!(u, (Role::Norm | Role::Linear, 2)))
}

/// Returns a shape of one column.
pub(crate) fn vector(rows: usize) -> Shape {
    Shape::new(rows, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An impossible size is an error in every method, not a panic or an endless count.
    #[test]
    fn sizes_that_cannot_be_have_no_parameters() {
        for size in [0, usize::MAX] {
            let base =
                Architecture { positions: Positions::Rotary { base: 1e4 }, ..Default::default() };
            for config in [
                Architecture { vocabulary: size, ..base.clone() },
                Architecture { context: size, ..base.clone() },
                Architecture { width: size, ..base.clone() },
                Architecture { heads: size, ..base.clone() },
                Architecture { key_value_heads: Some(size), ..base.clone() },
                Architecture { layers: size, ..base.clone() },
                Architecture { hidden: size, ..base.clone() },
            ] {
                let refused = config.validate().unwrap_err();
                assert_eq!(config.parameter_list(), Err(refused), "{config:?}");
                assert_eq!(config.parameters(), usize::MAX, "{config:?}");
                let directory = tempfile::tempdir().unwrap();
                assert!(crate::disk::files::write::<f32>(directory.path(), &config, &[]).is_err());
            }
        }
    }

    #[test]
    fn numbers_are_said_as_they_are() {
        let most = Architecture { layers: i64::MAX as usize, ..Architecture::default() };
        assert_eq!(
            most.validate().unwrap_err().to_string(),
            "layers is 9223372036854775807; it must be at most 1024"
        );
        let dropout = Architecture { dropout: 1e308, ..Architecture::default() };
        assert_eq!(
            dropout.validate().unwrap_err().to_string(),
            "dropout is 1e308; it must be at least 0 and below 1"
        );
        assert_eq!(
            [0.0, -0.5, 1e-5, f64::NAN, 123456.0].map(decimal),
            ["0", "-0.5", "1e-5", "NaN", "123456"]
        );
    }
}
