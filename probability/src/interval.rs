//! Confidence intervals: the possible distance of an estimate from the true value.
//!
//! A confidence of 95 % means: about 95 of 100 such intervals contain the true value. All on `f64`: quantiles cannot be
//! differentiated.
//!
//! The loss of a model over a few seeds has the interval of [`student`], over thousands of documents that of [`normal`]; its
//! accuracy has that of [`wilson`], or of [`clopper_pearson`] if it must hold for any true rate; any other statistic has that
//! of [`bootstrap`] or [`bca`](crate::bootstrap::bca).
//! Source: Wasserman, *All of Statistics*, chapters 6 and 8; Student, *The probable error of a mean*, 1908; Wilson,
//! *Probable inference*, 1927; Clopper and Pearson, *The use of confidence or fiducial limits illustrated in the case of
//! the binomial*, 1934; Efron, *Bootstrap methods*, 1979.

use crate::accurate;
use crate::distribution::{ContinuousCDF, StudentsT};
use crate::error::{ProbabilityError, check, check_setting};
use crate::gaussian::{standard_from_middle, standard_quantile};
use crate::incomplete::{Side, beta_quantile};
use crate::random::Random;
use crate::running::Running;

/// The interval from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `x` is in the interval; never for NaN.
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }

    /// Returns the image under an increasing function: the interval of a cross-entropy becomes that of the perplexity
    /// under exp.
    ///
    /// ```
    /// use probability::interval::Interval;
    /// let nats = Interval { low: 0.0, high: 2.0_f64.ln() };
    /// assert_eq!(nats.map(f64::exp), Interval { low: 1.0, high: 2.0 });
    /// ```
    #[must_use]
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Interval {
        Interval { low: f(self.low), high: f(self.high) }
    }
}

/// Returns the number of standard errors on either side of an estimate for a confidence: 1.96 for 95 %.
pub(crate) fn deviations(confidence: f64) -> Result<f64, ProbabilityError> {
    check_confidence(confidence)?;
    Ok(if confidence < 0.5 {
        standard_from_middle(confidence / 2.0) // 1 − confidence would be rounded
    } else {
        -standard_quantile((1.0 - confidence) / 2.0)
    })
}

pub(crate) fn check_confidence(confidence: f64) -> Result<(), ProbabilityError> {
    let right = confidence > 0.0 && confidence < 1.0;
    check_setting("the confidence", "above 0 and below 1", confidence, right)
}

/// Returns the interval of a mean: <var>x̄ ± z·√(s²/n)</var>, for many numbers (at least 30, say) of any distribution
/// with a variance.
///
/// # Errors
/// If the confidence is outside (0, 1), there are fewer than two numbers, or one is infinite or NaN.
///
/// ```
/// use probability::interval::normal;
/// let losses: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
/// let interval = normal(&losses, 0.95)?;
/// assert!((interval.low - 3.934).abs() < 1e-3 && (interval.high - 5.066).abs() < 1e-3);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("z_interval", "zconfint"))]
pub fn normal(numbers: &[f64], confidence: f64) -> Result<Interval, ProbabilityError> {
    let z = deviations(confidence)?;
    around_mean(numbers, |_| z)
}

/// Returns Student's interval of a mean: <var>x̄ ± t·√(s²/n)</var>, with t the quantile of Student's distribution with
/// n − 1 degrees of freedom. Exact for normal numbers, however few: the loss of one setting over three seeds.
///
/// An end that overflows is ±∞. On `f64`: it cannot be differentiated.
///
/// # Errors
/// As [`normal`].
///
/// ```
/// use probability::interval::{normal, student};
/// let losses = [1.502, 1.498, 1.505]; // three seeds
/// let interval = student(&losses, 0.95)?;
/// assert!((interval.low - 1.492943).abs() < 1e-6 && (interval.high - 1.510390).abs() < 1e-6);
/// let narrow = normal(&losses, 0.95)?; // pretends that the spread is known: it holds the truth in 81 % of cases
/// assert!(narrow.high - narrow.low < 0.5 * (interval.high - interval.low));
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("t_interval", "t.test", "ttest_1samp", "t_mean"))]
pub fn student(numbers: &[f64], confidence: f64) -> Result<Interval, ProbabilityError> {
    check_confidence(confidence)?;
    around_mean(numbers, |n| {
        let student = StudentsT::new(0.0, 1.0, (n - 1) as f64);
        student.expect("two numbers or more").half_width(confidence)
    })
}

