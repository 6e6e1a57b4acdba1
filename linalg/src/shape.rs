//! Shapes, and what can be wrong with them.

use std::fmt;
use thiserror::Error;

/// Rows and columns of a matrix. A vector is a single column.
///
/// ```
/// use linalg::Shape;
/// let shape = Shape::new(768, 4);
/// assert_eq!((shape.len(), shape.to_string()), (3072, "768×4".to_string()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of rows: features.
    pub rows: usize,
    /// Number of columns: tokens.
    pub columns: usize,
}

impl Shape {
    /// `rows × columns`.
    pub const fn new(rows: usize, columns: usize) -> Self {
        Shape { rows, columns }
    }

    /// Number of elements.
    pub const fn len(self) -> usize {
        self.rows * self.columns
    }

    /// Whether there is no element.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// `Ok` where `operand` has the expected number of rows.
    ///
    /// ```
    /// let shape = linalg::Shape::new(3, 5);
    /// assert!(shape.expect_rows("x", 3).is_ok());
    /// assert_eq!(shape.expect_rows("x", 4).unwrap_err().to_string(), "x has 3 rows where 4 are needed");
    /// ```
    pub fn expect_rows(self, operand: &'static str, expected: usize) -> Result<(), ShapeError> {
        if self.rows == expected {
            Ok(())
        } else {
            Err(ShapeError::Rows { operand, expected, found: self.rows })
        }
    }

    /// `Ok` where `operand` has the expected number of columns.
    pub fn expect_columns(self, operand: &'static str, expected: usize) -> Result<(), ShapeError> {
        if self.columns == expected {
            Ok(())
        } else {
            Err(ShapeError::Columns { operand, expected, found: self.columns })
        }
    }

    /// `Ok` where `operand` has the expected shape.
    pub fn expect(self, operand: &'static str, expected: Shape) -> Result<(), ShapeError> {
        self.expect_rows(operand, expected.rows)?;
        self.expect_columns(operand, expected.columns)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.rows, self.columns)
    }
}

/// Operands that do not fit together. Raised while a step is recorded, never while it is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A wrong number of rows.
    #[error("{operand} has {found} rows where {expected} are needed")]
    Rows {
        /// Which operand.
        operand: &'static str,
        /// Rows that the other operands ask for.
        expected: usize,
        /// Rows that it has.
        found: usize,
    },
    /// A wrong number of columns.
    #[error("{operand} has {found} columns where {expected} are needed")]
    Columns {
        /// Which operand.
        operand: &'static str,
        /// Columns that the other operands ask for.
        expected: usize,
        /// Columns that it has.
        found: usize,
    },
    /// A length that must be cut into equal parts and cannot be.
    #[error("{operand} is {found} long, which {parts} equal parts do not divide")]
    Parts {
        /// Which operand.
        operand: &'static str,
        /// The number of parts.
        parts: usize,
        /// The length to be cut.
        found: usize,
    },
    /// A range of rows that reaches past the end.
    #[error("rows {start}..{end} were asked for, but there are {found}")]
    Range {
        /// First row.
        start: usize,
        /// One past the last row.
        end: usize,
        /// Rows that there are.
        found: usize,
    },
    /// More places than an index, which is a scalar, can tell apart.
    #[error(
        "{operand} are {found}; an index counts exactly as far as {most} in f32: cut it into several"
    )]
    Countable {
        /// What is counted.
        operand: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// No element where at least one is needed.
    #[error("{operand} is empty")]
    Empty {
        /// Which operand.
        operand: &'static str,
    },
}

/// The length of each of `parts` equal parts of `length`.
///
/// ```
/// use linalg::shape::equal_parts;
/// assert_eq!(equal_parts("the width", 768, 12), Ok(64)); // of a head
/// assert!(equal_parts("the width", 768, 5).is_err() && equal_parts("the width", 768, 0).is_err());
/// ```
pub fn equal_parts(
    operand: &'static str,
    length: usize,
    parts: usize,
) -> Result<usize, ShapeError> {
    if parts == 0 || !length.is_multiple_of(parts) {
        return Err(ShapeError::Parts { operand, parts, found: length });
    }
    Ok(length / parts)
}
