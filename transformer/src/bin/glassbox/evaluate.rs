//! `glassbox evaluate`.

use crate::generate::{self, Model};
use crate::progress::Bar;
use crate::source::{self, Source, answers};
use crate::{Result, count, on_threads, remark, report, run, terminal};
use clap::Args;
use infotheory::{bits, perplexity};
use serde_json::{Map, json};
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use transformer::disk::read_in_training;
use transformer::text::corpus::windows;
use transformer::text::tokenizer::Tokenizer;
use transformer::{
    Architecture, Evaluation, Form, RecordedStep, Tokens, TrainingConfig, memory, refer_windows,
};

/// Measure a model's cross-entropy on a text.
///
/// The whole text is read in windows of the model's context; every token but the first is predicted once. Without
/// --data: the run's own validation part. A loss that is not finite is an error.
#[derive(Args)]
pub(crate) struct Evaluate {
    /// A run, or a model directory in Hugging Face's layout
    run: PathBuf,
    /// Data to measure on: a text, JSON lines (*.jsonl), tokens (*.bin), a directory of them, or `-` for standard input; can
    /// be given several times [default: the run's validation part]
    #[arg(long, value_name = "PATH")]
    data: Option<Vec<String>>,
    /// Field of a JSON line that holds a document
    #[arg(long, value_name = "NAME", default_value = TrainingConfig::FIELD)]
    field: String,
    /// Measure the answers of conversations, or with `--answers=false` every token of a text [default: as the run learned]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    answers: Option<bool>,
    /// Windows measured at once
    #[arg(long, value_name = "N", default_value_t = 8, allow_negative_numbers = true)]
    batch: usize,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks the memory of a text's windows: every token is stored twice, and once more with its neighbours.
fn afford(tokens: &Tokens) -> Result<()> {
    Ok(memory::afford(12 * tokens.len() as u128)
        .map_err(|e| format!("{e}; measure a part of the text"))?)
}

/// Reads all tokens into memory.
fn read_all(tokens: &Tokens) -> Result<Vec<u32>> {
    let all = tokens.to_vec();
    tokens.check_read()?;
    Ok(all)
}

impl Evaluate {
    pub(crate) fn run(self) -> Result<()> {
        on_threads(self.threads, || self.evaluate())
    }

    fn evaluate(&self) -> Result<()> {
        let model = Model::read(&self.run)?;
        // Tokens can be measured without one.
        let tokenizer = generate::optional_tokenizer(&model.directory, &model.config)?;
        let Model { config, parameters, directory } = model;
        // The n-grams of the training data are the baselines, if the data still exist.
        let own =
            if run::is_run(&self.run) { Some(run::settings(&self.run)?.complete()?) } else { None };
        if let Some(own) = &own {
            run::agree(&self.run, own, &config)?;
            if own.preferences.is_some() && self.answers.is_none() {
                return self.preferences(own, &directory, tokenizer);
            }
        }
        let trained_on = match &own {
            Some(own) if !own.reads_standard_input() => {
                Source::load(own, tokenizer.clone(), Some(&self.run))
            }
            Some(_) => Err("it came from standard input".into()),
            None => Err("there is no run.toml beside the model".into()),
        };
        // A run on answers measures answers, in windows of several conversations; so does another model if asked.
        let its_own = own.as_ref().is_some_and(|own| own.answers);
        let learned = self.answers.unwrap_or(its_own);
        let pairs = own.as_ref().is_some_and(|own| own.preferences.is_some());
        if (learned != its_own || pairs) && self.data.is_none() {
            let what = if learned { "conversations" } else { "a text" };
            return Err(
                format!("the run's own data are of another kind: give {what} with --data").into()
            );
        }
        let (tokens, windows) = match (&self.data, &trained_on) {
            (Some(paths), _) if learned => {
                let tokenizer = tokenizer.as_ref().ok_or("the model has no tokenizer")?;
                answers::windows_of((paths, false), tokenizer, &directory, config.context)?
            }
            (None, Ok(own)) if own.answers.is_some() => {
                let windows = own.corpus.validation_windows(config.context);
                (answers::predicted(&windows), windows)
            }
            (Some(paths), _) => {
                let data = source::read(paths, &self.field)?;
                let tokens = source::encode(data, tokenizer.as_ref())?;
                source::known_to(&tokens, config.vocabulary)?;
                if tokens.len() < 2 {
                    return Err(format!(
                        "{} has {}; at least 2 are needed to predict one from another",
                        source::name(paths),
                        count(tokens.len(), "token")
                    )
                    .into());
                }
                afford(&tokens)?;
                let tokens = read_all(&tokens)?;
                let windows = windows(&tokens, config.context);
                (tokens, windows)
            }
            (None, Ok(own)) => {
                afford(own.corpus.validation())?;
                let tokens = read_all(own.corpus.validation())?;
                (tokens, own.corpus.validation_windows(config.context))
            }
            (None, Err(why)) => {
                return Err(
                    format!("give --data: the run's own text cannot be read again: {why}").into()
                );
            }
        };
        if self.batch == 0 {
            return Err("batch is 0; it must be 1 or more".into());
        }
        let batch = self.batch.min(windows.len());
        let config = Architecture { packed: learned, ..config };
        let mut model =
            RecordedStep::<f32>::record_forward_only(&config, batch, config.context, Form::Fused)?;
        model.copy_parameters(&parameters);
        let mut bar = Bar::new(tokens.len() as u64, "tokens");
        let whole = Evaluation::of_watched(&mut model, &windows, |done| {
            bar.set((done * config.context).min(tokens.len()) as u64);
            ControlFlow::Continue(())
        });
        bar.finish();
        let measured = whole?.expect("nothing interrupted the evaluation");
        self.finite(measured.loss)?;
        let baselines = match &trained_on {
            _ if learned => Vec::new(),
            Ok(own) => own.baselines_on(&tokens),
            Err(why) => {
                remark(format!("no n-gram baselines: the training text cannot be read: {why}"));
                Vec::new()
            }
        };
        let entropy = match (&self.data, &trained_on) {
            (None, Ok(own)) => own.entropy.map(|e| e.per_token),
            _ => None,
        };
        let predicted = &tokens[tokens.len() - measured.tokens..];
        let nats = measured.loss * measured.tokens as f64;
        let sizes = tokenizer.as_ref().map(|t| {
            let (characters, bytes) = source::text_of(t, &predicted.to_vec().into());
            let per = |length: u64| bits(nats) / length.max(1) as f64;
            (per(characters), per(bytes))
        });
        if self.json {
            let baselines = baselines.iter().map(|(n, nats)| (n.to_string(), json!(nats)));
            let mut object = json!({
                "loss": measured.loss,
                "perplexity": perplexity(measured.loss),
                "bits_per_character": sizes.map(|(per_character, _)| per_character),
                "bits_per_byte": sizes.map(|(_, per_byte)| per_byte),
                "tokens": measured.tokens,
                "baselines": baselines.collect::<Map<_, _>>(),
            });
            if let Some(entropy) = entropy {
                object["source_entropy"] = json!(entropy);
            }
            if let Some(answers) = measured.answers {
                object["answers"] = json!(answers.all);
                object["answers_right"] = json!(answers.right);
            }
            return terminal::print_json(object);
        }
        let mut out = String::new();
        writeln!(
            out,
            "loss        {:.4} nats per token over {}",
            measured.loss,
            count(measured.tokens, "token")
        )?;
        writeln!(out, "perplexity  {:.3}", perplexity(measured.loss))?;
        if let Some(answers) = &measured.answers {
            writeln!(out, "{}", report::right("answers     ", answers))?;
        }
        match sizes {
            Some((per_character, per_byte)) => writeln!(
                out,
                "bits        {per_character:.4} per character, {per_byte:.4} per byte"
            )?,
            None => writeln!(out, "bits        {:.4} per token", bits(measured.loss))?,
        }
        if let Some(entropy) = entropy {
            writeln!(
                out,
                "entropy     {entropy:.4} nats per {} of the source",
                tokenizer.as_ref().map_or("token", Tokenizer::unit)
            )?;
        }
        if !baselines.is_empty() {
            let shown = baselines.iter().map(|(n, nats)| format!("{n}: {nats:.4}"));
            writeln!(out, "n-grams     {}", shown.collect::<Vec<_>>().join("   "))?;
        }
        terminal::print(&out)
    }