/// Returns the mean plus or minus `half(n)` standard errors.
fn around_mean(numbers: &[f64], half: impl Fn(usize) -> f64) -> Result<Interval, ProbabilityError> {
    check("number", "finite", numbers.iter().copied(), f64::is_finite)?;
    // In a unit in which squares stay in range.
    let unit = accurate::power_of_two(numbers);
    let running: Running<f64> = numbers.iter().map(|x| x / unit).collect();
    let (mean, error) = (running.mean()?, running.standard_error()?);
    let half = half(numbers.len()) * error;
    Ok(Interval { low: (mean - half) * unit, high: (mean + half) * unit })
}

/// Returns Wilson's score interval of a rate, from the successes in n trials.
///
/// Formula: <var>(p̂ + z²/2n ± z·√(p̂(1 − p̂)/n + z²/4n²))/(1 + z²/n)</var>. Unlike <var>p̂ ± z·√(p̂(1 − p̂)/n)</var>
/// it stays within \[0, 1\] and has a positive width if all trials agree.
///
/// # Errors
/// If the confidence is outside (0, 1), there are no trials, or more successes than trials.
///
/// ```
/// let right = probability::interval::wilson(8, 10, 0.95)?; // eight answers of ten
/// assert!((right.low - 0.490162).abs() < 1e-6 && (right.high - 0.943318).abs() < 1e-6);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("proportion_confint", "prop.test"))]
pub fn wilson(successes: u64, trials: u64, confidence: f64) -> Result<Interval, ProbabilityError> {
    let z = deviations(confidence)?;
    check_successes(successes, trials)?;
    let n = trials as f64;
    let (rate, failures) = (successes as f64 / n, (trials - successes) as f64 / n);
    let z2 = z * z / n;
    let half = (z2 * (rate * failures + z2 / 4.0)).sqrt();
    let low = if successes == 0 { 0.0 } else { (rate + z2 / 2.0 - half) / (1.0 + z2) };
    let high = if successes == trials { 1.0 } else { (rate + z2 / 2.0 + half) / (1.0 + z2) };
    Ok(Interval { low, high })
}

/// Checks that there are trials, and no more successes than trials.
pub(crate) fn check_successes(successes: u64, trials: u64) -> Result<(), ProbabilityError> {
    if trials == 0 {
        return Err(ProbabilityError::Empty { what: "trials" });
    }
    let (what, expected) = ("the number of successes", "at most the number of trials");
    check_setting(what, expected, successes as f64, successes <= trials)
}

/// Returns the exact interval of a rate of Clopper and Pearson, from the successes in n trials: the rates that a
/// test of each tail does not refuse.
///
/// Formula: <var>P(X ≥ k | low) = P(X ≤ k | high) = (1 − confidence)/2</var>, so that the ends are quantiles of
/// <var>Beta(k, n − k + 1)</var> and <var>Beta(k + 1, n − k)</var>. Whatever the true rate, the interval holds it at least
/// as often as it says; [`wilson`] is narrower and holds it about as often. For the limit that an audit states: no failure
/// in n trials. On `f64`: it cannot be differentiated.
///
/// # Errors
/// As [`wilson`].
///
/// ```
/// use probability::interval::clopper_pearson;
/// let failures = clopper_pearson(0, 300, 0.9)?; // 300 prompts, no leak
/// assert!(failures.low == 0.0 && (failures.high - 0.0099361).abs() < 1e-7); // about 3/300: the rule of three
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("binom.test", "binomtest", "proportion_confint", "exact"))]
pub fn clopper_pearson(
    successes: u64,
    trials: u64,
    confidence: f64,
) -> Result<Interval, ProbabilityError> {
    check_confidence(confidence)?;
    check_successes(successes, trials)?;
    let tail = (1.0 - confidence) / 2.0;
    let (k, failures) = (successes as f64, (trials - successes) as f64);
    let low = match successes {
        0 => 0.0,
        _ => beta_quantile(k, failures + 1.0, Side::Lower, tail).x,
    };
    let high = match trials - successes {
        0 => 1.0,
        _ => beta_quantile(k + 1.0, failures, Side::Upper, tail).x,
    };
    Ok(Interval { low, high })
}

