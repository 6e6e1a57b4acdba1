//! Orthonormal bases of the span of a matrix's columns.
//!
//! Formula (Gram and Schmidt): <var>q = a − Σ qᵢ·(qᵢᵀ·a)</var>, then <var>q / ‖q‖</var>, column after column. The
//! subtraction is repeated if less than half of the length was left, because cancellation magnifies rounding errors
//! ("twice is enough", Kahan and Parlett). In a transformer: the subspace in which a low-rank adapter changes a weight;
//! directions that are projected away.
//! Source: Golub and Van Loan, *Matrix Computations*, section 5.2; Giraud, Langou, Rozložník, 2005.
//!
//! Implemented here instead of taken from nalgebra, so that it works on dual numbers.

use crate::norm::{direction, l2};
use crate::{Error, Matrix, Real, error::finite, vector};

/// Returns orthonormal columns with the same span as the columns of A: (rows × rank).
///
/// A column is dropped if subtracting the previous ones leaves less than `tolerance` of its length; √ε of the scalar,
/// 1e-8 in `f64`, is a good choice. The first column keeps its direction.
///
/// Floats: columns of any finite scale. The result has no columns if A has none, or only zeros.
///
/// # Errors
/// NaN and ±∞; a tolerance that is not between 0 and 1.
///
/// ```
/// use linalg::{basis::orthonormal, matrix};
/// let a = matrix(2, 3, &[3.0, 4.0, 6.0, 8.0, 1.0, 0.0]); // the second is twice the first
/// let q = orthonormal(&a, 1e-8)?;
/// assert!((q - matrix(2, 2, &[0.6, 0.8, 0.8, -0.6])).norm() < 1e-15);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "orth")]
#[doc(alias = "gram_schmidt")]
pub fn orthonormal<T: Real>(a: &Matrix<T>, tolerance: f64) -> Result<Matrix<T>, Error> {
    finite("A", a)?;
    if !(0.0..=1.0).contains(&tolerance) {
        let name = "the tolerance";
        return Err(Error::Range { name, value: tolerance, range: "between 0 and 1" });
    }
    let mut basis: Vec<Vec<T>> = Vec::new();
    for a in a.column_iter() {
        // Once the basis is full, any further column leaves only rounding errors.
        if basis.len() == a.nrows() {
            break;
        }
        let Ok(mut q) = direction("A", a.data.into_slice()) else { continue };
        let mut left = T::one();
        // Four passes are more than enough: the rest of a rounding error is random.
        for _ in 0..4 {
            remove(&basis, &mut q);
            let norm = l2(&q);
            left *= norm;
            if left.to_f64() <= tolerance {
                break;
            }
            q.iter_mut().for_each(|q| *q /= norm);
            if norm.to_f64() > 0.5 {
                break;
            }
        }
        if left.to_f64() > tolerance {
            basis.push(q);
        }
    }
    let elements = basis.iter().flatten().copied();
    Ok(Matrix::from_iterator(a.nrows(), basis.len(), elements))
}

/// Computes <var>q ← q − Σ qᵢ·(qᵢᵀ·q)</var>, the part of q orthogonal to an orthonormal basis.
pub(crate) fn remove<T: Real>(basis: &[Vec<T>], q: &mut [T]) {
    for known in basis {
        let share = vector::dot(known, q);
        vector::axpy(q, -share, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::svd::Svd;
    use crate::laws::{draw, gap, matrices, product, skew};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_are_orthonormal_and_span(a in matrices(1..9)) {
            let q = orthonormal(&a, 1e-8).unwrap();
            // Each of at most 36 inner products has an error of ε for sums of up to 8 terms, twice.
            prop_assert!(skew(&q) <= 64.0 * f64::EPSILON, "{}", skew(&q));
            let again = product(&q, &product(&q.transpose(), &a));
            prop_assert!(gap(&again, &a) <= 1e-7 * a.norm());
        }

        #[test]
        fn as_many_columns_as_the_rank(m in 1..9_usize, n in 1..9_usize, rank in 1..5_usize, seed in 0..99_u64) {
            let rank = rank.min(m).min(n);
            let a = product(&draw(seed, m, rank), &draw(seed + 100, rank, n));
            prop_assume!(Svd::of(&a).unwrap().values[rank - 1] > 1e-3);
            prop_assert_eq!(orthonormal(&a, 1e-8).unwrap().ncols(), rank);
        }
    }

    #[test]
    fn almost_dependent_columns_come_out_orthogonal() {
        // Läuchli's matrix, on which a single pass of Gram and Schmidt loses all digits.
        let e = 1e-7;
        let a = Matrix::from_column_slice(
            4,
            3,
            &[1.0, e, 0.0, 0.0, 1.0, 0.0, e, 0.0, 1.0, 0.0, 0.0, e],
        );
        let q = orthonormal(&a, 1e-12).unwrap();
        assert_eq!(q.ncols(), 3);
        assert!(skew(&q) <= 64.0 * f64::EPSILON, "{}", skew(&q));
    }
}
