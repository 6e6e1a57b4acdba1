//! Differential entropy: information of numbers that are not counted but measured.
//!
//! Formula: <var>h = −∫ p ln p</var>. Of a Gaussian of variance σ²: <var>½ ln(2πe·σ²)</var>; of n
//! dimensions with covariance Σ: <var>½(n·ln 2πe + ln det Σ)</var>. It depends on the unit of
//! measurement and can be negative; differences and KL do not. Of all densities of one variance the
//! Gaussian has the most. In a transformer: the KL to a standard normal is the regulariser of a
//! variational bound (ELBO); the mutual information <var>−½ ln(1 − ρ²)</var> is what a linear probe
//! can find.
//! Source: Shannon 1948, section 20; Cover and Thomas 2006, chapter 8; the textbook's A.2 and A.4.

use crate::InfoError;
use crate::divergence::excess;
use crate::units::Nats;
use linalg::{Matrix, Real};
use probability::gaussian::Gaussian;

/// <var>½ ln(2πe)</var> nats: the entropy of a standard normal.
const STANDARD: f64 = 1.418_938_533_204_673;

fn positive<T: Real>(what: &'static str, x: T) -> Result<f64, InfoError> {
    let found = x.to_f64();
    if found > 0.0 && found.is_finite() {
        Ok(found)
    } else {
        Err(InfoError::Parameter { what, found, expected: "positive and finite" })
    }
}

fn finite<T: Real>(what: &'static str, x: T) -> Result<(), InfoError> {
    let found = x.to_f64();
    if found.is_finite() {
        Ok(())
    } else {
        Err(InfoError::Parameter { what, found, expected: "finite" })
    }
}

/// The differential entropy <var>½ ln(2πe) + ln σ</var> of a Gaussian with standard deviation σ.
///
/// # Errors
/// If σ is not positive and finite.
///
/// ```
/// use infotheory::gaussian::entropy;
/// assert!((entropy(1.0)?.0 - 1.4189385332046727_f64).abs() < 1e-15);
/// assert!(entropy(0.1)?.0 < 0.0); // in centimetres it would be 2.3 nats more
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn entropy<T: Real>(deviation: T) -> Result<Nats<T>, InfoError> {
    positive("the standard deviation", deviation)?;
    Ok(Nats(T::from_f64(STANDARD) + deviation.ln()))
}

/// The differential entropy of a Gaussian of n dimensions, <var>½(n·ln 2πe + ln det Σ)</var>, by
/// Cholesky's decomposition ([`linalg::cholesky`]; f64 only).
///
/// # Errors
/// A matrix that is not symmetric and positive definite.
///
/// ```
/// use infotheory::gaussian::{entropy, entropy_of_covariance};
/// let apart = linalg::matrix(2, 2, &[4.0, 0.0, 0.0, 9.0]);
/// let sum = entropy(2.0)? + entropy(3.0)?;
/// assert!((entropy_of_covariance(&apart)? - sum).0.abs() < 1e-15);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn entropy_of_covariance(covariance: &Matrix<f64>) -> Result<Nats, InfoError> {
    let wrong = InfoError::Covariance { what: "the covariance" };
    let symmetric = covariance.is_square() && *covariance == covariance.transpose();
    if covariance.is_empty() || !symmetric || !covariance.iter().all(|x| x.is_finite()) {
        return Err(wrong);
    }
    let root = linalg::cholesky::Cholesky::of(covariance).map_err(|_| wrong)?;
    // ½ ln det Σ = Σ ln of the diagonal of its root.
    let half = linalg::accurate::sum(root.lower().diagonal().iter().map(|x| x.ln()));
    Ok(Nats(covariance.nrows() as f64 * STANDARD + half))
}

/// <var>KL(N(µ₁, σ₁²) ‖ N(µ₂, σ₂²)) = ln(σ₂/σ₁) + (σ₁² + (µ₁ − µ₂)²)/(2σ₂²) − ½</var>, at least 0.
///
/// With r = σ₁/σ₂ it is <var>½((r² − 1) − ln r²) + ½((µ₁ − µ₂)/σ₂)²</var>.
///
/// # Errors
/// A mean that is not finite, a deviation that is not positive and finite.
///
/// ```
/// use infotheory::gaussian::kl;
/// assert_eq!(kl((0.0, 1.0), (0.0, 1.0))?.0, 0.0);
/// assert_eq!(kl((3.0, 1.0), (0.0, 1.0))?.0, 4.5); // half the squared distance
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn kl<T: Real>(p: (T, T), q: (T, T)) -> Result<Nats<T>, InfoError> {
    finite("the mean of p", p.0)?;
    finite("the mean of q", q.0)?;
    positive("the standard deviation of p", p.1)?;
    positive("the standard deviation of q", q.1)?;
    let half = T::from_f64(0.5);
    let distance = Gaussian::new(q.0, q.1).expect("checked above").standardised(p.0);
    // r − 1, all of whose digits are kept where the deviations are near each other; then r² − 1.
    let d = (p.1 - q.1) / q.1;
    let x = d * (d + T::from_f64(2.0));
    let spread = if x.abs() < T::from_f64(0.25) {
        excess(x)
    } else {
        x - (p.1.ln() - q.1.ln()) * T::from_f64(2.0)
    };
    Ok(Nats(half * spread + half * distance * distance))
}

