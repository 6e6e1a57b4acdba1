//! The Gumbel trick: a draw from softmax(z) is the largest of perturbed logits.
//!
//! Formula: <var>argmaxᵢ (zᵢ + gᵢ)</var> with independent <var>gᵢ = −ln(−ln uᵢ)</var> has
//! <var>P(i) = softmax(z)ᵢ</var>. Nothing is normalised or summed: a draw reads the logits once, in any order.
//! Source: Gumbel 1954; Maddison, Tarlow, Minka, *A\* sampling*, 2014.
//!
//! The noise is `f64`; the draw is an index, which cannot be differentiated.

use crate::error::{ProbabilityError, check};
use crate::random::Random;
use linalg::Real;

/// Returns a standard Gumbel number, −ln(−ln u), number `index` of `random`: mean 0.5772…, variance <var>π²/6</var>.
///
/// ```
/// use probability::{Random, gumbel::gumbel, moments::of_experiment};
/// let numbers = of_experiment(10_000, |i| gumbel(&Random::new(1, 0, 0), i));
/// assert!((numbers.mean()? - 0.577216).abs() < 5.0 * numbers.standard_error()?);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn gumbel(random: &Random, index: u64) -> f64 {
    -(-random.open_uniform(index).ln()).ln()
}

/// Draws from softmax(z), with draw number `index` of `random`. A logit of −∞ is never drawn.
///
/// # Errors
/// If there are no logits, one is NaN or +∞, or all are −∞.
///
/// ```
/// use probability::{Random, gumbel::gumbel_max};
/// let (random, logits) = (Random::new(1, 0, 0), [2.0, 1.0, 0.5, -1.0, 0.1]);
/// let mut drawn = [0.0_f64; 5];
/// for i in 0..10_000 {
///     drawn[gumbel_max(&logits, &random, i)?] += 1.0;
/// }
/// assert!((drawn[0] / 10_000.0 - 0.5585).abs() < 0.025); // five standard errors
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("gumbel_softmax", "gumbel_trick"))]
pub fn gumbel_max<T: Real>(
    logits: &[T],
    random: &Random,
    index: u64,
) -> Result<usize, ProbabilityError> {
    let values = || logits.iter().map(|z| z.to_f64());
    check("logit", "finite or −∞", values(), |z| !z.is_nan() && z != f64::INFINITY)?;
    let first = index.wrapping_mul(logits.len() as u64);
    // Relative to the largest: added to a large logit the noise would be rounded away.
    let largest = values().fold(f64::NEG_INFINITY, f64::max);
    values()
        .enumerate()
        .filter(|(_, z)| *z > f64::NEG_INFINITY)
        .map(|(i, z)| (i, (z - largest) + gumbel(random, first.wrapping_add(i as u64))))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(i, _)| i)
        .ok_or(ProbabilityError::Empty { what: "logits above −∞" })
}
