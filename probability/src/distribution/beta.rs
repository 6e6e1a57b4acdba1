//! The beta distribution and Student's t distribution.

use super::{BetaError, Density, Distribution, Mode, StudentsTError, continuous};
use crate::accurate::distance_in;
use crate::gaussian::{standard_below, standard_from_middle, standard_quantile};
use crate::incomplete::{Share, Side, beta_quantile, beta_tails, ln_beta_logit_density};
use crate::special::{LN_ROOT_TAU, deviance, digamma, gamma_entropy, stirling};
use std::f64::consts::PI;

/// The distribution of a rate after a − 1 successes and b − 1 failures.
///
/// Formula: <var>p(x) = xᵃ⁻¹·(1 − x)ᵇ⁻¹/B(a, b)</var> on \[0, 1\]. Infinite at 0 if a < 1, at 1 if b < 1.
///
/// ```
/// use probability::distribution::{Beta, ContinuousCDF};
/// assert!((Beta::new(2.0, 3.0)?.inverse_cdf(1e-40) / 4.08248290463863e-21 - 1.0).abs() < 1e-12);
/// # Ok::<(), probability::distribution::BetaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beta {
    a: f64,
    b: f64,
}

impl Beta {
    /// Creates the distribution with shapes a and b, in `f64`.
    ///
    /// # Errors
    /// If a shape is not finite and above 0.
    pub fn new(shape_a: f64, shape_b: f64) -> Result<Self, BetaError> {
        let right = |shape: f64| shape > 0.0 && shape.is_finite();
        if !right(shape_a) {
            return Err(BetaError::ShapeAInvalid);
        }
        if !right(shape_b) {
            return Err(BetaError::ShapeBInvalid);
        }
        Ok(Beta { a: shape_a, b: shape_b })
    }

    /// Returns a, in `f64`.
    pub fn shape_a(&self) -> f64 {
        self.a
    }

    /// Returns b, in `f64`.
    pub fn shape_b(&self) -> f64 {
        self.b
    }

    /// Returns the distribution of the rate after more successes and failures: Beta(a + successes, b + failures), in `f64`.
    ///
    /// Beta(1, 1) has no opinion, Beta(½, ½) is Jeffreys' prior. [`interval::credible`](crate::interval::credible) gives
    /// the interval of the result: of a model's accuracy, of the rate at which it wins.
    /// Source: Gelman et al., *Bayesian Data Analysis*, section 2.1.
    ///
    /// # Errors
    /// If a shape overflows.
    ///
    /// ```
    /// use probability::distribution::{Beta, Distribution};
    /// let rate = Beta::new(1.0, 1.0)?.posterior(8, 2)?;
    /// assert_eq!(rate.mean(), Some(0.75)); // Laplace's rule of succession: (8 + 1)/(10 + 2)
    /// # Ok::<(), probability::distribution::BetaError>(())
    /// ```
    pub fn posterior(&self, successes: u64, failures: u64) -> Result<Self, BetaError> {
        Beta::new(self.a + successes as f64, self.b + failures as f64)
    }
}

impl Density for Beta {
    fn range(&self) -> (f64, f64) {
        (0.0, 1.0)
    }

    fn ln_density(&self, x: f64) -> f64 {
        let at = |shape: f64, other: f64| match shape {
            1.0 => other.ln(),
            less if less < 1.0 => f64::INFINITY,
            _ => f64::NEG_INFINITY,
        };
        if x == 0.0 {
            return at(self.a, self.b);
        }
        if x == 1.0 {
            return at(self.b, self.a);
        }
        ln_beta_logit_density(self.a, self.b, Share::new(x)) - x.ln() - (-x).ln_1p()
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let tails = beta_tails(self.a, self.b, Share::new(x));
        if side == Side::Lower { tails.lower() } else { tails.upper() }
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        beta_quantile(self.a, self.b, side, p).x
    }
}

impl Distribution<f64> for Beta {
    fn mean(&self) -> Option<f64> {
        Some(self.a / (self.a + self.b))
    }

