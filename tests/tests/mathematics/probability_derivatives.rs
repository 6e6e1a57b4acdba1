//! Derivatives of probability in closed form, as a textbook states them. That dual = reverse = difference for every
//! function is `every_derivative`.

use calculus::Dual;
use probability::log_sum_exp::log_sum_exp;
use probability::softmax::{log_softmax, softmax};
use proptest::prelude::*;
use tests::tolerance;

type D = Dual<f64>;

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
