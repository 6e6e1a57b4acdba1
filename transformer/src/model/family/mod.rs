//! Families of models: Hugging Face's `config.json` and names of tensors, to and from an [`Architecture`].
//!
//! A family is one file here and one line in the list `FAMILIES`. The file defines how its configuration is read and
//! written, and where a parameter's elements are stored. Recording, training and explanations do not depend on the
//! family.

mod decoder;
mod gemma;
mod glassbox;
mod gpt2;
mod gpt_neox;
mod granite;
mod keys;
mod llama;
mod mistral;
mod olmo2;
mod phi3;
mod qwen;
mod rotary;
mod smollm3;
mod targets;
#[cfg(test)]
mod tests;

use crate::model::architecture::{Architecture, Biases, ConfigError};
use crate::model::parameter_kind::is_vector;
use calculus::Parameter;
use keys::Keys;
use serde_json::Value;
use std::fmt::Debug;
use std::ops::Range;
pub use targets::targets;
pub(crate) use targets::{holds, target_names};

/// All supported families. An architecture is stored by the first one that has it, and the last one has every
/// architecture.
static FAMILIES: [&dyn Family; 13] = [
    &gpt2::Gpt2,
    &llama::Llama,
    &mistral::Mistral,
    &qwen::Qwen2,
    &qwen::Qwen3,
    &gemma::Gemma2,
    &gemma::Gemma3,
    &gpt_neox::GptNeox,
    &olmo2::Olmo2,
    &smollm3::SmolLm3,
    &granite::Granite,
    &phi3::Phi3,
    &glassbox::Glassbox,
];

/// Returns the parts and usual sizes of an architecture.
type Usual = fn() -> Architecture;

/// Architectures that no family of transformers has, by name. Models of them are stored in this project's own format.
static NAMED: [(&str, Usual); 2] =
    [("microgpt", glassbox::microgpt), ("transformer2017", glassbox::transformer2017)];

/// A family of models in Hugging Face's format.
pub trait Family: Debug + Sync {
    /// Returns its `model_type`.
    fn name(&self) -> &'static str;

    /// Returns the configuration that the family's name alone stands for. The default is an empty one, which has the
    /// values of absent keys.
    fn usual(&self) -> Value {
        serde_json::json!({ "model_type": self.name() })
    }

    /// Reads an architecture from `config.json`.
    #[doc(hidden)]
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError>;

    /// Writes an architecture as `config.json`. The parts that a family does not have are not written: [`of`] compares
    /// what is read again.
    fn write(&self, architecture: &Architecture) -> Value;

    /// Returns the prefix of every tensor name but the head's, in some files. The default is Llama's.
    fn prefix(&self) -> &'static str {
        "model."
    }

    /// Returns the name of the head's tensor, without `.weight`.
    fn head(&self) -> &'static str {
        "lm_head"
    }

    /// Returns the tensors that hold a parameter, without the prefix. The default is Llama's.
    fn tensors(&self, architecture: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        decoder::tensors(architecture, parameter, &decoder::PRE)
    }

    /// Returns whether a tensor is not a parameter but follows from the configuration.
    fn is_buffer(&self, tensor: &str) -> bool {
        decoder::is_frequencies(tensor)
    }

    /// Returns the biases in files of a model with these; those that only files have are zeros.
    fn stored_biases(&self, biases: Biases) -> Biases {
        biases
    }
}

/// A tensor of a file: some of a parameter's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, without the prefix.
    pub name: String,
    /// The parameter's rows in this tensor, range after range.
    pub rows: Vec<Range<usize>>,
    /// The parameter's columns.
    pub columns: usize,
    /// The number of dimensions and the order of elements.
    pub order: Order,
}

/// The order of a tensor's elements in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One dimension.
    Vector,
    /// (columns, rows): column by column, as in this crate; Hugging Face's Conv1D and tables.
    ColumnMajor,
    /// (rows, columns): row by row; PyTorch's Linear.
    RowMajor,
}

impl Tensor {
    /// All rows of a parameter, in this order; a vector if the parameter's role is one.
    fn whole(name: String, parameter: &Parameter, order: Order) -> Self {
        let all = 0..parameter.shape.rows;
        Self::part(name, parameter, vec![all], order)
    }

    /// Some of a parameter's rows, in this order; a vector if the parameter's role is one.
    fn part(name: String, parameter: &Parameter, rows: Vec<Range<usize>>, order: Order) -> Self {
        let order = if is_vector(parameter) { Order::Vector } else { order };
        Tensor { name, rows, columns: parameter.shape.columns, order }
    }

