//! The sigmoid, softmax of two scores, and its inverse: log-odds to a probability, and back.
//!
//! Formula: <var>σ(x) = 1/(1 + e^(−x)) = softmax(x, 0)₁</var>; <var>logit(p) = ln p/(1 − p)</var>,
//! its inverse.
//! Source: Goodfellow, Bengio, Courville, *Deep Learning*, section 3.10.

use linalg::{Real, real::is_nan};

/// Returns <var>σ(x) = 1/(1 + e^(−x))</var>, correct to a few units in the last place on both sides: <var>e^x</var> is
/// never computed for large positive x.
///
/// 0 at −∞, ½ at 0 and −0, 1 at +∞, NaN for NaN.
///
/// ```
/// use probability::sigmoid::sigmoid;
/// assert_eq!(sigmoid(0.0_f64), 0.5);
/// assert_eq!(sigmoid(-700.0_f64), (-700.0_f64).exp()); // not 0, which 1/(1 + e^700) nearly is
/// ```
#[doc(alias("expit", "logistic"))]
pub fn sigmoid<T: Real>(x: T) -> T {
    // Not computed from |x|, whose slope at 0 is not that of σ.
    if x < T::zero() {
        let e = x.exp();
        e / (T::one() + e)
    } else {
        T::one() / (T::one() + (-x).exp())
    }
}

/// Returns <var>ln σ(x) = −ln(1 + e^(−x))</var>, in nats: the log-likelihood of an event with log-odds x.
///
/// −∞ at −∞, −ln 2 at 0, 0 (as −0) at +∞, NaN for NaN.
///
/// ```
/// use probability::sigmoid::log_sigmoid;
/// assert_eq!(log_sigmoid(-1000.0_f64), -1000.0);
/// assert!((log_sigmoid(0.0_f64) + std::f64::consts::LN_2).abs() < 1e-16);
/// ```
#[doc(alias("logsigmoid", "log_expit"))]
pub fn log_sigmoid<T: Real>(x: T) -> T {
    if x < T::zero() { x - x.exp().ln_1p() } else { -(-x).exp().ln_1p() }
}

/// Returns the log-odds ln p/(1 − p) of a probability, in nats; the inverse of [`sigmoid`].
///
/// −∞ at 0, +∞ at 1, 0 at ½; NaN for NaN and outside [0, 1].
///
/// ```
/// use probability::sigmoid::{logit, sigmoid};
/// assert!((logit(0.9_f64) - 9.0_f64.ln()).abs() < 1e-15);
/// assert!((sigmoid(logit(0.123_f64)) - 0.123).abs() < 1e-16);
/// ```
#[doc(alias("log_odds", "qlogis"))]
pub fn logit<T: Real>(p: T) -> T {
    let (zero, one) = (T::zero(), T::one());
    if p < zero || p > one || is_nan(p) {
        return T::from_f64(f64::NAN);
    }
    let quarter = T::from_f64(0.25);
    if p > quarter && p < one - quarter {
        // Near ½ the quotient is near 1, and its logarithm would cancel. 2p − 1 is exact.
        ((p + p - one) / (one - p)).ln_1p()
    } else {
        p.ln() - (-p).ln_1p()
    }
}
