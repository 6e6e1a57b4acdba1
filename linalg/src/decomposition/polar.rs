//! The polar decomposition: every matrix is a stretch, and then a rotation.
//!
//! Formula: <var>A = Q·H</var> with <var>Q = U·Vᵀ</var> for <var>A = U·diag(σ)·Vᵀ</var>, and a symmetric H without negative
//! eigenvalues. Q is the orthogonal matrix nearest to A. By products alone (Newton and Schulz): <var>X₀ = A/‖A‖_F</var>, then
//! <var>X ← X·(15·I − 10·G + 3·G²)/8</var> with <var>G = XᵀX</var>; every singular value goes to 1, with the cube of its error
//! near 1 and by a factor of up to 15/8 far below it.
//! In a transformer: what Muon's update approximates ([`crate::newton_schulz`] ends in a band around 1 after five
//! iterations); the rotation that fits one space of embeddings to another (Procrustes).
//! Source: Higham, *Functions of Matrices*, sections 8.1 and 8.6; Björck and Bowie, 1971, for the polynomial.

use crate::apply::multiply;
use crate::decomposition::newton_schulz::{NewtonSchulz, normalise};
use crate::error::finite;
use crate::norm::l2;
use crate::real::epsilon;
use crate::{Error, Matrix, Real, transposed};

/// The coefficients a, b, c of X, G·X and G²·X.
const COEFFICIENTS: [f64; 3] = [15.0 / 8.0, -10.0 / 8.0, 3.0 / 8.0];

/// The maximum number of iterations: enough for singular values down to about 10⁻²⁰ of ‖A‖_F, below all rounding.
const ITERATIONS: usize = 80;

/// The factors of <var>A = Q·H</var>.
///
/// ```
/// use linalg::{matrix, polar::Polar};
/// let a = matrix(2, 2, &[0.0, 2.0, -3.0, 0.0]); // a quarter turn of diag(2, 3)
/// let polar = Polar::of(&a)?;
/// assert!((polar.orthogonal - matrix(2, 2, &[0.0, 1.0, -1.0, 0.0])).norm() < 1e-14);
/// assert!((polar.stretch - matrix(2, 2, &[2.0, 0.0, 0.0, 3.0])).norm() < 1e-14);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "procrustes")]
#[derive(Clone, Debug, PartialEq)]
pub struct Polar<T: Real> {
    /// Q, of the shape of A: its columns are orthonormal, or its rows if there are fewer.
    pub orthogonal: Matrix<T>,
    /// H, (columns × columns).
    pub stretch: Matrix<T>,
}

impl<T: Real> Polar<T> {
    /// Decomposes A. Q does not depend on the scale of A.
    ///
    /// # Errors
    /// NaN and ±∞; a matrix without full rank, whose Q is not unique ([`Error::NotConverged`]).
    pub fn of(a: &Matrix<T>) -> Result<Self, Error> {
        finite("A", a)?;
        let (rows, columns) = a.shape();
        let mut q = a.clone();
        let least = rows.min(columns);
        let failed = Error::NotConverged {
            what: "the orthogonal factor, which only a matrix of full rank has,",
            iterations: ITERATIONS,
        };
        if least > 0 && !normalise(q.as_mut_slice()) {
            return Err(failed);
        }
        let mut memory = NewtonSchulz::new([(rows, columns)]);
        // An error below ∛ε is below ε one iteration later; another one brings a derivative along.
        let near = epsilon::<T>().cbrt();
        let mut close = least == 0;
        for _ in 0..ITERATIONS {
            if close {
                break;
            }
            let gram = memory.step(q.as_mut_slice(), rows, columns, COEFFICIENTS);
            let mut apart = gram.to_vec();
            apart.iter_mut().step_by(least + 1).for_each(|x| *x -= T::one());
            close = l2(&apart).to_f64() <= near;
        }
        if !close {
            return Err(failed);
        }
        if least > 0 {
            memory.step(q.as_mut_slice(), rows, columns, COEFFICIENTS);
        }
        let h = multiply(transposed(q.as_view()), a.as_view());
        let half = T::from_f64(0.5);
        let stretch = Matrix::from_fn(columns, columns, |i, j| half * h[(i, j)] + half * h[(j, i)]);
        Ok(Polar { orthogonal: q, stretch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::{svd::Svd, symmetric::SymmetricEigen};
    use crate::laws::{draw, gap, matrices, product, skew};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    proptest! {
        #[test]
        fn a_rotation_and_a_stretch(a in matrices(1..9)) {
            let svd = Svd::of(&a).unwrap();
            let condition = svd.condition_number().unwrap();
            prop_assume!(condition < 1e6);
            let Polar { orthogonal, stretch } = Polar::of(&a).unwrap();
            let tall = if a.nrows() < a.ncols() { orthogonal.transpose() } else { orthogonal.clone() };
            prop_assert!(skew(&tall) <= 64.0 * E, "{}", skew(&tall));
            prop_assert!(gap(&product(&orthogonal, &stretch), &a) <= 64.0 * E * condition * a.norm());
            prop_assert_eq!(&stretch, &stretch.transpose());
            let values = SymmetricEigen::of(&stretch).unwrap().values;
            prop_assert!(values.iter().all(|&x| x >= -64.0 * E * a.norm()));
            // U·Vᵀ.
            let right = product(&svd.u, &svd.v.transpose());
            prop_assert!(gap(&orthogonal, &right) <= 64.0 * E * condition);
        }

        /// Fan and Hoffman: no orthogonal matrix is nearer.
        #[test]
        fn no_rotation_is_nearer(n in 1..7_usize, seed in 0..99_u64) {
            let a = draw(seed, n, n);
            prop_assume!(Svd::of(&a).unwrap().condition_number().unwrap() < 1e6);
            let best = gap(&Polar::of(&a).unwrap().orthogonal, &a);
            let other = crate::qr::Qr::of(&draw(seed + 100, n, n)).unwrap().q();
            prop_assert!(best <= gap(&other, &a) + 1e-9);
        }
    }

    #[test]
    fn small_singular_values_and_what_is_refused() {
        for small in [1e-6, 1e-12] {
            let a = crate::matrix(2, 2, &[1.0, 0.0, 0.0, -small]);
            let polar = Polar::of(&a).unwrap();
            assert!(gap(&polar.orthogonal, &crate::matrix(2, 2, &[1.0, 0.0, 0.0, -1.0])) < 1e-14);
            assert!((polar.stretch[(1, 1)] / small - 1.0).abs() < 1e-14);
        }
        for size in [1e-320, 1e300] {
            let polar = Polar::of(&crate::matrix(1, 1, &[-size])).unwrap();
            assert!(
                (polar.orthogonal[0] + 1.0_f64).abs() < 1e-15
                    && (polar.stretch[0] / size - 1.0).abs() < 1e-3
            );
        }
        let message = Polar::of(&Matrix::repeat(2, 2, 1.0_f64)).unwrap_err().to_string();
        assert!(message.contains("full rank") && message.contains("80 iterations"), "{message}");
        assert!(Polar::of(&Matrix::<f64>::zeros(2, 2)).is_err());
        assert!(Polar::of(&Matrix::repeat(2, 2, f64::NAN)).is_err());
        assert_eq!(Polar::of(&Matrix::<f64>::zeros(0, 3)).unwrap().stretch, Matrix::zeros(3, 3));
    }
}
