//! The normal and the log-normal distribution.

use super::scaled::positive;
use super::{Density, Distribution, LogNormalError, Mode, NormalError, continuous};
use crate::accurate::distance_in;
use crate::gaussian::{standard_below, standard_quantile};
use crate::incomplete::Side;
use crate::special::LN_ROOT_TAU;

/// The Gaussian. [`Gaussian`](crate::gaussian::Gaussian) can be differentiated.
///
/// Formula: <var>p(x) = e^(−(x − µ)²/2σ²)/(σ·√2π)</var>.
///
/// ```
/// use probability::distribution::{ContinuousCDF, Normal};
/// assert!((Normal::new(100.0, 15.0)?.cdf(130.0) - 0.9772498680518208).abs() < 1e-15);
/// # Ok::<(), probability::distribution::NormalError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    mean: f64,
    deviation: f64,
}

impl Normal {
    /// Creates the distribution with mean µ and standard deviation σ, in `f64`.
    ///
    /// # Errors
    /// If the mean is not finite, or the deviation is not finite and above 0.
    pub fn new(mean: f64, std_dev: f64) -> Result<Self, NormalError> {
        if !mean.is_finite() {
            return Err(NormalError::MeanInvalid);
        }
        if positive(std_dev) {
            Ok(Normal { mean, deviation: std_dev })
        } else {
            Err(NormalError::StandardDeviationInvalid)
        }
    }

    /// Creates the distribution with mean 0 and standard deviation 1, in `f64`.
    pub fn standard() -> Self {
        Normal { mean: 0.0, deviation: 1.0 }
    }
}

impl Density for Normal {
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }

    fn ln_density(&self, x: f64) -> f64 {
        let z = distance_in(self.deviation, x, self.mean);
        -0.5 * z * z - LN_ROOT_TAU - self.deviation.ln()
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        let z = distance_in(self.deviation, x, self.mean);
        standard_below(if side == Side::Lower { z } else { -z })
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        let z = standard_quantile(p);
        self.mean + self.deviation * if side == Side::Lower { z } else { -z }
    }
}

impl Distribution<f64> for Normal {
    fn mean(&self) -> Option<f64> {
        Some(self.mean)
    }

    fn variance(&self) -> Option<f64> {
        Some(self.deviation * self.deviation)
    }

    fn std_dev(&self) -> Option<f64> {
        Some(self.deviation)
    }

    fn entropy(&self) -> Option<f64> {
        Some(0.5 + LN_ROOT_TAU + self.deviation.ln())
    }

    fn skewness(&self) -> Option<f64> {
        Some(0.0)
    }
}

impl Mode<Option<f64>> for Normal {
    fn mode(&self) -> Option<f64> {
        Some(self.mean)
    }
}

/// The distribution of a number whose logarithm is normal.
///
/// ```
/// use probability::distribution::{ContinuousCDF, LogNormal};
/// assert_eq!(LogNormal::new(0.0, 2.0)?.cdf(1.0), 0.5);
/// # Ok::<(), probability::distribution::LogNormalError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormal {
    logarithm: Normal,
}

impl LogNormal {
    /// Creates the distribution with mean µ and standard deviation σ of the logarithm, in `f64`.
    ///
    /// # Errors
    /// If the location is not finite, or the scale is not finite and above 0.
    pub fn new(location: f64, scale: f64) -> Result<Self, LogNormalError> {
        match Normal::new(location, scale) {
            Ok(logarithm) => Ok(LogNormal { logarithm }),
            Err(NormalError::MeanInvalid) => Err(LogNormalError::LocationInvalid),
            Err(_) => Err(LogNormalError::ScaleInvalid),
        }
    }

    /// Returns µ, in `f64`.
    pub fn location(&self) -> f64 {
        self.logarithm.mean
    }

    /// Returns σ, in `f64`.
    pub fn scale(&self) -> f64 {
        self.logarithm.deviation
    }
}

impl Density for LogNormal {
    fn range(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }

    fn ln_density(&self, x: f64) -> f64 {
        if x == 0.0 { f64::NEG_INFINITY } else { self.logarithm.ln_density(x.ln()) - x.ln() }
    }

    fn share(&self, side: Side, x: f64) -> f64 {
        self.logarithm.share(side, x.ln())
    }

    fn quantile(&self, side: Side, p: f64) -> f64 {
        self.logarithm.quantile(side, p).exp()
    }
}

impl Distribution<f64> for LogNormal {
    fn mean(&self) -> Option<f64> {
        Some((self.location() + 0.5 * self.scale() * self.scale()).exp())
    }

    fn variance(&self) -> Option<f64> {
        let square = self.scale() * self.scale();
        // e^(2µ + s)·(e^s − 1), whose factors may overflow. For small σ, e^s − 1 is s, and s may underflow.
        let ln_rest =
            if square < 1e-30 { 2.0 * self.scale().ln() } else { (-(-square).exp_m1()).ln() };
        Some((2.0 * self.location() + 2.0 * square + ln_rest).exp())
    }

    fn entropy(&self) -> Option<f64> {
        self.logarithm.entropy().map(|entropy| entropy + self.location())
    }

    fn skewness(&self) -> Option<f64> {
        let square = self.scale() * self.scale();
        let root = if square < 1e-30 { self.scale() } else { square.exp_m1().sqrt() };
        Some((square.exp() + 2.0) * root)
    }
}

impl Mode<Option<f64>> for LogNormal {
    fn mode(&self) -> Option<f64> {
        Some((self.location() - self.scale() * self.scale()).exp())
    }
}

continuous!(Normal LogNormal);
