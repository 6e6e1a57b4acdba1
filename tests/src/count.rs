//! Arithmetic that is counted.

use linalg::Real;
use num_traits::{One, Zero};
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};
use std::sync::atomic::{AtomicU64, Ordering};

/// What `Primitive::flops` counts e^x, ln, tanh and their like as.
const FUNCTION: u64 = 10;

static DONE: AtomicU64 = AtomicU64::new(0);

fn done(operations: u64, value: f64) -> Counted {
    DONE.fetch_add(operations, Ordering::Relaxed);
    Counted(value)
}

/// A number that counts, in the whole process, what is done with its kind: an operation of arithmetic and
/// a square root as one, a transcendental function as ten; signs and comparisons as none.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Counted(pub f64);

/// How many operations `work` does, if nothing else in the process counts meanwhile.
pub fn operations(work: impl FnOnce()) -> u64 {
    let before = DONE.load(Ordering::Relaxed);
    work();
    DONE.load(Ordering::Relaxed) - before
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $assign:ident $assign_method:ident $op:tt;)*) => {$(
        impl $trait for Counted {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                done(1, self.0 $op other.0)
            }
        }
        impl $assign for Counted {
            fn $assign_method(&mut self, other: Self) {
                *self = *self $op other;
            }
        }
    )*};
}

arithmetic! {
    Add add AddAssign add_assign +;
    Sub sub SubAssign sub_assign -;
    Mul mul MulAssign mul_assign *;
    Div div DivAssign div_assign /;
}

impl Neg for Counted {
    type Output = Self;
    fn neg(self) -> Self {
        Counted(-self.0)
    }
}

impl Zero for Counted {
    fn zero() -> Self {
        Counted(0.0)
    }
    fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl One for Counted {
    fn one() -> Self {
        Counted(1.0)
    }
}

impl Real for Counted {
    fn from_f64(x: f64) -> Self {
        Counted(x)
    }
    fn to_f64(self) -> f64 {
        self.0
    }
    fn exp(self) -> Self {
        done(FUNCTION, Real::exp(self.0))
    }
    fn ln(self) -> Self {
        done(FUNCTION, Real::ln(self.0))
    }
    fn ln_1p(self) -> Self {
        done(FUNCTION, Real::ln_1p(self.0))
    }
    fn sqrt(self) -> Self {
        done(1, Real::sqrt(self.0))
    }
    fn tanh(self) -> Self {
        done(FUNCTION, Real::tanh(self.0))
    }
    fn erf(self) -> Self {
        done(FUNCTION, Real::erf(self.0))
    }
    fn erfc(self) -> Self {
        done(FUNCTION, Real::erfc(self.0))
    }
    fn sin(self) -> Self {
        done(FUNCTION, Real::sin(self.0))
    }
    fn cos(self) -> Self {
        done(FUNCTION, Real::cos(self.0))
    }
    fn abs(self) -> Self {
        Counted(self.0.abs())
    }
}
