//! Sums and exponentials that are exact to the last digits: the basis of `softmax` and `log_sum_exp`.
//!
//! Three rounding errors are corrected. z − m is rounded, and the exponential multiplies the error: a difference of
//! −700 carries 350 units in the last place into e^(z−m). A sum of n terms accumulates n roundings. And m + ln s
//! cancels if the total probability is near one, as it is for logarithms of probabilities.
//!
//! Source: Knuth, *The Art of Computer Programming*, volume 2, section 4.2.2 (the exact error of a
//! sum); Dekker, *A floating-point technique for extending the available precision*, 1971.

pub(crate) use linalg::accurate::{Sum, sum};
use linalg::accurate::{total, two_sum};
use linalg::{Real, real::is_nan};

/// Returns <var>e^(z − m)</var> for z ≤ m, as if z − m were not rounded.
#[inline(always)]
pub(crate) fn exp_difference<T: Real>(z: T, m: T) -> T {
    let (d, lost) = two_sum(z, -m);
    let e = d.exp();
    // If z − m is −∞ or overflows to it, nothing is lost: e is 0.
    if is_nan(lost) { e } else { e + e * lost }
}

/// Returns the partial sums x₁, x₁ + x₂, … of nonnegative numbers, each correct to a rounding or two, never decreasing.
pub(crate) fn cumulative<T: Real>(terms: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    terms.into_iter().scan((Sum::new(), T::zero()), |(sum, largest), x| {
        sum.add(x);
        *largest = largest.larger(sum.value());
        Some(*largest)
    })
}

/// Returns whether a sum reaches a limit, if rounding may have reduced it by the fraction `slack`: 0.5 + 0.3 reaches
/// 0.8, though as floats they are 0.7999999999999999 and 0.8.
pub(crate) fn reaches(sum: f64, limit: f64, slack: f64) -> bool {
    sum >= limit * (1.0 - slack)
}

/// Returns 1, or a power of two to divide the numbers by if their sums or differences would overflow or lose digits
/// below the scalar's range.
pub(crate) fn range_unit<T: Real>(x: &[T]) -> T {
    let largest = largest_size(x);
    let above = T::from_f64(largest * x.len().max(8) as f64).to_f64();
    let below = T::from_f64(largest * (-100.0_f64).exp2()).to_f64();
    if above.is_finite() && below > 0.0 { T::one() } else { power_of_two(x) }
}

/// Returns the size of the largest number that is one; 0 if there is none.
pub(crate) fn largest_size<T: Real>(x: &[T]) -> f64 {
    T::simd(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f64; 16];
            let (groups, rest) = x.as_chunks::<16>();
            let all = groups.iter().map(|group| &group[..]).chain([rest]);
            for group in all {
                for (most, x) in lanes.iter_mut().zip(group) {
                    let size = x.to_f64().abs();
                    *most = if size > *most { size } else { *most };
                }
            }
            lanes.into_iter().fold(0.0, f64::max)
        },
    )
}

/// Returns <var>Σ x/n</var>, rounded, and the remainder: exactly (x, 0) if all are x; NaN if there are no numbers. No
/// sum may overflow.
#[inline(always)]
fn mean_and_rest<T: Real>(x: &[T]) -> Sum<T> {
    let n = T::from_f64(x.len() as f64);
    let first = total(x, x, |x, _| x).value() / n;
    let mut rest = total(x, x, |x, _| two_sum(x, -first).0);
    rest.merge(&total(x, x, |x, _| two_sum(x, -first).1));
    let rest = rest.value() / n;
    let mut mean = Sum::of(first);
    // If the mean is infinite the rest is NaN.
    if !is_nan(rest) {
        mean.add(rest);
    }
    mean
}

/// Returns <var>Σ x/n</var>: exactly x if all are x; NaN if there are no numbers. Finite if the numbers are.
pub(crate) fn mean<T: Real>(x: &[T]) -> T {
    let (unit, mut scaled) = (range_unit(x), x.to_vec());
    let mean = T::simd(
        #[inline(always)]
        || {
            scaled.iter_mut().for_each(|x| *x /= unit);
            mean_and_rest(&scaled)
        },
    );
    mean.value() * unit
}

