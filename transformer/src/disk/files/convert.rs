//! Writes a model in another number format.

use super::adapter::with_model;
use super::shards::INDEX;
use super::weights::Weights;
use super::{
    FileError, LARGEST_TEXT, NumberFormat, SINGLE, read, read_bounded, read_family, read_text,
    write_atomically, write_config, write_weights,
};
use crate::disk::ordinary;
use crate::model::architecture::ConfigError;
use linalg::Real;
use std::io;
use std::path::Path;

/// The files beside a model that do not depend on the number format.
const COPIED: [&str; 13] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
    "tokenizer.model",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
];

/// A model that was converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The number of parameters.
    pub parameters: usize,
    /// The size of `model.safetensors` in bytes.
    pub bytes: u64,
    /// The files that were copied.
    pub copied: Vec<&'static str>,
}

/// Reads the model of a directory, with adapters merged, and writes it to another one in a number format, rounded to nearest, ties to even:
/// `config.json` with that format in its key `dtype` or `torch_dtype`, `model.safetensors`, and unchanged copies of the
/// tokenizer's files and `generation_config.json`. An earlier model in `to` is replaced; its file names that this one
/// does not have are removed.
///
/// # Errors
/// A model that [`read`](super::read) refuses; a number that the format cannot hold; `to` is `from`; a file that cannot
/// be written. Nothing is written before the model was read and every number fits.
pub fn convert(from: &Path, to: &Path, format: NumberFormat) -> Result<Converted, FileError> {
    if to.canonicalize().is_ok_and(|to| from.canonicalize().is_ok_and(|from| from == to)) {
        let reason = "the model cannot replace itself; give another directory".to_owned();
        return Err(FileError::Other { path: to.to_owned(), reason });
    }
    let all = COPIED.into_iter().chain(["config.json", SINGLE]);
    all.into_iter().try_for_each(|name| ordinary(&to.join(name)))?;
    let (family, config) = read_family(from)?;
    let base = with_model(from)?;
    let wide = Weights::open(&base, family, &config)?.has(NumberFormat::F64);
    let parameters = if wide {
        converted::<f64>(from, to, format)?
    } else {
        converted::<f32>(from, to, format)?
    };
    remove(to, INDEX)?;
    let copied = copy(from, to, &COPIED)?;
    let path = base.join("config.json");
    let text = read_text(&path)?;
    let json = serde_json::from_str(&text).map_err(|e| FileError::Config {
        path,
        source: ConfigError::Json { reason: e.to_string() },
    })?;
    // Last: an empty directory is no model until then.
    write_config(to, json, format)?;
    let written = to.join(SINGLE);
    let bytes =
        written.metadata().map_err(|source| FileError::Read { path: written, source })?.len();
    Ok(Converted { parameters, bytes, copied })
}

/// Copies files of these names, those of adapters' own model if adapters have none; removes those that are not there.
/// Returns the names of those that are.
fn copy(from: &Path, to: &Path, names: &[&'static str]) -> Result<Vec<&'static str>, FileError> {
    let base = with_model(from)?;
    let mut copied = Vec::new();
    for &name in names {
        let own = from.join(name);
        let path = if own.exists() { own } else { base.join(name) };
        match read_bounded(&path, LARGEST_TEXT) {
            Ok(bytes) => {
                write_atomically(&to.join(name), &bytes)?;
                copied.push(name);
            }
            Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                remove(to, name)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(copied)
}

/// The files beside a model that a run with its tokenizer copies.
pub(crate) const BESIDE: [&str; 4] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// Copies what training does not change of a model with this tokenizer: how transformers uses it, its chat template, and how
/// the model generates.
///
/// # Errors
/// A file that cannot be read or written.
pub fn copy_beside(from: &Path, to: &Path) -> Result<Vec<&'static str>, FileError> {
    copy(from, to, &BESIDE)
}

/// Reads the parameters as `T`, which holds all of them exactly, and writes them; returns their number.
fn converted<T: Real>(from: &Path, to: &Path, format: NumberFormat) -> Result<usize, FileError> {
    // In the layout that config.json names: it is kept.
    let (family, _) = read_family(from)?;
    let (config, parameters) = read::<T>(from)?;
    write_weights(to, family, &config, &parameters, format)?;
    Ok(parameters.len())
}

fn remove(directory: &Path, name: &str) -> Result<(), FileError> {
    let path = directory.join(name);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Write { path, source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
