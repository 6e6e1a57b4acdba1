//! A stored model as its run trains it.

use crate::disk::error::FileError;
use crate::disk::files;
use crate::model::architecture::{Architecture, ConfigError};
use crate::model::recorded_step::ModelError;
use crate::training::config::{TrainingConfig, TrainingConfigError};
use std::path::Path;
use std::sync::Arc;

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
    let (family, stored) = files::read_family(directory)?;
    let mut model = config.in_training(family, &stored).map_err(contradicts)?;
    if files::is_adapter(directory) && config.lora.is_some() {
        let adapted = files::read_adapter(directory)?;
        let own = adapted.model.adaptation.adapter.as_ref();
        let asked = model.adaptation.adapter.as_ref();
        let same = own.zip(asked).is_some_and(|(own, asked)| {
            (own.rank, &own.targets, own.factor()) == (asked.rank, &asked.targets, asked.factor())
        });
        if !same {
            return Err(contradicts(TrainingConfigError::Model(ConfigError::Adaptation {
                setting: "lora",
                found: "adapters of another rank, factor or linear maps than run.toml says"
                    .to_owned(),
                expected: "those of the run: one of the two files was changed; restore it"
                    .to_owned(),
            })));
        }
        model.adaptation.frozen = Some(files::own_weights::<f32>(&adapted, false)?.into());
        return Ok((model, adapted.parameters));
    }
    let (_, weights) = files::read_with_faults::<f32>(directory)?;
    if model.adaptation.is_none() {
        return Ok((model, weights));
    }
    let unknown = |source| FileError::Config { path: directory.join("config.json"), source };
    if model.adaptation.adapter.is_some() {
        // The run has no adapters yet: they begin as its seed says.
        model.adaptation.frozen = Some(weights.into());
        let learned = model.initial_parameters(config.seed);
        let memory = |reason: ModelError| FileError::Other {
            path: directory.to_owned(),
            reason: reason.to_string(),
        };
        let learned = learned.map_err(memory)?;
        return Ok((model, learned));
    }
    let (mut learned, mut frozen) = (vec![], vec![]);
    for p in model.parameter_list().map_err(unknown)? {
        let to = if model.adaptation.freezes(&p.name) { &mut frozen } else { &mut learned };
        to.extend_from_slice(&weights[p.range]);
    }
    model.adaptation.frozen = Some(Arc::from(frozen));
    Ok((model, learned))
}
