//! Bayes' rule: the probability of a hypothesis given evidence.
//!
//! Formula: <var>P(h | e) = P(e | h)·P(h)/P(e)</var> with <var>P(e) = Σ_h P(e | h)·P(h)</var>, the law
//! of total probability.
//! Source: the textbook's A.2; MacKay, *Information Theory, Inference, and Learning Algorithms*,
//! chapter 3.

use crate::accurate;
use crate::categorical::Categorical;
use crate::error::{ProbabilityError, check, check_length};
use linalg::Real;

/// The allowed likelihoods. A density may be above 1.
const LIKELIHOOD: &str = "0 or more, and finite";

/// Returns <var>P(A | B) = P(A ∧ B)/P(B)</var>.
///
/// # Errors
/// If P(B) = 0, a number is NaN or outside \[0, 1\], or P(A ∧ B) is above P(B).
///
/// ```
/// // "the" followed by "cat" 3 times in 1000, "the" alone 60 times in 1000.
/// assert!((probability::bayes::conditional(0.003, 0.06)? - 0.05_f64).abs() < 1e-16);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn conditional<T: Real>(both: T, condition: T) -> Result<T, ProbabilityError> {
    let (a, b) = (both.to_f64(), condition.to_f64());
    let of = |what, found: f64, highest: f64, expected| {
        crate::error::check_setting(what, expected, found, (0.0..=highest).contains(&found))
    };
    of("the condition's probability", b, 1.0, "between 0 and 1")?;
    of("the probability of both", a, b, "between 0 and the condition's probability")?;
    if b == 0.0 {
        return Err(ProbabilityError::Impossible { what: "event", index: 0 });
    }
    Ok(both / condition)
}

/// Returns the total probability <var>P(e) = Σ_h P(e | h)·P(h)</var>.
///
/// # Errors
/// If the number of likelihoods is not that of the hypotheses, or one is negative, infinite or NaN.
///
/// ```
/// use probability::{Categorical, bayes};
/// let prior = Categorical::from_probabilities(&[0.01, 0.99])?;
/// assert!((bayes::total_probability(&prior, &[0.9, 0.05])? - 0.0585_f64).abs() < 1e-15);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("evidence", "marginal_likelihood"))]
pub fn total_probability<T: Real>(
    prior: &Categorical<T>,
    likelihood: &[T],
) -> Result<T, ProbabilityError> {
    check_length("likelihoods", prior.len(), likelihood.len())?;
    let values = likelihood.iter().map(|l| l.to_f64());
    check("likelihood", LIKELIHOOD, values, |l| l >= 0.0 && l.is_finite())?;
    Ok(prior.expectation(|h| likelihood[h]))
}

/// Returns the posterior P(h | e) of every hypothesis h, from P(h) and P(e | h).
///
/// # Errors
/// Like [`total_probability`]; and if no hypothesis allows the evidence.
///
/// ```
/// use probability::{Categorical, bayes};
/// // One document in a hundred is relevant; the retriever flags 90 % of those, and 5 % of the others.
/// let prior = Categorical::from_probabilities(&[0.01, 0.99])?;
/// let posterior = bayes::posterior(&prior, &[0.9, 0.05])?;
/// assert!((posterior.probability(0) - 0.153846_f64).abs() < 1e-6); // most flags are false
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "bayes_rule")]
pub fn posterior<T: Real>(
    prior: &Categorical<T>,
    likelihood: &[T],
) -> Result<Categorical<T>, ProbabilityError> {
    total_probability(prior, likelihood)?; // checks both
    let pairs = || prior.probabilities().iter().copied().zip(likelihood.iter().copied());
    let possible = || pairs().filter(|(p, l)| *p > T::zero() && *l > T::zero());
    // Each in units of its largest relevant number, so that products of tiny numbers do not underflow.
    let p_unit = accurate::power_of_two(&possible().map(|(p, _)| p).collect::<Vec<_>>());
    let l_unit = accurate::power_of_two(&possible().map(|(_, l)| l).collect::<Vec<_>>());
    let product = |(p, l): (T, T)| {
        if p > T::zero() && l > T::zero() { (p / p_unit) * (l / l_unit) } else { T::zero() }
    };
    Categorical::from_weights(&pairs().map(product).collect::<Vec<_>>()).map_err(|_| {
        ProbabilityError::Empty { what: "hypotheses with prior and likelihood above 0" }
    })
}

/// Returns the posterior <var>P(h | e₁, e₂, …)</var> for evidence that is independent given h, from
/// <var>ln P(eₖ | h)</var> (naive Bayes).
///
/// Logarithms are added, so that a thousand words do not underflow; −∞ excludes a hypothesis.
///
/// # Errors
/// If the number of lists is not that of the hypotheses, a sum of logarithms is NaN or +∞, or no hypothesis allows the
/// evidence.
///
/// ```
/// use probability::{Categorical, bayes};
/// let prior = Categorical::uniform(2)?;
/// let long = [vec![-8.0_f64; 1000], vec![-8.001; 1000]]; // a thousand words; e^−8000 underflows
/// let p = bayes::posterior_of_many(&prior, &long)?;
/// assert!((p.probability(0) - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-9);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "naive_bayes")]
pub fn posterior_of_many<T: Real>(
    prior: &Categorical<T>,
    ln_likelihoods: &[Vec<T>],
) -> Result<Categorical<T>, ProbabilityError> {
    check_length("lists of log-likelihoods", prior.len(), ln_likelihoods.len())?;
    let scores: Vec<T> = prior
        .probabilities()
        .iter()
        .zip(ln_likelihoods)
        .map(|(&p, terms)| p.ln() + accurate::sum(terms.iter().copied()))
        .collect();
    let values = scores.iter().map(|z| z.to_f64());
    let (what, expected) = ("the sum of log-likelihoods and ln P(h) of hypothesis", "finite or −∞");
    check(what, expected, values, |z| !z.is_nan() && z != f64::INFINITY)?;
    Categorical::from_logits(&scores).map_err(|_| ProbabilityError::Empty {
        what: "hypotheses with prior and likelihood above 0",
    })
}
