//! Pearson's χ² test: are counts plausible draws from a distribution?
//!
//! Formula: <var>χ² = Σ (nᵢ − N·pᵢ)²/(N·pᵢ)</var>, which for draws from p follows a χ² distribution
//! with (outcomes − 1) degrees of freedom, if every <var>N·pᵢ</var> is 5 or more.
//! Source: Pearson 1900; Wasserman, *All of Statistics*, section 10.3.

use crate::accurate;
use crate::categorical::Categorical;
use crate::distribution::{ChiSquared, ContinuousCDF};
use crate::error::{ProbabilityError, check_length};

/// The outcome of a χ² test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquaredTest {
    /// χ²: about as large as `degrees` if the counts are draws from the distribution.
    pub statistic: f64,
    /// The number of possible outcomes minus one.
    pub degrees: f64,
    /// The probability that draws from the distribution deviate at least as much.
    pub p_value: f64,
}

/// Tests counts against a distribution. A count of an outcome of probability 0 refutes it: <var>χ² = ∞</var>, p = 0. On
/// `f64`: it cannot be differentiated.
///
/// # Errors
/// If the numbers of outcomes differ, there are no counts, or there are fewer than two possible outcomes.
///
/// ```
/// use probability::{Categorical, goodness::chi_squared};
/// let die = Categorical::uniform(6)?;
/// let fair = chi_squared(&[16, 18, 16, 14, 12, 12], &die)?;
/// assert!((fair.statistic - 2.0).abs() < 1e-12 && (fair.p_value - 0.849145).abs() < 1e-6);
/// let loaded = chi_squared(&[2, 2, 2, 2, 2, 40], &die)?;
/// assert!(loaded.p_value < 1e-10);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("chisquare", "chisq.test"))]
pub fn chi_squared(counts: &[u64], p: &Categorical) -> Result<ChiSquaredTest, ProbabilityError> {
    check_length("counts", p.len(), counts.len())?;
    // A count as a float, and its rounding error.
    let split = |n: u128| (n as f64, (n as i128 - (n as f64) as i128) as f64);
    let (total, lost) = split(counts.iter().map(|&n| u128::from(n)).sum());
    if total == 0.0 {
        return Err(ProbabilityError::Empty { what: "observations" });
    }
    let possible = p.probabilities().iter().filter(|p| **p > 0.0).count();
    if possible < 2 {
        return Err(ProbabilityError::at_least(2, "possible outcomes", possible));
    }
    let degrees = (possible - 1) as f64;
    let term = |(&n, &p): (&u64, &f64)| match (n, p) {
        (0, 0.0) => 0.0,
        (_, 0.0) => f64::INFINITY,
        _ => {
            // The two are close: their difference is rounded once.
            let (n, rest) = split(n.into());
            let apart = (-total).mul_add(p, n) + (rest - lost * p);
            apart.powi(2) / (total * p)
        }
    };
    let statistic = accurate::sum(counts.iter().zip(p.probabilities()).map(term));
    let distribution = ChiSquared::new(degrees).expect("at least one degree of freedom");
    Ok(ChiSquaredTest { statistic, degrees, p_value: distribution.sf(statistic) })
}
