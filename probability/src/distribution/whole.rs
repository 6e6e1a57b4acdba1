//! Discrete distributions over integers.

use super::{BinomialError, Discrete, DiscreteCDF, Distribution, GeometricError, Max, Median, Min};
use super::{Mode, PoissonError};
use crate::accurate::{reaches, sum};
use crate::gaussian::standard_quantile;
use crate::incomplete::{
    Share, Side, beta_tails, gamma_tails, ln_beta_logit_density, ln_gamma_density,
};

/// The functions of a discrete distribution.
trait Masses {
    fn range(&self) -> (u64, u64);
    /// Returns ln P(X = k), for k within the range.
    fn ln_mass(&self, k: u64) -> f64;
    /// Returns P(X ≤ k) or P(X > k), for k within the range except its end.
    fn share(&self, side: Side, k: u64) -> f64;
    /// Returns an approximate quantile at p.
    fn guess(&self, p: f64) -> f64;
}

/// Returns a starting point for the search of a quantile of a sum of many terms: the normal approximation.
fn normal_guess(mean: f64, variance: f64, p: f64) -> f64 {
    mean + standard_quantile(p) * variance.sqrt()
}

/// The relative error by which a probability may miss a limit and still reach it.
const SLACK: f64 = 64.0 * f64::EPSILON;

/// Returns the least k with P(X ≤ k) ≥ p; the least value for p ≤ 0 or NaN, the largest for p ≥ 1.
fn quantile(of: &impl Masses, p: f64) -> u64 {
    let (least, most) = of.range();
    if p >= 1.0 {
        return most;
    }
    let reached = |k: u64| {
        if k >= most {
            true
        } else if p <= 0.5 {
            reaches(of.share(Side::Lower, k), p, SLACK)
        } else {
            // p itself was rounded, by a quarter of ε.
            reaches(1.0 - p + 0.5 * f64::EPSILON, of.share(Side::Upper, k), SLACK)
        }
    };
    if p.is_nan() || p <= 0.0 || reached(least) {
        return least;
    }
    // `low` is not reached, `high` is: from a guess by doubling steps, then by bisection.
    let guess = (of.guess(p) as u64).clamp(least, most);
    let (mut low, mut high, mut step) = (least, most, 1_u64);
    if reached(guess) {
        high = guess;
        while let Some(k) = high.checked_sub(step).filter(|&k| k > least) {
            if !reached(k) {
                low = k;
                break;
            }
            (high, step) = (k, step.saturating_mul(2));
        }
    } else {
        low = guess;
        while let Some(k) = low.checked_add(step).filter(|&k| k < most) {
            if reached(k) {
                high = k;
                break;
            }
            (low, step) = (k, step.saturating_mul(2));
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if reached(middle) { high = middle } else { low = middle }
    }
    high
}

/// Returns −Σ p·ln p over twelve deviations and sixty around the mean, which hold all but e⁻⁷⁰.
fn summed_entropy(of: &impl Masses, mean: f64, variance: f64) -> f64 {
    let (least, most) = of.range();
    let reach = 12.0 * variance.sqrt() + 60.0;
    let (first, last) = ((mean - reach).max(0.0) as u64, (mean + reach) as u64);
    let terms = (first.max(least)..=last.min(most)).map(|k| {
        let ln = of.ln_mass(k);
        if ln == f64::NEG_INFINITY { 0.0 } else { -ln * ln.exp() }
    });
    sum(terms)
}

/// The variance from which the expansions of entropies have a relative error of 10⁻¹².
const WIDE: f64 = 1e6;

macro_rules! whole {
    ($($name:ident)*) => { $(
        impl Min<u64> for $name {
            fn min(&self) -> u64 {
                Masses::range(self).0
            }
        }

        impl Max<u64> for $name {
            fn max(&self) -> u64 {
                Masses::range(self).1
            }
        }

        impl Median<f64> for $name {
            fn median(&self) -> f64 {
                quantile(self, 0.5) as f64
            }
        }

        impl Discrete<u64, f64> for $name {
            fn pmf(&self, k: u64) -> f64 {
                Discrete::ln_pmf(self, k).exp()
            }

            fn ln_pmf(&self, k: u64) -> f64 {
                let (least, most) = Masses::range(self);
                if k < least || k > most { f64::NEG_INFINITY } else { self.ln_mass(k) }
            }
        }

        impl DiscreteCDF<u64, f64> for $name {
            fn cdf(&self, k: u64) -> f64 {
                let (least, most) = Masses::range(self);
                if k < least {
                    0.0
                } else if k >= most {
                    1.0
                } else {
                    self.share(Side::Lower, k)
                }
            }

            fn sf(&self, k: u64) -> f64 {
                let (least, most) = Masses::range(self);
                if k < least {
                    1.0
                } else if k >= most {
                    0.0
                } else {
                    self.share(Side::Upper, k)
                }
            }

            fn inverse_cdf(&self, p: f64) -> u64 {
                quantile(self, p)
            }
        }
    )* };
}

/// The number of successes in n independent trials, each with probability p.
///
/// Formula: <var>P(k) = C(n, k)·pᵏ·(1 − p)ⁿ⁻ᵏ</var>.
///
/// ```
/// use probability::distribution::{Binomial, Discrete, DiscreteCDF};
/// let ten = Binomial::new(0.3, 10)?;
/// assert!((ten.pmf(4) - 0.200120949).abs() < 1e-14 && ten.inverse_cdf(0.5) == 3);
/// # Ok::<(), probability::distribution::BinomialError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binomial {
    p: f64,
    n: u64,
}

