//! Rényi's entropies and divergences: a family with Shannon's in its middle.
//!
//! Formula, for an order α from 0 to ∞: <var>H_α(P) = ln Σ p^α/(1 − α)</var>, and
//! <var>D_α(P‖Q) = ln Σ p^α·q^(1 − α)/(α − 1)</var>, in nats. Order 1 is the limit, [`entropy`](fn@crate::entropy::entropy)
//! and [`kl`](crate::divergence::kl). Order 0 counts what is possible; order 2 is −ln of the probability that two draws
//! agree: how many samples of a model differ; order ∞ sees the most likely outcome alone, what greedy decoding has. A
//! divergence of order ∞ bounds every event's probability under P by e^D times that under Q, the promise of differential
//! privacy, for which orders between are computed. H decreases with α, D increases.
//!
//! Near order 1, and for P near Q, <var>Σ p^α·q^(1 − α) − 1</var> is computed as
//! <var>Σ (p^α·q^(1 − α) − p + (α − 1)(q − p))</var>, whose terms have one sign.
//! Source: Rényi, *On measures of entropy and information*, 1961; van Erven and Harremoës, *Rényi divergence and
//! Kullback–Leibler divergence*, 2014; Mironov, *Rényi differential privacy*, 2017.

use crate::units::Nats;
use crate::{InfoError, distribution, divergence};
use linalg::Real;
use linalg::accurate::sum;
use probability::log_sum_exp::log_sum_exp;

/// Returns the entropy of order α, from 0 to ln n. The order is a constant of any derivative.
///
/// # Errors
/// If p is not a distribution, or the order is negative or NaN.
///
/// ```
/// use infotheory::renyi::entropy;
/// let p = [0.7, 0.2, 0.1];
/// assert!((entropy(&p, 2.0)?.0 + 0.54_f64.ln()).abs() < 1e-15); // two draws agree with 0.49 + 0.04 + 0.01
/// assert!((entropy(&p, f64::INFINITY)?.0 + 0.7_f64.ln()).abs() < 1e-15);
/// assert!((entropy(&p, 0.0)?.0 - 3_f64.ln()).abs() < 1e-15);
/// assert_eq!(entropy(&p, 1.0)?, infotheory::entropy::entropy(&p)?);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("renyi_entropy", "collision_entropy", "min_entropy"))]
pub fn entropy<T: Real>(p: &[T], order: f64) -> Result<Nats<T>, InfoError> {
    let total = distribution::sum("p", p)?;
    check_order(order)?;
    if order == 1.0 {
        return crate::entropy::entropy(p);
    }
    let possible: Vec<T> = p.iter().map(|&p| p / total).filter(|p| *p > T::zero()).collect();
    let nats = if order.is_infinite() {
        T::zero() - linalg::vector::maximum(&possible).ln()
    } else if order == 0.0 {
        T::from_f64((possible.len() as f64).ln())
    } else {
        let rest = T::from_f64(order - 1.0);
        let logarithms: Vec<T> = possible.iter().map(|p| p.ln()).collect();
        let terms = possible.iter().zip(&logarithms).map(|(&p, &l)| p * exp_m1(rest * l));
        let ln = logarithm_of(sum(terms), || logarithms.iter().map(|&l| l + rest * l).collect());
        T::zero() - ln / rest
    };
    Ok(Nats(distribution::within(nats, 0.0, (p.len() as f64).ln())))
}