/// The mutual information <var>−½ ln(1 − ρ²)</var> of two Gaussian variables with correlation ρ. ∞
/// where |ρ| = 1.
///
/// # Errors
/// If ρ is not between −1 and 1.
///
/// ```
/// use infotheory::gaussian::mutual_information;
/// assert_eq!(mutual_information(0.0)?.0, 0.0);
/// assert!((mutual_information(0.75_f64.sqrt())?.to_bits().0 - 1.0).abs() < 1e-15);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn mutual_information<T: Real>(correlation: T) -> Result<Nats<T>, InfoError> {
    let found = correlation.to_f64();
    if !(-1.0..=1.0).contains(&found) {
        let expected = "between -1 and 1";
        return Err(InfoError::Parameter { what: "the correlation", found, expected });
    }
    let (one, square) = (T::one(), correlation * correlation);
    // 1 − ρ² loses its digits where ρ is near 0, and ρ² where it is near 1.
    let both = if square < T::from_f64(0.25) {
        (-square).ln_1p()
    } else {
        ((one - correlation) * (one + correlation)).ln()
    };
    // 0 − x, so that none is +0.
    Ok(Nats(T::zero() - T::from_f64(0.5) * both))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::matrix;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scaling_adds_its_logarithm(s in 1e-100f64..1e100, c in 1e-100f64..1e100) {
            let difference = entropy(s * c).unwrap() - entropy(s).unwrap();
            prop_assert!((difference.0 - c.ln()).abs() <= 1e-13 * (1.0 + c.ln().abs()));
        }

        #[test]
        fn correlation_takes_from_the_joint_entropy_what_is_mutual(
            a in 0.1f64..10.0, b in 0.1f64..10.0, rho in -0.99f64..0.99,
        ) {
            let c = rho * a * b;
            let both = entropy_of_covariance(&matrix(2, 2, &[a * a, c, c, b * b])).unwrap();
            let apart = entropy(a).unwrap() + entropy(b).unwrap();
            let mutual = mutual_information(rho).unwrap();
            prop_assert!((both + mutual - apart).0.abs() < 1e-12);
            prop_assert!(mutual.0 >= 0.0);
        }

        #[test]
        fn kl_is_at_least_nothing(m in -5f64..5.0, s in 0.01f64..10.0, t in 0.01f64..10.0) {
            let found = kl((m, s), (0.0, t)).unwrap().0;
            let formula = (t / s).ln() + (s * s + m * m) / (2.0 * t * t) - 0.5;
            prop_assert!(found >= 0.0 && (found - formula).abs() <= 1e-13 * (1.0 + formula.abs()));
            prop_assert_eq!(kl((m, s), (m, s)).unwrap().0, 0.0);
        }
    }

    #[test]
    fn the_gaussian_has_the_most_entropy_of_its_variance() {
        // A uniform density of width w has the variance w²/12 and the entropy ln w.
        let width = 12.0_f64.sqrt();
        assert!(width.ln() < entropy(1.0).unwrap().0);
    }

    #[test]
    fn hard_floats() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for bad in [0.0, -0.0, -1.0, inf, nan] {
            assert!(entropy(bad).is_err());
            assert!(kl((0.0, bad), (0.0, 1.0)).is_err() && kl((0.0, 1.0), (0.0, bad)).is_err());
        }
        for bad in [inf, -inf, nan] {
            assert!(kl((bad, 1.0), (0.0, 1.0)).is_err() && kl((0.0, 1.0), (bad, 1.0)).is_err());
        }
        for bad in [1.0 + f64::EPSILON, -1.5, nan, inf] {
            assert!(mutual_information(bad).is_err());
        }
        assert_eq!(mutual_information(1.0).unwrap().0, inf);
        assert_eq!(mutual_information(-1.0).unwrap().0, inf);
        assert_eq!(mutual_information(-0.0_f64).unwrap().0.to_bits(), 0);
        assert_eq!(mutual_information(5e-324_f64).unwrap().0, 0.0);
        assert!((entropy(5e-324).unwrap().0 - (STANDARD - 744.4400719213812)).abs() < 1e-11);
        assert!((entropy(1e308).unwrap().0 - (STANDARD + 709.1962086421661)).abs() < 1e-11);
        assert!(
            (kl((0.0, 1e-300), (0.0, 1.0)).unwrap().0 - (690.7755278982137 - 0.5)).abs() < 1e-11
        );
        assert_eq!(kl((0.0, 1e300), (0.0, 1e-300)).unwrap().0, inf);
        for bad in [
            matrix(0, 0, &[]),
            matrix(1, 2, &[1.0, 0.0]),
            matrix(1, 1, &[0.0]),
            matrix(1, 1, &[nan]),
            matrix(1, 1, &[inf]),
            matrix(2, 2, &[1.0, 2.0, 2.0, 1.0]),
            matrix(2, 2, &[1.0, 0.5, 0.4, 1.0]),
        ] {
            assert!(entropy_of_covariance(&bad).is_err(), "{bad}");
        }
        assert_eq!(entropy_of_covariance(&matrix(1, 1, &[1.0])).unwrap().0, STANDARD);
        // ½ ln det = ½ ln 3 + ln scale, also of subnormal numbers and of the largest.
        for scale in [1e-323, 1e-310, 1e-300, 1e300] {
            let pair = matrix(2, 2, &[2.0 * scale, scale, scale, 2.0 * scale]);
            let expected = 2.0 * STANDARD + 0.5 * 3.0_f64.ln() + scale.ln();
            let found = entropy_of_covariance(&pair).unwrap().0;
            assert!((found / expected - 1.0).abs() < 1e-15, "{scale:e}: {found}");
        }
    }
}
