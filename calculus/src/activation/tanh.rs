use super::Function;
use linalg::Real;
use linalg::formula::{Expression, tanh};

/// The activation tanh, the hyperbolic tangent, from ℝ into (−1, 1). <var>tanh′ = 1 − tanh²</var>, computed without
/// cancellation: 4e^(−2|x|) far from 0. ±1 at ±∞, NaN at NaN. The plain function is [`Real::tanh`].
///
/// ```
/// use calculus::{Dual, activation::{Function, Tanh}};
/// assert_eq!(Tanh::at(Dual::variable(0.0_f64)).derivative, 1.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl Function for Tanh {
    const NAME: &'static str = "tanh";
    const KEY: &'static str = "tanh";
    const HUGGING_FACE: &'static [&'static str] = &["tanh"];
    const FLOPS: u64 = 10;
    const MEANING: &'static str = "Squeezes every number into −1 to 1.";
    const SOURCE: &'static str = "LeCun et al., Efficient BackProp, 1998";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        x.tanh()
    }

    fn formula(x: Expression) -> Expression {
        tanh(x)
    }

    fn slope(x: Expression) -> Expression {
        1.0 - tanh(x.clone()) * tanh(x)
    }
}
