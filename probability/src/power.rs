//! The power of a test: how often it finds a difference that is there, and the number of samples that takes.
//!
//! For two groups of n normal numbers each, of equal spread σ, whose means differ by δ: Student's test at significance α
//! finds the difference with probability
//! <var>power = P(|T| > t) = Σ Poisson(j; λ)·P(Beta(ν/2, j + ½) < ν/(ν + t²))</var>, with T Student's noncentral
//! distribution of <var>ν = 2n − 2</var> degrees of freedom, <var>λ = n·(δ/σ)²/4</var>, and t the quantile
//! of 1 − α/2 of the central one. For n pairs whose differences have the mean δ and the spread σ, <var>ν = n − 1</var> and
//! <var>λ = n·(δ/σ)²/2</var>.
//! Source: Cohen, *Statistical Power Analysis for the Behavioral Sciences*, 1988, chapter 2; the series is that of
//! Johnson, Kotz and Balakrishnan, *Continuous Univariate Distributions* 2, chapter 30.
//!
//! On `f64` alone: quantiles cannot be differentiated.

use crate::distribution::StudentsT;
use crate::error::{ProbabilityError, check_setting};
use crate::incomplete::{Share, beta_tails};

/// The smallest and the largest difference in units of the spread for which samples are counted.
const EFFECTS: [f64; 2] = [1e-6, 1e3];

fn check_effect(effect: f64) -> Result<(), ProbabilityError> {
    let right = (EFFECTS[0]..=EFFECTS[1]).contains(&effect);
    check_setting("the difference in units of the spread", "from 1e-6 to 1000", effect, right)
}

fn check_share(what: &'static str, share: f64) -> Result<(), ProbabilityError> {
    // The number of samples stays below 10¹⁶ and the sums short.
    let right = (1e-9..=1.0 - 1e-9).contains(&share);
    check_setting(what, "from 1e-9 to 1 - 1e-9", share, right)
}

/// Returns the power of a two-sided test of two groups of `samples` numbers each. `effect` is the true difference of the
/// means in units of the spread, <var>δ/σ</var>. On `f64`: it cannot be differentiated.
///
/// # Errors
/// If there are fewer than two samples or more than 2⁵³, the effect is outside \[10⁻⁶, 1000\], or the significance is
/// outside \[10⁻⁹, 1 − 10⁻⁹\].
///
/// ```
/// // Half a standard deviation, 64 samples a group: Cohen's table says .80.
/// assert!((probability::power::of_two_groups(64, 0.5, 0.05)? - 0.8015).abs() < 1e-4);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("TTestIndPower", "power.t.test"))]
pub fn of_two_groups(
    samples: u64,
    effect: f64,
    significance: f64,
) -> Result<f64, ProbabilityError> {
    check_effect(effect)?;
    check_share("the significance", significance)?;
    let right = (2..=1 << 53).contains(&samples);
    check_setting("the number of samples", "from 2 to 2^53", samples as f64, right)?;
    Ok(two_groups(samples, effect, significance))
}

fn two_groups(samples: u64, effect: f64, significance: f64) -> f64 {
    let n = samples as f64;
    rejected(2.0 * (n - 1.0), effect * (0.5 * n).sqrt(), significance)
}

/// Returns P(|T| > t) of the noncentral T whose normal number has the mean `shift`, with <var>λ = shift²/2</var>.
fn rejected(degrees: f64, shift: f64, significance: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, degrees).expect("one degree of freedom or more");
    let t = student.half_width(1.0 - significance);
    // The normal number misses by 40 deviations, or the estimated spread is too large by as many, with a probability
    // below 10⁻³⁰⁰. Beyond, the sum would have too many terms.
    if shift - 40.0 > t * (1.0 + 40.0 / degrees.sqrt()) {
        return 1.0;
    }
    let lambda = 0.5 * shift * shift;
    let at = Share::of_odds(t * (t / degrees)).mirrored();
    // Terms farther than twelve standard deviations from λ sum to less than 10⁻³⁰.
    let reach = 12.0 * lambda.sqrt() + 40.0;
    let (first, last) = ((lambda - reach).max(0.0).floor(), (lambda + reach).ceil());
    // Probabilities relative to that of the middle, so that none underflows; they are divided by their sum.
    let middle = lambda.floor();
    let mut weight = 1.0;
    let mut terms = vec![(middle, 1.0)];
    for j in (first as u64..middle as u64).rev() {
        weight *= (j + 1) as f64 / lambda;
        terms.push((j as f64, weight));
    }
    weight = 1.0;
    for j in middle as u64 + 1..=last as u64 {
        weight *= lambda / j as f64;
        terms.push((j as f64, weight));
    }
    terms.retain(|(_, weight)| *weight > 1e-20);
    let total: f64 = terms.iter().map(|(_, weight)| weight).sum();
    let found =
        terms.iter().map(|(j, weight)| weight * beta_tails(degrees / 2.0, j + 0.5, at).lower());
    (found.sum::<f64>() / total).min(1.0)
}