/// Returns the middle of a distribution that has the probability `confidence`, with equal tails: the credible interval
/// of a posterior.
///
/// # Errors
/// If the confidence is outside (0, 1).
///
/// ```
/// use probability::{distribution::Beta, interval::credible};
/// let rate = Beta::new(1.0, 1.0)?.posterior(8, 2)?; // no opinion before, eight answers of ten right
/// let interval = credible(&rate, 0.95)?;
/// assert!((interval.low - 0.482244).abs() < 1e-6 && (interval.high - 0.939782).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "equal_tailed")]
pub fn credible(
    distribution: &impl ContinuousCDF<f64, f64>,
    confidence: f64,
) -> Result<Interval, ProbabilityError> {
    check_confidence(confidence)?;
    let tail = (1.0 - confidence) / 2.0;
    Ok(Interval { low: distribution.inverse_cdf(tail), high: distribution.inverse_cdf(1.0 - tail) })
}

/// Returns the bootstrap interval of any statistic: the middle fraction `confidence` of its values on `resamples`
/// samples drawn from the numbers with replacement.
///
/// # Errors
/// If the confidence is outside (0, 1), there are no numbers, one is infinite or NaN, or there are fewer than two
/// resamples.
///
/// ```
/// use probability::{Random, interval, moments};
/// let numbers: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
/// let mean = |x: &[f64]| moments::mean(x).unwrap_or(f64::NAN);
/// let interval = interval::bootstrap(&numbers, 0.95, 2000, &Random::new(1, 0, 0), mean)?;
/// assert!((interval.low - 3.93).abs() < 0.1 && (interval.high - 5.07).abs() < 0.1); // as the normal one
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "percentile_interval")]
pub fn bootstrap(
    numbers: &[f64],
    confidence: f64,
    resamples: usize,
    random: &Random,
    statistic: impl Fn(&[f64]) -> f64,
) -> Result<Interval, ProbabilityError> {
    check_confidence(confidence)?;
    check("number", "finite", numbers.iter().copied(), f64::is_finite)?;
    if numbers.is_empty() {
        return Err(ProbabilityError::Empty { what: "numbers to resample" });
    }
    check_setting("the number of resamples", "2 or more", resamples as f64, resamples >= 2)?;
    let n = numbers.len() as u64;
    let mut sample = vec![0.0; numbers.len()];
    let values = (0..resamples as u64).map(|k| {
        for (i, x) in sample.iter_mut().enumerate() {
            *x = numbers[random.below(k * n + i as u64, n) as usize];
        }
        statistic(&sample)
    });
    let values: Vec<f64> = values.collect();
    let tail = (1.0 - confidence) / 2.0;
    Ok(Interval { low: quantile(&values, tail)?, high: quantile(&values, 1.0 - tail)? })
}

/// Returns the p-quantile of the numbers, interpolated between neighbours (type 7 of Hyndman and Fan, the default of
/// NumPy and R). NaN if a number is NaN.
///
/// # Errors
/// If p is NaN or outside \[0, 1\], or there are no numbers.
///
/// ```
/// use probability::interval::quantile;
/// assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5)?, 2.5);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "percentile")]
pub fn quantile(numbers: &[f64], p: f64) -> Result<f64, ProbabilityError> {
    check_setting("the share", "between 0 and 1", p, (0.0..=1.0).contains(&p))?;
    let Some(last) = numbers.len().checked_sub(1) else {
        return Err(ProbabilityError::Empty { what: "numbers to take a quantile of" });
    };
    if numbers.iter().any(|x| x.is_nan()) {
        return Ok(f64::NAN);
    }
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    // A place within rounding of an integer is that integer: the neighbour may be infinite.
    let exact = p * last as f64;
    let near = (exact - exact.round()).abs() <= 2.0 * f64::EPSILON * exact;
    let place = if near { exact.round() } else { exact };
    let (below, share) = (place.floor() as usize, place.fract());
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    // No difference is taken: it may overflow, and that of infinities is NaN.
    Ok(if share == 0.0 || a == b { a } else { (a * (1.0 - share) + b * share).clamp(a, b) })
}
