//! A run's directory: the model, the settings, a line a step, a picture, and what goes on from there.

use crate::Result;
use crate::settings::Settings;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use transformer::files::write_atomically;
use transformer::{Gpt2Config, TrainingConfig};

/// One line of `metrics.jsonl`. A loss that is not a number is written as null.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Metric {
    pub(crate) step: u64,
    /// Nats per token.
    pub(crate) loss: Option<f64>,
    /// Nats per token over the whole validation part, at steps that measure it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) validation_loss: Option<f64>,
    pub(crate) learning_rate: f64,
    pub(crate) gradient_norm: Option<f64>,
    pub(crate) tokens_per_second: f64,
    /// What --watch saw, at steps that were watched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) health: Option<serde_json::Value>,
}

/// Where a run writes.
pub(crate) struct Run {
    directory: PathBuf,
    metrics: File,
    /// Bytes of whole lines in `metrics`.
    length: u64,
}

/// The files of a run.
pub(crate) fn model_directory(run: &Path) -> PathBuf {
    run.join("model")
}

fn settings_file(run: &Path) -> PathBuf {
    run.join("run.toml")
}

fn metrics_file(run: &Path) -> PathBuf {
    run.join("metrics.jsonl")
}

pub(crate) fn state_file(run: &Path) -> PathBuf {
    run.join("state.safetensors")
}

pub(crate) fn growth_file(run: &Path) -> PathBuf {
    run.join("growth.svg")
}

pub(crate) fn plot_file(run: &Path) -> PathBuf {
    run.join("loss.svg")
}

/// The losses on held-back text that a run has written down, with their steps; lines that cannot be read are passed
/// over.
pub(crate) fn validation_losses(run: &Path) -> Vec<(u64, f64)> {
    let Ok(file) = File::open(metrics_file(run)) else { return vec![] };
    let lines = BufReader::new(file).lines().map_while(|line| line.ok());
    let metrics = lines.filter_map(|line| serde_json::from_str::<Metric>(&line).ok());
    metrics.filter_map(|m| Some((m.step, m.validation_loss?))).collect()
}

/// Whether a directory holds a run.
pub(crate) fn is_run(directory: &Path) -> bool {
    settings_file(directory).is_file()
}

/// The directory of a model that was given by itself or by its run.
///
/// # Errors
/// If there is none.
pub(crate) fn model_of(given: &Path) -> Result<PathBuf> {
    let shown = given.display();
    if is_run(given) {
        let directory = model_directory(given);
        if directory.join("config.json").exists() {
            return Ok(directory);
        }
        return Err(format!(
            "{shown} holds no model yet: the run ended before its first checkpoint"
        )
        .into());
    }
    if given.join("config.json").exists() {
        return Ok(given.to_owned());
    }
    Err(format!(
        "{shown} holds no model: a run has a run.toml, a model directory a config.json and a \
         model.safetensors"
    )
    .into())
}

/// Refuses a run whose settings describe another model than the one that it saved: somebody has edited or
/// exchanged one of them.
///
/// # Errors
/// The first difference.
pub(crate) fn agree(run: &Path, settings: &TrainingConfig, saved: &Gpt2Config) -> Result<()> {
    let meant = settings.model(saved.vocabulary)?;
    let text = |x: &dyn std::fmt::Debug| format!("{x:?}").to_lowercase();
    let both: [(&str, [String; 2]); 7] = [
        ("layers", [&meant, saved].map(|m| text(&m.layers))),
        ("heads", [&meant, saved].map(|m| text(&m.heads))),
        ("width", [&meant, saved].map(|m| text(&m.width))),
        ("context", [&meant, saved].map(|m| text(&m.context))),
        ("activation", [&meant, saved].map(|m| text(&m.activation))),
        ("bias", [&meant, saved].map(|m| text(&m.bias))),
        ("tied", [&meant, saved].map(|m| text(&m.tied))),
    ];
    match both.iter().find(|(_, [meant, saved])| meant != saved) {
        None => Ok(()),
        Some((name, [meant, saved])) => Err(format!(
            "{run}/run.toml says {name} = {meant}, the model beside it has {saved}: one of them was changed; \
             restore it, or give the model alone: {run}/model",
            run = run.display()
        )
        .into()),
    }
}

