//! What can be wrong with the operands of a plain function, and how operands are checked.
//!
//! One convention for the whole crate. A sum, a product, a norm follows IEEE arithmetic: NaN stays NaN
//! and what is too large becomes ∞. What needs a *direction* (a cosine, a projection) or a
//! *decomposition* refuses a number that is not finite, and names its place: a NaN that is found here
//! was made earlier.

use crate::real::shown;
use crate::{Matrix, Real, Shape, ShapeError};
use thiserror::Error;

/// Why a plain function of linear algebra has no answer.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// Operands that do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A matrix that must be square.
    #[error("{operand} is {found}, but only a square matrix will do")]
    NotSquare {
        /// Which operand.
        operand: &'static str,
        /// Its shape.
        found: Shape,
    },
    /// NaN or ±∞ where only finite numbers have a meaning.
    #[error(
        "{operand} has {value} in row {row} of column {column}; look for the operation that made it"
    )]
    NotFinite {
        /// Which operand.
        operand: &'static str,
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// What is there.
        value: f64,
    },
    /// A matrix or operator that must equal its transpose.
    #[error(
        "{operand} is not symmetric: ({row}, {column}) and ({column}, {row}) differ by \
         {difference:e}; take (A + Aᵀ)/2 if that is meant"
    )]
    NotSymmetric {
        /// Which operand.
        operand: &'static str,
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// How far the two elements differ.
        difference: f64,
    },
    /// The zero vector has no direction: no cosine, no angle, no projection onto it.
    #[error(
        "column {column} of {operand} is the zero vector, which has no direction; leave it out"
    )]
    NoDirection {
        /// Which operand.
        operand: &'static str,
        /// The column; 0 where the operand is a vector.
        column: usize,
    },
    /// A pivot of Cholesky's decomposition that is not positive.
    #[error(
        "the matrix is not positive definite: pivot {pivot} is {value:e}; \
         add a multiple of the identity, or look at column {pivot}"
    )]
    NotPositiveDefinite {
        /// Number of the pivot, from 0: the leading (pivot + 1) × (pivot + 1) block is at fault.
        pivot: usize,
        /// The pivot.
        value: f64,
    },
    /// A matrix without an inverse.
    #[error("the matrix is singular: nothing is left of column {pivot} after those before it")]
    Singular {
        /// Number of the pivot that is zero, from 0.
        pivot: usize,
    },
    /// An iteration that ran out.
    #[error("{what} did not converge in {iterations} iterations")]
    NotConverged {
        /// What was computed.
        what: &'static str,
        /// How many iterations were allowed.
        iterations: usize,
    },
    /// A rank that no matrix of this shape has.
    #[error("rank {asked} was asked of a {found} matrix, which has at most {most}")]
    Rank {
        /// The rank that was asked for.
        asked: usize,
        /// The largest that is possible.
        most: usize,
        /// The matrix.
        found: Shape,
    },
    /// A number outside the range in which it has a meaning.
    #[error("{name} is {}, but must be {range}", shown(*value))]
    Range {
        /// Which parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        range: &'static str,
    },
}

/// `Ok` where a vector has `expected` elements.
pub(crate) fn length<T>(operand: &'static str, x: &[T], expected: usize) -> Result<(), ShapeError> {
    Shape::new(x.len(), 1).expect_rows(operand, expected)
}

/// `Ok` where every element is finite.
pub(crate) fn finite<T: Real>(operand: &'static str, a: &Matrix<T>) -> Result<(), Error> {
    finite_elements(operand, a.as_slice(), a.nrows())
}

/// `Ok` where every element is finite; elements come column after column of `rows` elements.
pub(crate) fn finite_elements<T: Real>(
    operand: &'static str,
    x: &[T],
    rows: usize,
) -> Result<(), Error> {
    match x.iter().position(|x| !x.to_f64().is_finite()) {
        None => Ok(()),
        Some(i) => {
            Err(Error::NotFinite { operand, row: i % rows, column: i / rows, value: x[i].to_f64() })
        }
    }
}

/// `Ok` where a value of a decomposition is a number.
pub(crate) fn in_range(name: &'static str, value: Option<&f64>) -> Result<(), Error> {
    match value {
        Some(&value) if !value.is_finite() => {
            let range = "a finite number: divide the matrix by a power of two";
            Err(Error::Range { name, value, range })
        }
        _ => Ok(()),
    }
}

/// The number of rows and columns of a square matrix.
pub(crate) fn square<T: Real>(operand: &'static str, a: &Matrix<T>) -> Result<usize, Error> {
    match a.shape() {
        (n, columns) if n == columns => Ok(n),
        (rows, columns) => Err(Error::NotSquare { operand, found: Shape::new(rows, columns) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_where_and_what_to_do() {
        let a = Matrix::from_column_slice(2, 2, &[1.0, 2.0, 3.0, f64::NAN]);
        let message = finite("A", &a).unwrap_err().to_string();
        assert_eq!(message, "A has NaN in row 1 of column 1; look for the operation that made it");
        let wide = Matrix::<f64>::zeros(2, 3);
        let message = square("A", &wide).unwrap_err().to_string();
        assert_eq!(message, "A is 2×3, but only a square matrix will do");
        let message = Error::NotPositiveDefinite { pivot: 1, value: -3.0 }.to_string();
        assert!(message.contains("pivot 1 is -3e0"), "{message}");
        let message = Error::from(length("y", &[1.0], 2).unwrap_err()).to_string();
        assert_eq!(message, "y has 1 rows where 2 are needed");
    }
}
