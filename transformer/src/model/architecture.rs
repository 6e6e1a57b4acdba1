//! A decoder described by its parts. A family of models ([`crate::model::family`]) differs from another by these parts;
//! no reader of a recorded step depends on the family.

mod adapting;
mod check;
mod difference;
mod error;
pub(crate) mod layer_list;
#[cfg(test)]
mod tests;

use crate::keyed::keyed;
use crate::model::adaptation::Adaptation;
use crate::model::scores::Scores;
pub use calculus::activation::Activation;
pub(crate) use check::MOST_LAYERS;
pub use difference::{Difference, Paper};
pub use error::ConfigError;
use infotheory::objective::distillation::Distillation;
use infotheory::preference::PreferenceLoss;
use linalg::Shape;
pub use linalg::rotation::Scaling;
use linalg::rotation::{Pairs, Rotation};
use serde::{Deserialize, Serialize};

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
    /// A vector of sines and cosines of the position is added to the token's ([`linalg::sinusoid`]). Source: Vaswani et
    /// al. 2017, section 3.5.
    Sinusoidal,
    /// Pairs of coordinates of each query and key are rotated ([`linalg::rotation`]). Source: Su et al., RoFormer, 2021.
    Rotary(Rotary),
}

/// The rotation of queries and keys: pairs (i, i + r/2) of the first r coordinates of each head turn by t·ωᵢ at position t,
/// with the frequency ωᵢ = base^(−2i/r), scaled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rotary {
    /// The base θ: 10⁴ in Llama 2.
    pub base: f64,
    /// The share of a head's coordinates that turn, r/d: 0.25 in GPT-NeoX.
    pub share: f64,
    /// The frequencies' scaling for longer contexts.
    pub scaling: Scaling,
    /// The base of layers whose attention has a window, without scaling, if it differs. Source: Gemma Team, *Gemma 3
    /// Technical Report*, 2025, section 2.
    pub local_base: Option<f64>,
}

impl Default for Rotary {
    fn default() -> Self {
        Rotary { base: 1e4, share: 1.0, scaling: Scaling::None, local_base: None }
    }
}

keyed! {
    /// The normalisation: [`probability::layer_norm`], with a shift if the model's norms have biases, or
    /// [`probability::rms_norm`].
    #[derive(Default)]
    #[non_exhaustive]
    Norm {
        #[default]
        Layer: "layer", "Mean 0, variance 1, gain and shift";
        Rms: "rms", "Root mean square 1, gain";
    }
}

keyed! {
    /// The gain of a normalisation.
    #[derive(Default)]
    #[non_exhaustive]
    Gain {
        #[default]
        Plain: "plain", "A learned factor per feature";
        OnePlus: "one_plus", "1 plus a learned number per feature (Gemma)";
        None: "none", "None (microgpt)";
    }
}

keyed! {
    /// The places of the normalisations in a block.
    #[derive(Default)]
    #[non_exhaustive]
    Placement {
        #[default]
        Pre: "pre", "Before each part: x + part(norm x)";
        Post: "post", "After each sum: norm(x + part(x)), with none before the head (2017)";
        After: "after", "After each part: x + norm(part(x)) (OLMo 2)";
        Sandwich: "sandwich", "Before and after each part: x + norm(part(norm x)) (Gemma 2)";
        Parallel: "parallel", "Before both parts of one sum: x + attention(norm x) + feed-forward(norm x) (GPT-NeoX)";
    }
}

impl Placement {
    /// Returns whether a part's input is normalised.
    pub fn before(self) -> bool {
        matches!(self, Placement::Pre | Placement::Sandwich | Placement::Parallel)
    }

    /// Returns whether a part's output is normalised before it is added.
    pub fn after(self) -> bool {
        matches!(self, Placement::After | Placement::Sandwich)
    }
}

keyed! {
    /// The normalisation of queries and keys before they are rotated and compared.
    #[derive(Default)]
    #[non_exhaustive]
    QueryKeyNorm {
        #[default]
        None: "none", "No normalisation";
        Head: "head", "Each head by itself, one gain for all heads (Qwen3, Gemma 3)";
        Whole: "whole", "All heads together (OLMo 2)";
    }
}

