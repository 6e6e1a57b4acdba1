//! Maximum likelihood: the model with the lowest surprisal of the data.
//!
//! Formula: for counts nᵢ, <var>N = Σ nᵢ</var>, and a model q, <var>ln P(data) = Σ nᵢ·ln qᵢ</var>. The maximum is at
//! <var>q = n/N</var>. Divided by −N it is the cross-entropy H(n/N, q): minimising cross-entropy *is* maximising
//! likelihood. With α pseudocounts for each of V outcomes, <var>q = (n + α)/(N + α·V)</var>.
//! Source: Bishop, *Pattern Recognition and Machine Learning*, sections 1.2.4 and 2.2; for
//! smoothing, Jurafsky and Martin, *Speech and Language Processing*, chapter 3.

use crate::accurate;
use crate::categorical::Categorical;
use crate::error::{ProbabilityError, check_length, check_setting};
use crate::gaussian::Gaussian;
use crate::moments;
use linalg::Real;

/// Returns the maximum-likelihood distribution of counts, with α pseudocounts for every outcome.
///
/// α = 0 is maximum likelihood itself, which gives unseen outcomes probability 0; α = 1 is Laplace's rule; α → ∞ is
/// uniform.
///
/// # Errors
/// If α is negative, infinite or NaN, there are no outcomes, or there are no observations and α is 0.
///
/// ```
/// use probability::likelihood::fit_categorical;
/// let p = fit_categorical::<f64>(&[6, 3, 0, 1], 1.0)?;
/// assert_eq!(p.probabilities(), [0.5, 4.0 / 14.0, 1.0 / 14.0, 2.0 / 14.0]);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("additive_smoothing", "laplace_smoothing"))]
pub fn fit_categorical<T: Real>(
    counts: &[u64],
    alpha: f64,
) -> Result<Categorical<T>, ProbabilityError> {
    let right = alpha >= 0.0 && alpha.is_finite();
    check_setting("the pretended count α", "0 or more, and finite", alpha, right)?;
    let smoothed: Vec<f64> = counts.iter().map(|&n| n as f64 + alpha).collect();
    // In a unit in which they are in range of any scalar.
    let unit = accurate::power_of_two(&smoothed);
    let smoothed: Vec<T> = smoothed.iter().map(|n| T::from_f64(n / unit)).collect();
    Categorical::from_weights(&smoothed)
}

/// Returns <var>ln P(data) = Σ nᵢ·ln qᵢ</var> of counts under a model, in nats. −∞ if an observed outcome has
/// probability 0; unobserved outcomes add nothing.
///
/// # Errors
/// If the number of counts is not that of the outcomes.
///
/// ```
/// use probability::{Categorical, likelihood::log_likelihood};
/// let (counts, model) = ([6, 3, 0, 1], Categorical::<f64>::uniform(4)?);
/// assert!((log_likelihood(&model, &counts)? + 10.0 * 4.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("loglik", "log_prob"))]
pub fn log_likelihood<T: Real>(
    model: &Categorical<T>,
    counts: &[u64],
) -> Result<T, ProbabilityError> {
    check_length("counts", model.len(), counts.len())?;
    let seen = counts.iter().zip(model.probabilities()).filter(|(n, _)| **n > 0);
    Ok(accurate::sum(seen.map(|(&n, &q)| T::from_f64(n as f64) * q.ln())))
}

/// Returns −ln P(data)/N, in nats per observation: the cross-entropy <var>H(p̂, q) = −Σ p̂ᵢ·ln qᵢ</var> of the relative
/// frequencies p̂ and the model. It is the loss of a language model.
///
/// # Errors
/// Like [`log_likelihood`]; and if there are no observations.
///
/// ```
/// use probability::{Categorical, likelihood::mean_surprisal};
/// let model = Categorical::from_logits(&[2.0, 1.0, 0.5, -1.0, 0.1])?;
/// // One token, the first: the loss of the textbook's logits.
/// assert!((mean_surprisal(&model, &[1, 0, 0, 0, 0])? - 0.582419671_f64).abs() < 1e-9);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("nll", "nll_loss", "log_loss"))]
pub fn mean_surprisal<T: Real>(
    model: &Categorical<T>,
    counts: &[u64],
) -> Result<T, ProbabilityError> {
    let total: f64 = counts.iter().map(|&n| n as f64).sum();
    if total == 0.0 {
        return Err(ProbabilityError::Empty { what: "observations" });
    }
    Ok(-log_likelihood(model, counts)? / T::from_f64(total))
}

/// Returns the Gaussian of maximum likelihood: the mean of the numbers and their *population* variance.
///
/// Numbers are scaled by a power of two first, so that the squares of 10²⁰⁰ and of 10⁻²⁰⁰ stay in range.
///
/// # Errors
/// If there are no numbers, one is infinite or NaN, all are equal (the likelihood has no maximum), or the deviation
/// underflows.
///
/// ```
/// let fit = probability::likelihood::fit_gaussian(&[1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!((fit.mean(), fit.deviation()), (2.5, 1.25_f64.sqrt()));
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "norm.fit")]
pub fn fit_gaussian<T: Real>(numbers: &[T]) -> Result<Gaussian<T>, ProbabilityError> {
    let values = numbers.iter().map(|x| x.to_f64());
    crate::error::check("number", "finite", values, f64::is_finite)?;
    let unit = accurate::power_of_two(numbers);
    let scaled: Vec<T> = numbers.iter().map(|&x| x / unit).collect();
    let deviation = moments::population_variance(&scaled)?.sqrt();
    Gaussian::new(moments::mean(&scaled)? * unit, deviation * unit)
}
