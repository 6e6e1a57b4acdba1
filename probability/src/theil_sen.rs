//! A robust line through points: the slope of Theil and Sen, with its interval.
//!
//! Formula: <var>slope = median of (y_j − y_i)/(x_j − x_i)</var> over all pairs with <var>x_i < x_j</var>, and
//! <var>intercept = median of y − slope·x</var>. Up to 29 % of the points may be anywhere without moving the slope far.
//! The interval has no assumption on the errors but that they are independent and alike: if the slope is right, the number of
//! pairs above it less that below has mean 0 and variance <var>n·(n − 1)·(2n + 5)/18</var> (Kendall), so that the ends
//! are slopes of known rank.
//! Source: Theil, *A rank-invariant method of linear and polynomial regression analysis*, 1950; Sen, *Estimates of the
//! regression coefficient based on Kendall's tau*, 1968.
//!
//! On `f64` alone: ranks cannot be differentiated.

use crate::accurate;
use crate::error::{ProbabilityError, check, check_length, check_setting};
use crate::interval::{Interval, deviations};

/// A line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// The change of y per unit of x.
    pub slope: f64,
    /// The interval of the slope; infinite at an end that too few points cannot bound with the confidence.
    pub interval: Interval,
    /// The value at x = 0.
    pub intercept: f64,
}

impl Line {
    /// Returns the value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// The most points: all pairs of so many take 67 MB.
const MOST: usize = 4096;

/// Returns the line through the points (x, y), at most 4096; all pairs are compared. On `f64`: it cannot be differentiated.
///
/// # Errors
/// If the confidence is outside (0, 1), the lists differ in length, a number is infinite or NaN, there are more than 4096
/// points, or fewer than two values of x differ.
///
/// ```
/// // Nine points of y = 3x + 1, and one that is far off.
/// let x: Vec<f64> = (0..10).map(f64::from).collect();
/// let mut y: Vec<f64> = x.iter().map(|x| 3.0 * x + 1.0).collect();
/// y[7] = -1000.0;
/// let line = probability::theil_sen::line(&x, &y, 0.95)?;
/// assert_eq!((line.slope, line.intercept), (3.0, 1.0)); // least squares: -25.9 per unit
/// assert!(line.interval.contains(3.0));
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("theilslopes", "mblm"))]
pub fn line(x: &[f64], y: &[f64], confidence: f64) -> Result<Line, ProbabilityError> {
    let z = deviations(confidence)?;
    check("x", "finite", x.iter().copied(), f64::is_finite)?;
    check("y", "finite", y.iter().copied(), f64::is_finite)?;
    check_length("values of y", y.len(), x.len())?;
    check_setting("the number of points", "at most 4096", x.len() as f64, x.len() <= MOST)?;
    // In units of which no difference overflows.
    let units = [x, y].map(accurate::power_of_two);
    let scaled = |of: &[f64], unit: f64| of.iter().map(|x| x / unit).collect::<Vec<f64>>();
    let (x, y) = (scaled(x, units[0]), scaled(y, units[1]));
    let mut slopes = vec![];
    for i in 0..x.len() {
        for j in 0..i {
            if x[i] != x[j] {
                slopes.push((y[i] - y[j]) / (x[i] - x[j]));
            }
        }
    }
    if slopes.is_empty() {
        return Err(ProbabilityError::at_least(2, "different values of x", x.len().min(1)));
    }
    let slope = median(&mut slopes);
    let intercept = median(&mut x.iter().zip(&y).map(|(x, y)| y - slope * x).collect::<Vec<_>>());
    let (n, pairs) = (x.len() as f64, slopes.len() as f64);
    let width = z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    // Ranks from 1: `below` slopes lie left of the interval, as many right of it.
    let below = ((pairs - width) / 2.0).floor();
    let unit = units[1] / units[0];
    let interval = match below >= 1.0 {
        true => {
            let k = below as usize - 1;
            Interval { low: unit * slopes[k], high: unit * slopes[slopes.len() - 1 - k] }
        }
        false => Interval { low: f64::NEG_INFINITY, high: f64::INFINITY },
    };
    Ok(Line { slope: unit * slope, interval, intercept: units[1] * intercept })
}

/// Sorts the numbers, of which there is one at least, and returns their median.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let n = numbers.len();
    (numbers[(n - 1) / 2] + numbers[n / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    /// All pairs of more points would not fit into memory.
    #[test]
    fn too_many_points_are_refused() {
        let x: Vec<f64> = (0..=MOST).map(|i| i as f64).collect();
        let said = line(&x, &x, 0.95).unwrap_err().to_string();
        assert!(said.contains("4097") && said.contains("at most 4096"), "{said}");
        assert_eq!(line(&x[1..], &x[1..], 0.95).unwrap().slope, 1.0);
    }

    /// Counted by hand.
    #[test]
    fn a_line_that_is_known() {
        let x: Vec<f64> = (0..6).map(f64::from).collect();
        let y = [0.0, 1.0, 1.0, 4.0, 4.0, 5.0];
        // The 15 slopes: 0 0 ½ ½ 1 1 1 1 1 1 4/3 4/3 1½ 1½ 3.
        let line = line(&x, &y, 0.95).unwrap();
        assert_eq!(line.slope, 1.0);
        // y − x: 0 0 −1 1 0 0.
        assert_eq!(line.intercept, 0.0);
        // √(6·5·17/18)·1.96 = 10.43: (15 − 10.43)/2 = 2.28, the second from either end.
        assert_eq!(line.interval, Interval { low: 0.0, high: 1.5 });
        assert_eq!(line.at(10.0), 10.0);
    }

    /// About 95 of 100 intervals have the slope, for normal errors and for ones without a variance.
    #[test]
    fn intervals_hold_as_often_as_they_say() {
        const RUNS: u32 = 2000;
        let x: Vec<f64> = (0..15).map(f64::from).collect();
        for heavy in [false, true] {
            let mut inside = 0;
            for run in 0..RUNS {
                let random = Random::new(11, run, u32::from(heavy));
                let error = |i: u64| match heavy {
                    // Cauchy's distribution.
                    true => random.normal(2 * i) / random.normal(2 * i + 1),
                    false => random.normal(2 * i),
                };
                let y: Vec<f64> =
                    x.iter().zip(0..).map(|(x, i)| 0.3 * x - 2.0 + error(i)).collect();
                inside += u32::from(line(&x, &y, 0.95).unwrap().interval.contains(0.3));
            }
            let share = f64::from(inside) / f64::from(RUNS);
            // Four deviations of the count, √(0.05·0.95/2000) each, and the rank that is rounded outwards.
            assert!((0.93..=0.985).contains(&share), "{heavy}: {share}");
        }
    }

    #[test]
    fn too_few_points_bound_nothing() {
        let known = line(&[0.0, 1.0, 2.0], &[0.0, 1.0, 2.0], 0.95).unwrap();
        assert_eq!(known.slope, 1.0);
        assert_eq!(known.interval, Interval { low: f64::NEG_INFINITY, high: f64::INFINITY });
        assert!(line(&[1.0, 1.0], &[0.0, 1.0], 0.95).is_err());
        assert!(line(&[], &[], 0.95).is_err());
        assert!(line(&[0.0, 1.0], &[0.0], 0.95).is_err());
        assert!(line(&[0.0, f64::NAN], &[0.0, 1.0], 0.95).is_err());
        assert!(line(&[0.0, 1.0], &[0.0, 1.0], 1.0).is_err());
        // The largest numbers.
        let far = line(&[-1e308, 1e308], &[-1e308, 1e308], 0.95).unwrap();
        assert_eq!(far.slope, 1.0);
    }
}