    /// Returns the number of rows.
    fn row_count(&self) -> usize {
        self.rows.iter().map(Range::len).sum()
    }

    /// Returns the dimensions in the file.
    pub fn shape(&self) -> Vec<usize> {
        let rows = self.row_count();
        match self.order {
            Order::Vector => vec![rows],
            Order::ColumnMajor => vec![self.columns, rows],
            Order::RowMajor => vec![rows, self.columns],
        }
    }

    /// Returns whether its elements are those of the whole parameter of `rows` rows, in the same order.
    pub fn is_parameter(&self, rows: usize) -> bool {
        let whole = matches!(&self.rows[..], [only] if *only == (0..rows));
        whole && self.order != Order::RowMajor
    }

    /// Returns the places of its elements, in the file's order, in a parameter of `rows` rows.
    pub fn places(&self, rows: usize) -> impl Iterator<Item = usize> {
        let own: Vec<usize> = self.rows.iter().cloned().flatten().collect();
        let (outer, inner) = match self.order {
            Order::Vector | Order::ColumnMajor => (self.columns, own.len()),
            Order::RowMajor => (own.len(), self.columns),
        };
        let by_rows = self.order == Order::RowMajor;
        (0..outer * inner).map(move |k| {
            let (i, j) = if by_rows { (k / inner, k % inner) } else { (k % inner, k / inner) };
            j * rows + own[i]
        })
    }
}

/// Returns the first family that has this architecture.
///
/// ```
/// use transformer::{Architecture, Norm};
/// use transformer::model::family;
/// let gpt2 = Architecture::default();
/// assert_eq!(family::of(&gpt2).name(), "gpt2");
/// let mixed = Architecture { norm: Norm::Rms, ..gpt2 };
/// assert_eq!(family::of(&mixed).name(), "glassbox"); // transformers has no such model
/// assert!(family::lacking(&mixed).iter().any(|reason| reason == "gpt2: norm is rms, and would become layer"));
/// ```
pub fn of(architecture: &Architecture) -> &'static dyn Family {
    let has = |family: &&&dyn Family| lacks(**family, architecture).is_none();
    FAMILIES.iter().find(has).copied().unwrap_or(&glassbox::Glassbox)
}

/// Returns why each family of transformers cannot store an architecture; empty if one can.
pub fn lacking(architecture: &Architecture) -> Vec<String> {
    let others = &FAMILIES[..FAMILIES.len() - 1];
    let reason = |family: &&dyn Family| {
        lacks(*family, architecture).map(|reason| format!("{}: {reason}", family.name()))
    };
    others.iter().map(reason).collect::<Option<_>>().unwrap_or_default()
}

/// Returns a part of an architecture that a family does not have.
fn lacks(family: &dyn Family, architecture: &Architecture) -> Option<String> {
    let value = family.write(architecture);
    let read = match Keys::of(&value).map(|keys| family.read(&keys)) {
        Ok(Ok(read)) => read.repeating(),
        Ok(Err(reason)) => return Some(reason.to_string()),
        Err(reason) => return Some(reason),
    };
    let differences = architecture.repeating().differences(&read).into_iter();
    let said = |(part, own, read)| format!("{part} is {own}, and would become {read}");
    differences.map(said).next()
}

/// Returns the architecture that a name of [`architectures`] stands for: its parts, and its usual sizes ([`Family::usual`]).
///
/// # Errors
/// Another name.
///
/// ```
/// use transformer::{Placement, model::family};
/// assert_eq!(family::usual("olmo2")?.placement, Placement::After);
/// # Ok::<(), transformer::ConfigError>(())
/// ```
pub fn usual(name: &str) -> Result<Architecture, ConfigError> {
    if let Some((_, architecture)) = NAMED.iter().find(|(own, _)| *own == name) {
        return Ok(architecture());
    }
    let family = FAMILIES.iter().find(|family| family.name() == name);
    let config = family.map_or_else(|| serde_json::json!({ "model_type": name }), |f| f.usual());
    Architecture::from_json(&config.to_string())
}

