//! Divergences of two distributions.
//!
//! Formula: <var>KL(P‖Q) = Σ p ln(p/q)</var>, the nats that are wasted if Q predicts outcomes of P. KL ≥ 0, and 0 only
//! if P = Q (Gibbs); KL is not symmetric. ∞ if an outcome is possible under P and impossible under Q.
//!
//! It is computed as <var>Σ (p ln(p/q) − p + q)</var>, which is the same because both sum to one. Every term is at
//! least 0: rounding cannot make the sum negative, and no digits cancel if P is close to Q.
//!
//! # Forward and reverse
//! A Q that minimises KL(P‖Q) covers all of P (mode-covering): training by cross-entropy does this. A Q that minimises
//! KL(Q‖P) avoids outcomes that P excludes (mode-seeking): a penalty to a reference model does this.
//!
//! ```
//! use infotheory::divergence::kl;
//! // A target with two modes, and two candidates: one covers both, one covers the first.
//! let target = [0.02, 0.46, 0.02, 0.02, 0.46, 0.02];
//! let wide = [0.1, 0.2, 0.2, 0.2, 0.2, 0.1];
//! let narrow = [0.05, 0.85, 0.05, 0.02, 0.01, 0.02];
//! assert!(kl(&target, &wide)?.0 < kl(&target, &narrow)?.0); // forward: cover
//! assert!(kl(&narrow, &target)?.0 < kl(&wide, &target)?.0); // reverse: seek
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//! Source: Kullback and Leibler 1951; Lin 1991 (Jensen–Shannon); the textbook's A.4 and A.6.

use crate::units::Nats;
use crate::{InfoError, distribution};
use linalg::accurate::{self, total};
use linalg::cases::{Cases, Operand, Size, Visitor};
use linalg::formula::{I, J, K, ln, operand, positive, sum, upstream};
use linalg::parallel::each_column_of;
use linalg::{
    Formula, Gradient, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work, column,
    vector,
};

/// Returns <var>KL(P‖Q) = Σ p ln(p/q)</var>, in nats; at least 0, ∞ if some q is 0 and its p is not.
///
/// # Errors
/// If p or q is not a distribution, or their lengths differ.
///
/// ```
/// use infotheory::divergence::kl;
/// let (p, q) = ([0.4, 0.3, 0.2, 0.1], [0.25; 4]);
/// assert!((kl(&p, &q)?.0 - 0.106440_f64).abs() < 1e-6); // nats; the textbook prints 0.0849
/// assert!((kl(&p, &q)?.to_bits().0 - 0.153561).abs() < 1e-6);
/// assert!((kl(&q, &p)?.0 - 0.121777).abs() < 1e-6); // the other way round is another number
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("kl_divergence", "kl_div", "rel_entr", "relative_entropy"))]
pub fn kl<T: Real>(p: &[T], q: &[T]) -> Result<Nats<T>, InfoError> {
    let (p_sum, q_sum) = distribution::sum_pair(p, q)?;
    let nats = T::simd(
        #[inline(always)]
        || total(p, q, |p, q| term(p / p_sum, q / q_sum)).value(),
    );
    Ok(Nats(distribution::within(nats, 0.0, f64::INFINITY)))
}

/// Returns <var>KL(Q‖P)</var>: [`kl`] of the exchanged pair. Mode-seeking in Q; [`kl`] is mode-covering.
///
/// # Errors
/// Like [`kl`].
///
/// ```
/// use infotheory::divergence::{kl, reverse_kl};
/// let (p, q) = ([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]);
/// assert!((kl(&p, &q)?.to_bits().0 - 0.122806_f64).abs() < 1e-6); // the textbook prints 0.0834
/// assert!((reverse_kl(&p, &q)?.to_bits().0 - 0.132775).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("kl_divergence", "mode_seeking"))]
pub fn reverse_kl<T: Real>(p: &[T], q: &[T]) -> Result<Nats<T>, InfoError> {
    kl(q, p)
}

/// Returns <var>Σ (p ln(p/q) − p + q)</var>.
pub(crate) fn unchecked<T: Real>(pairs: impl Iterator<Item = (T, T)>) -> T {
    let nats = accurate::sum(pairs.map(|(p, q)| term(p, q)));
    distribution::within(nats, 0.0, f64::INFINITY)
}

/// Returns <var>p ln(p/q) − p + q ≥ 0</var>, without cancellation if p is near q.
pub(crate) fn term<T: Real>(p: T, q: T) -> T {
    let zero = T::zero();
    if p == zero {
        return q;
    }
    if q == zero {
        return T::from_f64(f64::INFINITY);
    }
    let x = (q - p) / p;
    if x.abs() < T::from_f64(0.25) {
        return p * excess(x);
    }
    if x > T::from_f64(-0.5) && x < T::one() {
        return p * (x - x.ln_1p());
    }
    // The logarithm of a quotient has an error of half an ε, the difference of two half an ε of each.
    let ratio = p / q;
    let in_range = ratio > T::from_f64(1e-37) && ratio < T::from_f64(1e37);
    let ln = if in_range { ratio.ln() } else { p.ln() - q.ln() };
    p * ln - p + q
}

