//! The objective of alignment: reward with a divergence penalty.
//!
//! Formula: minimise <var>−E_π\[r\] + β·KL(π ‖ π_ref)</var> over policies π. The divergence is the *reverse* one: it
//! penalises outputs that the reference excludes, so the policy stays at modes of the reference. The minimum is known:
//! <var>π* ∝ π_ref·e^(r/β)</var>, with the value <var>−β·ln E_ref[e^(r/β)]</var> (Gibbs' variational principle). With a
//! small β the policy follows the reward; a jump of the KL is the first sign of reward hacking. β is about 0.01 to 0.1.
//! Source: Ziegler et al. 2019; Rafailov et al. 2023, appendix A.1; the textbook's A.4 and A.6.

use crate::units::Nats;
use crate::{InfoError, distribution, divergence};
use linalg::Real;
use linalg::accurate::sum;
use probability::softmax::log_sum_exp;

fn check<T: Real>(reference: &[T], rewards: &[T], beta: T) -> Result<(), InfoError> {
    distribution::check("the reference", reference)?;
    if rewards.len() != reference.len() {
        let (found, expected) = (rewards.len(), reference.len());
        return Err(InfoError::Length { what: "the list of rewards", found, expected });
    }
    for r in rewards {
        let found = r.to_f64();
        if !found.is_finite() {
            return Err(InfoError::Parameter { what: "a reward", found, expected: "finite" });
        }
    }
    let found = beta.to_f64();
    if !(found > 0.0 && found.is_finite()) {
        return Err(InfoError::Parameter { what: "β", found, expected: "positive and finite" });
    }
    Ok(())
}

/// Returns <var>−E_π\[r\] + β·KL(π ‖ π_ref)</var>. The unit is the reward's; β is reward per nat. ∞ if the policy
/// allows outputs that the reference excludes.
///
/// # Errors
/// If a policy is not a distribution, a reward is not finite, or β is not positive.
///
/// ```
/// use infotheory::objective::alignment::objective;
/// let (policy, reference, rewards) = ([0.9, 0.1], [0.5, 0.5], [1.0, 0.0]);
/// // A reward of 0.9, minus 0.3681 nats at 0.1 each.
/// assert!((objective(&policy, &reference, &rewards, 0.1)? + 0.863194_f64).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("rlhf", "ppo_penalty"))]
pub fn objective<T: Real>(
    policy: &[T],
    reference: &[T],
    rewards: &[T],
    beta: T,
) -> Result<T, InfoError> {
    check(reference, rewards, beta)?;
    let drift = divergence::kl(policy, reference)?;
    let total = distribution::sum::<T>("the policy", policy)?;
    let reward = sum(policy.iter().zip(rewards).map(|(&p, &r)| p / total * r));
    Ok(beta * drift.0 - reward)
}

/// Returns the policy <var>π* ∝ π_ref·e^(r/β)</var> that minimises [`objective`].
///
/// Right to 6 ε and <var>2·|r − r̂|/β</var> of them, with r̂ of the likeliest answer: a logarithm of π_ref, 745 at most, whose
/// rounding an exponential would multiply, is taken only where <var>|r − r̂|/β</var> is 85 or more.
///
/// # Errors
/// Like [`objective`].
///
/// ```
/// use infotheory::objective::alignment::{best_policy, best_value, objective};
/// let (reference, rewards) = ([0.5_f64, 0.3, 0.2], [0.0, 1.0, 2.0]);
/// let best = best_policy(&reference, &rewards, 0.5)?;
/// let value = best_value(&reference, &rewards, 0.5)?;
/// assert!((objective(&best, &reference, &rewards, 0.5)? - value).abs() < 1e-15);
/// assert!(best[2] > 0.8); // most of it on the best answer, which the reference gave one time in five
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn best_policy<T: Real>(reference: &[T], rewards: &[T], beta: T) -> Result<Vec<T>, InfoError> {
    check(reference, rewards, beta)?;
    let (_, scores) = scores(reference, rewards, beta);
    let likelier = |top, i| if scores[i] > scores[top] { i } else { top };
    let top = (0..scores.len()).reduce(likelier).unwrap_or(0);
    // Relative to the likeliest: e^x is a normal number in both scalars, and the ratio is at most e^−x.
    let weight = |i: usize| {
        let x = (rewards[i] - rewards[top]) / beta;
        match x.to_f64().abs() < 85.0 {
            true => reference[i] / reference[top] * x.exp(),
            false => (scores[i] - scores[top]).exp(),
        }
    };
    let weights: Vec<T> = (0..scores.len()).map(weight).collect();
    let total = sum(weights.iter().copied());
    Ok(weights.into_iter().map(|w| w / total).collect())
}

