//! Settings of a run: presets, then a file, then flags; later ones win.

use crate::{Result, reason};
use calculus::optimizer::OptimizerKind;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use transformer::TrainingConfig;
use transformer::memory::Bytes;
use transformer::model::family;
use transformer::{
    Activation, Gain, Norm, Parametrization, Placement, PositionsKind, Precision, PreferenceKind,
    Preset, QueryKeyNorm, ScheduleKind, Time, TokenizerChoice,
};

mod model;

use model::parts_of;

/// Settings given as flags or, by the same names, in a file.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Data to train on: a text, JSON lines (*.jsonl), tokens (*.bin), a directory of them, or `-` for standard input; can
    /// be given several times [default: the embedded stories]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    #[serde(default, with = "transformer::paths", skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Vec<String>>,
    /// Field of a JSON line that holds a document [default: text]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub(crate) field: Option<String>,
    /// Learn only the answers of conversations: JSON lines with `messages` (a list of `role` and `content`), through the
    /// tokenizer's chat template, or with `prompt` and `completion`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Data")]
    pub(crate) answers: Option<bool>,
    /// How text becomes tokens: `bytes`, `chars` (those that the text uses), `bpe:N` (pieces of words, N of them, learned
    /// from the text), or the path of a tokenizer.json or of a directory with one
    #[arg(long, value_name = "TOKENIZER", help_heading = "Data")]
    pub(crate) tokenizer: Option<TokenizerChoice>,
    /// Model to start from: a run, or a Hugging Face directory, also of adapters, which are merged. Its weights, parts and
    /// tokenizer are taken
    #[arg(long, value_name = "MODEL", help_heading = "Fine-tuning")]
    pub(crate) from: Option<String>,
    #[arg(skip)]
    pub(crate) from_sha256: Option<String>,
    /// Weights to freeze, by patterns of their names (`embedding.*,block.0.*`); `explain --list` shows names
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',', help_heading = "Fine-tuning")]
    pub(crate) freeze: Option<Vec<String>>,
    /// Weights that alone are learned, by patterns of their names (`block.11.*,norm.*`)
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',', help_heading = "Fine-tuning")]
    pub(crate) learn: Option<Vec<String>>,
    /// Learn adapters of this rank (LoRA) beside the weights of --from, in the files of PEFT
    #[arg(long, value_name = "RANK", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) lora: Option<usize>,
    /// α of the adapters' factor α/rank [default: the rank]
    #[arg(long, value_name = "α", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) lora_alpha: Option<f64>,
    /// Linear maps that have an adapter, by the names in the model's files (`q_proj,v_proj`) [default: all-linear]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Fine-tuning")]
    pub(crate) lora_targets: Option<Vec<String>>,
    /// Share of the adapters' input that is dropped in training [default: 0]
    #[arg(long, value_name = "P", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) lora_dropout: Option<f64>,
    /// Whether the adapters' factor is α/√rank (rsLoRA)
    #[arg(long, value_name = "BOOL", help_heading = "Fine-tuning")]
    pub(crate) rslora: Option<bool>,
    /// Whether adapters learn the length of every row of weights, too (DoRA)
    #[arg(long, value_name = "BOOL", help_heading = "Fine-tuning")]
    pub(crate) dora: Option<bool>,
    /// Learn from preferences, with the model of --from as it is as the reference: JSON lines with `prompt`, `chosen` and
    /// `rejected`, texts or lists of messages. Both answers stand in a window of --context tokens, each in a half of it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "dpo", value_parser = choices(PreferenceKind::ALL, PreferenceKind::key, PreferenceKind::meaning), help_heading = "Fine-tuning")]
    pub(crate) preferences: Option<PreferenceKind>,
    /// Price β of a nat of divergence from the reference [default: 0.1]
    #[arg(long, value_name = "β", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) preference_beta: Option<f64>,
    /// Share ε of preferences that are taken to be the wrong way round (conservative DPO) [default: 0]
    #[arg(long, value_name = "ε", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) preference_flipped: Option<f64>,
    /// Model whose predictions are learned beside the data: a run, or a Hugging Face directory of any family, also of
    /// adapters, which are merged. It has the same tokens; without --tokenizer and --from its tokenizer is taken
    #[arg(long, value_name = "MODEL", help_heading = "Fine-tuning")]
    pub(crate) teacher: Option<String>,
    #[arg(skip)]
    pub(crate) teacher_sha256: Option<String>,
    /// Temperature T of the teacher's predictions and the model's, of which T²·KL is learned [default: 2]
    #[arg(long, value_name = "T", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f64>,
    /// Share of the teacher in the loss; the rest is the cross-entropy of the data [default: 0.5]
    #[arg(long, value_name = "SHARE", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) teacher_weight: Option<f64>,
    /// Learn the teacher's K largest logits of a token, found once and kept with the run, which resumes without the
    /// teacher [default: all, at every step]
    #[arg(long, value_name = "K", help_heading = "Fine-tuning", allow_negative_numbers = true)]
    pub(crate) teacher_top: Option<usize>,
    /// Sizes and rates to start from [default: story, and fast-story for train; shakespeare-cpu with --data; fine-tune with
    /// --from; lora with --lora; preferences with --preferences]
    #[arg(long, value_parser = choices(Preset::ALL, Preset::key, Preset::meaning))]
    pub(crate) preset: Option<Preset>,
    /// Number of transformer blocks
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) layers: Option<usize>,
    /// Attention heads per block; must divide the width
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) heads: Option<usize>,
    /// Features of a token
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) width: Option<usize>,
    /// Tokens that the model sees at once
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) context: Option<usize>,
    /// Architecture whose parts to start from; each can be changed by the flags below [default: gpt2]
    #[arg(long, value_parser = architectures(), help_heading = "Model")]
    pub(crate) architecture: Option<String>,
    /// How a token's position enters the network
    #[arg(long, value_parser = choices(PositionsKind::ALL, PositionsKind::key, PositionsKind::meaning), help_heading = "Model")]
    pub(crate) positions: Option<PositionsKind>,
    /// Base of rotary positions [default: 10000]
    #[arg(long, value_name = "θ", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) rotary_base: Option<f64>,
    /// Share of a head's coordinates that rotary positions turn [default: 1]
    #[arg(long, value_name = "SHARE", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) rotary_share: Option<f64>,
    /// Base of rotary positions in layers with a window [default: --rotary-base]
    #[arg(long, value_name = "θ", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) rotary_local_base: Option<f64>,
    /// Every N-th layer does not turn queries and keys by rotary positions [default: no layer]
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) unrotated_every: Option<usize>,
    /// Whether a token's vector is multiplied by √width
    #[arg(long, value_name = "BOOL", help_heading = "Model")]
    pub(crate) scaled_embedding: Option<bool>,
    /// Factor of a token's vector [default: 1, or √width with --scaled-embedding]
    #[arg(long, value_name = "FACTOR", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) embedding_scale: Option<f64>,
    /// Whether the embedding is normalised before the first block [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Model")]
    pub(crate) embedding_norm: Option<bool>,
    /// Factor r of each part's output in the residual sum, x + r·part(x) [default: 1]
    #[arg(long, value_name = "FACTOR", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) residual_scale: Option<f64>,
    /// Normalisation
    #[arg(long, value_parser = choices(Norm::ALL, Norm::key, Norm::meaning), help_heading = "Model")]
    pub(crate) norm: Option<Norm>,
    /// Gain of the normalisation
    #[arg(long, value_parser = choices(Gain::ALL, Gain::key, Gain::meaning), help_heading = "Model")]
    pub(crate) gain: Option<Gain>,
    /// Places of the normalisations in a block
    #[arg(long, value_parser = choices(Placement::ALL, Placement::key, Placement::meaning), help_heading = "Model")]
    pub(crate) placement: Option<Placement>,
    /// Whether the output of the last block is normalised before the head [default: true, except with --placement post]
    #[arg(long, value_name = "BOOL", help_heading = "Model")]
    pub(crate) final_norm: Option<bool>,
    /// Normalisation of queries and keys
    #[arg(long, value_parser = choices(QueryKeyNorm::ALL, QueryKeyNorm::key, QueryKeyNorm::meaning), help_heading = "Model")]
    pub(crate) query_key_norm: Option<QueryKeyNorm>,
    /// Key-value heads; must divide the heads [default: as many as heads]
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) key_value_heads: Option<usize>,
    /// Features of a head [default: width / heads]
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) head_width: Option<usize>,
    /// Tokens that a token sees, itself included [default: all earlier ones]
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) window: Option<usize>,
    /// Every N-th layer sees all tokens, not only the window [default: no layer]
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) full_every: Option<usize>,
    /// Factor of attention scores [default: 1/√(features of a head)]
    #[arg(long, value_name = "FACTOR", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) score_scale: Option<f64>,
    /// Cap c of attention scores, c·tanh(s/c) [default: none]
    #[arg(long, value_name = "C", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) score_cap: Option<f64>,
    /// Number by which logits are divided [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) logit_divisor: Option<f64>,
    /// Cap c of logits, c·tanh(z/c) [default: none]
    #[arg(long, value_name = "C", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) logit_cap: Option<f64>,
    /// Features inside the feed-forward part [default: 4·width, or 8/3·width if gated]
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    pub(crate) hidden: Option<usize>,
    /// Whether the feed-forward part is gated
    #[arg(long, value_name = "BOOL", help_heading = "Model")]
    pub(crate) gated: Option<bool>,
    /// Activation function of the feed-forward part
    #[arg(long, value_parser = choices(Activation::ALL, Activation::key, Activation::meaning), help_heading = "Model")]
    pub(crate) activation: Option<Activation>,
    /// Whether linear maps and layer normalisation have biases
    #[arg(long, value_name = "BOOL", help_heading = "Model")]
    pub(crate) bias: Option<bool>,
    /// Whether the map to queries, keys and values has biases [default: --bias]
    #[arg(long, value_name = "BOOL", help_heading = "Model")]
    pub(crate) query_key_value_bias: Option<bool>,
    /// Whether the head shares the embedding's table
    #[arg(long, value_name = "BOOL", help_heading = "Model")]
    pub(crate) tied: Option<bool>,
    /// Share of activations dropped in training
    #[arg(long, value_name = "P", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) dropout: Option<f64>,
    /// How initial weights, rates, attention scores and logits follow the width
    #[arg(long, value_parser = choices(Parametrization::ALL, Parametrization::key, Parametrization::meaning), help_heading = "Training")]
    pub(crate) parametrization: Option<Parametrization>,
    /// Width for which the rates were chosen, with --parametrization mup [default: 256]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) base_width: Option<usize>,
    /// Windows of text per batch
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) batch: Option<usize>,
    /// Batches whose gradients are averaged for one step
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) accumulate: Option<usize>,
    /// Updates of the weights
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) steps: Option<u64>,
    /// Wall-clock time of the whole run instead of --steps, such as 20m or 8h: steps and schedule follow the speed
    #[arg(long, value_name = "TIME", help_heading = "Training", conflicts_with = "steps")]
    pub(crate) time: Option<Time>,
    /// The optimizer
    #[arg(long, value_parser = choices(OptimizerKind::ALL, OptimizerKind::key, OptimizerKind::meaning), help_heading = "Training")]
    pub(crate) optimizer: Option<OptimizerKind>,
    #[arg(long, help = taken("Momentum", "momentum"), value_name = "µ", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) momentum: Option<f64>,
    /// Learning-rate schedule
    #[arg(long, value_parser = choices(ScheduleKind::ALL, ScheduleKind::key, ScheduleKind::meaning), help_heading = "Training")]
    pub(crate) schedule: Option<ScheduleKind>,
    /// Highest learning rate
    #[arg(long, value_name = "RATE", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) learning_rate: Option<f64>,
    #[arg(long, help = taken("Learning rate at the last step", "min_learning_rate"), value_name = "RATE", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) min_learning_rate: Option<f64>,
    #[arg(long, help = taken("Steps over which the learning rate rises [default: the preset's, at most a tenth of --steps]", "warmup"), value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) warmup: Option<u64>,
    #[arg(long, help = taken("Training steps of the final decay [default: a tenth of --steps]", "decay_steps"), value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) decay_steps: Option<u64>,
    #[arg(long, help = taken("Training steps between two reductions of the rate [default: a third of --steps]", "decay_every"), value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) decay_every: Option<u64>,
    #[arg(long, help = taken("The factor of each reduction [default: 0.1]", "decay_factor"), value_name = "FACTOR", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) decay_factor: Option<f64>,
    #[arg(long, help = taken("Decay of matrices; vectors do not decay", "weight_decay"), value_name = "λ", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) weight_decay: Option<f64>,
    #[arg(long, help = taken("Smoothing β₁ of the gradient", "beta1"), value_name = "β", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) beta1: Option<f64>,
    #[arg(long, help = taken("Smoothing β₂ of its square or size; lion's of its momentum", "beta2"), value_name = "β", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) beta2: Option<f64>,
    #[arg(long, help = taken("ε in the denominator of the update [default: 1e-8]", "epsilon"), value_name = "ε", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) epsilon: Option<f64>,
    /// Largest norm of all gradients together; 0 disables clipping
    #[arg(long, value_name = "NORM", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) clip: Option<f64>,
    /// Evaluate and write an average of the weights, with this smoothing: 0.999 is about the last 1000 steps. The state
    /// for --resume keeps both [default: the last step's weights]
    #[arg(long, value_name = "β", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) average: Option<f64>,
    /// Numbers that linear maps multiply: f32, or bf16 added up in f32, faster where the processor multiplies bf16; all else
    /// stays f32
    #[arg(long, value_parser = choices(Precision::ALL, Precision::key, Precision::meaning), help_heading = "Training")]
    pub(crate) precision: Option<Precision>,
    /// Most memory that training may take, such as 6GB or 800MB: if it needs more, the values of as few blocks as possible are
    /// computed again in the backward pass instead of kept, with the same bits [default: no limit, and all are kept]
    #[arg(long, value_name = "SIZE", help_heading = "Training")]
    pub(crate) memory: Option<Bytes>,
    /// Seed of initial weights, windows and dropout
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// Steps between two evaluations and checkpoints; 0 evaluates only at the end. An evaluation takes a quarter as
    /// many tokens as were trained since the last one (at least 16,384), the final one at most 262,144
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub(crate) eval_every: Option<u64>,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Directory of the run [default: runs/ and the preset's or the file's name]
    #[arg(long, value_name = "RUN")]
    pub(crate) out: Option<PathBuf>,
}

