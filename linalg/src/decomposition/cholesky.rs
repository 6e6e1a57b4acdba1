//! The Cholesky decomposition: the square root of a positive definite matrix.
//!
//! Formula: <var>A = L·Lᵀ</var> with L lower triangular and a positive diagonal, <var>lⱼⱼ² = aⱼⱼ − Σₖ lⱼₖ²</var>,
//! <var>lᵢⱼ = (aᵢⱼ − Σₖ lᵢₖ·lⱼₖ)/lⱼⱼ</var>. Every <var>xᵀ·A·x</var> with x ≠ 0 is positive if and only if every lⱼⱼ²
//! is. Not used inside a transformer, but for the density and the conditioning of Gaussians; <var>L·w + μ</var> is a
//! sample of one.
//! Source: the textbook's A.2; Golub and Van Loan, *Matrix Computations*, section 4.2.
//!
//! Implemented here instead of taken from nalgebra, so that it works on dual numbers (the derivative of a Gaussian's
//! log-density by its covariance) and reports the failing pivot.

use crate::decomposition::lu::in_range;
use crate::error::{finite, square};
use crate::norm::{exponent, times_power};
use crate::{Error, Matrix, Real, Shape, ShapeError, product_add, transposed, vector};

/// The number of columns that are decomposed one by one, before a product subtracts them from the rest.
const PANEL: usize = 32;

/// The decomposition <var>A = L·Lᵀ</var>.
///
/// ```
/// use linalg::{cholesky::Cholesky, matrix};
/// let a = matrix(2, 2, &[4.0, 2.0, 2.0, 5.0]);
/// let root = Cholesky::of(&a)?;
/// assert_eq!(root.lower(), &matrix(2, 2, &[2.0, 1.0, 0.0, 2.0]));
/// assert_eq!(root.log_determinant(), 16.0_f64.ln());
/// assert_eq!(root.solve(&matrix(2, 1, &[8.0, 12.0]))?.as_slice(), &[1.0, 2.0]);
/// # Ok::<(), linalg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cholesky<T: Real> {
    lower: Matrix<T>,
    /// L with its rows divided by powers of two near the square roots of A's diagonal, and their exponents.
    scaled: Matrix<T>,
    exponents: Vec<i32>,
}

impl<T: Real> Cholesky<T> {
    /// Decomposes A. Only the lower triangle is read; the upper is assumed to be its mirror image.
    ///
    /// This also tests whether A is positive definite. A matrix that is singular up to rounding may pass or fail. A
    /// clearly negative pivot is an error that reports its position.
    ///
    /// Floats: any finite scale. A 0 × 0 matrix is positive definite.
    ///
    /// # Errors
    /// A matrix that is not square; NaN and ±∞; [`Error::NotPositiveDefinite`].
    #[doc(alias = "cho_factor")]
    #[doc(alias = "is_positive_definite")]
    pub fn of(a: &Matrix<T>) -> Result<Self, Error> {
        let n = square("A", a)?;
        finite("A", a)?;
        // D⁻¹·A·D⁻¹ for a diagonal of powers of two has the same digits, and no element is out of range.
        let exponents: Vec<i32> =
            (0..n).map(|i| exponent(a[(i, i)]).unwrap_or(0).div_euclid(2)).collect();
        let scale = |x: T, i: usize, j: usize| times_power(x, -exponents[i] - exponents[j]);
        let mut l = Matrix::from_fn(n, n, |i, j| match i < j {
            true => T::zero(),
            false => scale(a[(i, j)], i, j),
        });
        for first in (0..n).step_by(PANEL) {
            let end = (first + PANEL).min(n);
            for j in first..end {
                // Column by column, as they are stored: column j loses lⱼₖ times column k.
                let (done, rest) = l.as_mut_slice().split_at_mut(j * n);
                let column = &mut rest[j..n];
                T::simd(
                    #[inline(always)]
                    || {
                        for known in done[first * n..].chunks_exact(n) {
                            vector::axpy(column, -known[j], &known[j..]);
                        }
                    },
                );
                let square = column[0];
                // Written so that it also catches NaN, which can result from an indefinite matrix near overflow.
                let positive = square.to_f64() > 0.0;
                if !positive {
                    let value = times_power(square, 2 * exponents[j]).to_f64();
                    return Err(Error::NotPositiveDefinite { pivot: j, value });
                }
                let root = square.sqrt();
                column[0] = root;
                column[1..].iter_mut().for_each(|x| *x /= root);
            }
            // The panel's part of all columns beside it is a product, which also writes above the diagonal.
            let (panel, mut rest) = l.columns_range_pair_mut(first..end, end..);
            let below = panel.rows_range(end..);
            product_add(rest.rows_range_mut(end..), -T::one(), below, transposed(below));
        }
        l.fill_upper_triangle(T::zero(), 1);
        let lower = Matrix::from_fn(n, n, |i, j| times_power(l[(i, j)], exponents[i]));
        Ok(Cholesky { lower, scaled: l, exponents })
    }

