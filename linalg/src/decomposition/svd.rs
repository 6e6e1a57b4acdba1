//! The singular value decomposition: every matrix is a rotation, a stretch and a rotation.
//!
//! Formula: <var>A = U·diag(σ)·Vᵀ</var> with orthonormal columns in U and V and <var>σ₁ ≥ σ₂ ≥ … ≥ 0</var>.
//! In a transformer: the spectrum of a weight shows how many directions it uses; its best low-rank approximation is the
//! most that an adapter can represent.
//! Source: Golub and Van Loan, *Matrix Computations*, sections 2.4 and 8.6. The iteration is in `jacobi.rs`. In `f64`
//! only: a singular vector is not differentiable where singular values coincide.

use crate::error::{finite, in_range};
use crate::norm::{linf, power_of_two};
use crate::{Error, Matrix, Shape, ShapeError, apply::multiply, decomposition::jacobi, transposed};

/// The thin decomposition <var>A = U·diag(σ)·Vᵀ</var>: k = min(rows, columns) singular values.
///
/// ```
/// use linalg::{matrix, svd::Svd};
/// let svd = Svd::of(&matrix(2, 2, &[0.0, 3.0, 2.0, 0.0]))?;
/// assert!((svd.values[0] - 3.0).abs() < 1e-15 && (svd.values[1] - 2.0).abs() < 1e-15);
/// assert!((svd.condition_number()? - 1.5).abs() < 1e-15);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "svdvals")]
#[derive(Clone, Debug, PartialEq)]
pub struct Svd {
    /// U, (rows × k).
    pub u: Matrix<f64>,
    /// The k singular values, <var>σ₁ ≥ σ₂ ≥ … ≥ 0</var>.
    pub values: Vec<f64>,
    /// V, (columns × k). A column of U and the same column of V have an arbitrary common sign.
    pub v: Matrix<f64>,
}

impl Svd {
    /// Decomposes A.
    ///
    /// Floats: any scale for which the singular values are finite. Each singular value is accurate to a few ε·σ₁, and
    /// values below 1e-140·σ₁ become 0. For a matrix <var>D·B·E</var> with diagonal D and E of any scale and a
    /// well-conditioned B (rows or columns graded over many decades), the relative error of each is a few ε times the
    /// condition of B. A matrix without elements has no singular values.
    ///
    /// # Errors
    /// NaN and ±∞; a singular value that overflows.
    pub fn of(a: &Matrix<f64>) -> Result<Self, Error> {
        let (mut svd, scale) = Self::scaled(a)?;
        svd.values.iter_mut().for_each(|s| *s *= scale);
        in_range("the largest singular value", svd.values.first())?;
        Ok(svd)
    }

    /// Returns the decomposition of A/s for a power of two s, and s. No singular value of A/s is out of range.
    pub(crate) fn scaled(a: &Matrix<f64>) -> Result<(Self, f64), Error> {
        finite("A", a)?;
        let k = a.nrows().min(a.ncols());
        if k == 0 {
            let (u, v) = (Matrix::zeros(a.nrows(), 0), Matrix::zeros(a.ncols(), 0));
            return Ok((Svd { u, values: Vec::new(), v }, 1.0));
        }
        if a.nrows() >= a.ncols() {
            return jacobi::tall(a);
        }
        let (Svd { u, values, v }, scale) = jacobi::tall(&a.transpose())?;
        Ok((Svd { u: v, values, v: u }, scale))
    }

