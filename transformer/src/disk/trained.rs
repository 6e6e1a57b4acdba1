//! A stored model as its run trains it.

use crate::disk::error::FileError;
use crate::disk::files;
use crate::model::adaptation::Adapter;
use crate::model::architecture::{Architecture, ConfigError};
use crate::model::frozen::{FrozenWeights, is_exact, is_matrix};
use crate::model::recorded_step::ModelError;
use crate::training::config::{TrainingConfig, TrainingConfigError};
use std::ops::ControlFlow;
use std::path::Path;

/// Reads a run's model as the run trains it: with what it learns, and the values of what stands still
/// ([`crate::Adaptation::frozen`]). Returns the learned parameters, too, in the order in which a step records them. Values
/// may be NaN or infinite.
///
/// # Errors
/// Files that [`files::read_with_faults`] refuses; settings that contradict the model.
pub fn read_in_training(
    directory: &Path,
    config: &TrainingConfig,
) -> Result<(Architecture, Vec<f32>), FileError> {
    let contradicts = |error: TrainingConfigError| FileError::Config {
        path: directory.to_owned(),
        source: match error {
            TrainingConfigError::Model(source) => source,
            other => ConfigError::Adaptation {
                setting: "the run's settings",
                found: other.to_string(),
                expected: "settings that fit the model".to_owned(),
            },
        },
    };
    let unknown = |source| FileError::Config { path: directory.join("config.json"), source };
    let (family, stored) = files::read_family(directory)?;
    let mut model = config.in_training(family, &stored).map_err(contradicts)?;
    if files::is_adapter(directory) && config.lora.is_some() {
        let adapted = files::read_adapter(directory)?;
        let own = adapted.model.adaptation.adapter.as_ref();
        let asked = model.adaptation.adapter.as_ref();
        let same = own.zip(asked).is_some_and(|(own, asked)| {
            let kind = |a: &Adapter| (a.rank, a.magnitudes, a.factor());
            kind(own) == kind(asked) && own.targets == asked.targets
        });
        if !same {
            return Err(contradicts(TrainingConfigError::Model(ConfigError::Adaptation {
                setting: "lora",
                found: "adapters of another rank, kind, factor or linear maps than run.toml says"
                    .to_owned(),
                expected: "those of the run: one of the two files was changed; restore it"
                    .to_owned(),
            })));
        }
        let weights = files::own_weights::<f32>(&adapted, false)?;
        let list = model.parameter_list().map_err(unknown)?;
        model.adaptation.frozen = Some(FrozenWeights::of(&list, &weights, |_| true));
        return Ok((model, adapted.parameters));
    }
    let (_, weights) = files::read_with_faults::<f32>(directory)?;
    if model.adaptation.is_none() {
        return Ok((model, weights));
    }
    let list = model.parameter_list().map_err(unknown)?;
    if model.adaptation.adapter.is_some() {
        // The run has no adapters yet: they begin as its seed says.
        model.adaptation.frozen = Some(FrozenWeights::of(&list, &weights, |_| true));
        drop(weights);
        let learned = model.initial_parameters(config.seed);
        let memory = |reason: ModelError| FileError::Other {
            path: directory.to_owned(),
            reason: reason.to_string(),
        };
        let learned = learned.map_err(memory)?;
        return Ok((model, learned));
    }
    let freezes = |name: &str| model.adaptation.freezes(name);
    let frozen = FrozenWeights::of(&list, &weights, freezes);
    let own = list.iter().filter(|p| !freezes(&p.name));
    let learned = own.flat_map(|p| &weights[p.range.clone()]).copied().collect();
    model.adaptation.frozen = Some(frozen);
    Ok((model, learned))
}

/// The weights of a stored model with which a run begins that changes only some of them.
#[derive(Debug)]
pub struct Begun {
    /// The values of the weights that stand still.
    pub frozen: FrozenWeights,
    /// The others, in recording order: none beside adapters.
    pub learned: Vec<f32>,
    /// The SHA-256 of all weights ([`files::sha256`]).
    pub sha256: String,
}

/// Reads the weights of a stored model, matrix by matrix to where they stay ([`FrozenWeights`]), so that nothing is in memory
/// twice. `model` is the stored model with what the run learns of it. Returns `None` if a frozen matrix has an element that is no
/// bfloat16, at the first such matrix, and for a directory of adapters: such weights are read at once ([`files::read`]).
///
/// # Errors
/// See [`files::read`].
pub fn read_begun(directory: &Path, model: &Architecture) -> Result<Option<Begun>, FileError> {
    if files::is_adapter(directory) {
        return Ok(None);
    }
    let (mut frozen, mut learned) = (FrozenWeights::default(), vec![]);
    let sha256 = files::read_each(directory, |p, elements| {
        match model.adaptation.freezes(&p.name) {
            true if is_matrix(p) && !is_exact(elements) => return ControlFlow::Break(()),
            true => frozen.push(is_matrix(p), elements),
            false => learned.extend_from_slice(elements),
        }
        ControlFlow::Continue(())
    })?;
    Ok(sha256.map(|sha256| Begun { frozen, learned, sha256 }))
}
