//! The subject of `check` and `diagnose`: a run, a model directory, or sizes that were never trained.

use crate::settings::Settings;
use crate::source::answers::{Answers, start_of_answers};
use crate::source::{self, Source};
use crate::{Result, count, generate, remark, run, teacher};
use probability::random::Random;
use probability::sample::Sampler;
use std::ops::Range;
use std::path::{Path, PathBuf};
use transformer::disk::{checkpoint, files, read_in_training};
use transformer::text::tokenizer::Tokenizer;
use transformer::{Architecture, Corpus, Decoder, TrainingConfig};

/// The number of generated windows, if there is no other text.
const WINDOWS: usize = 12;
/// Their greatest length: generation is slow.
const WINDOW: usize = 32;

/// A model and its training data.
pub(crate) struct Examined {
    pub(crate) config: TrainingConfig,
    /// The settings of the run, before flags.
    pub(crate) own: Option<TrainingConfig>,
    pub(crate) model: Architecture,
    /// The parameters of a trained model.
    pub(crate) parameters: Option<Vec<f32>>,
    /// The learned parameters of the reference of preferences, if the run learns from them.
    pub(crate) reference: Option<Vec<f32>>,
    pub(crate) corpus: Corpus,
    /// The tokens that begin an answer, if the run learns text in which a chat template may have written them.
    pub(crate) answer_start: Vec<u32>,
    /// The conversations as they were read, with the tokenizer, if answers are learned.
    pub(crate) answers: Option<(Answers, Tokenizer)>,
    /// The checksum of the text.
    pub(crate) sha256: String,
    /// The run's directory, if there is one.
    pub(crate) run: Option<PathBuf>,
    /// The name for headings.
    pub(crate) name: String,
}

impl Examined {
    /// Finds the model and its data. Settings complete what a model directory does not state. `watched` is the number of steps
    /// that will be watched from the run's state on, if any are.
    pub(crate) fn find(
        given: Option<&Path>,
        settings: &Settings,
        watched: Option<u64>,
    ) -> Result<Self> {
        settings.without(&["time"], "only train takes a time")?;
        settings.without(&["memory"], "a budget of memory is for training")?;
        settings.without(&Settings::FINE_TUNING, Settings::GOES_ON)?;
        match given {
            None => Self::sizes(settings),
            Some(path) if run::is_run(path) => Self::run(path, settings, watched),
            Some(path) => Self::directory(path, settings),
        }
    }

    fn sizes(settings: &Settings) -> Result<Self> {
        let config = settings.complete()?;
        settings.fit(&config)?;
        let source = Source::load(&config, None, None)?;
        let model = config.model(source.tokenizer.vocabulary())?;
        let layers = count(model.layers, "layer");
        let name = format!("{layers}, width {}, on {}", model.width, source.name);
        let Source { corpus, sha256, answers, tokenizer, .. } = source;
        let answer_start = start_of_answers(&config, &tokenizer, None);
        let answers = answers.map(|answers| (answers, tokenizer));
        let (own, parameters, reference, run) = (None, None, None, None);
        Ok(Examined {
            config,
            own,
            model,
            parameters,
            reference,
            answer_start,
            corpus,
            answers,
            sha256,
            run,
            name,
        })
    }

    fn run(path: &Path, settings: &Settings, watched: Option<u64>) -> Result<Self> {
        let (given, own) =
            (Settings { threads: None, out: None, ..settings.clone() }, run::settings(path)?);
        given.beside("run", &own)?;
        if given.preset.is_some() {
            return Err(
                "--preset is fixed by the run; it trains with settings of its own: leave the flag \
                        out"
                .into(),
            );
        }
        let trained = own.complete()?;
        // A budget of memory is for training.
        let mut config = TrainingConfig { memory: None, ..given.over(own)?.complete()? };
        settings.fit(&config)?;
        let directory = run::model_directory(path);
        // A run that ended before its first checkpoint has no model: it begins from its seed.
        let saved = files::is_model(&directory);
        let known = if saved {
            run::agree(path, &trained, &files::read_config(&directory)?)?;
            Some(files::read_tokenizer(&directory)?)
        } else {
            None
        };
        let mut source = Source::load(&config, known, Some(path))?;
        let (model, parameters) = if saved {
            let (model, parameters) = read_in_training(&directory, &config)?;
            (model, Some(parameters))
        } else if let Some(from) = &config.from {
            let (model, parameters) = read_in_training(Path::new(from), &config)?;
            (model, Some(parameters))
        } else {
            (config.model(source.tokenizer.vocabulary())?, None)
        };
        teacher::read(&mut config, &mut source, (model.vocabulary, true))?;
        let reference = match config.preferences {
            None => None,
            Some(_) => source.refer(&config, preferred_steps(path, &model, watched)?)?,
        };
        let Source { corpus, sha256, answers, tokenizer, .. } = source;
        let answer_start = start_of_answers(&config, &tokenizer, Some(path));
        let answers = answers.map(|answers| (answers, tokenizer));
        let name = path.display().to_string();
        let (run, own) = (Some(path.to_owned()), Some(trained));
        Ok(Examined {
            config,
            own,
            model,
            parameters,
            reference,
            answer_start,
            corpus,
            answers,
            sha256,
            run,
            name,
        })
    }

