//! Sums whose error does not grow with their length.
//!
//! A plain loop over n terms makes n rounding errors: the sum of a million equal `f32` may be wrong in its second
//! digit. Here the running sum is a pair of numbers, the second below the last place of the first. The rounding error
//! of an addition s = fl(a + b) is a + b − s, which is itself a number of the scalar type; it is added to the second
//! number.
//!
//! Formulas: <var>|s̃ − Σ xᵢ| ≤ ε·|Σ xᵢ| + n·ε²·Σ |xᵢ|</var>: one rounding at the end, and n roundings at twice the
//! precision. (Adding the errors separately, and only at the end, gives n²·ε², which is no useful bound for a million
//! `f32`.)
//! In a transformer: a loss is a mean over tokens, an entropy a sum over the vocabulary.
//! Source: Dekker 1971; Knuth, *The Art of Computer Programming*, volume 2, section 4.2.2 (the exact error of a sum);
//! Higham, *Accuracy and Stability of Numerical Algorithms*, section 4.3.
//! Floats: NaN stays NaN; an infinite sum equals that of a plain loop.

use crate::Real;
use crate::real::is_nan;

/// Returns the rounded sum of a and b, and its rounding error: together exactly a + b, unless the sum overflows.
///
/// ```
/// assert_eq!(linalg::accurate::two_sum(1.0, 1e-30), (1.0, 1e-30));
/// ```
#[inline(always)]
pub fn two_sum<T: Real>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    let b_seen = sum - a;
    (sum, (a - (sum - b_seen)) + (b - b_seen))
}

/// Returns the rounded product of a and b, and its rounding error: together exactly a·b, unless a number or a product of
/// halves is out of range (Dekker: each factor is split into halves whose products are exact).
#[inline(always)]
pub(crate) fn two_product<T: Real>(a: T, b: T) -> (T, T) {
    // 2²⁷ + 1 or 2¹² + 1: half of the digits of `f64` and of `f32`.
    let double = T::from_f64(1e300).to_f64().is_finite();
    let splitter = T::from_f64(if double { 134_217_729.0 } else { 4097.0 });
    let halves = |x: T| {
        let scaled = splitter * x;
        let high = scaled - (scaled - x);
        (high, x - high)
    };
    let (product, (a_high, a_low), (b_high, b_low)) = (a * b, halves(a), halves(b));
    let rest = ((a_high * b_high - product) + a_high * b_low) + a_low * b_high;
    (product, rest + a_low * b_low)
}

/// Returns <var>Σ xᵢ</var>, computed in twice the precision and rounded once; +0 if there are no terms.
///
/// ```
/// use linalg::accurate::sum;
/// assert_eq!(sum([1e100, 1.0, -1e100]), 1.0);
/// assert_eq!(sum(vec![0.1_f32; 1_000_000]), 100_000.0); // 0.1_f32 is 0.1 + 1.5e-9; a plain loop gives 100958.34
/// ```
#[doc(alias = "fsum")]
#[doc(alias = "kahan")]
#[inline(always)]
pub fn sum<T: Real>(terms: impl IntoIterator<Item = T>) -> T {
    let mut sum = Sum::new();
    terms.into_iter().for_each(|x| sum.add(x));
    sum.value()
}

/// The number of sums that run side by side: as in [`crate::vector`].
const LANES: usize = 16;

/// The length from which they do: sixteen sums cost as much as these additions one after the other.
const LONG: usize = 64;

/// Returns <var>Σ term(xᵢ, yᵢ)</var> of slices, as exact as [`sum`] and, if they are long, many times as fast: one addition
/// waits for the one before, sixteen sums do not. The order depends on the length alone. As for [`crate::simd`], inside of
/// which this belongs, mark the closure `#[inline(always)]`.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use linalg::accurate::total;
/// let x = vec![0.1_f32; 1_000_000];
/// let found = linalg::simd(#[inline(always)] || total(&x, &x, |x, _| x).value());
/// assert_eq!(found, 100_000.0); // 0.1_f32 is 0.1 + 1.5e-9
/// ```
#[inline(always)]
pub fn total<T: Real, U: Real>(x: &[T], y: &[T], term: impl Fn(T, T) -> U) -> Sum<U> {
    assert_eq!(x.len(), y.len(), "vectors of different lengths");
    let mut all = Sum::new();
    if x.len() < LONG {
        x.iter().zip(y).for_each(|(&x, &y)| all.add(term(x, y)));
        return all;
    }
    let (mut sums, mut rests) = ([U::zero(); LANES], [U::zero(); LANES]);
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        let mut terms = [U::zero(); LANES];
        for l in 0..LANES {
            terms[l] = term(x[l], y[l]);
        }
        // As in `Sum::take`.
        for l in 0..LANES {
            let (sum, lost) = two_sum(sums[l], terms[l]);
            let (together, below) = two_sum(sum, rests[l] + lost);
            (sums[l], rests[l]) = (if is_nan(below) { sum } else { together }, below);
        }
    }
    x_rest.iter().zip(y_rest).for_each(|(&x, &y)| all.add(term(x, y)));
    for l in 0..LANES {
        all.merge(&Sum { sum: sums[l], lost: rests[l] });
    }
    all
}

/// A running sum, for terms that arrive one by one.
///
/// ```
/// let mut sum = linalg::accurate::Sum::new();
/// [1e16, 1.0, 1.0, -1e16].map(|x| sum.add(x));
/// assert_eq!(sum.value(), 2.0); // a plain loop gives 0
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum<T> {
    sum: T,
    /// The part below the last place of the sum; NaN once the sum is infinite.
    lost: T,
}

