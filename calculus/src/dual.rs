//! Numbers that carry their derivative.

mod product;

use crate::operators::{Constants, operators};
use linalg::{Factor, Real, ViewMut};
use num_traits::{One, Zero};
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A dual number `value + derivative·ε` with ε² = 0: a function at `x + ε` has the value `f(x) + f′(x)·ε`.
///
/// A `Dual` is a [`Real`], so every function of the workspace accepts it; a `Dual<Dual<f64>>` carries second
/// derivatives. Comparisons use only the value, so a program takes the same branches as on plain numbers, and the other
/// branch has no effect. A plain `f64` beside a `Dual` is a constant: `2.0 * x`.
///
/// Every value equals that of the same arithmetic on plain numbers, including ±∞ and NaN. A derivative is the limit of
/// slopes if it exists and the function's own formula gives it: √ and ln at 0 have derivative ∞, and ∞·0 is NaN if such
/// a number has derivative 0. At a kink the derivative is 0: |x| at 0.
///
/// Source: Clifford 1873; for automatic differentiation, Griewank and Walther,
/// *Evaluating Derivatives*, 2008, chapter 3.
///
/// ```
/// use calculus::Dual;
/// use linalg::Real;
/// let y = Dual::variable(3.0) * Dual::variable(3.0); // x² at 3
/// assert_eq!((y.value, y.derivative), (9.0, 6.0));
/// let y = (2.0 * Dual::variable(1.0_f64)).exp().ln() + 1.0; // ln e²ˣ + 1 = 2x + 1
/// assert!((y.value - 3.0).abs() < 1e-15 && (y.derivative - 2.0).abs() < 1e-15);
/// assert_eq!(Dual::variable(0.0_f64).sqrt().derivative, f64::INFINITY);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Dual<T> {
    /// The value f.
    pub value: T,
    /// The derivative f′ in the direction chosen by the inputs.
    pub derivative: T,
}

impl<T: Real> Dual<T> {
    /// Creates `value + derivative·ε`.
    #[inline(always)]
    pub fn new(value: T, derivative: T) -> Self {
        Dual { value, derivative }
    }

    /// Creates a constant: derivative 0.
    ///
    /// ```
    /// use calculus::Dual;
    /// let y = Dual::variable(3.0_f64) * Dual::constant(5.0);
    /// assert_eq!((y.value, y.derivative), (15.0, 5.0));
    /// ```
    #[inline(always)]
    pub fn constant(value: T) -> Self {
        Dual::new(value, T::zero())
    }

    /// Creates the variable of differentiation: derivative 1.
    ///
    /// ```
    /// use calculus::Dual;
    /// let x = Dual::variable(3.0_f64);
    /// assert_eq!((x * x).derivative, 6.0);
    /// ```
    #[inline(always)]
    pub fn variable(value: T) -> Self {
        Dual::new(value, T::one())
    }

    /// Applies f by the chain rule, given f(value) and the slope f′(value).
    #[inline(always)]
    fn chain(self, value: T, slope: T) -> Self {
        Dual::new(value, slope * self.derivative)
    }
}

impl<T: Real> PartialEq for Dual<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Real> PartialOrd for Dual<T> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Real> Add for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Dual::new(self.value + o.value, self.derivative + o.derivative)
    }
}

impl<T: Real> Sub for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Dual::new(self.value - o.value, self.derivative - o.derivative)
    }
}

impl<T: Real> Mul for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Dual::new(self.value * o.value, self.derivative * o.value + self.value * o.derivative)
    }
}

impl<T: Real> Div for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        Dual::new(value, (self.derivative - value * o.derivative) / o.value)
    }
}

impl<T: Real> Neg for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Dual::new(-self.value, -self.derivative)
    }
}

