use super::sigmoid::logistic;
use super::{Function, sigmoid};
use linalg::Real;
use linalg::formula::Expression;

/// Returns <var>x·σ(x)</var> with the logistic function σ; also called swish. Derivative <var>σ·(1 + x·(1 − σ))</var>.
///
/// Accurate to a few ulp on both tails. ∞ at ∞; NaN at NaN and, as the product −∞·0 and as in PyTorch, at −∞.
///
/// Source: Elfwing, Uchibe, Doya 2017.
///
/// ```
/// use calculus::{activation::silu, derivative};
/// assert!((silu(1.0_f64) - 0.7310586).abs() < 1e-7);
/// assert!((derivative(silu, -1.0_f64) - 0.0723295).abs() < 1e-7);
/// assert!((silu(-1.2785_f64) + 0.278465).abs() < 1e-6); // its minimum
/// ```
#[inline(always)]
pub fn silu<T: Real>(x: T) -> T {
    x * sigmoid(x)
}

/// The activation [`silu`]. As a gate beside a linear map (SwiGLU, Shazeer 2020) it is followed by
/// [`linalg::hadamard::Hadamard`]: <var>y = silu(W₁·x) ⊙ (W₂·x)</var>.
///
/// ```
/// use calculus::{Dual, activation::{Function, Silu}};
/// let y = Silu::at(Dual::variable(1.0_f64));
/// assert!((y.value - 0.7310586).abs() < 1e-7 && (y.derivative - 0.9276705).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Silu;

impl Function for Silu {
    const NAME: &'static str = "SiLU";
    const KEY: &'static str = "silu";
    const HUGGING_FACE: &'static [&'static str] = &["silu", "swish"];
    const FLOPS: u64 = 13;
    const MEANING: &'static str = "Lets a number pass by a share that grows from 0 to 1 with it.";
    const SOURCE: &'static str = "Elfwing, Uchibe, Doya 2017";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        silu(x)
    }

    fn formula(x: Expression) -> Expression {
        x.clone() * logistic(x)
    }

    fn slope(x: Expression) -> Expression {
        logistic(x.clone()) + x.clone() * (logistic(x.clone()) * logistic(-x))
    }
}
