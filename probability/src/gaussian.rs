//! The Gaussian of one variable: initial weights, noise, errors of means.
//!
//! Formula: <var>p(x) = e^(−(x − µ)²/2σ²)/(σ·√2π)</var>,
//! <var>P(X ≤ x) = ½·(1 + erf((x − µ)/(σ·√2)))</var>.
//! Source: the textbook's A.2; Bishop, *Pattern Recognition and Machine Learning*, section 1.2.4.

use crate::accurate::distance_in;
use crate::error::{ProbabilityError, check_setting};
use crate::random::Random;
use crate::special::LN_ROOT_TAU;
use linalg::Real;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// A Gaussian with mean µ and standard deviation σ > 0, over any scalar: its density can be differentiated.
///
/// ```
/// let g = probability::gaussian::Gaussian::new(0.0_f64, 1.0)?;
/// assert!((g.density(0.0) - 0.3989422804014327).abs() < 1e-16);
/// assert!((g.below(1.96) - 0.9750021048517795).abs() < 1e-15);
/// assert!((g.quantile(0.975)? - 1.959963984540054).abs() < 1e-14);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian<T> {
    mean: T,
    deviation: T,
}

impl<T: Real> Gaussian<T> {
    /// Creates a Gaussian with this mean and standard deviation.
    ///
    /// # Errors
    /// If the mean is not finite, or the deviation is not finite and above 0.
    pub fn new(mean: T, deviation: T) -> Result<Self, ProbabilityError> {
        let (m, d) = (mean.to_f64(), deviation.to_f64());
        check_setting("the mean", "finite", m, m.is_finite())?;
        let right = d > 0.0 && d.is_finite();
        check_setting("the standard deviation", "finite and above 0", d, right)?;
        Ok(Gaussian { mean, deviation })
    }

    /// Returns µ.
    pub fn mean(&self) -> T {
        self.mean
    }

    /// Returns σ.
    #[doc(alias("std", "sd", "standard_deviation", "scale"))]
    pub fn deviation(&self) -> T {
        self.deviation
    }

    /// Returns <var>(x − µ)/σ</var>, the distance from the mean in deviations. ±∞ at ±∞ and on overflow; NaN for NaN.
    ///
    /// ```
    /// let g = probability::gaussian::Gaussian::new(100.0, 15.0)?;
    /// assert_eq!(g.standardised(130.0), 2.0);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("z_score", "zscore"))]
    pub fn standardised(&self, x: T) -> T {
        distance_in(self.deviation, x, self.mean)
    }

