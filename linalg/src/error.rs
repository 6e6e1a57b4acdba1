//! The errors of plain functions, and the checks of their operands.
//!
//! One convention holds for the whole crate. Sums, products and norms follow IEEE arithmetic: NaN stays NaN, and
//! overflow gives ∞. Functions that need a *direction* (a cosine, a projection) or a *decomposition* refuse NaN and ±∞
//! and report the row and column. Such a value was made earlier, by another operation.

use crate::real::shown;
use crate::{Matrix, Real, Shape, ShapeError};
use thiserror::Error;

/// The reason why a plain function of linear algebra has no result.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The shapes of the operands do not fit.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A matrix is not square.
    #[error("{operand} is {found}, but only a square matrix will do")]
    NotSquare {
        /// The operand's name.
        operand: &'static str,
        /// Its shape.
        found: Shape,
    },
    /// An operand contains NaN or ±∞.
    #[error(
        "{operand} has {value} in row {row} of column {column}; look for the operation that made it"
    )]
    NotFinite {
        /// The operand's name.
        operand: &'static str,
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The value found there.
        value: f64,
    },
    /// A matrix or operator is not symmetric.
    #[error(
        "{operand} is not symmetric: ({row}, {column}) and ({column}, {row}) differ by \
         {difference:e}; take (A + Aᵀ)/2 if that is meant"
    )]
    NotSymmetric {
        /// The operand's name.
        operand: &'static str,
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The difference of the two elements.
        difference: f64,
    },
    /// A vector is zero. It has no direction: no cosine, no angle, no projection onto it.
    #[error(
        "column {column} of {operand} is the zero vector, which has no direction; leave it out"
    )]
    NoDirection {
        /// The operand's name.
        operand: &'static str,
        /// The column; 0 if the operand is a vector.
        column: usize,
    },
    /// A pivot of the Cholesky decomposition is not positive.
    #[error(
        "the matrix is not positive definite: pivot {pivot} is {value:e}; \
         add a multiple of the identity, or look at column {pivot}"
    )]
    NotPositiveDefinite {
        /// The pivot's number, from 0: the leading (pivot + 1) × (pivot + 1) block is not positive definite.
        pivot: usize,
        /// The pivot.
        value: f64,
    },
    /// A matrix has no inverse.
    #[error("the matrix is singular: nothing is left of column {pivot} after those before it")]
    Singular {
        /// The number of the zero pivot, from 0.
        pivot: usize,
    },
    /// A column is a linear combination of the others, up to rounding.
    #[error(
        "column {column} is a linear combination of the others, up to rounding: {rank} of {columns} columns are \
         independent; leave it out, or take the shortest solution (`Svd::solve`)"
    )]
    Dependent {
        /// The column.
        column: usize,
        /// The number of independent columns.
        rank: usize,
        /// The number of columns.
        columns: usize,
    },
    /// An operator is not positive definite.
    #[error(
        "the operator is not positive definite: pᵀ·A·p is {curvature:e} for a vector p that it was applied to; \
         add a multiple of p to its output"
    )]
    Indefinite {
        /// The curvature pᵀ·A·p.
        curvature: f64,
    },
    /// An iteration did not converge.
    #[error("{what} did not converge in {iterations} iterations")]
    NotConverged {
        /// The quantity that was computed.
        what: &'static str,
        /// The maximum number of iterations.
        iterations: usize,
    },
    /// A rank is larger than a matrix of this shape can have.
    #[error("rank {asked} was asked of a {found} matrix, which has at most {most}")]
    Rank {
        /// The requested rank.
        asked: usize,
        /// The largest possible rank.
        most: usize,
        /// The shape of the matrix.
        found: Shape,
    },
    /// A parameter is outside its valid range.
    #[error("{name} is {}, but must be {range}", shown(*value))]
    Range {
        /// The parameter's name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The valid range.
        range: &'static str,
    },
}

/// Checks that a vector has `expected` elements.
pub(crate) fn length<T>(operand: &'static str, x: &[T], expected: usize) -> Result<(), ShapeError> {
    Shape::new(x.len(), 1).expect_rows(operand, expected)
}

/// Checks that every element is finite.
pub(crate) fn finite<T: Real>(operand: &'static str, a: &Matrix<T>) -> Result<(), Error> {
    finite_elements(operand, a.as_slice(), a.nrows())
}

/// Checks that every element is finite. The elements are in column-major order, with `rows` per column.
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

/// Checks that a value of a decomposition is finite.
pub(crate) fn in_range(name: &'static str, value: Option<&f64>) -> Result<(), Error> {
    match value {
        Some(&value) if !value.is_finite() => {
            let range = "a finite number: divide the matrix by a power of two";
            Err(Error::Range { name, value, range })
        }
        _ => Ok(()),
    }
}

/// Returns the number of rows of a square matrix, or an error if it is not square.
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
