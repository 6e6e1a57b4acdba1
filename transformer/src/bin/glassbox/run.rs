//! Runs given on the command line.

use crate::settings::Settings;
use crate::{Error, Result, count, program, quoted, reason, remark};
use std::path::{Path, PathBuf};
use transformer::disk::{Lock, RunError, files};
pub(crate) use transformer::disk::{
    Run, growth_file, is_run, model_directory, plot_file, settings_file, state_file,
};
use transformer::model::family;
use transformer::{Architecture, TrainingConfig};

/// Formats a path as part of a command that a message proposes.
pub(crate) fn typed(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Returns the directory of a model, given the directory itself or its run.
///
/// # Errors
/// If there is no model.
pub(crate) fn model_of(given: &Path) -> Result<PathBuf> {
    let shown = given.display();
    if is_run(given) {
        let directory = model_directory(given);
        if files::is_model(&directory) {
            return Ok(directory);
        }
        return Err(format!(
            "{shown} holds no model yet: the run ended before its first checkpoint"
        )
        .into());
    }
    if files::is_model(given) {
        // Errors are reported when the model is read.
        let ignored = files::ignored_tensors(given).unwrap_or_default();
        if !ignored.is_empty() {
            let first = &ignored[..ignored.len().min(3)];
            let more = if ignored.len() > first.len() { ", …" } else { "" };
            remark(format!(
                "ignored  {} that hold no parameters: {}{more}",
                count(ignored.len(), "tensor"),
                first.join(", ")
            ));
        }
        return Ok(given.to_owned());
    }
    let has = "a run has a run.toml, a model directory a config.json and a model.safetensors";
    if given.is_dir() {
        return Err(match files::format_in(given) {
            Some(reason) => format!("{shown}: {reason}").into(),
            None => format!("{shown} holds no model: {has}").into(),
        });
    }
    if given.exists() {
        if let Some(reason) = files::format_of(given) {
            return Err(reason.into());
        }
        let parent = given.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Err(format!(
            "{shown} is a file; give the directory that holds it: {}",
            typed(parent)
        )
        .into());
    }
    // The path may be a model's name on the hub.
    let parts: Vec<_> = given.components().collect();
    let plain = parts.iter().all(|part| matches!(part, std::path::Component::Normal(_)));
    let hub = match plain && parts.len() <= 2 {
        true => format!(
            "; a model of the Hugging Face hub is downloaded first: hf download {} --local-dir DIR",
            typed(given)
        ),
        false => String::new(),
    };
    Err(format!("{shown} holds no model: there is no such directory ({has}){hub}").into())
}

/// Checks that a file can be written, before the work whose results it will hold.
///
/// # Errors
/// A directory that does not exist or cannot be written to; a path that is a directory.
pub(crate) fn writable(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(format!("{shown} is a directory: give a file").into());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let probe = parent.join(format!(".glassbox-{}", std::process::id()));
    std::fs::File::create_new(&probe)
        .and_then(|_| std::fs::remove_file(&probe))
        .map_err(|e| format!("cannot write {shown}: {}", reason(&e)))?;
    Ok(())
}

const EPSILON: &str = "epsilon";

/// Refuses a run whose settings describe another model than the saved one: one of the two was edited or replaced.
///
/// # Errors
/// The first difference.
pub(crate) fn agree(run: &Path, settings: &TrainingConfig, saved: &Architecture) -> Result<()> {
    if settings.from.is_some() {
        // A model of any parts, also such as settings cannot name.
        return Ok(());
    }
    let meant = settings.model(saved.vocabulary)?;
    // The rate of dropout is the run's: a model that was trained with another one is the same model.
    let saved = settings.in_training(family::of(saved), saved)?;
    match meant.differences(&saved).into_iter().next() {
        None => Ok(()),
        Some((name, meant, saved)) => Err(format!(
            "{run}/run.toml {says} {name} = {meant}, the model beside it has {saved}: one of them was changed; \
             restore it, or give the model alone: {run}/model",
            run = run.display(),
            // ε is not a setting: it is the same in every run's model.
            says = if name == EPSILON { "means" } else { "says" }
        )
        .into()),
    }
}

/// Returns the complete settings of a run.
pub(crate) fn settings(run: &Path) -> Result<Settings> {
    Settings::read(&settings_file(run))
}

/// Claims a run that resumes, before reading it.
///
/// # Errors
/// A directory without a run or a checkpoint; a run that another process trains.
pub(crate) fn claim(run: &Path) -> Result<Lock> {
    let shown = run.display();
    if !is_run(run) {
        return Err(format!("{shown} holds no run: there is no run.toml in it").into());
    }
    let lock = Lock::claim(run)?;
    if !state_file(run).exists() {
        let (program, file, run) = (program(), typed(&settings_file(run)), typed(run));
        return Err(format!(
            "{shown} holds no checkpoint to resume from: there is no state.safetensors in it; start again with: \
             {program} train --config {file} --out {run} --overwrite"
        )
        .into());
    }
    Ok(lock)
}

/// Refuses a directory in which no run may be created: said before long work, and once more by [`create`].
///
/// # Errors
/// A directory that holds something already.
pub(crate) fn vacant(out: Option<&Path>, overwrite: bool) -> Result<()> {
    out.map_or(Ok(()), |directory| Run::vacant(directory, overwrite).map_err(said))
}

/// Returns the error of a directory for a run, with what to do.
fn said(error: RunError) -> Error {
    match error {
        RunError::Occupied(directory) => {
            let run = typed(&directory);
            let occupied = RunError::Occupied(directory);
            format!("{occupied}; continue it with --resume {run}, replace it with --overwrite, or give another --out")
                .into()
        }
        RunError::NotADirectory(_) | RunError::Foreign(_) => format!("{error} (--out)").into(),
        other => other.into(),
    }
}

/// Creates a run in the requested directory, or in the first free one of `runs/NAME`, `runs/NAME-2`, ….
///
/// # Errors
/// If it cannot be written, or holds something already.
pub(crate) fn create(
    out: Option<&Path>,
    name: &str,
    config: &TrainingConfig,
    overwrite: bool,
) -> Result<Run> {
    let created = match out {
        Some(directory) => Run::create(directory, config, overwrite),
        None => Run::create_in(Path::new("runs"), name, config),
    };
    created.map_err(said)
}
