//! The eigendecomposition of a symmetric matrix.
//!
//! Formula: <var>A = V·diag(λ)·Vᵀ</var> with orthonormal eigenvectors, <var>A·v = λ·v</var>.
//! In a transformer: a product of layers explodes if |λ| > 1 and vanishes if |λ| < 1; the Hessian's spectrum
//! distinguishes a minimum from a saddle and bounds the learning rate; a covariance's eigenvectors are principal
//! components.
//! Source: the textbook's A.1 and A.3; Golub and Van Loan, *Matrix Computations*, section 8.3. The iteration is
//! nalgebra's. In `f64` only: an eigenvector is not differentiable where eigenvalues coincide.

use crate::error::{finite, in_range, square};
use crate::norm::{linf, power_of_two};
use crate::{Error, Matrix, apply::multiply, transposed};

/// The decomposition <var>A = V·diag(λ)·Vᵀ</var>.
///
/// ```
/// use linalg::{matrix, symmetric::SymmetricEigen};
/// let eigen = SymmetricEigen::of(&matrix(2, 2, &[2.0, 1.0, 1.0, 2.0]))?;
/// assert!((eigen.values[0] - 3.0).abs() < 1e-15 && (eigen.values[1] - 1.0).abs() < 1e-15);
/// let v = eigen.vectors.column(0); // along (1, 1)
/// assert!((v[0] - v[1]).abs() < 1e-15);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "eigh")]
#[doc(alias = "eigvalsh")]
#[derive(Clone, Debug, PartialEq)]
pub struct SymmetricEigen {
    /// The eigenvalues, largest first.
    pub values: Vec<f64>,
    /// The eigenvector of each eigenvalue, a column of length 1; its sign is arbitrary.
    pub vectors: Matrix<f64>,
}

/// The largest allowed asymmetry, relative to the largest element: half of the digits, as in a Hessian computed in two
/// ways.
const ASYMMETRY: f64 = 1e-8;

impl SymmetricEigen {
    /// Decomposes <var>(A + Aᵀ)/2</var>, after a check that A is symmetric up to 1e-8 of its largest element.
    ///
    /// Floats: any scale for which the eigenvalues are finite. Each eigenvalue is accurate to a few ε·‖A‖. A 0 × 0
    /// matrix has none.
    ///
    /// # Errors
    /// A matrix that is not square or not symmetric; NaN and ±∞; an eigenvalue that overflows.
    pub fn of(a: &Matrix<f64>) -> Result<Self, Error> {
        let n = square("A", a)?;
        finite("A", a)?;
        if n == 0 {
            return Ok(SymmetricEigen { values: Vec::new(), vectors: Matrix::zeros(0, 0) });
        }
        // Scaled by a power of two near the largest element, so that no bound underflows and no difference overflows.
        let scale = match power_of_two(linf(a.as_slice())) {
            0.0 => 1.0,
            scale => scale,
        };
        let a = a / scale;
        let bound = ASYMMETRY * linf(a.as_slice());
        for column in 0..n {
            for row in column + 1..n {
                let difference = a[(row, column)] - a[(column, row)];
                if difference.abs() > bound {
                    let difference = scale * difference;
                    return Err(Error::NotSymmetric { operand: "A", row, column, difference });
                }
            }
        }
        let a = (&a + a.transpose()) * 0.5;
        // Two or three iterations per eigenvalue are usual.
        let iterations = 100 * (n + 10);
        let mut eigen = Self::iterate(a, iterations)?;
        eigen.values.iter_mut().for_each(|value| *value *= scale);
        in_range("the largest eigenvalue", eigen.values.first())?;
        in_range("the smallest eigenvalue", eigen.values.last())?;
        Ok(eigen)
    }

