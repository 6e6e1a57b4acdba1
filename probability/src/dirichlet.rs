//! Dirichlet's distribution: what is known of the probabilities of n outcomes after counting.
//!
//! Formula: <var>p(x) = Γ(A)/Π Γ(αᵢ)·Π xᵢ^(αᵢ − 1)</var> on distributions x, with <var>A = Σ αᵢ</var>. After counts nᵢ it is
//! the distribution with <var>αᵢ + nᵢ</var>; its mean <var>(αᵢ + nᵢ)/(A + N)</var> is additive smoothing, as of an n-gram
//! model. Each xᵢ alone is <var>Beta(αᵢ, A − αᵢ)</var>: the frequency of a token or of a class of errors has the interval of
//! [`interval::credible`](crate::interval::credible) of it. Draws show what any function of the distribution (its entropy,
//! the difference of two models) may be.
//! Source: Gelman et al., *Bayesian Data Analysis*, sections 3.4 and A.1; MacKay and Peto, *A hierarchical Dirichlet language
//! model*, 1995.
//!
//! On `f64` alone: quantiles cannot be differentiated.

use crate::accurate;
use crate::categorical::Categorical;
use crate::distribution::Beta;
use crate::error::{ProbabilityError, check, check_length, check_setting};
use crate::incomplete::{Side, beta_quantile};
use crate::random::Random;
use crate::special::{LN_ROOT_TAU, deviance, stirling};

/// A distribution over the distributions of two or more outcomes.
///
/// ```
/// use probability::{dirichlet::Dirichlet, interval::credible};
/// // Of 1000 answers 900 were right, 60 wrong, 40 refused.
/// let known = Dirichlet::new(&[1.0; 3])?.posterior(&[900, 60, 40])?;
/// assert!((known.mean().probability(2) - 41.0 / 1003.0).abs() < 1e-15);
/// let refused = credible(&known.marginal(2)?, 0.95)?;
/// assert!((refused.low - 0.029521).abs() < 1e-6 && (refused.high - 0.053966).abs() < 1e-6);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dirichlet {
    concentrations: Vec<f64>,
}

impl Dirichlet {
    /// Creates the distribution with these concentrations αᵢ, in `f64`: all 1 for no opinion, all ½ for Jeffreys' prior.
    ///
    /// # Errors
    /// If there are fewer than two outcomes, or a concentration or their sum is not finite and above 0.
    pub fn new(concentrations: &[f64]) -> Result<Self, ProbabilityError> {
        let right = |a: f64| a > 0.0 && a.is_finite();
        check("concentration", "finite and above 0", concentrations.iter().copied(), right)?;
        if concentrations.len() < 2 {
            return Err(ProbabilityError::at_least(2, "outcomes", concentrations.len()));
        }
        let sum: f64 = concentrations.iter().sum();
        check_setting("the sum of the concentrations", "finite", sum, sum.is_finite())?;
        Ok(Dirichlet { concentrations: concentrations.to_vec() })
    }

    /// Returns α, in `f64`.
    pub fn concentrations(&self) -> &[f64] {
        &self.concentrations
    }

