//! Bootstrap intervals that correct bias and skewness, for any statistic and for what is drawn in clusters.
//!
//! What a benchmark reports is seldom a mean of independent numbers: a ratio of perplexities, a median, a win rate over
//! questions of one document. The bootstrap draws *units* with replacement, takes the statistic of each draw, and reads
//! the interval from these values. A unit is whatever is independent of the others: an item with its losses under both
//! models (a paired comparison), or a whole cluster (a document, a conversation, a problem with its samples).
//!
//! BCa reads other quantiles than [`interval::bootstrap`](crate::interval::bootstrap). Formula: with z₀ the normal
//! quantile of the share of values below the estimate θ, and <var>a = Σ dᵢ³/(6·(Σ dᵢ²)^1.5)</var> of the deviations
//! dᵢ of the n values with unit i left out from their mean (mean − value), the ends are the quantiles
//! <var>Φ(z₀ + (z₀ + z)/(1 − a·(z₀ + z)))</var> for z the normal quantile of either tail. Its error of coverage is of order
//! 1/n in each tail; that of the plain quantiles is of order 1/√n.
//! Source: Efron, *Better bootstrap confidence intervals*, 1987; DiCiccio and Efron, *Bootstrap confidence intervals*, 1996;
//! Field and Welsh, *Bootstrapping clustered data*, 2007.
//!
//! On `f64` alone: quantiles cannot be differentiated.

use crate::accurate;
use crate::error::{ProbabilityError, check, check_length, check_setting};
use crate::gaussian::{standard_below, standard_quantile};
use crate::interval::{Interval, check_confidence, quantile};
use crate::random::Random;

/// The most resamples: their values take 80 MB.
const MOST: usize = 10_000_000;

/// Returns the BCa interval of a statistic of `units` units: it is given the indices of the units that were drawn, some of
/// them several times. Draw k uses the numbers k·n to k·n + n − 1 of the generator. On `f64`: it cannot be
/// differentiated.
///
/// The statistic is taken of `resamples` + `units` + 1 lists of that many units, so that the time grows with the square of their
/// number; [`paired`] and [`clustered`] do without. 2,000 resamples are few for 95 %, 10,000 enough.
///
/// # Errors
/// If the confidence is outside (0, 1), there are fewer than two units, the resamples are not from 2 to 10⁷, the statistic
/// of a list is infinite or NaN, or all its values lie on one side of the estimate.
///
/// ```
/// use probability::{Random, bootstrap::bca};
/// // Of eight questions, the nats of the right answer under two models: the ratio of their perplexities.
/// let a = [0.2, 1.4, 0.1, 3.0, 0.7, 0.3, 2.2, 0.5];
/// let b = [0.4, 1.5, 0.3, 3.9, 0.8, 0.2, 2.9, 0.6];
/// let mean = |x: &[f64], drawn: &[usize]| drawn.iter().map(|&i| x[i]).sum::<f64>() / drawn.len() as f64;
/// let ratio = |drawn: &[usize]| (mean(&a, drawn) - mean(&b, drawn)).exp();
/// let interval = bca(8, 0.95, 10_000, &Random::new(1, 0, 0), ratio)?;
/// assert!((interval.low - 0.57).abs() < 0.02 && (interval.high - 0.90).abs() < 0.02, "{interval:?}");
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("boot.ci", "bootstrap_ci"))]
pub fn bca(
    units: usize,
    confidence: f64,
    resamples: usize,
    random: &Random,
    statistic: impl Fn(&[usize]) -> f64,
) -> Result<Interval, ProbabilityError> {
    let all: Vec<usize> = (0..units).collect();
    let without = |i: usize| statistic(&[&all[..i], &all[i + 1..]].concat());
    let mut drawn = vec![0; units];
    let of_draw = |draw: &mut dyn FnMut(usize) -> usize| {
        drawn.iter_mut().enumerate().for_each(|(i, unit)| *unit = draw(i));
        statistic(&drawn)
    };
    let sizes = (units, resamples);
    interval(sizes, confidence, random, || statistic(&all), of_draw, without)
}

/// Returns the BCa interval of the mean difference <var>a − b</var> of two models' losses on the same items. On `f64`: it
/// cannot be differentiated.
///
/// # Errors
/// As [`bca`], and if the lengths differ or a loss is infinite or NaN.
///
/// ```
/// use probability::{Random, bootstrap::paired};
/// let (a, b) = ([2.31, 4.02, 0.75, 3.10, 1.95, 2.60], [2.40, 4.10, 0.74, 3.25, 2.02, 2.71]);
/// let interval = paired(&a, &b, 0.95, 10_000, &Random::new(1, 0, 0))?;
/// assert!(interval.low < -0.11 && interval.high < -0.03, "{interval:?}");
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn paired(
    a: &[f64],
    b: &[f64],
    confidence: f64,
    resamples: usize,
    random: &Random,
) -> Result<Interval, ProbabilityError> {
    check_length("losses of the second model", a.len(), b.len())?;
    check("loss of the first model,", "finite", a.iter().copied(), f64::is_finite)?;
    check("loss of the second model,", "finite", b.iter().copied(), f64::is_finite)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    ratio(&differences, &vec![1.0; a.len()], confidence, resamples, random)
}

