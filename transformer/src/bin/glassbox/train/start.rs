//! The weights that a run begins with: drawn at random, or those of a model (`--from`).

use super::Session;
use crate::progress::{Bar, duration};
use crate::source::Source;
use crate::{Result, remark, run, signal, teacher};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;
use transformer::disk::{self, checkpoint, files};
use transformer::{Architecture, Preset, Trainer, TrainingConfig};

/// The model that a run starts from.
pub(super) struct Start {
    model: Architecture,
    /// Its weights, or, if it holds the frozen ones, the learned ones; none if the run's state holds all of them.
    weights: Option<Vec<f32>>,
}

impl Start {
    /// Reads the model that settings name, if they name one, and completes them with its checksum. A run that resumes needs
    /// it only if weights are frozen, or it is the reference of preferences: its state has the others.
    ///
    /// # Errors
    /// A model that cannot be read, or is not the one that the run began with; adapters that do not fit it.
    pub(super) fn read(
        config: &mut TrainingConfig,
        resumed: Option<&Path>,
    ) -> Result<Option<Self>> {
        let Some(from) = config.from.clone() else { return Ok(None) };
        if let Some(run) = resumed.filter(|_| !config.needs_its_model()) {
            let (family, model) = files::read_family(&run::model_directory(run))?;
            let model = config.in_training(family, &model)?;
            return Ok(Some(Start { model, weights: None }));
        }
        let directory = Path::new(&from);
        let again = |e| match resumed {
            Some(_) => format!(
                "{e}; the run began with the weights of {from}, and needs them again to resume: if they lie elsewhere now, give \
                 them with --from"
            ),
            None => format!("{e}"),
        };
        // Frozen weights that are 16-bit floats are kept as such, and read to where they stay.
        let mut begun = None;
        if config.freezes() && !files::is_adapter(directory) {
            let (family, stored) = files::read_family(directory).map_err(again)?;
            let model = config.in_training(family, &stored)?;
            begun = disk::read_begun(directory, &model).map_err(again)?.map(|begun| (model, begun));
        }
        if let Some((mut model, begun)) = begun {
            certify(config, &from, begun.sha256, resumed.is_some())?;
            model.adaptation.frozen = Some(begun.frozen);
            // Beside adapters nothing of the model is learned.
            let weights = Some(begun.learned).filter(|learned| !learned.is_empty());
            return Ok(Some(Start { model, weights }));
        }
        let (model, weights) = files::read::<f32>(directory).map_err(again)?;
        certify(config, &from, files::sha256(&weights), resumed.is_some())?;
        let (family, _) = files::read_family(directory)?;
        let model = config.in_training(family, &model)?;
        Ok(Some(Start { model, weights: Some(weights) }))
    }
}

/// Checks that settings name what they need a model for, and that a preset has what it is for.
pub(super) fn whole(preset: Option<Preset>, config: &TrainingConfig) -> Result<()> {
    if config.from.is_none() && config.lora.is_some() {
        return Err("--lora learns adapters beside a model: name it with --from".into());
    }
    if config.from.is_none() && config.preferences.is_some() {
        return Err("--preferences goes on from a model that answers: name it with --from".into());
    }
    match preset {
        Some(Preset::Lora) if config.lora.is_none() => {
            Err("--preset lora is for adapters: give their rank with --lora, or another preset"
                .into())
        }
        Some(Preset::Preferences) if config.preferences.is_none() => {
            Err("--preset preferences is for --preferences: give it, or another preset".into())
        }
        _ => Ok(()),
    }
}

/// Checks that a new run does not replace a model that it begins with or learns from.
pub(super) fn apart(out: Option<&Path>, config: &TrainingConfig) -> Result<()> {
    // What is not there yet holds no model.
    let Some((out, there)) = out.and_then(|out| Some((out, out.canonicalize().ok()?))) else {
        return Ok(());
    };
    for (flag, given) in [("--from", &config.from), ("--teacher", &config.teacher)] {
        let Some(given) = given.as_deref().map(Path::new) else { continue };
        let base = if files::is_adapter(given) { files::base_of(given).ok() } else { None };
        for model in [Some(given.to_owned()), base].into_iter().flatten() {
            if model.canonicalize().is_ok_and(|model| model.starts_with(&there)) {
                return Err(format!(
                    "{} holds the model of {flag} ({}), which the run needs: give another --out",
                    out.display(),
                    model.display()
                )
                .into());
            }
        }
    }
    Ok(())
}