/// Returns a parser for the names of a library's choices.
pub(crate) fn choices<K: Copy + Send + Sync + 'static>(
    all: &'static [K],
    key: fn(K) -> &'static str,
    meaning: fn(K) -> &'static str,
) -> impl TypedValueParser<Value = K> {
    let names = all.iter().map(move |&k| PossibleValue::new(key(k)).help(meaning(k)));
    let named = move |name: String| all.iter().copied().find(|&k| key(k) == name);
    PossibleValuesParser::new(names).map(move |name| named(name).expect("one of the names"))
}

/// Returns the flag whose choices have a constant, optimizers or schedules, and the choices that have it.
fn takers(constant: &str) -> (&'static str, Vec<&'static str>) {
    let rules = OptimizerKind::ALL.iter().filter(|kind| kind.takes().contains(&constant));
    let rules: Vec<_> = rules.map(|kind| kind.key()).collect();
    if !rules.is_empty() {
        return ("optimizer", rules);
    }
    let schedules = ScheduleKind::ALL.iter().filter(|kind| kind.takes().contains(&constant));
    ("schedule", schedules.map(|kind| kind.key()).collect())
}

/// Describes a constant and lists the optimizers or schedules that have it.
fn taken(what: &str, constant: &str) -> String {
    format!("{what} ({})", takers(constant).1.join(", "))
}

