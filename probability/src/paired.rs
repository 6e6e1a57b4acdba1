//! Paired tests: is one model better than another on the *same* tokens?
//!
//! Two perplexities of one text also differ by chance. The difficulty of a token is common to both models; the test
//! uses only the differences <var>dᵢ = aᵢ − bᵢ</var> of the losses, token by token (or better, document by document).
//! Formula: <var>t = d̄/√(s²/n)</var>, which follows Student's distribution with n − 1 degrees of freedom if the true
//! mean is 0.
//! Source: Student 1908; Dror et al., *The hitchhiker's guide to testing statistical significance
//! in NLP*, 2018.
//!
//! On `f64` alone: quantiles and counts of signs cannot be differentiated.

use crate::accurate;
use crate::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};
use crate::error::{ProbabilityError, check, check_length, check_setting};
use crate::interval::{Interval, check_confidence};
use crate::random::Random;
use crate::running::Running;

/// The outcome of a t-test of two models' losses, paired or in two groups ([`crate::welch`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TTest {
    /// The mean of a minus that of b, in the unit of the losses; negative if a is better. In nats per token,
    /// <var>e^difference</var> is the ratio of the perplexities.
    pub difference: f64,
    /// The standard error of the difference.
    pub standard_error: f64,
    /// The difference in standard errors; ±∞ if nothing scatters and the difference is not 0, 0 if it is 0.
    pub t: f64,
    /// The degrees of freedom.
    pub degrees: f64,
    /// The p-value: the probability of a |t| at least as large if the true means are equal.
    pub p_value: f64,
    /// The interval of the true mean difference, with the requested confidence.
    pub interval: Interval,
}

/// Runs Student's paired test of the losses of two models on the same tokens. On `f64`: it cannot be differentiated.
///
/// # Errors
/// If the confidence is outside (0, 1), the lengths differ, there are fewer than two losses, or one is infinite or NaN.
/// Finite losses of any size are accepted: a difference or an end of the interval that overflows is ±∞.
///
/// ```
/// use probability::paired::t_test;
/// let a = [2.31, 4.02, 0.75, 3.10, 1.95, 2.60]; // nats per document
/// let b = [2.40, 4.10, 0.74, 3.25, 2.02, 2.71]; // the spread within a model is 1, between them 0.05
/// let test = t_test(&a, &b, 0.95)?;
/// assert!(test.interval.high < 0.0 && test.p_value < 0.05); // a is better, and not by chance
/// assert!((test.difference.exp() - 0.9216).abs() < 1e-4); // a's perplexity, as a share of b's
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("ttest_rel", "t.test"))]
pub fn t_test(a: &[f64], b: &[f64], confidence: f64) -> Result<TTest, ProbabilityError> {
    check_confidence(confidence)?;
    let (differences, factors) = differences(a, b)?;
    let running: Running<f64> = differences.into_iter().collect();
    let (mean, error) = (running.mean()?, running.standard_error()?);
    Ok(tested((mean, error), (a.len() - 1) as f64, confidence, factors))
}

/// Returns the test of a mean and its standard error, both in units of the product of two factors.
pub(crate) fn tested(
    (mean, error): (f64, f64),
    degrees: f64,
    confidence: f64,
    factors: [f64; 2],
) -> TTest {
    let t = if mean == 0.0 { 0.0 } else { mean / error };
    let student = StudentsT::new(0.0, 1.0, degrees).expect("at least one degree of freedom");
    let half = student.half_width(confidence) * error;
    // Twice the lower tail: 1 − P(T ≤ |t|) would cancel.
    let p_value = if t.is_infinite() { 0.0 } else { (2.0 * student.cdf(-t.abs())).min(1.0) };
    let sized = |x: f64| x * factors[0] * factors[1];
    let interval = Interval { low: sized(mean - half), high: sized(mean + half) };
    let (difference, standard_error) = (sized(mean), sized(error));
    TTest { difference, standard_error, t, degrees, p_value, interval }
}

