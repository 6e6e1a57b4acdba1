//! Log-sum-exp: the logarithm of the denominator of softmax, for all scores at once or one by one.
//!
//! Formula: <var>lse(z) = ln Σ e^(zᵢ)</var>, in nats. It is a smooth maximum:
//! <var>max z ≤ lse(z) ≤ max z + ln n</var>; its gradient is softmax(z). The cross-entropy of a
//! prediction is lse(z) − z_y.
//! Source: Blanchard, Higham, Higham, *Accurately computing the log-sum-exp and softmax functions*,
//! 2021.

use crate::accurate::{self, Sum};
use linalg::{Real, accurate::total, real::is_nan, vector};

/// Returns <var>ln Σ e^z</var> without overflow. The error is at most 4 units in the last place, or 2⁻¹⁰⁰ if that is
/// more.
///
/// If <var>Σ e^z</var> is near 1 (logarithms of the probabilities of a distribution),
/// <var>max z + ln Σ e^(z − max)</var> cancels and is computed in twice the precision. The derivative is that of the
/// plain formula.
///
/// −∞ if there are no scores or all are −∞; +∞ if a score is +∞; NaN if one is NaN. A single score is returned
/// unchanged.
///
/// ```
/// use probability::log_sum_exp::log_sum_exp;
/// let lse = log_sum_exp(&[2.0_f64, 1.0, 0.5, -1.0, 0.1]);
/// assert!((lse - 2.582419671).abs() < 1e-9);
/// // ln (½ + ½), except for the rounding of −ln 2.
/// let half = -std::f64::consts::LN_2;
/// assert_eq!(log_sum_exp(&[half, half]), 2.3190468138462996e-17);
/// ```
#[doc(alias("logsumexp", "logaddexp"))]
pub fn log_sum_exp<T: Real>(scores: &[T]) -> T {
    let (m, others) = T::simd(
        #[inline(always)]
        || {
            let m = vector::maximum(scores);
            (m, others(scores, m))
        },
    );
    if is_nan(m) || m.to_f64().is_infinite() {
        return m;
    }
    let plain = m + others.ln_1p();
    // Beyond these bounds less than a quarter of m cancels.
    let (value, m) = (plain.to_f64(), m.to_f64());
    if m >= 0.0 || value <= 0.75 * m {
        return plain;
    }
    let first = scores.iter().position(|z| z.to_f64() == m);
    let others = scores.iter().enumerate().filter(|(i, _)| Some(*i) != first);
    let exact = accurate::log_sum_exp_twice(m, others.map(|(_, z)| z.to_f64()));
    plain + T::from_f64(exact - value)
}

/// Returns <var>Σ e^(z − m)</var> over all scores but one that equals the maximum m: 1 less than the denominator of
/// softmax.
#[inline(always)]
pub(crate) fn others<T: Real>(scores: &[T], m: T) -> T {
    if !m.to_f64().is_finite() {
        return T::from_f64(f64::NAN); // NaN even if no term is
    }
    let first = scores.iter().position(|&z| z == m).unwrap_or(scores.len());
    let (before, after) = (&scores[..first], &scores[scores.len().min(first + 1)..]);
    let mut sum = Sum::new();
    for part in [before, after] {
        let of_part = total(
            part,
            part,
            #[inline(always)]
            |z, _| accurate::exp_difference(z, m),
        );
        sum.merge(&of_part);
    }
    sum.value()
}

/// The log-sum-exp of scores that arrive one by one, or in pieces: the identity behind streaming attention.
///
/// The state is m, the largest score so far, and <var>s = Σ e^(z − m)</var>. A larger score m′ multiplies the sum by
/// e^(m − m′), and every other sum with the weights e^(z − m), so attention needs no row of weights in memory.
///
/// Source: Milakov, Gimelshein, *Online normalizer calculation for softmax*, 2018; Dao et al.,
/// *FlashAttention*, 2022.
///
/// ```
/// use probability::log_sum_exp::StreamingLogSumExp;
/// // Σ p·v with p = softmax of the scores, reading each score and value once.
/// let (scores, values) = ([2.0_f64, 1.0, 0.5, -1.0, 0.1], [1.0, 2.0, 3.0, 4.0, 5.0]);
/// let (mut sum, mut mixed) = (StreamingLogSumExp::new(), 0.0);
/// for (z, v) in scores.into_iter().zip(values) {
///     let (before, now) = sum.push(z);
///     mixed = mixed * before + v * now;
/// }
/// let p = probability::softmax::softmax(&scores);
/// let direct: f64 = p.iter().zip(values).map(|(p, v)| p * v).sum();
/// assert!((mixed / sum.sum() - direct).abs() < 1e-15);
/// assert!((sum.value() - 2.582419671).abs() < 1e-9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias("online_softmax", "flash_attention"))]
pub struct StreamingLogSumExp<T> {
    maximum: T,
    sum: Sum<T>,
}

