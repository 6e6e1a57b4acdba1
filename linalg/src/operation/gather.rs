//! Lookup of columns of a table: an embedding.
//!
//! Formula: y\[:, t\] = table\[:, index_t\]. Gradient: dy\[:, t\] is added to column index_t of the table's gradient; a
//! token that occurs twice adds twice. The result equals the product of the table with one-hot columns, without the
//! multiplications by zero.
//! Source: the textbook's A.5, part 1.

use crate::cases::{Cases, Operand, Size, Visitor, numbers};
use crate::formula::{I, J, TOKEN, equal, operand, sum_where, upstream};
use crate::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, parallel::each_column, vector,
};

/// Tokens whose gradients are added in one plain sum.
const BLOCK: usize = 1024;

/// The lookup y\[:, t\] = table\[:, index_t\], with the indices in a (1 × tokens) row.
///
/// An index out of range gives a column of NaN, and its gradient is dropped: a replay cannot fail, and the error stays
/// visible in the values.
///
/// ```
/// use linalg::{Primitive, Work, gather::Gather, matrix};
/// let table = matrix(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let tokens = matrix(1, 2, &[2.0, 0.0]);
/// let mut y = matrix(2, 2, &[0.0; 4]);
/// Gather.forward([table.as_view(), tokens.as_view()], y.as_view_mut(), Work::none());
/// assert_eq!(y.as_slice(), &[5.0, 6.0, 1.0, 2.0]);
/// ```
#[doc(alias = "embedding")]
#[doc(alias = "take")]
#[doc(alias = "index_select")]
#[derive(Clone, Copy, Debug)]
pub struct Gather;

/// Returns the column number if `index` is an integer in 0 .. `columns`, else `None`; −0 is 0. Negative and fractional
/// numbers, NaN and ±∞ give `None`.
///
/// ```
/// use linalg::gather::index;
/// assert_eq!(index(2.0, 3), Some(2));
/// assert_eq!([index(3.0, 3), index(0.5, 3), index(f64::NAN, 3)], [None; 3]);
/// ```
pub fn index<T: Real>(index: T, columns: usize) -> Option<usize> {
    let index = index.to_f64();
    (index >= 0.0 && index < columns as f64 && index.fract() == 0.0).then_some(index as usize)
}

/// The largest number of columns, classes or positions: indices are scalars, and `f32` counts exactly up to this.
pub const MOST: usize = 1 << 24;

/// Checks that every position of `operand` can be expressed by an index.
///
/// ```
/// use linalg::gather::countable;
/// assert!(countable("the table's columns", 50_257).is_ok());
/// let error = countable("the table's columns", 1 << 25).unwrap_err().to_string();
/// assert!(error.starts_with("the table's columns are 33554432; an index counts exactly as far as 16777216"));
/// ```
pub fn countable(operand: &'static str, found: usize) -> Result<(), ShapeError> {
    if found <= MOST { Ok(()) } else { Err(ShapeError::Countable { operand, found, most: MOST }) }
}

impl Primitive<2> for Gather {
    fn name(&self) -> &'static str {
        "lookup"
    }

    fn role(&self) -> Role {
        Role::Lookup
    }

    fn shape(&self, [table, indices]: [Shape; 2]) -> Result<Shape, ShapeError> {
        countable("the table's columns", table.columns)?;
        indices.expect_rows("the row of indices", 1)?;
        Ok(Shape::new(table.rows, indices.columns))
    }

    fn formula<T: Real>(&self, [_, indices]: [View<'_, T>; 2]) -> Formula {
        let (table, index, dy) = (operand(0), operand(1), upstream());
        let this = equal(index.index(0, TOKEN), J);
        Formula::new(
            "y",
            ["table", "index"],
            "Looks up the column that an index names: a product with a one-hot vector.",
            "the textbook's A.5, part 1",
        )
        .value(table.at(I, index.index(0, J)))
        .gradient(sum_where(TOKEN, indices.ncols(), this, dy.at(I, TOKEN)))
        .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [table, indices]: [View<'_, T>; 2],
        y: ViewMut<'_, T>,
        _: Work<'_, T>,
    ) {
        each_column([y], |j, [y]| match index(indices[j], table.ncols()) {
            Some(i) => y.copy_from_slice(column(&table, i)),
            None => y.fill(T::from_f64(f64::NAN)),
        });
    }

    fn vjp<T: Real>(
        &self,
        [table, indices]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [d_table, _]: [Gradient<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        let Some(mut d_table) = d_table.zeroed() else { return };
        let column_of = |t: usize| index(indices[t], table.ncols());
        // In the order of the tokens, so that repeated tokens are always added in the same order.
        if dy.ncols() <= BLOCK {
            for t in 0..dy.ncols() {
                if let Some(i) = column_of(t) {
                    let mut d = d_table.column_mut(i);
                    vector::axpy(d.as_mut_slice(), T::one(), column(&dy, t));
                }
            }
            return;
        }
        // Many tokens are added in blocks, so that the gradient of a frequent token is a sum of sums.
        for start in (0..dy.ncols()).step_by(BLOCK) {
            let end = dy.ncols().min(start + BLOCK);
            let same = |t: usize, other: usize| indices[t] == indices[other];
            for first in start..end {
                let Some(i) = column_of(first) else { continue };
                if (start..first).any(|t| same(t, first)) {
                    continue;
                }
                work.scratch.fill(T::zero());
                for t in (first..end).filter(|&t| same(t, first)) {
                    vector::axpy(work.scratch, T::one(), column(&dy, t));
                }
                let mut d = d_table.column_mut(i);
                vector::axpy(d.as_mut_slice(), T::one(), work.scratch);
            }
        }
    }

    fn flops(&self, _: [Shape; 2]) -> u64 {
        0
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [false, true], output: false }
    }

    fn memory(&self, [table, indices]: [Shape; 2]) -> Memory {
        Memory { kept: 0, scratch: if indices.columns > BLOCK { table.rows } else { 0 } }
    }
}

impl Cases for Gather {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            // More tokens than columns: every column is looked up several times.
            let tokens = Operand::Indices { count: 2 * n + 3, below: n };
            visitor.visit(Gather, [numbers(m, n), tokens]);
        }
    }
}