/// Which linear maps have biases, and whether layer normalisation has a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Biases {
    /// The map to queries, keys and values.
    pub query_key_value: bool,
    /// The map from the heads to the residual stream.
    pub projection: bool,
    /// The maps of the feed-forward part.
    pub feed_forward: bool,
    /// Layer normalisation. RMS normalisation has no shift.
    pub norm: bool,
}

impl Biases {
    /// Biases everywhere: GPT-2.
    pub const ALL: Biases = Biases::everywhere(true);
    /// No biases: Llama.
    pub const NONE: Biases = Biases::everywhere(false);

    /// Returns biases everywhere or nowhere.
    pub const fn everywhere(bias: bool) -> Self {
        Biases { query_key_value: bias, projection: bias, feed_forward: bias, norm: bias }
    }
}

/// Attention to the last tokens only, in some layers. Source: Beltagy et al., *Longformer*, 2020; Jiang et al.,
/// *Mistral 7B*, 2023.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The number of tokens that a token sees, itself included.
    pub size: usize,
    /// Whether layer i has the window: element i, repeated from the start beyond the last one. `[true]` is a window in all
    /// layers; Gemma 2's is `[true, false]`.
    pub layers: Vec<bool>,
}

impl Window {
    /// Returns a window in these layers, by the shortest list that repeats to the same; none if no layer has it.
    pub(crate) fn repeating(size: usize, layers: Vec<bool>) -> Option<Window> {
        let layers = layer_list::shortest(layers);
        layers.contains(&true).then_some(Window { size, layers })
    }

    /// Returns n if every n-th layer, and no other, has no window.
    pub fn full_every(&self) -> Option<usize> {
        layer_list::left_out_every(&self.layers)
    }
}

