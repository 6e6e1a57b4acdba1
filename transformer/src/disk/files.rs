//! Models on disk, as Hugging Face's directories: `config.json`, `model.safetensors`, and `tokenizer.json`. Names and
//! layouts of tensors are those of the model's family ([`crate::model::family`]).
//!
//! Every file is written under a temporary name and then renamed, so that it appears whole or not at all
//! ([`crate::disk`]).

mod adapter;
mod convert;
mod generation;
mod number_format;
mod other;
mod shards;
mod sizes;
mod stream;
mod tokenizers;
mod weights;

pub use crate::disk::error::FileError;
pub use crate::disk::write_atomically;
pub use adapter::{Adapted, base_of, is_adapter, read_adapter, write_adapter};
pub(crate) use convert::BESIDE;
pub use convert::{Converted, convert, copy_beside};
pub use generation::{GenerationConfig, read_generation_config};
pub use number_format::NumberFormat;
pub use other::{format_in, format_of};
pub(crate) use stream::{Named, PIECE, little_endian, write_tensors};
pub use tokenizers::{
    read_chat_template, read_tokenizer, read_tokenizer_at, tokenizer_files, write_chat_template,
    write_tokenizer,
};

use crate::disk::read_bounded;
use crate::model::architecture::Architecture;
use crate::model::family::{self, Family, Tensor};
use calculus::Parameter;
use linalg::Real;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shards::SINGLE;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use stream::Take;
use weights::Weights;

/// The bound on `config.json` and `tokenizer.json`: the largest vocabularies take about 20 MB.
const LARGEST_TEXT: u64 = 64 << 20;

/// Reads a model: its architecture, and all parameters in the order of recording. Of a directory of adapters
/// ([`is_adapter`]), it is the model that they belong to, with the adapters merged ([`Architecture::merge`]).
///
/// The tensors are in `model.safetensors`, or in the shards that `model.safetensors.index.json` names. They may be F64, F32,
/// F16 or BF16; the family's prefix of their names is optional. At most a piece of a tensor is in memory beside the
/// parameters.
///
/// # Errors
/// A file that is missing, cut off or damaged (if it holds a checksum, as those of [`write()`] do); a tensor that is
/// missing, unknown, of another shape or type, or holds a value that is not finite.
pub fn read<T: Real>(directory: &Path) -> Result<(Architecture, Vec<T>), FileError> {
    read_weights(directory, true)
}

/// Like [`read`], but keeps values that are not finite, for diagnosis; the checksum is verified only if all values are
/// finite.
///
/// # Errors
/// See [`read`], except for values.
pub fn read_with_faults<T: Real>(directory: &Path) -> Result<(Architecture, Vec<T>), FileError> {
    read_weights(directory, false)
}

fn read_weights<T: Real>(
    directory: &Path,
    finite: bool,
) -> Result<(Architecture, Vec<T>), FileError> {
    if is_adapter(directory) {
        let adapted = read_adapter(directory)?;
        let mut parameters = own_weights::<T>(&adapted, finite)?;
        let adapters: Vec<T> =
            adapted.parameters.iter().map(|&x| T::from_f64(f64::from(x))).collect();
        adapted.model.merge(&mut parameters, &adapters);
        return Ok((adapted.model.base(), parameters));
    }
    let (family, config) = read_family(directory)?;
    let parameters = Weights::open(directory, family, &config)?.parameters(finite)?;
    Ok((config, parameters))
}

/// Reads a model like [`read`], weight by weight in recording order: `take` gets each with its elements, and says whether to go on.
/// Returns the SHA-256 of all ([`sha256`]); `None` if `take` ended it.
///
/// # Errors
/// See [`read`]; a directory of adapters, whose model is elsewhere. `take` may have got weights before.
pub fn read_each(
    directory: &Path,
    mut take: impl FnMut(&Parameter, &[f32]) -> ControlFlow<()>,
) -> Result<Option<String>, FileError> {
    let (family, config) = read_family(directory)?;
    let mut hash = Sha256::new();
    let all = Weights::open(directory, family, &config)?.each(|parameter, elements| {
        elements.chunks(PIECE).for_each(|piece| hash.update(little_endian(piece)));
        take(parameter, elements)
    })?;
    Ok(all.is_continue().then(|| hexadecimal(&hash.finalize())))
}

