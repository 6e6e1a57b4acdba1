//! Taylor expansion to any order, by numbers that carry their series.
//!
//! <var>f(x + h) = Σₖ₌₀ⁿ⁻¹ f⁽ᵏ⁾(x)/k!·hᵏ + f⁽ⁿ⁾(ξ)/n!·hⁿ</var>, with some ξ between x and x + h: the remainder in
//! Lagrange's form.
//!
//! Gradient descent uses the first two terms, Newton's method three; the learning rate limits the step to where they
//! are accurate.
//!
//! Source: Taylor 1715; for the recurrences of the coefficients, Griewank and Walther, *Evaluating
//! Derivatives*, 2008, chapter 13.

use crate::dual::{bell, slope_of_tanh};
use crate::operators::{Constants, operators};
use linalg::Real;
use num_traits::{One, Zero};
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, RangeInclusive, Sub};

/// A polynomial <var>Σₖ coefficientₖ·hᵏ</var> in h with N coefficients, truncated after <var>h^(N−1)</var>.
///
/// A `Series` is a [`Real`]: a function at `Series::variable(x)` has its expansion about x as value. `Series<T, 2>` is
/// a [`crate::Dual`]. Comparisons use only the value. Coefficients at singular points follow IEEE arithmetic: √ and ln
/// at 0 have ∞ and NaN as coefficients.
///
/// ```
/// use calculus::taylor::Series;
/// use linalg::Real;
/// let e = Series::<f64, 4>::variable(0.0).exp();
/// assert_eq!(e.coefficients(), &[1.0, 1.0, 0.5, 1.0 / 6.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Series<T, const N: usize>([T; N]);

impl<T: Real, const N: usize> Series<T, N> {
    /// Creates a constant.
    pub fn constant(value: T) -> Self {
        Series::from_rule(|_, k| if k == 0 { value } else { T::zero() })
    }

    /// Creates the variable x + h.
    pub fn variable(x: T) -> Self {
        Series::moving(x, T::one())
    }

    /// Creates <var>x + v·h</var>: a variable that moves along a direction.
    ///
    /// ```
    /// use calculus::taylor::Series;
    /// let line = Series::<f64, 3>::moving(1.0, 2.0); // 1 + 2h
    /// assert_eq!((line * line).coefficients(), &[1.0, 4.0, 4.0]);
    /// ```
    pub fn moving(x: T, v: T) -> Self {
        Series::from_rule(|_, k| match k {
            0 => x,
            1 => v,
            _ => T::zero(),
        })
    }

    /// Returns the coefficients f⁽ᵏ⁾(x)/k!, for k = 0, 1, ….
    pub fn coefficients(&self) -> &[T; N] {
        &self.0
    }

    /// Returns f(x).
    pub fn value(&self) -> T {
        self.0[0]
    }

    /// Returns f⁽ᵏ⁾(x).
    ///
    /// # Panics
    /// If k ≥ N: the series has no such coefficient.
    ///
    /// ```
    /// use calculus::taylor::Series;
    /// let x = Series::<f64, 4>::variable(2.0);
    /// assert_eq!((x * x * x).derivative(3), 6.0); // of x³
    /// ```
    pub fn derivative(&self, k: usize) -> T {
        let whole = factorial::<T>(k);
        if whole.to_f64().is_finite() {
            return self.0[k] * whole;
        }
        // k! overflows, but the derivative may be finite.
        (1..=k).fold(self.0[k], |product, i| product * count(i))
    }

    /// Returns the polynomial at h (Horner 1819). At ±∞ it is ±∞ by the sign of the highest power, NaN if its
    /// coefficient is 0; at a huge h ±∞, at a tiny one the constant term.
    ///
    /// ```
    /// use calculus::taylor;
    /// use linalg::Real;
    /// // eˣ about 0 up to h³, at 0.1: 1 + 0.1 + 0.005 + 0.000167
    /// let p = taylor::expand::<f64, 4>(|x| x.exp(), 0.0);
    /// assert!((p.at(0.1) - 1.105167).abs() < 1e-6 && (0.1_f64.exp() - p.at(0.1)).abs() < 5e-6);
    /// ```
    pub fn at(&self, h: T) -> T {
        self.0[..N - 1].iter().rev().fold(self.0[N - 1], |sum, &c| sum * h + c)
    }