/// A decoder described by its parts, which determine what is recorded and what a file of weights holds.
///
/// ```
/// use transformer::{Activation, Architecture, Biases, Norm, Positions, Rotary};
/// let gpt2 = Architecture {
///     vocabulary: 50257, context: 1024, width: 768, heads: 12, layers: 12, hidden: 3072,
///     ..Architecture::default()
/// };
/// assert_eq!(gpt2.parameters(), 124_439_808);
///
/// // SmolLM2-135M is a Llama: five fields for its parts, and its sizes.
/// let smollm2 = Architecture {
///     vocabulary: 49152, context: 8192, width: 576, heads: 9, key_value_heads: Some(3), layers: 30, hidden: 1536,
///     positions: Positions::Rotary(Rotary { base: 1e5, ..Rotary::default() }), norm: Norm::Rms,
///     activation: Activation::Silu, gated: true, biases: Biases::NONE, ..Architecture::default()
/// };
/// assert_eq!(smollm2.parameters(), 134_515_008);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    /// Whether queries and keys of layer i turn if positions are rotary: element i, repeated from the start beyond the last
    /// one. `[true]` is all layers; SmolLM3's is `[true, true, true, false]`. Source: Yang et al., *RoPE to NoPE and Back
    /// Again*, 2025.
    pub rotary_layers: Vec<bool>,
    /// The factor of a token's vector after the lookup: √d in Gemma and in the transformer of 2017, 12 in Granite 3.0.
    pub embedding_scale: f64,
    /// Whether a token's vector is normalised before the first block, its position included. Source: Le Scao et al.,
    /// *BLOOM*, 2022; Karpathy, *microgpt*, 2026.
    pub embedding_norm: bool,
    /// The factor of each part's output when it is added to the residual stream, x + r·part(x). Source: IBM, *Granite 3.0
    /// Language Models*, 2024; Yang et al., *Tensor Programs VI*, 2023.
    pub residual_scale: f64,
    /// The normalisation.
    pub norm: Norm,
    /// The normalisation's gain.
    pub gain: Gain,
    /// The places of the normalisations.
    pub placement: Placement,
    /// Whether the output of the last block is normalised before the head; never with norms after each sum
    /// ([`Placement::Post`]), the last of which stands there.
    pub final_norm: bool,
    /// ε of the normalisation, inside the root.
    pub epsilon: f64,
    /// Query heads per block.
    pub heads: usize,
    /// Key-value heads, each shared by `heads / key_value_heads` query heads; as many as `heads` if absent. Source:
    /// Ainslie et al., *GQA*, 2023.
    pub key_value_heads: Option<usize>,
    /// Features of a head; width / heads if absent.
    pub head_width: Option<usize>,
    /// The normalisation of queries and keys.
    pub query_key_norm: QueryKeyNorm,
    /// The factor of attention scores; 1/√(features of a head) if absent.
    pub score_scale: Option<f64>,
    /// Whether the factor of attention scores in layer i, from 1, is divided by i. Source: `scale_attn_by_inverse_layer_idx`
    /// of GPT-2 in transformers; Karamcheti et al., *Mistral*, 2021.
    pub score_scale_by_layer: bool,
    /// The cap of attention scores, c·tanh(s/c). Source: Gemma Team, *Gemma 2*, 2024.
    pub score_cap: Option<f64>,
    /// The window of attention; all earlier tokens are seen if absent.
    pub window: Option<Window>,
    /// Features inside the feed-forward part, usually 4·d.
    pub hidden: usize,
    /// The activation function f of the feed-forward part.
    pub activation: Activation,
    /// Whether the feed-forward part is W₂·(f(W₁·x) ⊙ W₃·x) instead of W₂·f(W₁·x). Source: Shazeer, *GLU Variants*,
    /// 2020.
    pub gated: bool,
    /// Which maps have biases.
    pub biases: Biases,
    /// Whether the head shares the embedding's table.
    pub tied: bool,
    /// The number by which logits are divided, before their cap. Source: `logits_scaling` of IBM, *Granite 3.0 Language
    /// Models*, 2024; Yang et al., *Tensor Programs V*, 2022.
    pub logit_divisor: f64,
    /// The cap of logits, c·tanh(z/c). Source: Gemma Team, *Gemma 2*, 2024.
    pub logit_cap: Option<f64>,
    /// The share of activations dropped in training.
    pub dropout: f64,
    /// The standard deviation of hidden matrices before training; no part of a trained model, so that no file holds it.
    #[serde(skip, default = "hidden_deviation")]
    pub hidden_deviation: f64,
    /// Whether windows hold several sequences, kept apart ([`crate::PackedAttention`]); no part of a trained model.
    #[serde(skip)]
    pub packed: bool,
    /// The loss of preferences, if windows hold pairs of a chosen and a rejected sequence ([`Self::packed`]), instead of the
    /// mean over tokens; no part of a trained model.
    #[serde(skip)]
    pub preference: Option<PreferenceLoss>,
    /// How the model learns from a teacher beside the text; no part of a trained model.
    #[serde(skip)]
    pub distillation: Option<Distillation>,
    /// What training changes; no part of a trained model either.
    #[serde(skip)]
    pub adaptation: Adaptation,
}

/// The standard deviation of weights before training. Source: Radford et al., *GPT-2*, 2019.
pub(crate) const HIDDEN_DEVIATION: f64 = 0.02;

fn hidden_deviation() -> f64 {
    HIDDEN_DEVIATION
}

impl Default for Architecture {
    fn default() -> Self {
        Architecture {
            vocabulary: 256,
            context: 64,
            width: 16,
            layers: 1,
            positions: Positions::Learned,
            rotary_layers: vec![true],
            embedding_scale: 1.0,
            embedding_norm: false,
            residual_scale: 1.0,
            norm: Norm::Layer,
            gain: Gain::Plain,
            placement: Placement::Pre,
            final_norm: true,
            epsilon: 1e-5,
            heads: 2,
            key_value_heads: None,
            head_width: None,
            query_key_norm: QueryKeyNorm::None,
            score_scale: None,
            score_scale_by_layer: false,
            score_cap: None,
            window: None,
            hidden: 64,
            activation: Activation::GeluTanh,
            gated: false,
            biases: Biases::ALL,
            tied: true,
            logit_divisor: 1.0,
            logit_cap: None,
            dropout: 0.0,
            hidden_deviation: HIDDEN_DEVIATION,
            packed: false,
            preference: None,
            distillation: None,
            adaptation: Adaptation::default(),
        }
    }
}

