//! Named distributions, by [statrs], with random numbers that have no hidden state.
//!
//! | distribution | where in a transformer |
//! |---|---|
//! | [`Categorical`](crate::Categorical) (ours) | the next token; attention weights |
//! | [`Bernoulli`] | a dropout mask, where P(0) = p drops |
//! | [`Uniform`] | baselines, Xavier's initialisation |
//! | [`Normal`] | initial weights, noise of diffusion |
//! | [`Binomial`], [`Beta`] | how many answers of n are right, and what that says about the rate |
//! | [`StudentsT`] | comparing two models ([`paired`](crate::paired)) |
//! | [`ChiSquared`] | testing a sampler ([`goodness`](crate::goodness)) |
//! | [`Gumbel`] | drawing by the largest perturbed logit ([`gumbel`](crate::gumbel)) |
//! | [`Geometric`], [`Exp`], [`Poisson`], [`Gamma`], [`Laplace`], [`LogNormal`] | lengths, gaps, counts, scales, sparse priors |
//!
//! Densities (`pdf`, `ln_pdf`, `pmf`, `ln_pmf`), `cdf`, `sf`, `inverse_cdf`, `mean`, `variance` are
//! statrs' and on `f64`: they cannot be differentiated. Against SciPy they are right to 10⁻¹², but
//! for `cdf` and `inverse_cdf` of [`Normal`] and [`LogNormal`], right to 10⁻¹⁰ (the coefficients of
//! statrs' erf are in single precision). [`Gaussian`](crate::gaussian::Gaussian) is right to the
//! last digits, and can be differentiated, as can [`Categorical`](crate::Categorical).
//!
//! ```
//! use probability::distribution::{Bernoulli, Discrete, Distribution};
//! let dropped = Bernoulli::new(0.1)?; // statrs' p is the probability of a 1
//! assert!((dropped.pmf(1) - 0.1).abs() < 1e-16);
//! assert!((dropped.variance().unwrap() - 0.09).abs() < 1e-16);
//! # Ok::<(), probability::distribution::BernoulliError>(())
//! ```

use crate::random::Random;

pub use statrs::distribution::BinomialError as BernoulliError;
pub use statrs::distribution::{
    Bernoulli, Beta, Binomial, ChiSquared, Continuous, ContinuousCDF, Discrete, DiscreteCDF, Exp,
    Gamma, Geometric, Gumbel, Laplace, LogNormal, Normal, Poisson, StudentsT, Uniform,
};
pub use statrs::statistics::{Distribution, Max, Median, Min, Mode};

/// Draws from any continuous distribution of one variable by inverse transform: F⁻¹(u) with u
/// uniform in (0, 1).
///
/// ```
/// use probability::{Random, distribution::{Exp, draw}};
/// let (random, waiting) = (Random::new(1, 0, 0), Exp::new(2.0)?);
/// let mean = (0..10_000).map(|i| draw(&waiting, &random, i)).sum::<f64>() / 10_000.0;
/// assert!((mean - 0.5).abs() < 5.0 * 0.5 / 100.0); // five standard errors
/// # Ok::<(), statrs::distribution::ExpError>(())
/// ```
pub fn draw(distribution: &impl ContinuousCDF<f64, f64>, random: &Random, index: u64) -> f64 {
    distribution.inverse_cdf(random.open_uniform(index))
}

/// Draws from any distribution over whole numbers by inverse transform: the least k with <var>u ≤ P(X ≤
/// k)</var>.
///
/// ```
/// use probability::{Random, distribution::{Binomial, draw_whole}};
/// let (random, right) = (Random::new(1, 0, 0), Binomial::new(0.3, 10)?);
/// let mean = (0..10_000).map(|i| draw_whole(&right, &random, i) as f64).sum::<f64>() / 10_000.0;
/// assert!((mean - 3.0).abs() < 5.0 * 2.1_f64.sqrt() / 100.0);
/// # Ok::<(), statrs::distribution::BinomialError>(())
/// ```
pub fn draw_whole(distribution: &impl DiscreteCDF<u64, f64>, random: &Random, index: u64) -> u64 {
    distribution.inverse_cdf(random.open_uniform(index))
}