/// Reads the weights of the model that adapters belong to.
///
/// # Errors
/// See [`read`], and weights that are not those that the adapters were trained beside.
pub fn own_weights<T: Real>(adapted: &Adapted, finite: bool) -> Result<Vec<T>, FileError> {
    let (_, parameters) = read_weights::<T>(&adapted.base, finite)?;
    let saved = adapted.base_sha256.as_ref();
    let found = || sha256_as::<f32, T>(&parameters);
    match saved {
        Some(saved) if *saved != found() => Err(FileError::Other {
            path: adapted.base.clone(),
            reason: "these are not the weights that the adapters were trained beside: restore that model, or give its path \
                     in adapter_config.json"
                .to_owned(),
        }),
        _ => Ok(parameters),
    }
}

/// Returns the names of tensors that [`read`] ignores, as transformers does: buffers, copies of a tied head, and zero
/// biases of a model without biases. Only headers are read.
///
/// # Errors
/// A configuration or a header that cannot be read.
pub fn ignored_tensors(directory: &Path) -> Result<Vec<String>, FileError> {
    if is_adapter(directory) {
        return ignored_tensors(&base_of(directory)?);
    }
    let (family, config) = read_family(directory)?;
    Ok(Weights::open(directory, family, &config)?.ignored())
}

/// Returns the files of a model's weights: `model.safetensors`, or its shards, and that of adapters.
///
/// # Errors
/// A file that is missing or whose header cannot be read.
pub fn weight_files(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    if is_adapter(directory) {
        let mut files = weight_files(&base_of(directory)?)?;
        files.push(directory.join(adapter::TENSORS));
        return Ok(files);
    }
    let (_, shards) = shards::open(directory)?;
    Ok(shards.into_iter().map(|shard| shard.path).collect())
}

/// Returns whether a directory holds a model, or adapters of one.
pub fn is_model(directory: &Path) -> bool {
    directory.join("config.json").exists() || is_adapter(directory)
}

/// Reads a model's `config.json`.
///
/// # Errors
/// A file that is missing or describes another model.
pub fn read_config(directory: &Path) -> Result<Architecture, FileError> {
    read_family(directory).map(|(_, config)| config)
}

/// Reads a model's `config.json`, with the family in whose tensors its weights are.
///
/// # Errors
/// See [`read_config`].
pub fn read_family(directory: &Path) -> Result<(&'static dyn Family, Architecture), FileError> {
    if is_adapter(directory) {
        return read_family(&base_of(directory)?);
    }
    let path = directory.join("config.json");
    let text = read_text(&path)?;
    family::read(&text).map_err(|source| FileError::Config { path, source })
}

/// Reads a JSON file as text.
pub(crate) fn read_text(path: &Path) -> Result<String, FileError> {
    let bytes = read_bounded(path, LARGEST_TEXT)?;
    String::from_utf8(bytes).map_err(|_| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8");
        FileError::Read { path: path.to_owned(), source }
    })
}

/// Writes a model that Hugging Face transformers opens: `config.json` and `model.safetensors`. A GPT-2 without biases
/// gets zero biases in the file. The header holds the SHA-256 of the parameters' bytes in the order of recording
/// ([`sha256`]), except that every parameter is laid out as the family stores it.
///
/// # Errors
/// If a file cannot be written (earlier files are then unchanged), or a combination of parts that no family has.
///
/// # Panics
/// If the number of parameters is not the configuration's.
pub fn write<T: Real>(
    directory: &Path,
    config: &Architecture,
    parameters: &[T],
) -> Result<(), FileError> {
    write_as(directory, config, parameters, NumberFormat::of::<T>())
}

/// Like [`write()`], but stores numbers in another format, rounded to nearest, ties to even.
///
/// # Errors
/// Like [`write()`], and a number that the format cannot hold.
///
/// # Panics
/// If the number of parameters is not the configuration's.
pub fn write_as<T: Real>(
    directory: &Path,
    config: &Architecture,
    parameters: &[T],
    format: NumberFormat,
) -> Result<(), FileError> {
    let unknown = |source| FileError::Config { path: directory.join("config.json"), source };
    config.validate().map_err(unknown)?;
    write_weights(directory, family::of(config), config, parameters, format)?;
    let json = serde_json::from_str(&config.to_json()).expect("JSON that was just written");
    write_config(directory, json, format)
}

/// Writes `config.json`, with the number format in it; this project's own family has no key for that.
fn write_config(directory: &Path, mut json: Value, format: NumberFormat) -> Result<(), FileError> {
    if json.get("dtype").is_none() && json["model_type"] != "glassbox" {
        json["torch_dtype"] = Value::Null;
    }
    for key in ["dtype", "torch_dtype"] {
        if let Some(found) = json.get_mut(key) {
            *found = format.hugging_face().into();
        }
    }
    let text = serde_json::to_string_pretty(&json).expect("a tree of plain values") + "\n";
    write_atomically(&directory.join("config.json"), text.as_bytes())
}