/// Notes the checksum of the weights that a run begins with, which are those that it began with.
fn certify(config: &mut TrainingConfig, from: &str, found: String, resumed: bool) -> Result<()> {
    match &config.from_sha256 {
        Some(saved) if *saved != found => {
            let remedy = match resumed {
                true => "restore them, or give the model that has them with --from",
                false => {
                    "restore them, or leave from_sha256 out of the settings to begin with these"
                }
            };
            Err(format!(
                "{from} holds other weights (SHA-256 {found}) than those that the run began with ({saved}): {remedy}"
            )
            .into())
        }
        _ => {
            config.from_sha256 = Some(found);
            Ok(())
        }
    }
}

/// Returns the number of tokens of a run's model.
pub(super) fn vocabulary(start: Option<&Start>, source: &Source) -> usize {
    start.map_or(source.tokenizer.vocabulary(), |start| start.model.vocabulary)
}

/// Returns the trainer of a run before its first step.
///
/// # Errors
/// Sizes that contradict each other or that memory cannot hold; a tokenizer of more tokens than the model has.
pub(super) fn trainer(
    config: &TrainingConfig,
    start: Option<Start>,
    source: &Source,
) -> Result<Trainer<f32>> {
    let tokens = source.tokenizer.vocabulary();
    let Some(Start { model, weights }) = start else {
        return Ok(Trainer::<f32>::new(config.clone(), &config.model(tokens)?)?);
    };
    if tokens > model.vocabulary {
        return Err(format!(
            "the tokenizer has {tokens} tokens, and the model of --from {}: take the tokenizer that it was trained with",
            model.vocabulary
        )
        .into());
    }
    Ok(Trainer::<f32>::starting_from(config.clone(), &model, weights.as_deref())?)
}

/// Returns the number of steps that a run's state has, if it learns from preferences, or keeps a teacher's logits; 0 otherwise.
///
/// # Errors
/// A state that cannot be read, or of other data: found before the reference is computed, or the teacher
/// read.
pub(super) fn state_of(run: &Path, trainer: &Trainer<f32>, source: &Source) -> Result<u64> {
    let state = run::state_file(run);
    let asked = trainer.model().preference().is_some() || trainer.config().teacher_top.is_some();
    if !asked || !state.exists() {
        return Ok(0);
    }
    let about = checkpoint::about::<f32>(&state, trainer.model().config().parameters())?;
    if about.data != source.sha256 {
        return Err(format!(
            "{} is not the data that the run was trained on: give those with --data",
            source.name
        )
        .into());
    }
    Ok(about.steps)
}

/// Computes the reference of preferences: the nats of their answers under the model that the run begins with. Returns `false`
/// if a stop was requested.
///
/// # Errors
/// Tokens that the model does not have; a time that is over before the first step.
pub(super) fn refer(
    trainer: &mut Trainer<f32>,
    source: &mut Source,
    done: u64,
    began: Instant,
) -> Result<bool> {
    if trainer.model().preference().is_none() {
        return Ok(true);
    }
    remark(
        "pairs    the model that the run begins with predicts every answer: it is the reference",
    );
    let (mut bar, mut late) = (None, None);
    let time = trainer.config().time.map(|time| time.seconds() as f64);
    let whole = trainer.refer(&mut source.corpus, done, |done, all| {
        let bar = bar.get_or_insert_with(|| Bar::new(all as u64, "windows"));
        bar.set(done as u64);
        let took = began.elapsed().as_secs_f64();
        // The reference may take half of the time; what it will take in all is known soon.
        if let Some(time) = time.filter(|time| took > 0.5 * time && done < all) {
            late = Some((time, took * all as f64 / done as f64));
            return ControlFlow::Break(());
        }
        signal::between_batches()
    });
    bar.iter().for_each(Bar::finish);
    if let Some((time, needed)) = late {
        return Err(format!(
            "time is {}, and the reference alone takes about {}: give more --time, or fewer preferences",
            duration(time),
            duration(needed)
        )
        .into());
    }
    Ok(whole?)
}

impl Session<'_> {
    /// Finds the logits of the teacher that the run keeps. Returns `false` if a stop was requested: the run can then resume.
    pub(super) fn keep_teacher(&mut self) -> Result<bool> {
        let config = self.trainer.config().clone();
        if config.teacher_top.is_none() || self.source.corpus.teacher().is_none() {
            return Ok(true);
        }
        let (done, directory) = (self.trainer.steps(), self.run.directory().to_owned());
        if done == 0 {
            self.save()?;
        }
        let vocabulary = self.trainer.model().config().vocabulary;
        teacher::keep(&config, &mut self.source, (&directory, done), vocabulary)
    }
}
