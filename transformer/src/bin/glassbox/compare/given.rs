//! The models given to `compare`.

use crate::generate::{self, Model};
use crate::{Result, count, run};
use std::path::{Path, PathBuf};
use transformer::TrainingConfig;
use transformer::disk::{checkpoint, metrics_file, read_metrics, state_file};
use transformer::inspect::compare::Curve;
use transformer::inspect::compare::report::label;
use transformer::text::tokenizer::Tokenizer;

/// A run or a model, read.
pub(super) struct Given {
    /// Its letter.
    pub(super) label: String,
    pub(super) path: PathBuf,
    /// The settings of a run.
    pub(super) run: Option<TrainingConfig>,
    pub(super) model: Model,
    pub(super) tokenizer: Option<Tokenizer>,
    pub(super) curve: Curve,
    /// Steps taken, and the checksum of the text, if the run has a state.
    pub(super) state: Option<(u64, String)>,
    /// What could not be read.
    remarks: Vec<String>,
}

impl Given {
    /// Returns the seed of a run that took all steps of its settings: only such runs are repetitions of each other.
    pub(super) fn finished_seed(&self) -> Option<u64> {
        let run = self.run.as_ref()?;
        let taken = self.steps_taken();
        (taken.is_none() || taken == Some(run.steps)).then_some(run.seed)
    }

    fn steps_taken(&self) -> Option<u64> {
        self.state.as_ref().map(|(steps, _)| *steps)
    }
}

/// Reads all models.
///
/// # Errors
/// A model that cannot be read, or one that is given twice.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Given>> {
    let mut all: Vec<Given> = Vec::with_capacity(paths.len());
    let mut places: Vec<PathBuf> = Vec::new();
    for (i, path) in paths.iter().enumerate() {
        let directory = run::model_of(path)?;
        let place = directory.canonicalize()?;
        if let Some(earlier) = places.iter().position(|p| *p == place) {
            return Err(format!(
                "{} and {} are the same model ({} and {}): nothing can differ; give another one",
                paths[earlier].display(),
                path.display(),
                label(earlier),
                label(i)
            )
            .into());
        }
        places.push(place);
        all.push(one(i, path)?);
    }
    Ok(all)
}

fn one(i: usize, path: &Path) -> Result<Given> {
    let model = Model::read(path)?;
    let tokenizer = generate::optional_tokenizer(&model.directory, &model.config)?;
    let mut given = Given {
        label: label(i),
        path: path.to_owned(),
        run: None,
        model,
        tokenizer,
        curve: Curve::default(),
        state: None,
        remarks: vec![],
    };
    if !run::is_run(path) {
        return Ok(given);
    }
    let config = run::settings(path)?.complete()?;
    run::agree(path, &config, &given.model.config)?;
    let name = given.label.clone();
    let tokens = config.step_tokens() as u64;
    match read_metrics(path) {
        Ok((metrics, damaged)) => {
            if metrics.is_empty() && !damaged.is_empty() {
                return Err(format!(
                    "{}: none of its {} can be read; restore metrics.jsonl, or remove it to compare without curves",
                    metrics_file(path).display(),
                    count(damaged.len(), "line")
                )
                .into());
            }
            if let Some(first) = damaged.first() {
                given.remarks.push(format!(
                    "{name}: {} of metrics.jsonl cannot be read (the first is line {first}): its curve lacks them",
                    count(damaged.len(), "line")
                ));
            }
            given.curve = Curve::of(&metrics, tokens);
            if given.curve.summary().is_none() {
                given.remarks.push(format!("{name} has no metrics: there is no curve of it"));
            }
        }
        Err(_) if !metrics_file(path).exists() => {
            given.remarks.push(format!("{name} has no metrics.jsonl: there is no curve of it"));
        }
        Err(error) => return Err(error.into()),
    }
    match state_file(path).exists() {
        true => {
            let about = checkpoint::about::<f32>(&state_file(path), given.model.parameters.len())?;
            given.state = Some((about.steps, about.data));
        }
        false => given.remarks.push(format!(
            "{name} has no state.safetensors: that it took all of its steps is not known"
        )),
    }
    given.run = Some(config);
    Ok(given)
}

/// Returns what limits the comparison of these models.
pub(super) fn remarks(all: &[Given]) -> Vec<String> {
    let mut remarks: Vec<String> = all.iter().flat_map(|given| given.remarks.clone()).collect();
    for given in all {
        if let (Some(run), Some(taken)) = (&given.run, given.steps_taken())
            && taken != run.steps
        {
            remarks.push(format!(
                "{} took {taken} of its {}: its weights are compared, but it is no repetition of other runs",
                given.label,
                count(run.steps as usize, "step")
            ));
        }
    }
    let first = &all[0];
    for other in &all[1..] {
        let (own, theirs) = (first.state.as_ref(), other.state.as_ref());
        if let (Some((_, own)), Some((_, theirs))) = (own, theirs)
            && own != theirs
        {
            remarks.push(format!(
                "{} and {} were trained on different data: their losses on this text can be compared, as what the data \
                 and the settings did together; the text may be part of the other's training data",
                first.label, other.label
            ));
        }
    }
    let contexts: Vec<usize> = all.iter().map(|given| given.model.config.context).collect();
    if contexts.iter().any(|context| *context != contexts[0]) {
        remarks.push(
            "contexts differ: every model predicts the same tokens, each in windows of its own context"
                .to_owned(),
        );
    }
    remarks
}