/// Runs the paired test on clusters of tokens, such as windows or documents: tokens of one cluster depend on each other,
/// clusters are taken as independent. On `f64`: it cannot be differentiated.
///
/// `sums` has the sum of <var>a − b</var> over the tokens of each cluster, `sizes` the number of tokens. The mean
/// difference per token is a ratio of two sums over clusters.
/// Formula, with k clusters, sums Dᵢ and sizes nᵢ: <var>d̄ = Σ Dᵢ/Σ nᵢ</var> and
/// <var>error² = k/(k − 1)·Σ (Dᵢ − d̄·nᵢ)²/(Σ nᵢ)²</var>, with k − 1 degrees of freedom. For clusters of equal size it is
/// [`t_test`] of the clusters' means.
/// Source: Cochran, *Sampling Techniques*, 1977, section 6.3; Liang and Zeger, *Longitudinal data analysis using
/// generalized linear models*, 1986.
///
/// # Errors
/// If the confidence is outside (0, 1), the lengths differ, there are fewer than two clusters, a sum is infinite or NaN, or
/// a size is not finite and above 0.
///
/// ```
/// use probability::paired::clustered;
/// // Three windows of 4, 4 and 2 tokens: a is better in all of them, by 0.06 nats per token.
/// let test = clustered(&[-0.24, -0.28, -0.08], &[4.0, 4.0, 2.0], 0.95)?;
/// assert!((test.difference + 0.06).abs() < 1e-15 && test.degrees == 2.0);
/// assert!(test.p_value < 0.05);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "cluster_robust")]
pub fn clustered(sums: &[f64], sizes: &[f64], confidence: f64) -> Result<TTest, ProbabilityError> {
    check_confidence(confidence)?;
    check_length("sizes of clusters", sums.len(), sizes.len())?;
    check("sum of a cluster,", "finite", sums.iter().copied(), f64::is_finite)?;
    let right = |n: f64| n > 0.0 && n.is_finite();
    check("size of a cluster,", "finite and above 0", sizes.iter().copied(), right)?;
    if sums.len() < 2 {
        return Err(ProbabilityError::at_least(2, "clusters", sums.len()));
    }
    let units = [accurate::power_of_two(sums), accurate::power_of_two(sizes)];
    let pairs = || sums.iter().zip(sizes).map(|(d, n)| (d / units[0], n / units[1]));
    let (total, k) = (accurate::sum(pairs().map(|(_, n)| n)), sums.len() as f64);
    let mean = accurate::sum(pairs().map(|(d, _)| d)) / total;
    let squares = accurate::sum(pairs().map(|(d, n)| (d - mean * n).powi(2)));
    let error = (squares * (k / (k - 1.0))).sqrt() / total;
    Ok(tested((mean, error), k - 1.0, confidence, [units[0], 1.0 / units[1]]))
}

/// Tests the same without assuming a distribution: if both models are equally good, every difference could have the
/// other sign. Returns the fraction of random sign choices with a mean at least as far from 0.
///
/// The observed choice counts as one, so the result is at least 1/(`trials` + 1).
///
/// # Errors
/// If the lengths differ, there are fewer than two losses, one is infinite or NaN, or there are no trials.
///
/// ```
/// use probability::{Random, paired::sign_flip_test};
/// let (a, b) = ([2.31, 4.02, 0.75, 3.10, 1.95, 2.60], [2.40, 4.10, 0.74, 3.25, 2.02, 2.71]);
/// let p = sign_flip_test(&a, &b, 10_000, &Random::new(1, 0, 0))?;
/// assert!((p - 4.0 / 64.0).abs() < 0.02); // of the 2⁶ choices, four are as extreme
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "permutation_test")]
pub fn sign_flip_test(
    a: &[f64],
    b: &[f64],
    trials: u64,
    random: &Random,
) -> Result<f64, ProbabilityError> {
    check_setting("the number of trials", "1 or more", trials as f64, trials > 0)?;
    let (d, _) = differences(a, b)?;
    let observed = accurate::sum(d.iter().copied()).abs();
    // Sums of the same numbers with other signs differ by rounding, which does not count as farther.
    let slack = d.len() as f64 * f64::EPSILON * d.iter().map(|d| d.abs()).sum::<f64>();
    let n = d.len() as u64;
    let flipped = |trial: u64| -> f64 {
        let sign = |i: u64| if random.bits(trial * n + i) & 1 == 0 { 1.0 } else { -1.0 };
        (0..n).map(|i| sign(i) * d[i as usize]).sum()
    };
    let as_far = (0..trials).filter(|&t| flipped(t).abs() >= observed - slack).count();
    Ok((as_far + 1) as f64 / (trials + 1) as f64)
}