    /// Returns the largest possible remainder at h, if |f⁽ᴺ⁾| ≤ `largest` between x and x + h:
    /// <var>largest·|h|ᴺ/N!</var>. 0 at h = ±0; ∞ if the power overflows (or h or `largest` is ±∞), 0 if it underflows;
    /// NaN for NaN and 0·∞.
    ///
    /// ```
    /// use calculus::taylor;
    /// use linalg::Real;
    /// // sin about 0 up to h⁵; its sixth derivative is at most 1.
    /// let p = taylor::expand::<f64, 6>(|x| x.sin(), 0.0);
    /// let remainder = 1.0_f64.sin() - p.at(1.0);
    /// assert!(remainder.abs() <= p.remainder_bound(1.0, 1.0)); // 1.96e-4 ≤ 1.39e-3
    /// ```
    pub fn remainder_bound(&self, h: T, largest: T) -> T {
        let (power, whole) = ((0..N).fold(largest, |bound, _| bound * h.abs()), factorial::<T>(N));
        if power.to_f64().is_finite() && whole.to_f64().is_finite() {
            return power / whole;
        }
        // The power or the factorial overflows, but the bound may be finite.
        (1..=N).fold(largest, |bound, i| bound * h.abs() / count(i))
    }

    /// Computes the coefficients in order, each from those before it.
    #[inline]
    fn from_rule(rule: impl Fn(&[T; N], usize) -> T) -> Self {
        const { assert!(N > 0, "a series has a value") };
        let mut c = [T::zero(); N];
        for k in 0..N {
            c[k] = rule(&c, k);
        }
        Series(c)
    }

    /// Returns y with y(0) = `start` and <var>y′ = a′·g</var>: <var>k·yₖ = Σᵢ i·aᵢ·gₖ₋ᵢ</var>; `g` may depend on the
    /// earlier coefficients of y.
    fn integral(&self, start: T, g: impl Fn(&[T; N], usize) -> T) -> Self {
        Series::from_rule(|y, k| {
            if k == 0 {
                return start;
            }
            let terms = (1..=k).map(|i| count::<T>(i) * self.0[i] * g(y, k - i));
            terms.fold(T::zero(), |sum, term| sum + term) / count(k)
        })
    }

    /// Returns sin and cos together, because the derivative of one is the other, up to sign.
    fn sin_cos(self) -> (Self, Self) {
        let (mut sin, mut cos) =
            (Series::constant(self.0[0].sin()), Series::constant(self.0[0].cos()));
        for k in 1..N {
            let (mut s, mut c) = (T::zero(), T::zero());
            for i in 1..=k {
                let slope = count::<T>(i) * self.0[i];
                s += slope * cos.0[k - i];
                c -= slope * sin.0[k - i];
            }
            (sin.0[k], cos.0[k]) = (s / count(k), c / count(k));
        }
        (sin, cos)
    }
}

/// Returns k as a scalar.
fn count<T: Real>(k: usize) -> T {
    T::from_f64(k as f64)
}

/// Returns k!.
fn factorial<T: Real>(k: usize) -> T {
    T::from_f64((1..=k).map(|i| i as f64).product())
}

/// Returns <var>Σ aᵢ·bₖ₋ᵢ</var> over the i in `range`.
fn convolution<T: Real>(a: &[T], b: &[T], range: RangeInclusive<usize>, k: usize) -> T {
    range.fold(T::zero(), |sum, i| sum + a[i] * b[k - i])
}

/// Returns the expansion of f about `x` to the power N − 1.
///
/// ```
/// use calculus::taylor;
/// // 1/(1 − x) = 1 + x + x² + …
/// let p = taylor::expand::<f64, 5>(|x| 1.0 / (1.0 - x), 0.0);
/// assert_eq!(p.coefficients(), &[1.0; 5]);
/// assert_eq!(p.derivative(4), 24.0);
/// ```
#[doc(alias = "jet")]
pub fn expand<T: Real, const N: usize>(
    f: impl FnOnce(Series<T, N>) -> Series<T, N>,
    x: T,
) -> Series<T, N> {
    f(Series::variable(x))
}

