//! The settings of a training run, under names that files and flags share.

use crate::keyed::keyed;
use crate::memory::Bytes;
use crate::model::adaptation::{Adaptation, Adapter};
use crate::model::architecture::{
    Activation, Architecture, ConfigError, Gain, Norm, Placement, QueryKeyNorm,
};
use crate::model::family::{self, Family};
use crate::training::parametrization::Parametrization;
use crate::training::paths;
use crate::training::precision::Precision;
use crate::training::preference_kind::PreferenceKind;
use crate::training::preset::Preset;
use crate::training::ranges;
use crate::training::time::Time;
use crate::training::tokenizer_choice::TokenizerChoice;
use calculus::optimizer::OptimizerConfig;
pub use calculus::optimizer::OptimizerKind;
use calculus::schedule::Schedule;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use thiserror::Error;

keyed! {
    /// The shape of the learning-rate schedule: [`Schedule`] without its numbers.
    #[non_exhaustive]
    ScheduleKind {
        Cosine: "cosine", "Warm-up, then half a cosine down to the minimum";
        Linear: "linear", "Warm-up, then a straight line down to the minimum";
        Constant: "constant", "Always the highest rate, without warm-up";
        WarmupStableDecay: "warmup_stable_decay", "Warm-up, the highest rate, and a straight line down at the end";
        Step: "step", "A staircase: multiplied by the same factor at equal intervals, without warm-up";
    }
}

impl ScheduleKind {
    /// The settings that it reads besides the highest rate and the number of steps.
    ///
    /// ```
    /// use transformer::ScheduleKind;
    /// assert_eq!(ScheduleKind::Cosine.takes(), ["min_learning_rate", "warmup"]);
    /// assert!(ScheduleKind::Constant.takes().is_empty());
    /// ```
    pub fn takes(self) -> &'static [&'static str] {
        match self {
            ScheduleKind::Cosine | ScheduleKind::Linear => &["min_learning_rate", "warmup"],
            ScheduleKind::Constant => &[],
            ScheduleKind::WarmupStableDecay => &["min_learning_rate", "warmup", "decay_steps"],
            ScheduleKind::Step => &["decay_every", "decay_factor"],
        }
    }
}

keyed! {
    /// The kind of positions: [`Positions`](crate::Positions) without its numbers.
    #[derive(Default)]
    #[non_exhaustive]
    PositionsKind {
        #[default]
        Learned: "learned", "A learned vector for every position";
        Sinusoidal: "sinusoidal", "Sines and cosines of the position, not learned (2017)";
        Rotary: "rotary", "Queries and keys turn with the position (RoPE)";
    }
}

fn is_default<T: Default + PartialEq>(x: &T) -> bool {
    *x == T::default()
}