impl Binomial {
    /// Creates the distribution of n trials with probability p, in `f64`.
    ///
    /// # Errors
    /// If p is NaN or outside \[0, 1\].
    pub fn new(p: f64, n: u64) -> Result<Self, BinomialError> {
        let right = (0.0..=1.0).contains(&p);
        if right { Ok(Binomial { p, n }) } else { Err(BinomialError::ProbabilityInvalid) }
    }

    /// Returns p, in `f64`.
    pub fn p(&self) -> f64 {
        self.p
    }

    /// Returns n, in `f64`.
    pub fn n(&self) -> u64 {
        self.n
    }

    fn mean_and_variance(&self) -> (f64, f64) {
        let mean = self.n as f64 * self.p;
        (mean, mean * (1.0 - self.p))
    }
}

impl Masses for Binomial {
    fn range(&self) -> (u64, u64) {
        (0, self.n)
    }

    fn ln_mass(&self, k: u64) -> f64 {
        let (n, failures) = (self.n as f64, (self.n - k) as f64);
        let k = k as f64;
        // 0·ln 0 is 0.
        let times = |count: f64, ln: f64| if count == 0.0 { 0.0 } else { count * ln };
        if k == 0.0 || failures == 0.0 || self.p == 0.0 || self.p == 1.0 {
            return times(k, self.p.ln()) + times(failures, (-self.p).ln_1p());
        }
        let density = ln_beta_logit_density(k, failures, Share::new(self.p));
        density + n.ln() - k.ln() - failures.ln()
    }

    fn share(&self, side: Side, k: u64) -> f64 {
        let tails = beta_tails((k + 1) as f64, (self.n - k) as f64, Share::new(self.p));
        if side == Side::Lower { tails.upper() } else { tails.lower() }
    }

    fn guess(&self, p: f64) -> f64 {
        let (mean, variance) = self.mean_and_variance();
        normal_guess(mean, variance, p)
    }
}

impl Distribution<f64> for Binomial {
    fn mean(&self) -> Option<f64> {
        Some(self.mean_and_variance().0)
    }

    fn variance(&self) -> Option<f64> {
        Some(self.mean_and_variance().1)
    }

    fn entropy(&self) -> Option<f64> {
        let (mean, variance) = self.mean_and_variance();
        if variance < WIDE {
            return Some(summed_entropy(self, mean, variance));
        }
        // Source: Jacquet, Szpankowski, *Entropy computations via analytic depoissonization*, 1999.
        let pq = self.p * (1.0 - self.p);
        Some(
            0.5 * (std::f64::consts::TAU * variance).ln()
                + 0.5
                + (4.0 * pq - 1.0) / (12.0 * variance),
        )
    }

    fn skewness(&self) -> Option<f64> {
        Some((1.0 - 2.0 * self.p) / self.mean_and_variance().1.sqrt())
    }
}

impl Mode<Option<u64>> for Binomial {
    fn mode(&self) -> Option<u64> {
        Some((((self.n as f64 + 1.0) * self.p) as u64).min(self.n))
    }
}

/// The Bernoulli distribution: 1 with probability p, else 0.
///
/// ```
/// use probability::distribution::{Bernoulli, Discrete};
/// assert!((Bernoulli::new(0.25)?.pmf(0) - 0.75).abs() < 1e-15);
/// # Ok::<(), probability::distribution::BernoulliError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bernoulli {
    one: Binomial,
}

impl Bernoulli {
    /// Creates the distribution with probability p of a 1, in `f64`.
    ///
    /// # Errors
    /// If p is NaN or outside \[0, 1\].
    pub fn new(p: f64) -> Result<Self, BinomialError> {
        Ok(Bernoulli { one: Binomial::new(p, 1)? })
    }

    /// Returns p, in `f64`.
    pub fn p(&self) -> f64 {
        self.one.p
    }

    /// Returns 1, the number of trials, in `f64`.
    pub fn n(&self) -> u64 {
        1
    }
}

impl Masses for Bernoulli {
    fn range(&self) -> (u64, u64) {
        (0, 1)
    }

    fn ln_mass(&self, k: u64) -> f64 {
        self.one.ln_mass(k)
    }

    fn share(&self, side: Side, _: u64) -> f64 {
        if side == Side::Lower { 1.0 - self.one.p } else { self.one.p }
    }

    fn guess(&self, _: f64) -> f64 {
        1.0
    }
}

impl Distribution<f64> for Bernoulli {
    fn mean(&self) -> Option<f64> {
        self.one.mean()
    }

    fn variance(&self) -> Option<f64> {
        self.one.variance()
    }

    fn entropy(&self) -> Option<f64> {
        self.one.entropy()
    }