/// Returns the expansion of <var>t ↦ f(x + t·v)</var>: value, slope ⟨∇f, v⟩, half the curvature <var>⟨v, H·v⟩</var>, ….
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use calculus::taylor;
/// // f = x²·y from (3, 2) along (1, 0): 18 + 12·t + 2·t².
/// let p = taylor::expand_along::<f64, 3>(|x| x[0] * x[0] * x[1], &[3.0, 2.0], &[1.0, 0.0]);
/// assert_eq!(p.coefficients(), &[18.0, 12.0, 2.0]);
/// ```
pub fn expand_along<T: Real, const N: usize>(
    f: impl FnOnce(&[Series<T, N>]) -> Series<T, N>,
    x: &[T],
    v: &[T],
) -> Series<T, N> {
    assert_eq!(x.len(), v.len(), "a direction has one number per variable");
    f(&x.iter().zip(v).map(|(&x, &v)| Series::moving(x, v)).collect::<Vec<_>>())
}

impl<T: Real, const N: usize> PartialEq for Series<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl<T: Real, const N: usize> PartialOrd for Series<T, N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value().partial_cmp(&other.value())
    }
}

impl<T: Real, const N: usize> Add for Series<T, N> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Series::from_rule(|_, k| self.0[k] + o.0[k])
    }
}

impl<T: Real, const N: usize> Sub for Series<T, N> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Series::from_rule(|_, k| self.0[k] - o.0[k])
    }
}

impl<T: Real, const N: usize> Mul for Series<T, N> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Series::from_rule(|_, k| convolution(&self.0, &o.0, 0..=k, k))
    }
}

impl<T: Real, const N: usize> Div for Series<T, N> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        // a = q·b, solved for the last coefficient of q.
        Series::from_rule(|q, k| (self.0[k] - convolution(&o.0, q, 1..=k, k)) / o.0[0])
    }
}

impl<T: Real, const N: usize> Neg for Series<T, N> {
    type Output = Self;
    fn neg(self) -> Self {
        Series(self.0.map(|c| -c))
    }
}

impl<T: Real, const N: usize> Constants for Series<T, N> {}

operators! { [T: Real, const N: usize] Series<T, N> }

impl<T: Real, const N: usize> Zero for Series<T, N> {
    fn zero() -> Self {
        Series::constant(T::zero())
    }
    fn is_zero(&self) -> bool {
        self.value().is_zero()
    }
}

impl<T: Real, const N: usize> One for Series<T, N> {
    fn one() -> Self {
        Series::constant(T::one())
    }
}

