//! The size and the singular values of an adapter's product, beside the matrix that it changes.
//!
//! With thin orthonormal bases <var>B = Q·R</var> and <var>Aᵀ = P·S</var>, the singular values of <var>B·A = Q·(R·Sᵀ)·Pᵀ</var> are
//! those of <var>R·Sᵀ</var> (r × r).

use crate::model::adapters::AdapterMarks;
use calculus::{Tape, Var};
use linalg::{Matrix, Real};
use linalg::{basis::orthonormal, svd::Svd};

/// An adapter's product B·A beside its matrix W.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdapterSize {
    /// The name of A.
    pub(crate) name: String,
    /// The factor s.
    pub(crate) factor: f64,
    /// The singular values of B·A, the largest first, as many as the rank; NaN if a number is not finite.
    pub(crate) values: Vec<f64>,
    /// ‖W‖ of the rows that it changes, the Frobenius norm.
    pub(crate) matrix: f64,
    /// Whether the rows' lengths are learned beside.
    pub(crate) rescaled: bool,
}

impl AdapterSize {
    /// Measures an adapter at a recording's parameters.
    pub(crate) fn of<T: Real>(tape: &Tape<T>, own: &AdapterMarks) -> Self {
        let wide = |var: Var| tape.value(var).map(|x| x.to_f64());
        let (matrix, rows) = (tape.weight(own.matrix), tape.shape(own.matrix).rows);
        let changed = matrix.chunks(rows).flat_map(|column| &column[own.rows.clone()]);
        let squares: f64 = changed.map(|w| w.to_f64().powi(2)).sum();
        AdapterSize {
            name: tape.name(own.a).to_owned(),
            factor: own.factor,
            values: singular_values(&wide(own.a), &wide(own.b)),
            matrix: squares.sqrt(),
            rescaled: own.magnitudes.is_some(),
        }
    }

    /// Returns ‖B·A‖, the Frobenius norm.
    pub(crate) fn product(&self) -> f64 {
        self.values.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    /// Returns |s|·‖B·A‖/‖W‖.
    pub(crate) fn ratio(&self) -> f64 {
        self.factor.abs() * self.product() / self.matrix
    }
}

/// Returns the singular values of B·A (m × r, r × n), the largest first; NaN if a number is not finite.
pub(crate) fn singular_values(a: &Matrix<f64>, b: &Matrix<f64>) -> Vec<f64> {
    let found = || {
        let transposed = a.transpose();
        let (q, p) = (orthonormal(b, 0.0)?, orthonormal(&transposed, 0.0)?);
        let (r, s) = (q.transpose() * b, p.transpose() * transposed);
        Ok::<_, linalg::Error>(Svd::of(&(r * s.transpose()))?.values)
    };
    let mut values = found().unwrap_or_else(|_| vec![f64::NAN; a.nrows()]);
    values.resize(a.nrows(), 0.0);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use probability::random::Random;

    #[test]
    fn singular_values_are_those_of_the_product() {
        let random = Random::new(5, 0, 0);
        for (m, r, n) in [(7, 3, 5), (3, 3, 9), (12, 4, 4)] {
            let drawn = |rows, columns, first: u64| {
                Matrix::from_fn(rows, columns, |i, j| random.normal(first + (j * rows + i) as u64))
            };
            let (a, b) = (drawn(r, n, 0), drawn(m, r, 1000));
            let direct = Svd::of(&(&b * &a)).unwrap().values;
            let own = singular_values(&a, &b);
            assert_eq!(own.len(), r);
            for (x, y) in own.iter().zip(&direct) {
                assert!((x - y).abs() < 1e-12 * direct[0], "{own:?} {direct:?}");
            }
        }
    }

    #[test]
    fn a_product_of_zeros_has_zeros() {
        let a = Matrix::from_fn(2, 5, |i, j| (i + j) as f64);
        assert_eq!(singular_values(&a, &Matrix::zeros(4, 2)), [0.0, 0.0]);
        let broken = Matrix::from_element(4, 2, f64::NAN);
        assert!(singular_values(&a, &broken).iter().all(|x| x.is_nan()));
    }
}