/// Returns a parser for the names of architectures.
fn architectures() -> PossibleValuesParser {
    PossibleValuesParser::new(family::architectures())
}

/// The most bytes of a settings file; a longer file is something else.
const LONGEST: u64 = 1 << 20;

impl Settings {
    /// Reads a settings file. Keys may contain `-` as in flags.
    pub(crate) fn read(path: &Path) -> Result<Settings> {
        let unreadable = |e: std::io::Error| {
            format!("cannot read the settings in {}: {}", path.display(), reason(&e))
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LONGEST {
            let most = LONGEST >> 20;
            return Err(format!(
                "{} is not a settings file: it has more than {most} MiB",
                path.display()
            )
            .into());
        }
        let refused = |e: toml::de::Error| format!("{}: {}", path.display(), plain(&e.to_string()));
        Self::parse(&text).map_err(|e| refused(e).into())
    }

    fn parse(text: &str) -> std::result::Result<Settings, toml::de::Error> {
        // Dashes in keys become underscores, so that columns in messages stay correct.
        let written = text.lines().map(|line| match line.split_once('=') {
            Some((key, value)) if !key.contains(['#', '"', '\'']) => {
                format!("{}={value}\n", key.replace('-', "_"))
            }
            _ => format!("{line}\n"),
        });
        toml::from_str(&written.collect::<String>())
    }

    /// Returns these settings, completed with those of `base`. A number of steps replaces a time.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    pub(crate) fn over(self, base: Settings) -> Result<Settings> {
        let mut merged = base.table()?;
        if self.steps.is_some() {
            merged.remove("time");
        }
        merged.extend(self.table()?);
        Ok(merged.try_into()?)
    }