/// Returns the divergence of order α, at least 0; ∞ if an outcome of P is impossible under Q and α ≥ 1, or none is common
/// to both. The order is a constant of any derivative.
///
/// # Errors
/// If p or q is not a distribution, their lengths differ, or the order is negative or NaN.
///
/// ```
/// use infotheory::{divergence::kl, renyi::divergence};
/// let (p, q) = ([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]);
/// assert_eq!(divergence(&p, &q, 1.0)?, kl(&p, &q)?);
/// assert!((divergence(&p, &q, f64::INFINITY)?.0 - 1.4_f64.ln()).abs() < 1e-15); // the largest ratio
/// // Order ½: −2 ln of Bhattacharyya's coefficient, the same either way.
/// let half = divergence(&p, &q, 0.5)?;
/// assert!((half - divergence(&q, &p, 0.5)?).0.abs() < 1e-15 && (half.0 - 0.044536_f64).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("renyi_divergence", "bhattacharyya", "max_divergence"))]
pub fn divergence<T: Real>(p: &[T], q: &[T], order: f64) -> Result<Nats<T>, InfoError> {
    let (p_sum, q_sum) = distribution::sum_pair(p, q)?;
    check_order(order)?;
    if order == 1.0 {
        return divergence::kl(p, q);
    }
    let (zero, infinite) = (T::zero(), T::from_f64(f64::INFINITY));
    let shares: Vec<(T, T)> = p.iter().zip(q).map(|(&p, &q)| (p / p_sum, q / q_sum)).collect();
    let possible = || shares.iter().copied().filter(|(p, _)| *p > zero);
    if order > 1.0 && possible().any(|(_, q)| q == zero) {
        return Ok(Nats(infinite));
    }
    let common = || possible().filter(|(_, q)| *q > zero);
    let nats = if order.is_infinite() {
        linalg::vector::maximum(&common().map(|(p, q)| p.ln() - q.ln()).collect::<Vec<T>>())
    } else if order == 0.0 {
        let excluded = sum(shares.iter().filter(|(p, _)| *p == zero).map(|(_, q)| *q));
        match excluded.to_f64() < 0.5 {
            true => zero - (-excluded).ln_1p(),
            false => zero - sum(possible().map(|(_, q)| q)).ln(),
        }
    } else {
        let rest = T::from_f64(order - 1.0);
        let apart = sum(shares.iter().map(|&(p, q)| term(p, q, rest)));
        let scores = || common().map(|(p, q)| p.ln() + rest * (p.ln() - q.ln())).collect();
        let ln = logarithm_of(apart, scores);
        ln / rest
    };
    Ok(Nats(distribution::within(nats, 0.0, f64::INFINITY)))
}

/// Returns <var>ln Σ e^s</var> from <var>Σ e^s − 1</var>, or where little is left, or too much, from the scores s.
fn logarithm_of<T: Real>(less_1: T, scores: impl FnOnce() -> Vec<T>) -> T {
    let near = (-0.5..1e30).contains(&less_1.to_f64());
    if near { less_1.ln_1p() } else { log_sum_exp(&scores()) }
}

/// Returns <var>p^α·q^(1 − α) − p + (α − 1)(q − p)</var>, given α − 1, without cancellation if p is near q.
fn term<T: Real>(p: T, q: T, rest: T) -> T {
    if p == T::zero() {
        return rest * q;
    }
    let x = (q - p) / p;
    if x.abs() < T::from_f64(0.25) {
        // t − (1 − α)·x is (α − 1)(x − ln(1 + x)).
        let t = T::zero() - rest * x.ln_1p();
        return p * (exp_m1_less(t) + rest * divergence::excess(x));
    }
    let power = if q == T::zero() { -T::one() } else { exp_m1(rest * (p.ln() - q.ln())) };
    p * power + rest * (q - p)
}

/// Returns <var>eᵗ − 1</var>.
fn exp_m1<T: Real>(t: T) -> T {
    if t > T::one() {
        return t.exp() - T::one();
    }
    let half = (t * T::from_f64(0.5)).tanh();
    (half + half) / (T::one() - half)
}

/// Returns <var>eᵗ − 1 − t</var>.
fn exp_m1_less<T: Real>(t: T) -> T {
    if t.abs() > T::from_f64(0.5) {
        return exp_m1(t) - t;
    }
    // Σ tᵏ/k! from k = 2 to 16, by Horner's rule.
    let series = (3..=16).rev().fold(T::one(), |s, k| T::one() + s * t / T::from_f64(f64::from(k)));
    T::from_f64(0.5) * t * t * series
}

