//! Roles of operations in a network. Code that reads a recording asks for roles, never for names.

/// The role of an operation. Names are for display; certificates, diagnoses and explanations use roles, so that they
/// also work for operations with other names and for other networks.
///
/// ```
/// use linalg::{Primitive, Role, affine::Affine, product::Product};
/// assert_eq!(Affine.role(), Role::Linear);
/// assert_eq!(Product::plain().role(), Role::Linear);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Selects columns of a table (operand 0) by indices (operand 1).
    Lookup,
    /// Multiplies a matrix (operand 0) by columns (operand 1), with or without a bias (operand 2).
    Linear,
    /// Dot products of queries (operand 0) and keys (operand 1): one column of scores per query.
    Scores,
    /// Multiplies every element by one constant.
    Scale,
    /// Replaces masked scores by −∞.
    Mask,
    /// Turns columns of scores into probabilities.
    Softmax,
    /// Sums values (operand 0), weighted by probabilities (operand 1).
    WeightedSum,
    /// Scores, mask, softmax and weighted sum in one operation, for queries (operand 0), keys (operand 1) and values
    /// (operand 2).
    Attention,
    /// Rotates pairs of coordinates by an angle that depends on a token's position (operand 1).
    Rotation,
    /// Normalises columns, with an optional gain (operand 1) and shift (operand 2).
    Norm,
    /// Applies one function to every element.
    Activation,
    /// Sets a random share of the elements to 0.
    Dropout,
    /// Adds two values of the same shape, as in the residual stream.
    Sum,
    /// Multiplies two values element by element: a gate.
    Product,
    /// The mean loss over targets (the last operand).
    Loss,
    /// Any other operation. It is certified and traced like all others, and ignored by findings about one of the roles
    /// above.
    Other,
}