    /// Returns the settings as a TOML table.
    ///
    /// # Errors
    /// A number above 2⁶³, or a path that is not UTF-8.
    pub(crate) fn table(&self) -> Result<toml::Table> {
        let most = i64::MAX.unsigned_abs();
        if let Some(out) = self.out.as_ref().filter(|out| out.to_str().is_none()) {
            return Err(format!(
                "--out is {}, which is not UTF-8: give another name",
                out.display()
            )
            .into());
        }
        let given = serde_json::to_value(self)?;
        let large = |value: &serde_json::Value| value.as_u64().is_some_and(|n| n > most);
        if let Some((name, found)) = given.as_object().into_iter().flatten().find(|(_, v)| large(v))
        {
            return Err(format!(
                "{} is {found}; the largest number that run.toml can hold is {most}",
                flag(name)
            )
            .into());
        }
        toml::Table::try_from(self)
            .map_err(|e| format!("run.toml cannot hold a setting: {e}").into())
    }

    /// Refuses settings that have no meaning here.
    ///
    /// # Errors
    /// The flags of these names that were given, and the reason.
    pub(crate) fn without(&self, names: &[&str], why: &str) -> Result<()> {
        let given = self.table()?;
        let flags = names.iter().filter(|name| given.contains_key(**name));
        let flags: Vec<String> = flags.map(|name| flag(name)).collect();
        if flags.is_empty() {
            return Ok(());
        }
        Err(format!("{why}: leave out {}", flags.join(", ")).into())
    }

