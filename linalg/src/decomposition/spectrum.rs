//! The effective number of directions in a spectrum.
//!
//! Formulas, for singular values σ: stable rank <var>Σσ²/σ₁²</var>; effective rank <var>e^H</var> of
//! <var>pᵢ = σᵢ/Σσ</var>, H in nats; energy of the first k, <var>Σ_{i≤k} σᵢ²/Σσ²</var>. In a transformer: a falling
//! effective rank of a weight during training is a sign of collapse; low-rank adapters work because the change of a
//! weight has a small stable rank.
//! Source: Rudelson and Vershynin, *Sampling from Large Matrices*, 2007 (stable rank); Roy and Vetterli, *The Effective
//! Rank*, 2007.
//!
//! The functions of singular values, as [`Svd`] returns them, accept any order and any scalar, also dual numbers. They
//! do not change if every σ is multiplied by the same number.
//! numbers pass. They do not change when every σ is multiplied by the same number.

use crate::error::finite_elements;
use crate::norm::{linf, power_of_two};
use crate::{Error, Matrix, Real, decomposition::svd::Svd, vector};

/// Returns <var>Σσ²/σ₁² = ‖A‖_F²/‖A‖₂²</var>: between 1 and the rank; 0 if all values are 0.
///
/// # Errors
/// A negative number, NaN or ±∞.
///
/// ```
/// use linalg::spectrum::stable_rank;
/// assert_eq!(stable_rank(&[2.0, 2.0, 0.0])?, 2.0);
/// assert_eq!(stable_rank(&[2.0, 1.0, 0.0])?, 1.25); // continuous, unlike the rank
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn stable_rank<T: Real>(values: &[T]) -> Result<T, Error> {
    let Some(x) = shares(values)? else { return Ok(T::zero()) };
    let most = linf(&x);
    Ok(vector::dot(&x, &x) / (most * most))
}

/// Returns <var>e^(H(p))</var> with <var>pᵢ = σᵢ/Σσ</var>: the number of equal singular values whose distribution has
/// the same entropy. Between 1 and the rank; 0 if all values are 0.
///
/// # Errors
/// A negative number, NaN or ±∞.
///
/// ```
/// use linalg::spectrum::effective_rank;
/// assert!((effective_rank(&[5.0, 5.0, 5.0, 0.0])? - 3.0_f64).abs() < 1e-14);
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn effective_rank<T: Real>(values: &[T]) -> Result<T, Error> {
    let Some(x) = shares(values)? else { return Ok(T::zero()) };
    let sum = vector::sum(&x);
    let entropy = vector::sum_of(x.len(), |i| {
        let p = x[i] / sum;
        // p·ln p → 0 as p → 0.
        if p.to_f64() > 0.0 { -p * p.ln() } else { T::zero() }
    });
    Ok(entropy.exp())
}

/// Returns Σ_{i<k} <var>σᵢ²/Σσ²</var>, the first k singular values' share of the squared norm; 1 if all values are 0.
///
/// # Errors
/// A negative number, NaN or ±∞.
///
/// ```
/// use linalg::spectrum::energy;
/// assert_eq!(energy(&[2.0, 1.0, 0.0], 1)?, 0.8);
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn energy<T: Real>(values: &[T], k: usize) -> Result<T, Error> {
    let Some(x) = shares(values)? else { return Ok(T::one()) };
    let first = &x[..k.min(x.len())];
    Ok(vector::dot(first, first) / vector::dot(&x, &x))
}

/// Returns the values divided by a power of two near the largest; `None` if all are 0.
fn shares<T: Real>(values: &[T]) -> Result<Option<Vec<T>>, Error> {
    let operand = "the spectrum";
    finite_elements(operand, values, values.len())?;
    if let Some(x) = values.iter().find(|x| x.to_f64() < 0.0) {
        let (name, value) = ("a singular value", x.to_f64());
        return Err(Error::Range { name, value, range: "at least 0" });
    }
    let scale = power_of_two(linf(values).to_f64());
    let scaled = || values.iter().map(|&x| x / T::from_f64(scale)).collect();
    Ok((scale > 0.0).then(scaled))
}