/// Returns x − ln(1 + x) for |x| < ¼. With <var>r = x/(2 + x)</var>,
/// <var>ln(1 + x) = 2·artanh r = 2(r + r³/3 + r⁵/5 + …)</var> and <var>x − 2r = x·r</var>: the result is
/// <var>x·r − 2r³(1/3 + r²/5 + …)</var>, with <var>r² < 0.021</var>.
pub(crate) fn excess<T: Real>(x: T) -> T {
    let r = x / (T::from_f64(2.0) + x);
    let square = r * r;
    let series = (1..=9)
        .rev()
        .fold(T::zero(), |sum, k| sum * square + T::from_f64(1.0 / f64::from(2 * k + 1)));
    x * r - T::from_f64(2.0) * square * r * series
}

/// Returns the total variation <var>½ Σ |p − q|</var>, from 0 to 1: the largest difference of the probabilities of any
/// event.
///
/// # Errors
/// Like [`kl`].
///
/// ```
/// use infotheory::divergence::total_variation;
/// assert_eq!(total_variation(&[0.5, 0.5], &[1.0, 0.0])?, 0.5);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "tv_distance")]
pub fn total_variation<T: Real>(p: &[T], q: &[T]) -> Result<T, InfoError> {
    let (p_sum, q_sum) = distribution::sum_pair(p, q)?;
    let apart = T::simd(
        #[inline(always)]
        || total(p, q, |p, q| (p / p_sum - q / q_sum).abs()).value(),
    );
    Ok(distribution::within(T::from_f64(0.5) * apart, 0.0, 1.0))
}

/// Returns the Jensen–Shannon divergence <var>½KL(P‖M) + ½KL(Q‖M)</var> with <var>M = ½(P + Q)</var>. Symmetric, from 0
/// to ln 2, never ∞.
///
/// # Errors
/// Like [`kl`].
///
/// ```
/// use infotheory::divergence::jensen_shannon;
/// assert_eq!(jensen_shannon(&[1.0, 0.0], &[0.0, 1.0])?.to_bits().0, 1.0); // nothing in common
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("jensenshannon", "js_divergence"))]
pub fn jensen_shannon<T: Real>(p: &[T], q: &[T]) -> Result<Nats<T>, InfoError> {
    let (p_sum, q_sum) = distribution::sum_pair(p, q)?;
    let half = T::from_f64(0.5);
    let to_mean = |of: T, p: T, q: T| {
        let m = half * (p + q);
        // If the mean of two subnormal numbers underflows to 0, both terms underflow.
        if m == T::zero() && p != q { m } else { term(of, m) }
    };
    let [from_p, from_q] = T::simd(
        #[inline(always)]
        || {
            let of_p = total(p, q, |p, q| to_mean(p / p_sum, p / p_sum, q / q_sum));
            let of_q = total(p, q, |p, q| to_mean(q / q_sum, p / p_sum, q / q_sum));
            [of_p, of_q].map(|sum| distribution::within(sum.value(), 0.0, f64::INFINITY))
        },
    );
    Ok(Nats(distribution::within(half * (from_p + from_q), 0.0, std::f64::consts::LN_2)))
}

/// The divergence <var>KL(P‖Q) = Σ p ln(p/q)</var> of every column, in nats; operands are P and Q (classes × tokens), whose columns
/// sum to 1. ∞ if some q is 0 and its p is not; an outcome that P excludes adds nothing, whatever its q.
///
/// ```
/// use infotheory::divergence::Divergence;
/// use linalg::{apply, matrix};
/// let (p, q) = (matrix(2, 2, &[0.5, 0.5, 1.0, 0.0]), matrix(2, 2, &[0.5, 0.5, 0.5, 0.5]));
/// let nats = apply(&Divergence, [&p, &q])?;
/// assert_eq!(nats.as_slice(), &[0.0, 2.0_f64.ln()]); // a coin, and one that always falls on its head
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Divergence;

