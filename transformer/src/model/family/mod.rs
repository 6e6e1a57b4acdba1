//! Families of models: Hugging Face's `config.json` and names of tensors, to and from an [`Architecture`].
//!
//! A family is one file here and one line in the list `FAMILIES`. The file defines how its configuration is read, and
//! where a parameter's elements are stored. Recording, training and explanations do not depend on the family.

mod gpt2;
mod keys;
mod llama;
#[cfg(test)]
mod tests;

use crate::model::architecture::{Architecture, ConfigError, is_vector};
use calculus::Parameter;
use keys::Keys;
use serde_json::Value;
use std::fmt::Debug;
use std::ops::Range;

/// All supported families.
static FAMILIES: [&dyn Family; 2] = [&gpt2::Gpt2, &llama::Llama];

/// A family of models in Hugging Face's format.
pub trait Family: Debug + Sync {
    /// Returns its `model_type`.
    fn name(&self) -> &'static str;

    /// Reads an architecture from `config.json`.
    #[doc(hidden)]
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError>;

    /// Writes an architecture as `config.json`.
    ///
    /// # Errors
    /// A description of the part that this family lacks.
    fn write(&self, architecture: &Architecture) -> Result<Value, String>;

    /// Returns the prefix of every tensor name but the head's, in some files.
    fn prefix(&self) -> &'static str;

    /// Returns the tensors that hold a parameter, without the prefix.
    fn tensors(&self, architecture: &Architecture, parameter: &Parameter) -> Vec<Tensor>;

    /// Returns whether a tensor is not a parameter but follows from the configuration.
    fn is_buffer(&self, tensor: &str) -> bool;

    /// Returns whether files hold biases (zeros) even if a model has none.
    fn always_biased(&self) -> bool {
        false
    }
}

/// A tensor of a file: a range of a parameter's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, without the prefix.
    pub name: String,
    /// The parameter's rows in this tensor.
    pub rows: Range<usize>,
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
    /// All rows of a parameter, column by column; a vector if the parameter's role is one.
    fn whole(name: String, parameter: &Parameter) -> Self {
        Self::part(name, parameter, 0..parameter.shape.rows, Order::ColumnMajor)
    }

    /// A range of a parameter's rows, in this order; a vector if the parameter's role is one.
    fn part(name: String, parameter: &Parameter, rows: Range<usize>, order: Order) -> Self {
        let order = if is_vector(parameter) { Order::Vector } else { order };
        Tensor { name, rows, columns: parameter.shape.columns, order }
    }

    /// Returns the dimensions in the file.
    pub fn shape(&self) -> Vec<usize> {
        match self.order {
            Order::Vector => vec![self.rows.len()],
            Order::ColumnMajor => vec![self.columns, self.rows.len()],
            Order::RowMajor => vec![self.rows.len(), self.columns],
        }
    }

    /// Returns whether its elements have a different order from the parameter's.
    pub fn turns(&self) -> bool {
        self.order == Order::RowMajor
    }

    /// Returns the places of its elements, in the file's order, in a parameter of `rows` rows.
    pub fn places(&self, rows: usize) -> impl Iterator<Item = usize> {
        let (own, columns) = (self.rows.clone(), self.columns);
        let (outer, inner) = match self.order {
            Order::Vector | Order::ColumnMajor => (columns, own.len()),
            Order::RowMajor => (own.len(), columns),
        };
        let by_rows = self.order == Order::RowMajor;
        (0..outer * inner).map(move |k| {
            let (i, j) = if by_rows { (k / inner, k % inner) } else { (k % inner, k / inner) };
            j * rows + own.start + i
        })
    }
}

/// Returns the family that has this architecture.
///
/// # Errors
/// A combination of parts that no family has.
///
/// ```
/// use transformer::{Architecture, Norm};
/// use transformer::model::family;
/// let gpt2 = Architecture::default();
/// assert_eq!(family::of(&gpt2)?.name(), "gpt2");
/// let mixed = Architecture { norm: Norm::Rms, ..gpt2 };
/// assert!(family::of(&mixed).unwrap_err().to_string().contains("gpt2: the norm is not layer normalisation"));
/// # Ok::<(), transformer::ConfigError>(())
/// ```
pub fn of(architecture: &Architecture) -> Result<&'static dyn Family, ConfigError> {
    let mut reasons = vec![];
    for family in FAMILIES {
        match family.write(architecture) {
            Ok(_) => return Ok(family),
            Err(reason) => reasons.push(format!("{}: {reason}", family.name())),
        }
    }
    Err(ConfigError::Family { reason: reasons.join("; ") })
}

/// Returns the `model_type` of every family.
pub fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name())
}

impl Architecture {
    /// Writes Hugging Face's `config.json`.
    ///
    /// # Errors
    /// A combination of parts that no family has.
    pub fn to_json(&self) -> Result<String, ConfigError> {
        let value = of(self)?.write(self).expect("a family that has it");
        Ok(serde_json::to_string_pretty(&value).expect("a tree of plain values") + "\n")
    }

    /// Reads Hugging Face's `config.json`. An absent key means what it means in the family's configuration in
    /// transformers. Keys that do not affect the mathematics are ignored; unsupported ones that do are refused.
    ///
    /// # Errors
    /// The first key with an invalid value or for a model that this crate does not support.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let not_json = |reason: String| ConfigError::Json { reason };
        let value: Value = serde_json::from_str(text).map_err(|e| not_json(e.to_string()))?;
        let keys = Keys::of(&value).map_err(not_json)?;
        let kind = keys.get("model_type").unwrap_or(&Value::Null);
        let Some(family) = FAMILIES.iter().find(|family| kind == family.name()) else {
            let known: Vec<String> = names().map(|name| format!("\"{name}\"")).collect();
            let expected = format!("{}, the supported families", known.join(" or "));
            return Err(keys::refused("model_type", kind, expected));
        };
        for key in ["quantization_config", "pruned_heads"] {
            keys.must_be_absent(key, "none: it would change the weights in the file")?;
        }
        let architecture = family.read(&keys)?;
        architecture.validate()?;
        Ok(architecture)
    }
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
