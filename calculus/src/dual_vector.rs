//! Numbers that carry their derivatives by several variables at once.
//!
//! Forward mode for a few variables, all in one run: a value and N derivatives, in place and without a list. For some ten
//! variables this is several times faster than reverse mode ([`crate::gradient`]), for hundreds slower: its cost grows with
//! N. In a transformer: fits of few parameters, such as a scaling law or a temperature.
//!
//! Source: Griewank and Walther, *Evaluating Derivatives*, 2008, section 3.2 (vector forward mode).

use crate::dual::{bell, slope_of_power, slope_of_tanh};
use crate::operators::{Constants, operators};
use linalg::Real;
use num_traits::{One, Zero};
use std::array::from_fn;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number `value + Σ derivativesᵢ·εᵢ` with εᵢ·εⱼ = 0.
///
/// A `DualVector` is a [`Real`], so every function of the workspace accepts it; its component in each direction has the
/// bits of a [`crate::Dual`] that moves in that direction. Comparisons use only the value.
///
/// ```
/// use calculus::DualVector;
/// let [x, y] = [DualVector::<f64, 2>::variable(3.0, 0), DualVector::variable(2.0, 1)];
/// let f = x * x * y;
/// assert_eq!((f.value, f.derivatives), (18.0, [12.0, 9.0]));
/// ```
#[doc(alias = "jet")]
#[derive(Clone, Copy, Debug)]
pub struct DualVector<T, const N: usize> {
    /// The value f.
    pub value: T,
    /// The derivatives ∂f/∂xᵢ.
    pub derivatives: [T; N],
}

/// Returns f(x) and ∇f(x), by forward mode in one run: fast for up to some ten variables.
///
/// ```
/// use calculus::{forward_gradient, prelude::*};
/// let (value, slope) = forward_gradient(|x| (x[0] * x[1]).powi(2) - x[0], &[1.0, 3.0]);
/// assert_eq!((value, slope), (8.0, [17.0, 6.0]));
/// ```
#[doc(alias = "grad")]
pub fn forward_gradient<T: Real, const N: usize>(
    f: impl FnOnce(&[DualVector<T, N>; N]) -> DualVector<T, N>,
    x: &[T; N],
) -> (T, [T; N]) {
    let y = f(&from_fn(|i| DualVector::variable(x[i], i)));
    (y.value, y.derivatives)
}

impl<T: Real, const N: usize> DualVector<T, N> {
    /// Creates a constant: all derivatives are 0.
    #[inline(always)]
    pub fn constant(value: T) -> Self {
        DualVector { value, derivatives: [T::zero(); N] }
    }

    /// Creates variable number i: its own derivative is 1, all others are 0.
    ///
    /// # Panics
    /// If there is no variable i.
    #[inline(always)]
    pub fn variable(value: T, i: usize) -> Self {
        let mut x = Self::constant(value);
        x.derivatives[i] = T::one();
        x
    }

    /// Applies f by the chain rule, given f(value) and the slope f′(value).
    #[inline(always)]
    fn chain(self, value: T, slope: T) -> Self {
        DualVector { value, derivatives: self.derivatives.map(|d| slope * d) }
    }

    /// Computes each derivative from those of both operands.
    #[inline(always)]
    fn both(value: T, a: Self, b: Self, rule: impl Fn(T, T) -> T) -> Self {
        let derivatives = from_fn(|i| rule(a.derivatives[i], b.derivatives[i]));
        DualVector { value, derivatives }
    }
}

impl<T: Real, const N: usize> PartialEq for DualVector<T, N> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Real, const N: usize> PartialOrd for DualVector<T, N> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Real, const N: usize> Add for DualVector<T, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self::both(self.value + o.value, self, o, |a, b| a + b)
    }
}

impl<T: Real, const N: usize> Sub for DualVector<T, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self::both(self.value - o.value, self, o, |a, b| a - b)
    }
}

impl<T: Real, const N: usize> Mul for DualVector<T, N> {
    type Output = Self;
    #[inline(always)]
    #[allow(clippy::suspicious_arithmetic_impl)] // the product rule
    fn mul(self, o: Self) -> Self {
        Self::both(self.value * o.value, self, o, |a, b| a * o.value + self.value * b)
    }
}

impl<T: Real, const N: usize> Div for DualVector<T, N> {
    type Output = Self;
    #[inline(always)]
    #[allow(clippy::suspicious_arithmetic_impl)] // the quotient rule
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        Self::both(value, self, o, |a, b| (a - value * b) / o.value)
    }
}

impl<T: Real, const N: usize> Neg for DualVector<T, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        DualVector { value: -self.value, derivatives: self.derivatives.map(|d| -d) }
    }
}

