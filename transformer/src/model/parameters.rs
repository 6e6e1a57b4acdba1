//! The list of an architecture's parameters.

use crate::model::architecture::{Architecture, ConfigError};
use crate::model::layers;
use calculus::Parameter;

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
