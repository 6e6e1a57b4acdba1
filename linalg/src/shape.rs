//! Matrix shapes, and errors of shapes that do not fit.

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
    /// The number of rows: features.
    pub rows: usize,
    /// The number of columns: tokens.
    pub columns: usize,
}

impl Shape {
    /// Creates the shape `rows × columns`.
    pub const fn new(rows: usize, columns: usize) -> Self {
        Shape { rows, columns }
    }

    /// Returns the number of elements.
    pub const fn len(self) -> usize {
        self.rows * self.columns
    }

    /// Whether there is no element.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Checks that `operand` has the expected number of rows.
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

    /// Checks that `operand` has the expected number of columns.
    pub fn expect_columns(self, operand: &'static str, expected: usize) -> Result<(), ShapeError> {
        if self.columns == expected {
            Ok(())
        } else {
            Err(ShapeError::Columns { operand, expected, found: self.columns })
        }
    }

    /// Checks that `operand` has the expected shape.
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

/// Operands whose shapes do not fit. Returned while a step is recorded, never while it is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The number of rows is wrong.
    #[error("{operand} has {found} rows where {expected} are needed")]
    Rows {
        /// The operand's name.
        operand: &'static str,
        /// The number of rows that the other operands require.
        expected: usize,
        /// The number of rows found.
        found: usize,
    },
    /// The number of columns is wrong.
    #[error("{operand} has {found} columns where {expected} are needed")]
    Columns {
        /// The operand's name.
        operand: &'static str,
        /// The number of columns that the other operands require.
        expected: usize,
        /// The number of columns found.
        found: usize,
    },
    /// A length cannot be divided into equal parts.
    #[error("{operand} is {found} long, which {parts} equal parts do not divide")]
    Parts {
        /// The operand's name.
        operand: &'static str,
        /// The number of parts.
        parts: usize,
        /// The length to be divided.
        found: usize,
    },
    /// A range of rows ends after the last row.
    #[error("rows {start}..{end} were asked for, but there are {found}")]
    Range {
        /// The first row of the range.
        start: usize,
        /// One past the last row of the range.
        end: usize,
        /// The number of rows found.
        found: usize,
    },
    /// There are more positions than an index stored as a scalar can distinguish.
    #[error(
        "{operand} are {found}; an index counts exactly as far as {most} in f32: cut it into several"
    )]
    Countable {
        /// The quantity that is counted.
        operand: &'static str,
        /// The number found.
        found: usize,
        /// The largest allowed number.
        most: usize,
    },
    /// An operand has no elements, but at least one is needed.
    #[error("{operand} is empty")]
    Empty {
        /// The operand's name.
        operand: &'static str,
    },
}

/// Divides `length` into `parts` equal parts, and returns the length of one part.
///
/// ```
/// use linalg::shape::equal_parts;
/// assert_eq!(equal_parts("the width", 768, 12), Ok(64)); // the width of a head
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
