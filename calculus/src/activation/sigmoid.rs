use super::Function;
use linalg::Real;
use linalg::formula::{Expression, exp};

/// Returns the logistic function <var>σ(x) = 1/(1 + e⁻ˣ)</var>, from ℝ into (0, 1); <var>σ′ = σ·(1 − σ) ≤ ¼</var>.
///
/// Accurate to a few ulp on both tails: 0 at −∞, 1 at ∞, NaN only at NaN; the same holds for its derivative.
///
/// Source: Verhulst 1845.
///
/// ```
/// use calculus::{activation::sigmoid, derivative};
/// assert_eq!(sigmoid(0.0), 0.5);
/// assert_eq!(derivative(sigmoid, 0.0), 0.25);
/// assert!((sigmoid(-40.0) / (-40.0_f64).exp() - 1.0).abs() < 1e-15);
/// assert_eq!(sigmoid(f64::NEG_INFINITY), 0.0);
/// ```
#[inline(always)]
pub fn sigmoid<T: Real>(x: T) -> T {
    // The exponent is at most 0, so that nothing overflows; of two equivalent forms, the one without cancellation is
    // used. At 0 both have the same derivative.
    let rising = x <= T::zero();
    let e = (if rising { x } else { -x }).exp();
    (if rising { e } else { T::one() }) / (T::one() + e)
}

/// The activation [`sigmoid`]: a gate between closed and open.
///
/// ```
/// use calculus::{Dual, activation::{Function, Sigmoid}};
/// let y = Sigmoid::at(Dual::variable(2.0_f64));
/// assert!((y.value - 0.8807971).abs() < 1e-7 && (y.derivative - 0.1049936).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sigmoid;

/// Returns <var>1/(1 + e⁻ˣ)</var>.
pub(super) fn logistic(x: Expression) -> Expression {
    1.0 / (1.0 + exp(-x))
}

impl Function for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const KEY: &'static str = "sigmoid";
    const HUGGING_FACE: &'static [&'static str] = &["sigmoid"];
    const FLOPS: u64 = 12;
    const MEANING: &'static str =
        "Squeezes every number into 0 to 1: a gate between closed and open.";
    const SOURCE: &'static str = "Verhulst 1845";

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        sigmoid(x)
    }

    fn formula(x: Expression) -> Expression {
        logistic(x)
    }

    fn slope(x: Expression) -> Expression {
        logistic(x.clone()) * logistic(-x)
    }
}