    /// Returns <var>U·diag(σ)·Vᵀ</var>, which is A up to rounding.
    ///
    /// ```
    /// use linalg::{matrix, svd::Svd};
    /// let a = matrix(2, 1, &[3.0, 4.0]);
    /// assert!((Svd::of(&a)?.matrix() - a).norm() < 1e-14);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn matrix(&self) -> Matrix<f64> {
        let (left, right) = self.factors(self.values.len());
        multiply(left.as_view(), transposed(right.as_view()))
    }

    /// Returns the first `count` columns of <var>U·diag(σ)</var> and of V.
    pub(crate) fn factors(&self, count: usize) -> (Matrix<f64>, Matrix<f64>) {
        let count = count.min(self.values.len());
        let mut left = self.u.columns(0, count).into_owned();
        for (mut u, &value) in left.column_iter_mut().zip(&self.values) {
            u *= value;
        }
        (left, self.v.columns(0, count).into_owned())
    }

    /// Returns the numerical rank, as in NumPy and Matlab: the number of singular values above max(rows, columns)·ε·σ₁,
    /// a bound on the rounding error of a zero.
    ///
    /// ```
    /// use linalg::{matrix, svd::Svd};
    /// let a = matrix(3, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    /// assert_eq!(Svd::of(&a)?.rank(), 2); // arithmetic progressions: 2·b = a + c
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "matrix_rank")]
    pub fn rank(&self) -> usize {
        let longer = self.u.nrows().max(self.v.nrows()) as f64;
        self.rank_above(longer * f64::EPSILON * self.values.first().unwrap_or(&0.0))
    }

    /// Returns the number of singular values above a threshold. Useful for trained weights, where none is exactly zero.
    ///
    /// ```
    /// use linalg::{matrix, svd::Svd};
    /// let a = matrix(2, 2, &[1.0, 0.0, 0.0, 1e-6]);
    /// assert_eq!((Svd::of(&a)?.rank(), Svd::of(&a)?.rank_above(1e-3)), (2, 1));
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn rank_above(&self, threshold: f64) -> usize {
        self.values.iter().filter(|&&s| s > threshold).count()
    }

    /// Returns <var>σ₁/σₖ</var>, the largest growth of a relative error when a system is solved; its log₁₀ is the
    /// number of digits lost.
    ///
    /// Floats: ∞ if the smallest singular value is 0, also for the zero matrix.
    ///
    /// # Errors
    /// A matrix without elements.
    ///
    /// ```
    /// use linalg::{matrix, svd::Svd};
    /// assert_eq!(Svd::of(&matrix(2, 2, &[4.0, 0.0, 0.0, 0.5]))?.condition_number()?, 8.0);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "cond")]
    pub fn condition_number(&self) -> Result<f64, Error> {
        match (self.values.first(), self.values.last()) {
            (Some(_), Some(&0.0)) => Ok(f64::INFINITY),
            (Some(most), Some(least)) => Ok(most / least),
            _ => Err(ShapeError::Empty { operand: "A" }.into()),
        }
    }

    /// Returns the pseudo-inverse <var>A⁺ = V·diag(1/σ)·Uᵀ</var> over the singular values that count for the
    /// [`Svd::rank`]: the inverse if there is one; otherwise A⁺·b is the shortest of all x for which ‖A·x − b‖ is
    /// smallest.
    ///
    /// # Errors
    /// An element that overflows.
    ///
    /// ```
    /// use linalg::{matrix, svd::Svd};
    /// let inverse = Svd::of(&matrix(2, 2, &[1.0, 1.0, 1.0, 1.0]))?.pseudo_inverse()?; // rank 1
    /// assert!((inverse - matrix(2, 2, &[0.25; 4])).norm() < 1e-15);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "pinv")]
    pub fn pseudo_inverse(&self) -> Result<Matrix<f64>, Error> {
        let mut right = self.v.columns(0, self.rank()).into_owned();
        right.column_iter_mut().zip(&self.values).for_each(|(mut v, &value)| v /= value);
        let left = self.u.columns(0, self.rank());
        let inverse = multiply(right.as_view(), transposed(left.as_view()));
        in_range("the largest element of the pseudo-inverse", Some(&linf(inverse.as_slice())))?;
        Ok(inverse)
    }

    /// Returns the shortest X for which <var>‖A·X − B‖</var> is smallest, column by column: <var>A⁺·B</var>. Useful for
    /// dependent columns; for independent ones, [`crate::least_squares::LeastSquares`] is more accurate.
    ///
    /// # Errors
    /// A right-hand side with a different number of rows; a solution that overflows; NaN and ±∞.
    ///
    /// ```
    /// use linalg::{matrix, svd::Svd};
    /// let a = matrix(1, 2, &[3.0, 4.0]); // 3·x + 4·y = 50 is a line; (6, 8) is its point nearest to 0
    /// let x = Svd::of(&a)?.solve(&matrix(1, 1, &[50.0]))?;
    /// assert!((x - matrix(2, 1, &[6.0, 8.0])).norm() < 1e-14);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "lstsq")]
    pub fn solve(&self, b: &Matrix<f64>) -> Result<Matrix<f64>, Error> {
        Shape::new(b.nrows(), b.ncols()).expect_rows("the right-hand side", self.u.nrows())?;
        finite("B", b)?;
        let scale = match power_of_two(linf(b.as_slice())) {
            0.0 => 1.0,
            scale => scale,
        };
        let (left, right) = (self.u.columns(0, self.rank()), self.v.columns(0, self.rank()));
        let mut shares = multiply(transposed(left.as_view()), (b / scale).as_view());
        shares.row_iter_mut().zip(&self.values).for_each(|(mut share, &value)| share /= value);
        let x = multiply(right.as_view(), shares.as_view()) * scale;
        in_range("the largest element of the solution", Some(&linf(x.as_slice())))?;
        Ok(x)
    }
}