    /// Returns the distribution after these counts, <var>αᵢ + nᵢ</var>, in `f64`.
    ///
    /// # Errors
    /// If the number of counts is not that of the outcomes, or the sum overflows.
    ///
    /// ```
    /// use probability::{Categorical, dirichlet::Dirichlet, likelihood};
    /// let counts = [3, 0, 1];
    /// let smoothed = likelihood::fit_categorical(&counts, 0.5)?;
    /// assert_eq!(Dirichlet::new(&[0.5; 3])?.posterior(&counts)?.mean(), smoothed);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn posterior(&self, counts: &[u64]) -> Result<Self, ProbabilityError> {
        check_length("counts", self.concentrations.len(), counts.len())?;
        let sums = self.concentrations.iter().zip(counts).map(|(a, &n)| a + n as f64);
        Dirichlet::new(&sums.collect::<Vec<f64>>())
    }

    /// Returns the mean, <var>αᵢ/A</var>, in `f64`.
    pub fn mean(&self) -> Categorical {
        Categorical::from_weights(&self.concentrations).expect("weights above 0")
    }

    /// Returns the distribution of the probability of outcome i alone, <var>Beta(αᵢ, A − αᵢ)</var>, in `f64`.
    ///
    /// # Errors
    /// If there is no such outcome.
    pub fn marginal(&self, i: usize) -> Result<Beta, ProbabilityError> {
        let n = self.concentrations.len();
        check_setting("the outcome", "below the number of outcomes", i as f64, i < n)?;
        let others = self.concentrations.iter().enumerate().filter(|(j, _)| *j != i);
        let rest = accurate::sum(others.map(|(_, a)| *a));
        Ok(Beta::new(self.concentrations[i], rest).expect("shapes above 0"))
    }

    /// Returns ln p(x), in `f64`. At a probability of 0 it is −∞ for α above 1 and ∞ for α below 1; −∞ if there are both.
    ///
    /// With <var>s(x)</var> the remainder of Stirling's formula it is
    /// <var>−Σ (αᵢ ln(αᵢ/(A·xᵢ)) + A·xᵢ − αᵢ) − Σ ln xᵢ + ½ Σ ln αᵢ − ½ ln A − (n − 1)·½ ln 2π + s(A) − Σ s(αᵢ)</var>: no
    /// large logarithms of gamma functions cancel.
    ///
    /// # Errors
    /// If the numbers of outcomes differ.
    ///
    /// ```
    /// use probability::{Categorical, dirichlet::Dirichlet};
    /// let x = Categorical::from_probabilities(&[0.2, 0.3, 0.5])?;
    /// let ln = Dirichlet::new(&[1.0, 1.0, 1.0])?.ln_density(&x)?;
    /// assert!((ln - 2_f64.ln()).abs() < 1e-15); // constant: one over the area ½ of the triangle
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "logpdf")]
    pub fn ln_density(&self, x: &Categorical) -> Result<f64, ProbabilityError> {
        check_length("probabilities", self.concentrations.len(), x.len())?;
        let pairs = || self.concentrations.iter().copied().zip(x.probabilities().iter().copied());
        let at_zero = |right: &dyn Fn(f64) -> bool| pairs().any(|(a, x)| x == 0.0 && right(a));
        if at_zero(&|a| a > 1.0) {
            return Ok(f64::NEG_INFINITY);
        }
        if at_zero(&|a| a < 1.0) {
            return Ok(f64::INFINITY);
        }
        let total = accurate::sum(self.concentrations.iter().copied());
        let term = |(a, x): (f64, f64)| {
            let own = match x {
                0.0 => 1.0 + total.ln(), // the limit, for α = 1
                _ => -deviance(a, total, x, (-total).mul_add(x, a)) - x.ln(),
            };
            own + 0.5 * a.ln() - stirling(a)
        };
        let whole = stirling(total) - 0.5 * total.ln() - (x.len() - 1) as f64 * LN_ROOT_TAU;
        Ok(accurate::sum(pairs().map(term).chain([whole])))
    }

    /// Draws a distribution: outcome by outcome a share of what is left, which has a beta distribution. Draw number `index`
    /// uses the numbers (n − 1)·index to (n − 1)·index + n − 2 of the generator, in `f64`.
    ///
    /// ```
    /// use probability::{Random, dirichlet::Dirichlet};
    /// // Which of two models is better, if one has 80 of 100 right and the other 70?
    /// let (a, b) = (Dirichlet::new(&[81.0, 21.0])?, Dirichlet::new(&[71.0, 31.0])?);
    /// let (of_a, of_b) = (Random::new(1, 0, 0), Random::new(1, 1, 0));
    /// let wins = (0..4000).filter(|&i| a.draw(&of_a, i).probability(0) > b.draw(&of_b, i).probability(0));
    /// assert!((wins.count() as f64 / 4000.0 - 0.948).abs() < 0.02);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("sample", "rvs", "rdirichlet"))]
    pub fn draw(&self, random: &Random, index: u64) -> Categorical {
        let n = self.concentrations.len();
        // Sums of the concentrations behind each outcome, from the last.
        let mut behind = vec![0.0; n];
        for i in (0..n - 1).rev() {
            behind[i] = behind[i + 1] + self.concentrations[i + 1];
        }
        let first = index.wrapping_mul(n as u64 - 1);
        let mut left = 1.0;
        let mut shares: Vec<f64> = (0..n - 1)
            .map(|i| {
                let u = random.open_uniform(first.wrapping_add(i as u64));
                let (side, p) = if u <= 0.5 { (Side::Lower, u) } else { (Side::Upper, 1.0 - u) };
                let at = beta_quantile(self.concentrations[i], behind[i], side, p);
                let share = left * at.x;
                left *= at.y;
                share
            })
            .collect();
        shares.push(left);
        Categorical::from_weights(&shares).expect("shares of one, which are not all 0")
    }
}
