//! Differential entropy: the information of continuous variables.
//!
//! Formula: <var>h = −∫ p ln p</var>. For a Gaussian of variance σ² it is <var>½ ln(2πe·σ²)</var>; for n dimensions
//! with covariance Σ, <var>½(n·ln 2πe + ln det Σ)</var>. It depends on the unit of measurement and can be negative;
//! differences and KL do not depend on it. Of all densities of one variance the Gaussian has the largest entropy. In a
//! transformer: the KL to a standard normal (of several variables, [`multivariate_kl`]) is the regulariser of a variational bound (ELBO); the mutual information
//! <var>−½ ln(1 − ρ²)</var> bounds what a linear probe can find.
//! Source: Shannon 1948, section 20; Cover and Thomas 2006, chapter 8; the textbook's A.2 and A.4.

use crate::InfoError;
use crate::divergence::excess;
use crate::units::Nats;
use linalg::accurate::sum;
use linalg::cholesky::Cholesky;
use linalg::{Matrix, Real};
use probability::{MultivariateGaussian, gaussian::Gaussian};

/// <var>½ ln(2πe)</var> nats: the entropy of a standard normal.
const STANDARD: f64 = 1.418_938_533_204_673;

/// Returns the differential entropy <var>½ ln(2πe) + ln σ</var> of a Gaussian with standard deviation σ.
///
/// ```
/// use infotheory::gaussian::entropy;
/// use probability::gaussian::Gaussian;
/// assert!((entropy(&Gaussian::new(0.0, 1.0)?).0 - 1.4189385332046727_f64).abs() < 1e-15);
/// assert!(entropy(&Gaussian::new(0.0, 0.1)?).0 < 0.0); // in a unit a tenth as large it is 2.3 nats more
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "differential_entropy")]
pub fn entropy<T: Real>(gaussian: &Gaussian<T>) -> Nats<T> {
    Nats(T::from_f64(STANDARD) + gaussian.deviation().ln())
}

/// Returns the differential entropy <var>½(n·ln 2πe + ln det Σ)</var> of a Gaussian of n dimensions (f64 only).
///
/// ```
/// use infotheory::gaussian::{entropy, multivariate_entropy};
/// use probability::{MultivariateGaussian, gaussian::Gaussian};
/// let apart = MultivariateGaussian::new(&[0.0; 2], &linalg::matrix(2, 2, &[4.0, 0.0, 0.0, 9.0]))?;
/// let sum = entropy(&Gaussian::new(0.0, 2.0)?) + entropy(&Gaussian::new(0.0, 3.0)?);
/// assert!((multivariate_entropy(&apart) - sum).0.abs() < 1e-15);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "differential_entropy")]
pub fn multivariate_entropy(gaussian: &MultivariateGaussian) -> Nats {
    Nats(gaussian.dimension() as f64 * STANDARD + 0.5 * gaussian.log_determinant())
}

/// Returns <var>KL(N(µ₁, σ₁²) ‖ N(µ₂, σ₂²)) = ln(σ₂/σ₁) + (σ₁² + (µ₁ − µ₂)²)/(2σ₂²) − ½</var>, at least 0.
///
/// With r = σ₁/σ₂ it is <var>½((r² − 1) − ln r²) + ½((µ₁ − µ₂)/σ₂)²</var>.
///
/// ```
/// use infotheory::gaussian::kl;
/// use probability::gaussian::Gaussian;
/// let standard = Gaussian::new(0.0, 1.0)?;
/// assert_eq!(kl(&standard, &standard).0, 0.0);
/// assert_eq!(kl(&Gaussian::new(3.0, 1.0)?, &standard).0, 4.5); // half the squared distance
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "kl_divergence")]
pub fn kl<T: Real>(p: &Gaussian<T>, q: &Gaussian<T>) -> Nats<T> {
    let half = T::from_f64(0.5);
    let distance = q.standardised(p.mean());
    Nats(half * spread(p.deviation(), q.deviation()) + half * distance * distance)
}