/// Returns the BCa interval of a mean per token, <var>Σ Dᵢ/Σ nᵢ</var>, of clusters of tokens, which are drawn whole:
/// `sums` has the sum Dᵢ over the tokens of each cluster (of losses, or of differences of losses), `sizes` their number
/// nᵢ. On `f64`: it cannot be differentiated. [`paired::clustered`](crate::paired::clustered) is its test.
///
/// # Errors
/// As [`bca`], and if the lengths differ, a sum is infinite or NaN, or a size is not finite and above 0.
///
/// ```
/// use probability::{Random, bootstrap::clustered};
/// // Five documents: a is better in all, by 0.04 to 0.09 nats per token.
/// let interval = clustered(
///     &[-0.24, -0.28, -0.08, -0.45, -0.3], &[4.0, 4.0, 2.0, 5.0, 5.0],
///     0.95, 10_000, &Random::new(1, 0, 0),
/// )?;
/// assert!(interval.low > -0.09 && interval.high < -0.04, "{interval:?}");
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("cluster_bootstrap", "block_bootstrap"))]
pub fn clustered(
    sums: &[f64],
    sizes: &[f64],
    confidence: f64,
    resamples: usize,
    random: &Random,
) -> Result<Interval, ProbabilityError> {
    check_length("sizes of clusters", sums.len(), sizes.len())?;
    check("sum of a cluster,", "finite", sums.iter().copied(), f64::is_finite)?;
    let right = |n: f64| n > 0.0 && n.is_finite();
    check("size of a cluster,", "finite and above 0", sizes.iter().copied(), right)?;
    ratio(sums, sizes, confidence, resamples, random)
}

/// Returns the interval of a ratio of two sums over units; of which the sums without one unit are differences.
fn ratio(
    tops: &[f64],
    bottoms: &[f64],
    confidence: f64,
    resamples: usize,
    random: &Random,
) -> Result<Interval, ProbabilityError> {
    // In units of which no sum overflows.
    let units = [tops, bottoms].map(accurate::power_of_two);
    let scaled = |of: &[f64], unit: f64| of.iter().map(|x| x / unit).collect::<Vec<f64>>();
    let (tops, bottoms) = (scaled(tops, units[0]), scaled(bottoms, units[1]));
    let whole = [&tops, &bottoms].map(|x| accurate::sum(x.iter().copied()));
    let of_draw = |draw: &mut dyn FnMut(usize) -> usize| {
        let (mut top, mut bottom) = (0.0, 0.0);
        for i in 0..tops.len() {
            let unit = draw(i);
            top += tops[unit];
            bottom += bottoms[unit];
        }
        top / bottom
    };
    let without = |i: usize| (whole[0] - tops[i]) / (whole[1] - bottoms[i]);
    let sizes = (tops.len(), resamples);
    let found = interval(sizes, confidence, random, || whole[0] / whole[1], of_draw, without)?;
    Ok(found.map(|x| x * units[0] / units[1]))
}

/// Returns the interval from the estimate, the values of the draws and the values without each unit.
fn interval(
    (units, resamples): (usize, usize),
    confidence: f64,
    random: &Random,
    estimate: impl FnOnce() -> f64,
    mut of_draw: impl FnMut(&mut dyn FnMut(usize) -> usize) -> f64,
    without: impl Fn(usize) -> f64,
) -> Result<Interval, ProbabilityError> {
    check_confidence(confidence)?;
    if units < 2 {
        return Err(ProbabilityError::at_least(2, "units to draw", units));
    }
    let right = (2..=MOST).contains(&resamples);
    check_setting("the number of resamples", "from 2 to 10000000", resamples as f64, right)?;
    let estimate = estimate();
    let finite =
        |what, values: &[f64]| check(what, "finite", values.iter().copied(), f64::is_finite);
    finite("the statistic of all units, value", &[estimate])?;
    let n = units as u64;
    let draw = |k: u64| of_draw(&mut |i| random.below(k * n + i as u64, n) as usize);
    let values: Vec<f64> = (0..resamples as u64).map(draw).collect();
    finite("the statistic of resample", &values)?;
    let left_out: Vec<f64> = (0..units).map(without).collect();
    finite("the statistic without unit", &left_out)?;

    // A value that equals the estimate counts half: that of a draw of all units in another order, but for rounding.
    let (least, most) =
        values.iter().fold((estimate, estimate), |(least, most), x| (x.min(least), x.max(most)));
    let slack = 1e-10 * (most - least);
    let below = |x: &f64| match x - estimate {
        apart if apart.abs() <= slack => 0.5,
        apart => f64::from(u8::from(apart < 0.0)),
    };
    let share = values.iter().map(below).sum::<f64>() / resamples as f64;
    let expected = "above 0 and below 1 for BCa (`interval::bootstrap` takes such a statistic, of which the largest number is one)";
    let (what, right) = ("the share of resamples below the estimate", share > 0.0 && share < 1.0);
    check_setting(what, expected, share, right)?;
    let bias = standard_quantile(share);
    let acceleration = acceleration(&left_out);
    let level = |z: f64| {
        let (moved, shrunk) = (bias + z, 1.0 - acceleration * (bias + z));
        // The formula's pole, where the end is the last value.
        if shrunk > 0.0 {
            standard_below(bias + moved / shrunk)
        } else {
            f64::from(u8::from(moved > 0.0))
        }
    };
    let z = standard_quantile((1.0 - confidence) / 2.0);
    Ok(Interval { low: quantile(&values, level(z))?, high: quantile(&values, level(-z))? })
}

/// Returns <var>Σ d³/(6·(Σ d²)^1.5)</var> with d the mean minus each value; 0 if all are equal.
fn acceleration(left_out: &[f64]) -> f64 {
    let deviations = accurate::Deviations::new(left_out).in_units;
    let of = |power: i32| accurate::sum(deviations.iter().map(|d| (-d).powi(power)));
    let squares = of(2);
    if squares == 0.0 { 0.0 } else { of(3) / (6.0 * squares.powf(1.5)) }
}
