use super::Function;
use linalg::Real;
use linalg::formula::{Expression, erf, exp, tanh};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

/// <var>x·Φ(x)</var> with the distribution function Φ of the standard normal: GELU, exact. Derivative
/// <var>Φ(x) + x·φ(x)</var> with the density φ.
///
/// <var>½·x·(1 + erf(x/√2))</var>: right to a few ulp for x ≥ −1; further left, where the sum cancels,
/// to about ε·|x| absolutely. ∞ at ∞; NaN at NaN and, as the product −∞·0 and as in PyTorch, at −∞.
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
    let half = T::from_f64(0.5);
    half * x * (T::one() + (x * T::from_f64(FRAC_1_SQRT_2)).erf())
}

/// [`gelu`], as an activation.
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
    const FLOPS: u64 = 14;
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

/// <var>½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))</var>: the approximation that GPT-2 was trained with,
/// whose derivative is its own and not that of [`gelu`].
///
/// ∞ at ∞ while x³ is finite or not; NaN at NaN and, as −∞·0, at −∞. Its derivative is NaN where x³
/// overflows.
///
/// Source: Hendrycks and Gimpel 2016, section 2; `gelu_new` in Hugging Face transformers.
///
/// ```
/// use calculus::activation::gelu_tanh;
/// assert!((gelu_tanh(1.0_f64) - 0.8411920).abs() < 1e-7);
/// ```
#[inline(always)]
pub fn gelu_tanh<T: Real>(x: T) -> T {
    let half = T::from_f64(0.5);
    let inner = T::from_f64(FRAC_2_PI.sqrt()) * (x + T::from_f64(0.044715) * (x * x * x));
    half * x * (T::one() + inner.tanh())
}

/// [`gelu_tanh`], as an activation.
///
/// ```
/// use calculus::activation::{Function, GeluTanh};
/// assert!((GeluTanh::at(1.0_f64) - 0.8411920).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;

impl Function for GeluTanh {
    const NAME: &'static str = "GELU, tanh form";
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
        0.5 * x.clone() * (1.0 + tanh(inner(&x)))
    }

    fn slope(x: Expression) -> Expression {
        let t = || tanh(inner(&x));
        let cubed = 0.044715 * (3.0 * (x.clone() * x.clone()));
        let slope = (1.0 - t() * t()) * (FRAC_2_PI.sqrt() * (1.0 + cubed));
        0.5 * (1.0 + t()) + 0.5 * x.clone() * slope
    }
}

/// <var>√(2/π)·(x + 0.044715·x³)</var>.
fn inner(x: &Expression) -> Expression {
    let cube = x.clone() * x.clone() * x.clone();
    FRAC_2_PI.sqrt() * (x.clone() + 0.044715 * cube)
}
