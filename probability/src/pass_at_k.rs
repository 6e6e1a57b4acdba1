//! pass@k: the probability that at least one of k samples solves a problem.
//!
//! A model writes n ≥ k programs (or proofs, or answers) for a problem, c of which pass. Formula:
//! pass@k is <var>1 − C(n − c, k)/C(n, k)</var>, the share of sets of k of the n samples that have a right one; its mean is
//! <var>1 − (1 − p)ᵏ</var> for the true rate p. The plain <var>1 − (1 − c/n)ᵏ</var> is too low on average. A benchmark's
//! value is the mean over its problems, with the interval of [`interval::student`](crate::interval::student) or of a
//! [`bootstrap`](crate::bootstrap) over problems.
//! Source: Chen et al., *Evaluating large language models trained on code*, 2021, section 2.1.

use crate::error::{ProbabilityError, check_setting};
use crate::interval::check_successes;

/// The most samples of a problem.
const MOST: u64 = 10_000_000;

/// Returns the unbiased estimate of pass@k from `right` of `samples` samples. On `f64`: it cannot be differentiated.
///
/// # Errors
/// If there are no samples, or more than 10⁷, more right ones than samples, or k is not from 1 to the number of samples.
///
/// ```
/// use probability::pass_at_k::pass_at_k;
/// assert!((pass_at_k(10, 3, 1)? - 0.3).abs() < 1e-15);
/// assert!((pass_at_k(10, 3, 5)? - 11.0 / 12.0).abs() < 1e-15); // 1 − C(7, 5)/C(10, 5); the plain one is 0.832
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn pass_at_k(samples: u64, right: u64, k: u64) -> Result<f64, ProbabilityError> {
    check_successes(right, samples)?;
    check_setting("the number of samples", "at most 10000000", samples as f64, samples <= MOST)?;
    let (what, expected) = ("k", "from 1 to the number of samples");
    check_setting(what, expected, k as f64, (1..=samples).contains(&k))?;
    if samples - right < k {
        return Ok(1.0);
    }
    // C(n − c, k)/C(n, k) = Π (1 − k/i) over the c factors i from n − c + 1 to n; k and c may change places.
    let (few, many) = (right.min(k), right.max(k) as f64);
    let ln = (samples - few + 1..=samples).map(|i| (-many / i as f64).ln_1p()).sum::<f64>();
    Ok(-ln.exp_m1())
}
