use super::sigmoid::logistic;
use super::{Function, sigmoid};
use linalg::Real;
use linalg::formula::{Expression, erf, exp};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

/// Returns GELU, <var>x·Φ(x)</var> with the distribution function Φ of the standard normal, exactly. Derivative
/// <var>Φ(x) + x·φ(x)</var> with the density φ.
///
/// <var>½·x·(1 + erf(x/√2))</var>, computed as <var>½·x·erfc(−x/√2)</var>, which avoids cancellation. The relative
/// error is at most (6 + x²)·ε unless the result is subnormal; x² comes from rounding the exponent. ∞ at ∞; NaN at NaN
/// and, as the product −∞·0 and as in PyTorch, at −∞.
///
/// Source: Hendrycks and Gimpel, *Gaussian Error Linear Units*, 2016.
///
/// ```
/// use calculus::{activation::gelu, derivative};
/// assert!((gelu(1.0_f64) - 0.8413447).abs() < 1e-7);
/// assert!((derivative(gelu, 1.0_f64) - 1.0833155).abs() < 1e-7);
/// assert!((gelu(-0.7518_f64) + 0.169971).abs() < 1e-6); // its minimum
/// ```
#[inline(always)]
pub fn gelu<T: Real>(x: T) -> T {
    T::from_f64(0.5) * x * (x * T::from_f64(-FRAC_1_SQRT_2)).erfc()
}

/// The activation [`gelu`].
///
/// ```
/// use calculus::{Dual, activation::{Function, Gelu}};
/// let y = Gelu::at(Dual::variable(-1.0_f64));
/// assert!((y.value + 0.1586553).abs() < 1e-7 && (y.derivative + 0.0833155).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gelu;

impl Function for Gelu {
    const NAME: &'static str = "GELU";
    const KEY: &'static str = "gelu";
    const HUGGING_FACE: &'static [&'static str] = &["gelu", "gelu_python"];
    const FLOPS: u64 = 24;
    const MEANING: &'static str =
        "Lets a number pass by the probability that a standard normal one is below it.";
    const SOURCE: &'static str = "Hendrycks and Gimpel, Gaussian Error Linear Units, 2016";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        gelu(x)
    }

    fn formula(x: Expression) -> Expression {
        0.5 * x.clone() * (1.0 + erf(x * FRAC_1_SQRT_2))
    }

    fn slope(x: Expression) -> Expression {
        let inner = || x.clone() * FRAC_1_SQRT_2;
        let bell = FRAC_2_SQRT_PI * exp(-(inner() * inner())) * FRAC_1_SQRT_2;
        0.5 * (1.0 + erf(inner())) + 0.5 * x.clone() * bell
    }
}

/// Returns <var>½·x·(1 + tanh u) = x·σ(2·u)</var> with <var>u = √(2/π)·(x + 0.044715·x³)</var> and the logistic
/// function σ: the approximation that GPT-2 was trained with. Its derivative differs from that of [`gelu`].
///
/// The second form is computed, which avoids cancellation. The relative error is at most (6 + 4·|u|)·ε for x < 0, where
/// |u| comes from rounding the exponent, and a few ε for x ≥ 0. Beyond ±30, where σ is 0 or 1 in every float, u is
/// constant, so that the slope never overflows. ∞ at ∞; NaN at NaN and, as −∞·0, at −∞.
///
/// Source: Hendrycks and Gimpel 2016, section 2; `gelu_new` in Hugging Face transformers.
///
/// ```
/// use calculus::activation::gelu_tanh;
/// assert!((gelu_tanh(1.0_f64) - 0.8411920).abs() < 1e-7);
/// ```
#[inline(always)]
pub fn gelu_tanh<T: Real>(x: T) -> T {
    let end = T::from_f64(30.0);
    let near = if x > end { end } else { x };
    let near = if near < -end { -end } else { near };
    let cubic = near + T::from_f64(0.044715) * (near * near * near);
    x * sigmoid(T::from_f64(2.0 * FRAC_2_PI.sqrt()) * cubic)
}

/// The activation [`gelu_tanh`].
///
/// ```
/// use calculus::activation::{Function, GeluTanh};
/// assert!((GeluTanh::at(1.0_f64) - 0.8411920).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;

impl Function for GeluTanh {
    const NAME: &'static str = "GELU, tanh form";
    const KEY: &'static str = "gelu_tanh";
    const HUGGING_FACE: &'static [&'static str] =
        &["gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate", "gelu_fast"];
    const FLOPS: u64 = 18;
    const MEANING: &'static str =
        "Lets a number pass by about the probability that a standard normal one is below it.";
    const SOURCE: &'static str =
        "Hendrycks and Gimpel, Gaussian Error Linear Units, 2016, section 2";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        gelu_tanh(x)
    }

    fn formula(x: Expression) -> Expression {
        x.clone() * logistic(twice(&x))
    }

    fn slope(x: Expression) -> Expression {
        let cubed = 0.044715 * (3.0 * (x.clone() * x.clone()));
        let inner = 2.0 * FRAC_2_PI.sqrt() * (1.0 + cubed);
        let slope = logistic(twice(&x)) * logistic(-twice(&x)) * inner;
        logistic(twice(&x)) + x * slope
    }
}

/// Returns <var>2·√(2/π)·(x + 0.044715·x³)</var>.
fn twice(x: &Expression) -> Expression {
    let cube = x.clone() * x.clone() * x.clone();
    2.0 * FRAC_2_PI.sqrt() * (x.clone() + 0.044715 * cube)
}