/// The outcome of McNemar's test of two models' answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct McNemar {
    /// The number of items that only the first model has right.
    pub only_first: u64,
    /// The number of items that only the second model has right.
    pub only_second: u64,
    /// The p-value: the probability of counts at least as far apart if both models are equally good.
    pub p_value: f64,
}

/// Runs McNemar's exact test of which answers of two models to the same items are right: is one more accurate?
///
/// Items on which both are right, or both wrong, say nothing. Formula: with n items that only one has right, k of them the
/// one and n − k the other, <var>p = min(1, 2·P(X ≤ min(k, n − k)))</var> for X of the binomial distribution of n
/// trials with probability ½; 1 if there is no such item.
/// Source: McNemar, *Note on the sampling error of the difference between correlated proportions or percentages*, 1947;
/// Dietterich, *Approximate statistical tests for comparing supervised classification learning algorithms*, 1998.
///
/// # Errors
/// If the lengths differ, or there are no items.
///
/// ```
/// use probability::paired::mcnemar;
/// // 40 items: 12 that only a has right, 3 that only b has, 25 that both have.
/// let a: Vec<bool> = (0..40).map(|i| !(12..15).contains(&i)).collect();
/// let b: Vec<bool> = (0..40).map(|i| i >= 12).collect();
/// let test = mcnemar(&a, &b)?;
/// assert_eq!((test.only_first, test.only_second), (12, 3));
/// assert!((test.p_value - 0.035156).abs() < 1e-6); // 92.5 % against 70 %
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "mcnemar.test")]
pub fn mcnemar(a: &[bool], b: &[bool]) -> Result<McNemar, ProbabilityError> {
    check_length("answers of the second model", a.len(), b.len())?;
    if a.is_empty() {
        return Err(ProbabilityError::Empty { what: "pairs of answers" });
    }
    let count = |own: &[bool], other: &[bool]| {
        own.iter().zip(other).filter(|(own, other)| **own && !**other).count() as u64
    };
    let (only_first, only_second) = (count(a, b), count(b, a));
    let coin = Binomial::new(0.5, only_first + only_second).expect("a probability");
    let p_value = (2.0 * coin.cdf(only_first.min(only_second))).min(1.0);
    Ok(McNemar { only_first, only_second, p_value })
}

/// Returns the differences as numbers of size 1 and two powers of two to multiply them by, so that neither they nor
/// their squares overflow or underflow.
fn differences(a: &[f64], b: &[f64]) -> Result<(Vec<f64>, [f64; 2]), ProbabilityError> {
    check_length("losses of the second model", a.len(), b.len())?;
    check("loss of the first model,", "finite", a.iter().copied(), f64::is_finite)?;
    check("loss of the second model,", "finite", b.iter().copied(), f64::is_finite)?;
    if a.len() < 2 {
        return Err(ProbabilityError::at_least(2, "pairs of losses", a.len()));
    }
    let pairs = || a.iter().zip(b);
    let factor = if pairs().all(|(a, b)| (a - b).is_finite()) { 1.0 } else { 2.0 };
    let differences: Vec<f64> = pairs().map(|(a, b)| a / factor - b / factor).collect();
    let unit = accurate::power_of_two(&differences);
    Ok((differences.iter().map(|d| d / unit).collect(), [unit, factor]))
}
