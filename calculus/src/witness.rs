//! Numbers that record which operation made them non-finite.

use linalg::Real;
use num_traits::{One, Zero};
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// A number and, if it is not finite, the operation that first made it so.
///
/// A `Witness` is a [`Real`]. If the output of an operation contains NaN, the operation is evaluated once more on
/// `Witness` operands: the same code and the same numbers, with the cause recorded.
///
/// * A finite result has no fault: 1/∞ = 0 removes it.
/// * A non-finite result inherits the fault of an operand.
/// * If no operand has a fault, the step itself is the fault: it overflowed (`exp(112.3)`), hit a pole (`ln 0`), or met
///   an indeterminate form (`0/0`, `∞ − ∞`, `0·∞`).
/// * An infinity or NaN that was *given* has no fault; arithmetic that turns a given ∞ into NaN has.
///
/// ```
/// use calculus::Witness;
/// use linalg::Real;
/// let p = Witness::<f32>::from_f64(112.25).exp() / Witness::from_f64(115.0).exp();
/// assert!(p.value.is_nan());
/// assert_eq!(p.fault.unwrap().to_string(), "exp(112.25) overflows");
/// let nothing = Witness::<f32>::from_f64(0.0);
/// assert_eq!((nothing / nothing).fault.unwrap().to_string(), "0 / 0");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Witness<T> {
    /// The number.
    pub value: T,
    /// The operation that made it NaN or ∞.
    pub fault: Option<Fault<T>>,
}

/// An arithmetic operation with a non-finite result.
///
/// ```
/// use calculus::Witness;
/// use linalg::Real;
/// let fault = Witness::<f64>::from_f64(1000.0).exp().fault.expect("it overflows");
/// assert_eq!((fault.to_string().as_str(), fault.left), ("exp(1000) overflows", 1000.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault<T> {
    /// The operation.
    pub step: Arithmetic,
    /// Its first operand.
    pub left: T,
    /// Its second operand; for a function, its operand again.
    pub right: T,
}

/// An arithmetic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are self-explanatory
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Exp,
    Ln,
    Ln1p,
    Sqrt,
    Tanh,
    Erf,
    /// The function erfc a.
    Erfc,
    Sin,
    Cos,
    Abs,
    /// The power aᵇ, with a constant exponent b.
    Power,
}

impl<T: Real> Fault<T> {
    /// Whether the result is NaN: the step met an indeterminate form or left a function's domain.
    pub fn is_indeterminate(&self) -> bool {
        self.result().to_f64().is_nan()
    }

    /// Returns the step's result.
    pub fn result(&self) -> T {
        let (a, b) = (self.left, self.right);
        match self.step {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => a / b,
            Arithmetic::Exp => a.exp(),
            Arithmetic::Ln => a.ln(),
            Arithmetic::Ln1p => a.ln_1p(),
            Arithmetic::Sqrt => a.sqrt(),
            Arithmetic::Tanh => a.tanh(),
            Arithmetic::Erf => a.erf(),
            Arithmetic::Erfc => a.erfc(),
            Arithmetic::Sin => a.sin(),
            Arithmetic::Cos => a.cos(),
            Arithmetic::Abs => a.abs(),
            Arithmetic::Power => a.powf(b.to_f64()),
        }
    }
}