fn check_order(found: f64) -> Result<(), InfoError> {
    if found >= 0.0 {
        return Ok(());
    }
    Err(InfoError::Parameter { what: "the order", found, expected: "0 or more" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use proptest::prelude::*;

    const ORDERS: [f64; 11] =
        [0.0, 1e-3, 0.5, 0.9, 1.0 - 1e-9, 1.0, 1.0 + 1e-9, 1.1, 2.0, 50.0, f64::INFINITY];

    proptest! {
        /// Entropies decrease with the order, divergences increase; independent variables add up.
        #[test]
        fn orders_are_ordered([p, q] in draw::positive::<2>(), more in draw::distribution()) {
            let (mut last_h, mut last_d) = (f64::INFINITY, 0.0);
            for order in ORDERS {
                let (h, d) = (entropy(&p, order).unwrap().0, divergence(&p, &q, order).unwrap().0);
                prop_assert!(h <= last_h * (1.0 + 1e-12) + 1e-14, "{order}: {h} {last_h}");
                prop_assert!(d >= last_d * (1.0 - 1e-9) - 1e-14, "{order}: {d} {last_d}");
                (last_h, last_d) = (h, d);
                let both: Vec<f64> = p.iter().flat_map(|p| more.iter().map(move |m| p * m)).collect();
                let parts = h + entropy(&more, order).unwrap().0;
                prop_assert!((entropy(&both, order).unwrap().0 - parts).abs() < 1e-11, "{order}");
                prop_assert!(divergence(&p, &p, order).unwrap().0.abs() < 1e-13, "{order}");
            }
            // Skew symmetry: (1 − α)·D_α(P‖Q) = α·D_(1 − α)(Q‖P).
            let (a, b) = (divergence(&p, &q, 0.3).unwrap().0, divergence(&q, &p, 0.7).unwrap().0);
            prop_assert!((0.7 * a - 0.3 * b).abs() <= 1e-12 * (1.0 + a));
        }

        /// Near each other every divergence is α/2·Σ d²/p, and near order 1 it is KL.
        #[test]
        fn close_distributions_keep_their_digits(step in 1e-9f64..1e-6, order in 0.1f64..8.0) {
            let p = [0.5 + step, 0.5 - step];
            let s = p[0] - 0.5;
            let found = divergence(&p, &[0.5, 0.5], order).unwrap().0;
            prop_assert!((found / (2.0 * order * s * s) - 1.0).abs() < 1e-5);
            let (p, q) = ([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]);
            let slope = (divergence(&p, &q, 1.0 + step).unwrap() - divergence(&p, &q, 1.0).unwrap()).0 / step;
            // dD/dα at 1 is half the variance of ln p/q.
            prop_assert!((slope - 0.076464).abs() < 1e-5 + 1e-15 / step, "{slope}");
        }
    }

    #[test]
    fn hard_floats() {
        for bad in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            assert!(entropy(&[1.0], bad).is_err() && divergence(&[1.0], &[1.0], bad).is_err());
        }
        assert!(entropy::<f64>(&[], 2.0).is_err() && entropy(&[0.5], 2.0).is_err());
        assert!(divergence(&[1.0], &[0.5, 0.5], 2.0).is_err());
        for order in ORDERS {
            assert_eq!(entropy(&[1.0_f64, 0.0], order).unwrap().0.to_bits(), 0, "{order}");
            assert_eq!(divergence(&[1.0, 0.0], &[1.0, -0.0], order).unwrap().0, 0.0);
            // Nothing in common.
            let far = divergence(&[1.0, 0.0], &[0.0, 1.0], order).unwrap().0;
            assert_eq!(far, f64::INFINITY, "{order}");
            // An outcome that Q excludes: finite below order 1.
            let part = divergence(&[0.5_f64, 0.5], &[1.0, 0.0], order).unwrap().0;
            assert_eq!(part.is_finite(), order < 1.0, "{order}");
            assert!(entropy(&[1.0_f64, 5e-324], order).unwrap().0.is_finite());
        }
        // p^α·q^(1 − α) beyond every float.
        let ratio = divergence(&[1.0, 5e-324], &[5e-324, 1.0], 50.0).unwrap().0;
        assert!((ratio / (50.0 / 49.0 * 744.4400719213812) - 1.0).abs() < 0.03, "{ratio}");
        let single = divergence(&[0.5_f32, 0.5], &[0.25, 0.75], 3.0).unwrap().0;
        assert!(
            (f64::from(single) - divergence(&[0.5, 0.5], &[0.25, 0.75], 3.0).unwrap().0).abs()
                < 1e-6
        );
    }
}
