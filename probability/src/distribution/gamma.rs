//! The gamma distribution and its special case χ².

use super::{Density, Distribution, GammaError, Mode, continuous};
use crate::incomplete::{Side, gamma_quantile, gamma_tails, ln_gamma_density};
use crate::special::gamma_entropy;

/// The gamma distribution: waiting times and scales.
///
/// Formula: <var>p(x) = βᵅ·xᵅ⁻¹·e^(−βx)/Γ(α)</var> for x ≥ 0. The density is infinite at 0 if α < 1.
///
/// ```
/// use probability::distribution::{Continuous, ContinuousCDF, Gamma};
/// let gamma = Gamma::new(0.5, 1.0)?;
/// assert!((gamma.inverse_cdf(1e-6) / 7.853981633976e-13 - 1.0).abs() < 1e-12);
/// assert!((Gamma::new(80.0, 1e-5)?.pdf(8e6) / 4.4556706e-7 - 1.0).abs() < 1e-5);
/// # Ok::<(), probability::distribution::GammaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gamma {
    shape: f64,
    rate: f64,
}

impl Gamma {
    /// Creates the distribution with shape α and rate β, in `f64`.
    ///
    /// # Errors
    /// If a parameter is not finite and above 0.
    pub fn new(shape: f64, rate: f64) -> Result<Self, GammaError> {
        if !(shape > 0.0 && shape.is_finite()) {
            return Err(GammaError::ShapeInvalid);
        }
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(GammaError::RateInvalid);
        }
        Ok(Gamma { shape, rate })
    }

    /// Returns α, in `f64`.
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// Returns β, in `f64`.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Returns x in units of 1/β, and the rounding error of the product.
    fn standard(&self, x: f64) -> (f64, f64) {
        let product = x * self.rate;
        let rest = x.mul_add(self.rate, -product);
        (product, if rest.is_finite() { rest } else { 0.0 })
    }
}

impl Density for Gamma {
    fn range(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }

    fn ln_density(&self, x: f64) -> f64 {
        let (scaled, rest) = self.standard(x);
        if scaled == 0.0 {
            // Near 0 the density is β·(βx)ᵅ⁻¹/Γ(α).
            let power = match self.shape - 1.0 {
                0.0 => 0.0,
                less => less * (x.ln() + self.rate.ln()),
            };
            return self.rate.ln() + power - libm::lgamma(self.shape);
        }
        ln_gamma_density(self.shape, scaled, (self.shape - scaled) - rest) - x.ln()
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let (scaled, rest) = self.standard(x);
        let tails = gamma_tails(self.shape, scaled, rest);
        if side == Side::Lower { tails.lower() } else { tails.upper() }
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        gamma_quantile(self.shape, side, p) / self.rate
    }
}

impl Distribution<f64> for Gamma {
    fn mean(&self) -> Option<f64> {
        Some(self.shape / self.rate)
    }

    fn variance(&self) -> Option<f64> {
        Some(self.shape / self.rate / self.rate)
    }

    fn entropy(&self) -> Option<f64> {
        Some(gamma_entropy(self.shape) - self.rate.ln())
    }

    fn skewness(&self) -> Option<f64> {
        Some(2.0 / self.shape.sqrt())
    }
}

impl Mode<Option<f64>> for Gamma {
    fn mode(&self) -> Option<f64> {
        (self.shape >= 1.0).then(|| (self.shape - 1.0) / self.rate)
    }
}

/// The distribution of the sum of k squares of standard normal numbers: Gamma(k/2, ½), for any k > 0.
///
/// ```
/// use probability::distribution::{ChiSquared, ContinuousCDF};
/// assert!((ChiSquared::new(5.0)?.sf(11.0705) - 0.05).abs() < 1e-6); // the table's 5 %
/// # Ok::<(), probability::distribution::GammaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquared {
    freedom: f64,
    gamma: Gamma,
}

impl ChiSquared {
    /// Creates the distribution with k degrees of freedom, in `f64`.
    ///
    /// # Errors
    /// If k is not finite and above 0.
    pub fn new(freedom: f64) -> Result<Self, GammaError> {
        Ok(ChiSquared { freedom, gamma: Gamma::new(freedom / 2.0, 0.5)? })
    }

    /// Returns k, in `f64`.
    pub fn freedom(&self) -> f64 {
        self.freedom
    }

    /// Returns the shape of the gamma distribution: k/2, in `f64`.
    pub fn shape(&self) -> f64 {
        self.gamma.shape
    }

    /// Returns the rate of the gamma distribution: ½, in `f64`.
    pub fn rate(&self) -> f64 {
        self.gamma.rate
    }
}

impl Density for ChiSquared {
    fn range(&self) -> (f64, f64) {
        self.gamma.range()
    }

    fn ln_density(&self, x: f64) -> f64 {
        self.gamma.ln_density(x)
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        self.gamma.share(side, x)
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        self.gamma.quantile(side, p)
    }
}

impl Distribution<f64> for ChiSquared {
    fn mean(&self) -> Option<f64> {
        self.gamma.mean()
    }

    fn variance(&self) -> Option<f64> {
        self.gamma.variance()
    }

    fn entropy(&self) -> Option<f64> {
        self.gamma.entropy()
    }

    fn skewness(&self) -> Option<f64> {
        self.gamma.skewness()
    }
}

impl Mode<Option<f64>> for ChiSquared {
    fn mode(&self) -> Option<f64> {
        self.gamma.mode()
    }
}

continuous!(Gamma ChiSquared);
