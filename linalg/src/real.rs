//! The scalar type of all computations.

use crate::{Factor, ViewMut, kernel};
use num_traits::{One, Zero};
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// A real number: an ordered field with thirteen functions, and hooks for loops and matrix products. [`crate::Elementary`]
/// has the functions that are made of them: powers, hyperbolic functions, logarithms to other bases.
///
/// `f32` and `f64` forward the hooks to tuned kernels, a dual number its products to those of its parts; every other scalar
/// inherits plain loops. If a scalar carries a derivative, comparisons compare values only.
///
/// Functions follow IEEE: e^−∞ = 0 and ln 0 = −∞; ln and √ of a negative number, sin and cos of ±∞ are NaN; √−0, tanh
/// −0, erf −0 and sin −0 are −0; NaN stays NaN.
///
/// ```
/// use linalg::Real;
/// fn logistic<T: Real>(x: T) -> T {
///     T::one() / (T::one() + (-x).exp())
/// }
/// assert_eq!(logistic(0.0_f32), 0.5);
/// assert_eq!(logistic(0.0_f64), 0.5);
/// ```
pub trait Real:
    Copy
    + Debug
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Zero
    + One
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + 'static
{
    /// Returns the scalar nearest to `x`.
    fn from_f64(x: f64) -> Self;
    /// Returns the value as `f64`, without any derivative that it carries.
    fn to_f64(self) -> f64;
    /// Returns eˣ.
    #[must_use]
    fn exp(self) -> Self;
    /// Returns ln x, the natural logarithm: information in nats.
    #[must_use]
    fn ln(self) -> Self;
    /// Returns ln(1 + x), accurate for small x.
    #[must_use]
    fn ln_1p(self) -> Self;
    /// Returns √x.
    #[must_use]
    fn sqrt(self) -> Self;
    /// Returns tanh x.
    #[must_use]
    fn tanh(self) -> Self;
    /// Returns <var>erf x = 2/√π ∫₀ˣ e^(−t²)</var> dt.
    #[must_use]
    fn erf(self) -> Self;
    /// Returns <var>erfc x = 1 − erf x</var> without cancellation where erf x is near 1: to 2x²·ε relative.
    #[must_use]
    fn erfc(self) -> Self;
    /// Returns sin x.
    #[must_use]
    fn sin(self) -> Self;
    /// Returns cos x.
    #[must_use]
    fn cos(self) -> Self;
    /// Returns |x|; its derivative at 0 is taken to be 0.
    #[must_use]
    fn abs(self) -> Self;

    /// Returns xᵖ for a constant exponent; <var>e^(p·ln x)</var> unless the scalar has its own. The derivative is
    /// <var>p·x^(p−1)</var>; it is 0 at x = 0 for p > 1.
    #[must_use]
    fn powf(self, p: f64) -> Self {
        (Self::from_f64(p) * self.ln()).exp()
    }

    /// Returns the larger of two, by value; NaN if either is NaN.
    #[inline(always)]
    #[must_use]
    fn larger(self, other: Self) -> Self {
        // Written so that a NaN on either side propagates.
        if self > other || is_nan(self) { self } else { other }
    }

    /// Runs a loop over these scalars, by [`crate::simd`] where vectors hold them. A scalar of several numbers inherits one
    /// version of the loop: more would only be compiled.
    #[inline(always)]
    fn simd<R>(work: impl FnOnce() -> R) -> R {
        work()
    }

    /// Computes <var>C ← α·A·B</var>, or <var>C ← C + α·A·B</var> if `add` is set, on one thread.
    ///
    /// This is the hook behind [`crate::product_into`] and [`crate::product_add`], which check shapes and cut the work;
    /// call those instead.
    fn gemm(
        c: ViewMut<'_, Self>,
        alpha: Self,
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        add: bool,
    ) {
        kernel::factor::plain(c, alpha, a, b, add);
    }

    /// Computes <var>C ← A·B</var>, or <var>C ← C + A·B</var> if `add` is set, of factors that are rounded to bfloat16
    /// ([`crate::Products::Bf16`]), on one thread. A derivative passes the rounding unchanged.
    fn gemm_bf16(c: ViewMut<'_, Self>, a: Factor<'_, Self>, b: Factor<'_, Self>, add: bool) {
        kernel::bfloat::plain(c, a, b, add);
    }
}

/// Formats a number for a message: with an exponent if it would take more than 16 digits or begin with five zeros. On
/// `f64` only, because text has no derivative.
///
/// ```
/// use linalg::real::shown;
/// assert_eq!([0.1, 1e308, -1e-300, 0.0].map(shown), ["0.1", "1e308", "-1e-300", "0"]);
/// ```
pub fn shown(x: f64) -> String {
    let plain = x == 0.0 || !x.is_finite() || (1e-5..1e16).contains(&x.abs());
    if plain { x.to_string() } else { format!("{x:e}") }
}

/// Whether `x` is NaN.
///
/// ```
/// assert!(linalg::real::is_nan(f32::NAN) && !linalg::real::is_nan(f32::INFINITY));
/// ```
#[inline(always)]
#[allow(clippy::eq_op)] // the definition: NaN is the one value that differs from itself
pub fn is_nan<T: Real>(x: T) -> bool {
    x != x
}

/// Returns the scalar's ε: the distance from 1 to the next number.
#[inline(always)]
pub(crate) fn epsilon<T: Real>() -> f64 {
    let next = |epsilon: f64| (T::one() + T::from_f64(epsilon)).to_f64() > 1.0;
    match (next(f64::EPSILON / 2.0), next(f64::EPSILON), next(f32::EPSILON.into())) {
        (false, true, _) => f64::EPSILON,
        (false, false, true) if !next(f64::from(f32::EPSILON) / 2.0) => f32::EPSILON.into(),
        _ => {
            let mut epsilon = 1.0;
            while next(epsilon / 2.0) {
                epsilon /= 2.0;
            }
            epsilon
        }
    }
}

impl Real for f32 {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        kernel::exponential::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        f32::ln_1p(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        kernel::exponential::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        kernel::exponential::erf(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        kernel::exponential::erfc(self)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        f32::sin(self)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        f32::cos(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn powf(self, p: f64) -> Self {
        f32::powf(self, p as f32)
    }
    #[inline(always)]
    fn simd<R>(work: impl FnOnce() -> R) -> R {
        kernel::simd(work)
    }
    fn gemm(
        c: ViewMut<'_, Self>,
        alpha: Self,
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        add: bool,
    ) {
        kernel::packed::product(c, alpha, a, b, add);
    }
    fn gemm_bf16(c: ViewMut<'_, Self>, a: Factor<'_, Self>, b: Factor<'_, Self>, add: bool) {
        kernel::packed::product_of_bfloat16(c, a, b, add);
    }
}

impl Real for f64 {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        f64::ln_1p(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        libm::erfc(self)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        f64::sin(self)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        f64::cos(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn powf(self, p: f64) -> Self {
        f64::powf(self, p)
    }
    #[inline(always)]
    fn simd<R>(work: impl FnOnce() -> R) -> R {
        kernel::simd(work)
    }
    fn gemm(
        c: ViewMut<'_, Self>,
        alpha: Self,
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        add: bool,
    ) {
        kernel::packed::product(c, alpha, a, b, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_keeps_nan_on_either_side() {
        assert!(f64::NAN.larger(1.0).is_nan());
        assert!(1.0.larger(f64::NAN).is_nan());
        assert_eq!(1.0.larger(2.0), 2.0);
        assert_eq!(f64::NEG_INFINITY.larger(-3.0), -3.0);
    }
}