/// Returns <var>‖A‖₂</var>, the largest singular value: the largest factor by which A magnifies a 2-norm. In `f64`
/// only, by [`Svd`]; for a matrix given only as a function, see [`crate::krylov`].
///
/// Floats: 0 for a matrix without elements; ∞ if the norm overflows.
///
/// # Errors
/// NaN and ±∞.
///
/// ```
/// use linalg::{matrix, spectrum::spectral_norm};
/// assert_eq!(spectral_norm(&matrix(2, 2, &[3.0, 0.0, 0.0, -4.0])), Ok(4.0));
/// ```
#[doc(alias = "norm")]
pub fn spectral_norm(a: &Matrix<f64>) -> Result<f64, Error> {
    let (svd, scale) = Svd::scaled(a)?;
    Ok(svd.values.first().map_or(0.0, |s| s * scale))
}

/// Returns the nuclear norm <var>‖A‖\_\* = Σ σᵢ</var>, the convex relaxation of rank. In `f64` only, by [`Svd`].
///
/// Floats: 0 for a matrix without elements; ∞ if the sum overflows.
///
/// # Errors
/// NaN and ±∞.
///
/// ```
/// use linalg::{matrix, spectrum::nuclear_norm};
/// assert_eq!(nuclear_norm(&matrix(2, 2, &[3.0, 0.0, 0.0, -4.0])), Ok(7.0));
/// ```
#[doc(alias = "norm")]
pub fn nuclear_norm(a: &Matrix<f64>) -> Result<f64, Error> {
    let (svd, scale) = Svd::scaled(a)?;
    Ok(svd.values.iter().sum::<f64>() * scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{matrices, vectors};
    use crate::norm;
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    proptest! {
        #[test]
        fn one_to_the_rank(x in vectors(1..20)) {
            let x: Vec<f64> = x.into_iter().map(f64::abs).collect();
            let rank = x.iter().filter(|&&x| x > 0.0).count() as f64;
            prop_assume!(rank > 0.0);
            for found in [stable_rank(&x).unwrap(), effective_rank(&x).unwrap()] {
                prop_assert!((1.0 - 32.0 * E..=rank * (1.0 + 32.0 * E)).contains(&found));
            }
        }

        #[test]
        fn stable_is_at_most_effective_squared_shares(x in vectors(1..20)) {
            // Rényi entropies decrease with their order: for the shares of σ², e^H₂ ≥ e^H∞ = stable rank.
            let x: Vec<f64> = x.into_iter().map(f64::abs).collect();
            prop_assume!(norm::linf(&x) > 0.0);
            let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
            let slack = 1.0 + 64.0 * E;
            prop_assert!(stable_rank(&x).unwrap() <= effective_rank(&squares).unwrap() * slack);
        }

        #[test]
        fn scale_does_not_matter(x in vectors(1..20), power in -900..900_i32) {
            let x: Vec<f64> = x.into_iter().map(f64::abs).collect();
            let scaled: Vec<f64> = x.iter().map(|x| x * f64::from(power).exp2()).collect();
            prop_assert_eq!(stable_rank(&x).unwrap(), stable_rank(&scaled).unwrap());
            prop_assert_eq!(effective_rank(&x).unwrap(), effective_rank(&scaled).unwrap());
            prop_assert_eq!(energy(&x, 2).unwrap(), energy(&scaled, 2).unwrap());
        }

        #[test]
        fn stable_rank_is_the_ratio_of_norms(a in matrices(1..8)) {
            prop_assume!(a.norm() > 0.0);
            let found = stable_rank(&Svd::of(&a).unwrap().values).unwrap();
            let ratio = (norm::frobenius(&a) / spectral_norm(&a).unwrap()).powi(2);
            prop_assert!((found - ratio).abs() <= 128.0 * E * ratio);
        }
    }
}