impl<T: Real, const N: usize> Constants for DualVector<T, N> {
    #[inline(always)]
    fn add_constant(self, c: f64) -> Self {
        DualVector { value: self.value + T::from_f64(c), ..self }
    }
    #[inline(always)]
    fn sub_constant(self, c: f64) -> Self {
        DualVector { value: self.value - T::from_f64(c), ..self }
    }
    #[inline(always)]
    fn mul_constant(self, c: f64) -> Self {
        let c = T::from_f64(c);
        self.chain(self.value * c, c)
    }
    #[inline(always)]
    fn div_constant(self, c: f64) -> Self {
        let c = T::from_f64(c);
        DualVector { value: self.value / c, derivatives: self.derivatives.map(|d| d / c) }
    }
    #[inline(always)]
    fn constant_add(self, c: f64) -> Self {
        self.add_constant(c)
    }
    #[inline(always)]
    fn constant_mul(self, c: f64) -> Self {
        self.mul_constant(c)
    }
}

operators! { [T: Real, const N: usize] DualVector<T, N> }

impl<T: Real, const N: usize> Zero for DualVector<T, N> {
    #[inline(always)]
    fn zero() -> Self {
        Self::constant(T::zero())
    }
    #[inline(always)]
    fn is_zero(&self) -> bool {
        self.value.is_zero()
    }
}

impl<T: Real, const N: usize> One for DualVector<T, N> {
    #[inline(always)]
    fn one() -> Self {
        Self::constant(T::one())
    }
}

impl<T: Real, const N: usize> Real for DualVector<T, N> {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        Self::constant(T::from_f64(x))
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.value.to_f64()
    }
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e)
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), T::one() / self.value)
    }
    fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), T::one() / (T::one() + self.value))
    }
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, T::one() / (root + root))
    }
    fn tanh(self) -> Self {
        let t = self.value.tanh();
        self.chain(t, slope_of_tanh(self.value, t))
    }
    fn erf(self) -> Self {
        self.chain(self.value.erf(), bell(self.value))
    }
    fn erfc(self) -> Self {
        self.chain(self.value.erfc(), -bell(self.value))
    }
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    fn abs(self) -> Self {
        let zero = T::zero();
        let slope = match self.value.partial_cmp(&zero) {
            Some(Ordering::Greater) => T::one(),
            Some(Ordering::Less) => -T::one(),
            _ => zero,
        };
        self.chain(self.value.abs(), slope)
    }
    fn powf(self, p: f64) -> Self {
        self.chain(self.value.powf(p), slope_of_power(self.value, p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dual, directional_derivative};
    use linalg::Elementary;
    use proptest::prelude::*;

    /// Every operation and function, of three numbers of any sign.
    fn all<T: Real>(x: &[T]) -> T {
        let two = T::from_f64(2.0);
        let positive = x[0] * x[0] + x[1].exp() + T::from_f64(0.1);
        let a = positive.ln() + positive.sqrt() / positive.ln_1p() - x[2].tanh();
        let b = x[0].erf() * x[1].erfc() + x[2].sin() * x[0].cos() - x[1].abs();
        let c = positive.powf(1.3) + x[2].powf(2.0) - (-x[1]).powi(3) + x[0].hypot(x[2]);
        (a + b * c) / (two + a * a)
    }

    proptest! {
        #[test]
        fn every_direction_is_a_dual_number(x in prop::collection::vec(-2.0..2.0_f64, 3)) {
            let (value, slopes) = forward_gradient(|x| all(x), &[x[0], x[1], x[2]]);
            for (i, &slope) in slopes.iter().enumerate() {
                let mut unit = [0.0; 3];
                unit[i] = 1.0;
                let dual: Dual<f64> = all(&from_fn::<_, 3, _>(|i| Dual::new(x[i], unit[i])));
                prop_assert_eq!((dual.value, dual.derivative), (value, slope));
                prop_assert_eq!(directional_derivative(all, &x, &unit), slope);
            }
        }
    }

    #[test]
    fn arithmetic_with_constants() {
        let x = DualVector::<f64, 2>::variable(4.0, 1);
        let y = 3.0 - (2.0 * x + 1.0) / 3.0 + 8.0 / x - x * 0.5;
        assert_eq!((y.value, y.derivatives), (0.0, [0.0, -2.0 / 3.0 - 0.5 - 0.5]));
        assert_eq!((x - 4.0).to_f64(), 0.0);
        assert!((1.0 + x == DualVector::from(5.0)) && x < DualVector::constant(5.0));
        assert!(
            DualVector::<f64, 2>::zero().is_zero() && DualVector::<f64, 2>::one() == 1.0.into()
        );
        assert_eq!(DualVector::<f64, 1>::variable(0.0, 0).abs().derivatives, [0.0]);
    }
}
