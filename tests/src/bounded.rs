//! Numbers that know how wrong they may be.
//!
//! A tolerance that is chosen is a tolerance that hides. A [`Bounded`] is a [`Real`] that carries, beside its value, a
//! bound of the rounding errors that went into it: each operation passes on the errors of its operands by its
//! partial derivatives, and adds its own. `Dual<Bounded>` then bounds the rounding error of a derivative by forward
//! mode, `Traced<Bounded>` that of one by reverse mode, `Series<Bounded, N>` those of Taylor coefficients: whether
//! two of them agree is no matter of taste.
//!
//! An operation that happens to be exact, as are most where things cancel, adds none.
//!
//! To first order: products of errors are left out, for which [`Bounded::reach`] allows as much again.
//!
//! Source: Wilkinson, *Rounding Errors in Algebraic Processes*, 1963 (running error analysis); Higham, *Accuracy and
//! Stability of Numerical Algorithms*, section 3.3.

use linalg::Real;
use num_traits::{One, Zero};
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// What an arithmetic operation is off by at most, relative to its result.
const ROUNDED: f64 = 0.5 * f64::EPSILON;
/// What a function of a mathematical library is off by at most: two units in the last place.
const COMPUTED: f64 = 2.0 * f64::EPSILON;

/// A value, and by how much it may differ from the one that exact arithmetic gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounded {
    /// The value.
    pub value: f64,
    /// What it is off by at most, to first order.
    pub error: f64,
}

thread_local! {
    /// A digest of every comparison since it was last begun.
    static PATH: Cell<u64> = const { Cell::new(0) };
}

fn compared(outcome: u64) {
    PATH.with(|path| path.set((path.get() ^ outcome).wrapping_mul(0x0100_0000_01b3)));
}

/// What f gives, and a digest of how every comparison of [`Bounded`] numbers on the way came out: at two places with
/// the same digest f is one formula, with no kink between them.
pub fn with_path<R>(f: impl FnOnce() -> R) -> (R, u64) {
    PATH.set(0xcbf2_9ce4_8422_2325);
    (f(), PATH.get())
}

impl Bounded {
    /// A number without an error.
    pub fn exact(value: f64) -> Self {
        Bounded { value, error: 0.0 }
    }

    /// A number that was rounded once.
    pub fn rounded(value: f64) -> Self {
        Bounded { value, error: ROUNDED * value.abs() }
    }

    /// Twice the bound, for the products of errors that are left out; at least the smallest normal number, for
    /// what rounds below it.
    pub fn reach(self) -> f64 {
        2.0 * self.error + f64::MIN_POSITIVE
    }

    /// A result of operands whose errors are multiplied by the sizes of these partial derivatives.
    fn of<const N: usize>(value: f64, own: f64, terms: [(f64, f64); N]) -> Self {
        // What has no error passes none on, also where the derivative is ∞.
        let passed = terms.iter().map(|&(slope, error)| match error == 0.0 {
            true => 0.0,
            false => slope.abs() * error,
        });
        // An ∞ is not rounded.
        let own = if value.is_finite() { own * value.abs() } else { 0.0 };
        Bounded { value, error: own + passed.sum::<f64>() }
    }

    fn function(self, value: f64, slope: f64) -> Self {
        Bounded::of(value, COMPUTED, [(slope, self.error)])
    }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        let equal = self.value == other.value;
        compared(1 + u64::from(equal));
        equal
    }
}

impl PartialOrd for Bounded {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = self.value.partial_cmp(&other.value);
        compared(order.map_or(3, |order| (5 + order as i64) as u64));
        order
    }
}

impl Neg for Bounded {
    type Output = Self;
    fn neg(self) -> Self {
        Bounded { value: -self.value, ..self }
    }
}

impl Add for Bounded {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        let sum = self.value + o.value;
        // What the rounding lost, exactly (Knuth 1969): nothing, often where terms cancel.
        let seen = sum - self.value;
        let lost = (self.value - (sum - seen)) + (o.value - seen);
        let own = if lost == 0.0 { 0.0 } else { ROUNDED };
        Bounded::of(sum, own, [(1.0, self.error), (1.0, o.error)])
    }
}

