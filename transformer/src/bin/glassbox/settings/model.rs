//! The settings of a model: its parts and sizes, which a run or a stored model fixes.

use super::{Settings, flag};
use crate::{Result, count, run};
use std::path::Path;
use transformer::disk::files;
use transformer::model::family;
use transformer::{Architecture, Positions, PositionsKind, TokenizerChoice, Window};

/// Returns the parts of an architecture as settings, without sizes. A family's configuration does not say how its models
/// were trained; a publication with one model says whether its head is tied, and its dropout.
pub(super) fn parts_of(architecture: &str) -> Result<Settings> {
    let usual = family::usual(architecture)?;
    let one_model = !family::names().any(|name| name == architecture);
    Ok(Settings {
        layers: None,
        heads: None,
        key_value_heads: None,
        head_width: None,
        width: None,
        hidden: None,
        tied: one_model.then_some(usual.tied),
        dropout: one_model.then_some(usual.dropout),
        ..Settings::of_model(&usual)
    })
}

/// Returns the choice of the tokenizer in a model's directory. A name alone is made a path.
fn tokenizer_in(directory: &Path) -> TokenizerChoice {
    let named = directory.components().count() == 1 && directory.is_relative();
    let path = if named { Path::new(".").join(directory) } else { directory.to_owned() };
    TokenizerChoice::Files(path.display().to_string())
}

impl Settings {
    /// Returns the parts and sizes of a model as settings.
    pub(crate) fn of_model(model: &Architecture) -> Self {
        let (positions, rotary) = match model.positions {
            Positions::Rotary(rotary) => (PositionsKind::Rotary, Some(rotary)),
            Positions::Sinusoidal => (PositionsKind::Sinusoidal, None),
            _ => (PositionsKind::Learned, None),
        };
        let window = model.window.as_ref();
        let not_one = |factor: f64| Some(factor).filter(|&factor| factor != 1.0);
        let root = (model.width as f64).sqrt();
        let scaled = not_one(model.embedding_scale) == Some(root);
        Settings {
            layers: Some(model.layers),
            heads: Some(model.heads),
            key_value_heads: model.key_value_heads,
            head_width: model.head_width,
            width: Some(model.width),
            hidden: Some(model.hidden),
            positions: Some(positions),
            rotary_base: rotary.map(|rotary| rotary.base),
            rotary_share: rotary.map(|rotary| rotary.share).filter(|&share| share != 1.0),
            rotary_local_base: rotary.and_then(|rotary| rotary.local_base),
            unrotated_every: model.unrotated_every(),
            scaled_embedding: Some(scaled),
            embedding_scale: not_one(model.embedding_scale).filter(|_| !scaled),
            embedding_norm: Some(model.embedding_norm),
            residual_scale: not_one(model.residual_scale),
            norm: Some(model.norm),
            gain: Some(model.gain),
            placement: Some(model.placement),
            final_norm: Some(model.final_norm).filter(|has| !has),
            query_key_norm: Some(model.query_key_norm),
            window: window.map(|window| window.size),
            full_every: window.and_then(Window::full_every),
            score_scale: model.score_scale,
            score_cap: model.score_cap,
            logit_divisor: not_one(model.logit_divisor),
            logit_cap: model.logit_cap,
            gated: Some(model.gated),
            activation: Some(model.activation),
            bias: Some(model.biases.feed_forward),
            query_key_value_bias: Some(model.biases.query_key_value),
            tied: Some(model.tied),
            ..Settings::default()
        }
    }

    /// Refuses flags that cannot apply to `whose` model: settings that it fixes, unless their values are equal, and
    /// settings that neither `check` nor `diagnose` uses.
    ///
    /// # Errors
    /// The first such flag.
    pub(crate) fn beside(&self, whose: &str, own: &Settings) -> Result<()> {
        self.settled(whose, own)?;
        if self.eval_every.is_some() {
            return Err("--eval-every cannot apply: nothing is evaluated here; leave it out".into());
        }
        Ok(())
    }