/// A training run. The defaults are [`Preset::ShakespeareCpu`]. Sizes are in tokens, features or steps; rates are per step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Texts, JSON lines, tokens or directories of them ([`crate::disk::data`]); the embedded stories if absent.
    #[serde(default, with = "paths", skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<String>>,
    /// The field of a JSON line that holds a document; `text` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Whether the data are conversations, of which only answers are learned ([`crate::text::conversation`]).
    #[serde(default, skip_serializing_if = "is_default")]
    pub answers: bool,
    /// The loss of preferences, if the data are preferences ([`crate::text::preference`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferences: Option<PreferenceKind>,
    /// The price β of a nat of divergence from the model that the run begins with;
    /// [`TrainingConfig::PREFERENCE_BETA`] if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference_beta: Option<f64>,
    /// The share ε of preferences that are taken to be the wrong way round; 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference_flipped: Option<f64>,
    /// The directory of the model whose predictions are learned beside the data; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// The SHA-256 of its weights ([`crate::disk::files::sha256`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_sha256: Option<String>,
    /// The temperature T of the teacher's predictions and the model's; [`TrainingConfig::TEMPERATURE`] if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The share of the teacher in the loss; [`TrainingConfig::TEACHER_WEIGHT`] if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_weight: Option<f64>,
    /// The number of the teacher's largest logits of a token that are learned, and kept with the run; all, and none kept, if
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_top: Option<usize>,
    /// How the text becomes tokens.
    pub tokenizer: TokenizerChoice,
    /// The directory of the model whose weights, parts and tokenizer the run begins with; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The SHA-256 of those weights ([`crate::disk::files::sha256`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_sha256: Option<String>,
    /// Patterns of names of frozen weights ([`Adaptation::freeze`]); none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Vec<String>>,
    /// Patterns of names of weights that alone are learned; all are if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learn: Option<Vec<String>>,
    /// The rank of adapters, which are learned in place of the weights; no adapters if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<usize>,
    /// The numerator of their factor; the rank if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_alpha: Option<f64>,
    /// The linear maps that have one, by the names of the family's files; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_targets: Option<Vec<String>>,
    /// The share of the input of adapters that is dropped in training; 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_dropout: Option<f64>,
    /// Whether their factor is divided by the root of the rank instead of the rank (rsLoRA).
    #[serde(default, skip_serializing_if = "is_default")]
    pub rslora: bool,
    /// Whether adapters learn the length of every row of weights, too ([`Adapter::magnitudes`]).
    #[serde(default, skip_serializing_if = "is_default")]
    pub dora: bool,
    /// The number of blocks.
    pub layers: usize,
    /// Attention heads per block.
    pub heads: usize,
    /// Features of a token.
    pub width: usize,
    /// Tokens of a window.
    pub context: usize,
    /// How a token's position enters the network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub positions: PositionsKind,
    /// The base of rotary positions; 10⁴ if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotary_base: Option<f64>,
    /// The share of a head's coordinates that rotary positions turn; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotary_share: Option<f64>,
    /// The base of rotary positions in layers with a window; `rotary_base` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotary_local_base: Option<f64>,
    /// Every `unrotated_every`-th layer does not turn queries and keys; all do if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unrotated_every: Option<usize>,
    /// Whether a token's vector is multiplied by √width.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scaled_embedding: bool,
    /// The factor of a token's vector; absent, `scaled_embedding` decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_scale: Option<f64>,
    /// Whether the embedding is normalised before the first block.
    #[serde(default, skip_serializing_if = "is_default")]
    pub embedding_norm: bool,
    /// The factor of each part's output in the residual sum; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual_scale: Option<f64>,
    /// The normalisation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm: Norm,
    /// The normalisation's gain.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gain: Gain,
    /// The places of the normalisations.
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: Placement,
    /// Whether the output of the last block is normalised before the head; yes if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_norm: Option<bool>,
    /// The normalisation of queries and keys.
    #[serde(default, skip_serializing_if = "is_default")]
    pub query_key_norm: QueryKeyNorm,
    /// Key-value heads, a divisor of `heads`; as many as `heads` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_value_heads: Option<usize>,
    /// Features of a head; width / heads if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_width: Option<usize>,
    /// Tokens that a token sees, itself included; all earlier ones if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Every `full_every`-th layer sees all tokens and not only the window; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_every: Option<usize>,
    /// The factor of attention scores; 1/√(features of a head) if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_scale: Option<f64>,
    /// The cap of attention scores; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_cap: Option<f64>,
    /// The number by which logits are divided; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_divisor: Option<f64>,
    /// The cap of logits; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_cap: Option<f64>,
    /// Features inside the feed-forward part. If absent 4·width, or the next multiple of 8 from 8/3·width for a gated
    /// one, which has three matrices instead of two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Whether the feed-forward part is gated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gated: bool,
    /// Activation function of the feed-forward part.
    pub activation: Activation,
    /// Whether linear maps and layer normalisation have biases.
    pub bias: bool,
    /// Whether the map to queries, keys and values has biases; `bias` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_key_value_bias: Option<bool>,
    /// Whether the head shares the embedding's table.
    pub tied: bool,
    /// The share of activations dropped in training.
    pub dropout: f64,
    /// How initial weights and rates follow the width.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parametrization: Parametrization,
    /// The width for which rates were chosen, with [`Parametrization::Mup`]; [`TrainingConfig::BASE_WIDTH`] if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_width: Option<usize>,
    /// Windows per batch.
    pub batch: usize,
    /// Batches whose gradients are averaged before an update.
    pub accumulate: usize,
    /// The number of updates; with `time`, the expected number.
    pub steps: u64,
    /// The wall-clock time of the run, which then decides the number of steps; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// The optimizer.
    pub optimizer: OptimizerKind,
    /// Momentum µ.
    pub momentum: f64,
    /// The learning-rate schedule.
    pub schedule: ScheduleKind,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The learning rate at the last step.
    pub min_learning_rate: f64,
    /// Steps over which the learning rate rises.
    pub warmup: u64,
    /// Steps at the end over which the learning rate of `warmup_stable_decay` falls; a tenth of all steps if absent (Hu
    /// et al. 2024).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_steps: Option<u64>,
    /// Steps between two drops of the learning rate of `step`; a third of all steps if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_every: Option<u64>,
    /// The factor of each drop; 0.1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_factor: Option<f64>,
    /// Decay λ of matrices.
    pub weight_decay: f64,
    /// Smoothing β₁ of the gradient.
    pub beta1: f64,
    /// Smoothing β₂ of its square.
    pub beta2: f64,
    /// The ε that keeps updates finite for gradients that were always 0; 10⁻⁸ if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// The largest norm of all gradients together; 0 disables clipping.
    pub clip: f64,
    /// Smoothing β of the averaged weights, which are evaluated and written in place of the last step's; if absent, there
    /// is no average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// The numbers that linear maps multiply, in both directions: [`Precision::F32`], or [`Precision::Bf16`] added up in f32
    /// ([`linalg::Products`]). Weights, optimizer, attention, norms, softmax and loss are f32 in either case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// The most memory that training may take ([`TrainingMemory`](crate::TrainingMemory)); if it needs more, the values of
    /// some blocks are computed again in the backward replay. No limit if absent. No bit depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// The seed of initial weights, windows and dropout.
    pub seed: u64,
    /// Steps between two evaluations and checkpoints; 0 evaluates only at the end.
    pub eval_every: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Preset::ShakespeareCpu.config()
    }
}

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TrainingConfigError {
    /// A setting outside its range.
    #[error("{setting} is {found}; it must be {expected}")]
    Range {
        /// Its name.
        setting: &'static str,
        /// Its value.
        found: String,
        /// Its range.
        expected: &'static str,
    },
    /// An invalid model.
    #[error(transparent)]
    Model(#[from] ConfigError),
}

impl TrainingConfig {
    /// The field of a JSON line that holds a document, if no other is named.
    pub const FIELD: &str = "text";

    /// Whether the data are standard input, which cannot be read again.
    pub fn reads_standard_input(&self) -> bool {
        self.data.iter().flatten().any(|path| path == "-")
    }

    /// Returns the tokens of a step.
    pub fn step_tokens(&self) -> usize {
        self.batch.saturating_mul(self.context).saturating_mul(self.accumulate)
    }

    /// Returns the most steps that a run of these sizes can take: windows are numbered in 32 bits.
    pub fn most_steps(&self) -> u64 {
        ranges::MOST_WINDOWS / (self.accumulate.saturating_mul(self.batch) as u64).max(1)
    }

    /// The most tokens of the validation part that are measured.
    pub const MOST_EVALUATED: usize = 1 << 18;

    /// Returns the most tokens of the validation part that are measured: 2¹⁸ at the run's end. Evaluations in between
    /// measure a quarter of the tokens trained since the last one, at least 2¹⁴, so that they take less than a tenth of
    /// the time (predicting a token takes a third of the time of training on it).
    ///
    /// ```
    /// use transformer::TrainingConfig;
    /// let config = TrainingConfig { batch: 8, context: 256, eval_every: 200, ..TrainingConfig::default() };
    /// // Every 200 steps of 8 windows of 256 tokens: a quarter of 409,600.
    /// assert_eq!(config.evaluated_tokens(false), 102_400);
    /// assert_eq!(config.evaluated_tokens(true), 262_144);
    /// ```
    pub fn evaluated_tokens(&self, at_the_end: bool) -> usize {
        const LEAST: usize = 1 << 14;
        let between = self
            .step_tokens()
            .saturating_mul(usize::try_from(self.eval_every).unwrap_or(usize::MAX));
        if at_the_end {
            Self::MOST_EVALUATED
        } else {
            (between / 4).clamp(LEAST, Self::MOST_EVALUATED)
        }
    }

    /// Returns the number of a batch's sequences replayed at once: the largest divisor of the batch with at most 1024
    /// tokens, whatever the machine. Each part adds its share to the gradients, so that activations take the memory of
    /// one part and stay in the processor's caches; the mathematics is that of the whole batch.
    ///
    /// ```
    /// let config = transformer::TrainingConfig { batch: 12, context: 256, ..Default::default() };
    /// assert_eq!((config.sequences_at_once(), config.parts()), (4, 3));
    /// ```
    pub fn sequences_at_once(&self) -> usize {
        const TOKENS: usize = 1024;
        let fits = |n: &usize| self.batch.is_multiple_of(*n) && n * self.context <= TOKENS;
        (1..=self.batch).rev().find(fits).unwrap_or(1)
    }

    /// Returns the number of parts in which a batch is replayed.
    pub fn parts(&self) -> u64 {
        (self.batch / self.sequences_at_once()) as u64
    }

    /// Returns the learning-rate schedule. If time decides the number of steps, the warm-up takes at most a tenth of
    /// them, and the final decay at most half.
    pub fn schedule(&self) -> Schedule {
        let (peak, minimum, total) = (self.learning_rate, self.min_learning_rate, self.steps);
        let at_most = |steps: u64, share: u64| match self.time {
            Some(_) => steps.min(total / share),
            None => steps,
        };
        let warmup = at_most(self.warmup, 10);
        match self.schedule {
            ScheduleKind::Cosine => Schedule::Cosine { peak, minimum, warmup, total },
            ScheduleKind::Linear => Schedule::Linear { peak, minimum, warmup, total },
            ScheduleKind::Constant => Schedule::Constant { rate: peak },
            ScheduleKind::WarmupStableDecay => {
                let falls = self.decay_steps.unwrap_or((total / 10).max(1));
                let falls = at_most(falls, 2).max(1);
                let decay = total.saturating_sub(falls);
                Schedule::WarmupStableDecay { peak, minimum, warmup, decay, total }
            }
            ScheduleKind::Step => {
                let every = self.decay_every.unwrap_or(total.div_ceil(3));
                Schedule::Step { peak, factor: self.decay_factor.unwrap_or(0.1), every }
            }
        }
    }

    /// Whether some weights of the model are frozen.
    pub fn freezes(&self) -> bool {
        self.lora.is_some() || self.freeze.is_some() || self.learn.is_some()
    }

    /// Returns what the run learns of a model, whose files are those of a family.
    ///
    /// # Errors
    /// Linear maps that the family does not have.
    pub fn adaptation(
        &self,
        family: &dyn Family,
        model: &Architecture,
    ) -> Result<Adaptation, ConfigError> {
        let adapter = |rank| {
            let names = self.lora_targets.as_deref().unwrap_or_default();
            Ok::<_, ConfigError>(Adapter {
                rank,
                alpha: self.lora_alpha.unwrap_or(rank as f64),
                rank_stabilized: self.rslora,
                magnitudes: self.dora,
                dropout: self.lora_dropout.unwrap_or(0.0),
                targets: family::targets(family, model, names)?,
            })
        };
        Ok(Adaptation {
            freeze: self.freeze.clone().unwrap_or_default(),
            learn: self.learn.clone().unwrap_or_default(),
            adapter: self.lora.map(adapter).transpose()?,
            frozen: None,
        })
    }

    /// Returns the optimizer's configuration.
    pub fn rule(&self) -> OptimizerConfig {
        let usual = OptimizerConfig::default();
        OptimizerConfig {
            kind: self.optimizer,
            momentum: self.momentum,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon.unwrap_or(usual.epsilon),
            weight_decay: self.weight_decay,
            width_ratio: self.width_ratio(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
