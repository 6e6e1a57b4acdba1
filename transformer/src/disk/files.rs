//! Models on disk, as Hugging Face's directories: `config.json`, `model.safetensors`, and `tokenizer.json`. Names and
//! layouts of tensors are those of the model's family ([`crate::model::family`]).
//!
//! Every file is written under a temporary name and then renamed, so that it appears whole or not at all
//! ([`crate::disk`]).

use crate::disk::reason;
use crate::memory::{self, MemoryError};
use crate::model::architecture::{Architecture, Biases, ConfigError, is_bias};
use crate::model::family::{self, Family, Tensor};
use crate::printable::printable;
use crate::text::tokenizer::TokenizerError;
use crate::words;
use calculus::Parameter;
use linalg::Real;
use linalg::half::{bf16_to_f32, f16_to_f32};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use thiserror::Error;

mod sizes;

/// A failure to read or write a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}: {}", path.display(), reason(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file cannot be written; the earlier file is unchanged.
    #[error("cannot write {}: {}", path.display(), reason(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The path is not an ordinary file.
    #[error("{} is {kind}, but a file is expected", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// The file does not fit the available memory.
    #[error("cannot read {}: {source}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// The memory needed and available.
        source: MemoryError,
    },
    /// The file is longer than any of its kind.
    #[error("{} has {}; at most {most} are expected", path.display(), words::count(*found, "byte"))]
    Large {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The bound in bytes.
        most: u64,
    },
    /// The configuration describes a model that this crate does not support.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ConfigError,
    },
    /// The tokenizer is not one that this crate supports.
    #[error("{}: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: TokenizerError,
    },
    /// The file is not safetensors, or is cut off.
    #[error("{} is not a whole safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        reason: String,
    },
    /// The tensors differ from those that were saved.
    #[error("{} is damaged: its tensors have SHA-256 {found}, but were saved with {saved}; use another \
             copy or an earlier checkpoint", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The checksum of the tensors in the file.
        found: String,
        /// The checksum in the header.
        saved: String,
    },
    /// A tensor is missing, unexpected or invalid.
    #[error("{}: {reason}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The tensor, what was found, and what was expected.
        reason: String,
    },
}

/// The bound on `config.json` and `tokenizer.json`: the largest vocabularies take about 20 MB.
const LARGEST_TEXT: u64 = 64 << 20;

/// Reads a model: its architecture, and all parameters in the order of recording.
///
/// Tensors may be F64, F32, F16 or BF16; the prefix `transformer.` of their names is optional.
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
    let config = read_config(directory)?;
    let path = directory.join("model.safetensors");
    let family = family::of(&config);
    // Refuse files much larger than the model before reading them. The bound allows F64, the mask buffers of old
    // checkpoints, a second copy of a tied head, and the header.
    let wide = |size: usize| size as u128;
    let buffers = 4 * wide(config.layers) * wide(config.context).pow(2);
    let list = parameter_list(&config);
    let all = list.last().map_or(0, |last| last.range.end);
    let numbers = wide(all) + wide(config.vocabulary) * wide(config.width);
    let most = u64::try_from(8 * numbers + buffers + (16 << 20)).unwrap_or(u64::MAX);
    let bytes = read_bounded(&path, most)
        .map_err(|error| sizes::explained(error, &path, family, &config))?;
    let mut tensors = Tensors::new(&path, family, &bytes)?;
    let shapes =
        tensors.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec()));
    sizes::agree(&path, family, &config, &shapes.collect())?;
    // No more than the file can hold: a configuration may claim any size.
    let count = all.min(bytes.len() / 2);
    memory::afford((count * size_of::<T>()) as u128)
        .map_err(|source| FileError::Memory { path: path.clone(), source })?;
    let mut parameters = Vec::with_capacity(count);
    for parameter in &list {
        for tensor in family.tensors(&config, parameter) {
            tensors.read(&tensor, parameter, finite, &mut parameters)?;
        }
    }
    let found = hexadecimal(&std::mem::take(&mut tensors.hash).finalize());
    let saved = tensors.saved.take();
    tensors.rest(&config)?;
    // NaN and ∞ take precedence over damage; `read_with_faults` exists to find them.
    let judged = finite || parameters.iter().all(|p: &T| p.to_f64().is_finite());
    match saved {
        Some(saved) if judged && saved != found => {
            let saved = printable(&saved);
            Err(FileError::Damaged { path, found, saved })
        }
        _ => Ok((config, parameters)),
    }
}

