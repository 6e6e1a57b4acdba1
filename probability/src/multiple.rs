//! Many tests at once: p-values that are adjusted for the number of tests.
//!
//! Of twenty comparisons without any difference one is "significant at 5 %". An ablation, a table of benchmarks or a search
//! over settings makes as many tests as it has rows. An adjusted p-value is compared with the level as if it were the only
//! one.
//!
//! Formula: with the m p-values in order, p₍₁₎ ≤ p₍₂₎ ≤ …, Holm's are the running maxima of
//! <var>(m − i + 1)·p₍ᵢ₎</var>; those of Benjamini and Hochberg are the running minima, from the largest down, of
//! <var>m·p₍ᵢ₎/i</var>; none is above 1.
//! Source: Holm, *A simple sequentially rejective multiple test procedure*, 1979; Benjamini and Hochberg, *Controlling the
//! false discovery rate*, 1995.
//!
//! On `f64` alone: ranks cannot be differentiated.

use crate::error::{ProbabilityError, check};

/// Returns Holm's adjusted p-values, in the order of the tests: if those up to α are called differences, the probability that
/// *any* of them is none is at most α, however the tests depend on each other. Never larger than Bonferroni's. On
/// `f64`: it cannot be differentiated.
///
/// # Errors
/// If a p-value is NaN or outside \[0, 1\]. An empty list is adjusted to an empty one.
///
/// ```
/// use probability::multiple::holm;
/// let adjusted = holm(&[0.01, 0.04, 0.03, 0.005])?;
/// let expected = [0.03, 0.06, 0.06, 0.02]; // the first and the last are below 0.05
/// assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15));
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("p.adjust", "multipletests", "bonferroni", "fwer"))]
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, ProbabilityError> {
    let order = ascending(p_values)?;
    let m = p_values.len();
    let (mut adjusted, mut most) = (vec![0.0; m], 0.0_f64);
    for (rank, &i) in order.iter().enumerate() {
        most = most.max((m - rank) as f64 * p_values[i]).min(1.0);
        adjusted[i] = most;
    }
    Ok(adjusted)
}

/// Returns the adjusted p-values of Benjamini and Hochberg, in the order of the tests: if those up to q are called
/// differences, the expected share of them that are none is at most q, for independent tests. On `f64`: it cannot be
/// differentiated.
///
/// # Errors
/// As [`holm`].
///
/// ```
/// use probability::multiple::benjamini_hochberg;
/// let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.005])?;
/// let expected = [0.02, 0.04, 0.04, 0.02];
/// assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15));
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("p.adjust", "false_discovery_control", "fdr", "fdr_bh", "q_value"))]
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>, ProbabilityError> {
    let order = ascending(p_values)?;
    let m = p_values.len() as f64;
    let (mut adjusted, mut least) = (vec![0.0; p_values.len()], 1.0_f64);
    for (rank, &i) in order.iter().enumerate().rev() {
        least = least.min(p_values[i] * (m / (rank + 1) as f64));
        adjusted[i] = least;
    }
    Ok(adjusted)
}

/// Returns the indices of the p-values, the smallest first.
fn ascending(p_values: &[f64]) -> Result<Vec<usize>, ProbabilityError> {
    let right = |p: f64| (0.0..=1.0).contains(&p);
    check("p-value", "between 0 and 1", p_values.iter().copied(), right)?;
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    Ok(order)
}