    /// Refuses constants that the run's optimizer or schedule does not have. A constant of 0 that switches off what is
    /// not there is accepted.
    ///
    /// # Errors
    /// The first such constant, and the optimizers or schedules that have it.
    pub(crate) fn fit(&self, config: &TrainingConfig) -> Result<()> {
        for (name, value) in &self.table()? {
            let (choice, have) = takers(name);
            let own = match choice {
                "optimizer" => config.optimizer.key(),
                _ => config.schedule.key(),
            };
            let zero = value.as_float() == Some(0.0) || value.as_integer() == Some(0);
            let off = zero && name != "min_learning_rate";
            if !have.is_empty() && !have.contains(&own) && !off {
                return Err(format!(
                    "{} is given, but {own} does not have it: leave it out, or take --{choice} {}",
                    flag(name),
                    have.join(" or ")
                )
                .into());
            }
        }
        Ok(())
    }

    /// Whether these are all settings of a run, as `run.toml` has them, also those that its rule and schedule do not have.
    ///
    /// # Errors
    /// As [`Settings::table`].
    pub(crate) fn is_whole(&self) -> Result<bool> {
        let beside = Settings { preset: None, threads: None, out: None, ..self.clone() };
        Ok(beside.table()?.try_into::<TrainingConfig>().is_ok())
    }

