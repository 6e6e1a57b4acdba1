//! Self-information and entropy: measures of uncertainty.
//!
//! Formula: <var>I(x) = −ln p(x)</var>; <var>H(P) = E\[I\] = −Σ p ln p</var>, in nats. Only the logarithm makes the
//! information of independent events additive: <var>I(x, y) = I(x) + I(y)</var>. An outcome of probability 0 adds
//! nothing (p·ln p → 0). <var>0 ≤ H ≤ ln n</var>: 0 for a certain outcome, ln n for the uniform distribution. In a
//! transformer: the entropy of a prediction is the model's uncertainty; that of an attention row, the spread of a head.
//! Source: Shannon 1948, section 6; the textbook's A.4.

use crate::units::Nats;
use crate::{InfoError, distribution};
use linalg::Real;
use linalg::accurate::{sum, total};

/// Returns the information −ln p of an event of probability p: ∞ if p is 0, +0 if p is 1.
///
/// At p = 0 the slope −1/p is infinite; the derivative is 0 there.
///
/// # Errors
/// If p is not in [0, 1], or NaN.
///
/// ```
/// use infotheory::entropy::self_information;
/// assert_eq!(self_information(0.5)?.to_bits().0, 1.0); // a coin
/// assert!((self_information(1.0 / 6.0_f64)?.to_bits().0 - 2.585).abs() < 1e-4); // a die
/// assert!(self_information(1.0_f64)?.0.is_sign_positive()); // +0, and not −0
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("information_content", "nll"))]
pub fn self_information<T: Real>(p: T) -> Result<Nats<T>, InfoError> {
    let found = p.to_f64();
    if !(0.0..=1.0).contains(&found) {
        return Err(InfoError::Parameter { what: "p", found, expected: "between 0 and 1" });
    }
    Ok(Nats(T::zero() - if found == 0.0 { T::from_f64(f64::NEG_INFINITY) } else { p.ln() }))
}

/// Returns the entropy <var>−Σ p ln p</var> of a distribution: +0 for a certain outcome.
///
/// At p = 0 the slope −ln p − 1 is infinite, from one side; derivatives by duals and by the tape are 0 there.
///
/// # Errors
/// If p is not a distribution: see [`distribution::check`].
///
/// ```
/// use infotheory::entropy::entropy;
/// let sure = entropy(&[0.9, 0.05, 0.03, 0.02])?; // what follows "The cat sat on the"
/// assert!((sure.to_bits().0 - 0.617543_f64).abs() < 1e-6); // the textbook prints 0.567
/// assert!((sure.perplexity() - 1.534260).abs() < 1e-6);
/// let unsure = entropy(&[0.25; 4])?;
/// assert_eq!((unsure.to_bits().0, unsure.perplexity()), (2.0, 4.0));
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("entr", "shannon_entropy"))]
pub fn entropy<T: Real>(p: &[T]) -> Result<Nats<T>, InfoError> {
    let sum = distribution::sum("p", p)?;
    let nats = T::simd(
        #[inline(always)]
        || {
            let term = |p: T, _| {
                let p = p / sum;
                if p > T::zero() { T::zero() - p * p.ln() } else { T::zero() }
            };
            total(p, p, term).value()
        },
    );
    Ok(Nats(distribution::within(nats, 0.0, (p.len() as f64).ln())))
}

/// Returns <var>−Σ p ln p</var> without a check.
pub(crate) fn unchecked<T: Real>(p: impl Iterator<Item = T>) -> T {
    let possible = p.filter(|p| *p > T::zero());
    // 0 − 1·ln 1 = +0: a certain outcome has entropy +0.
    distribution::within(sum(possible.map(|p| T::zero() - p * p.ln())), 0.0, f64::INFINITY)
}

/// Returns the entropy −p ln p − (1 − p) ln(1 − p) of an event of probability p and its complement. At p = 0 and 1 its
/// slope ln((1 − p)/p) is infinite; the derivative is 0 there.
/// ln(1 − p) is exact to the last digits if p is small: the entropy of a rare event is p·(1 − ln p), with all digits of
/// p.
///
/// # Errors
/// If p is not in [0, 1], or NaN.
///
/// ```
/// use infotheory::entropy::binary_entropy;
/// assert_eq!(binary_entropy(0.5)?.to_bits().0, 1.0);
/// assert!((binary_entropy(0.9)?.to_bits().0 - 0.4690_f64).abs() < 1e-4);
/// assert!(binary_entropy(1.0_f64)?.0.is_sign_positive()); // +0, and not −0
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "bernoulli_entropy")]
pub fn binary_entropy<T: Real>(p: T) -> Result<Nats<T>, InfoError> {
    self_information(p)?;
    let (one, q) = (T::one(), T::one() - p);
    if p == T::zero() || p == one {
        return Ok(Nats(T::zero()));
    }
    Ok(Nats(T::zero() - p * p.ln() - q * (-p).ln_1p()))
}

