//! Label smoothing: cross-entropy with a target that is not one-hot.
//!
//! Formula: the target is <var>(1 − α)·one-hot(y) + α·uniform</var>, so the loss is
//! L = <var>(1 − α)·(−ln p_y) + α·mean</var> over classes of −ln p_j, which is
//! <var>ln Σe^z − (1 − α)·z_y − α·mean(z)</var>. Its minimum is not 0 but the entropy of the target: logits do not grow
//! without bound.
//! Source: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4 (α = 0.1).

use crate::units::Nats;
use crate::{InfoError, cross_entropy, distribution};
use linalg::Real;
use linalg::accurate;

/// Returns the smoothed cross-entropy of one token's logits.
///
/// The loss of a logit of −∞ is ∞ if α > 0: every class has a positive target.
///
/// # Errors
/// Like [`cross_entropy::of_logits`]; and if α is outside [0, 1].
///
/// ```
/// use infotheory::objective::label_smoothing::of_logits;
/// let logits = [2.0, 1.0, 0.5, -1.0, 0.1];
/// assert!((of_logits(&logits, 0, 0.0)?.0 - 0.582419671_f64).abs() < 1e-9); // the plain one
/// // 0.9·z_y + 0.1·mean(z) = 1.852 instead of z_y = 2
/// assert!((of_logits(&logits, 0, 0.1)?.0 - 0.730419671).abs() < 1e-9);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "label_smoothing")]
pub fn of_logits<T: Real>(logits: &[T], target: usize, alpha: T) -> Result<Nats<T>, InfoError> {
    let found = alpha.to_f64();
    if !(0.0..=1.0).contains(&found) {
        return Err(InfoError::Parameter { what: "α", found, expected: "between 0 and 1" });
    }
    let plain = cross_entropy::of_logits(logits, target)?;
    let n = T::from_f64(logits.len() as f64);
    // −ln p_j = −ln p_m + (z_m − z_j) with the largest logit z_m: two numbers that are at least 0.
    let m = (0..logits.len()).fold(0, |m, j| if logits[j] > logits[m] { j } else { m });
    let over = accurate::sum(logits.iter().map(|&z| (logits[m] - z) / n));
    let mean = cross_entropy::of_logits(logits, m)?.0 + over;
    // A part of weight 0 adds nothing, even if it is ∞; its slope in α counts.
    let share = |nats: T, weight: T| {
        let nothing = weight == T::zero() && nats.to_f64().is_infinite();
        if nothing { T::zero() } else { weight * nats }
    };
    Ok(Nats(share(plain.0, T::one() - alpha) + share(mean, alpha)))
}

/// Returns the smoothed target <var>(1 − α)·one-hot(y) + α/n</var>.
///
/// # Errors
/// If the target is not a class, or α is outside [0, 1].
///
/// ```
/// use infotheory::objective::label_smoothing::target;
/// assert_eq!(target(4, 2, 0.2)?, [0.05, 0.05, 0.8500000000000001, 0.05]);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn target<T: Real>(classes: usize, y: usize, alpha: T) -> Result<Vec<T>, InfoError> {
    if y >= classes {
        return Err(InfoError::Target { place: 0, found: y, classes });
    }
    let found = alpha.to_f64();
    if !(0.0..=1.0).contains(&found) {
        return Err(InfoError::Parameter { what: "α", found, expected: "between 0 and 1" });
    }
    let share = alpha / T::from_f64(classes as f64);
    let p: Vec<T> =
        (0..classes).map(|j| if j == y { T::one() - alpha + share } else { share }).collect();
    distribution::check("the target", &p)?;
    Ok(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::entropy;
    use probability::softmax::softmax;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_cross_entropy_with_its_target(
            z in prop::collection::vec(-20f64..20.0, 2..12), y in 0usize..12, alpha in 0f64..=1.0,
        ) {
            let y = y % z.len();
            let found = of_logits(&z, y, alpha).unwrap().0;
            let target = target(z.len(), y, alpha).unwrap();
            let expected = cross_entropy::cross_entropy(&target, &softmax(&z)).unwrap().0;
            prop_assert!((found - expected).abs() <= 1e-13 * (1.0 + expected));
            // At least the entropy of the target.
            prop_assert!(found >= entropy(&target).unwrap().0 - 1e-13);
        }
    }

    #[test]
    fn hard_floats() {
        let inf = f64::INFINITY;
        for alpha in [-0.1, 1.1, f64::NAN, inf] {
            assert!(of_logits(&[0.0, 1.0], 0, alpha).is_err() && target(2, 0, alpha).is_err());
        }
        assert!(of_logits(&[f64::NAN], 0, 0.1).is_err() && of_logits::<f64>(&[], 0, 0.1).is_err());
        assert!(of_logits(&[-inf; 2], 0, 0.1).is_err() && of_logits(&[0.0], 1, 0.1).is_err());
        assert!(target(0, 0, 0.1).is_err());
        assert_eq!(of_logits(&[0.0, -inf], 0, 0.1).unwrap().0, inf);
        assert_eq!(of_logits(&[0.0, -inf], 0, 0.0).unwrap().0, 0.0);
        assert_eq!(of_logits(&[3.0], 0, 0.5).unwrap().0, 0.0);
        assert_eq!(of_logits(&[1e308, 1e308], 0, 1.0).unwrap().to_bits().0, 1.0);
        assert_eq!(of_logits(&[-0.0, 5e-324], 1, 0.5).unwrap().to_bits().0, 1.0);
    }
}
