//! Named distributions, with random numbers that have no hidden state.
//!
//! | distribution | where in a transformer |
//! |---|---|
//! | [`Categorical`](crate::Categorical) | the next token; attention weights |
//! | [`Bernoulli`] | a dropout mask: P(0) = p drops |
//! | [`Uniform`] | baselines, Xavier's initialisation |
//! | [`Normal`] | initial weights, noise of diffusion |
//! | [`Binomial`], [`Beta`] | how many of n answers are right, and the rate given that number ([`Beta::posterior`]) |
//! | [`StudentsT`] | comparing two models ([`paired`](crate::paired)) |
//! | [`ChiSquared`] | testing a sampler ([`goodness`](crate::goodness)) |
//! | [`Gumbel`] | drawing by the largest perturbed logit ([`gumbel`](crate::gumbel)) |
//! | [`Geometric`], [`Exp`], [`Poisson`], [`Gamma`], [`Laplace`], [`LogNormal`] | lengths, gaps, counts, scales, sparse priors |
//!
//! The traits are [statrs]': densities (`pdf`, `ln_pdf`, `pmf`, `ln_pmf`), `cdf`, `sf`, `inverse_cdf`, and moments. The
//! functions are this crate's, on `f64`: they cannot be differentiated.
//!
//! * The relative error is at most 10⁻¹², in either tail and down to the smallest float, for parameters and arguments
//!   from 10⁻³⁰⁰ to 10³⁰⁰ (counts below 2⁵³). The absolute error of `ln_pdf` and `ln_pmf` near 0 is at most 10⁻¹². A
//!   scaled or shifted argument, <var>(x − µ)/σ</var> or <var>(ln x − µ)/σ</var>, is rounded first.
//! * `inverse_cdf` ends after a bounded number of steps. It is NaN if p is NaN or outside \[0, 1\] (discrete
//!   distributions: the least value). For discrete distributions it is the least k with <var>P(X ≤ k) ≥ p</var>, up to
//!   rounding (64·ε). It is 0 if the result is below the smallest float.
//! * `cdf` is 0 below the range of a distribution and 1 above; densities are 0 outside. NaN gives NaN. Nothing panics.
//! * Parameters are finite, except the degrees of freedom of [`StudentsT`], for which ∞ gives the Gaussian.
//!
//! [`Gaussian`](crate::gaussian::Gaussian) and [`Categorical`](crate::Categorical) can be differentiated.
//!
//! ```
//! use probability::distribution::{Bernoulli, Beta, ContinuousCDF, Discrete, Distribution, StudentsT};
//! let dropped = Bernoulli::new(0.1)?; // p is the probability of a 1
//! assert!((dropped.pmf(1) - 0.1).abs() < 1e-16);
//! assert!((dropped.variance().unwrap() - 0.09).abs() < 1e-16);
//! // A million answers, half of them right: no digit is lost.
//! assert!((Beta::new(1e6, 1e6)?.cdf(0.5) - 0.5).abs() < 1e-13);
//! assert!((StudentsT::new(0.0, 1.0, 1e9)?.inverse_cdf(0.025) + 1.959963986).abs() < 1e-8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beta;
mod gamma;
mod normal;
mod scaled;
mod whole;

use crate::incomplete::Side;
use crate::random::Random;

pub use beta::{Beta, StudentsT};
pub use gamma::{ChiSquared, Gamma};
pub use normal::{LogNormal, Normal};
pub use scaled::{Exp, Gumbel, Laplace, Uniform};
pub use statrs::distribution::BinomialError as BernoulliError;
pub use statrs::distribution::{
    BetaError, BinomialError, ExpError, GammaError, GeometricError, GumbelError, InverseCdfError,
    LaplaceError, LogNormalError, NormalError, PoissonError, StudentsTError, UniformError,
};
pub use statrs::distribution::{Continuous, ContinuousCDF, Discrete, DiscreteCDF};
pub use statrs::statistics::{Distribution, Max, Median, Min, Mode};
pub use whole::{Bernoulli, Binomial, Geometric, Poisson};

/// Draws from any continuous distribution of one variable by inverse transform: F⁻¹(u) with u uniform in (0, 1).
///
/// ```
/// use probability::{Random, distribution::{Exp, ExpError, draw}};
/// let (random, waiting) = (Random::new(1, 0, 0), Exp::new(2.0)?);
/// let mean = (0..10_000).map(|i| draw(&waiting, &random, i)).sum::<f64>() / 10_000.0;
/// assert!((mean - 0.5).abs() < 5.0 * 0.5 / 100.0); // five standard errors
/// # Ok::<(), ExpError>(())
/// ```
#[doc(alias("sample", "rvs"))]
pub fn draw(distribution: &impl ContinuousCDF<f64, f64>, random: &Random, index: u64) -> f64 {
    distribution.inverse_cdf(random.open_uniform(index))
}