/// Returns the entropy as a fraction H/ln n of its maximum, from 0 (certain) to 1 (uniform); 0 for a single outcome.
/// The textbook's "confusion" of a model or of a head of attention.
///
/// # Errors
/// If p is not a distribution.
///
/// ```
/// use infotheory::entropy::normalised_entropy;
/// assert_eq!(normalised_entropy(&[0.25; 4])?, 1.0);
/// assert_eq!(normalised_entropy(&[1.0, 0.0])?, 0.0);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("evenness", "efficiency"))]
pub fn normalised_entropy<T: Real>(p: &[T]) -> Result<T, InfoError> {
    let nats = entropy(p)?.0;
    if p.len() == 1 {
        return Ok(T::zero());
    }
    Ok(distribution::within(nats / T::from_f64((p.len() as f64).ln()), 0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use proptest::prelude::*;

    /// A sum of n terms of size at most 1/e, each of two roundings.
    fn slack(n: usize) -> f64 {
        (4 + n) as f64 * f64::EPSILON
    }

    proptest! {
        #[test]
        fn entropy_is_between_nothing_and_ln_n(p in draw::distribution()) {
            let h = entropy(&p).unwrap().0;
            prop_assert!(h >= 0.0 && h <= (p.len() as f64).ln() + slack(p.len()));
        }

        #[test]
        fn entropy_does_not_see_the_order_nor_the_impossible(p in draw::distribution(), cut in 0usize..24) {
            let h = entropy(&p).unwrap().0;
            let mut other = p.clone();
            other.rotate_left(cut % p.len());
            other.push(0.0);
            prop_assert!((entropy(&other).unwrap().0 - h).abs() <= slack(p.len()));
        }

        #[test]
        fn choices_in_two_steps_add_up(p in draw::distribution(), split in 0.0f64..1.0) {
            // Shannon's third axiom: split outcome 0 in two. H grows by p₀·H(split).
            let mut finer = p.clone();
            finer[0] *= split;
            finer.push(p[0] * (1.0 - split));
            let expected = entropy(&p).unwrap().0 + p[0] * binary_entropy(split).unwrap().0;
            prop_assert!((entropy(&finer).unwrap().0 - expected).abs() <= slack(2 * p.len()));
        }

        #[test]
        fn entropy_is_concave([p, q] in draw::positive::<2>(), t in 0.0f64..1.0) {
            let mixed: Vec<f64> = p.iter().zip(&q).map(|(p, q)| t * p + (1.0 - t) * q).collect();
            let line = t * entropy(&p).unwrap().0 + (1.0 - t) * entropy(&q).unwrap().0;
            prop_assert!(entropy(&mixed).unwrap().0 >= line - slack(p.len()));
        }

        #[test]
        fn independent_events_add(p in 1e-100f64..1.0, q in 1e-100f64..1.0) {
            let sum = self_information(p).unwrap() + self_information(q).unwrap();
            let both = self_information(p * q).unwrap();
            prop_assert!((both.0 - sum.0).abs() <= 4.0 * f64::EPSILON * (1.0 + sum.0));
        }

        #[test]
        fn a_coin_is_a_distribution_over_two(p in 0.0f64..=1.0) {
            let (coin, two) = (binary_entropy(p).unwrap().0, entropy(&[p, 1.0 - p]).unwrap().0);
            prop_assert!((coin - two).abs() <= slack(2));
        }
    }

    #[test]
    fn hard_floats() {
        for p in [-1e-300, 1.0 + f64::EPSILON, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(self_information(p).is_err() && binary_entropy(p).is_err());
        }
        assert_eq!(self_information(0.0).unwrap().0, f64::INFINITY);
        assert_eq!(self_information(-0.0).unwrap().0, f64::INFINITY);
        assert!((self_information(5e-324).unwrap().0 - 744.4400719213812).abs() < 1e-12);
        assert_eq!(binary_entropy(-0.0_f64).unwrap().0.to_bits(), 0);
        // p(1 − ln p), since 1 − p rounds to 1.
        let tiny = binary_entropy(1e-300).unwrap().0;
        assert!((tiny / (1e-300 * (1.0 + 300.0 * 10.0_f64.ln())) - 1.0).abs() < 1e-14);
        assert!(binary_entropy(5e-324).unwrap().0 > 0.0);
        for certain in [&[1.0_f64][..], &[0.0, 1.0], &[1.0, -0.0, 0.0]] {
            assert_eq!(entropy(certain).unwrap().0.to_bits(), 0, "+0, and not −0");
        }
        assert_eq!(entropy(&[1.0_f32, 0.0]).unwrap().0.to_bits(), 0);
        assert!(entropy::<f64>(&[]).is_err() && normalised_entropy::<f64>(&[]).is_err());
        assert_eq!(normalised_entropy(&[1.0]), Ok(0.0));
        for bad in [f64::NAN, f64::INFINITY, -1.0, 1e308] {
            assert!(entropy(&[bad, 0.5]).is_err());
        }
        assert!(entropy(&[1.0, 5e-324]).unwrap().0 < 1e-300);
    }
}
