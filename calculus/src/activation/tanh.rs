use super::Function;
use linalg::Real;

/// The hyperbolic tangent.
///
/// ```
/// use calculus::{Dual, activation::{Function, Tanh}};
/// assert_eq!(Tanh::at(Dual::variable(0.0_f64)).derivative, 1.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl Function for Tanh {
    const NAME: &'static str = "tanh";
    const FLOPS: u64 = 10;

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        x.tanh()
    }
}
