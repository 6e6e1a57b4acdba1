//! The arithmetic and the functions of exact numbers, with ±∞ and NaN as in IEEE 754.

use super::Big;
use super::Exact::{self, Finite, Infinite, Nan};
use super::{EXPONENT, LAST, Number, at, erf_of, erfc_of, kept, rounded, sign, unary, whole};
use linalg::Real;
use num_traits::{One, Zero};
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:e}", self.to_f64())
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        // −∞ < every number < ∞.
        let rank = |x: Self| match x {
            Infinite(true) => -1,
            Infinite(false) => 1,
            _ => 0,
        };
        match (*self, *other) {
            (Nan, _) | (_, Nan) => None,
            (Finite(a), Finite(b)) => at(a).partial_cmp(&at(b)),
            (a, b) => rank(a).partial_cmp(&rank(b)),
        }
    }
}

impl Neg for Exact {
    type Output = Self;
    fn neg(self) -> Self {
        unary(self, |x| kept(-x), |negative| Infinite(!negative))
    }
}

impl Add for Exact {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        match (self, o) {
            (Finite(a), Finite(b)) => kept(at(a) + at(b)),
            (Nan, _) | (_, Nan) => Nan,
            (Infinite(a), Infinite(b)) if a != b => Nan,
            (Infinite(a), _) | (_, Infinite(a)) => Infinite(a),
        }
    }
}

impl Sub for Exact {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}

/// Whether x < 0; None for 0 and NaN.
fn negative(x: Exact) -> Option<bool> {
    match x {
        Finite(place) => match sign(&at(place)) {
            0 => None,
            sign => Some(sign < 0),
        },
        Infinite(negative) => Some(negative),
        Nan => None,
    }
}

impl Mul for Exact {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        match (self, o) {
            (Finite(a), Finite(b)) => kept(at(a) * at(b)),
            _ => match (negative(self), negative(o)) {
                (Some(a), Some(b)) => Infinite(a != b),
                _ => Nan,
            },
        }
    }
}

impl Div for Exact {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        match (self, o) {
            (Finite(a), Finite(b)) => match (negative(self), negative(o)) {
                (None, None) => Nan,
                (Some(a), None) => Infinite(a),
                _ => kept(at(a) / at(b)),
            },
            (Finite(_), Infinite(_)) => Exact::zero(),
            (Infinite(a), Finite(_)) => Infinite(a != negative(o).unwrap_or(false)),
            _ => Nan,
        }
    }
}

macro_rules! assigns {
    ($($trait:ident $method:ident $op:tt;)*) => {$(
        impl $trait for Exact {
            fn $method(&mut self, o: Self) {
                *self = *self $op o;
            }
        }
    )*};
}
assigns! {
    AddAssign add_assign +;
    SubAssign sub_assign -;
    MulAssign mul_assign *;
    DivAssign div_assign /;
}

impl Zero for Exact {
    fn zero() -> Self {
        kept(rounded(Big::ZERO))
    }
    fn is_zero(&self) -> bool {
        *self == Self::zero()
    }
}

impl One for Exact {
    fn one() -> Self {
        kept(whole(1))
    }
}

impl Real for Exact {
    fn from_f64(x: f64) -> Self {
        Exact::of(x)
    }
    fn to_f64(self) -> f64 {
        Number::from(self).to_f64()
    }
    fn exp(self) -> Self {
        match self {
            Finite(_) if self.to_f64() > EXPONENT => Infinite(false),
            Finite(_) if self.to_f64() < -EXPONENT => Exact::zero(),
            Finite(_) => self.memoised(0, |x| x.exp()),
            Infinite(true) => Exact::zero(),
            other => other,
        }
    }
    fn ln(self) -> Self {
        match negative(self) {
            Some(true) => Nan,
            Some(false) if self.is_finite() => self.memoised(1, |x| x.ln()),
            None if self.is_finite() => Infinite(true),
            _ => self,
        }
    }
    fn ln_1p(self) -> Self {
        let sum = Exact::one() + self;
        match negative(sum) {
            Some(false) if self.is_finite() => self.memoised(2, |x| x.ln_1p()),
            _ => sum.ln(),
        }
    }
    fn sqrt(self) -> Self {
        match negative(self) {
            Some(true) => Nan,
            Some(false) if self.is_finite() => unary(self, |x| kept(x.sqrt()), Infinite),
            _ => self,
        }
    }
    fn tanh(self) -> Self {
        // 1 − |tanh x| < 2e^(−2|x|).
        let sign = if self < Exact::zero() { -Exact::one() } else { Exact::one() };
        match self {
            Nan => Nan,
            _ if self.abs().to_f64() > LAST as f64 => sign,
            _ if self == Exact::zero() => self,
            _ => {
                // (e²ˣ − 1)/(e²ˣ + 1).
                let twice = self + self;
                let grown = twice.memoised(3, |x| x.exp_m1());
                grown / (grown + Exact::one() + Exact::one())
            }
        }
    }
    fn erf(self) -> Self {
        let sign = if self < Exact::zero() { -Exact::one() } else { Exact::one() };
        match self {
            Nan => Nan,
            Infinite(_) => sign,
            Finite(_) if self == Exact::zero() => self,
            Finite(_) => sign * self.abs().memoised(4, |x| erf_of(&x)),
        }
    }
    fn erfc(self) -> Self {
        let (zero, one) = (Exact::zero(), Exact::one());
        match self {
            Nan => Nan,
            _ if self <= zero => one - self.erf(),
            Infinite(_) => zero,
            Finite(_) if self.to_f64() > EXPONENT.sqrt() => zero,
            Finite(_) => self.memoised(7, |x| erfc_of(&x)),
        }
    }
    fn sin(self) -> Self {
        if self.is_finite() { self.memoised(5, |x| x.sin()) } else { Nan }
    }
    fn cos(self) -> Self {
        if self.is_finite() { self.memoised(6, |x| x.cos()) } else { Nan }
    }
    fn abs(self) -> Self {
        if self < Exact::zero() { -self } else { self }
    }
}
