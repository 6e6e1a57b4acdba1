//! Tests of the module.

use super::*;
use linalg::{Matrix, matrix};
use proptest::prelude::*;

fn loss(logits: &Matrix<f64>, targets: &[f64]) -> f64 {
    let targets = matrix(1, targets.len(), targets);
    let (mut loss, mut kept) = (matrix(1, 1, &[0.0]), vec![0.0; KEPT * logits.ncols()]);
    let work = Work::new(&mut kept, &mut []);
    CrossEntropy.forward([logits.as_view(), targets.as_view()], loss.as_view_mut(), work);
    loss[0]
}

#[test]
fn who_knows_nothing_pays_ln_v() {
    let found = loss(&Matrix::zeros(65, 3), &[0.0, 7.0, 64.0]);
    assert!((found - 65.0_f64.ln()).abs() < 1e-14);
}

#[test]
fn confident_predictions_keep_their_digits() {
    // −ln p_y = ln(1 + e^−20), of which f32 must keep more digits than p_y = 0.999999998 has.
    let (logits, target) = (matrix(2, 1, &[20.0_f32, 0.0]), matrix(1, 1, &[0.0_f32]));
    let (mut loss, mut kept) = (matrix(1, 1, &[0.0_f32]), [0.0; KEPT]);
    let inputs = [logits.as_view(), target.as_view()];
    let work = Work::new(&mut kept, &mut []);
    CrossEntropy.forward(inputs, loss.as_view_mut(), work);
    let exact = (-20.0_f64).exp().ln_1p();
    assert!((f64::from(loss[0]) / exact - 1.0).abs() < 4.0 * f64::from(f32::EPSILON));
}

#[test]
fn ignored_targets_neither_cost_nor_count() {
    let logits = matrix(2, 3, &[0.3, -0.1, 5.0, 9.0, 0.7, 0.2]);
    let kept = matrix(2, 2, &[0.3, -0.1, 0.7, 0.2]);
    assert_eq!(loss(&logits, &[1.0, -1.0, 0.0]), loss(&kept, &[1.0, 0.0]));
    assert!(loss(&logits, &[-1.0; 3]).is_nan());
    assert!(loss(&logits, &[0.0, 2.0, 0.0]).is_nan());
}

proptest! {
    #[test]
    fn the_ways_in_agree(z in prop::collection::vec(-30.0f64..30.0, 2..20), y in 0usize..20) {
        let y = y % z.len();
        let plain = of_logits(&z, y).unwrap().0;
        let column = Matrix::from_column_slice(z.len(), 1, &z);
        prop_assert_eq!(plain, mean_of_logits(column.as_view(), &[Some(y)]).unwrap().0);
        prop_assert_eq!(plain, loss(&column, &[y as f64]));
        // Compared with the probability, whose last digits are lost if it is near 1: absolute.
        let q = probability::softmax::softmax(&z);
        let mut truth = vec![0.0; z.len()];
        truth[y] = 1.0;
        let by_probability = cross_entropy(&truth, &q).unwrap().0;
        prop_assert!((plain - by_probability).abs() <= 64.0 * f64::EPSILON * (1.0 + plain));
    }

    #[test]
    fn a_text_s_likelihood_is_its_cross_entropy(
        counts in prop::collection::vec(1u32..50, 2..8), q in prop::collection::vec(0.01f64..1.0, 8),
    ) {
        // For n draws with relative frequencies P: −ln Π q^count = n·H(P, Q).
        let n = f64::from(counts.iter().sum::<u32>());
        let sum: f64 = q[..counts.len()].iter().sum();
        let q: Vec<f64> = q[..counts.len()].iter().map(|q| q / sum).collect();
        let p: Vec<f64> = counts.iter().map(|&c| f64::from(c) / n).collect();
        let likelihood: f64 = counts.iter().zip(&q).map(|(&c, q)| -f64::from(c) * q.ln()).sum();
        let ce = n * cross_entropy(&p, &q).unwrap().0;
        prop_assert!((likelihood - ce).abs() <= 64.0 * f64::EPSILON * ce);
        // And the likelihood is largest if Q = P.
        prop_assert!(ce >= n * crate::entropy::entropy(&p).unwrap().0 * (1.0 - 1e-14));
    }
}

#[test]
fn hard_floats() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    assert_eq!(of_logits(&[0.0, -inf], 0).unwrap().0.to_bits(), 0);
    assert_eq!(of_logits(&[0.0, -inf], 1).unwrap().0, inf);
    assert_eq!(of_logits(&[7.0_f64], 0).unwrap().0.to_bits(), 0);
    assert_eq!(of_logits(&[1e308, -1e308], 1).unwrap().0, inf); // the difference overflows
    assert_eq!(of_logits(&[5e-324, -0.0], 0).unwrap().to_bits().0, 1.0);
    assert!(matches!(of_logits(&[0.0, nan], 0), Err(InfoError::Logit { index: 1, .. })));
    assert!(matches!(of_logits(&[inf], 0), Err(InfoError::Logit { .. })));
    assert_eq!(of_logits(&[-inf; 3], 0), Err(InfoError::Masked { column: 0 }));
    assert!(matches!(of_logits::<f64>(&[], 0), Err(InfoError::Empty { .. })));
    assert_eq!(of_logits(&[0.0; 2], 2), Err(InfoError::Target { place: 0, found: 2, classes: 2 }));
    let two = matrix(2, 2, &[0.0, 0.0, nan, 0.0]);
    let wrong = mean_of_logits(two.as_view(), &[Some(0), Some(0)]).unwrap_err();
    assert!(wrong.to_string().contains("logit 0 of column 1 is NaN"), "{wrong}");
    assert!(mean_of_logits(two.as_view(), &[Some(0), None]).is_ok());
    assert!(mean_of_logits(two.as_view(), &[Some(0)]).is_err());
    assert_eq!(cross_entropy(&[1.0, 0.0], &[0.0, 1.0]).unwrap().0, inf);
    assert_eq!(cross_entropy(&[1.0_f64, 0.0], &[1.0, 0.0]).unwrap().0.to_bits(), 0);
    assert!(cross_entropy(&[nan], &[1.0]).is_err() && cross_entropy(&[1.0], &[inf]).is_err());
    assert!(cross_entropy::<f64>(&[], &[]).is_err());
    assert!((cross_entropy(&[1.0], &[1.0_f64]).unwrap().0).is_sign_positive());
    let tiny = cross_entropy(&[0.5, 0.5], &[5e-324, 1.0]).unwrap().0;
    assert!((tiny - 372.2200359606906).abs() < 1e-11);
}

#[test]
fn huge_logits_do_not_overflow() {
    let logits = matrix(2, 1, &[1e4, -1e4]);
    assert_eq!(loss(&logits, &[0.0]), 0.0);
    assert_eq!(loss(&logits, &[1.0]), 2e4);
}
