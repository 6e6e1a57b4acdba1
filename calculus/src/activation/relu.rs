use super::Function;
use linalg::Real;
use linalg::formula::{Expression, positive};

/// max(0, x). Its derivative at 0 is 0. NaN stays NaN.
///
/// Source: Nair and Hinton 2010.
///
/// ```
/// use calculus::{Dual, activation::{Function, Relu}};
/// assert_eq!(Relu::at(-2.0), 0.0);
/// assert_eq!(Relu::at(Dual::variable(0.0)).derivative, 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Relu;

impl Function for Relu {
    const NAME: &'static str = "ReLU";
    const FLOPS: u64 = 1;
    const MEANING: &'static str = "Lets positive numbers pass and stops the others.";
    const SOURCE: &'static str = "Nair and Hinton 2010";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        // Written so that NaN, which is not ≤ 0, passes.
        if x <= T::zero() { T::zero() } else { x }
    }

    fn formula(x: Expression) -> Expression {
        positive(x.clone()) * x
    }

    fn slope(x: Expression) -> Expression {
        positive(x)
    }
}