    /// Returns ln p(x), in nats. −∞ at ±∞; NaN for NaN.
    ///
    /// ```
    /// use probability::gaussian::Gaussian;
    /// let g = Gaussian::new(0.0, 1.0)?;
    /// assert_eq!(g.ln_density(100.0) - g.ln_density(0.0), -5000.0_f64); // e^−5000 underflows
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("logpdf", "log_prob"))]
    pub fn ln_density(&self, x: T) -> T {
        let z = self.standardised(x);
        -(z * z) * T::from_f64(0.5) - self.deviation.ln() - T::from_f64(LN_ROOT_TAU)
    }

    /// Returns p(x). 0 at ±∞; NaN for NaN.
    ///
    /// ```
    /// use probability::gaussian::Gaussian;
    /// let standard = Gaussian::new(0.0, 1.0)?;
    /// assert!((standard.density(0.0) - 0.398942_f64).abs() < 1e-6); // 1/√2π
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("pdf", "dnorm"))]
    pub fn density(&self, x: T) -> T {
        /// √2π.
        const ROOT_TAU: f64 = 2.506_628_274_631_000_7;
        let z = self.standardised(x);
        let bell = (-(z * z) * T::from_f64(0.5)).exp();
        if bell > T::from_f64(1e-30) {
            // If σ is far from 1, ln σ is large and rounded: its exponential loses digits that the quotient keeps.
            return bell / T::from_f64(ROOT_TAU) / self.deviation;
        }
        self.ln_density(x).exp()
    }

    /// Returns <var>P(X ≤ x)</var>. 0 at −∞, 1 at +∞; NaN for NaN. The value is exact far into the lower tail; the
    /// derivative of the scalar is that of erf.
    ///
    /// ```
    /// use probability::gaussian::Gaussian;
    /// let g = Gaussian::new(100.0, 15.0)?;
    /// assert!((g.below(130.0_f64) - 0.9772498680518208).abs() < 1e-15);
    /// assert!(g.below(-100.0) > 0.0); // 13 deviations down: 6·10⁻⁴¹
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("cdf", "pnorm", "ndtr"))]
    pub fn below(&self, x: T) -> T {
        let z = self.standardised(x) * T::from_f64(std::f64::consts::FRAC_1_SQRT_2);
        let plain = (T::one() + z.erf()) * T::from_f64(0.5);
        // Below the mean 1 + erf z cancels; erfc does not.
        let exact = libm::erfc(-z.to_f64()) * 0.5;
        plain + T::from_f64(exact - plain.to_f64())
    }

    /// Returns the x with <var>P(X ≤ x) = p</var>; −∞ at 0, +∞ at 1. On `f64`: it cannot be differentiated.
    ///
    /// # Errors
    /// If p is NaN or outside \[0, 1\].
    ///
    /// ```
    /// use probability::gaussian::Gaussian;
    /// assert!((Gaussian::new(0.0, 1.0)?.quantile(0.975)? - 1.959964_f64).abs() < 1e-6);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("ppf", "icdf", "inverse_cdf", "qnorm", "ndtri"))]
    pub fn quantile(&self, p: f64) -> Result<f64, ProbabilityError> {
        check_setting("the share", "between 0 and 1", p, (0.0..=1.0).contains(&p))?;
        Ok(self.mean.to_f64() + self.deviation.to_f64() * standard_quantile(p))
    }

    /// Draws <var>µ + σ·w</var> with w ~ N(0, 1), number `index` of `random`: differentiable in µ and σ (the
    /// reparametrisation of variational autoencoders).
    ///
    /// ```
    /// use probability::gaussian::Gaussian;
    /// let (g, random) = (Gaussian::new(5.0, 2.0)?, probability::Random::new(1, 0, 0));
    /// assert_eq!(g.draw(&random, 3), 5.0 + 2.0 * random.normal(3));
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("sample", "rvs", "rnorm"))]
    pub fn draw(&self, random: &Random, index: u64) -> T {
        self.mean + self.deviation * T::from_f64(random.normal(index))
    }
}

/// Returns the p-quantile z of the standard Gaussian; NaN for p outside \[0, 1\].
///
/// Newton's method: on P itself around ½, without cancellation; on ln P, which is concave, in the lower tail. The error
/// of the first guess is 5·10⁻⁴; each step squares it.
/// Source of the guess: Hastings, *Approximations for digital computers*, 1955 (26.2.23 of Abramowitz and Stegun).
pub(crate) fn standard_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -standard_quantile(1.0 - p); // 1 − p is exact
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    if p > 0.25 {
        return standard_from_middle(p - 0.5); // exact
    }
    let level = p.ln();
    let t = (-2.0 * level).sqrt();
    let top = 2.515517 + t * (0.802853 + t * 0.010328);
    let first = top / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
    (0..4).fold(first, |z, _| {
        let ln_below = ln_standard_below(z);
        // The slope of ln P is density/P.
        let slope = (-0.5 * z * z - LN_ROOT_TAU - ln_below).exp();
        z - (ln_below - level) / slope
    })
}

/// Returns the z with <var>P(Z ≤ z) = ½ + share</var>, for |share| ≤ ¼: a small share keeps all its digits, which ½ +
/// share would lose.
pub(crate) fn standard_from_middle(share: f64) -> f64 {
    let density = |z: f64| (-0.5 * z * z - LN_ROOT_TAU).exp();
    let first = share * (TAU.sqrt() * (1.0 + TAU / 6.0 * share * share));
    let below = |z: f64| 0.5 * libm::erf(z * FRAC_1_SQRT_2);
    (0..4).fold(first, |z, _| z - (below(z) - share) / density(z))
}

/// Returns ln P(Z ≤ z) of a standard Gaussian, far into the lower tail.
pub(crate) fn ln_standard_below(z: f64) -> f64 {
    if z > -20.0 {
        return standard_below(z).ln();
    }
    // 1 − 1/z² + 1·3/z⁴ − 1·3·5/z⁶ + …: the terms decrease beyond the tenth.
    let t = 1.0 / (z * z);
    let series = (1..=10).rev().fold(1.0, |sum, k| 1.0 - f64::from(2 * k - 1) * t * sum);
    -0.5 * z * z - LN_ROOT_TAU - (-z).ln() + series.ln()
}

/// Returns P(Z ≤ z) of a standard Gaussian.
pub(crate) fn standard_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}