/// Deviations of numbers from their mean, in a unit in which the largest has a size of 1 to 2:
/// <var>x − µ = d·unit·range</var>. All 0 if the numbers are equal, NaN if one is infinite or NaN.
pub(crate) struct Deviations<T> {
    /// The deviations d.
    pub(crate) in_units: Vec<T>,
    /// A power of two; 1 if all deviations are 0.
    pub(crate) unit: T,
    /// A power of two; 1 except at the ends of the scalar's range.
    pub(crate) range: T,
}

impl<T: Real> Deviations<T> {
    /// Computes the deviations of numbers from their mean. The mean is not rounded to a float: that of four consecutive
    /// floats may lie between two.
    pub(crate) fn new(x: &[T]) -> Self {
        let (range, mut d) = (range_unit(x), x.to_vec());
        T::simd(
            #[inline(always)]
            || {
                d.iter_mut().for_each(|x| *x /= range);
                let mean = mean_and_rest(&d);
                d.iter_mut().for_each(|x| *x = Sum::of(*x).minus(&mean));
            },
        );
        Self::of(d, range)
    }

    /// Scales differences that are already computed.
    pub(crate) fn of(mut in_units: Vec<T>, range: T) -> Self {
        let unit = power_of_two(&in_units);
        T::simd(
            #[inline(always)]
            || in_units.iter_mut().for_each(|d| *d /= unit),
        );
        Deviations { in_units, unit, range }
    }

    /// Returns <var>Σ d·d′</var>, in units of both.
    pub(crate) fn dot(&self, other: &Self) -> T {
        let (a, b) = (&self.in_units, &other.in_units);
        T::simd(
            #[inline(always)]
            || total(a, b, |a, b| a * b).value(),
        )
    }

    /// Multiplies x, which is in units of both, by the units. The larger unit comes first: only a result out of range
    /// overflows or underflows.
    pub(crate) fn with_units(&self, x: T, other: &Self) -> T {
        let (a, b) = (self.unit, other.unit);
        let (large, small) = if a > b { (a, b) } else { (b, a) };
        x * large * small * self.range * other.range
    }
}

/// Returns <var>(x − y)/unit</var>, even if the difference overflows.
pub(crate) fn distance_in<T: Real>(unit: T, x: T, y: T) -> T {
    let difference = x - y;
    if !difference.to_f64().is_infinite() {
        return difference / unit;
    }
    let (half, two) = (T::from_f64(0.5), T::from_f64(2.0));
    (x * half - y * half) / unit * two
}

/// Returns the power of two next to the largest element in size; 1 if there are no elements or all are 0.
///
/// Dividing by it rounds only denormals. The results have size 1, and their squares and sums stay in range.
pub(crate) fn power_of_two<T: Real>(x: &[T]) -> T {
    let largest = largest_size(x);
    if largest == 0.0 || largest.is_infinite() {
        return T::one();
    }
    T::from_f64(largest.log2().floor().clamp(-1022.0, 1023.0).exp2())
}

/// Returns <var>m + ln (1 + Σ e^(z − m))</var> over the scores except one that is m, in twice the precision: the
/// absolute error is about 2⁻¹⁰⁰ if |m| is of size 1.
pub(crate) fn log_sum_exp_twice(m: f64, others: impl IntoIterator<Item = f64>) -> f64 {
    let sum = others
        .into_iter()
        .map(|z| Twice::from(two_sum(z, -m)).exp())
        .fold(Twice::ZERO, |sum, e| sum + e);
    (sum.ln_1p() + Twice::new(m)).high
}

/// A number as the sum of two, the second below the last place of the first: about 106 bits.
#[derive(Clone, Copy, Debug)]
struct Twice {
    high: f64,
    low: f64,
}

impl From<(f64, f64)> for Twice {
    fn from((high, low): (f64, f64)) -> Self {
        Twice { high, low }
    }
}

impl std::ops::Add for Twice {
    type Output = Twice;
    fn add(self, other: Twice) -> Twice {
        let (high, first) = two_sum(self.high, other.high);
        let (low, second) = two_sum(self.low, other.low);
        let (high, first) = two_sum(high, first + low);
        Twice::from(two_sum(high, first + second))
    }
}

impl std::ops::Mul for Twice {
    type Output = Twice;
    fn mul(self, other: Twice) -> Twice {
        let high = self.high * other.high;
        let low = self.high.mul_add(other.high, -high);
        Twice::from(two_sum(high, low + (self.high * other.low + self.low * other.high)))
    }
}