/// Returns the minimum of [`objective`]: <var>−β·ln Σ π_ref·e^(r/β)</var>.
///
/// # Errors
/// Like [`objective`].
///
/// ```
/// use infotheory::objective::alignment::{best_policy, best_value, objective};
/// let (reference, rewards) = ([0.5, 0.5], [1.0, 0.0]);
/// let value = best_value(&reference, &rewards, 1.0)?;
/// assert!((value + (0.5 * (1.0_f64.exp() + 1.0)).ln()).abs() < 1e-14); // −ln ((e + 1)/2)
/// let policy = best_policy(&reference, &rewards, 1.0)?;
/// assert!((objective(&policy, &reference, &rewards, 1.0)? - value).abs() < 1e-14);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn best_value<T: Real>(reference: &[T], rewards: &[T], beta: T) -> Result<T, InfoError> {
    check(reference, rewards, beta)?;
    let (best, scores) = scores(reference, rewards, beta);
    Ok(-(best + beta * log_sum_exp(&scores)))
}

/// Returns the largest reward r̂ of outputs that the reference allows, and the scores ln π_ref + (r − r̂)/β, which do
/// not overflow; −∞ for outputs that it excludes.
fn scores<T: Real>(reference: &[T], rewards: &[T], beta: T) -> (T, Vec<T>) {
    let minus = T::from_f64(f64::NEG_INFINITY);
    let pairs = || reference.iter().zip(rewards);
    let possible = pairs().filter(|(p, _)| **p > T::zero()).map(|(_, &r)| r);
    let best = possible.fold(minus, |best, r| if r > best { r } else { best });
    let score = |(&p, &r): (&T, &T)| match p == T::zero() {
        true => minus,
        false => p.ln() + (r - best) / beta,
    };
    (best, pairs().map(score).collect())
}

