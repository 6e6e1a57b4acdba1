//! The best approximation of a matrix by a matrix of lower rank.
//!
//! Formula (Eckart and Young): <var>A_k = Σ_{i≤k} σᵢ·uᵢ·vᵢᵀ</var> is nearest to A among all matrices of rank k, with
//! <var>‖A − A_k‖₂ = σ_{k+1}</var> and <var>‖A − A_k‖_F = √Σ_{i>k} σᵢ²</var>. In a transformer: how much of a weight,
//! or of its change by fine-tuning, an adapter of rank k can represent.
//! Source: Eckart and Young, 1936; Mirsky, 1960; Golub and Van Loan, *Matrix Computations*, section 2.4.
//!
//! In `f64` only, like the singular values.

use crate::{Error, Matrix, Shape, apply::multiply, decomposition::svd::Svd, norm};

/// The approximation <var>A_k = left·right</var>, with the discarded singular values.
///
/// ```
/// use linalg::{low_rank::LowRank, matrix};
/// let a = matrix(2, 2, &[3.0, 0.0, 0.0, 1.0]);
/// let best = LowRank::of(&a, 1)?;
/// assert_eq!(best.matrix(), matrix(2, 2, &[3.0, 0.0, 0.0, 0.0]));
/// assert_eq!((best.spectral_error(), best.frobenius_error()), (1.0, 1.0));
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "truncated_svd")]
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// The factor <var>U·diag(σ)</var>, (rows × k).
    pub left: Matrix<f64>,
    /// The factor Vᵀ, (k × columns).
    pub right: Matrix<f64>,
    /// The discarded singular values, largest first.
    pub discarded: Vec<f64>,
}

impl LowRank {
    /// Computes the best approximation of rank k. In `f64` only.
    ///
    /// Floats: any finite scale.
    ///
    /// # Errors
    /// A rank above min(rows, columns); NaN and ±∞.
    pub fn of(a: &Matrix<f64>, k: usize) -> Result<Self, Error> {
        let most = a.nrows().min(a.ncols());
        if k > most {
            let found = Shape::new(a.nrows(), a.ncols());
            return Err(Error::Rank { asked: k, most, found });
        }
        let svd = Svd::of(a)?;
        let (left, right) = svd.factors(k);
        Ok(LowRank { left, right: right.transpose(), discarded: svd.values[k..].to_vec() })
    }

    /// Returns A_k.
    ///
    /// ```
    /// let a = linalg::matrix(2, 2, &[3.0, 0.0, 0.0, 1.0]);
    /// let best = linalg::low_rank::LowRank::of(&a, 1)?.matrix();
    /// assert!((best[(0, 0)] - 3.0).abs() < 1e-15 && best[(1, 1)].abs() < 1e-15); // the larger axis
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn matrix(&self) -> Matrix<f64> {
        multiply(self.left.as_view(), self.right.as_view())
    }

    /// Returns <var>‖A − A_k‖₂ = σ_{k+1}</var>.
    ///
    /// ```
    /// let a = linalg::matrix(2, 2, &[3.0, 0.0, 0.0, 1.0]);
    /// assert!((linalg::low_rank::LowRank::of(&a, 1)?.spectral_error() - 1.0).abs() < 1e-15);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn spectral_error(&self) -> f64 {
        self.discarded.first().copied().unwrap_or(0.0)
    }

    /// Returns <var>‖A − A_k‖_F</var>.
    pub fn frobenius_error(&self) -> f64 {
        norm::l2(&self.discarded)
    }

    /// Returns the number of elements of the two factors: k·(rows + columns).
    pub fn parameters(&self) -> usize {
        self.left.len() + self.right.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::spectrum::spectral_norm;
    use crate::laws::{draw, gap, matrices, product};
    use proptest::prelude::*;

    const BOUND: f64 = 128.0 * f64::EPSILON;

    proptest! {
        #[test]
        fn the_error_is_what_was_left_out(a in matrices(1..8), k in 0..8_usize) {
            let best = LowRank::of(&a, k.min(a.nrows()).min(a.ncols())).unwrap();
            let rest = &a - best.matrix();
            prop_assert!((spectral_norm(&rest).unwrap() - best.spectral_error()).abs() <= BOUND * a.norm());
            prop_assert!((rest.norm() - best.frobenius_error()).abs() <= BOUND * a.norm());
            prop_assert!(Svd::of(&best.matrix()).unwrap().rank_above(BOUND * a.norm()) <= k);
        }

        #[test]
        fn no_competitor_is_nearer(a in matrices(2..8), k in 1..4_usize, seed in 0..9999_u64) {
            let k = k.min(a.nrows()).min(a.ncols());
            let best = LowRank::of(&a, k).unwrap();
            // A random matrix of rank k; the best one perturbed by several sizes; and the first step of alternating
            // least squares: A projected on a random subspace.
            let (x, y) = (draw(seed, a.nrows(), k), draw(seed + 1, k, a.ncols()));
            let mut rivals = vec![product(&x, &y)];
            for size in [1.0, 1e-2, 1e-4] {
                rivals.push(product(&(&best.left + &x * size), &(&best.right + &y * size)));
            }
            let q = crate::decomposition::basis::orthonormal(&product(&a, &y.transpose()), 1e-8).unwrap();
            rivals.push(crate::decomposition::projection::onto_span(&a, &q).unwrap());
            for rival in rivals {
                let rest = &a - rival;
                let slack = BOUND * a.norm();
                prop_assert!(best.frobenius_error() <= rest.norm() + slack);
                prop_assert!(best.spectral_error() <= spectral_norm(&rest).unwrap() + slack);
            }
        }

        #[test]
        fn more_rank_is_nearer_and_all_of_it_is_exact(a in matrices(1..8)) {
            let most = a.nrows().min(a.ncols());
            let errors: Vec<f64> =
                (0..=most).map(|k| LowRank::of(&a, k).unwrap().frobenius_error()).collect();
            prop_assert!(errors.is_sorted_by(|a, b| a >= b));
            prop_assert_eq!(errors[most], 0.0);
            let whole = LowRank::of(&a, most).unwrap();
            prop_assert!(gap(&whole.matrix(), &a) <= BOUND * a.norm());
            prop_assert_eq!(whole.parameters(), most * (a.nrows() + a.ncols()));
        }
    }

    #[test]
    fn a_rank_that_cannot_be_is_refused() {
        let error = LowRank::of(&Matrix::zeros(2, 3), 3).unwrap_err().to_string();
        assert_eq!(error, "rank 3 was asked of a 2×3 matrix, which has at most 2");
    }
}
