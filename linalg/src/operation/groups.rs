//! Groups of query heads: several heads of queries read one head of keys and values.
//!
//! With h query heads and g key-value heads, query head i reads key-value head ⌊i/(h/g)⌋. g = h is attention with
//! heads of their own, g = 1 is attention with one key and one value for all.
//! Source: Ainslie et al., *GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints*,
//! 2023; the order of heads is that of `repeat_kv` in Hugging Face's transformers.

use crate::formula::{Expression, I, Index, MEMBER, sum};
use crate::{ShapeError, shape::equal_parts};
use std::ops::Range;

/// Query heads in equal groups, each of which reads one key-value head.
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
    /// Number of query heads.
    pub heads: usize,
    /// Number of key-value heads.
    pub key_value_heads: usize,
}

impl Groups {
    /// Query heads of a group.
    pub fn size(self) -> usize {
        self.heads / self.key_value_heads
    }

    /// The key-value head that a query head reads.
    pub fn read_by(self, head: usize) -> usize {
        head / self.size()
    }

    /// The query heads that read a key-value head.
    pub fn readers(self, key_value_head: usize) -> Range<usize> {
        key_value_head * self.size()..(key_value_head + 1) * self.size()
    }

    /// Rows of keys, and of values, to queries of `width` rows.
    ///
    /// # Errors
    /// If the heads do not divide the width, or the key-value heads do not divide the heads.
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

    /// For formulas: the key-value head that a query head reads.
    pub fn index_read_by(self, head: Index) -> Index {
        if self.size() == 1 { head } else { head / self.size() }
    }

    /// For formulas, with heads of `rows` rows: the row of keys or values that row i of queries reads.
    pub fn row_read(self, rows: usize) -> Index {
        if self.size() == 1 { I.into() } else { I / (rows * self.size()) * rows + I % rows }
    }

    /// For formulas, with heads of `rows` rows: a query head that reads row i of keys or values, and the row of queries
    /// that does. Where there are several, it is number [`MEMBER`] of its group.
    pub fn reader(self, rows: usize) -> (Index, Index) {
        if self.size() == 1 {
            return (I / rows, I.into());
        }
        let head = I / rows * self.size() + MEMBER;
        (head.clone(), head * rows + I % rows)
    }

    /// For formulas: Σ over the query heads of a group, with `term` stated for a [`Groups::reader`].
    pub fn sum(self, term: Expression) -> Expression {
        if self.size() == 1 { term } else { sum(MEMBER, self.size(), term) }
    }
}