    fn iterate(a: Matrix<f64>, iterations: usize) -> Result<Self, Error> {
        let mut order: Vec<usize> = (0..a.nrows()).collect();
        let eigen = nalgebra::SymmetricEigen::try_new(a, f64::EPSILON, iterations);
        let eigen = eigen.ok_or(Error::NotConverged { what: "the spectrum", iterations })?;
        order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]));
        Ok(SymmetricEigen {
            values: order.iter().map(|&i| eigen.eigenvalues[i]).collect(),
            vectors: eigen.eigenvectors.select_columns(&order),
        })
    }

    /// Returns the matrix function <var>V·diag(f(λ))·Vᵀ</var>: for <var>f(x) = x</var> the matrix itself, for √ its
    /// square root.
    ///
    /// ```
    /// use linalg::{matrix, symmetric::SymmetricEigen};
    /// let root = SymmetricEigen::of(&matrix(2, 2, &[5.0, 4.0, 4.0, 5.0]))?.map(f64::sqrt);
    /// assert!((root - matrix(2, 2, &[2.0, 1.0, 1.0, 2.0])).norm() < 1e-14);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "funm")]
    #[doc(alias = "sqrtm")]
    #[doc(alias = "expm")]
    #[doc(alias = "logm")]
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Matrix<f64> {
        let mut scaled = self.vectors.clone();
        for (mut v, &value) in scaled.column_iter_mut().zip(&self.values) {
            v *= f(value);
        }
        multiply(scaled.as_view(), transposed(self.vectors.as_view()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{gap, product, skew, symmetric};
    use crate::{decomposition::lu, norm};
    use proptest::prelude::*;

    /// Relative to ‖A‖: an iteration of a few rotations for each of up to 7 eigenvalues.
    const BOUND: f64 = 128.0 * f64::EPSILON;

    proptest! {
        #[test]
        fn spectral_theorem(a in symmetric(1..8)) {
            let eigen = SymmetricEigen::of(&a).unwrap();
            prop_assert!(skew(&eigen.vectors) <= BOUND);
            prop_assert!(gap(&eigen.map(|x| x), &a) <= BOUND * a.norm());
            prop_assert!(eigen.values.is_sorted_by(|a, b| a >= b));
            let av = product(&a, &eigen.vectors);
            for (j, &value) in eigen.values.iter().enumerate() {
                let v = eigen.vectors.column(j);
                prop_assert!((av.column(j) - v * value).norm() <= BOUND * a.norm());
            }
        }

        #[test]
        fn trace_and_norm_are_sums_over_the_spectrum(a in symmetric(1..8)) {
            let values = SymmetricEigen::of(&a).unwrap().values;
            let trace = lu::trace(&a).unwrap();
            prop_assert!((values.iter().sum::<f64>() - trace).abs() <= BOUND * a.norm());
            prop_assert!((norm::l2(&values) - a.norm()).abs() <= BOUND * a.norm());
        }

        #[test]
        fn a_rayleigh_quotient_lies_within_the_spectrum(a in symmetric(1..8), seed in 0..99_u64) {
            let values = SymmetricEigen::of(&a).unwrap().values;
            let v = crate::laws::draw(seed, a.nrows(), 1);
            let quotient = v.dot(&product(&a, &v)) / v.norm_squared();
            let slack = BOUND * a.norm();
            prop_assert!(quotient <= values[0] + slack);
            prop_assert!(quotient >= values[values.len() - 1] - slack);
        }
    }

    #[test]
    fn iterations_that_run_out_are_an_error() {
        let a = crate::laws::draw(1, 9, 9);
        let error = SymmetricEigen::iterate(&a + a.transpose(), 1).unwrap_err();
        assert_eq!(error.to_string(), "the spectrum did not converge in 1 iterations");
    }

    #[test]
    fn an_asymmetric_matrix_is_refused_by_place() {
        let a = Matrix::from_column_slice(2, 2, &[1.0, 2.0, 3.0, 4.0]);
        let error = SymmetricEigen::of(&a).unwrap_err();
        let expected = Error::NotSymmetric { operand: "A", row: 1, column: 0, difference: -1.0 };
        assert_eq!(error, expected);
    }
}