impl<T: Real> Default for StreamingLogSumExp<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> StreamingLogSumExp<T> {
    /// Creates the log-sum-exp of no scores: −∞.
    pub fn new() -> Self {
        StreamingLogSumExp { maximum: T::from_f64(f64::NEG_INFINITY), sum: Sum::new() }
    }

    /// Adds a score. Returns the factor for sums with earlier weights, and the weight of this score.
    ///
    /// A score of −∞ weighs 0. After a NaN or +∞ everything is NaN.
    ///
    /// ```
    /// use probability::log_sum_exp::StreamingLogSumExp;
    /// let mut sum = StreamingLogSumExp::new();
    /// sum.push(0.0_f64);
    /// // A larger score: earlier sums shrink by 1/e, and the new score has weight 1.
    /// let (shrink, weight) = sum.push(1.0);
    /// assert!((shrink - (-1.0_f64).exp()).abs() < 1e-15 && weight == 1.0);
    /// assert!((sum.value() - (1.0 + 1.0_f64.exp()).ln()).abs() < 1e-15);
    /// ```
    pub fn push(&mut self, score: T) -> (T, T) {
        let one = StreamingLogSumExp { maximum: score, sum: Sum::of(T::one()) };
        let (before, now) = self.weights(&one);
        *self = self.weighted(&one, before, now);
        (before, now)
    }

    /// Returns the log-sum-exp of both, for example of two threads.
    ///
    /// ```
    /// use probability::log_sum_exp::StreamingLogSumExp;
    /// let of = |scores: &[f64]| scores.iter().copied().collect::<StreamingLogSumExp<f64>>();
    /// let merged = of(&[2.0, 1.0]).merge(&of(&[0.5, -1.0, 0.1]));
    /// assert!((merged.value() - 2.582419671).abs() < 1e-9);
    /// ```
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let (before, now) = self.weights(other);
        self.weighted(other, before, now)
    }

    /// Returns <var>ln Σ e^z</var> of all scores so far. Additions lose nothing, however many there are; each new
    /// largest score costs a unit in the last place of the sum before it.
    pub fn value(&self) -> T {
        self.maximum + self.sum().ln()
    }

    /// Returns <var>Σ e^(z − max)</var>, by which weighted sums are divided at the end.
    pub fn sum(&self) -> T {
        self.sum.value()
    }

    /// Returns the largest score so far.
    pub fn maximum(&self) -> T {
        self.maximum
    }

    /// Returns e^(own maximum − common maximum), and the same of the other.
    fn weights(&self, other: &Self) -> (T, T) {
        let maximum = self.maximum.larger(other.maximum);
        if maximum == T::from_f64(f64::NEG_INFINITY) {
            return (T::one(), T::zero()); // −∞ − −∞ is nothing to weigh by
        }
        ((self.maximum - maximum).exp(), (other.maximum - maximum).exp())
    }

    fn weighted(&self, other: &Self, before: T, now: T) -> Self {
        let mut sum = self.sum.times(before);
        sum.merge(&other.sum.times(now));
        StreamingLogSumExp { maximum: self.maximum.larger(other.maximum), sum }
    }
}

impl<T: Real> Extend<T> for StreamingLogSumExp<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, scores: I) {
        for z in scores {
            self.push(z);
        }
    }
}

impl<T: Real> FromIterator<T> for StreamingLogSumExp<T> {
    fn from_iter<I: IntoIterator<Item = T>>(scores: I) -> Self {
        let mut sum = Self::new();
        sum.extend(scores);
        sum
    }
}
