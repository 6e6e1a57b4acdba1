//! The worked numbers of the textbook's sections A.2, 4.1 and 5.2. If the print is wrong, NumPy recomputed them: the
//! crate's documentation has the table of errata.

use probability::layer_norm::standardise;
use probability::log_sum_exp::log_sum_exp;
use probability::sample::Sampler;
use probability::softmax::{log_softmax, softmax, tempered_softmax};
use probability::{Categorical, MultivariateGaussian, ProbabilityError, bayes, mask, moments};

/// Logits of "the", "a", "my", "of", "to".
const LOGITS: [f64; 5] = [2.0, 1.0, 0.5, -1.0, 0.1];

#[track_caller]
fn close(found: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= bound, "{found}, not {expected}");
    }
}

#[test]
fn softmax_of_five_tokens() {
    let p = [0.558545, 0.205477, 0.124628, 0.027808, 0.083541];
    close(&softmax(&LOGITS), &p, 5e-7);
    close(&softmax(&LOGITS.map(|z| z + 1000.0)), &p, 5e-7);
    close(&[log_sum_exp(&LOGITS)], &[2.582419671], 5e-10);
    close(&[-log_softmax(&LOGITS)[0]], &[0.582419671], 5e-10);
    // The gradient of the loss on "the": prediction minus truth.
    let truth = [1.0, 0.0, 0.0, 0.0, 0.0];
    let gradient: Vec<f64> = softmax(&LOGITS).iter().zip(truth).map(|(p, y)| p - y).collect();
    close(&gradient, &[-0.441455, 0.205477, 0.124628, 0.027808, 0.083541], 5e-7);
    let p = Categorical::from_logits(&LOGITS).unwrap();
    let entropy = p.expectation(|i| -p.probability(i).ln());
    close(&[entropy, entropy / std::f64::consts::LN_2], &[1.216992, 1.755748], 5e-7);
}

/// The printed numbers have the correct ratios and the wrong sum.
#[test]
fn the_printed_softmax_is_no_distribution() {
    let printed = [0.4466, 0.1642, 0.0996, 0.0222, 0.0667];
    let refused = Categorical::from_probabilities(&printed).unwrap_err();
    assert!(
        matches!(refused, ProbabilityError::Sum { found, .. } if (found - 0.7993).abs() < 1e-12)
    );
    let scaled = Categorical::from_weights(&printed).unwrap();
    close(scaled.probabilities(), &softmax(&LOGITS), 3e-4);
}

#[test]
fn temperatures() {
    let at = |t| tempered_softmax(&LOGITS, t).unwrap();
    close(&at(0.5), &[0.826465, 0.11185, 0.041147, 0.002049, 0.018489], 5e-7);
    close(&at(2.0), &[0.371917, 0.225579, 0.175681, 0.082986, 0.143836], 5e-7);
    assert_eq!((at(0.0), at(f64::INFINITY)), (vec![1.0, 0.0, 0.0, 0.0, 0.0], vec![0.2; 5]));
}

/// Section 5.2 prints .946 .685 .513 .340 .268, entropies .279 .957 1.382 1.753 1.933, and .596,
/// .526 for top-k 4 and 6.
#[test]
fn decoding_settings() {
    let logits = [5.0, 3.5, 2.0, 1.0, 0.5, 0.1, -1.0, -2.0];
    let plain = Sampler::default();
    for (temperature, best, entropy) in [
        (0.3, 0.9933, 0.0407),
        (0.7, 0.8794, 0.4346),
        (1.0, 0.7615, 0.7789),
        (1.5, 0.5923, 1.2433),
        (2.0, 0.4756, 1.5342),
    ] {
        let p = Sampler { temperature, ..plain }.distribution(&logits).unwrap();
        let found = p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        close(&[p[0], found], &[best, entropy], 5e-5);
    }
    for (k, best) in [(2, 0.8176), (4, 0.7745), (6, 0.7635)] {
        let p = Sampler { top_k: Some(k), ..plain }.distribution(&logits).unwrap();
        close(&p[..1], &[best], 5e-5);
    }
}

#[test]
fn bayes_and_conditioning() {
    let prior = Categorical::from_probabilities(&[0.01, 0.99]).unwrap();
    let posterior = bayes::posterior(&prior, &[0.9, 0.05]).unwrap();
    close(&posterior.probabilities()[..1], &[0.153846], 5e-7);
    let pair =
        MultivariateGaussian::new(&[0.0; 2], &linalg::matrix(2, 2, &[2.0, 1.2, 1.2, 1.5])).unwrap();
    let first = pair.given(&[1], &[1.0]).unwrap();
    close(first.mean(), &[0.8], 1e-15);
    close(first.covariance().as_slice(), &[1.04], 1e-15);
}

#[test]
fn layer_normalisation() {
    let x = [1.0, 2.0, 3.0, 4.0];
    close(&standardise(&x, 0.0).unwrap(), &[-1.342, -0.447, 0.447, 1.342], 5e-4);
    close(
        &[moments::mean(&x).unwrap(), moments::population_variance(&x).unwrap().sqrt()],
        &[2.5, 1.118],
        5e-4,
    );
}

/// Softmax does not overflow if e^z does: 709.7827 in f64, 88.7228 in f32.
#[test]
fn the_edge_of_the_exponential() {
    assert!(709.79_f64.exp().is_infinite() && 88.73_f32.exp().is_infinite());
    assert_eq!(softmax(&[709.79, 709.79]), [0.5; 2]);
    assert_eq!(softmax(&[88.73_f32, 88.73]), [0.5; 2]);
    assert!((log_sum_exp(&[709.79, 709.79]) - 709.79 - std::f64::consts::LN_2).abs() < 1e-12);
}

/// Exercise 4.2.6 says that a strictly anti-causal mask still trains; its last row is fully masked. Filling with −∞
/// gives NaN, filling with −10⁹ a silent uniform row; here it is an error.
#[test]
fn a_fully_masked_row() {
    assert!(softmax(&[f64::NEG_INFINITY; 3]).iter().all(|p| p.is_nan()));
    assert_eq!(softmax(&[-1e9; 4]), [0.25; 4]);
    let scores = linalg::matrix(4, 4, &[0.3; 16]);
    let refused = mask::masked_softmax(&scores, |key, query| key > query).unwrap_err();
    assert_eq!(refused, ProbabilityError::FullyMasked { row: 3 });
}

/// The limit from which e^z overflows, which softmax avoids by subtracting the largest score.
#[test]
fn where_exponentials_overflow() {
    assert!((f64::MAX.ln() - 709.7827).abs() < 5e-5);
    assert!((f64::from(f32::MAX).ln() - 88.7228).abs() < 5e-5);
    // Half precision ends at (2 − 2⁻¹⁰)·2¹⁵ = 65504.
    let half = (2.0 - 2.0_f64.powi(-10)) * 2.0_f64.powi(15);
    assert_eq!(half, 65504.0);
    assert!((half.ln() - 11.0899).abs() < 5e-5);
    assert!(709.79_f64.exp().is_infinite() && 709.78_f64.exp().is_finite());
    assert!(88.73_f32.exp().is_infinite() && 88.72_f32.exp().is_finite());
    // So softmax subtracts the largest score: scores a thousand higher give the same weights.
    let scores = [11.25, 89.0, 710.0];
    let higher = scores.map(|z: f64| z + 1000.0);
    assert_eq!(probability::softmax::softmax(&scores), probability::softmax::softmax(&higher));
}
