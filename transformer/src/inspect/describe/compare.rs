//! The differences of two architectures, one after another, with what each changes.

use super::Description;
use crate::model::architecture::{Architecture, Difference};
use crate::model::recorded_step::ModelError;
use calculus::optimizer::OptimizerConfig;
use serde::Serialize;
use serde_json::Value;

/// A difference and its effect when it is made after those before it. Differences that are possible only together are
/// one change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The differences.
    pub differences: Vec<Difference>,
    /// The change in parameters.
    pub parameters: i64,
    /// The change in floating-point operations of a training step, forward and backward, per token.
    pub flops_per_token: f64,
    /// The change in bytes that training takes.
    pub bytes: i64,
    /// The change in bytes of the key-value cache per token.
    pub cache: i64,
}

/// Two architectures, and the changes that lead from one to the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The one.
    pub own: Description,
    /// The other.
    pub other: Description,
    /// The changes, in the order of the network where that is possible.
    pub changes: Vec<Change>,
}

impl Comparison {
    /// Compares two architectures by a training step of `sequences` sequences of `length` tokens.
    ///
    /// The effects of the changes add up to the difference of the two. An effect depends on the changes before it.
    ///
    /// ```
    /// use calculus::optimizer::OptimizerConfig;
    /// use transformer::{Architecture, inspect::describe::Comparison};
    /// let tied = Architecture::default();
    /// let untied = Architecture { tied: false, ..tied.clone() };
    /// let compared = Comparison::of(&tied, &untied, 1, 8, OptimizerConfig::default())?;
    /// assert_eq!(compared.changes[0].differences[0].part, "table of the head");
    /// assert_eq!(compared.changes[0].parameters, 256 * 16);
    /// # Ok::<(), transformer::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// Like [`Description::of`].
    pub fn of(
        own: &Architecture,
        other: &Architecture,
        sequences: usize,
        length: usize,
        optimizer: OptimizerConfig,
    ) -> Result<Self, ModelError> {
        let described = |a: &Architecture| Description::of(a, sequences, length, optimizer);
        let (first, last) = (described(own)?, described(other)?);
        let mut left = own.differences_in_words(other);
        let (mut current, mut before, mut changes) = (own.clone(), first.clone(), Vec::new());
        while !left.is_empty() {
            // The first one whose result is possible; if no single one is, all that are left.
            let possible = left.iter().enumerate().find_map(|(i, d)| {
                let architecture = changed(&current, other, d.field)?;
                let description = described(&architecture).ok()?;
                Some((i, architecture, description))
            });
            let (differences, after) = match possible {
                Some((i, architecture, description)) if left.len() > 1 => {
                    current = architecture;
                    (vec![left.remove(i)], description)
                }
                _ => (std::mem::take(&mut left), last.clone()),
            };
            let by = |of: fn(&Description) -> u64| of(&after) as i64 - of(&before) as i64;
            changes.push(Change {
                differences,
                parameters: by(|d| d.total.parameters),
                flops_per_token: after.flops_per_token() - before.flops_per_token(),
                bytes: by(Description::bytes),
                cache: by(|d| d.total.cache),
            });
            before = after;
        }
        Ok(Comparison { own: first, other: last, changes })
    }
}

/// Returns an architecture with one field of another; `None` if that is impossible.
fn changed(own: &Architecture, other: &Architecture, field: &str) -> Option<Architecture> {
    let [mut value, other] = [own, other].map(|a| serde_json::to_value(a).unwrap_or(Value::Null));
    let pointer = format!("/{}", field.replace('.', "/"));
    *value.pointer_mut(&pointer)? = other.pointer(&pointer)?.clone();
    serde_json::from_value(value).ok()
}
