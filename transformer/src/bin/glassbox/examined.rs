//! What `check` and `diagnose` look at: a run, a model directory, or sizes that were never trained.

use crate::settings::Settings;
use crate::source::{self, Source};
use crate::{Result, generate, remark, run};
use probability::random::Random;
use std::path::{Path, PathBuf};
use transformer::files;
use transformer::{Corpus, Gpt2Config, TrainingConfig};

/// Tokens that stand in for a text where there is none.
const INVENTED: u64 = 20_000;

/// A model with what it is trained on.
pub(crate) struct Examined {
    pub(crate) config: TrainingConfig,
    pub(crate) model: Gpt2Config,
    /// Of a model that exists.
    pub(crate) parameters: Option<Vec<f32>>,
    pub(crate) corpus: Corpus,
    /// Checksum of the text.
    pub(crate) sha256: String,
    /// The run's directory, if it is one.
    pub(crate) run: Option<PathBuf>,
    /// For headings.
    pub(crate) name: String,
}

impl Examined {
    /// Finds it. Settings fill in what a model directory does not say.
    pub(crate) fn find(given: Option<&Path>, settings: &Settings) -> Result<Self> {
        match given {
            None => Self::sizes(settings),
            Some(path) if run::is_run(path) => Self::run(path, settings),
            Some(path) => Self::directory(path, settings),
        }
    }

    fn sizes(settings: &Settings) -> Result<Self> {
        let config = settings.complete()?;
        let source = Source::load(&config, None)?;
        let model = config.model(source.tokenizer.vocabulary())?;
        let name = format!("{} layers, width {}, on {}", model.layers, model.width, source.name);
        let (corpus, sha256) = (source.corpus, source.sha256);
        Ok(Examined { config, model, parameters: None, corpus, sha256, run: None, name })
    }

    fn run(path: &Path, settings: &Settings) -> Result<Self> {
        let given = Settings { threads: None, out: None, ..settings.clone() };
        let config = given.over(run::settings(path)?)?.complete()?;
        let directory = run::model_directory(path);
        // A run that ended before its first checkpoint has no model: it begins from its seed.
        let saved = directory.join("model.safetensors").is_file();
        let known = if saved { Some(files::read_tokenizer(&directory)?) } else { None };
        let source = Source::load(&config, known)?;
        let (model, parameters) = if saved {
            let (model, parameters) = files::read_with_faults::<f32>(&directory)?;
            (Gpt2Config { dropout: config.dropout, ..model }, Some(parameters))
        } else {
            (config.model(source.tokenizer.vocabulary())?, None)
        };
        let (corpus, sha256) = (source.corpus, source.sha256);
        let name = path.display().to_string();
        let run = Some(path.to_owned());
        Ok(Examined { config, model, parameters, corpus, sha256, run, name })
    }

    fn directory(path: &Path, settings: &Settings) -> Result<Self> {
        let directory = generate::model_directory(path);
        let (model, parameters) = files::read_with_faults::<f32>(&directory)?;
        let context = settings.context.unwrap_or(model.context.min(256)).min(model.context);
        let sizes = Settings {
            layers: Some(model.layers),
            heads: Some(model.heads),
            width: Some(model.width),
            context: Some(context),
            tied: Some(model.tied),
            bias: Some(model.bias),
            batch: Some(settings.batch.unwrap_or(4)),
            warmup: settings.warmup,
            ..settings.clone()
        };
        let config = TrainingConfig { activation: model.activation, ..sizes.complete()? };
        let (tokens, sha256) = match &settings.data {
            Some(data) => {
                let text = source::read(data)?;
                let tokenizer = files::read_tokenizer(&directory)?;
                (source::encode(data, &text, &tokenizer)?, String::new())
            }
            None => {
                remark("no --data: random tokens stand in for a text");
                let (random, v) = (Random::new(config.seed, 0, 0), model.vocabulary as u64);
                ((0..INVENTED).map(|i| random.below(i, v) as u32).collect(), String::new())
            }
        };
        let corpus = Corpus::text(tokens, 0.1, context)?;
        let name = path.display().to_string();
        Ok(Examined {
            config,
            model,
            parameters: Some(parameters),
            corpus,
            sha256,
            run: None,
            name,
        })
    }
}