/// Returns the least number of samples in each of two groups with which a two-sided test finds a difference with this
/// power: the seeds that a decision between two settings needs. `effect` is the true difference of the means in units of the
/// spread, <var>δ/σ</var>. On `f64`: it cannot be differentiated.
///
/// # Errors
/// If the effect is outside \[10⁻⁶, 1000\], or the significance or the power is outside \[10⁻⁹, 1 − 10⁻⁹\].
///
/// ```
/// use probability::power::samples_needed;
/// assert_eq!(samples_needed(0.5, 0.05, 0.8)?, 64); // Cohen's table 2.4.1
/// assert_eq!(samples_needed(2.0, 0.05, 0.8)?, 6);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("sample_size", "solve_power"))]
pub fn samples_needed(
    effect: f64,
    significance: f64,
    wanted: f64,
) -> Result<u64, ProbabilityError> {
    check_effect(effect)?;
    check_share("the significance", significance)?;
    check_share("the power", wanted)?;
    Ok(least(|n| two_groups(n, effect, significance) >= wanted))
}

/// Returns the least number from 2 on that is enough, if all larger ones are.
fn least(enough: impl Fn(u64) -> bool) -> u64 {
    let mut high = 2;
    while !enough(high) {
        high *= 2;
    }
    let mut low = (high / 2).max(1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    high
}

/// Returns the power of Student's two-sided test of this many pairs ([`paired::t_test`](crate::paired::t_test)). `effect` is the
/// true mean difference in units of the spread of the differences, <var>δ/σ_d</var>. On `f64`: it cannot be differentiated.
///
/// If the two numbers of a pair have spread σ and correlation ρ, <var>σ_d = σ·√(2(1 − ρ))</var>: pairing seeds, or
/// documents, helps as far as they are correlated.
///
/// # Errors
/// As [`of_two_groups`], for the number of pairs.
///
/// ```
/// use probability::power::{of_pairs, of_two_groups};
/// assert!((of_pairs(34, 0.5, 0.05)? - 0.807777).abs() < 1e-6);
/// // Five seeds of each of two settings that differ by one σ: 0.29. With the same seeds and a correlation of 0.9, σ_d is
/// // 0.45·σ, and the power 0.95.
/// assert!((of_two_groups(5, 1.0, 0.05)? - 0.286).abs() < 1e-3);
/// assert!((of_pairs(5, 1.0 / 0.2_f64.sqrt(), 0.05)? - 0.955).abs() < 1e-3);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("TTestPower", "power.t.test"))]
pub fn of_pairs(pairs: u64, effect: f64, significance: f64) -> Result<f64, ProbabilityError> {
    check_effect(effect)?;
    check_share("the significance", significance)?;
    let right = (2..=1 << 53).contains(&pairs);
    check_setting("the number of pairs", "from 2 to 2^53", pairs as f64, right)?;
    Ok(paired(pairs, effect, significance))
}

fn paired(pairs: u64, effect: f64, significance: f64) -> f64 {
    rejected(pairs as f64 - 1.0, effect * (pairs as f64).sqrt(), significance)
}

/// Returns the least number of pairs with which Student's two-sided test finds a difference with this power: the seeds that
/// both settings of a comparison need, or the documents that both models must read. `effect` is that of [`of_pairs`]. On
/// `f64`: it cannot be differentiated.
///
/// # Errors
/// As [`samples_needed`].
///
/// ```
/// use probability::power::pairs_needed;
/// assert_eq!(pairs_needed(0.5, 0.05, 0.8)?, 34);
/// assert_eq!(pairs_needed(2.0, 0.05, 0.8)?, 5);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("solve_power", "power.t.test"))]
pub fn pairs_needed(effect: f64, significance: f64, wanted: f64) -> Result<u64, ProbabilityError> {
    check_effect(effect)?;
    check_share("the significance", significance)?;
    check_share("the power", wanted)?;
    Ok(least(|n| paired(n, effect, significance) >= wanted))
}