impl Sub for Bounded {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}

impl Mul for Bounded {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        let terms = [(o.value, self.error), (self.value, o.error)];
        let product = self.value * o.value;
        let exact = self.value.mul_add(o.value, -product) == 0.0;
        Bounded::of(product, if exact { 0.0 } else { ROUNDED }, terms)
    }
}

impl Div for Bounded {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        Bounded::of(value, ROUNDED, [(1.0 / o.value, self.error), (value / o.value, o.error)])
    }
}

macro_rules! in_place {
    ($($assign:ident $method:ident $op:tt;)*) => {$(
        impl $assign for Bounded {
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

impl Zero for Bounded {
    fn zero() -> Self {
        Bounded::exact(0.0)
    }
    fn is_zero(&self) -> bool {
        *self == Bounded::zero()
    }
}

impl One for Bounded {
    fn one() -> Self {
        Bounded::exact(1.0)
    }
}

impl Real for Bounded {
    fn from_f64(x: f64) -> Self {
        Bounded::exact(x)
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
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-self.value * self.value).exp();
        self.function(Real::erf(self.value), slope)
    }
    fn erfc(self) -> Self {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-self.value * self.value).exp();
        self.function(Real::erfc(self.value), slope)
    }
    fn sin(self) -> Self {
        self.function(self.value.sin(), self.value.cos())
    }
    fn cos(self) -> Self {
        self.function(self.value.cos(), self.value.sin())
    }
    fn abs(self) -> Self {
        compared(self.value.partial_cmp(&0.0).map_or(13, |order| (15 + order as i64) as u64));
        Bounded { value: self.value.abs(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sums of tenths, and products that take them apart again: the exact result is known.
        #[test]
        fn the_exact_value_is_within_reach(n in prop::collection::vec(-999i32..999, 1..40)) {
            let tenth = Bounded::exact(1.0) / Bounded::exact(10.0);
            let sum = n.iter().fold(Bounded::zero(), |sum, &n| {
                sum + Bounded::exact(f64::from(n)) * tenth
            });
            let exact = n.iter().sum::<i32>();
            let back = sum * Bounded::exact(10.0);
            prop_assert!((back.value - f64::from(exact)).abs() <= back.reach());
            // Not by a wide margin of safety: 40 terms of a few roundings of numbers below 4000.
            prop_assert!(back.error <= 400.0 * f64::EPSILON * 4000.0);
        }

        #[test]
        fn functions_and_their_inverses(x in 0.1f64..3.0) {
            let b = Bounded::exact(x);
            for back in [b.exp().ln(), b.ln().exp(), b.sqrt() * b.sqrt(), (b * b).sqrt()] {
                prop_assert!((back.value - x).abs() <= back.reach());
                prop_assert!(back.error <= 32.0 * f64::EPSILON);
            }
            let circle = b.sin() * b.sin() + b.cos() * b.cos();
            prop_assert!((circle.value - 1.0).abs() <= circle.reach());
        }
    }

    #[test]
    fn a_path_tells_sides_of_a_kink_apart() {
        let path = |x: f64| with_path(|| Bounded::exact(x).abs()).1;
        assert_eq!(path(1.0), path(2.0));
        assert_ne!(path(1.0), path(-1.0));
        assert_ne!(path(1.0), path(0.0));
        let larger = |x: f64| with_path(|| Bounded::exact(x).larger(Bounded::one())).1;
        assert_eq!(larger(2.0), larger(3.0));
        assert_ne!(larger(2.0), larger(0.5));
    }

    #[test]
    fn what_has_no_error_passes_none_on() {
        assert_eq!(Bounded::zero().sqrt().error, 0.0);
        assert!(Bounded { value: 0.0, error: 1e-16 }.sqrt().error.is_infinite());
        assert_eq!(Bounded::exact(3.0).abs().reach(), f64::MIN_POSITIVE);
    }
}
