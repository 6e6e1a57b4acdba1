//! Kinds of parameters by their uses: gains, biases, matrices.

use calculus::Parameter;
use linalg::Role;

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
