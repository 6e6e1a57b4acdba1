use super::Function;
use linalg::Real;
use linalg::formula::{Expression, tanh};

/// x·σ(x) with the logistic function σ, also called swish.
///
/// Source: Elfwing, Uchibe, Doya 2017.
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
    const FLOPS: u64 = 13;
    const MEANING: &'static str = "Lets a number pass by a share that grows from 0 to 1 with it.";
    const SOURCE: &'static str = "Elfwing, Uchibe, Doya 2017";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        // σ(x) = ½ + ½·tanh(x/2), which neither overflows nor, as 1/(1 + e^−x) would in its
        // derivative, divides ∞ by ∞.
        let half = T::from_f64(0.5);
        x * (half + half * (half * x).tanh())
    }

    fn formula(x: Expression) -> Expression {
        x.clone() * (0.5 + 0.5 * tanh(0.5 * x))
    }

    fn slope(x: Expression) -> Expression {
        let t = || tanh(0.5 * x.clone());
        (0.5 + 0.5 * t()) + x.clone() * (0.25 * (1.0 - t() * t()))
    }
}
