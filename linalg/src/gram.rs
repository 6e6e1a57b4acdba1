//! The Gram matrix: all dot products of a set of vectors.
//!
//! Formula: <var>G = Xᵀ·X</var>, <var>gᵢⱼ = xᵢ·xⱼ</var> for the columns of X. G is symmetric and positive semidefinite:
//! <var>vᵀ·G·v = ‖X·v‖² ≥ 0</var>. In a transformer: attention scores are a Gram
//! matrix of queries with keys; a covariance is a Gram matrix of centred features.
//! Source: Horn and Johnson, *Matrix Analysis*, theorem 7.2.10.

use crate::{Matrix, Real, apply::multiply, transposed};

/// Returns <var>G = Xᵀ·X</var>, for X (features × n): (n × n).
///
/// Floats: IEEE; NaN and ∞ propagate. For X without columns the result is 0 × 0; for X without rows it is all zeros.
///
/// ```
/// use linalg::{gram::gram, matrix};
/// let x = matrix(2, 2, &[1.0, 2.0, 3.0, -1.0]);
/// assert_eq!(gram(&x), matrix(2, 2, &[5.0, 1.0, 1.0, 10.0]));
/// ```
#[doc(alias = "syrk")]
pub fn gram<T: Real>(x: &Matrix<T>) -> Matrix<T> {
    multiply(transposed(x.as_view()), x.as_view())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::symmetric::SymmetricEigen;
    use crate::laws::{draw, matrices, product};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn symmetric_and_never_negative(x in matrices(1..9), seed in 0..99_u64) {
            let g = gram(&x);
            let bound = 64.0 * f64::EPSILON * g.norm();
            prop_assert!((&g - g.transpose()).norm() <= bound);
            let v = draw(seed, x.ncols(), 1);
            let energy = product(&x, &v).norm_squared();
            let form = v.dot(&product(&g, &v));
            prop_assert!((form - energy).abs() <= bound * v.norm_squared());
            let spectrum = SymmetricEigen::of(&g).unwrap().values;
            prop_assert!(spectrum.iter().all(|&l| l >= -bound));
        }
    }
}