impl<T: Real> Constants for Dual<T> {
    #[inline(always)]
    fn add_constant(self, c: f64) -> Self {
        Dual::new(self.value + T::from_f64(c), self.derivative)
    }
    #[inline(always)]
    fn sub_constant(self, c: f64) -> Self {
        Dual::new(self.value - T::from_f64(c), self.derivative)
    }
    #[inline(always)]
    fn mul_constant(self, c: f64) -> Self {
        let c = T::from_f64(c);
        Dual::new(self.value * c, self.derivative * c)
    }
    #[inline(always)]
    fn div_constant(self, c: f64) -> Self {
        let c = T::from_f64(c);
        Dual::new(self.value / c, self.derivative / c)
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

operators! { [T: Real] Dual<T> }

impl<T: Real> Zero for Dual<T> {
    #[inline(always)]
    fn zero() -> Self {
        Dual::constant(T::zero())
    }
    #[inline(always)]
    fn is_zero(&self) -> bool {
        self.value.is_zero()
    }
}

impl<T: Real> One for Dual<T> {
    #[inline(always)]
    fn one() -> Self {
        Dual::constant(T::one())
    }
}

impl<T: Real> Real for Dual<T> {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        Dual::constant(T::from_f64(x))
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.value.to_f64()
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.chain(self.value.ln(), T::one() / self.value)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), T::one() / (T::one() + self.value))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, T::one() / (root + root))
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let t = self.value.tanh();
        self.chain(t, slope_of_tanh(self.value, t))
    }
    #[inline(always)]
    fn erf(self) -> Self {
        self.chain(self.value.erf(), bell(self.value))
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        self.chain(self.value.erfc(), -bell(self.value))
    }
    #[inline(always)]
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    #[inline(always)]
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    #[inline(always)]
    fn abs(self) -> Self {
        let zero = T::zero();
        let slope = if self.value > zero {
            T::one()
        } else if self.value < zero {
            -T::one()
        } else {
            zero
        };
        self.chain(self.value.abs(), slope)
    }
    #[inline(always)]
    fn powf(self, p: f64) -> Self {
        self.chain(self.value.powf(p), slope_of_power(self.value, p))
    }
    fn gemm(
        c: ViewMut<'_, Self>,
        alpha: Self,
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        add: bool,
    ) {
        product::gemm(c, alpha, a, b, add);
    }
}

/// Returns erf′ x = <var>2/√π·e^(−x²)</var>. Beyond ±40, where it underflows, it and all its derivatives are 0.
#[inline(always)]
pub(crate) fn bell<T: Real>(x: T) -> T {
    let (bell, end) =
        (T::from_f64(std::f64::consts::FRAC_2_SQRT_PI) * (-x * x).exp(), T::from_f64(40.0));
    if (x > end) | (x < -end) { T::zero() } else { bell }
}

/// Returns tanh′ x from x and t = tanh x: <var>1 − t²</var>, or, where that cancels, <var>4e/(1 + e)²</var> with
/// <var>e = e^(−2|x|)</var>.
#[inline(always)]
pub(crate) fn slope_of_tanh<T: Real>(x: T, t: T) -> T {
    let a = if x < T::zero() { -x } else { x };
    let e = (-(a + a)).exp();
    let share = T::one() / (T::one() + e);
    let (near, far) = (T::one() - t * t, T::from_f64(4.0) * (e * share) * share);
    if a < T::from_f64(0.5) { near } else { far }
}

