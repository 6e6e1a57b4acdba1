//! Text that a model knew before its fine-tuning.

use crate::examined::own_text;
use crate::source::{self, began_with};
use crate::{Result, count, generate, remark};
use std::path::Path;
use transformer::disk::read_in_training;
use transformer::inspect::diagnose::Before;
use transformer::text::corpus::Window;
use transformer::{IGNORED, ModelStep, TrainingConfig};

/// The tokens of a window of what the model writes itself, and of text that is given.
const WRITTEN: usize = 32;
const GIVEN: usize = 256;
/// The number of windows: generation is slow.
const WINDOWS: usize = 12;
const MOST: usize = 64;

/// Measures text of before under the model with which a run began: the given text, or what that model writes. `None` for a
/// run that began with no model, or with one that cannot be read any more.
///
/// # Errors
/// Given text that cannot be read, or for a run that began with no model.
pub(super) fn find(
    config: &TrainingConfig,
    step: &ModelStep<'_>,
    given: &[String],
    field: &str,
) -> Result<Option<Before>> {
    let Some(from) = config.from.as_ref().map(Path::new) else {
        return match given {
            [] => Ok(None),
            _ => {
                Err("--before: the run began with no model (--from), and knew nothing before"
                    .into())
            }
        };
    };
    let (base, weights) = match began_with(config, from) {
        Ok(found) => found,
        Err(why) if given.is_empty() => {
            remark(format!("what was forgotten is not measured: {why}"));
            return Ok(None);
        }
        Err(why) => return Err(why),
    };
    let longest = step.length.min(step.config.context);
    let (tokens, length) = match given {
        [] => {
            let length = longest.min(WRITTEN);
            let tokens = own_text(&base, &weights, WINDOWS * (length + 1), config.seed);
            (tokens.unwrap_or_default(), length)
        }
        _ => {
            let tokenizer = generate::optional_tokenizer(from, &base)?;
            let tokens = source::encode(source::read(given, field)?, tokenizer.as_ref())?;
            source::known_to(&tokens, step.config.vocabulary)?;
            let length = longest.min(GIVEN);
            (tokens.beginning(MOST * (length + 1)).to_vec(), length)
        }
    };
    let windows: Vec<Window> = tokens
        .chunks(length + 1)
        .filter(|own| own.len() > 1)
        .map(|own| window(own, step.length))
        .collect();
    if windows.is_empty() {
        let found = count(tokens.len(), "token");
        return match given {
            [] => Ok(None),
            _ => Err(format!("--before holds {found}; at least 2 are needed").into()),
        };
    }
    let (_, parameters) = read_in_training(from, config)?;
    let whose =
        if given.is_empty() { "that the model of the start writes" } else { "that is given" };
    remark(format!("forgetting is measured on text {whose}"));
    Ok(Some(Before::of(step, &parameters, &windows)?))
}

/// Returns tokens and what follows each as a window of this length; nothing is predicted in what fills it up.
fn window(own: &[u32], length: usize) -> Window {
    let (mut tokens, mut targets) = (own[..own.len() - 1].to_vec(), own[1..].to_vec());
    tokens.resize(length, 0);
    targets.resize(length, IGNORED);
    Window { tokens, targets, reference: vec![] }
}
