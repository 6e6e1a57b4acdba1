//! The causal mask: attention's only rule about time.
//!
//! Formula: y_kq = x_kq where key k is not later than query q, and −∞ elsewhere; softmax then gives the
//! future a weight of exactly 0. Gradient: dx = dy where not masked, 0 elsewhere.
//! Source: Vaswani et al. 2017, section 3.2.3.

use linalg::{Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work, shape::equal_parts};

/// Masks scores of shape (keys × queries), where queries repeat for every sequence and head: column
/// c holds query c mod keys.
///
/// ```
/// use linalg::{Primitive, Work, matrix};
/// let scores = matrix(2, 2, &[0.1, 0.2, 0.3, 0.4]); // a column per query
/// let mut masked = matrix(2, 2, &[0.0; 4]);
/// probability::mask::CausalMask.forward([scores.as_view()], masked.as_view_mut(), Work::none());
/// assert_eq!(masked.as_slice(), &[0.1, f64::NEG_INFINITY, 0.3, 0.4]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CausalMask;

impl Primitive<1> for CausalMask {
    fn name(&self) -> &'static str {
        "causal mask"
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        let sequences = x.columns / x.rows.max(1);
        equal_parts("the number of queries", x.columns, sequences)?;
        x.expect_columns("the matrix of scores", sequences * x.rows)?;
        Ok(x)
    }

    fn flops(&self, _: [Shape; 1]) -> u64 {
        0
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: false }
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        for c in 0..x.ncols() {
            let visible = c % x.nrows() + 1;
            let mut y = y.column_mut(c);
            y.rows_mut(0, visible).copy_from(&x.column(c).rows(0, visible));
            y.rows_mut(visible, x.nrows() - visible).fill(T::from_f64(f64::NEG_INFINITY));
        }
    }

    fn vjp<T: Real>(
        &self,
        [x]: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [mut dx]: [ViewMut<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        for c in 0..x.ncols() {
            for k in 0..=c % x.nrows() {
                dx[(k, c)] += dy[(k, c)];
            }
        }
    }
}
