use super::Function;
use linalg::Real;
use linalg::formula::{Expression, positive};

/// Returns max(0, x). Its derivative at 0 is 0. NaN stays NaN, ∞ stays ∞, −0 becomes 0.
///
/// Source: Nair and Hinton 2010.
///
/// ```
/// use calculus::{activation::relu, derivative};
/// assert_eq!((relu(-2.0), relu(3.0)), (0.0, 3.0));
/// assert_eq!(derivative(relu, 0.0), 0.0); // as in PyTorch; the textbook's table has 1
/// ```
#[inline(always)]
pub fn relu<T: Real>(x: T) -> T {
    // Written so that NaN, which is not ≤ 0, propagates.
    if x <= T::zero() { T::zero() } else { x }
}

/// The activation [`relu`].
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
    const KEY: &'static str = "relu";
    const HUGGING_FACE: &'static [&'static str] = &["relu"];
    const FLOPS: u64 = 1;
    const MEANING: &'static str = "Lets positive numbers pass and stops the others.";
    const SOURCE: &'static str = "Nair and Hinton 2010";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        relu(x)
    }

    fn formula(x: Expression) -> Expression {
        positive(x.clone()) * x
    }

    fn slope(x: Expression) -> Expression {
        positive(x)
    }
}

/// Returns x, or `slope`·x if x ≤ 0: a [`relu`] whose gradient never vanishes. At 0 the derivative is `slope`.
///
/// NaN and ±∞ stay unchanged (with a `slope` of 0, −∞ becomes NaN).
///
/// Source: Maas, Hannun, Ng 2013.
///
/// ```
/// use calculus::{activation::leaky_relu, derivative};
/// assert_eq!((leaky_relu(-2.0, 0.1), leaky_relu(3.0, 0.1)), (-0.2, 3.0));
/// assert_eq!(derivative(|x| leaky_relu(x, 0.1), -5.0), 0.1);
/// ```
#[inline(always)]
pub fn leaky_relu<T: Real>(x: T, slope: f64) -> T {
    if x <= T::zero() { T::from_f64(slope) * x } else { x }
}

/// The activation [`leaky_relu`] with the slope 0.01 (PyTorch's).
///
/// ```
/// use calculus::{Dual, activation::{Function, LeakyRelu}};
/// let y = LeakyRelu::at(Dual::variable(-3.0_f64));
/// assert_eq!((y.value, y.derivative), (-0.03, 0.01));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu;

impl Function for LeakyRelu {
    const NAME: &'static str = "leaky ReLU";
    const KEY: &'static str = "leaky_relu";
    const HUGGING_FACE: &'static [&'static str] = &["leaky_relu"];
    const FLOPS: u64 = 2;
    const MEANING: &'static str = "Lets positive numbers pass, and a hundredth of the others.";
    const SOURCE: &'static str = "Maas, Hannun, Ng 2013";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        leaky_relu(x, 0.01)
    }

    fn formula(x: Expression) -> Expression {
        (0.01 + 0.99 * positive(x.clone())) * x
    }

    fn slope(x: Expression) -> Expression {
        0.01 + 0.99 * positive(x)
    }
}