    /// Refuses a loss that is not finite.
    fn finite(&self, loss: f64) -> Result<()> {
        if loss.is_finite() {
            return Ok(());
        }
        Err(format!(
            "the loss is {loss}: this model's predictions are not finite on this text; glassbox diagnose {} finds the first \
             such number, and its cause",
            run::typed(&self.run)
        )
        .into())
    }

    /// Measures a run that learned from preferences: on those that it held back, or on all of other data.
    fn preferences(
        &self,
        own: &TrainingConfig,
        directory: &Path,
        tokenizer: Option<Tokenizer>,
    ) -> Result<()> {
        let mut windows = match &self.data {
            Some(paths) => {
                let tokenizer = tokenizer.as_ref().ok_or("the model has no tokenizer")?;
                answers::windows_of((paths, true), tokenizer, directory, own.context)?.1
            }
            None if own.reads_standard_input() => {
                return Err(
                    "give --data: the run's own preferences came from standard input".into()
                );
            }
            None => {
                let source = Source::load(own, tokenizer, Some(&self.run))?;
                source.corpus.validation_windows(own.context)
            }
        };
        let mut bar = Bar::new(2 * windows.len() as u64, "windows");
        if let Some((mut reference, _)) = source::reference(own)? {
            refer_windows(&mut windows, &mut reference, |done| bar.set(done as u64))?;
        }
        let (model, parameters) = read_in_training(directory, own)?;
        let sequences = own.sequences_at_once();
        let mut model =
            RecordedStep::<f32>::record_forward_only(&model, sequences, own.context, Form::Fused)?;
        model.copy_parameters(&parameters);
        let whole = Evaluation::of_watched(&mut model, &windows, |done| {
            bar.set((windows.len() + done) as u64);
            ControlFlow::Continue(())
        });
        bar.finish();
        let measured = whole?.expect("nothing interrupted the evaluation");
        self.finite(measured.loss)?;
        let preferred = measured.preferred.unwrap_or_default();
        if self.json {
            return terminal::print_json(json!({
                "loss": measured.loss,
                "preferences": measured.tokens,
                "accuracy": preferred.accuracy,
                "margin": preferred.margin(),
                "reward_chosen": preferred.chosen,
                "reward_rejected": preferred.rejected,
            }));
        }
        terminal::print(&format!(
            "loss        {:.4} over {}\naccuracy    {:.4}: the share whose chosen answer has the larger reward\n\
             margin      {:.4}: the mean reward is {:.4} of a chosen answer, {:.4} of a rejected one\n",
            measured.loss,
            count(measured.tokens, "preference"),
            preferred.accuracy,
            preferred.margin(),
            preferred.chosen,
            preferred.rejected
        ))
    }
}
