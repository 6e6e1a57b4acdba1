//! Distributions with a closed form: a fixed shape, shifted and scaled.

use super::{Density, Distribution, Mode, continuous};
use super::{ExpError, GumbelError, LaplaceError, UniformError};
use crate::accurate::distance_in;
use crate::incomplete::Side;
use std::f64::consts::{LN_2, PI};

/// Euler's constant: the mean of a standard Gumbel number.
const EULER: f64 = 0.577_215_664_901_532_9;

/// The allowed scales and rates.
pub(super) fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// The uniform distribution between two numbers.
///
/// ```
/// use probability::distribution::{ContinuousCDF, Uniform};
/// assert_eq!(Uniform::new(-1.0, 3.0)?.inverse_cdf(0.25), 0.0);
/// # Ok::<(), probability::distribution::UniformError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uniform {
    low: f64,
    high: f64,
}

impl Uniform {
    /// Creates the distribution between `min` and `max`, in `f64`.
    ///
    /// # Errors
    /// If a bound is not finite, or `max` is not above `min`.
    pub fn new(min: f64, max: f64) -> Result<Self, UniformError> {
        if !min.is_finite() {
            Err(UniformError::MinInvalid)
        } else if !max.is_finite() {
            Err(UniformError::MaxInvalid)
        } else if min < max {
            Ok(Uniform { low: min, high: max })
        } else {
            Err(UniformError::MaxNotGreaterThanMin)
        }
    }

    /// Creates the distribution between 0 and 1, in `f64`.
    pub fn standard() -> Self {
        Uniform { low: 0.0, high: 1.0 }
    }

    /// Returns b − a for a ≤ b, in units of 1, or of 2 if the width of the range overflows.
    fn apart(&self, a: f64, b: f64) -> f64 {
        if self.unit() == 1.0 { b - a } else { 0.5 * b - 0.5 * a }
    }

    fn unit(&self) -> f64 {
        if (self.high - self.low).is_finite() { 1.0 } else { 2.0 }
    }

    /// The width in units of [`Uniform::unit`].
    fn width(&self) -> f64 {
        self.apart(self.low, self.high)
    }
}

impl Density for Uniform {
    fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    fn ln_density(&self, _: f64) -> f64 {
        -self.width().ln() - self.unit().ln()
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let part = match side {
            Side::Lower => self.apart(self.low, x),
            Side::Upper => self.apart(x, self.high),
        };
        part / self.width()
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        let part = p * self.width() * self.unit();
        if side == Side::Lower { self.low + part } else { self.high - part }
    }
}

impl Distribution<f64> for Uniform {
    fn mean(&self) -> Option<f64> {
        let sum = self.low + self.high;
        Some(if sum.is_finite() { 0.5 * sum } else { 0.5 * self.low + 0.5 * self.high })
    }

    fn variance(&self) -> Option<f64> {
        let deviation = self.width() * self.unit() / 12.0_f64.sqrt();
        Some(deviation * deviation)
    }

    fn entropy(&self) -> Option<f64> {
        Some(self.width().ln() + self.unit().ln())
    }

    fn skewness(&self) -> Option<f64> {
        Some(0.0)
    }
}

impl Mode<Option<f64>> for Uniform {
    fn mode(&self) -> Option<f64> {
        self.mean()
    }
}

/// The exponential distribution: waiting times without memory.
///
/// Formula: <var>p(x) = λ·e^(−λx)</var> for x ≥ 0.
///
/// ```
/// use probability::distribution::{ContinuousCDF, Exp};
/// assert_eq!(Exp::new(2.0)?.cdf(1e-20), 2e-20);
/// # Ok::<(), probability::distribution::ExpError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exp {
    rate: f64,
}

impl Exp {
    /// Creates the distribution with rate λ, in `f64`.
    ///
    /// # Errors
    /// If the rate is not finite and above 0.
    pub fn new(rate: f64) -> Result<Self, ExpError> {
        if positive(rate) { Ok(Exp { rate }) } else { Err(ExpError::RateInvalid) }
    }

    /// Returns λ, in `f64`.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

impl Density for Exp {
    fn range(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }

    fn ln_density(&self, x: f64) -> f64 {
        self.rate.ln() - self.rate * x
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let scaled = self.rate * x;
        if side == Side::Lower { -(-scaled).exp_m1() } else { (-scaled).exp() }
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        -(if side == Side::Lower { (-p).ln_1p() } else { p.ln() }) / self.rate
    }
}

impl Distribution<f64> for Exp {
    fn mean(&self) -> Option<f64> {
        Some(1.0 / self.rate)
    }

    fn variance(&self) -> Option<f64> {
        Some(1.0 / self.rate / self.rate)
    }

    fn entropy(&self) -> Option<f64> {
        Some(1.0 - self.rate.ln())
    }

