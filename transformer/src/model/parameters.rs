//! The parameters of an architecture: their names, shapes and kinds.

use crate::model::architecture::{Architecture, ConfigError};
use crate::model::layers;
use calculus::Parameter;
use linalg::Role;

impl Architecture {
    /// Checks that a model of these parts and sizes is possible.
    ///
    /// # Errors
    /// The first contradiction, with its numbers.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.parameter_list().map(drop)
    }

    /// Returns the number of parameters; `usize::MAX` if the model is invalid.
    pub fn parameters(&self) -> usize {
        self.parameter_list().map_or(usize::MAX, |list| list.last().map_or(0, |p| p.range.end))
    }

    /// Returns the name, shape, place and uses of every parameter, from a recording that allocates no memory.
    ///
    /// # Errors
    /// See [`Architecture::validate`].
    pub fn parameter_list(&self) -> Result<Vec<Parameter>, ConfigError> {
        self.check_parts()?;
        let list = layers::parameter_list(self).ok();
        let count = |list: &Vec<Parameter>| list.last().map_or(0, |p| p.range.end);
        list.filter(|list| count(list) <= isize::MAX as usize / 64).ok_or_else(|| {
            let sizes = self.sizes().map(|(name, size)| format!("{name} {size}")).join(", ");
            ConfigError::Large { sizes }
        })
    }
}

/// Returns whether a parameter's role makes it a vector: a bias, or a gain or shift of a normalisation. All others are
/// matrices, even if a size of 1 makes them a single row or column. Hugging Face stores vectors with one dimension;
/// weight decay excludes them.
///
/// ```
/// use transformer::{Architecture, is_vector};
/// let list = Architecture { width: 1, heads: 1, ..Architecture::default() }.parameter_list()?;
/// let vectors = list.iter().filter(|p| is_vector(p)).map(|p| p.name.as_str());
/// assert!(vectors.clone().any(|name| name == "block.0.norm_1.weight"));
/// assert!(!vectors.clone().any(|name| name == "embedding.position.weight")); // 1 × 64, a table
/// # Ok::<(), transformer::ConfigError>(())
/// ```
pub fn is_vector(parameter: &Parameter) -> bool {
    is_gain(parameter) || is_bias(parameter)
}

/// Returns whether a parameter is the gain of a normalisation, which is 1 before training.
pub fn is_gain(parameter: &Parameter) -> bool {
    parameter.uses.contains(&(Role::Norm, 1))
}

/// Returns whether a parameter is a bias of a linear map or a normalisation, which is 0 before training.
pub fn is_bias(parameter: &Parameter) -> bool {
    parameter.uses.iter().any(|u| matches!(u, (Role::Norm | Role::Linear, 2)))
}
