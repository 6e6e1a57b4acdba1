//! z-loss: keeps softmax's denominator near one.
//!
//! Formula: <var>α·(ln Z)²</var>, <var>Z = Σ e^z</var>. Softmax does not depend on a number added to all logits, so
//! without this loss they may drift beyond the range of low precision. The gradient is <var>2α·ln Z·softmax(z)</var>.
//! Source: Chowdhery et al. 2022 (PaLM), section 5, <var>α = 10⁻⁴</var>; the textbook's section 6.5.

use crate::{InfoError, distribution};
use linalg::Real;
use probability::softmax::log_sum_exp;

/// Returns <var>α·(ln Σ e^z)²</var> of one token's logits; at least 0, and 0 if <var>e^z</var> sum to one.
///
/// # Errors
/// If a logit is NaN or +∞, there are none, all are −∞, or α is negative or not finite.
///
/// ```
/// use infotheory::objective::z_loss::of_logits;
/// let logits = [2.0, 1.0, 0.5, -1.0, 0.1]; // ln Z = 2.582419671
/// assert!((of_logits(&logits, 1e-4)? - 6.668891357e-4_f64).abs() < 1e-12);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn of_logits<T: Real>(logits: &[T], alpha: T) -> Result<T, InfoError> {
    let found = alpha.to_f64();
    if !(found >= 0.0 && found.is_finite()) {
        return Err(InfoError::Parameter { what: "α", found, expected: "finite, 0 or more" });
    }
    distribution::check_logits(0, logits)?;
    let ln_z = log_sum_exp(logits);
    Ok(alpha * ln_z * ln_z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_shift_matters(z in prop::collection::vec(-9f64..9.0, 1..9), shift in -50f64..50.0) {
            let ln_z = log_sum_exp(&z);
            let centred: Vec<f64> = z.iter().map(|z| z - ln_z + shift).collect();
            let found = of_logits(&centred, 0.5).unwrap();
            prop_assert!((found - 0.5 * shift * shift).abs() <= 1e-13 * (1.0 + 100.0 * shift.abs()));
        }
    }

    #[test]
    fn hard_floats() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for bad in [&[][..], &[nan], &[inf], &[-inf]] {
            assert!(of_logits(bad, 1.0).is_err());
        }
        for alpha in [-1.0, nan, inf] {
            assert!(of_logits(&[0.0], alpha).is_err());
        }
        assert_eq!(of_logits(&[0.0], 1.0), Ok(0.0));
        assert_eq!(of_logits(&[-0.0, -inf], 1.0), Ok(0.0));
        assert_eq!(of_logits(&[1e200], 1.0), Ok(inf));
        assert_eq!(of_logits(&[1e200], 0.0), Ok(0.0));
        assert_eq!(of_logits(&[5e-324], 1.0), Ok(0.0));
    }
}