    fn skewness(&self) -> Option<f64> {
        self.one.skewness()
    }
}

impl Mode<Option<u64>> for Bernoulli {
    fn mode(&self) -> Option<u64> {
        self.one.mode()
    }
}

/// The number of the first trial that succeeds, counted from 1.
///
/// Formula: <var>P(k) = p·(1 − p)ᵏ⁻¹</var>.
///
/// ```
/// use probability::distribution::{DiscreteCDF, Geometric};
/// assert!((Geometric::new(0.5)?.cdf(3) - 0.875).abs() < 1e-15);
/// # Ok::<(), probability::distribution::GeometricError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometric {
    p: f64,
}

impl Geometric {
    /// Creates the distribution with probability p of a success, in `f64`.
    ///
    /// # Errors
    /// If p is not above 0 and at most 1.
    pub fn new(p: f64) -> Result<Self, GeometricError> {
        let right = p > 0.0 && p <= 1.0;
        if right { Ok(Geometric { p }) } else { Err(GeometricError::ProbabilityInvalid) }
    }

    /// Returns p, in `f64`.
    pub fn p(&self) -> f64 {
        self.p
    }

    /// Returns ln (1 − p)ᵏ.
    fn ln_failures(&self, k: u64) -> f64 {
        if k == 0 { 0.0 } else { k as f64 * (-self.p).ln_1p() }
    }
}

impl Masses for Geometric {
    fn range(&self) -> (u64, u64) {
        (1, u64::MAX)
    }

    fn ln_mass(&self, k: u64) -> f64 {
        self.p.ln() + self.ln_failures(k - 1)
    }

    fn share(&self, side: Side, k: u64) -> f64 {
        let ln = self.ln_failures(k);
        if side == Side::Lower { -ln.exp_m1() } else { ln.exp() }
    }

    fn guess(&self, p: f64) -> f64 {
        (-p).ln_1p() / (-self.p).ln_1p()
    }
}

impl Distribution<f64> for Geometric {
    fn mean(&self) -> Option<f64> {
        Some(1.0 / self.p)
    }

    fn variance(&self) -> Option<f64> {
        Some((1.0 - self.p) / self.p / self.p)
    }

    fn entropy(&self) -> Option<f64> {
        let failing = if self.p == 1.0 { 0.0 } else { (1.0 - self.p) * (-self.p).ln_1p() };
        Some(-self.p.ln() - failing / self.p)
    }

    fn skewness(&self) -> Option<f64> {
        Some((2.0 - self.p) / (1.0 - self.p).sqrt())
    }
}

impl Mode<Option<u64>> for Geometric {
    fn mode(&self) -> Option<u64> {
        Some(1)
    }
}

/// The number of rare events among many chances.
///
/// Formula: <var>P(k) = λᵏ·e^(−λ)/k!</var>.
///
/// ```
/// use probability::distribution::{Discrete, Poisson};
/// assert!((Poisson::new(3.5)?.pmf(0) - (-3.5_f64).exp()).abs() < 1e-16);
/// # Ok::<(), probability::distribution::PoissonError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poisson {
    mean: f64,
}

impl Poisson {
    /// Creates the distribution with mean λ, in `f64`.
    ///
    /// # Errors
    /// If the mean is not finite and above 0.
    pub fn new(lambda: f64) -> Result<Self, PoissonError> {
        let right = lambda > 0.0 && lambda.is_finite();
        if right { Ok(Poisson { mean: lambda }) } else { Err(PoissonError::LambdaInvalid) }
    }

    /// Returns λ, in `f64`.
    pub fn lambda(&self) -> f64 {
        self.mean
    }
}

impl Masses for Poisson {
    fn range(&self) -> (u64, u64) {
        (0, u64::MAX)
    }

    fn ln_mass(&self, k: u64) -> f64 {
        if k == 0 {
            return -self.mean;
        }
        let k = k as f64;
        ln_gamma_density(k, self.mean, k - self.mean) - k.ln()
    }

    fn share(&self, side: Side, k: u64) -> f64 {
        let tails = gamma_tails(k as f64 + 1.0, self.mean, 0.0);
        if side == Side::Lower { tails.upper() } else { tails.lower() }
    }

    fn guess(&self, p: f64) -> f64 {
        normal_guess(self.mean, self.mean, p)
    }
}

impl Distribution<f64> for Poisson {
    fn mean(&self) -> Option<f64> {
        Some(self.mean)
    }

    fn variance(&self) -> Option<f64> {
        Some(self.mean)
    }

    fn entropy(&self) -> Option<f64> {
        let t = 1.0 / self.mean;
        if self.mean < WIDE {
            return Some(summed_entropy(self, self.mean, self.mean));
        }
        Some(0.5 * (std::f64::consts::TAU * self.mean).ln() + 0.5 - t / 12.0 - t * t / 24.0)
    }

    fn skewness(&self) -> Option<f64> {
        Some(1.0 / self.mean.sqrt())
    }
}

impl Mode<Option<u64>> for Poisson {
    fn mode(&self) -> Option<u64> {
        Some(self.mean as u64)
    }
}

whole!(Binomial Bernoulli Geometric Poisson);