/// Returns <var>(r² − 1) − ln r²</var>, at least 0, for the ratio r of two deviations.
fn spread<T: Real>(own: T, other: T) -> T {
    // r − 1 keeps all digits if the deviations are close; then r² − 1.
    let d = (own - other) / other;
    let x = d * (d + T::from_f64(2.0));
    match x.abs() < T::from_f64(0.25) {
        true => excess(x),
        false => x - (own.ln() - other.ln()) * T::from_f64(2.0),
    }
}

/// Returns the differential entropy <var>½(n·ln 2πe + ln det Σ)</var> of a Gaussian, from the Cholesky factor of its
/// covariance; of any scalar, so that dual numbers differentiate it. [`multivariate_entropy`] takes a checked Gaussian.
///
/// ```
/// use infotheory::gaussian::entropy_of_covariance;
/// use linalg::{cholesky::Cholesky, matrix};
/// let nats = entropy_of_covariance(&Cholesky::of(&matrix(2, 2, &[4.0, 0.0, 0.0, 9.0]))?);
/// assert!((nats.0 - (2.0 * 1.4189385332046727 + 6_f64.ln())).abs() < 1e-15);
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn entropy_of_covariance<T: Real>(covariance: &Cholesky<T>) -> Nats<T> {
    let n = covariance.lower().nrows() as f64;
    Nats(T::from_f64(n * STANDARD) + T::from_f64(0.5) * covariance.log_determinant())
}

/// Returns <var>KL(N(µ₁, Σ₁) ‖ N(µ₂, Σ₂)) = ½(tr Σ₂⁻¹Σ₁ + (µ₁ − µ₂)ᵀΣ₂⁻¹(µ₁ − µ₂) − n + ln(det Σ₂/det Σ₁))</var> of
/// Gaussians in n dimensions, each a mean and the Cholesky factor of its covariance; at least 0.
///
/// With <var>M = L₂⁻¹·L₁</var>, which is lower triangular, it is
/// <var>½(Σᵢ (Mᵢᵢ² − 1 − ln Mᵢᵢ²) + Σ_{i > j} Mᵢⱼ² + |L₂⁻¹(µ₁ − µ₂)|²)</var>: no term is negative, and nothing cancels if
/// the two are nearly equal. Of any scalar, so that dual numbers differentiate it: as
/// the regulariser of a variational bound, or as the distance of two sets of activations.
///
/// # Errors
/// If the dimensions differ, or an element of a mean is infinite or NaN.
///
/// ```
/// use infotheory::gaussian::multivariate_kl;
/// use linalg::{cholesky::Cholesky, matrix};
/// let p = Cholesky::of(&matrix(2, 2, &[1.0, 0.5, 0.5, 1.0]))?;
/// let q = Cholesky::of(&matrix(2, 2, &[1.0, 0.0, 0.0, 1.0]))?;
/// let nats = multivariate_kl((&[0.0; 2], &p), (&[0.0; 2], &q))?;
/// assert!((nats.0 + 0.5 * 0.75_f64.ln()).abs() < 1e-15); // −½ ln(1 − ρ²): the mutual information
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "kl_divergence")]
pub fn multivariate_kl<T: Real>(
    p: (&[T], &Cholesky<T>),
    q: (&[T], &Cholesky<T>),
) -> Result<Nats<T>, InfoError> {
    let n = q.1.lower().nrows();
    for (what, found) in [
        ("the first mean", p.0.len()),
        ("the second mean", q.0.len()),
        ("the first covariance", p.1.lower().nrows()),
    ] {
        if found != n {
            return Err(InfoError::Length { what, found, expected: n });
        }
    }
    if let Some(found) = p.0.iter().chain(q.0).map(|m| m.to_f64()).find(|m| !m.is_finite()) {
        let what = "an element of a mean";
        return Err(InfoError::Parameter { what, found, expected: "finite" });
    }
    let whitened = |b: &Matrix<T>| q.1.whiten(b).expect("as many rows as the factor");
    let m = whitened(p.1.lower());
    let apart = whitened(&Matrix::from_fn(n, 1, |i, _| p.0[i] - q.0[i]));
    let square = |x: T| x * x;
    let own = (0..n).map(|i| spread(p.1.lower()[(i, i)], q.1.lower()[(i, i)]));
    let below = (0..n).flat_map(|j| (j + 1..n).map(move |i| (i, j))).map(|at| square(m[at]));
    let terms = own.chain(below).chain(apart.iter().map(|&d| square(d)));
    Ok(Nats(T::from_f64(0.5) * sum(terms)))
}