/// Returns <var>p·x^(p−1)</var>; 0 for p = 0, also at x = 0.
#[inline(always)]
pub(crate) fn slope_of_power<T: Real>(x: T, p: f64) -> T {
    if p == 0.0 { T::zero() } else { T::from_f64(p) * x.powf(p - 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::Elementary;
    use proptest::prelude::*;

    /// Returns a central difference, with an error of about <var>ε^(2/3)</var>: an independent reference.
    fn slope(f: impl Fn(f64) -> f64, x: f64) -> f64 {
        let h = f64::EPSILON.cbrt() * x.abs().max(1.0);
        (f(x + h) - f(x - h)) / (2.0 * h)
    }

    macro_rules! agrees {
        ($($name:ident: $range:expr, $f:expr;)*) => {
            proptest! {$(
                #[test]
                fn $name(x in $range) {
                    let dual = { let f: fn(Dual<f64>) -> Dual<f64> = $f; f(Dual::variable(x)).derivative };
                    let difference = slope({ let f: fn(f64) -> f64 = $f; f }, x);
                    prop_assert!((dual - difference).abs() <= 1e-8 * dual.abs().max(1.0));
                }
            )*}
        };
    }

    agrees! {
        exp: -3.0..3.0, |x| x.exp();
        ln: 0.1..9.0, |x| x.ln();
        sqrt: 0.1..9.0, |x| x.sqrt();
        tanh: -3.0..3.0, |x| x.tanh();
        erf: -3.0..3.0, |x| Real::erf(x);
        erfc: -3.0..3.0, |x| Real::erfc(x);
        sin: -9.0..9.0, |x| x.sin();
        cos: -9.0..9.0, |x| x.cos();
        abs: 0.1..9.0, |x| (-x).abs();
        root_of_power: 0.1..9.0, |x| x.powf(2.5) + x.powf(-0.5);
        whole_power: -3.0..3.0, |x| x.powf(3.0) - Elementary::powi(x, 4);
        quick: 0.1..3.0, |x| Elementary::sinh(x) * Elementary::exp2(x) - Elementary::exp_m1(-x);
        slow: 0.1..1.4, |x| Elementary::tan(x) * Elementary::log10(x) + Elementary::log2(x).cosh();
        length: -3.0..3.0, |x| x.hypot(x + x + 1.0);
        larger: 0.1..9.0, |x| x.max(-x) * x.min(x + x);
        quotient: 0.5..9.0, |x| (x * x - x) / (x + x * x * x);
    }

    #[test]
    fn powers_at_zero() {
        for (p, value, slope, curvature) in
            [(0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 1.0, 0.0), (2.0, 0.0, 0.0, 2.0), (2.5, 0.0, 0.0, 0.0)]
        {
            let x = Dual::new(Dual::variable(0.0_f64), Dual::constant(1.0));
            for y in [x.powf(p), if p == 2.5 { x.powf(p) } else { x.powi(p as i32) }] {
                let found = (y.value.value, y.value.derivative, y.derivative.derivative);
                assert_eq!(found, (value, slope, curvature), "x^{p}");
            }
        }
        assert_eq!(Dual::variable(0.0_f64).powf(0.5).derivative, f64::INFINITY);
        assert_eq!(Dual::variable(0.0_f64).max(0.0.into()).derivative, 0.0); // as ReLU
    }

    /// What can be typed with f64.
    #[test]
    fn arithmetic_reads_as_on_plain_numbers() {
        let x = [1.0_f64, 2.0, 4.0].map(Dual::variable);
        let sum: Dual<f64> = x.iter().sum();
        let product: Dual<f64> = x.iter().copied().product();
        assert_eq!((sum.value, sum.derivative), (7.0, 3.0));
        assert_eq!((product.value, product.derivative), (8.0, 14.0));
        let squares: Dual<f64> = x.iter().map(|x| x * x + 2.0 * x - x / 2.0).sum();
        assert_eq!((squares.value, squares.derivative), (31.5, 18.5));
        let mut y = Dual::from(3.0);
        y += 1.0;
        y *= &x[1] - 1.0;
        y -= 1.0;
        y /= 2.0;
        assert_eq!((y.value, y.derivative), (1.5, 2.0));
        assert_eq!((-&y).value, -1.5);
        let none: [Dual<f64>; 0] = [];
        assert_eq!(none.iter().sum::<Dual<f64>>().value, 0.0);
        assert_eq!(none.iter().product::<Dual<f64>>().value, 1.0);
    }

    #[test]
    fn second_derivatives_by_nesting() {
        let x = Dual::new(Dual::variable(2.0), Dual::constant(1.0));
        let y = x * x * x;
        assert_eq!(y.derivative.derivative, 12.0); // (x³)″ = 6x
    }
}