/// The settings of a run, complete.
pub(crate) fn settings(run: &Path) -> Result<Settings> {
    Settings::read(&settings_file(run))
}

/// `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, … that is free.
pub(crate) fn free_directory(name: &str) -> PathBuf {
    let plain = Path::new("runs").join(name);
    let numbered = (2..).map(|i| Path::new("runs").join(format!("{name}-{i}")));
    std::iter::once(plain).chain(numbered).find(|d| !d.exists()).expect("there are many numbers")
}

impl Run {
    /// A new run in `directory`, which must be empty or not there yet, unless `overwrite`.
    pub(crate) fn create(
        directory: &Path,
        config: &TrainingConfig,
        overwrite: bool,
    ) -> Result<Self> {
        let shown = directory.display();
        if directory.exists() && !directory.is_dir() {
            return Err(format!("{shown} is a file; give --out a directory").into());
        }
        let occupied =
            directory.is_dir() && directory.read_dir().is_ok_and(|mut d| d.next().is_some());
        if occupied && !is_run(directory) {
            return Err(format!(
                "{shown} holds something that is not a run; give --out an empty directory"
            )
            .into());
        }
        if occupied && !overwrite {
            return Err(format!(
                "{shown} holds a run already; continue it with --resume {shown}, replace it with \
                 --overwrite, or give another --out"
            )
            .into());
        }
        let make = || -> Result<Self> {
            fs::create_dir_all(model_directory(directory))?;
            // Nothing of the earlier run may pass for the new one's.
            let model = ["config.json", "model.safetensors", "tokenizer.json"];
            let model = model.map(|file| model_directory(directory).join(file));
            for old in model.into_iter().chain([
                state_file(directory),
                plot_file(directory),
                growth_file(directory),
            ]) {
                if old.exists() {
                    fs::remove_file(old)?;
                }
            }
            write_atomically(&settings_file(directory), described(config)?.as_bytes())?;
            let metrics = File::create(metrics_file(directory))?;
            Ok(Run { directory: directory.to_owned(), metrics, length: 0 })
        };
        make().map_err(|e| format!("cannot write the run to {shown}: {e}").into())
    }

    /// Goes on with a run after `step`: lines of later steps are dropped. Returns the earlier ones.
    pub(crate) fn reopen(
        directory: &Path,
        config: &TrainingConfig,
        step: u64,
    ) -> Result<(Self, Vec<Metric>)> {
        let path = metrics_file(directory);
        let mut metrics = Vec::new();
        let mut text = String::new();
        for line in BufReader::new(File::open(&path).map_err(|e| at(&path, &e))?).lines() {
            let line = line.map_err(|e| at(&path, &e))?;
            // The last line may be cut off: the run was killed while it was written.
            let Ok(metric) = serde_json::from_str::<Metric>(&line) else { break };
            if metric.step > step {
                break;
            }
            metrics.push(metric);
            text.push_str(&line);
            text.push('\n');
        }
        write_atomically(&path, text.as_bytes())?;
        // Who asks for fewer steps than were taken measures the run, and changes nothing of it.
        if config.steps > step {
            write_atomically(&settings_file(directory), described(config)?.as_bytes())?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(|e| at(&path, &e))?;
        let length = text.len() as u64;
        Ok((Run { directory: directory.to_owned(), metrics: file, length }, metrics))
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Adds a line: whole, or not at all.
    pub(crate) fn log(&mut self, metric: &Metric) -> Result<()> {
        let line = serde_json::to_string(metric)? + "\n";
        self.metrics.write_all(line.as_bytes()).map_err(|e| {
            // A full disk takes half a line; what is there should be whole lines.
            let _ = self.metrics.set_len(self.length);
            at(&metrics_file(&self.directory), &e)
        })?;
        self.length += line.len() as u64;
        Ok(())
    }
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// The settings as a file that trains the same model again.
fn described(config: &TrainingConfig) -> Result<String> {
    Ok(format!(
        "# glassbox train --config THIS trains the same model again, if it was not resumed with other steps.\n{}",
        toml::to_string(config)?
    ))
}