/// Reads a model's `config.json`.
///
/// # Errors
/// A file that is missing or describes another model.
pub fn read_config(directory: &Path) -> Result<Architecture, FileError> {
    let path = directory.join("config.json");
    let text = read_text(&path)?;
    Architecture::from_json(&text).map_err(|source| FileError::Config { path, source })
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
/// gets zero biases in the file. The header holds the SHA-256 of the parameters' bytes in the order of the file, which
/// is the order of recording ([`sha256`]) if the family stores every parameter as this crate does.
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
    let config_path = directory.join("config.json");
    let unknown = |source| FileError::Config { path: config_path.clone(), source };
    let own = config.parameter_list().map_err(unknown)?;
    let (family, json) = (family::of(config), config.to_json());
    let count = own.last().map_or(0, |last| last.range.end);
    assert_eq!(parameters.len(), count, "parameters of another model");
    let path = directory.join("model.safetensors");
    let mut stored: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut hash = Sha256::new();
    let mut own = own.into_iter().peekable();
    let biases = family.stored_biases(config.biases);
    for full in parameter_list(&Architecture { biases, ..config.clone() }) {
        let given = own.next_if(|p| p.name == full.name).map(|p| &parameters[p.range]);
        for tensor in family.tensors(config, &full) {
            let bytes = match given {
                // The order is the same, so the bytes are.
                Some(given) if tensor.is_parameter(full.shape.rows) => little_endian(given),
                Some(given) => {
                    let places = tensor.places(full.shape.rows);
                    little_endian(&places.map(|i| given[i]).collect::<Vec<T>>())
                }
                None => vec![0; full.shape.len() * size_of::<T>()],
            };
            if given.is_some() {
                hash.update(&bytes);
            }
            stored.push((stored_name(family, &tensor), tensor.shape(), bytes));
        }
    }
    let views = stored.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(dtype::<T>(), shape.clone(), bytes);
        (name, view.expect("as many bytes as the shape says"))
    });
    let about = [("format", "pt".to_owned()), (CHECKSUM, hexadecimal(&hash.finalize()))];
    let about = about.map(|(key, value)| (key.to_owned(), value));
    let bytes = serialized(views, &about)
        .map_err(|e| FileError::Format { path: path.clone(), reason: e.to_string() })?;
    std::fs::create_dir_all(directory)
        .map_err(|source| FileError::Write { path: directory.to_owned(), source })?;
    write_atomically(&path, &bytes)?;
    write_atomically(&config_path, json.as_bytes())
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

/// Serializes tensors and metadata as a safetensors file. The same input gives the same file: safetensors itself writes
/// metadata in random order.
pub(crate) fn serialized<'a>(
    views: impl IntoIterator<Item = (impl AsRef<str> + Ord + std::fmt::Display, TensorView<'a>)>,
    about: &[(String, String)],
) -> Result<Vec<u8>, SafeTensorError> {
    let mut file = safetensors::serialize(views, Some(about.iter().cloned().collect()))?;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let pairs = about.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value)));
    let ordered = format!("\"__metadata__\":{{{}}}", pairs.collect::<Vec<_>>().join(","));
    let key = ordered.split('{').next().unwrap_or_default().as_bytes();
    // The metadata stand before the tensors.
    if let Some(at) = file.windows(key.len()).position(|w| w == key) {
        file[at..at + ordered.len()].copy_from_slice(ordered.as_bytes());
    }
    Ok(file)
}