    fn directory(path: &Path, settings: &Settings) -> Result<Self> {
        settings.without(&["answers"], "a model without a run is examined on text")?;
        let directory = run::model_of(path)?;
        let (model, parameters) = files::read_with_faults::<f32>(&directory)?;
        let own = Settings::of_model(&model);
        settings.beside("model", &own)?;
        if let Some(context) = settings.context.filter(|c| *c > model.context) {
            let most = model.context;
            return Err(format!(
                "--context is {context}, but the model sees {}: give {most} or fewer",
                count(most, "token")
            )
            .into());
        }
        let longest = if settings.data.is_some() { 256 } else { WINDOW };
        let context = settings.context.unwrap_or(model.context.min(longest)).min(model.context);
        let sizes = Settings {
            context: Some(context),
            batch: Some(settings.batch.unwrap_or(4)),
            architecture: None,
            ..settings.clone()
        };
        let config = own.over(sizes)?.complete()?;
        settings.fit(&config)?;
        let (tokens, sha256) = match &settings.data {
            Some(paths) => {
                let data = source::read(paths, settings.field())?;
                let tokenizer = generate::optional_tokenizer(&directory, &model)?;
                let tokens = source::encode(data, tokenizer.as_ref())?;
                source::known_to(&tokens, model.vocabulary)?;
                (tokens, String::new())
            }
            None => {
                let count = WINDOWS * (context + 1);
                let own = own_text(&model, &parameters, count, config.seed);
                remark(match own {
                    Some(_) => "no --data: the model is tested on text that it generates",
                    None => "no --data, and the model generates nothing: random tokens are used",
                });
                let (random, v) = (Random::new(config.seed, 0, 0), model.vocabulary as u64);
                let any = || (0..count as u64).map(|i| random.below(i, v) as u32).collect();
                (own.unwrap_or_else(any).into(), String::new())
            }
        };
        let corpus = Corpus::stream(tokens, 0.1, context)?;
        let name = path.display().to_string();
        Ok(Examined {
            config,
            own: None,
            model,
            parameters: Some(parameters),
            reference: None,
            answer_start: vec![],
            answers: None,
            corpus,
            sha256,
            run: None,
            name,
        })
    }
}

/// Returns the steps whose preferences are looked at: the first ones, and with a watch those around a run's state. A short run
/// may be trained again from its start.
fn preferred_steps(run: &Path, model: &Architecture, watched: Option<u64>) -> Result<Range<u64>> {
    const FIRST: u64 = 64;
    const SHORT: u64 = 500;
    let (Some(watched), state) = (watched, run::state_file(run)) else { return Ok(0..FIRST) };
    let done = match state.exists() {
        true => checkpoint::about::<f32>(&state, model.parameters())?.steps,
        false => 0,
    };
    Ok(if done <= SHORT { 0 } else { done }..done + 3 * watched + FIRST)
}

/// Generates text at temperature 1, on which the model's loss is its own entropy. Returns `None` if the logits are not
/// finite.
pub(crate) fn own_text(
    model: &Architecture,
    parameters: &[f32],
    count: usize,
    seed: u64,
) -> Option<Vec<u32>> {
    let mut decoder = Decoder::<f32>::record(model).ok()?;
    decoder.parameters_mut().copy_from_slice(parameters);
    let (random, sampler) = (Random::new(seed, 0, 1), Sampler::default());
    let mut tokens = vec![0];
    while tokens.len() < count {
        let logits = decoder.read(tokens[tokens.len() - 1]).ok()?;
        let logits: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        tokens.push(sampler.draw(&logits, random.uniform(tokens.len() as u64)).ok()? as u32);
    }
    Some(tokens)
}
