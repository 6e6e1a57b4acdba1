//! Which key of `config.json` contradicts the shapes of a file's tensors.

use super::FileError;
use crate::model::architecture::Architecture;
use crate::model::family::{Family, Tensor};
use crate::words;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The shapes of tensors by name, without the family's prefix.
pub(super) type Shapes = HashMap<String, Vec<usize>>;

/// Refuses tensors that contradict the configuration.
pub(super) fn agree(
    path: &Path,
    family: &dyn Family,
    config: &Architecture,
    shapes: &Shapes,
) -> Result<(), FileError> {
    match contradiction(family, config, shapes) {
        Some(reason) => Err(FileError::tensors(path, reason)),
        None => Ok(()),
    }
}

/// Returns the first contradiction between a configuration and shapes: the key, its value, the tensor, and the shape found
/// and expected. Tensors that are missing or unknown within a layer are none.
fn contradiction(family: &dyn Family, config: &Architecture, shapes: &Shapes) -> Option<String> {
    let tensors = tensors(family, config);
    for tensor in &tensors {
        let (name, expected) = (&tensor.name, tensor.shape());
        let Some(found) = shapes.get(name).filter(|found| **found != expected) else { continue };
        let mut reason =
            format!("tensor {name} has shape {found:?}, but config.json implies {expected:?}");
        let differs = (0..expected.len()).find(|&i| found.get(i) != Some(&expected[i]));
        if let Some(i) = differs.filter(|_| found.len() == expected.len())
            && let Some((key, value)) = size_of(family, config, name, i)
        {
            reason += &format!(": {key} is {value}");
            // Every dimension is a multiple of its size.
            let needed = value as u128 * found[i] as u128;
            if needed.is_multiple_of(expected[i] as u128) {
                reason += &format!(", and this tensor needs {}", needed / expected[i] as u128);
            }
        }
        return Some(reason);
    }
    // The layers that the file has.
    let first = tensors.iter().find_map(|tensor| tensor.name.split_once(".0."))?.0;
    let index =
        |name: &str| name.strip_prefix(first)?.strip_prefix('.')?.split('.').next()?.parse().ok();
    let layers = |name: &String| Some((index(name)?, name.clone()));
    let (last, name): (u64, String) = shapes.keys().filter_map(layers).max()?;
    let found = last.saturating_add(1);
    if found == config.layers as u64 {
        return None;
    }
    let more = Architecture { layers: if config.layers == 1 { 2 } else { 1 }, ..config.clone() };
    let (key, value) = key_between(family, config, &more)?;
    let layers = words::count(found, "layer");
    Some(format!(
        "{key} of config.json is {value}, but the tensors are of {layers}: the last has {name}"
    ))
}

fn tensors(family: &dyn Family, config: &Architecture) -> Vec<Tensor> {
    let list = config.parameter_list().unwrap_or_default();
    list.iter().flat_map(|parameter| family.tensors(config, parameter)).collect()
}

/// Returns the key that decides a dimension of a tensor, and its value: the first size with which the dimension changes.
fn size_of(
    family: &dyn Family,
    config: &Architecture,
    name: &str,
    dimension: usize,
) -> Option<(String, u64)> {
    let others = [
        Architecture { vocabulary: config.vocabulary + 1, ..config.clone() },
        Architecture { context: config.context + 1, ..config.clone() },
        Architecture { hidden: config.hidden + 1, ..config.clone() },
        Architecture {
            key_value_heads: if config.key_value_heads() == 1 { None } else { Some(1) },
            ..config.clone()
        },
        // A width that its heads divide into even parts.
        Architecture { width: config.width + 2 * config.heads, ..config.clone() },
    ];
    let of = |config: &Architecture| {
        let tensor = tensors(family, config).into_iter().find(|tensor| tensor.name == name)?;
        Some(tensor.shape()[dimension])
    };
    let here = of(config);
    let changes = |other: &&Architecture| of(other).is_some_and(|there| Some(there) != here);
    others.iter().filter(changes).find_map(|other| key_between(family, config, other))
}

/// Returns the first key in which the files of two configurations differ, and its value in the first.
fn key_between(
    family: &dyn Family,
    config: &Architecture,
    other: &Architecture,
) -> Option<(String, u64)> {
    let [here, there] = [family.write(config), family.write(other)];
    let differs = |(key, value): (&String, &Value)| {
        let value = value.as_u64().filter(|_| there.get(key) != Some(value))?;
        Some((key.clone(), value))
    };
    here.as_object()?.iter().find_map(differs)
}

#[cfg(test)]
mod tests;