impl Architecture {
    /// Returns the number of key-value heads.
    pub fn key_value_heads(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    /// Returns the features of a head; 0 if there are no heads.
    pub fn head_width(&self) -> usize {
        self.head_width.unwrap_or_else(|| self.width.checked_div(self.heads).unwrap_or(0))
    }

    /// Returns the model itself, all of whose weights are learned.
    #[must_use]
    pub fn base(&self) -> Architecture {
        Architecture { adaptation: Adaptation::default(), ..self.clone() }
    }

    /// Returns the same model in evaluation: nothing is dropped, also of the input of adapters.
    #[must_use]
    pub fn without_dropout(&self) -> Architecture {
        let mut still = Architecture { dropout: 0.0, ..self.clone() };
        still.adaptation.adapter.iter_mut().for_each(|adapter| adapter.dropout = 0.0);
        still
    }

    /// Whether a training step drops anything.
    pub fn drops(&self) -> bool {
        let of_adapter = self.adaptation.adapter.as_ref().map_or(0.0, |adapter| adapter.dropout);
        self.dropout > 0.0 || of_adapter > 0.0
    }

    /// Returns how attention scores keys in layer i, from 0.
    pub fn scores(&self, layer: usize) -> Scores {
        let by_layer = self.score_scale_by_layer.then(|| (layer + 1) as f64);
        let scale = match (self.score_scale, by_layer) {
            (scale, None) => scale,
            (scale, Some(layer)) => Some(scale.unwrap_or(self.usual_score_scale()) / layer),
        };
        Scores { scale, cap: self.score_cap, window: self.window(layer) }
    }

    /// Returns whether the output of the last block is normalised by a norm of its own.
    pub(crate) fn normalises_last(&self) -> bool {
        self.final_norm && self.placement != Placement::Post
    }

    /// Returns the factor of attention scores that `score_scale` stands for if it is absent.
    pub(crate) fn usual_score_scale(&self) -> f64 {
        1.0 / (self.head_width() as f64).sqrt()
    }

    /// Returns the same architecture with its lists of layers written in one way.
    pub(crate) fn repeating(&self) -> Self {
        let each = |list: &[bool]| -> Vec<bool> {
            (0..self.layers.min(MOST_LAYERS)).map(|i| layer_list::contains(list, i)).collect()
        };
        let own = self.window.as_ref();
        let window = own.and_then(|own| Window::repeating(own.size, each(&own.layers)));
        let rotary_layers = layer_list::shortest(each(&self.rotary_layers));
        Architecture { window, rotary_layers, ..self.clone() }
    }

    /// Returns the window of layer i, from 0.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let Window { size, layers } = self.window.as_ref()?;
        layer_list::contains(layers, layer).then_some(*size)
    }

    /// Returns the rotation of queries or keys with `heads` heads in layer i, from 0, if positions are rotary and the layer
    /// rotates.
    pub fn rotation(&self, layer: usize, heads: usize) -> Option<Rotation> {
        let Positions::Rotary(Rotary { base, scaling, local_base, .. }) = self.positions else {
            return None;
        };
        if !layer_list::contains(&self.rotary_layers, layer) {
            return None;
        }
        let (base, scaling) = match local_base.filter(|_| self.window(layer).is_some()) {
            Some(local) => (local, Scaling::None),
            None => (base, scaling),
        };
        let turning = Some(self.turning()).filter(|&turning| turning != self.head_width());
        Some(Rotation { turning, scaling, ..Rotation::new(heads, base, Pairs::Halves) })
    }

    /// Returns n if every n-th layer, and no other, does not rotate queries and keys.
    pub fn unrotated_every(&self) -> Option<usize> {
        layer_list::left_out_every(&self.rotary_layers)
    }

    /// Returns the number of coordinates of a head that turn.
    fn turning(&self) -> usize {
        match self.positions {
            Positions::Rotary(rotary) => (rotary.share * self.head_width() as f64) as usize,
            _ => 0,
        }
    }
}

/// Returns a shape of one column.
pub(crate) fn vector(rows: usize) -> Shape {
    Shape::new(rows, 1)
}