/// Draws from any discrete distribution by inverse transform: the least k with <var>u ≤ P(X ≤ k)</var>.
///
/// ```
/// use probability::{Random, distribution::{Binomial, BinomialError, draw_whole}};
/// let (random, right) = (Random::new(1, 0, 0), Binomial::new(0.3, 10)?);
/// let mean = (0..10_000).map(|i| draw_whole(&right, &random, i) as f64).sum::<f64>() / 10_000.0;
/// assert!((mean - 3.0).abs() < 5.0 * 2.1_f64.sqrt() / 100.0);
/// # Ok::<(), BinomialError>(())
/// ```
#[doc(alias("sample", "rvs"))]
pub fn draw_whole(distribution: &impl DiscreteCDF<u64, f64>, random: &Random, index: u64) -> u64 {
    distribution.inverse_cdf(random.open_uniform(index))
}

/// The functions of a continuous distribution within its range.
trait Density {
    /// Returns the least and the largest number that can occur.
    fn range(&self) -> (f64, f64);
    /// Returns ln p(x).
    fn ln_density(&self, x: f64) -> f64;
    /// Returns P(X ≤ x) or P(X > x).
    fn share(&self, side: Side, x: f64) -> f64;
    /// Returns the x at which the tail on this side has probability p, above 0 and at most ½.
    fn quantile(&self, side: Side, p: f64) -> f64;
}

/// Implements the traits of statrs from [`Density`].
macro_rules! continuous {
    ($($name:ident)*) => { $(
        impl crate::distribution::Min<f64> for $name {
            fn min(&self) -> f64 {
                crate::distribution::Density::range(self).0
            }
        }

        impl crate::distribution::Max<f64> for $name {
            fn max(&self) -> f64 {
                crate::distribution::Density::range(self).1
            }
        }

        impl crate::distribution::Median<f64> for $name {
            fn median(&self) -> f64 {
                crate::distribution::ContinuousCDF::inverse_cdf(self, 0.5)
            }
        }

        impl crate::distribution::Continuous<f64, f64> for $name {
            fn pdf(&self, x: f64) -> f64 {
                crate::distribution::Continuous::ln_pdf(self, x).exp()
            }

            fn ln_pdf(&self, x: f64) -> f64 {
                let (least, most) = crate::distribution::Density::range(self);
                if x < least || x > most || x.is_infinite() {
                    return f64::NEG_INFINITY;
                }
                if x.is_nan() { x } else { crate::distribution::Density::ln_density(self, x) }
            }
        }

        impl crate::distribution::ContinuousCDF<f64, f64> for $name {
            fn cdf(&self, x: f64) -> f64 {
                crate::distribution::share(self, crate::incomplete::Side::Lower, x)
            }

            fn sf(&self, x: f64) -> f64 {
                crate::distribution::share(self, crate::incomplete::Side::Upper, x)
            }

            fn inverse_cdf(&self, p: f64) -> f64 {
                crate::distribution::quantile(self, p)
            }

            fn try_inverse_cdf(
                &self,
                p: f64,
            ) -> Result<f64, crate::distribution::InverseCdfError> {
                if (0.0..=1.0).contains(&p) {
                    return Ok(crate::distribution::quantile(self, p));
                }
                Err(crate::distribution::InverseCdfError::ArgumentOutOfRange)
            }
        }
    )* };
}
use continuous;

/// Returns a tail's probability for any x, also outside the range.
fn share(of: &impl Density, side: Side, x: f64) -> f64 {
    let ((least, most), low, high) = match side {
        Side::Lower => (of.range(), 0.0, 1.0),
        Side::Upper => (of.range(), 1.0, 0.0),
    };
    if x.is_nan() {
        x
    } else if x < least || x == f64::NEG_INFINITY {
        low
    } else if x >= most {
        high
    } else {
        of.share(side, x)
    }
}

/// Returns F⁻¹(p), from the nearer tail; NaN outside \[0, 1\].
fn quantile(of: &impl Density, p: f64) -> f64 {
    let (least, most) = of.range();
    if !(0.0..=1.0).contains(&p) {
        f64::NAN
    } else if p == 0.0 {
        least
    } else if p == 1.0 {
        most
    } else if p <= 0.5 {
        of.quantile(Side::Lower, p)
    } else {
        of.quantile(Side::Upper, 1.0 - p) // exact
    }
}