/// Formats a number for display: few digits, ∞ as a sign, very large and very small ones with an exponent.
fn shown(x: f64) -> String {
    let size = x.abs();
    if x.is_nan() {
        "NaN".to_owned()
    } else if x.is_infinite() {
        if x > 0.0 { "∞" } else { "−∞" }.to_owned()
    } else if size != 0.0 && !(1e-3..1e6).contains(&size) {
        format!("{x:.3e}")
    } else {
        let text = format!("{x:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl<T: Real> fmt::Display for Fault<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.left.to_f64(), self.right.to_f64());
        let (left, right) = (shown(a), shown(b));
        let right = if right.starts_with(['-', '−']) { format!("({right})") } else { right };
        match self.step {
            Arithmetic::Add => write!(f, "{left} + {right}")?,
            Arithmetic::Subtract => write!(f, "{left} − {right}")?,
            Arithmetic::Multiply => write!(f, "{left} · {right}")?,
            Arithmetic::Divide => write!(f, "{left} / {right}")?,
            Arithmetic::Exp => write!(f, "exp({left})")?,
            Arithmetic::Ln => write!(f, "ln {left}")?,
            Arithmetic::Ln1p => write!(f, "ln(1 + {left})")?,
            Arithmetic::Sqrt => write!(f, "√({left})")?,
            Arithmetic::Tanh => write!(f, "tanh({left})")?,
            Arithmetic::Erf => write!(f, "erf({left})")?,
            Arithmetic::Erfc => write!(f, "erfc({left})")?,
            Arithmetic::Sin => write!(f, "sin({left})")?,
            Arithmetic::Cos => write!(f, "cos({left})")?,
            Arithmetic::Abs => write!(f, "|{left}|")?,
            Arithmetic::Power => write!(f, "({left})^{right}")?,
        }
        let pole = (self.step == Arithmetic::Divide && b == 0.0)
            || (self.step == Arithmetic::Ln && a == 0.0)
            || (self.step == Arithmetic::Power && a == 0.0);
        if !self.is_indeterminate() && !pole && a.is_finite() && b.is_finite() {
            write!(f, " overflows")?;
        }
        Ok(())
    }
}

impl<T: Real> Witness<T> {
    /// Creates a given number, without a fault.
    #[inline(always)]
    pub fn new(value: T) -> Self {
        Witness { value, fault: None }
    }

    /// Returns the result of a step, with its own or an inherited fault.
    fn step(step: Arithmetic, value: T, a: Self, b: Self) -> Self {
        let result = value.to_f64();
        if result.is_finite() {
            return Witness::new(value);
        }
        let finite = |x: Self| x.value.to_f64().is_finite();
        let nan = |x: Self| x.value.to_f64().is_nan();
        let new = (finite(a) && finite(b)) || (result.is_nan() && !nan(a) && !nan(b));
        let own = new.then_some(Fault { step, left: a.value, right: b.value });
        Witness { value, fault: a.fault.or(b.fault).or(own) }
    }

    fn function(self, step: Arithmetic, value: T) -> Self {
        Self::step(step, value, self, self)
    }
}

impl<T: Real> PartialEq for Witness<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Real> PartialOrd for Witness<T> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $assign:ident $assign_method:ident $step:ident $op:tt;)*) => {$(
        impl<T: Real> $trait for Witness<T> {
            type Output = Self;
            fn $method(self, o: Self) -> Self {
                Witness::step(Arithmetic::$step, self.value $op o.value, self, o)
            }
        }
        impl<T: Real> $assign for Witness<T> {
            fn $assign_method(&mut self, o: Self) {
                *self = *self $op o;
            }
        }
    )*};
}

arithmetic! {
    Add add AddAssign add_assign Add +;
    Sub sub SubAssign sub_assign Subtract -;
    Mul mul MulAssign mul_assign Multiply *;
    Div div DivAssign div_assign Divide /;
}

impl<T: Real> Neg for Witness<T> {
    type Output = Self;
    fn neg(self) -> Self {
        Witness { value: -self.value, fault: self.fault }
    }
}

impl<T: Real> Zero for Witness<T> {
    fn zero() -> Self {
        Witness::new(T::zero())
    }
    fn is_zero(&self) -> bool {
        self.value.is_zero()
    }
}

impl<T: Real> One for Witness<T> {
    fn one() -> Self {
        Witness::new(T::one())
    }
}

