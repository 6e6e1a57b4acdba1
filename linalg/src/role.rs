//! What an operation does in a network, for readers of a recording: they ask for a role and never read a name.

/// The role of an operation. Names are for people; certificates, diagnoses and explanations look for roles, so that an
/// operation with another name, or a network with other parts, is read the same way.
///
/// ```
/// use linalg::{Primitive, Role, affine::Affine, product::Product};
/// assert_eq!(Affine.role(), Role::Linear);
/// assert_eq!(Product::plain().role(), Role::Linear);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Columns of a table (operand 0), selected by indices (operand 1).
    Lookup,
    /// A matrix (operand 0) times columns (operand 1), with or without a bias (operand 2).
    Linear,
    /// Dot products of queries (operand 0) and keys (operand 1): a column of scores for every query.
    Scores,
    /// A multiple of every element by one constant.
    Scale,
    /// −∞ in place of scores that may not be seen.
    Mask,
    /// Columns of scores as probabilities.
    Softmax,
    /// Values (operand 0) weighed by probabilities (operand 1).
    WeightedSum,
    /// Scores, mask, softmax and weighted sum in one operation: of queries (operand 0), keys (operand 1) and values
    /// (operand 2).
    Attention,
    /// Pairs of coordinates turned by a token's position (operand 1).
    Rotation,
    /// Columns brought to one size; a gain (operand 1) and a shift (operand 2) where there are such.
    Norm,
    /// One function of every element.
    Activation,
    /// A share of the elements set to 0 at random.
    Dropout,
    /// The sum of two values of one shape: a step of the residual stream.
    Sum,
    /// The elementwise product of two values: a gate.
    Product,
    /// The mean loss over targets (the last operand).
    Loss,
    /// Anything else. What has this role is certified and traced like all others, and takes no part in findings
    /// that are about one of the roles above.
    Other,
}
