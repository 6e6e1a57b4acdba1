//! The outer product of two vectors: a matrix of rank one.
//!
//! Formula: <var>A = x·yᵀ</var>, <var>aᵢⱼ = xᵢ·yⱼ</var>.
//! In a transformer: the gradient of a weight is a sum of outer products, one per token; a low-rank adapter is a sum of
//! r of them.
//! Source: Golub and Van Loan, *Matrix Computations*, section 1.1.

use crate::{Matrix, Real};

/// Returns <var>A = x·yᵀ</var>: (length of x × length of y).
///
/// Floats: IEEE, element by element.
///
/// ```
/// use linalg::{matrix, outer::outer};
/// assert_eq!(outer(&[1.0, 2.0], &[3.0, 5.0]), matrix(2, 2, &[3.0, 6.0, 5.0, 10.0]));
/// ```
#[doc(alias = "ger")]
pub fn outer<T: Real>(x: &[T], y: &[T]) -> Matrix<T> {
    Matrix::from_fn(x.len(), y.len(), |i, j| x[i] * y[j])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::vectors;
    use crate::{decomposition::svd::Svd, norm};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_singular_value_and_it_is_the_product_of_lengths(x in vectors(1..9), y in vectors(1..9)) {
            let svd = Svd::of(&outer(&x, &y)).unwrap();
            let size = norm::l2(&x) * norm::l2(&y);
            prop_assert!((svd.values[0] - size).abs() <= 64.0 * f64::EPSILON * size);
            prop_assert!(svd.rank() == usize::from(size > 0.0));
        }
    }
}