impl<T: Real, const N: usize> Real for Series<T, N> {
    fn from_f64(x: f64) -> Self {
        Series::constant(T::from_f64(x))
    }
    fn to_f64(self) -> f64 {
        self.value().to_f64()
    }
    fn exp(self) -> Self {
        self.integral(self.value().exp(), |e, k| e[k])
    }
    fn ln(self) -> Self {
        let slope = Series::one() / self;
        self.integral(self.value().ln(), |_, k| slope.0[k])
    }
    fn ln_1p(self) -> Self {
        let slope = Series::one() / (Series::one() + self);
        self.integral(self.value().ln_1p(), |_, k| slope.0[k])
    }
    fn sqrt(self) -> Self {
        // a = r², solved for the last coefficient of r, which occurs twice.
        Series::from_rule(|r, k| match k {
            0 => self.value().sqrt(),
            _ => (self.0[k] - convolution(r, r, 1..=k - 1, k)) / (r[0] + r[0]),
        })
    }
    fn tanh(self) -> Self {
        // 1 − t², from the known coefficients of t; its first coefficient is computed without cancellation.
        let t = self.value().tanh();
        let slope = slope_of_tanh(self.value(), t);
        self.integral(t, |t, k| if k == 0 { slope } else { -convolution(t, t, 0..=k, k) })
    }
    fn erf(self) -> Self {
        let bell = bell(self);
        self.integral(self.value().erf(), |_, k| bell.0[k])
    }
    fn erfc(self) -> Self {
        let bell = bell(self);
        self.integral(self.value().erfc(), |_, k| -bell.0[k])
    }
    fn sin(self) -> Self {
        self.sin_cos().0
    }
    fn cos(self) -> Self {
        self.sin_cos().1
    }
    fn abs(self) -> Self {
        let (zero, value) = (T::zero(), self.value().abs());
        if self.value() > zero {
            self
        } else if self.value() < zero {
            -self
        } else {
            Series::constant(value)
        }
    }
    fn powf(self, p: f64) -> Self {
        // (x₀ + δ)ᵖ = Σ binomial(p, k)·x₀^(p−k)·δᵏ, where δᵏ begins with hᵏ: also at x₀ = 0.
        let (x, mut rest) = (self.value(), self);
        rest.0[0] = T::zero();
        let (mut sum, mut power, mut binomial) = ([T::zero(); N], Self::one(), 1.0);
        for k in 0..N {
            if binomial == 0.0 {
                break;
            }
            let factor = T::from_f64(binomial) * x.powf(p - k as f64);
            (k..N).for_each(|j| sum[j] += factor * power.0[j]);
            power *= rest;
            binomial *= (p - k as f64) / (k + 1) as f64;
        }
        Series(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dual;

    #[test]
    fn two_coefficients_are_a_dual_number() {
        fn all<T: Real>(x: T) -> T {
            let a = x.exp() + x.ln() - x.ln_1p() * x.sqrt() / x.tanh();
            let b = x.erf() * x.erfc() + x.sin() * x.cos() - (-x).abs() + x.abs() * x.powf(1.5);
            (a + b) / (T::one() + a * a)
        }
        for x in [0.3, 1.0, 2.5] {
            let (dual, series) = (all(Dual::variable(x)), all(Series::<f64, 2>::variable(x)));
            assert!((series.value() - dual.value).abs() <= 1e-15 * dual.value.abs());
            let error = series.derivative(1) - dual.derivative;
            assert!(error.abs() <= 1e-13 * dual.derivative.abs());
        }
    }

    #[test]
    fn powers_have_binomial_coefficients() {
        let half = Series::<f64, 4>::variable(1.0).powf(0.5); // √(1 + h)
        assert_eq!(half.coefficients(), &[1.0, 0.5, -0.125, 0.0625]);
        assert_eq!(
            Series::<f64, 4>::moving(0.0, 2.0).powf(3.0).coefficients(),
            &[0.0, 0.0, 0.0, 8.0]
        );
        assert_eq!(Series::<f64, 3>::variable(-2.0).powf(2.0).coefficients(), &[4.0, -4.0, 1.0]);
        let root = *Series::<f64, 3>::variable(0.0).powf(1.5).coefficients();
        assert_eq!(root, [0.0, 0.0, f64::INFINITY]);
    }

    #[test]
    fn a_kink_takes_the_slope_zero_and_nan_stays() {
        assert_eq!(Series::<f64, 3>::variable(0.0).abs().coefficients(), &[0.0; 3]);
        assert!(Series::<f64, 3>::variable(f64::NAN).abs().value().is_nan());
        // A direction of 0, −0 or ∞ is accepted; a product with it follows IEEE.
        for v in [0.0, -0.0, 5e-324, f64::INFINITY] {
            let x = Series::<f64, 2>::moving(2.0, v);
            assert_eq!(x.derivative(1).to_bits(), v.to_bits());
            assert_eq!((x * x).coefficients(), &[4.0, 4.0 * v]);
        }
        assert!((Series::<f64, 2>::moving(0.0, f64::INFINITY).exp().derivative(1)).is_infinite());
        assert!(Series::<f64, 2>::moving(1.0, f64::NAN).exp().derivative(1).is_nan());
        assert!(Series::<f64, 3>::variable(f64::NAN).to_f64().is_nan());
        assert_eq!(Series::<f32, 3>::variable(-0.0).to_f64().to_bits(), (-0.0_f64).to_bits());
        assert!(Series::<f64, 2>::zero().is_zero() && Series::<f64, 1>::one() == Series::one());
    }
}