impl Primitive<2> for Divergence {
    fn name(&self) -> &'static str {
        "divergence"
    }

    fn shape(&self, [p, q]: [Shape; 2]) -> Result<Shape, ShapeError> {
        q.expect("the second distributions", p)?;
        Ok(Shape::new(1, p.columns))
    }

    fn formula<T: Real>(&self, [p, _]: [View<'_, T>; 2]) -> Formula {
        let (classes, p, q, dy) = (p.nrows(), operand(0), operand(1), upstream());
        let mut f = Formula::new(
            "D",
            ["p", "q"],
            "The nats that are wasted if the second distribution predicts outcomes of the first.",
            "Kullback and Leibler, On Information and Sufficiency, 1951",
        );
        // ln 1 where p is 0.
        let apart = 1.0 - positive(p.at(I, J));
        let apart = f.define("e", [I, J], apart);
        let under_q = q.at(I, J) * positive(p.at(I, J)) + apart.at2(I, J);
        let under_q = f.define("r", [I, J], under_q);
        let gain = ln(p.at(I, J) + apart.at2(I, J)) - ln(under_q.at2(I, J));
        let gain = f.define("g", [I, J], gain);
        f.value(sum(K, classes, p.at(K, J) * gain.at2(K, J)))
            .gradient(dy.at(0, J) * (gain.at2(I, J) + positive(p.at(I, J))))
            .gradient(-(dy.at(0, J) * (p.at(I, J) / under_q.at2(I, J))))
    }

    fn forward<T: Real>(&self, [p, q]: [View<'_, T>; 2], nats: ViewMut<'_, T>, _: Work<'_, T>) {
        each_column_of(
            p.nrows(),
            [nats],
            #[inline(always)]
            |j, [nats]| {
                let gain = |p: T, q: T| if p == T::zero() { p } else { p * (p.ln() - q.ln()) };
                nats[0] = vector::reduce(column(&p, j), column(&q, j), gain);
            },
        );
    }

    fn vjp<T: Real>(
        &self,
        [p, q]: [View<'_, T>; 2],
        _: View<'_, T>,
        upstream: View<'_, T>,
        [dp, dq]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        // An excluded outcome has no gradient: what a finite change of its score does to it is 0.
        let possible = |p: T| p != T::zero();
        dp.add_each_column(|j, d| {
            for (d, (&p, &q)) in d.iter_mut().zip(column(&p, j).iter().zip(column(&q, j))) {
                if possible(p) {
                    *d += upstream[j] * (p.ln() - q.ln() + T::one());
                }
            }
        });
        dq.add_each_column(|j, d| {
            for (d, (&p, &q)) in d.iter_mut().zip(column(&p, j).iter().zip(column(&q, j))) {
                if possible(p) {
                    *d -= upstream[j] * (p / q);
                }
            }
        });
    }

    fn flops(&self, [p, _]: [Shape; 2]) -> u64 {
        23 * p.len() as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }
}

impl Cases for Divergence {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            // Away from 0, where the derivatives of ln p are too large for a finite difference.
            let distributions = || Operand::Probabilities(Shape::new(m, n));
            visitor.visit(Divergence, [distributions(), distributions()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross_entropy::cross_entropy;
    use crate::distribution::draw;
    use crate::entropy::entropy;
    use proptest::prelude::*;

    fn slack(n: usize) -> f64 {
        (8 + 2 * n) as f64 * f64::EPSILON
    }

    fn mixed(t: f64, p: &[f64], q: &[f64]) -> Vec<f64> {
        p.iter().zip(q).map(|(p, q)| t * p + (1.0 - t) * q).collect()
    }

    proptest! {
        #[test]
        fn gibbs([p, q] in draw::positive::<2>()) {
            let far = kl(&p, &q).unwrap().0;
            prop_assert!(far >= 0.0);
            prop_assert_eq!(kl(&p, &p).unwrap().0.to_bits(), 0);
            let apart = p.iter().zip(&q).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max);
            // Equal only if they are equal: Pinsker's inequality bounds their distance.
            prop_assert!(far > 0.0 || apart < 1e-15);
        }

        #[test]
        fn cross_entropy_is_entropy_and_what_is_wasted([p, q] in draw::positive::<2>()) {
            let [ce, h, kl] = [cross_entropy(&p, &q), entropy(&p), kl(&p, &q)].map(|x| x.unwrap().0);
            // −Σ p ln q is a sum of terms of the size of the result.
            prop_assert!((ce - (h + kl)).abs() <= slack(p.len()) * (1.0 + ce));
        }

        #[test]
        fn kl_is_convex_in_the_pair(
            [p, q, r, s] in draw::positive::<4>(), t in 0.0f64..1.0,
        ) {
            let middle = kl(&mixed(t, &p, &r), &mixed(t, &q, &s)).unwrap().0;
            let line = t * kl(&p, &q).unwrap().0 + (1.0 - t) * kl(&r, &s).unwrap().0;
            prop_assert!(middle <= line + slack(p.len()) * (1.0 + line));
        }

        #[test]
        fn pinsker([p, q] in draw::positive::<2>()) {
            let (far, tv) = (kl(&p, &q).unwrap().0, total_variation(&p, &q).unwrap());
            prop_assert!(far >= 2.0 * tv * tv * (1.0 - slack(p.len())));
            // The Bretagnolle–Huber inequality, for large divergences.
            prop_assert!(tv <= (1.0 - (-far).exp()).sqrt() + slack(p.len()));
        }

        #[test]
        fn jensen_shannon_is_symmetric_and_at_most_ln_2(
            p in draw::distribution(), q in draw::distribution(),
        ) {
            let n = p.len().min(q.len());
            let (p, q) = (draw::normalised(p[..n].to_vec()), draw::normalised(q[..n].to_vec()));
            let js = jensen_shannon(&p, &q).unwrap().0;
            prop_assert_eq!(js, jensen_shannon(&q, &p).unwrap().0);
            prop_assert!(js >= 0.0 && js <= std::f64::consts::LN_2 + slack(n));
            // It is the entropy of the mixture minus the mean entropy.
            let over = entropy(&mixed(0.5, &p, &q)).unwrap().0
                - 0.5 * (entropy(&p).unwrap().0 + entropy(&q).unwrap().0);
            prop_assert!((js - over).abs() <= 4.0 * slack(n));
        }

        #[test]
        fn the_root_of_jensen_shannon_keeps_the_triangle([p, q, r] in draw::positive::<3>()) {
            let root = |a: &[f64], b: &[f64]| jensen_shannon(a, b).unwrap().0.sqrt();
            prop_assert!(root(&p, &r) <= root(&p, &q) + root(&q, &r) + 1e-12);
        }

        #[test]
        fn forgetting_a_distinction_brings_them_closer([p, q] in draw::positive::<2>(), cut in 0usize..24) {
            // Data processing: the outcomes up to `cut` are merged.
            let merge = |p: &[f64]| {
                let cut = cut % p.len();
                [&[p[..=cut].iter().sum::<f64>()], &p[cut + 1..]].concat()
            };
            let (fine, coarse) = (kl(&p, &q).unwrap().0, kl(&merge(&p), &merge(&q)).unwrap().0);
            prop_assert!(coarse <= fine + slack(p.len()) * (1.0 + fine));
        }

        #[test]
        fn close_distributions_keep_their_digits(step in 1e-9f64..1e-3) {
            // KL(½+s, ½−s ‖ ½, ½) = ½ ln(1 − 4s²) + s·ln((1 + 2s)/(1 − 2s)) = 2s² + 4s⁴/3 + 32s⁶/15 + …
            let found = kl(&[0.5 + step, 0.5 - step], &[0.5, 0.5]).unwrap().0;
            // The step after rounding 0.5 + s.
            let s = (0.5 + step) - 0.5;
            let exact = s * s * (2.0 + s * s * (4.0 / 3.0 + s * s * 32.0 / 15.0));
            prop_assert!((found / exact - 1.0).abs() < 1e-14 + 4e-16 / step);
        }
    }

    #[test]
    fn hard_floats() {
        assert_eq!(kl(&[1.0, 0.0], &[0.0, 1.0]).unwrap().0, f64::INFINITY);
        assert_eq!(kl(&[0.0, 1.0], &[0.5, 0.5]).unwrap().to_bits().0, 1.0);
        assert_eq!(kl(&[1.0], &[1.0]).unwrap().0, 0.0);
        assert_eq!(kl(&[-0.0, 1.0], &[0.0, 1.0]).unwrap().0, 0.0);
        // A ratio that overflows; its logarithm does not.
        let ratio = kl(&[1.0, 5e-324], &[5e-324, 1.0]).unwrap().0;
        assert!((ratio - 744.4400719213812).abs() < 1e-11);
        // The mean of the smallest number and 0 is 0.
        assert_eq!(jensen_shannon(&[1.0, 5e-324], &[1.0, 0.0]).unwrap().0, 0.0);
        let small = kl(&[1.0_f32, 1e-40], &[1e-40_f32, 1.0]).unwrap().0;
        assert!(small.is_finite() && small > 90.0);
        for bad in [&[][..], &[f64::NAN], &[f64::INFINITY], &[-1.0], &[0.5], &[0.5, 0.5]] {
            assert!(kl(bad, &[1.0]).is_err() && kl(&[1.0], bad).is_err());
            assert!(jensen_shannon(bad, &[1.0]).is_err() && total_variation(&[1.0], bad).is_err());
            assert!(reverse_kl(bad, &[1.0]).is_err());
        }
        assert_eq!(
            kl(&[1.0], &[0.5, 0.5]),
            Err(InfoError::Length { what: "q", found: 2, expected: 1 })
        );
        assert_eq!(total_variation(&[1.0, 0.0], &[0.0, 1.0]), Ok(1.0));
    }
}