impl<T: Real> Sum<T> {
    /// Creates an empty sum, +0.
    #[inline(always)]
    pub fn new() -> Self {
        Sum { sum: T::zero(), lost: T::zero() }
    }

    /// Adds a term.
    #[inline(always)]
    pub fn add(&mut self, x: T) {
        self.take(x, T::zero());
    }

    /// Adds x, and a number below the last place of x.
    #[inline(always)]
    fn take(&mut self, x: T, rest: T) {
        let (sum, lost) = two_sum(self.sum, x);
        let (together, below) = two_sum(sum, (self.lost + rest) + lost);
        (self.sum, self.lost) = (if is_nan(below) { sum } else { together }, below);
    }

    /// Creates a sum of one term.
    #[inline(always)]
    pub fn of(x: T) -> Self {
        Sum { sum: x, lost: T::zero() }
    }

    /// Adds another sum. Exchanging the two gives the same bits.
    #[inline(always)]
    pub fn merge(&mut self, other: &Self) {
        self.take(other.sum, other.lost);
    }

    /// Returns the sum of all terms, each multiplied by `factor`; exact if `factor` is a power of two.
    #[inline(always)]
    #[must_use]
    pub fn times(self, factor: T) -> Self {
        Sum { sum: self.sum * factor, lost: self.lost * factor }
    }

    /// Returns the difference of two sums, computed before either is rounded.
    ///
    /// ```
    /// use linalg::accurate::Sum;
    /// let (mut one, mut other) = (Sum::of(1e16), Sum::of(1e16));
    /// one.add(1.0);
    /// other.add(3.0);
    /// assert_eq!(other.minus(&one), 2.0);
    /// ```
    #[inline(always)]
    pub fn minus(&self, other: &Self) -> T {
        let (difference, lost) = two_sum(self.sum, -other.sum);
        let rest = lost + (self.lost - other.lost);
        if is_nan(rest) { difference } else { difference + rest }
    }

    /// Returns the sum of all terms so far.
    #[inline(always)]
    pub fn value(&self) -> T {
        // If the sum is infinite, `lost` is NaN.
        if is_nan(self.lost) { self.sum } else { self.sum + self.lost }
    }
}

impl<T: Real> Default for Sum<T> {
    fn default() -> Self {
        Sum::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The error bound of the module, against integers: x = k·2⁻⁸⁰ with |k| < 2¹⁰⁰.
        #[test]
        fn the_error_is_that_of_one_rounding(
            parts in prop::collection::vec((-(1_i64 << 53)..1 << 53, 0u32..47), 0..60),
        ) {
            let x: Vec<f64> =
                parts.iter().map(|&(k, e)| k as f64 * (f64::from(e) - 80.0).exp2()).collect();
            let exact: i128 = parts.iter().map(|&(k, e)| i128::from(k) << e).sum();
            let size: i128 = parts.iter().map(|&(k, e)| (i128::from(k) << e).abs()).sum();
            let unit = (-80_f64).exp2();
            // Every term is an integer number of units, and so is every rounded sum.
            let found = (sum(x.iter().copied()) / unit) as i128;
            let difference = (found - exact).abs() as f64;
            let (n, e) = (x.len() as f64, f64::EPSILON);
            let bound = e * exact.abs() as f64 + n * e * e * size as f64;
            prop_assert!(difference <= bound, "{difference:e} beyond {bound:e}");
        }
    }

    /// Sixteen sums are as exact as one: numbers that cancel but for one, anywhere, at every length.
    #[test]
    fn side_by_side_is_one_after_the_other() {
        for n in (0..300).chain([1000, 4097]) {
            let x: Vec<f64> =
                (0..n).map(|i| (i as f64 * 0.7).sin() * 10_f64.powi(i % 13)).collect();
            let all: Vec<f64> =
                x.iter().map(|x| -x).chain([1e-3]).chain(x.iter().copied()).collect();
            let found = total(&all, &all, |x, _| x).value();
            assert!((found - 1e-3).abs() < 1e-12, "{n}: {found}");
            let products = total(&x, &x, |x, y| x * y).value();
            let one_by_one = sum(x.iter().map(|x| x * x));
            assert!((products - one_by_one).abs() <= f64::EPSILON * one_by_one, "{n}");
        }
        for at in [0, 17, 99] {
            for (special, rest) in
                [(f64::INFINITY, 1.0), (f64::NEG_INFINITY, 1e300), (f64::MAX, f64::MAX)]
            {
                let mut x = vec![rest; 100];
                x[at] = special;
                let plain: f64 = x.iter().sum();
                assert_eq!(total(&x, &x, |x, _| x).value(), plain);
            }
            let mut x = vec![1.0; 100];
            x[at] = f64::NAN;
            assert!(total(&x, &x, |x, _| x).value().is_nan());
        }
    }

    #[test]
    fn infinite_and_undefined_sums_are_those_of_a_fold() {
        assert_eq!(sum([f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(sum([1.0, f64::NEG_INFINITY]), f64::NEG_INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY]).is_nan() && sum([f64::NAN]).is_nan());
        assert_eq!(sum([f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum::<f64>([]).to_bits(), 0);
        assert_eq!(sum([-0.0_f64]).to_bits(), 0);
    }
}
