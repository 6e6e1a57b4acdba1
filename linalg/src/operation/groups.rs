//! Grouped-query attention: several query heads share one key-value head.
//!
//! With h query heads and g key-value heads, query head i reads key-value head ⌊i/(h/g)⌋. g = h is multi-head
//! attention, g = 1 is multi-query attention.
//! Source: Ainslie et al., *GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints*,
//! 2023; the order of heads is that of `repeat_kv` in Hugging Face's transformers.

use crate::formula::{Expression, I, Index, MEMBER, sum};
use crate::{ShapeError, shape::equal_parts};
use std::ops::Range;

/// Query heads in equal groups; each group reads one key-value head.
///
/// ```
/// use linalg::groups::Groups;
/// let groups = Groups { heads: 4, key_value_heads: 2 };
/// assert_eq!((groups.size(), groups.key_value_rows(48)), (2, Ok(24))); // heads of 12 rows
/// assert_eq!([0, 1, 2, 3].map(|head| groups.read_by(head)), [0, 0, 1, 1]);
/// assert_eq!(groups.readers(1), 2..4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The number of query heads.
    pub heads: usize,
    /// The number of key-value heads.
    pub key_value_heads: usize,
}

impl Groups {
    /// Returns the number of query heads in a group.
    pub fn size(self) -> usize {
        self.heads / self.key_value_heads
    }

    /// Returns the key-value head that a query head reads.
    pub fn read_by(self, head: usize) -> usize {
        head / self.size()
    }

    /// Returns the query heads that read a key-value head.
    pub fn readers(self, key_value_head: usize) -> Range<usize> {
        key_value_head * self.size()..(key_value_head + 1) * self.size()
    }

    /// Returns the number of rows of keys, and of values, for queries of `width` rows.
    ///
    /// # Errors
    /// If the number of heads does not divide the width, or the number of key-value heads does not divide that of
    /// heads.
    ///
    /// ```
    /// let groups = linalg::groups::Groups { heads: 3, key_value_heads: 2 };
    /// let error = groups.key_value_rows(48).unwrap_err().to_string();
    /// assert_eq!(error, "the list of query heads is 3 long, which 2 equal parts do not divide");
    /// ```
    pub fn key_value_rows(self, width: usize) -> Result<usize, ShapeError> {
        let rows = equal_parts("the width of a query", width, self.heads)?;
        equal_parts("the list of query heads", self.heads, self.key_value_heads)?;
        Ok(rows * self.key_value_heads)
    }

    /// For formulas: returns the key-value head that a query head reads.
    pub fn index_read_by(self, head: Index) -> Index {
        if self.size() == 1 { head } else { head / self.size() }
    }

    /// For formulas, with heads of `rows` rows: returns the row of keys or values that row i of queries reads.
    pub fn row_read(self, rows: usize) -> Index {
        if self.size() == 1 { I.into() } else { I / (rows * self.size()) * rows + I % rows }
    }

    /// For formulas, with heads of `rows` rows: returns a query head that reads row i of keys or values, and the row of
    /// queries that reads it. If there are several, it is number [`MEMBER`] of its group.
    pub fn reader(self, rows: usize) -> (Index, Index) {
        if self.size() == 1 {
            return (I / rows, I.into());
        }
        let head = I / rows * self.size() + MEMBER;
        (head.clone(), head * rows + I % rows)
    }

    /// For formulas: returns Σ over the query heads of a group; `term` is stated for a [`Groups::reader`].
    pub fn sum(self, term: Expression) -> Expression {
        if self.size() == 1 { term } else { sum(MEMBER, self.size(), term) }
    }
}
