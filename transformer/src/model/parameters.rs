//! The list of an architecture's parameters.

use crate::model::adapters::{self, AdapterPlace};
use crate::model::architecture::{Architecture, ConfigError};
use crate::model::layers;
use calculus::Parameter;

impl Architecture {
    /// Checks that a model of these parts and sizes is possible.
    ///
    /// # Errors
    /// The first contradiction, with its numbers.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.parameter_list()?;
        self.check_adaptation()
    }

    /// Returns the number of parameters of the model, learned or not, without adapters; `usize::MAX` if it is invalid.
    pub fn parameters(&self) -> usize {
        self.parameter_list().map_or(usize::MAX, |list| list.last().map_or(0, |p| p.range.end))
    }

    /// Returns the name, shape, place and uses of every parameter of the model, learned or not, without adapters, from a
    /// recording that allocates no memory.
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

    /// Returns the name, shape, place and uses of every parameter that is learned: those of the model that are not frozen,
    /// or adapters' ([`Architecture::adaptation`]).
    ///
    /// # Errors
    /// See [`Architecture::validate`].
    pub fn learned_list(&self) -> Result<Vec<Parameter>, ConfigError> {
        self.validate()?;
        Ok(layers::learned_list(self).expect("a valid model can be recorded"))
    }

    /// Returns the adapters, in the order of the parameters of a recording; none without adapters.
    ///
    /// # Errors
    /// See [`Architecture::validate`].
    pub fn adapters(&self) -> Result<Vec<AdapterPlace>, ConfigError> {
        self.validate()?;
        match self.adaptation.adapter {
            None => Ok(vec![]),
            Some(_) => Ok(adapters::adapters(self).expect("a valid model can be recorded")),
        }
    }
}
