//! The norms of the rows of a matrix with an adapter, as constants: the divisors of DoRA's magnitudes.
//!
//! Formula: <var>n_i = ‖(W + s·B·A)_i‖₂</var> for row i of a block of rows, with W (out × in), B (rows × r), A (r × in); at least 2⁻¹²⁶. Gradients:
//! none. Though the norms change with B and A, DoRA counts them as constants, which saves most of its memory; so does this operation:
//! its value has no derivative in any direction, and nothing is sent back.
//! Floats: squares are added in `f64`, column after column.
//! Source: Liu et al., *DoRA: Weight-Decomposed Low-Rank Adaptation*, 2024, section 4.3.

use crate::cases::{Cases, Operand, Size, Visitor};
use crate::formula::{I, K, R, operand, sqrt, sum};
use crate::operation::{product::Product, rows::Rows};
use crate::{
    Formula, Gradient, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work, parallel,
};

/// The norms of rows of W + s·B·A, of W, B and A: a column.
///
/// ```
/// use linalg::{Primitive, Work, adapted_norms::AdaptedNorms, matrix, rows::Rows};
/// let norms = AdaptedNorms { factor: 0.5, rows: Rows { start: 1, count: 1 } };
/// let (w, b, a) = (matrix(2, 2, &[9.0, 1.0, 9.0, 0.0]), matrix(1, 1, &[4.0]), matrix(1, 2, &[1.0, 2.0]));
/// let mut n = matrix(1, 1, &[0.0]);
/// norms.forward([w.as_view(), b.as_view(), a.as_view()], n.as_view_mut(), Work::none());
/// assert_eq!(n[0], 5.0); // of (1, 0) + ½·4·(1, 2)
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdaptedNorms {
    /// The factor s.
    pub factor: f64,
    /// The rows of W that the adapter changes.
    pub rows: Rows,
}

/// The square of the least norm: a row of zeros is divided by a number, too.
const LEAST: f64 = f32::MIN_POSITIVE as f64 * f32::MIN_POSITIVE as f64;

/// Rows of a block that a thread takes: their sums stay in the first cache.
const BLOCK: usize = 64;

impl Primitive<3> for AdaptedNorms {
    fn name(&self) -> &'static str {
        "norms of adapted rows, constant"
    }

    fn shape(&self, [w, b, a]: [Shape; 3]) -> Result<Shape, ShapeError> {
        let rows = self.rows.shape([w])?;
        b.expect_rows("the adapter's B", rows.rows)?;
        a.expect("the adapter's A", Shape::new(b.columns, w.columns))?;
        Ok(Shape::new(rows.rows, 1))
    }

    fn formula<T: Real>(&self, [w, b, _]: [View<'_, T>; 3]) -> Formula {
        let (inner, rank) = (w.ncols(), b.ncols());
        let (w, b, a) = (operand(0), operand(1), operand(2));
        let mut f = Formula::new(
            "n",
            ["W", "B", "A"],
            "The length of each row with its adapter, counted as a constant: it has no gradient.",
            "Liu et al., DoRA, 2024, section 4.3",
        );
        let product = self.factor * sum(R, rank, b.at(I, R) * a.at(R, K));
        let own = f.define("w", [I, K], w.at(I + self.rows.start, K) + product);
        f.value(sqrt(sum(K, inner, own.at2(I, K) * own.at2(I, K)) + LEAST))
            .no_gradient()
            .no_gradient()
            .no_gradient()
    }

    fn forward<T: Real>(&self, [w, b, a]: [View<'_, T>; 3], n: ViewMut<'_, T>, _: Work<'_, T>) {
        let w = w.rows(self.rows.start, self.rows.count);
        let factor = T::from_f64(self.factor);
        parallel::rows([n], BLOCK, |first, [mut n]| {
            let count = n.nrows();
            let (w, b) = (w.rows(first, count), b.rows(first, count));
            let mut squares = [0.0_f64; BLOCK];
            for k in 0..w.ncols() {
                let mut changes = [T::zero(); BLOCK];
                for l in 0..b.ncols() {
                    let a = factor * a[(l, k)];
                    (0..count).for_each(|i| changes[i] += b[(i, l)] * a);
                }
                for i in 0..count {
                    squares[i] += (w[(i, k)] + changes[i]).to_f64().powi(2);
                }
            }
            // From a plain number, without a derivative.
            (0..count).for_each(|i| n[i] = T::from_f64((squares[i] + LEAST).sqrt()));
        });
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 3],
        _: View<'_, T>,
        _: View<'_, T>,
        _: [Gradient<'_, T>; 3],
        _: Work<'_, T>,
    ) {
        // A gradient to which nothing is added is 0.
    }

    fn flops(&self, [w, b, _]: [Shape; 3]) -> u64 {
        (2 * b.columns + 3) as u64 * (b.rows * w.columns) as u64
    }

    fn vjp_flops(&self, _: [Shape; 3]) -> u64 {
        0
    }

    fn vjp_reads(&self) -> Reads<3> {
        Reads { inputs: [false; 3], output: false }
    }
}

impl Cases for AdaptedNorms {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        const RANK: usize = 3;
        let Some((m, _, terms)) = Product::sizes(size) else { return };
        for (start, end) in [(0, m), (m / 3, m)] {
            let rows = Rows { start, count: end - start };
            let operands = [(m, terms), (rows.count, RANK), (RANK, terms)];
            let operands = operands.map(|(m, n)| Operand::Fixed(Shape::new(m, n)));
            visitor.visit(AdaptedNorms { factor: 0.75, rows }, operands);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, apply};

    #[test]
    fn a_row_of_zeros_has_a_norm_above_zero() {
        let norms = AdaptedNorms { factor: 1.0, rows: Rows { start: 0, count: 1 } };
        let (w, b, a) = (Matrix::zeros(1, 3), Matrix::zeros(1, 2), Matrix::zeros(2, 3));
        let n: Matrix<f32> = apply(&norms, [&w, &b, &a]).unwrap();
        assert!(n[0].is_normal(), "{n}");
    }
}