    fn variance(&self) -> Option<f64> {
        let n = self.a + self.b;
        Some((self.a / n) * (self.b / n) / (n + 1.0))
    }

    fn entropy(&self) -> Option<f64> {
        let n = self.a + self.b;
        Some(gamma_entropy(self.a) + gamma_entropy(self.b) - gamma_entropy(n) - digamma(n))
    }

    fn skewness(&self) -> Option<f64> {
        let n = self.a + self.b;
        // One root for each factor: the product of two small shapes underflows.
        let spread = ((n + 1.0) / self.a).sqrt() / self.b.sqrt();
        Some(if self.a == self.b { 0.0 } else { 2.0 * ((self.b - self.a) / (n + 2.0)) * spread })
    }
}

impl Mode<Option<f64>> for Beta {
    fn mode(&self) -> Option<f64> {
        (self.a > 1.0 && self.b > 1.0).then(|| (self.a - 1.0) / ((self.a - 1.0) + (self.b - 1.0)))
    }
}

/// The distribution of a mean of normal numbers in units of its estimated error.
///
/// Formula: <var>p(t) = (1 + t²/ν)^(−(ν + 1)/2)/(√ν·B(ν/2, ½))</var>, with t in units of a scale around a location.
/// <var>ν/(ν + t²)</var> is Beta(ν/2, ½); ν = ∞ is the Gaussian.
///
/// ```
/// use probability::distribution::{ContinuousCDF, StudentsT};
/// let t = StudentsT::new(0.0, 1.0, 1e7)?;
/// assert!((t.inverse_cdf(0.025) + 1.959964).abs() < 1e-6);
/// assert!((StudentsT::new(0.0, 1.0, 1.0)?.inverse_cdf(1e-10) / -3183098861.8 - 1.0).abs() < 1e-10);
/// # Ok::<(), probability::distribution::StudentsTError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StudentsT {
    location: f64,
    scale: f64,
    freedom: f64,
}

impl StudentsT {
    /// Creates the distribution with ν degrees of freedom, in `f64`.
    ///
    /// # Errors
    /// If the location is not finite, the scale is not finite and above 0, or ν is not above 0.
    pub fn new(location: f64, scale: f64, freedom: f64) -> Result<Self, StudentsTError> {
        if !location.is_finite() {
            return Err(StudentsTError::LocationInvalid);
        }
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(StudentsTError::ScaleInvalid);
        }
        if freedom > 0.0 {
            Ok(StudentsT { location, scale, freedom })
        } else {
            Err(StudentsTError::FreedomInvalid)
        }
    }

    /// Returns the location, in `f64`.
    pub fn location(&self) -> f64 {
        self.location
    }

    /// Returns the scale, in `f64`.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Returns ν, in `f64`.
    pub fn freedom(&self) -> f64 {
        self.freedom
    }

    fn standard(&self, x: f64) -> f64 {
        distance_in(self.scale, x, self.location)
    }

    /// Returns whether the Gaussian is the same to the last digit: the relative difference of densities is t⁴/4ν, and
    /// beyond |t| = 40 both are 0.
    fn is_gaussian(&self) -> bool {
        self.freedom >= 1e30
    }

    /// Returns ln √(1 + t²/ν), even if t² overflows.
    fn ln_root(&self, t: f64) -> f64 {
        let root = t.abs() / self.freedom.sqrt();
        if root > 1e8 { root.ln() } else { 0.5 * (root * root).ln_1p() }
    }

    /// Returns ln of the density at the location, for a scale of 1: <var>Γ((ν + 1)/2)/(√(νπ)·Γ(ν/2))</var>, by the
    /// remainder of Stirling's formula.
    fn ln_peak(&self) -> f64 {
        let (half, more) = (0.5 * self.freedom, 0.5 * self.freedom + 0.5);
        stirling(more) - stirling(half) - deviance(half, 1.0, more, -0.5) - LN_ROOT_TAU
    }

    /// Returns ln P(T > √ν·r) + ν·ln r, which for r above 10¹⁰⁰ is a constant: the tail is a power.
    fn ln_power_tail(&self) -> f64 {
        self.ln_peak() - 0.5 * self.freedom.ln()
    }

    /// Returns P(T > t) for t ≥ 0, as half of P(|T| > t).
    fn beyond(&self, t: f64) -> f64 {
        if self.is_gaussian() {
            return standard_below(-t);
        }
        let root = t / self.freedom.sqrt();
        if root > FAR {
            return (self.ln_power_tail() - self.freedom * root.ln()).exp();
        }
        // The point ν/(ν + t²).
        let at = Share::of_odds(t * (t / self.freedom)).mirrored();
        0.5 * beta_tails(self.freedom / 2.0, 0.5, at).lower()
    }

    /// Returns the t with P(T > t) = p < ½.
    fn size(&self, p: f64) -> f64 {
        // Near the middle from P(|T| < t), which is near 0; 1 − 2p is exact.
        let middle = 1.0 - 2.0 * p;
        if middle < 0.5 {
            return self.half_width(middle);
        }
        if self.is_gaussian() {
            return -standard_quantile(p);
        }
        let at = beta_quantile(0.5 * self.freedom, 0.5, Side::Lower, 2.0 * p);
        let root = (at.y / at.x).sqrt();
        let far = || ((self.ln_power_tail() - p.ln()) / self.freedom).exp();
        self.freedom.sqrt() * if root > FAR { far() } else { root }
    }

    /// Returns the t with P(|T| < t) = c, for a scale of 1 around 0: half the width of an interval of confidence c in
    /// (0, 1).
    pub(crate) fn half_width(&self, c: f64) -> f64 {
        if c >= 0.5 {
            return self.size((1.0 - c) / 2.0);
        }
        if self.is_gaussian() {
            return standard_from_middle(c / 2.0);
        }
        let at = beta_quantile(0.5 * self.freedom, 0.5, Side::Upper, c);
        let odds = at.y / at.x;
        // t²/ν underflows before t does; the density there is that of the middle.
        if odds < 1e-280 { 0.5 * c * (-self.ln_peak()).exp() } else { (self.freedom * odds).sqrt() }
    }
}

