//! The sizes of a GPT-2.

use thiserror::Error;

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exact.
    Gelu,
    /// Tanh form.
    GeluTanh,
    /// ReLU.
    Relu,
    /// SiLU.
    Silu,
    /// tanh.
    Tanh,
}

/// Sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt2Config {
    /// V.
    pub vocabulary: usize,
    /// T.
    pub context: usize,
    /// d.
    pub width: usize,
    /// Heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// Hidden.
    pub hidden: usize,
    /// ε.
    pub epsilon: f64,
    /// Activation.
    pub activation: Activation,
    /// Biases.
    pub bias: bool,
    /// Tied head.
    pub tied: bool,
    /// Dropout.
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

/// Errors.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    /// Heads.
    #[error("heads")]
    Heads,
}

impl Gpt2Config {
    /// Checks.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.width % self.heads != 0 { Err(ConfigError::Heads) } else { Ok(()) }
    }
}
