//! Stability limits of the learning rate.
//!
//! Near a minimum the loss is a quadratic, ½·(w − w*)ᵀH(w − w*). A step of gradient descent multiplies the error along
//! each axis of H by 1 − η·λ: the error shrinks along every axis if and only if η < 2/λmax. With momentum µ (v ← µ·v +
//! g, w ← w − η·v) the limit is <var>2·(1 + µ)/λmax</var>.
//!
//! Source: Polyak, *Introduction to Optimization*, 1987, section 1.4 and theorem 3.2.1; in training, Cohen et
//! al., *Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability*, 2021.

use crate::stationary::{StationaryError, curvatures};
use crate::{Dual, Traced, hessian};
use linalg::Real;

/// Returns <var>2·(1 + µ)/λ</var>: the learning rate below which descent with momentum µ is stable along an axis of
/// curvature λ.
///
/// ∞ if λ is 0 (a plane) or −0; NaN if λ is negative (no rate is stable at a maximum) or NaN; 0 if λ is ∞.
///
/// ```
/// // The textbook's L = (2w − 3)² has curvature 8.
/// assert_eq!(calculus::stability::limit(8.0, 0.0), 0.25);
/// assert_eq!(calculus::stability::limit(8.0, 0.9), 0.475);
/// ```
pub fn limit<T: Real>(curvature: T, momentum: T) -> T {
    let stable = T::from_f64(2.0) * (T::one() + momentum) / curvature.abs();
    if curvature >= T::zero() { stable } else { T::from_f64(f64::NAN) }
}

/// Returns 1 − η·λ, the factor by which one step of gradient descent multiplies the error along an axis of curvature λ.
/// Stable if its absolute value is below 1; negative if every step overshoots. IEEE arithmetic: 0·∞ and NaN are NaN, a
/// product out of range ±∞, a product below half of ε is lost.
///
/// ```
/// use calculus::stability::factor;
/// assert_eq!(factor(0.125, 8.0), 0.0); // reaches the minimum in one step
/// assert_eq!(factor(0.25, 8.0), -1.0); // oscillates for ever
/// ```
pub fn factor<T: Real>(rate: T, curvature: T) -> T {
    T::one() - rate * curvature
}

/// Returns 2/(λmin + λmax), the rate for which the slowest axis shrinks fastest: by (κ − 1)/(κ + 1) per step, with the
/// condition number <var>κ = λmax/λmin</var>.
///
/// NaN, ±∞ and 0 follow from the division.
///
/// ```
/// use calculus::stability::{best_rate, factor};
/// let rate = best_rate(1.0_f64, 9.0);
/// assert_eq!(rate, 0.2);
/// assert!((factor(rate, 1.0) - 0.8).abs() < 1e-15 && (factor(rate, 9.0) + 0.8).abs() < 1e-15);
/// ```
pub fn best_rate<T: Real>(smallest: T, largest: T) -> T {
    // 2/(a + b), whose sum may overflow.
    let half = T::from_f64(0.5);
    T::one() / (smallest * half + largest * half)
}

/// Returns λmax of the Hessian of f at `x`, its sharpness. For small problems: the whole Hessian is formed. On `f64`
/// only, like the decompositions.
///
/// # Errors
/// No variables, or a Hessian that is not finite.
///
/// ```
/// use calculus::stability::{limit, sharpness};
/// let curvature = sharpness(|w| { let e = 2.0 * w[0] - 3.0; e * e }, &[1.0])?;
/// assert_eq!(limit(curvature, 0.0), 0.25);
/// # Ok::<(), calculus::stationary::StationaryError>(())
/// ```
pub fn sharpness(
    f: impl Fn(&[Traced<Dual<f64>>]) -> Traced<Dual<f64>>,
    x: &[f64],
) -> Result<f64, StationaryError> {
    curvatures(&hessian(f, x)).map(|c| c[c.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_curvatures() {
        assert_eq!(limit(0.0, 0.0), f64::INFINITY);
        assert_eq!(limit(-0.0, 0.0), f64::INFINITY);
        assert_eq!(limit(5e-324, 0.0), f64::INFINITY); // the limit overflows
        assert_eq!(limit(f64::INFINITY, 0.0), 0.0);
        assert!(limit(-1.0_f64, 0.0).is_nan() && limit(f64::NAN, 0.0).is_nan());
        assert_eq!(factor(0.0, 1e300), 1.0);
        assert!(factor(0.0, f64::INFINITY).is_nan() && factor(f64::NAN, 0.0).is_nan());
        assert_eq!(factor(1e200, 1e200), f64::NEG_INFINITY);
        assert_eq!(factor(1e200, -1e200), f64::INFINITY);
        assert_eq!((factor(5e-324, 1.0), factor(-0.0, 5.0)), (1.0, 1.0));
        assert_eq!(best_rate(0.0, 0.0), f64::INFINITY); // the same for f32:
        assert_eq!((limit(8.0_f32, 0.0), best_rate(1.0_f32, 9.0)), (0.25, 0.2));
        assert!(best_rate(f64::NAN, 1.0).is_nan());
        assert!(sharpness(|_| Traced::constant(Dual::constant(0.0)), &[]).is_err());
    }
}