/// Returns the mutual information <var>−½ ln(1 − ρ²)</var> of two Gaussian variables with correlation ρ. ∞ if |ρ| = 1.
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
    // 1 − ρ² loses digits if ρ is near 0, and ρ² if it is near 1.
    let both = if square < T::from_f64(0.25) {
        (-square).ln_1p()
    } else {
        ((one - correlation) * (one + correlation)).ln()
    };
    // 0 − x, so that zero is +0.
    Ok(Nats(T::zero() - T::from_f64(0.5) * both))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::matrix;
    use proptest::prelude::*;

    fn normal(mean: f64, deviation: f64) -> Gaussian<f64> {
        Gaussian::new(mean, deviation).unwrap()
    }

    /// The entropy of a Gaussian with this standard deviation.
    fn wide(deviation: f64) -> Nats {
        entropy(&normal(0.0, deviation))
    }

    proptest! {
        #[test]
        fn scaling_adds_its_logarithm(s in 1e-100f64..1e100, c in 1e-100f64..1e100) {
            let difference = wide(s * c) - wide(s);
            prop_assert!((difference.0 - c.ln()).abs() <= 1e-13 * (1.0 + c.ln().abs()));
        }

        #[test]
        fn correlation_takes_from_the_joint_entropy_what_is_mutual(
            a in 0.1f64..10.0, b in 0.1f64..10.0, rho in -0.99f64..0.99,
        ) {
            let c = rho * a * b;
            let both = MultivariateGaussian::new(&[0.0; 2], &matrix(2, 2, &[a * a, c, c, b * b]));
            let both = multivariate_entropy(&both.unwrap());
            let apart = wide(a) + wide(b);
            let mutual = mutual_information(rho).unwrap();
            prop_assert!((both + mutual - apart).0.abs() < 1e-12);
            prop_assert!(mutual.0 >= 0.0);
        }

        #[test]
        fn kl_is_at_least_nothing(m in -5f64..5.0, s in 0.01f64..10.0, t in 0.01f64..10.0) {
            let found = kl(&normal(m, s), &normal(0.0, t)).0;
            let formula = (t / s).ln() + (s * s + m * m) / (2.0 * t * t) - 0.5;
            prop_assert!(found >= 0.0 && (found - formula).abs() <= 1e-13 * (1.0 + formula.abs()));
            prop_assert_eq!(kl(&normal(m, s), &normal(m, s)).0, 0.0);
        }
    }

    /// Independent variables add up; one variable is [`kl`]; a linear map of both changes nothing; near each other the
    /// divergence is of second order.
    #[test]
    fn divergence_in_several_dimensions() {
        let random = probability::Random::new(9, 0, 0);
        let factor = |a: &Matrix<f64>| Cholesky::of(&(a * a.transpose())).unwrap();
        for case in 0..50 {
            let x = |i: u64| random.normal(64 * case + i);
            let square = |at: u64| {
                Matrix::from_fn(3, 3, |i, j| {
                    x(at + (i + 3 * j) as u64) + if i == j { 2.0 } else { 0.0 }
                })
            };
            let (a, b, map) = (square(0), square(9), square(18));
            let (m, n) = ([x(27), x(28), x(29)], [x(30), x(31), x(32)]);
            let (p, q) = (factor(&a), factor(&b));
            let found = multivariate_kl((&m, &p), (&n, &q)).unwrap().0;
            // The formula as it stands.
            let of_p = &a * a.transpose();
            let trace = q.solve(&of_p).unwrap().trace();
            let d = matrix(3, 1, &[m[0] - n[0], m[1] - n[1], m[2] - n[2]]);
            let distance = d.dot(&q.solve(&d).unwrap());
            let logarithm = q.log_determinant() - p.log_determinant();
            let formula = 0.5 * (trace + distance - 3.0 + logarithm);
            assert!(
                found >= 0.0 && (found - formula).abs() <= 1e-9 * (1.0 + found),
                "{found} {formula}"
            );
            let moved = |mean: &[f64; 3]| (&map * matrix(3, 1, mean)).as_slice().to_vec();
            let (am, bm) = (factor(&(&map * &a)), factor(&(&map * &b)));
            let mapped = multivariate_kl((&moved(&m), &am), (&moved(&n), &bm)).unwrap().0;
            assert!((mapped - found).abs() <= 1e-6 * (1.0 + found), "{mapped} {found}");
            assert_eq!(multivariate_kl((&m, &p), (&m, &p)).unwrap().0, 0.0);
            let entropy = entropy_of_covariance(&p).0;
            let checked = MultivariateGaussian::new(&m, &((&of_p + of_p.transpose()) * 0.5));
            assert!((entropy - multivariate_entropy(&checked.unwrap()).0).abs() < 1e-11);
            // One variable.
            let one = |s: f64| Cholesky::of(&matrix(1, 1, &[s * s])).unwrap();
            let (s, t) = (1.0 + x(33).abs(), 1.0 + x(34).abs());
            let single = multivariate_kl((&m[..1], &one(s)), (&n[..1], &one(t))).unwrap().0;
            let known = kl(&normal(m[0], s), &normal(n[0], t)).0;
            assert!((single - known).abs() <= 1e-13 * (1.0 + known));
        }
        let step = 2_f64.powi(-25);
        let near = Cholesky::of(&matrix(2, 2, &[1.0 + step, 0.0, 0.0, 1.0])).unwrap();
        let unit = Cholesky::of(&Matrix::identity(2, 2)).unwrap();
        let nats = multivariate_kl((&[0.0; 2], &near), (&[0.0; 2], &unit)).unwrap().0;
        assert!((nats / (0.25 * step * step) - 1.0).abs() < 1e-6, "{nats:e}");
        let two: [f64; 2] = [0.0; 2];
        assert!(multivariate_kl((&two[..1], &unit), (&two, &unit)).is_err());
        assert!(multivariate_kl((&[0.0, f64::NAN], &unit), (&two, &unit)).is_err());
        let single = Cholesky::of(&Matrix::identity(1, 1)).unwrap();
        assert!(multivariate_kl((&two, &single), (&two, &unit)).is_err());
    }

    #[test]
    fn the_gaussian_has_the_most_entropy_of_its_variance() {
        // A uniform density of width w has the variance w²/12 and the entropy ln w.
        let width = 12.0_f64.sqrt();
        assert!(width.ln() < wide(1.0).0);
    }

    #[test]
    fn hard_floats() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for bad in [1.0 + f64::EPSILON, -1.5, nan, inf] {
            assert!(mutual_information(bad).is_err());
        }
        assert_eq!(mutual_information(1.0).unwrap().0, inf);
        assert_eq!(mutual_information(-1.0).unwrap().0, inf);
        assert_eq!(mutual_information(-0.0_f64).unwrap().0.to_bits(), 0);
        assert_eq!(mutual_information(5e-324_f64).unwrap().0, 0.0);
        assert!((wide(5e-324).0 - (STANDARD - 744.4400719213812)).abs() < 1e-11);
        assert!((wide(1e308).0 - (STANDARD + 709.1962086421661)).abs() < 1e-11);
        assert!(
            (kl(&normal(0.0, 1e-300), &normal(0.0, 1.0)).0 - (690.7755278982137 - 0.5)).abs()
                < 1e-11
        );
        assert_eq!(kl(&normal(0.0, 1e300), &normal(0.0, 1e-300)).0, inf);
        let one = MultivariateGaussian::new(&[0.0], &matrix(1, 1, &[1.0])).unwrap();
        assert_eq!(multivariate_entropy(&one).0, STANDARD);
        // ½ ln det = ½ ln 3 + ln scale, also of subnormal numbers and of the largest.
        for scale in [1e-323, 1e-310, 1e-300, 1e300] {
            let pair = matrix(2, 2, &[2.0 * scale, scale, scale, 2.0 * scale]);
            let expected = 2.0 * STANDARD + 0.5 * 3.0_f64.ln() + scale.ln();
            let found =
                multivariate_entropy(&MultivariateGaussian::new(&[0.0; 2], &pair).unwrap()).0;
            assert!((found / expected - 1.0).abs() < 1e-15, "{scale:e}: {found}");
        }
    }
}
