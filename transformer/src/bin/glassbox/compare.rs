//! `glassbox compare`.

mod dumped;
mod given;
mod measured;
mod parting;
mod picture;

use crate::{Result, on_threads, or_unread, terminal};
use clap::Args;
use given::Given;
use measured::Measured;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use transformer::TrainingConfig;
use transformer::disk::write_atomically;
use transformer::inspect::compare::report::{Compared, Parts, Report};
use transformer::inspect::compare::{Verdict, settings};

/// Compare runs or models: settings, curves, which predicts better, and whether that is chance.
///
/// All models read the same held-back text: that of the first run, or --data. The first model is compared with each other
/// one by a paired test over windows of the text. Runs that share all settings except the seed are one group; whether
/// settings are better is tested over seeds. Models with different tokenizers are compared by bytes of text.
///
/// Runs that start from the same weights are replayed side by side, up to the first value, gradient or update that differs
/// beyond rounding; the setting that causes it is tried.
///
/// With --dump, one model's step is recorded with the parameters and the batch of a step that another program wrote. The first
/// tensor that differs beyond rounding is named, with the known mistakes that explain it.
///
/// Exit status: 0 compared, 2 could not be compared.
#[derive(Args)]
pub(crate) struct Compare {
    /// Runs, or model directories in Hugging Face's layout
    #[arg(required = true, num_args = 1.., value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Data to measure on: a text, JSON lines (*.jsonl), tokens (*.bin), a directory of them, or `-` for standard input; can
    /// be given several times [default: the first run's validation part]
    #[arg(long, value_name = "PATH")]
    data: Option<Vec<String>>,
    /// Field of a JSON line that holds a document
    #[arg(long, value_name = "NAME", default_value = TrainingConfig::FIELD)]
    field: String,
    /// A training step that another program wrote (docs/dump_step.py): compare MODEL's step with it, tensor by tensor
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "svg", "steps"])]
    dump: Option<PathBuf>,
    /// Steps that are replayed to find where two runs part; 0 replays none
    #[arg(long, value_name = "N", default_value_t = 100, allow_negative_numbers = true)]
    steps: u64,
    /// File for a picture of the losses against steps, tokens and seconds
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(crate) fn run(self) -> Result<ExitCode> {
        or_unread(on_threads(self.threads, || self.compare().map(|()| ExitCode::SUCCESS)))
    }

    fn compare(&self) -> Result<()> {
        if let Some(path) = &self.dump {
            return dumped::compare(&self.models, path, self.json);
        }
        if self.models.len() < 2 {
            return Err("one model is given; compare takes two or more".into());
        }
        let mut given = given::read(&self.models)?;
        let Measured { losses, text, tokens, mut remarks } =
            measured::measure(&given, self.data.as_deref(), &self.field)?;
        remarks.splice(0..0, given::remarks(&given));
        let configs: Vec<_> = given.iter().map(|g| g.run.as_ref()).collect();
        let seeds: Vec<Option<u64>> = given.iter().map(Given::finished_seed).collect();
        let verdict = Verdict::of(&losses, &settings::groups(&configs), &seeds)?;
        let first = &given[0];
        let parts = (1..given.len()).filter(|&i| !(first.run.is_some() && given[i].run.is_some()));
        let parts = parts.map(|model| {
            let differences = first.model.config.differences_in_words(&given[model].model.config);
            Parts { model, differences }
        });
        let parts = parts.collect();
        let settings = settings::differing(&configs);
        let divergences = parting::search(&given, self.steps, &mut remarks);
        let picture = self.svg.as_ref().map(|_| picture::svg(&given));
        let models = given.iter_mut().enumerate().map(|(i, g)| Compared {
            label: std::mem::take(&mut g.label),
            path: g.path.display().to_string(),
            run: g.run.is_some(),
            seed: g.run.as_ref().map(|run| run.seed),
            parameters: g.model.parameters.len(),
            loss: losses.loss(i),
            curve: g.curve.summary(),
        });
        let models = models.collect();
        let report =
            Report { models, settings, parts, text, verdict, tokens, divergences, remarks };
        if let (Some(path), Some(picture)) = (&self.svg, &picture) {
            write_atomically(path, picture.as_bytes())?;
        }
        if self.json {
            terminal::print_json(json!(report))
        } else {
            terminal::print(&report.to_string())
        }
    }
}