impl Twice {
    const ZERO: Twice = Twice { high: 0.0, low: 0.0 };
    const ONE: Twice = Twice { high: 1.0, low: 0.0 };

    fn new(x: f64) -> Twice {
        Twice { high: x, low: 0.0 }
    }

    /// Returns x/n: a quotient and the quotient of the remainder.
    fn over(self, n: f64) -> Twice {
        let high = self.high / n;
        let remainder = (-high).mul_add(n, self.high) + self.low;
        Twice::from(two_sum(high, remainder / n))
    }

    /// Returns eˣ for x ≤ 0.
    ///
    /// <var>x = k·ln 2 + r</var>; <var>eʳ − 1 = (1 + (e^(r/256) − 1))²⁵⁶ − 1</var> from a Taylor
    /// series of ten terms, whose remainder is below 2⁻¹¹⁷.
    fn exp(self) -> Twice {
        // ln 2 in three parts; the first two have 33 bits, so that k times them is exact.
        const LN2: [f64; 3] = [
            f64::from_bits(0x3FE6_2E42_FEF0_0000),
            f64::from_bits(0x3DD4_73DE_6AF0_0000),
            f64::from_bits(0x3BA3_C767_3007_E5ED),
        ];
        if self.high.is_nan() {
            return Twice::new(f64::NAN);
        }
        if self.high <= -750.0 {
            return Twice::ZERO;
        }
        let k = (self.high * std::f64::consts::LOG2_E).round();
        let reduced = LN2.iter().fold(self, |x, part| x + Twice::new(-k * part));
        let r = Twice { high: reduced.high / 256.0, low: reduced.low / 256.0 };
        let mut e = Twice::ONE;
        for n in (2..=10).rev() {
            e = Twice::ONE + (e * r).over(f64::from(n));
        }
        let mut e = e * r; // e^(r/256) − 1
        for _ in 0..8 {
            e = e + e + e * e;
        }
        let e = Twice::ONE + e;
        // Two factors, so that a result below the smallest normal number is reached.
        let half = (k / 2.0).round();
        let power = |x: f64| x * half.exp2() * (k - half).exp2();
        Twice { high: power(e.high), low: power(e.low) }
    }

    /// Returns ln(1 + x) for x ≥ 0.
    fn ln_1p(self) -> Twice {
        let x = self;
        if x.high < 1e-8 {
            // x − x²/2 + x³/3 − x⁴/4; the next term is 2⁻¹⁰⁸ of the first.
            let minus = |t: Twice| Twice { high: -t.high, low: -t.low };
            let cube = x * x * x;
            return x + minus((x * x).over(2.0)) + cube.over(3.0) + minus((cube * x).over(4.0));
        }
        // One Newton step: ln s = l + ln(s·e^(−l)), whose argument is 1 + 10⁻¹⁶.
        let s = Twice::ONE + x;
        let l = s.high.ln();
        let r = s * Twice::new(-l).exp() + Twice::new(-1.0);
        Twice::new(l) + r + (r * r).over(-2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <var>e^(−1/2)</var> and <var>ln(1 + e^(−3))</var> by mpmath 1.3.0, and the remainders of rounding them to `f64`.
    #[test]
    fn twice_the_digits() {
        let e = Twice::new(-0.5).exp();
        assert_eq!(e.high, 0.6065306597126334);
        assert!((e.low - -6.593178415491414e-19).abs() < 1e-30, "{:e}", e.low);
        let l = Twice::new(-3.0).exp().ln_1p();
        assert_eq!(l.high, 0.04858735157374206);
        assert!((l.low - -2.8911149045062954e-18).abs() < 1e-31, "{:e}", l.low);
    }

    #[test]
    fn what_rounding_loses_is_found() {
        assert_eq!(two_sum(1.0, 1e-30), (1.0, 1e-30));
        assert_eq!(sum([1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum([f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(exp_difference(f64::NEG_INFINITY, 1.0), 0.0);
        assert_eq!(exp_difference(-f64::MAX, f64::MAX), 0.0);
        assert!(Twice::new(f64::NAN).exp().high.is_nan());
        assert_eq!(Twice::new(-1e9).exp().high, 0.0);
    }
}
