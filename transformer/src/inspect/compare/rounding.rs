//! Numbers that carry a bound of the rounding errors of single precision, for any order of sums.
//!
//! Two programs that compute the same formula in `f32` differ by rounding: they add in different orders. A step that is
//! recorded over [`Rounding`] says by how much. Its value is computed in `f64`; beside it stands a bound of the distance
//! of any `f32` result from the exact one.
//!
//! Formula, with u = 2⁻²⁴: an operation's result is off by u of its size, and passes on the errors of its operands by its
//! partial derivatives. A sum of n terms is off by at most <var>(n − 1)·u·Σ |xᵢ|</var> in any order, so that a sum carries
//! the number of its terms and the sum of their sizes. [`Rounding::stored`] ends a sum: what a program has written to memory
//! is one number.
//!
//! Carried through a whole network, such a bound grows by a factor with every layer, because it allows for the worst at
//! every operation. Where both programs' values are known, [`Rounding::known`] replaces it by their distance: the bound of the
//! next operation is then that of this one operation.
//!
//! To first order in u. Source: Higham, *Accuracy and Stability of Numerical Algorithms*, sections 3.1, 3.3 and 4.2.

use linalg::Real;
use num_traits::{One, Zero};
use std::cmp::Ordering;
use std::f64::consts::FRAC_2_SQRT_PI;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// The relative error of one `f32` operation.
const UNIT: f64 = 0.5 * f32::EPSILON as f64;
/// The relative error of a function of a mathematical library: two units in the last place.
const COMPUTED: f64 = 2.0 * f32::EPSILON as f64;

/// A value, and a bound of its error in single precision.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rounding {
    value: f64,
    /// The error that the operands brought, and that of products and functions.
    passed: f64,
    /// The number of terms of the sum that this is; 1 if it is none.
    terms: f64,
    /// The sum of the sizes of the terms.
    size: f64,
}

impl Rounding {
    /// A number that `f32` holds.
    fn exact(value: f64) -> Self {
        Rounding { value, passed: 0.0, terms: 1.0, size: value.abs() }
    }

    /// Returns the bound.
    pub(crate) fn error(self) -> f64 {
        let own = (self.terms - 1.0) * UNIT * self.size;
        self.passed + if own.is_finite() { own } else { 0.0 }
    }

    /// Returns the number as stored in memory: the end of a sum.
    pub(crate) fn stored(self) -> Self {
        Rounding { value: self.value, passed: self.error(), terms: 1.0, size: self.value.abs() }
    }

    /// Returns a number that two programs know as `own` and `other`: what follows differs by their distance, and by the
    /// rounding of later operations.
    pub(crate) fn known(own: f64, other: f64) -> Self {
        Rounding { passed: (own - other).abs(), ..Rounding::exact(own) }
    }

    /// A result of operands whose errors are multiplied by the sizes of these partial derivatives.
    fn of<const N: usize>(value: f64, own: f64, terms: [(f64, f64); N]) -> Self {
        // A number without an error passes none on, also where the derivative is ∞.
        let passed = terms.iter().map(|&(slope, error)| match error == 0.0 {
            true => 0.0,
            false => slope.abs() * error,
        });
        let own = if value.is_finite() { own * value.abs() } else { 0.0 };
        Rounding { passed: own + passed.sum::<f64>(), ..Rounding::exact(value) }
    }

    fn function(self, value: f64, slope: f64) -> Self {
        Rounding::of(value, COMPUTED, [(slope, self.error())])
    }
}

impl PartialEq for Rounding {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialOrd for Rounding {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl Neg for Rounding {
    type Output = Self;
    fn neg(self) -> Self {
        Rounding { value: -self.value, ..self }
    }
}

impl Add for Rounding {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        // A zero is no term.
        match (self.value == 0.0 && self.passed == 0.0, o.value == 0.0 && o.passed == 0.0) {
            (true, _) => o,
            (_, true) => self,
            _ => Rounding {
                value: self.value + o.value,
                passed: self.passed + o.passed,
                terms: self.terms + o.terms,
                size: self.size + o.size,
            },
        }
    }
}

impl Sub for Rounding {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}

impl Mul for Rounding {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        let own = if self.value.abs() == 1.0 || o.value.abs() == 1.0 { 0.0 } else { UNIT };
        Rounding::of(self.value * o.value, own, [(o.value, self.error()), (self.value, o.error())])
    }
}

impl Div for Rounding {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        Rounding::of(value, UNIT, [(1.0 / o.value, self.error()), (value / o.value, o.error())])
    }
}

