//! A block of rows: the queries, keys or values of a packed projection.
//!
//! Formula: y = x\[start .. start + count, :\]. Gradient: dy is added to those rows.
//! Floats: copied, bit for bit. In a recording nothing is copied: y is a view of x ([`Primitive::view`]).

use crate::cases::{Cases, Size, Visitor, numbers};
use crate::formula::{I, J, at_most, cases, operand, upstream};
use crate::{Formula, Gradient, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work};
use std::ops::Range;

/// The rows `start .. start + count` of x.
///
/// ```
/// use linalg::{Primitive, Work, matrix, rows::Rows};
/// let packed = matrix(3, 1, &[1.0, 2.0, 3.0]); // query, key, value of width one
/// let mut key = matrix(1, 1, &[0.0]);
/// Rows { start: 1, count: 1 }.forward([packed.as_view()], key.as_view_mut(), Work::none());
/// assert_eq!(key[0], 2.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// The first row.
    pub start: usize,
    /// The number of rows.
    pub count: usize,
}

impl Primitive<1> for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        match self.start.checked_add(self.count) {
            Some(end) if end <= x.rows => Ok(Shape::new(self.count, x.columns)),
            end => Err(ShapeError::Range {
                start: self.start,
                end: end.unwrap_or(usize::MAX),
                found: x.rows,
            }),
        }
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0), upstream());
        let dy = dy.at(I - self.start, J);
        let inside = cases(at_most(I, self.start + self.count - 1), dy, 0.0);
        Formula::new(
            "y",
            ["x"],
            "Takes a block of rows: queries, keys or values out of one packed projection.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.2",
        )
        .value(x.at(I + self.start, J))
        .gradient(cases(at_most(self.start, I), inside, 0.0))
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        y.copy_from(&x.rows(self.start, self.count));
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        if let Some(mut dx) = dx.zeroed() {
            Gradient::new(dx.rows_mut(self.start, self.count)).add(dy);
        }
    }

    fn flops(&self, _: [Shape; 1]) -> u64 {
        0
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: false }
    }

    fn view(&self) -> Option<Range<usize>> {
        Some(self.start..self.start + self.count)
    }
}

impl Cases for Rows {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            visitor.visit(Rows { start: m / 3, count: m - m / 3 - m / 4 }, [numbers(m, n)]);
        }
    }
}
