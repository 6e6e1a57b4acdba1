//! Elementary functions that are made of others, for every scalar.
//!
//! A formula typed for `f64` then also runs on numbers that carry derivatives, whose derivatives follow from those of
//! the parts. In a transformer: powers in schedules and scaling laws, hyperbolic functions in losses (ln cosh), bits
//! instead of nats.
//! Source: Abramowitz and Stegun, *Handbook of Mathematical Functions*, chapters 3 and 4.

use crate::Real;
use crate::real::is_nan;

/// Functions of a [`Real`] beyond its own. Each is within a few ε of its value, relative, unless stated.
///
/// For `f32` and `f64` the standard library's methods of the same names are chosen where the type is known; generic code
/// gets these.
///
/// ```
/// use linalg::Elementary;
/// fn energy<T: Elementary>(x: T, y: T) -> T {
///     x.powi(2) + y.cosh().ln() + x.hypot(y)
/// }
/// assert_eq!(energy(3.0_f64, 0.0), 12.0);
/// ```
pub trait Elementary: Real {
    /// Returns xⁿ by repeated squaring; 1 for n = 0, also of NaN. Within 2·|n|·ε.
    ///
    /// ```
    /// fn cube<T: linalg::Elementary>(x: T) -> T {
    ///     x.powi(3)
    /// }
    /// assert_eq!((cube(-2.0_f64), cube(0.5_f32)), (-8.0, 0.125));
    /// ```
    #[must_use]
    fn powi(self, n: i32) -> Self {
        let (mut left, mut square, mut power) = (n.unsigned_abs(), self, Self::one());
        while left > 0 {
            if left % 2 == 1 {
                power *= square;
            }
            left /= 2;
            if left > 0 {
                square *= square;
            }
        }
        if n < 0 { power.recip() } else { power }
    }

    /// Returns 1/x.
    #[must_use]
    fn recip(self) -> Self {
        Self::one() / self
    }

    /// Returns <var>eˣ − 1</var>, without cancellation for small x: <var>2t/(1 − t)</var> with <var>t = tanh(x/2)</var>.
    #[must_use]
    fn exp_m1(self) -> Self {
        if self.to_f64().abs() > 0.5 {
            return self.exp() - Self::one();
        }
        let t = (self * Self::from_f64(0.5)).tanh();
        (t + t) / (Self::one() - t)
    }

    /// Returns 2ˣ, with the error of x·ln 2: |x|·ε.
    #[must_use]
    fn exp2(self) -> Self {
        (self * Self::from_f64(std::f64::consts::LN_2)).exp()
    }

    /// Returns log₂ x: information in bits.
    #[must_use]
    fn log2(self) -> Self {
        self.ln() / Self::from_f64(std::f64::consts::LN_2)
    }

    /// Returns log₁₀ x.
    #[must_use]
    fn log10(self) -> Self {
        self.ln() / Self::from_f64(std::f64::consts::LN_10)
    }

    /// Returns tan x; beside a pole with the error that x has.
    #[must_use]
    fn tan(self) -> Self {
        self.sin() / self.cos()
    }

    /// Returns <var>sinh x = (eˣ − e⁻ˣ)/2</var>, without cancellation for small x.
    #[must_use]
    fn sinh(self) -> Self {
        if self.to_f64().abs() > 1.0 {
            // Half of the power first: the other half of the range.
            let half = Self::from_f64(0.5);
            let root = (self * half).exp();
            return half * root * root - half / root / root;
        }
        self.tanh() * self.cosh()
    }

    /// Returns <var>cosh x = (eˣ + e⁻ˣ)/2</var>.
    #[must_use]
    fn cosh(self) -> Self {
        let half = Self::from_f64(0.5);
        let root = (self * half).exp();
        half * root * root + half / root / root
    }

    /// Returns <var>√(x² + y²)</var>, also where the squares are out of range. At (0, 0), where it is not
    /// differentiable, the derivative is taken to be 0.
    #[must_use]
    fn hypot(self, y: Self) -> Self {
        crate::norm::l2(&[self, y])
    }