/// Writes `model.safetensors`, in the tensors of a family that has the architecture.
fn write_weights<T: Real>(
    directory: &Path,
    family: &dyn Family,
    config: &Architecture,
    parameters: &[T],
    format: NumberFormat,
) -> Result<(), FileError> {
    let path = directory.join(SINGLE);
    let unknown = |source| FileError::Config { path: directory.join("config.json"), source };
    let own = config.parameter_list().map_err(unknown)?;
    let count = own.last().map_or(0, |last| last.range.end);
    assert_eq!(parameters.len(), count, "parameters of another model");
    let mut own = own.into_iter().peekable();
    let full = Architecture { biases: family.stored_biases(config.biases), ..config.clone() };
    let mut stored = Vec::new();
    for full in parameter_list(&full) {
        let given = own.next_if(|p| p.name == full.name).map(|p| &parameters[p.range]);
        let tensors = family.tensors(config, &full).into_iter();
        stored.extend(tensors.map(|tensor| (tensor, full.shape.rows, given)));
    }
    let names: Vec<Named> =
        stored.iter().map(|(tensor, ..)| (stored_name(family, tensor), tensor.shape())).collect();
    // The bytes of a tensor, in pieces; zeros if the model has no such parameter.
    let pass_on = |i: usize, take: &mut Take<'_>| -> io::Result<()> {
        let (tensor, rows, given) = &stored[i];
        let mut bytes = Vec::with_capacity(PIECE * format.bytes());
        for (k, place) in tensor.places(*rows).enumerate() {
            let x = given.map_or(0.0, |given| given[place].to_f64());
            if !format.push(x, &mut bytes) {
                return Err(io::Error::other(format!(
                    "{} holds {x:?} at element {k}, more than {format} can hold; take another number format",
                    names[i].0
                )));
            }
            if bytes.len() == PIECE * format.bytes() {
                take(&bytes)?;
                bytes.clear();
            }
        }
        take(&bytes)
    };
    let mut hash = Sha256::new();
    for i in (0..stored.len()).filter(|&i| stored[i].2.is_some()) {
        let hashed = pass_on(i, &mut |bytes| {
            hash.update(bytes);
            Ok(())
        });
        hashed.map_err(|source| FileError::tensors(&path, source.to_string()))?;
    }
    let about = [("format", "pt".to_owned()), (CHECKSUM, hexadecimal(&hash.finalize()))];
    let about = about.map(|(key, value)| (key.to_owned(), value));
    std::fs::create_dir_all(directory)
        .map_err(|source| FileError::Write { path: directory.to_owned(), source })?;
    write_tensors(&path, &about, &names, format, pass_on)
}

/// Returns the parameters of a model with a valid configuration.
fn parameter_list(config: &Architecture) -> Vec<Parameter> {
    config.parameter_list().expect("a valid configuration can be recorded")
}

/// Returns a tensor's name in its family's files, where the head has no prefix.
pub(crate) fn stored_name(family: &dyn Family, tensor: &Tensor) -> String {
    if is_head(family, &tensor.name) {
        tensor.name.clone()
    } else {
        format!("{}{}", family.prefix(), tensor.name)
    }
}

/// Returns the SHA-256 of parameters as little-endian bytes in the order of recording, in hexadecimal: equal for two
/// runs only if their parameters are.
pub fn sha256<T: Real>(parameters: &[T]) -> String {
    sha256_as::<T, T>(parameters)
}

/// Like [`sha256`], of the parameters in the number format `S`.
fn sha256_as<S: Real, T: Real>(parameters: &[T]) -> String {
    let mut hash = Sha256::new();
    for part in parameters.chunks(4096) {
        let part: Vec<S> = part.iter().map(|x| S::from_f64(x.to_f64())).collect();
        hash.update(little_endian(&part));
    }
    hexadecimal(&hash.finalize())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The checksum's name in a file's header.
pub(crate) const CHECKSUM: &str = "sha256";

/// Returns whether a tensor is the head of its family.
pub(crate) fn is_head(family: &dyn Family, tensor: &str) -> bool {
    tensor.strip_suffix(".weight") == Some(family.head())
}

#[cfg(test)]
mod tests;
