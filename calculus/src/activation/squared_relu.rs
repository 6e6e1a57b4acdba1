use super::{Function, relu};
use linalg::Real;
use linalg::formula::{Expression, positive};

/// Returns <var>max(0, x)²</var>. Derivative <var>2·max(0, x)</var>: unlike [`relu`]'s, it is continuous.
///
/// At most two roundings: IEEE. 0 at −∞, ∞ at ∞, NaN at NaN.
///
/// Source: So et al., *Primer: Searching for Efficient Transformers for Language Modeling*, 2021.
///
/// ```
/// use calculus::{activation::squared_relu, derivative};
/// assert_eq!((squared_relu(-2.0), squared_relu(3.0)), (0.0, 9.0));
/// assert_eq!((derivative(squared_relu, 0.0), derivative(squared_relu, 3.0)), (0.0, 6.0));
/// ```
#[inline(always)]
pub fn squared_relu<T: Real>(x: T) -> T {
    let y = relu(x);
    y * y
}

/// The activation [`squared_relu`]; `relu2` in Hugging Face.
///
/// ```
/// use calculus::{Dual, activation::{Function, SquaredRelu}};
/// let y = SquaredRelu::at(Dual::variable(3.0_f64));
/// assert_eq!((y.value, y.derivative), (9.0, 6.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SquaredRelu;

impl Function for SquaredRelu {
    const NAME: &'static str = "squared ReLU";
    const KEY: &'static str = "relu2";
    const HUGGING_FACE: &'static [&'static str] = &["relu2"];
    const FLOPS: u64 = 2;
    const MEANING: &'static str = "Squares positive numbers and stops the others.";
    const SOURCE: &'static str =
        "So et al., Primer: Searching for Efficient Transformers for Language Modeling, 2021";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        squared_relu(x)
    }

    fn formula(x: Expression) -> Expression {
        positive(x.clone()) * x.clone() * x
    }

    fn slope(x: Expression) -> Expression {
        2.0 * (positive(x.clone()) * x)
    }
}