    /// Returns the larger of two, by value, like `f64::max`: the other one if one is NaN. Of two equal numbers `other` is
    /// returned, so that the derivative of `x.max(0)` at 0 is 0, as that of ReLU.
    #[must_use]
    fn max(self, other: Self) -> Self {
        if self > other || is_nan(other) { self } else { other }
    }

    /// Returns the smaller of two, by value, like `f64::min`: the other one if one is NaN, and `other` of two equal ones.
    #[must_use]
    fn min(self, other: Self) -> Self {
        if self < other || is_nan(other) { self } else { other }
    }
}

impl<T: Real> Elementary for T {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Pair = (fn(f64) -> f64, fn(f64) -> f64);

    /// Ours, generic, and those of the standard library.
    fn functions() -> [(&'static str, Pair); 8] {
        [
            ("exp_m1", (Elementary::exp_m1, f64::exp_m1)),
            ("exp2", (Elementary::exp2, f64::exp2)),
            ("log2", (Elementary::log2, f64::log2)),
            ("log10", (Elementary::log10, f64::log10)),
            ("tan", (Elementary::tan, f64::tan)),
            ("sinh", (Elementary::sinh, f64::sinh)),
            ("cosh", (Elementary::cosh, f64::cosh)),
            ("recip", (Elementary::recip, f64::recip)),
        ]
    }

    proptest! {
        #[test]
        fn they_are_those_of_the_standard_library(x in prop_oneof![-30.0..30.0_f64, -2.0..2.0_f64, -1e-3..1e-3_f64]) {
            for (name, (ours, right)) in functions() {
                let (found, right) = (ours(x), right(x));
                if right.is_nan() {
                    prop_assert!(found.is_nan(), "{name}({x})");
                    continue;
                }
                // 2ˣ, and tan near a pole, as documented.
                let condition = 1.0 + if name == "exp2" { x.abs() } else { 0.0 };
                let bound = 8.0 * f64::EPSILON * condition * right.abs();
                prop_assert!((found - right).abs() <= bound, "{name}({x}) is {found}, not {right}");
            }
        }

        #[test]
        fn powers(x in -3.0..3.0_f64, y in -3.0..3.0_f64, n in -20..20_i32) {
            let (found, right) = (Elementary::powi(x, n), x.powi(n));
            prop_assert!((found - right).abs() <= 64.0 * f64::EPSILON * right.abs());
            let found = Elementary::hypot(x, y);
            prop_assert!((found - x.hypot(y)).abs() <= 4.0 * f64::EPSILON * found);
            prop_assert_eq!((Elementary::max(x, y), Elementary::min(x, y)), (x.max(y), x.min(y)));
        }
    }

    #[test]
    fn hard_numbers() {
        let (infinite, nan) = (f64::INFINITY, f64::NAN);
        for (name, (ours, right)) in functions() {
            for x in [0.0, -0.0, 5e-324, 1e-300, 709.9, -709.9, 1e300, infinite, -infinite, nan] {
                let (found, right) = (ours(x), right(x));
                // sin and cos of numbers of any size have no relation to their tangent's bits, and 2ˣ is off by |x|·ε.
                let close = (found - right).abs() <= 1e-12 * right.abs() + 5e-324;
                let same = found == right || (found.is_nan() && right.is_nan()) || close;
                assert!(same, "{name}({x}) is {found}, not {right}");
            }
        }
        assert_eq!((Elementary::powi(nan, 0), Elementary::powi(2.0, i32::MIN)), (1.0, 0.0));
        assert_eq!(Elementary::powi(0.0, -1), infinite);
        assert_eq!((Elementary::max(nan, 1.0), Elementary::max(1.0, nan)), (1.0, 1.0));
        assert_eq!((Elementary::min(nan, 1.0), Elementary::min(1.0, nan)), (1.0, 1.0));
        assert!(Elementary::max(nan, nan).is_nan());
        assert!((Elementary::hypot(3e200, 4e200) / 5e200 - 1.0).abs() <= f64::EPSILON);
    }
}