/// Returns the SHA-256 of parameters as little-endian bytes in the order of recording, in hexadecimal: equal for two
/// runs only if their parameters are.
pub fn sha256<T: Real>(parameters: &[T]) -> String {
    let mut hash = Sha256::new();
    for part in parameters.chunks(4096) {
        hash.update(little_endian(part));
    }
    hexadecimal(&hash.finalize())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

use crate::disk::read_bounded;
pub use crate::disk::tokenizers::{
    read_tokenizer, read_tokenizer_at, tokenizer_files, write_tokenizer,
};
pub use crate::disk::write_atomically;

/// The checksum's name in a file's header.
pub(crate) const CHECKSUM: &str = "sha256";

/// Returns whether a tensor is the head of its family.
fn is_head(family: &dyn Family, tensor: &str) -> bool {
    tensor.strip_suffix(".weight") == Some(family.head())
}

/// The tensors of a file that have not been read yet.
struct Tensors<'a> {
    path: &'a Path,
    family: &'a dyn Family,
    tensors: HashMap<String, TensorView<'a>>,
    /// The embedding's table and its name, which a tied head repeats.
    table: Option<(String, TensorView<'a>)>,
    /// The hash of the bytes of all parameters so far.
    hash: Sha256,
    /// The checksum in the header.
    saved: Option<String>,
}

impl<'a> Tensors<'a> {
    fn new(path: &'a Path, family: &'a dyn Family, bytes: &'a [u8]) -> Result<Self, FileError> {
        let prefix = family.prefix();
        let format = |e: SafeTensorError| FileError::Format {
            path: path.to_owned(),
            reason: printable(&e.to_string().replace("unknown variant", "unknown type")),
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let saved = header.metadata().as_ref().and_then(|about| about.get(CHECKSUM).cloned());
        let mut named = HashMap::new();
        for (name, tensor) in tensors.tensors() {
            let plain = name.strip_prefix(prefix).unwrap_or(&name).to_owned();
            if named.insert(plain, tensor).is_some() {
                let reason =
                    printable(&format!("tensor {name} is there with and without {prefix}"));
                return Err(FileError::Tensors { path: path.to_owned(), reason });
            }
        }
        Ok(Tensors { path, family, tensors: named, table: None, hash: Sha256::new(), saved })
    }

    fn error<R>(&self, reason: String) -> Result<R, FileError> {
        Err(FileError::Tensors { path: self.path.to_owned(), reason: printable(&reason) })
    }

    fn foreign_type<R>(&self, name: &str, tensor: &TensorView<'_>) -> Result<R, FileError> {
        let found = tensor.dtype();
        self.error(format!("tensor {name} is {found:?}; supported are F64, F32, F16 and BF16"))
    }

    /// Copies a tensor's elements to their places among the parameters.
    fn read<T: Real>(
        &mut self,
        wanted: &Tensor,
        parameter: &Parameter,
        finite: bool,
        parameters: &mut Vec<T>,
    ) -> Result<(), FileError> {
        let name = wanted.name.as_str();
        let Some(tensor) = self.tensors.remove(name) else {
            let mut there: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
            there.sort_unstable();
            there.truncate(3);
            let others = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
            return self.error(format!("tensor {name} is missing; the file has {others} …"));
        };
        let Some(elements) = elements(&tensor) else { return self.foreign_type(name, &tensor) };
        self.hash.update(tensor.data());
        parameters.resize(parameter.range.end, T::zero());
        let own = &mut parameters[parameter.range.clone()];
        for ((i, x), place) in elements.enumerate().zip(wanted.places(parameter.shape.rows)) {
            own[place] = T::from_f64(x);
            if finite && !own[place].to_f64().is_finite() {
                let why = match x.is_finite() {
                    true => "more than the scalar that it is read as can hold",
                    false => "these weights are broken; take an earlier checkpoint",
                };
                return self.error(format!("tensor {name} holds {x:?} at element {i}: {why}"));
            }
        }
        // The first tensor is the embedding's table.
        self.table.get_or_insert_with(|| (name.to_owned(), tensor));
        Ok(())
    }

    /// Checks that the remaining tensors are buffers, a copy of the tied table, or zero biases of a model without
    /// biases.
    fn rest(self, config: &Architecture) -> Result<(), FileError> {
        let mut names: Vec<&String> = self.tensors.keys().collect();
        names.sort_unstable();
        let with_biases = Architecture { biases: Biases::ALL, ..config.clone() };
        let biases: HashSet<String> = parameter_list(&with_biases)
            .iter()
            .filter(|parameter| is_bias(parameter))
            .flat_map(|parameter| self.family.tensors(&with_biases, parameter))
            .map(|tensor| tensor.name)
            .collect();
        for name in names {
            let tensor = &self.tensors[name];
            if self.family.is_buffer(name) {
                continue;
            }
            if let Some((table_name, table)) =
                self.table.as_ref().filter(|_| is_head(self.family, name))
                && config.tied
            {
                let same = |t: &TensorView<'a>| (t.dtype(), t.shape() == tensor.shape(), t.data());
                if same(table) == same(tensor) {
                    continue;
                }
                return self.error(format!(
                    "tensor {name} differs from {table_name}, though config.json ties them; set \
                     tie_word_embeddings to false"
                ));
            }
            if biases.contains(name) {
                let Some(mut elements) = elements(tensor) else {
                    return self.foreign_type(name, tensor);
                };
                if elements.all(|x| x == 0.0) {
                    continue;
                }
                return self.error(format!(
                    "tensor {name} is not zero, though config.json says the model has none"
                ));
            }
            let family = self.family.name();
            return self.error(format!(
                "tensor {name} is not part of the {family} model that config.json describes"
            ));
        }
        Ok(())
    }
}

/// Returns the elements of a floating-point tensor.
fn elements<'a>(tensor: &TensorView<'a>) -> Option<Box<dyn Iterator<Item = f64> + 'a>> {
    let data = tensor.data();
    let two = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    Some(match tensor.dtype() {
        Dtype::F64 => Box::new(data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b))),
        Dtype::F32 => {
            Box::new(data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))))
        }
        Dtype::BF16 => Box::new(data.chunks_exact(2).map(move |b| f64::from(bf16_to_f32(two(b))))),
        Dtype::F16 => Box::new(data.chunks_exact(2).map(move |b| f64::from(f16_to_f32(two(b))))),
        _ => return None,
    })
}

/// Returns the type as which a scalar is stored.
pub(crate) fn dtype<T: Real>() -> Dtype {
    if size_of::<T>() == 4 { Dtype::F32 } else { Dtype::F64 }
}

/// Returns scalars as stored bytes.
pub(crate) fn little_endian<T: Real>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    for x in numbers {
        match dtype::<T>() {
            Dtype::F32 => bytes.extend((x.to_f64() as f32).to_le_bytes()),
            _ => bytes.extend(x.to_f64().to_le_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