/// Returns an estimate of <var>KL(π ‖ π_ref)</var> from one token drawn from the *policy*: x − 1 − ln x with
/// <var>x = π_ref/π</var>. It is unbiased and at least 0 for every token; −ln x alone may be negative and has more
/// variance.
///
/// # Errors
/// If a log-probability is NaN or above 0, or the policy excludes the token (−∞).
///
/// ```
/// use infotheory::objective::alignment::kl_estimate;
/// // A token that the policy prefers and the reference does not: the textbook's drift of 6.2 nats is
/// // only this token's ln(0.7/0.0001), weighted by 0.7.
/// let nats = kl_estimate(0.7_f64.ln(), 0.0001_f64.ln())?;
/// assert!((nats.0 - 7.853808).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("k3", "approx_kl"))]
pub fn kl_estimate<T: Real>(ln_policy: T, ln_reference: T) -> Result<Nats<T>, InfoError> {
    for (what, x) in [("ln π", ln_policy), ("ln π_ref", ln_reference)] {
        let found = x.to_f64();
        if found.is_nan() || found > 0.0 {
            return Err(InfoError::Parameter { what, found, expected: "at most 0" });
        }
    }
    let found = ln_policy.to_f64();
    if found == f64::NEG_INFINITY {
        return Err(InfoError::Parameter { what: "ln π", found, expected: "finite" });
    }
    if ln_reference.to_f64() == f64::NEG_INFINITY {
        return Ok(Nats(T::from_f64(f64::INFINITY)));
    }
    let difference = ln_reference - ln_policy;
    let size = difference.to_f64().abs();
    if size >= 0.25 {
        return Ok(Nats(difference.exp() - T::one() - difference));
    }
    // Near 0 that cancels; dᵏ/k! from k = 2 on does not.
    let series = (3..=16)
        .rev()
        .fold(T::one(), |sum, k| T::one() + sum * difference / T::from_f64(f64::from(k)));
    Ok(Nats(difference * difference / T::from_f64(2.0) * series))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_policy_is_better_than_the_best(
            [policy, reference] in draw::positive::<2>(),
            rewards in prop::collection::vec(-3f64..3.0, 24), beta in 0.05f64..5.0,
        ) {
            let rewards = &rewards[..policy.len()];
            let value = best_value(&reference, rewards, beta).unwrap();
            let found = objective(&policy, &reference, rewards, beta).unwrap();
            prop_assert!(found >= value - 1e-12 * (1.0 + found.abs()));
            // The excess is β·KL(π ‖ π*).
            let best = best_policy(&reference, rewards, beta).unwrap();
            let lost = beta * divergence::kl(&policy, &best).unwrap().0;
            prop_assert!((found - value - lost).abs() <= 1e-11 * (1.0 + lost + found.abs()));
        }

        #[test]
        fn the_estimate_has_no_bias_and_no_sign([policy, reference] in draw::positive::<2>()) {
            let estimate = |i: usize| kl_estimate(policy[i].ln(), reference[i].ln()).unwrap().0;
            prop_assert!((0..policy.len()).all(|i| estimate(i) >= 0.0));
            let mean: f64 = (0..policy.len()).map(|i| policy[i] * estimate(i)).sum();
            let exact = divergence::kl(&policy, &reference).unwrap().0;
            prop_assert!((mean - exact).abs() <= 1e-12 * (1.0 + exact));
        }
    }

    proptest! {
        /// For close policies: never below 0, and d²/2 + d³/6 to the next power.
        #[test]
        fn the_estimate_between_near_policies(
            ln_policy in -20f64..0.0, exponent in -12f64..-1.0, sign in any::<bool>(),
        ) {
            let d = if sign { 1.0 } else { -1.0 } * 10f64.powf(exponent);
            let other = (ln_policy + d).min(0.0);
            let d = other - ln_policy;
            let found = kl_estimate(ln_policy, other).unwrap().0;
            prop_assert!(found >= 0.0);
            let start = d * d * (0.5 + d / 6.0);
            prop_assert!((found - start).abs() <= d.powi(4) / 20.0 + 8.0 * f64::EPSILON * start);
        }
    }

    #[test]
    fn the_textbook_s_drift_is_one_summand() {
        let (policy, reference) = ([0.7_f64, 0.3], [0.0001, 0.9999]);
        assert!((0.7 * (0.7 / 0.0001_f64).ln() - 6.197566).abs() < 1e-6);
        assert!((divergence::kl(&policy, &reference).unwrap().0 - 5.836404).abs() < 1e-6);
    }

    #[test]
    fn hard_floats() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let value = |p: &[f64], q: &[f64], r: &[f64], b| objective(p, q, r, b);
        assert_eq!(value(&[1.0], &[1.0], &[-0.0], 1.0), Ok(0.0));
        assert_eq!(value(&[0.5, 0.5], &[1.0, 0.0], &[0.0, 9.0], 1.0), Ok(inf));
        for bad in [nan, inf, -inf] {
            assert!(value(&[1.0], &[1.0], &[bad], 1.0).is_err());
            assert!(value(&[bad], &[1.0], &[0.0], 1.0).is_err());
        }
        for beta in [0.0, -1.0, nan, inf] {
            assert!(best_policy(&[1.0], &[0.0], beta).is_err());
            assert!(best_value(&[1.0], &[0.0], beta).is_err());
        }
        assert!(best_policy::<f64>(&[], &[], 1.0).is_err());
        assert!(best_policy(&[1.0], &[0.0, 1.0], 1.0).is_err());
        // No reward makes the policy choose an output that the reference excludes; and e^(r/β) does not overflow.
        assert_eq!(best_policy(&[1.0, 0.0], &[0.0, 1e300], 1e-5), Ok(vec![1.0, 0.0]));
        assert_eq!(best_policy(&[0.5, 0.5], &[0.0, 1e4], 1e-3), Ok(vec![0.0, 1.0]));
        assert_eq!(best_policy(&[0.5, 0.5], &[0.0, 1.0], 5e-324), Ok(vec![0.0, 1.0]));
        assert_eq!(best_policy(&[0.5, 0.5], &[-1e308, 1e308], 1e-5), Ok(vec![0.0, 1.0]));
        assert_eq!(best_value(&[0.5, 0.5], &[0.0, 1e308], 1e-5), Ok(-1e308));
        assert_eq!(kl_estimate(-1.0, -inf).unwrap().0, inf);
        assert_eq!(kl_estimate(-0.0, 0.0).unwrap().0, 0.0);
        assert_eq!(kl_estimate(-1e308, 0.0).unwrap().0, inf);
        assert!(kl_estimate(-inf, -1.0).is_err() && kl_estimate(0.1, -1.0).is_err());
        assert!(kl_estimate(nan, -1.0).is_err() && kl_estimate(-1.0, nan).is_err());
    }

    /// Rewards and references of every size, also those of which a factor leaves the range: with two answers the odds are
    /// <var>π₁/π₀ = (p₁/p₀)·e^((r₁ − r₀)/β)</var>, whose logarithm is found to the rounding of its terms.
    #[test]
    fn the_odds_of_the_best_policy() {
        for p in [5e-324, 1e-310, 1e-300, 1e-30, 0.25] {
            for reward in
                [-1e3, -800.0, -90.0, -80.0, -1.0, 0.0, 1.0, 80.0, 90.0, 690.0, 800.0, 1e3]
            {
                let policy = best_policy(&[p, 1.0 - p], &[reward, 0.0], 1.0).unwrap();
                let odds = f64::ln(p) - (1.0 - p).ln() + reward;
                for (found, odds) in [(policy[0], odds), (policy[1], -odds)] {
                    // 1/(1 + e^−odds), in logarithms.
                    let expected = -(-odds.abs()).exp().ln_1p() + odds.min(0.0);
                    let bound = 4.0 * f64::EPSILON * (f64::ln(p).abs() + reward.abs() + 4.0);
                    let subnormal =
                        found < f64::MIN_POSITIVE && expected < f64::MIN_POSITIVE.ln() + 1.0;
                    assert!(
                        subnormal || (found.ln() - expected).abs() <= bound,
                        "{p:e} {reward}: {found:e}"
                    );
                }
            }
        }
        assert_eq!(best_policy(&[0.5, 0.5], &[1e308, -1e308], 1e-3).unwrap(), [1.0, 0.0]);
        assert_eq!(best_policy(&[0.0, 1.0], &[1e308, -1e308], 1.0).unwrap(), [0.0, 1.0]);
    }
}