    fn skewness(&self) -> Option<f64> {
        Some(2.0)
    }
}

impl Mode<Option<f64>> for Exp {
    fn mode(&self) -> Option<f64> {
        Some(0.0)
    }
}

/// The Laplace distribution, exponential on both sides: the model of absolute errors and sparse weights.
///
/// Formula: <var>p(x) = e^(−|x − µ|/b)/2b</var>.
///
/// ```
/// use probability::distribution::{ContinuousCDF, Laplace};
/// assert_eq!(Laplace::new(1.0, 2.0)?.cdf(1.0), 0.5);
/// # Ok::<(), probability::distribution::LaplaceError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Laplace {
    location: f64,
    scale: f64,
}

impl Laplace {
    /// Creates the distribution with location µ and scale b, in `f64`.
    ///
    /// # Errors
    /// If the location is not finite, or the scale is not finite and above 0.
    pub fn new(location: f64, scale: f64) -> Result<Self, LaplaceError> {
        if !location.is_finite() {
            return Err(LaplaceError::LocationInvalid);
        }
        if positive(scale) {
            Ok(Laplace { location, scale })
        } else {
            Err(LaplaceError::ScaleInvalid)
        }
    }

    /// Returns µ, in `f64`.
    pub fn location(&self) -> f64 {
        self.location
    }

    /// Returns b, in `f64`.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

impl Density for Laplace {
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }

    fn ln_density(&self, x: f64) -> f64 {
        -distance_in(self.scale, x, self.location).abs() - LN_2 - self.scale.ln()
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let z = distance_in(self.scale, x, self.location);
        let z = if side == Side::Lower { z } else { -z };
        if z < 0.0 { 0.5 * z.exp() } else { 1.0 - 0.5 * (-z).exp() }
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        let size = self.scale * (2.0 * p).ln();
        self.location + if side == Side::Lower { size } else { -size }
    }
}

impl Distribution<f64> for Laplace {
    fn mean(&self) -> Option<f64> {
        Some(self.location)
    }

    fn variance(&self) -> Option<f64> {
        Some(2.0 * self.scale * self.scale)
    }

    fn entropy(&self) -> Option<f64> {
        Some(1.0 + LN_2 + self.scale.ln())
    }

    fn skewness(&self) -> Option<f64> {
        Some(0.0)
    }
}

impl Mode<Option<f64>> for Laplace {
    fn mode(&self) -> Option<f64> {
        Some(self.location)
    }
}

/// The Gumbel distribution: the largest of many numbers, and the noise that turns an argmax into a draw from a softmax.
///
/// Formula: <var>P(X ≤ x) = e^(−e^(−z))</var> with <var>z = (x − µ)/β</var>.
///
/// ```
/// use probability::distribution::{ContinuousCDF, Gumbel};
/// assert!((Gumbel::new(0.0, 1.0)?.cdf(0.0) - (-1.0_f64).exp()).abs() < 1e-16);
/// # Ok::<(), probability::distribution::GumbelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gumbel {
    location: f64,
    scale: f64,
}

impl Gumbel {
    /// Creates the distribution with location µ and scale β, in `f64`.
    ///
    /// # Errors
    /// If the location is not finite, or the scale is not finite and above 0.
    pub fn new(location: f64, scale: f64) -> Result<Self, GumbelError> {
        if !location.is_finite() {
            return Err(GumbelError::LocationInvalid);
        }
        if positive(scale) {
            Ok(Gumbel { location, scale })
        } else {
            Err(GumbelError::ScaleInvalid)
        }
    }

    /// Returns µ, in `f64`.
    pub fn location(&self) -> f64 {
        self.location
    }

    /// Returns β, in `f64`.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    fn standard(&self, x: f64) -> f64 {
        distance_in(self.scale, x, self.location)
    }
}

impl Density for Gumbel {
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }

    fn ln_density(&self, x: f64) -> f64 {
        let z = self.standard(x);
        let e = (-z).exp();
        // Far below the location e^(−z) overflows and outweighs z.
        (if e.is_infinite() { -e } else { -z - e }) - self.scale.ln()
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let e = (-self.standard(x)).exp();
        if side == Side::Lower { (-e).exp() } else { -(-e).exp_m1() }
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        let ln = if side == Side::Lower { p.ln() } else { (-p).ln_1p() };
        self.location - self.scale * (-ln).ln()
    }
}

impl Distribution<f64> for Gumbel {
    fn mean(&self) -> Option<f64> {
        Some(self.location + EULER * self.scale)
    }

    fn variance(&self) -> Option<f64> {
        Some(PI * PI / 6.0 * self.scale * self.scale)
    }

    fn entropy(&self) -> Option<f64> {
        Some(1.0 + EULER + self.scale.ln())
    }

    fn skewness(&self) -> Option<f64> {
        Some(1.139_547_099_404_648_7) // 12·√6·ζ(3)/π³
    }
}

impl Mode<f64> for Gumbel {
    fn mode(&self) -> f64 {
        self.location
    }
}

continuous!(Uniform Exp Laplace Gumbel);