    /// Returns the settings of a run that starts from a model: those of its parts and sizes are the model's.
    ///
    /// # Errors
    /// A model that cannot be read; a setting that contradicts it.
    pub(crate) fn on_its_model(self) -> Result<Self> {
        let Some(from) = &self.from else { return self.with_teacher_tokens() };
        let directory = run::model_of(Path::new(from))?;
        if self.lora.is_some() && files::is_adapter(&directory) {
            return Err(format!(
                "{} holds adapters, and --lora would learn others beside them: merge them first (merge {from} --out DIR), \
                 and give --from DIR",
                directory.display()
            )
            .into());
        }
        let model = files::read_config(&directory)?;
        let own = Settings::of_model(&model);
        let has_tokenizer = !files::tokenizer_files(&directory).is_empty();
        let its = Some(tokenizer_in(&directory));
        if has_tokenizer && self.tokenizer.is_some() && self.tokenizer != its {
            return Err("--tokenizer is fixed by --from, which has one: leave the flag out".into());
        }
        Settings { tokenizer: None, ..self.clone() }.settled("model of --from", &own)?;
        // A pair of answers stands in one window.
        let sides = if self.preferences.is_some() { 2 } else { 1 };
        let most = sides * model.context;
        if let Some(context) = self.context.filter(|&context| context > most) {
            let what = if sides == 2 { ", and a window holds two sides" } else { "" };
            return Err(format!(
                "--context is {context}, but the model of --from sees {}{what}: give {most} or fewer",
                count(model.context, "token")
            )
            .into());
        }
        let context = self.context.or(self.preset().config().context.min(most).into());
        let directory = directory.display().to_string();
        let tokenizer = its.filter(|_| has_tokenizer).or(self.tokenizer.clone());
        let whole = Settings { context, tokenizer, from: Some(directory), ..self };
        whole.over(Settings { architecture: None, ..own })
    }

    /// Returns the settings of a run that begins without a model: with the tokens of its teacher, if it has one and no
    /// others are given.
    fn with_teacher_tokens(self) -> Result<Self> {
        let Some(teacher) = self.teacher.as_ref().filter(|_| self.tokenizer.is_none()) else {
            return Ok(self);
        };
        let directory = run::model_of(Path::new(teacher))?;
        let there = !files::tokenizer_files(&directory).is_empty();
        let tokenizer = there.then(|| tokenizer_in(&directory));
        Ok(Settings { tokenizer, ..self })
    }

    /// The settings of fine-tuning.
    pub(crate) const FINE_TUNING: [&str; 16] = [
        "from",
        "freeze",
        "learn",
        "lora",
        "lora_alpha",
        "lora_targets",
        "lora_dropout",
        "rslora",
        "dora",
        "preferences",
        "preference_beta",
        "preference_flipped",
        "teacher",
        "temperature",
        "teacher_weight",
        "teacher_top",
    ];
    /// Why commands other than `train` refuse them.
    pub(crate) const GOES_ON: &str =
        "only train starts from a model, freezes weights, or learns from preferences or a teacher";

    /// Refuses parts and sizes other than those of `whose` model.
    fn settled(&self, whose: &str, own: &Settings) -> Result<()> {
        const SETTLED: [&str; 35] = [
            "tokenizer",
            "architecture",
            "layers",
            "heads",
            "width",
            "positions",
            "rotary_base",
            "rotary_share",
            "rotary_local_base",
            "unrotated_every",
            "scaled_embedding",
            "embedding_scale",
            "embedding_norm",
            "residual_scale",
            "norm",
            "gain",
            "placement",
            "final_norm",
            "query_key_norm",
            "key_value_heads",
            "head_width",
            "window",
            "full_every",
            "score_scale",
            "score_cap",
            "logit_divisor",
            "logit_cap",
            "hidden",
            "gated",
            "activation",
            "bias",
            "query_key_value_bias",
            "tied",
            "parametrization",
            "base_width",
        ];
        let (given, own) = (self.table()?, own.table()?);
        for key in SETTLED {
            let (Some(value), has) = (given.get(key), own.get(key)) else { continue };
            if has == Some(value) {
                continue;
            }
            let flag = flag(key);
            let has = has.map_or("its own".to_owned(), |has| has.to_string().replace('"', ""));
            return Err(format!(
                "{flag} is fixed by the {whose}; it trains with {has}: leave the flag out"
            )
            .into());
        }
        Ok(())
    }
}