/// The limit above which a square overflows; 1 + r² is r² there.
const FAR: f64 = 1e140;

impl Density for StudentsT {
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }

    fn ln_density(&self, x: f64) -> f64 {
        let t = self.standard(x);
        if self.is_gaussian() {
            return -0.5 * t * t - LN_ROOT_TAU - self.scale.ln();
        }
        self.ln_peak() - (self.freedom + 1.0) * self.ln_root(t) - self.scale.ln()
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let t = self.standard(x);
        if (side == Side::Upper) == (t > 0.0) {
            return self.beyond(t.abs());
        }
        1.0 - self.beyond(t.abs())
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        let size = if p < 0.5 { self.size(p) * self.scale } else { 0.0 };
        self.location + if side == Side::Lower { -size } else { size }
    }
}

impl Distribution<f64> for StudentsT {
    fn mean(&self) -> Option<f64> {
        (self.freedom > 1.0).then_some(self.location)
    }

    fn variance(&self) -> Option<f64> {
        // ν/(ν − 2); the difference is exact if it is small.
        let excess = 2.0 / (self.freedom - 2.0);
        let spread = || self.scale * self.scale * (1.0 + excess);
        (self.freedom > 2.0).then(spread)
    }

    fn entropy(&self) -> Option<f64> {
        if self.is_gaussian() {
            return Some(0.5 + LN_ROOT_TAU + self.scale.ln());
        }
        let (a, c) = (0.5 * self.freedom, 0.5 * self.freedom + 0.5);
        let shape = gamma_entropy(a) - gamma_entropy(c) + 0.5 + digamma(c) - 1.5 * digamma(a);
        Some(shape + 0.5 * (self.freedom.ln() + PI.ln()) + self.scale.ln())
    }

    fn skewness(&self) -> Option<f64> {
        (self.freedom > 3.0).then_some(0.0)
    }
}

impl Mode<Option<f64>> for StudentsT {
    fn mode(&self) -> Option<f64> {
        Some(self.location)
    }
}

continuous!(Beta StudentsT);