/// Returns the usual parts of a named architecture with the sizes of another one: vocabulary, context, width, layers,
/// heads, hidden features.
///
/// ```
/// use transformer::{Architecture, model::family};
/// let gpt2 = Architecture::default();
/// let gemma2 = family::usual_at("gemma2", &gpt2)?;
/// assert_eq!((gemma2.width, gemma2.embedding_scale), (gpt2.width, 4.0)); // √16
/// # Ok::<(), transformer::ConfigError>(())
/// ```
///
/// # Errors
/// A name that [`architectures`] does not have; sizes that do not fit its parts.
pub fn usual_at(name: &str, sizes: &Architecture) -> Result<Architecture, ConfigError> {
    let usual = usual(name)?;
    let scaled = usual.embedding_scale == (usual.width as f64).sqrt();
    let architecture = Architecture {
        vocabulary: sizes.vocabulary,
        context: sizes.context,
        width: sizes.width,
        layers: sizes.layers,
        heads: sizes.heads,
        key_value_heads: sizes.key_value_heads,
        head_width: sizes.head_width,
        hidden: sizes.hidden,
        embedding_scale: if scaled { (sizes.width as f64).sqrt() } else { usual.embedding_scale },
        ..usual
    };
    architecture.validate()?;
    Ok(architecture.repeating())
}

/// Returns the family of a `model_type`.
pub fn named(name: &str) -> Option<&'static dyn Family> {
    FAMILIES.iter().find(|family| family.name() == name).copied()
}

/// Returns the `model_type` of every family.
pub fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name())
}

/// Returns the names of architectures: those of all families, and of architectures that are stored in this project's own
/// format.
///
/// ```
/// use transformer::model::family;
/// let without_family: Vec<_> = family::architectures().filter(|name| !family::names().any(|own| own == *name)).collect();
/// assert_eq!(without_family, ["microgpt", "transformer2017"]);
/// assert_eq!(family::usual("microgpt")?.parameters(), 4192); // Karpathy 2026
/// # Ok::<(), transformer::ConfigError>(())
/// ```
pub fn architectures() -> impl Iterator<Item = &'static str> {
    names().chain(NAMED.iter().map(|(name, _)| *name))
}

impl Architecture {
    /// Writes `config.json` in the format of its family ([`of`]).
    pub fn to_json(&self) -> String {
        let value = of(self).write(self);
        serde_json::to_string_pretty(&value).expect("a tree of plain values") + "\n"
    }

    /// Reads Hugging Face's `config.json`. An absent key means what it means in the family's configuration in
    /// transformers. Keys that do not affect the mathematics are ignored; unsupported ones that do are refused.
    ///
    /// # Errors
    /// The first key with an invalid value or for a model that this crate does not support.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        read(text).map(|(_, architecture)| architecture)
    }
}

/// Reads Hugging Face's `config.json` as [`Architecture::from_json`]; also returns the family that it names, in whose tensors
/// the weights beside it are. [`of`] may be another family that has the same architecture.
///
/// # Errors
/// As [`Architecture::from_json`].
pub(crate) fn read(text: &str) -> Result<(&'static dyn Family, Architecture), ConfigError> {
    let not_json = |reason: String| ConfigError::Json { reason };
    let value: Value = serde_json::from_str(text).map_err(|e| not_json(e.to_string()))?;
    let keys = Keys::of(&value).map_err(not_json)?;
    let kind = keys.get("model_type").unwrap_or(&Value::Null);
    let Some(&family) = FAMILIES.iter().find(|family| kind == family.name()) else {
        let known: Vec<String> = names().map(|name| format!("\"{name}\"")).collect();
        let expected = format!("one of the supported families: {}", known.join(", "));
        return Err(keys::refused("model_type", kind, expected));
    };
    for key in ["quantization_config", "pruned_heads"] {
        keys.must_be_absent(key, "none: it would change the weights in the file")?;
    }
    let architecture = family.read(&keys)?;
    architecture.validate()?;
    Ok((family, architecture.repeating()))
}

/// Returns a parameter's name in a family: `block.3.PART.weight` is `BLOCKS.3.THEIRS.weight`, and outside blocks
/// `PART.weight` is `THEIRS.weight`.
fn renamed(parameter: &str, blocks: &str, parts: &[(&str, &str)]) -> String {
    let (stem, last) = parameter.rsplit_once('.').unwrap_or((parameter, ""));
    let block = stem.strip_prefix("block.").and_then(|rest| rest.split_once('.'));
    let (before, part) = match block {
        Some((index, part)) => (format!("{blocks}.{index}."), part),
        None => (String::new(), stem),
    };
    let theirs = parts.iter().find(|(ours, _)| *ours == part).map_or(part, |(_, theirs)| theirs);
    format!("{before}{theirs}.{last}")
}
