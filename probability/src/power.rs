//! The power of a test: how often it finds a difference that is there, and the number of samples that takes.
//!
//! For two groups of n normal numbers each, of equal spread σ, whose means differ by δ: Student's test at significance α
//! finds the difference with probability
//! <var>power = P(|T| > t) = Σ Poisson(j; λ)·P(Beta(ν/2, j + ½) < ν/(ν + t²))</var>, with T Student's noncentral
//! distribution of <var>ν = 2n − 2</var> degrees of freedom, <var>λ = n·(δ/σ)²/4</var>, and t the quantile
//! of 1 − α/2 of the central one.
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
pub fn of_two_groups(
    samples: u64,
    effect: f64,
    significance: f64,
) -> Result<f64, ProbabilityError> {
    check_effect(effect)?;
    check_share("the significance", significance)?;
    let right = (2..=1 << 53).contains(&samples);
    check_setting("the number of samples", "from 2 to 2^53", samples as f64, right)?;
    Ok(power(samples, effect, significance))
}

fn power(samples: u64, effect: f64, significance: f64) -> f64 {
    let degrees = 2.0 * (samples as f64 - 1.0);
    let student = StudentsT::new(0.0, 1.0, degrees).expect("two degrees of freedom or more");
    let t = student.half_width(1.0 - significance);
    let lambda = samples as f64 * effect * effect / 4.0;
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
pub fn samples_needed(
    effect: f64,
    significance: f64,
    wanted: f64,
) -> Result<u64, ProbabilityError> {
    check_effect(effect)?;
    check_share("the significance", significance)?;
    check_share("the power", wanted)?;
    let enough = |n: u64| power(n, effect, significance) >= wanted;
    let mut high = 2;
    while !enough(high) {
        high *= 2;
    }
    // The power increases with the number of samples.
    let mut low = (high / 2).max(1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    Ok(high)
}