    /// Returns L.
    ///
    /// ```
    /// let root = linalg::cholesky::Cholesky::of(&linalg::matrix(2, 2, &[4.0, 2.0, 2.0, 5.0]))?;
    /// assert_eq!(root.lower().as_slice(), &[2.0, 1.0, 0.0, 2.0]); // L·Lᵀ = A
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn lower(&self) -> &Matrix<T> {
        &self.lower
    }

    /// Returns <var>ln det A = 2·Σ ln lᵢᵢ</var>.
    ///
    /// ```
    /// use linalg::{cholesky::Cholesky, matrix};
    /// let a = matrix(2, 2, &[1e-200, 0.0, 0.0, 1e-200]); // the determinant itself would be 0
    /// let ln = Cholesky::of(&a)?.log_determinant();
    /// assert!((ln + 400.0 * std::f64::consts::LN_10).abs() < 1e-12);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "logdet")]
    pub fn log_determinant(&self) -> T {
        let ln = crate::vector::sum_of(self.lower.nrows(), |i| self.lower[(i, i)].ln());
        ln + ln
    }

    /// Returns <var>L⁻¹·B</var>, which whitens columns with covariance A; its squared lengths are Mahalanobis
    /// distances.
    ///
    /// ```
    /// use linalg::{cholesky::Cholesky, matrix, norm};
    /// let covariance = matrix(2, 2, &[4.0, 0.0, 0.0, 1.0]);
    /// let white = Cholesky::of(&covariance)?.whiten(&matrix(2, 1, &[4.0, 0.0]))?;
    /// assert_eq!(norm::l2(white.as_slice()), 2.0); // two standard deviations
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "solve_triangular")]
    #[doc(alias = "mahalanobis")]
    pub fn whiten(&self, b: &Matrix<T>) -> Result<Matrix<T>, ShapeError> {
        Shape::new(b.nrows(), b.ncols()).expect_rows("the right-hand side", self.lower.nrows())?;
        let mut x = b.clone();
        let (rows, columns) = (&self.exponents[..], &vec![0; b.nrows()][..]);
        let solve = |b: &[T]| self.forward(b);
        x.column_iter_mut().for_each(|mut x| in_range(x.as_mut_slice(), [rows, columns], solve));
        Ok(x)
    }

    /// Returns X with <var>A·X = B</var>.
    ///
    /// ```
    /// use linalg::{cholesky::Cholesky, matrix};
    /// let root = Cholesky::of(&matrix(2, 2, &[4.0, 2.0, 2.0, 3.0]))?;
    /// let x = root.solve(&matrix(2, 1, &[8.0, 7.0]))?;
    /// assert!((x[0] - 1.25_f64).abs() < 1e-14 && (x[1] - 1.5).abs() < 1e-14);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "cho_solve")]
    #[doc(alias = "cholesky_solve")]
    pub fn solve(&self, b: &Matrix<T>) -> Result<Matrix<T>, ShapeError> {
        let (n, l, exponents) = (self.lower.nrows(), &self.scaled, &self.exponents[..]);
        Shape::new(b.nrows(), b.ncols()).expect_rows("the right-hand side", n)?;
        let solve = |b: &[T]| {
            let mut x = self.forward(b);
            for i in (0..n).rev() {
                let column = &l.as_slice()[i * n..][i..n];
                x[i] = (x[i] - vector::dot(&column[1..], &x[i + 1..])) / column[0];
            }
            x
        };
        let mut x = b.clone();
        let both = [exponents, exponents];
        x.column_iter_mut().for_each(|mut x| in_range(x.as_mut_slice(), both, solve));
        Ok(x)
    }

    /// Returns <var>L⁻¹·x</var>, for the scaled L.
    fn forward(&self, x: &[T]) -> Vec<T> {
        let (mut x, l) = (x.to_vec(), &self.scaled);
        let n = x.len();
        for k in 0..n {
            let column = &l.as_slice()[k * n..][k..n];
            x[k] /= column[0];
            let known = x[k];
            vector::axpy(&mut x[k + 1..], -known, &column[1..]);
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::lu;
    use crate::decomposition::symmetric::SymmetricEigen;
    use crate::gram::gram;
    use crate::laws::{draw, gap, matrices, product, symmetric};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    /// Generates XᵀX + I: positive definite, with no eigenvalue below 1.
    fn definite() -> impl Strategy<Value = Matrix<f64>> {
        matrices(1..8).prop_map(|x| gram(&x) + Matrix::identity(x.ncols(), x.ncols()))
    }

    proptest! {
        #[test]
        fn the_root_squared_is_the_matrix(a in definite()) {
            let root = Cholesky::of(&a).unwrap();
            let l = root.lower();
            prop_assert!(gap(&product(l, &l.transpose()), &a) <= 16.0 * E * a.norm());
            prop_assert!((0..l.nrows()).all(|i| l[(i, i)] > 0.0));
            prop_assert!((0..l.nrows()).all(|i| (i + 1..l.ncols()).all(|j| l[(i, j)] == 0.0)));
        }

        #[test]
        fn elimination_says_the_same(a in definite(), seed in 0..99_u64) {
            let (root, b) = (Cholesky::of(&a).unwrap(), draw(seed, a.nrows(), 2));
            let (x, y) = (root.solve(&b).unwrap(), lu::solve(&a, &b).unwrap());
            // The smallest eigenvalue is at least 1: the condition is at most ‖A‖.
            prop_assert!(gap(&x, &y) <= 64.0 * E * a.norm() * y.norm());
            let by_lu = lu::log_determinant(&a).unwrap();
            prop_assert_eq!(by_lu.sign, 1.0);
            prop_assert!((root.log_determinant() - by_lu.ln).abs() <= 64.0 * E * a.norm());
            // ‖L⁻¹·b‖² = bᵀ·A⁻¹·b.
            let white = root.whiten(&b).unwrap().norm_squared();
            prop_assert!((white - b.dot(&x)).abs() <= 64.0 * E * a.norm() * white);
        }

        #[test]
        fn positive_definite_means_a_positive_spectrum(a in symmetric(1..7)) {
            let smallest = *SymmetricEigen::of(&a).unwrap().values.last().unwrap();
            // Only if rounding cannot change the answer.
            prop_assume!(smallest.abs() > 1e-9 * a.norm());
            prop_assert_eq!(Cholesky::of(&a).is_ok(), smallest > 0.0);
        }
    }

    /// More columns than two panels, the last one partial.
    #[test]
    fn panels_make_the_whole() {
        for n in [PANEL - 1, PANEL, PANEL + 1, 2 * PANEL + 5] {
            let a = gram(&draw(n as u64, n + 3, n)) + Matrix::identity(n, n);
            let root = Cholesky::of(&a).unwrap();
            let l = root.lower();
            assert!(gap(&product(l, &l.transpose()), &a) <= 16.0 * E * a.norm(), "{n}");
            assert!((0..n).all(|i| (i + 1..n).all(|j| l[(i, j)] == 0.0)), "{n}");
            let mut broken = a.clone();
            broken[(n - 2, n - 2)] = -1.0;
            let error = Cholesky::of(&broken).unwrap_err();
            assert!(
                matches!(error, Error::NotPositiveDefinite { pivot, .. } if pivot == n - 2),
                "{error}"
            );
        }
    }

    #[test]
    fn the_failing_pivot_is_named() {
        let a = Matrix::from_column_slice(3, 3, &[4.0, 2.0, 0.0, 2.0, 1.0, 1.0, 0.0, 1.0, 9.0]);
        assert_eq!(
            Cholesky::of(&a).unwrap_err(),
            Error::NotPositiveDefinite { pivot: 1, value: 0.0 }
        );
        let b = Matrix::from_column_slice(1, 1, &[-2.0]);
        assert_eq!(
            Cholesky::of(&b).unwrap_err(),
            Error::NotPositiveDefinite { pivot: 0, value: -2.0 }
        );
        let one = Cholesky::of(&Matrix::<f64>::identity(2, 2)).unwrap();
        assert!(one.solve(&Matrix::zeros(3, 1)).is_err());
    }
}
