//! Functions of probability are generic over the scalar, so dual numbers differentiate them: held
//! against the derivative that a textbook states, or against reverse mode and central differences.

use calculus::{Dual, Traced, gradient};
use linalg::Real;
use probability::gaussian::Gaussian;
use probability::layer_norm::{layer_norm, standardise};
use probability::log_sum_exp::{StreamingLogSumExp, log_sum_exp};
use probability::rms_norm::rms_norm;
use probability::running::Running;
use probability::softmax::{log_softmax, softmax, tempered_softmax};
use probability::{Categorical, bayes, diffusion, likelihood, moments, sigmoid};
use proptest::prelude::*;
use tests::tolerance;

type D = Dual<f64>;
type R = Traced<f64>;

/// Σ fᵢ·wᵢ at x along `direction`, by dual numbers, by reverse mode, and by central differences of the same
/// code in `f64`.
fn compare(
    x: &[f64],
    direction: &[f64],
    dual: impl Fn(&[D]) -> D,
    reverse: impl Fn(&[R]) -> R,
    plain: impl Fn(&[f64]) -> f64,
) {
    let moving: Vec<D> = x.iter().zip(direction).map(|(&x, &d)| Dual::new(x, d)).collect();
    let along =
        |h: f64| plain(&x.iter().zip(direction).map(|(x, d)| x + h * d).collect::<Vec<_>>());
    let h = tolerance::step();
    let (by_dual, by_difference) = (dual(&moving), (along(h) - along(-h)) / (2.0 * h));
    assert_eq!(by_dual.value, plain(x), "a dual's value is the function's");
    // Derivatives and values here are of size up to about 10; a value passes through a few functions.
    let error = (by_dual.derivative - by_difference).abs()
        / (1.0 + by_dual.derivative.abs() + by_dual.value.abs());
    assert!(
        error <= tolerance::difference(10),
        "{} by duals, {by_difference} by differences",
        by_dual.derivative
    );
    // The same products in another order.
    let terms: Vec<f64> = gradient(reverse, x).iter().zip(direction).map(|(g, d)| g * d).collect();
    let by_reverse: f64 = terms.iter().sum();
    let size = 1.0 + terms.iter().map(|t| t.abs()).sum::<f64>();
    assert!(
        (by_dual.derivative - by_reverse).abs() <= tolerance::sum(256) * size,
        "{} by duals, {by_reverse} by reverse mode",
        by_dual.derivative
    );
}

/// The same generic code at both scalars.
macro_rules! differentiates {
    ($x:expr, $direction:expr, |$z:ident| $body:expr) => {{
        fn f<T: Real>($z: &[T]) -> T {
            $body
        }
        compare($x, $direction, f::<D>, f::<R>, f::<f64>);
    }};
}

/// A combination that no symmetry makes constant.
fn mix<T: Real>(x: impl IntoIterator<Item = T>) -> T {
    x.into_iter()
        .enumerate()
        .fold(T::zero(), |sum, (i, x)| sum + x * T::from_f64(0.3 * (i + 1) as f64))
}

/// Positive weights from any numbers.
fn weights<T: Real>(z: &[T]) -> Vec<T> {
    z.iter().map(|z| z.exp()).collect()
}

proptest! {
    #[test]
    fn duals_agree_with_differences(
        x in prop::collection::vec(-2.0..2.0_f64, 5),
        d in prop::collection::vec(-1.0..1.0_f64, 5),
    ) {
        let spread =
            x.iter().copied().fold(f64::MIN, f64::max) - x.iter().copied().fold(f64::MAX, f64::min);
        prop_assume!(spread > 0.5); // where a standard deviation has a bounded derivative
        differentiates!(&x, &d, |z| mix(softmax(z)));
        differentiates!(&x, &d, |z| mix(log_softmax(z)));
        differentiates!(&x, &d, |z| mix(tempered_softmax(z, 0.7).unwrap()));
        differentiates!(&x, &d, |z| log_sum_exp(z));
        differentiates!(&x, &d, |z| z.iter().copied().collect::<StreamingLogSumExp<T>>().value());
        differentiates!(&x, &d, |z| mix(z.iter().map(|&z| sigmoid::sigmoid(z))));
        differentiates!(&x, &d, |z| mix(z.iter().map(|&z| sigmoid::log_sigmoid(z))));
        differentiates!(&x, &d, |z| mix(z.iter().map(|&z| sigmoid::logit(sigmoid::sigmoid(z)))));
        differentiates!(&x, &d, |z| mix(standardise(z, 1e-5).unwrap()));
        differentiates!(&x, &d, |z| mix(layer_norm(z, z, z, 1e-5).unwrap()));
        differentiates!(&x, &d, |z| mix(rms_norm(z, z, 1e-5).unwrap()));
        differentiates!(&x, &d, |z| moments::population_variance(z).unwrap());
        differentiates!(&x, &d, |z| moments::covariance(&z[..3], &z[2..]).unwrap());
        differentiates!(&x, &d, |z| z
            .iter()
            .copied()
            .collect::<Running<T>>()
            .sample_variance()
            .unwrap());
        differentiates!(&x, &d, |z| mix(diffusion::diffuse(z, 0.3, z).unwrap()));
        differentiates!(&x, &d, |z| mix(Categorical::from_weights(&weights(z))
            .unwrap()
            .probabilities()
            .iter()
            .copied()));
        differentiates!(&x, &d, |z| Categorical::from_logits(z).unwrap().variance(|i| z[i]));
        differentiates!(&x, &d, |z| {
            let prior = Categorical::from_logits(z).unwrap();
            mix(bayes::posterior(&prior, &weights(z)).unwrap().probabilities().iter().copied())
        });
        differentiates!(&x, &d, |z| likelihood::mean_surprisal(
            &Categorical::from_logits(z).unwrap(),
            &[3, 0, 1, 5, 2]
        )
        .unwrap());
        differentiates!(&x, &d, |z| Gaussian::new(z[0], z[1].exp()).unwrap().ln_density(z[2])
            * T::from_f64(0.01));
        differentiates!(&x, &d, |z| Gaussian::new(z[0], z[1].exp()).unwrap().below(z[2]));
    }

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
