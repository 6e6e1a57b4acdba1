//! The test of Mann and Whitney (Wilcoxon's rank-sum test): are the numbers of one group larger than those of another?
//!
//! It asks for ranks alone, so that a run that diverged counts as a bad one and not as infinitely bad: final losses of two
//! settings over seeds, ratings of two models' answers.
//! Formula: U counts the pairs (x, y) with x > y, a tie as ½; <var>U/(n·m) = P(X > Y) + ½·P(X = Y)</var>. If both groups
//! come from one distribution all orders are equally likely: without ties and up to 50 numbers in each group
//! <var>p = min(1, 2·P(U ≥ max(U, nm − U)))</var> is counted exactly, from the coefficients of Gauss's binomial
//! <var>Π (1 − q^(m + i))/(1 − qⁱ)</var>. Else U is taken as normal with mean nm/2 and variance
//! <var>nm/12·((N + 1) − Σ (t³ − t)/(N(N − 1)))</var>, N = n + m, for groups of t ties, with ½ as continuity correction.
//! Source: Mann and Whitney, *On a test of whether one of two random variables is stochastically larger than the other*,
//! 1947; Lehmann, *Nonparametrics*, 1975, sections 1.2 and 1.4.
//!
//! On `f64` alone: ranks cannot be differentiated.

use crate::error::{ProbabilityError, check};
use crate::gaussian::standard_below;

/// The most numbers of a group for which orders are counted: 10²⁹ of them, which an `i128` holds.
const COUNTED: usize = 50;

/// The outcome of a test of Mann and Whitney.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// The pairs in which the first group's number is larger, ties as ½.
    pub u: f64,
    /// U as a share of all pairs, <var>P(X > Y) + ½·P(X = Y)</var>: ½ if neither group is larger.
    pub superiority: f64,
    /// The p-value: the probability of a U at least as far from nm/2 if both groups come from one distribution.
    pub p_value: f64,
    /// Whether the p-value was counted, and not approximated.
    pub exact: bool,
}

/// Runs the two-sided test of two groups. ±∞ are numbers like others: a diverged loss is ∞. On `f64`: it cannot be
/// differentiated.
///
/// # Errors
/// If a group is empty or has a NaN.
///
/// ```
/// use probability::mann_whitney::mann_whitney;
/// let test = mann_whitney(&[1.502, 1.498, 1.505], &[1.512, 1.521, 1.509, f64::INFINITY])?;
/// assert_eq!((test.u, test.superiority, test.exact), (0.0, 0.0, true));
/// assert!((test.p_value - 2.0 / 35.0).abs() < 1e-15); // one of 35 orders, on either side
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("mannwhitneyu", "wilcox.test", "ranksums", "auc"))]
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Result<MannWhitney, ProbabilityError> {
    for (what, group) in [("number of the first group,", a), ("number of the second group,", b)] {
        check(what, "a number, and not NaN", group.iter().copied(), |x| !x.is_nan())?;
        if group.is_empty() {
            return Err(ProbabilityError::at_least(1, "numbers of a group", 0));
        }
    }
    // 0 and −0 are equal.
    let mut all: Vec<(f64, bool)> = a.iter().map(|x| (x + 0.0, true)).collect();
    all.extend(b.iter().map(|x| (x + 0.0, false)));
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut u, mut below, mut tied, mut cubes) = (0.0, 0.0, false, 0.0);
    for ties in all.chunk_by(|x, y| x.0 == y.0) {
        let own = ties.iter().filter(|(_, first)| *first).count() as f64;
        let (t, other) = (ties.len() as f64, ties.len() as f64 - own);
        u += own * (below + 0.5 * other);
        below += other;
        tied |= ties.len() > 1;
        cubes += t * t * t - t;
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let far = u.max(n * m - u);
    let exact = !tied && a.len().max(b.len()) <= COUNTED;
    let p_value = if exact {
        let counts = orders(a.len(), b.len());
        let beyond: i128 = counts[far as usize..].iter().sum();
        (2.0 * beyond as f64 / counts.iter().sum::<i128>() as f64).min(1.0)
    } else {
        let total = n + m;
        let variance = n * m / 12.0 * ((total + 1.0) - cubes / (total * (total - 1.0)));
        // If all numbers are equal there is one order.
        let z = if variance > 0.0 { (far - n * m / 2.0 - 0.5) / variance.sqrt() } else { 0.0 };
        (2.0 * standard_below(-z)).min(1.0)
    };
    Ok(MannWhitney { u, superiority: u / (n * m), p_value, exact })
}

/// Returns how many orders of n and m numbers have U = 0, 1, …, nm.
fn orders(n: usize, m: usize) -> Vec<i128> {
    let mut counts = vec![0_i128; n * m + 1];
    counts[0] = 1;
    for i in 1..=n {
        // Times 1 − q^(m + i), divided by 1 − qⁱ: the binomial of i and m, whose degree is i·m.
        for k in (m + i..=n * m).rev() {
            counts[k] -= counts[k - m - i];
        }
        for k in i..=n * m {
            counts[k] += counts[k - i];
        }
    }
    counts
}