macro_rules! in_place {
    ($($assign:ident $method:ident $op:tt;)*) => {$(
        impl $assign for Rounding {
            fn $method(&mut self, o: Self) {
                *self = *self $op o;
            }
        }
    )*};
}

in_place! {
    AddAssign add_assign +;
    SubAssign sub_assign -;
    MulAssign mul_assign *;
    DivAssign div_assign /;
}

impl Zero for Rounding {
    fn zero() -> Self {
        Rounding::exact(0.0)
    }
    fn is_zero(&self) -> bool {
        self.value == 0.0
    }
}

impl One for Rounding {
    fn one() -> Self {
        Rounding::exact(1.0)
    }
}

impl Real for Rounding {
    fn from_f64(x: f64) -> Self {
        let own = if f64::from(x as f32) == x || !x.is_finite() { 0.0 } else { UNIT };
        Rounding::of(x, own, [])
    }
    fn to_f64(self) -> f64 {
        self.value
    }
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.function(e, e)
    }
    fn ln(self) -> Self {
        self.function(self.value.ln(), 1.0 / self.value)
    }
    fn ln_1p(self) -> Self {
        self.function(self.value.ln_1p(), 1.0 / (1.0 + self.value))
    }
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.function(root, 0.5 / root)
    }
    fn tanh(self) -> Self {
        let t = self.value.tanh();
        self.function(t, 1.0 - t * t)
    }
    fn erf(self) -> Self {
        let slope = FRAC_2_SQRT_PI * (-self.value * self.value).exp();
        self.function(Real::erf(self.value), slope)
    }
    fn erfc(self) -> Self {
        let slope = FRAC_2_SQRT_PI * (-self.value * self.value).exp();
        self.function(Real::erfc(self.value), slope)
    }
    fn sin(self) -> Self {
        self.function(self.value.sin(), self.value.cos())
    }
    fn cos(self) -> Self {
        self.function(self.value.cos(), self.value.sin())
    }
    fn abs(self) -> Self {
        Rounding { value: self.value.abs(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(x: f32) -> Rounding {
        Rounding::exact(f64::from(x))
    }

    proptest! {
        /// Sums of products in `f32`, forwards, backwards and by halves, are within the bound, which is not wide.
        #[test]
        fn any_order_is_within_the_bound(
            a in prop::collection::vec(-3.0f32..3.0, 2..60), b in prop::collection::vec(-3.0f32..3.0, 60),
        ) {
            let bound = a.iter().zip(&b).fold(Rounding::zero(), |sum, (&a, &b)| sum + exact(a) * exact(b));
            let products: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
            fn halves(x: &[f32]) -> f32 {
                match x {
                    [] => 0.0,
                    [one] => *one,
                    _ => {
                        let (left, right) = x.split_at(x.len() / 2);
                        halves(left) + halves(right)
                    }
                }
            }
            for sum in [products.iter().sum(), products.iter().rev().sum(), halves(&products)] {
                prop_assert!((f64::from(sum) - bound.value).abs() <= bound.error());
            }
            let size: f64 = products.iter().map(|x| f64::from(x.abs())).sum();
            prop_assert!(bound.error() <= a.len() as f64 * UNIT * size * 1.0001 + 1e-30);
        }

        /// Functions and quotients of rounded numbers.
        #[test]
        fn functions_are_within_the_bound(x in 0.1f32..3.0, y in 0.5f32..2.0) {
            let (a, b) = (exact(x), exact(y));
            for (found, bound) in [
                ((x / y).exp(), (a / b).exp()),
                ((x * y).ln_1p(), (a * b).ln_1p()),
                ((x - y).tanh(), (a - b).tanh()),
                ((x * x + y * y).sqrt(), (a * a + b * b).sqrt()),
            ] {
                prop_assert!((f64::from(found) - bound.value).abs() <= bound.error());
            }
        }
    }

    /// A stored sum is one number: a sum of stored sums has few terms.
    #[test]
    fn what_is_stored_is_one_term() {
        let sum = (1..=100).fold(Rounding::zero(), |sum, i| sum + exact(i as f32));
        let stored = sum.stored();
        assert_eq!((sum.error(), stored.error()), (99.0 * UNIT * 5050.0, 99.0 * UNIT * 5050.0));
        let more = stored + exact(1.0);
        assert!((more.error() - (stored.error() + UNIT * 5051.0)).abs() < 1e-12);
        assert_eq!(Rounding::zero().sqrt().error(), 0.0);
        assert!(Rounding::from_f64(0.1).error() > 0.0 && Rounding::from_f64(0.5).error() == 0.0);
    }
}