/// Returns the numerical rank of A: see [`Svd::rank`].
///
/// # Errors
/// NaN and ±∞.
///
/// ```
/// use linalg::{matrix, outer::outer, svd::rank};
/// assert_eq!(rank(&outer(&[1.0, 2.0], &[3.0, 4.0, 5.0])), Ok(1));
/// assert_eq!(rank(&matrix(2, 2, &[0.0; 4])), Ok(0));
/// ```
#[doc(alias = "matrix_rank")]
pub fn rank(a: &Matrix<f64>) -> Result<usize, Error> {
    Ok(Svd::of(a)?.rank())
}

/// Returns the 2-norm condition number of A: see [`Svd::condition_number`].
///
/// # Errors
/// NaN and ±∞; a matrix without elements.
///
/// ```
/// use linalg::{matrix, svd::condition_number};
/// let c = condition_number(&matrix(2, 2, &[1.0, 1.0, 1.0, 1.0001]))?;
/// assert!((c - 40002.0).abs() < 0.1); // four of sixteen digits are lost
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "cond")]
pub fn condition_number(a: &Matrix<f64>) -> Result<f64, Error> {
    Svd::scaled(a)?.0.condition_number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::symmetric::SymmetricEigen;
    use crate::laws::{draw, gap, matrices, product, skew};
    use proptest::prelude::*;

    /// Relative to ‖A‖: an iteration of a few rotations for each of up to 8 singular values.
    const BOUND: f64 = 128.0 * f64::EPSILON;

    proptest! {
        #[test]
        fn two_rotations_and_a_stretch(a in matrices(1..9)) {
            let svd = Svd::of(&a).unwrap();
            prop_assert!(skew(&svd.u) <= BOUND && skew(&svd.v) <= BOUND);
            prop_assert!(gap(&svd.matrix(), &a) <= BOUND * a.norm(), "{:e}", gap(&svd.matrix(), &a));
            prop_assert!(svd.values.is_sorted_by(|a, b| a >= b));
            prop_assert!(svd.values.iter().all(|&s| s >= 0.0));
        }

        #[test]
        fn singular_values_squared_are_eigenvalues_of_the_gram_matrix(a in matrices(1..9)) {
            let values = Svd::of(&a).unwrap().values;
            let eigen = SymmetricEigen::of(&product(&a.transpose(), &a)).unwrap();
            for (s, e) in values.iter().zip(&eigen.values) {
                prop_assert!((s * s - e).abs() <= BOUND * a.norm_squared());
            }
        }

        /// Moore and Penrose: A·A⁺·A = A, A⁺·A·A⁺ = A⁺, and both products are symmetric.
        #[test]
        fn the_pseudo_inverse_is_the_one_of_moore_and_penrose(
            m in 1..9_usize, n in 1..9_usize, rank in 0..6_usize, seed in 0..99_u64,
        ) {
            let rank = rank.min(m).min(n);
            let a = product(&draw(seed, m, rank), &draw(seed + 100, rank, n));
            let svd = Svd::of(&a).unwrap();
            prop_assume!(rank == 0 || svd.values[rank - 1] > 1e-3);
            let plus = svd.pseudo_inverse().unwrap();
            let (left, right) = (product(&a, &plus), product(&plus, &a));
            let slack = 8.0 * BOUND * (1.0 + a.norm() * plus.norm());
            prop_assert!(gap(&product(&left, &a), &a) <= slack * a.norm());
            prop_assert!(gap(&product(&right, &plus), &plus) <= slack * plus.norm());
            prop_assert!(gap(&left, &left.transpose()) <= slack && gap(&right, &right.transpose()) <= slack);
            // The shortest solution: A⁺·b, without a part that A does not see.
            let b = draw(seed + 200, m, 2);
            let x = svd.solve(&b).unwrap();
            prop_assert!(gap(&x, &product(&plus, &b)) <= slack * plus.norm() * b.norm());
            prop_assert!(gap(&product(&right, &x), &x) <= slack * x.norm());
        }

        #[test]
        fn a_transpose_has_the_same_singular_values(a in matrices(1..9)) {
            let (one, other) = (Svd::of(&a).unwrap(), Svd::of(&a.transpose()).unwrap());
            for (s, t) in one.values.iter().zip(&other.values) {
                prop_assert!((s - t).abs() <= BOUND * a.norm());
            }
            prop_assert_eq!(one.rank_above(1e-9 * a.norm()), other.rank_above(1e-9 * a.norm()));
        }

        #[test]
        fn the_rank_of_a_product(m in 1..9_usize, n in 1..9_usize, rank in 0..5_usize, seed in 0..99_u64) {
            let rank = rank.min(m).min(n);
            let (a, b) = (draw(seed, m, rank), draw(seed + 100, rank, n));
            let rounding = 64.0 * f64::EPSILON * a.norm() * b.norm();
            let values = |m: &Matrix<f64>| Svd::of(m).unwrap().values;
            let worst = |m: &Matrix<f64>| values(m).last().copied().unwrap_or(1.0);
            prop_assume!(worst(&a) * worst(&b) > rounding);
            prop_assert_eq!(Svd::of(&product(&a, &b)).unwrap().rank_above(rounding), rank);
        }
    }

    #[test]
    fn inverses_beyond_the_range_are_refused() {
        let tiny = Svd::of(&Matrix::from_diagonal_element(2, 2, 5e-324)).unwrap();
        assert!(matches!(tiny.pseudo_inverse(), Err(Error::Range { .. })));
        assert!(matches!(tiny.solve(&Matrix::repeat(2, 1, 1.0)), Err(Error::Range { .. })));
        assert!((tiny.solve(&Matrix::repeat(2, 1, 5e-324)).unwrap()[0] - 1.0).abs() < 1e-15);
        assert!(tiny.solve(&Matrix::zeros(3, 1)).is_err());
        assert!(tiny.solve(&Matrix::repeat(2, 1, f64::NAN)).is_err());
        let none = Svd::of(&Matrix::zeros(2, 3)).unwrap();
        assert_eq!(none.pseudo_inverse().unwrap(), Matrix::zeros(3, 2));
        assert_eq!(
            Svd::of(&Matrix::zeros(0, 3)).unwrap().pseudo_inverse().unwrap().shape(),
            (3, 0)
        );
    }
}
