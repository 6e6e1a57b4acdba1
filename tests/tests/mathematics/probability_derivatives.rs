//! Derivatives of probability in closed form, as a textbook states them. That dual = reverse = difference for every
//! function is `every_derivative`.

use calculus::taylor::expand;
use calculus::{Dual, derivative, gradient, hessian};
use linalg::Real;
use probability::log_sum_exp::log_sum_exp;
use probability::sigmoid::{log_sigmoid, sigmoid};
use probability::softmax::{log_softmax, softmax};
use proptest::prelude::*;
use tests::tolerance;

type D = Dual<f64>;

/// The slopes and curvatures of the sigmoid and its logarithm at 0 and −0, by every route: ¼ and 0, ½ and −¼. Written
/// through |x|, whose slope at 0 counts as 0, all routes agree, on 0.
#[test]
fn the_sigmoid_has_a_slope_at_zero() {
    fn s<T: Real>(x: &[T]) -> T {
        sigmoid(x[0])
    }
    fn l<T: Real>(x: &[T]) -> T {
        log_sigmoid(x[0])
    }
    for zero in [0.0_f64, -0.0] {
        assert_eq!((derivative(sigmoid, zero), derivative(log_sigmoid, zero)), (0.25, 0.5));
        assert_eq!((gradient(s, &[zero]), gradient(l, &[zero])), (vec![0.25], vec![0.5]));
        assert_eq!((hessian(s, &[zero])[0], hessian(l, &[zero])[0]), (0.0, -0.25));
        // ½ + x/4 − x³/48; −ln 2 + x/2 − x²/8.
        let series = *expand::<f64, 4>(sigmoid, zero).coefficients();
        let right = [0.5, 0.25, 0.0, -1.0 / 48.0];
        assert!(series.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-16), "{series:?}");
        let series = *expand::<f64, 3>(log_sigmoid, zero).coefficients();
        let right = [-std::f64::consts::LN_2, 0.5, -0.125];
        assert!(series.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-16), "{series:?}");
    }
}

proptest! {
    /// ∇ log-sum-exp = softmax, also where the value is computed in twice the precision.
    #[test]
    fn the_gradient_of_log_sum_exp_is_softmax(
        z in prop::collection::vec(-3.0..3.0_f64, 1..8),
    ) {
        // Shifted so that Σ e^z = 1, where the value cancels.
        let lse = log_sum_exp(&z);
        let z: Vec<f64> = z.iter().map(|z| z - lse).collect();
        let p = softmax(&z);
        for i in 0..z.len() {
            let moving: Vec<D> =
                (0..z.len()).map(|j| Dual::new(z[j], f64::from(u8::from(i == j)))).collect();
            let found = log_sum_exp(&moving).derivative;
            prop_assert!((found - p[i]).abs() <= tolerance::sum(8), "{found} {}", p[i]);
        }
    }

    /// The gradient of the surprise of the truth is prediction minus truth.
    #[test]
    fn prediction_minus_truth(z in prop::collection::vec(-3.0..3.0_f64, 2..8)) {
        let p = softmax(&z);
        for i in 0..z.len() {
            let moving: Vec<D> =
                (0..z.len()).map(|j| Dual::new(z[j], f64::from(u8::from(i == j)))).collect();
            let found = -log_softmax(&moving)[0].derivative;
            let expected = p[i] - f64::from(u8::from(i == 0));
            prop_assert!((found - expected).abs() <= tolerance::sum(16), "{found} {expected}");
        }
    }
}