impl<T: Real> Real for Witness<T> {
    fn from_f64(x: f64) -> Self {
        Witness::new(T::from_f64(x))
    }
    fn to_f64(self) -> f64 {
        self.value.to_f64()
    }
    fn exp(self) -> Self {
        self.function(Arithmetic::Exp, self.value.exp())
    }
    fn ln(self) -> Self {
        self.function(Arithmetic::Ln, self.value.ln())
    }
    fn ln_1p(self) -> Self {
        self.function(Arithmetic::Ln1p, self.value.ln_1p())
    }
    fn sqrt(self) -> Self {
        self.function(Arithmetic::Sqrt, self.value.sqrt())
    }
    fn tanh(self) -> Self {
        self.function(Arithmetic::Tanh, self.value.tanh())
    }
    fn erf(self) -> Self {
        self.function(Arithmetic::Erf, self.value.erf())
    }
    fn erfc(self) -> Self {
        self.function(Arithmetic::Erfc, self.value.erfc())
    }
    fn sin(self) -> Self {
        self.function(Arithmetic::Sin, self.value.sin())
    }
    fn cos(self) -> Self {
        self.function(Arithmetic::Cos, self.value.cos())
    }
    fn abs(self) -> Self {
        self.function(Arithmetic::Abs, self.value.abs())
    }
    fn powf(self, p: f64) -> Self {
        let exponent = Witness::new(T::from_f64(p));
        Self::step(Arithmetic::Power, self.value.powf(p), self, exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(x: Witness<f32>) -> String {
        x.fault.map_or("none".to_owned(), |fault| fault.to_string())
    }

    fn number(x: f32) -> Witness<f32> {
        Witness::new(x)
    }

    #[test]
    fn the_first_fault_is_the_one_that_is_remembered() {
        let huge = number(3e38);
        let sum = huge + huge; // ∞
        let form = sum - sum; // NaN, but the sum came first
        assert_eq!(fault(form), "3.000e38 + 3.000e38 overflows");
        assert_eq!(fault(form.exp().ln()), "3.000e38 + 3.000e38 overflows");
        assert_eq!(fault(number(2.0) / sum), "none"); // 2/∞ = 0
        assert_eq!(fault(number(0.0) * sum), fault(sum));
    }

    #[test]
    fn poles_and_forms_are_told_from_overflow() {
        assert_eq!(fault(number(0.0).ln()), "ln 0");
        assert_eq!(fault(number(1.0) / number(0.0)), "1 / 0");
        assert_eq!(fault(number(-1.0).sqrt()), "√(-1)");
        assert_eq!(fault(number(-1.0).powf(0.5)), "(-1)^0.5");
        assert_eq!(fault(number(0.0).powf(-1.0)), "(0)^(-1)");
        assert_eq!(fault(number(1e20).powf(2.0)), "(1.000e20)^2 overflows");
        assert_eq!(number(-2.0).powf(2.0).value, 4.0);
        assert_eq!(fault(number(89.0).exp()), "exp(89) overflows");
        assert_eq!(fault(number(-2e30) * number(-3e20)), "-2.000e30 · (-3.000e20) overflows");
    }

    #[test]
    fn what_was_given_is_no_fault_until_arithmetic_makes_it_nan() {
        let minus = number(f32::NEG_INFINITY);
        assert_eq!(fault(minus + number(1.0)), "none");
        assert_eq!(fault(minus.exp()), "none");
        assert_eq!(fault(minus - minus), "−∞ − (−∞)");
        assert_eq!(fault(number(0.0) * minus), "0 · (−∞)");
        assert_eq!(fault(number(f32::NAN) + number(1.0)), "none");
    }

    type Function<T> = (fn(T) -> T, &'static str);
    type Operation<T> = (fn(T, T) -> T, &'static str);

    /// The functions of a scalar, with the text of a fault of each.
    fn functions<T: Real>() -> [Function<T>; 9] {
        [
            (T::exp, "exp(X)"),
            (T::ln, "ln X"),
            (T::ln_1p, "ln(1 + X)"),
            (T::sqrt, "√(X)"),
            (T::tanh, "tanh(X)"),
            (T::erf, "erf(X)"),
            (T::sin, "sin(X)"),
            (T::cos, "cos(X)"),
            (T::abs, "|X|"),
        ]
    }

    /// The operations of a scalar, including the in-place ones.
    fn operations<T: Real>() -> [Operation<T>; 8] {
        [
            (|a, b| a + b, "+"),
            (|a, b| a - b, "−"),
            (|a, b| a * b, "·"),
            (|a, b| a / b, "/"),
            (
                |mut a, b| {
                    a += b;
                    a
                },
                "+",
            ),
            (
                |mut a, b| {
                    a -= b;
                    a
                },
                "−",
            ),
            (
                |mut a, b| {
                    a *= b;
                    a
                },
                "·",
            ),
            (
                |mut a, b| {
                    a /= b;
                    a
                },
                "/",
            ),
        ]
    }

    const EDGES: [f32; 14] = [
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        1e-38,
        0.37,
        -0.37,
        88.0,
        89.0,
        -1.0,
        3e38,
        -3e38,
        f32::INFINITY,
        f32::NAN,
    ];

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    /// Checks a step: the value equals the scalar's, and a new fault names the step that makes it.
    fn holds(result: Witness<f32>, expected: f32, given: &[f32]) {
        assert!(same(result.value, expected), "{result:?} {expected}");
        let finite = given.iter().all(|x| x.is_finite());
        match result.fault {
            None => {
                assert!(expected.is_finite() || !finite, "{expected} of {given:?} has no fault")
            }
            Some(fault) => {
                assert!(!expected.is_finite() && same(fault.result(), expected), "{fault}");
                assert_eq!(fault.is_indeterminate(), expected.is_nan());
                assert!(same(fault.left, given[0]) && same(fault.right, given[given.len() - 1]));
            }
        }
    }

    #[test]
    fn every_step_has_the_scalars_value_and_a_fault_that_makes_it() {
        for x in EDGES {
            for ((f, written), (plain, _)) in functions().into_iter().zip(functions::<f32>()) {
                let result = f(number(x));
                holds(result, plain(x), &[x]);
                if let Some(fault) = result.fault {
                    let (step, x) = (fault.to_string(), shown(f64::from(x)));
                    let step = step.strip_suffix(" overflows").unwrap_or(&step);
                    assert_eq!(step, written.replace('X', &x));
                }
            }
            for y in EDGES {
                let pairs = operations().into_iter().zip(operations::<f32>());
                for ((f, sign), (plain, _)) in pairs {
                    let result = f(number(x), number(y));
                    holds(result, plain(x, y), &[x, y]);
                    let named = result.fault.is_none_or(|f| f.to_string().contains(sign));
                    assert!(named, "{result:?} {sign}");
                }
                let (a, b) = (number(x), number(y));
                assert_eq!((a == b, a.partial_cmp(&b)), (x == y, x.partial_cmp(&y)));
                assert_eq!(a.larger(b).value.is_nan(), x.is_nan() || y.is_nan());
            }
            assert!(same((-number(x)).value, -x) && same(number(x).to_f64() as f32, x));
            assert_eq!(number(x).is_zero(), x == 0.0);
            // A non-finite number keeps its fault, also through a sign change.
            let fault = (number(x).exp() - number(x).exp()).fault;
            assert_eq!((-(number(x).exp() - number(x).exp())).fault, fault);
        }
        assert_eq!(Witness::<f32>::zero().value + Witness::<f32>::one().value, 1.0);
        assert!(Witness::<f32>::from_f64(1e300).fault.is_none()); // given, not made
    }

    #[test]
    fn faults_of_each_function_in_words() {
        let step = |step, x: f32| Fault { step, left: x, right: x }.to_string();
        for (arithmetic, written) in [
            (Arithmetic::Ln1p, "ln(1 + 7)"),
            (Arithmetic::Tanh, "tanh(7)"),
            (Arithmetic::Erf, "erf(7)"),
            (Arithmetic::Erfc, "erfc(7)"),
            (Arithmetic::Sin, "sin(7)"),
            (Arithmetic::Cos, "cos(7)"),
            (Arithmetic::Abs, "|7|"),
        ] {
            assert_eq!(step(arithmetic, 7.0), format!("{written} overflows"));
        }
        assert_eq!(step(Arithmetic::Sin, f32::INFINITY), "sin(∞)");
        assert_eq!(step(Arithmetic::Cos, f32::NAN), "cos(NaN)");
        assert_eq!(step(Arithmetic::Add, f32::NEG_INFINITY), "−∞ + (−∞)");
        assert_eq!(
            [0.0, 1e-9, 1e9, 12.5, 7.0].map(shown),
            ["0", "1.000e-9", "1.000e9", "12.5", "7"]
        );
    }
}