    /// Returns the field of a JSON line that holds a document.
    pub(crate) fn field(&self) -> &str {
        self.field.as_deref().unwrap_or(TrainingConfig::FIELD)
    }

    /// The preset that fills in what is not given.
    pub(crate) fn preset(&self) -> Preset {
        let fallback = match () {
            () if self.preferences.is_some() => Preset::Preferences,
            () if self.lora.is_some() => Preset::Lora,
            () if self.from.is_some() => Preset::FineTune,
            () if self.data.is_some() => Preset::ShakespeareCpu,
            () => Preset::Story,
        };
        self.preset.unwrap_or(fallback)
    }

    /// Returns every size and rate: these settings, completed with the preset's.
    pub(crate) fn complete(&self) -> Result<TrainingConfig> {
        let mut preset: Settings = match self.is_whole()? {
            // What is absent from all settings of a run is absent.
            true => Settings::default(),
            false => toml::Table::try_from(self.preset().config())?.try_into()?,
        };
        if self.architecture.is_some() {
            // Of the preset's parts, those that an architecture need not name.
            (preset.key_value_heads, preset.query_key_norm) = (None, None);
            preset.logit_divisor = None;
        }
        let (preset_warmup, asked) = (preset.warmup, self.clone());
        let parts =
            self.architecture.as_deref().map_or_else(|| Ok(Settings::default()), parts_of)?;
        let mut all = asked.over(parts.over(preset)?)?;
        // A factor of the architecture gives way to a request for √width or 1.
        if self.embedding_scale.is_none() && self.scaled_embedding.is_some() {
            all.embedding_scale = None;
        }
        if let (None, Some(steps), Some(warmup)) = (self.warmup, self.steps, preset_warmup) {
            all.warmup = Some(warmup.min(steps / 10));
        }
        if let (None, Some(rate), Some(least)) =
            (self.min_learning_rate, self.learning_rate, all.min_learning_rate)
        {
            all.min_learning_rate = Some(least.min(rate));
        }
        (all.preset, all.architecture, all.threads, all.out) = (None, None, None, None);
        let config: TrainingConfig = all.table()?.try_into()?;
        config.validate()?;
        Ok(config)
    }
}

/// Rewords a message of the TOML parser without Rust's types.
fn plain(message: &str) -> String {
    const WORDS: [(&str, &str); 11] = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a string", "expected text in quotation marks"),
        ("expected a boolean", "expected true or false"),
        ("invalid type: string", "found the text"),
        ("invalid type: integer", "found the number"),
        ("invalid type: floating point", "found the number"),
        ("invalid type: boolean", "found"),
        ("invalid type: sequence", "found a list"),
        ("invalid type: map", "found a table"),
    ];
    WORDS.iter().fold(message.replace("invalid value: ", "found the "), |text, (theirs, ours)| {
        text.replace(theirs, ours)
    })
}

/// Returns the flag of a setting.
fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

#[cfg(test)]
mod tests;
