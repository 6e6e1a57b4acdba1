//! Welch's test: do two groups of numbers have the same mean?
//!
//! The losses of two settings, each trained with several seeds, are two groups of independent numbers whose spreads may
//! differ. Formula, with means x̄ and ȳ, variances s² and r², and n and m numbers:
//! <var>t = (x̄ − ȳ)/√(s²/n + r²/m)</var>, about as Student's distribution with
//! <var>ν = (s²/n + r²/m)²/((s²/n)²/(n − 1) + (r²/m)²/(m − 1))</var> degrees of freedom if the means are equal.
//! Source: Welch, *The generalization of "Student's" problem when several different population variances are involved*,
//! 1947; Satterthwaite 1946 for ν.
//!
//! On `f64` alone: quantiles cannot be differentiated.

use crate::accurate;
use crate::error::{ProbabilityError, check};
use crate::interval::check_confidence;
use crate::paired::{TTest, tested};
use crate::running::Running;

/// Runs Welch's test of two groups; the degrees of freedom are between min(n, m) − 1 and n + m − 2. On `f64`: it cannot be differentiated.
///
/// # Errors
/// If the confidence is outside (0, 1), a group has fewer than two numbers, or a number is infinite or NaN.
///
/// ```
/// use probability::welch::t_test;
/// let (a, b) = ([1.502, 1.498, 1.505], [1.512, 1.521, 1.509, 1.516]); // losses of three and four seeds
/// let test = t_test(&a, &b, 0.95)?;
/// assert!(test.p_value < 0.05 && test.interval.high < 0.0); // a is better
/// assert!((test.degrees - 4.990).abs() < 1e-3);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("ttest_ind", "t.test"))]
pub fn t_test(a: &[f64], b: &[f64], confidence: f64) -> Result<TTest, ProbabilityError> {
    check_confidence(confidence)?;
    for (what, group) in [("number of the first group,", a), ("number of the second group,", b)] {
        check(what, "finite", group.iter().copied(), f64::is_finite)?;
        if group.len() < 2 {
            return Err(ProbabilityError::at_least(2, "numbers of a group", group.len()));
        }
    }
    let unit = accurate::power_of_two(a).max(accurate::power_of_two(b));
    let measured = |group: &[f64]| -> Result<(f64, f64), ProbabilityError> {
        let running: Running<f64> = group.iter().map(|x| x / unit).collect();
        Ok((running.mean()?, running.standard_error()?))
    };
    let ((x, own), (y, other)) = (measured(a)?, measured(b)?);
    let error = own.hypot(other);
    let (n, m) = ((a.len() - 1) as f64, (b.len() - 1) as f64);
    // Shares of the variance, whose squares neither overflow nor underflow together.
    let shares = [own / error, other / error].map(|share| share * share);
    let degrees = match error == 0.0 {
        true => n + m,
        false => (1.0 / (shares[0] * shares[0] / n + shares[1] * shares[1] / m)).min(n + m),
    };
    Ok(tested((x - y, error), degrees, confidence, [unit, 1.0]))
}
