//! The recorded operations on 0, −0, denormals, ±∞, NaN, empty input and one element.
//!
//! A replay cannot fail: an error of the plain function is NaN here, never a plausible number. (The plain functions'
//! own tests stand beside them.)

use infotheory::cross_entropy::{
    CrossEntropy, counted, gradient_in_place, is_ignored, mean_of_logits, nats_of_columns,
};
use infotheory::surprisal::{MeanOverTargets, Surprisal};
use infotheory::{Nats, bits, perplexity};
use linalg::{Matrix, apply, matrix, pullback};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
/// The smallest number above 0.
const TINY: f64 = 5e-324;
const MAX: f64 = f64::MAX;

fn row(elements: &[f64]) -> Matrix<f64> {
    matrix(1, elements.len(), elements)
}

/// Returns the loss of one token by every interface, which must agree; and its gradient, likewise.
fn token(logits: &[f64], target: f64) -> (f64, Vec<f64>) {
    let (z, y) = (matrix(logits.len(), 1, logits), row(&[target]));
    let loss = apply(&CrossEntropy, [&z, &y]).expect("operands that fit")[0];
    let [dz, _] = pullback(&CrossEntropy, [&z, &y], &row(&[1.0])).expect("operands that fit");
    let (mut nats, mut again, mut in_place) = ([7.0], [7.0], z.clone());
    nats_of_columns(z.as_view(), y.as_view(), &mut nats);
    gradient_in_place(in_place.as_view_mut(), y.as_view(), |_| 1.0, &mut again);
    assert!(nats[0] == again[0] || (nats[0].is_nan() && again[0].is_nan()));
    if !is_ignored(target) {
        assert!(nats[0] == loss || (nats[0].is_nan() && loss.is_nan()), "{} {loss}", nats[0]);
        for (a, b) in dz.iter().zip(&in_place) {
            assert!(a == b || (a.is_nan() && b.is_nan()), "{a} {b}");
        }
    }
    (loss, in_place.as_slice().to_vec())
}

#[test]
fn logits_at_the_edges() {
    // A certain event costs +0 and has no gradient.
    let (loss, gradient) = token(&[7.0], 0.0);
    assert_eq!((loss.to_bits(), gradient[0]), (0, 0.0));
    assert_eq!(token(&[0.0, -INF], 0.0), (0.0, vec![0.0, 0.0]));
    // The target is impossible: ∞ nats, and still a gradient with a direction.
    assert_eq!(token(&[0.0, -INF], 1.0), (INF, vec![1.0, -1.0]));
    assert_eq!(token(&[MAX, -MAX], 1.0).0, INF);
    assert_eq!(token(&[MAX, -MAX], 0.0).0, 0.0);
    let ln_2 = std::f64::consts::LN_2;
    for z in [0.0, -0.0, TINY, -TINY, 1e-310, 1e300, -MAX, MAX] {
        assert_eq!(token(&[z, z], 1.0), (ln_2, vec![0.5, -0.5]), "{z:e}");
    }
    // −0 names the first class as 0 does.
    assert_eq!(token(&[0.0, 0.0], -0.0), (ln_2, vec![-0.5, 0.5]));
}

#[test]
fn what_a_plain_function_refuses_is_nan() {
    for column in [[NAN, 0.0], [0.0, NAN], [INF, 0.0], [-INF, -INF]] {
        for y in [0, 1] {
            let (loss, gradient) = token(&column, y as f64);
            assert!(loss.is_nan() && gradient.iter().any(|g| g.is_nan()), "{column:?} {y}: {loss}");
            let z = matrix(2, 1, &column);
            assert!(mean_of_logits(z.as_view(), &[Some(y)]).is_err(), "{column:?}");
        }
    }
    for no_class in [2.0, 0.5, TINY, NAN, INF, 1e300] {
        let (loss, gradient) = token(&[0.0, 0.0], no_class);
        assert!(loss.is_nan() && gradient.iter().all(|g| g.is_nan()), "{no_class}");
    }
    assert!(token(&[], 0.0).0.is_nan()); // no classes
}

#[test]
fn ignored_targets() {
    let z = matrix(2, 3, &[0.0, 0.0, NAN, INF, 0.0, 0.0]);
    let y = row(&[0.0, -1.0, 1.0]);
    // The logits of an ignored token may be anything.
    assert_eq!(apply(&CrossEntropy, [&z, &y]).expect("fits")[0], std::f64::consts::LN_2);
    let [dz, _] = pullback(&CrossEntropy, [&z, &y], &row(&[1.0])).expect("fits");
    assert_eq!(dz.as_slice(), &[-0.25, 0.25, 0.0, 0.0, 0.25, -0.25]);
    for ignored in [-1.0, -TINY, -INF, -0.5] {
        assert!(is_ignored(ignored));
        assert_eq!(token(&[1.0, 2.0], ignored).1, [0.0, 0.0]);
    }
    assert!(!is_ignored(0.0) && !is_ignored(-0.0) && !is_ignored(NAN) && !is_ignored(INF));
    assert_eq!(counted(&row(&[-1.0, 0.0, -0.0, NAN]).as_view()), 3);
    // A mean over no elements is NaN; the plain function returns an error.
    for none in [Matrix::<f64>::zeros(2, 0), Matrix::zeros(2, 1)] {
        let y = Matrix::repeat(1, none.ncols(), -1.0);
        assert!(apply(&CrossEntropy, [&none, &y]).expect("fits")[0].is_nan());
        assert!(apply(&MeanOverTargets, [&y, &y]).expect("fits")[0].is_nan());
        assert!(mean_of_logits(none.as_view(), &vec![None; none.ncols()]).is_err());
    }
    assert!(apply(&CrossEntropy, [&z, &row(&[0.0])]).is_err());
}

#[test]
fn surprisals_of_hard_probabilities() {
    let surprisal = |p: f64, y: f64| {
        let (p, y) = (matrix(1, 1, &[p]), row(&[y]));
        let nats = apply(&Surprisal, [&p, &y]).expect("fits")[0];
        let [dp, _] = pullback(&Surprisal, [&p, &y], &row(&[1.0])).expect("fits");
        (nats, dp[0])
    };
    let (certain, slope) = surprisal(1.0, 0.0);
    assert_eq!((certain.to_bits(), slope), (0, -1.0));
    assert_eq!(surprisal(0.0, 0.0), (INF, -INF));
    assert_eq!(surprisal(-0.0, 0.0), (INF, INF));
    assert_eq!(surprisal(INF, 0.0), (-INF, 0.0)); // not a probability, and the result shows it
    assert!((surprisal(TINY, 0.0).0 - 744.4400719213812).abs() < 1e-12);
    assert_eq!(surprisal(MAX, 0.0).0, -MAX.ln());
    assert!(surprisal(-1.0, 0.0).0.is_nan() && surprisal(NAN, 0.0).0.is_nan());
    assert_eq!(surprisal(NAN, -1.0), (0.0, 0.0)); // ignored
    for no_class in [1.0, 0.5, NAN, INF] {
        let (nats, slope) = surprisal(0.5, no_class);
        assert!(nats.is_nan() && slope == 0.0);
    }
    let nothing = apply(&Surprisal, [&Matrix::<f64>::zeros(3, 0), &row(&[])]).expect("fits");
    assert_eq!(nothing.shape(), (1, 0));
}

#[test]
fn means_of_hard_numbers() {
    let mean = |x: &[f64]| {
        let targets = Matrix::zeros(1, x.len());
        apply(&MeanOverTargets, [&row(x), &targets]).expect("fits")[0]
    };
    assert_eq!(mean(&[TINY]), TINY);
    assert_eq!(mean(&[-0.0]).to_bits(), 0); // a sum starts with +0
    assert_eq!(mean(&[MAX, MAX]), INF); // the sum overflows
    assert_eq!(mean(&[INF, 1.0]), INF);
    assert!(mean(&[INF, -INF]).is_nan() && mean(&[NAN, 1.0]).is_nan() && mean(&[]).is_nan());
    let hidden = [&row(&[NAN, 3.0]), &row(&[-1.0, 0.0])];
    assert_eq!(apply(&MeanOverTargets, hidden).expect("fits")[0], 3.0);
    let [dx, _] = pullback(&MeanOverTargets, hidden, &row(&[INF])).expect("fits");
    assert_eq!(dx.as_slice(), &[0.0, INF]);
}

#[test]
fn numbers_that_have_left_their_unit() {
    for x in [0.0, -0.0, TINY, 1.0, -3.0, 1e300, MAX, INF, -INF] {
        assert_eq!(bits(x).to_bits(), Nats(x).to_bits().0.to_bits());
        assert_eq!(perplexity(x).to_bits(), Nats(x).perplexity().to_bits());
    }
    assert_eq!([perplexity(0.0), perplexity(710.0), perplexity(-INF)], [1.0, INF, 0.0]);
    assert_eq!([bits(INF), bits(MAX)], [INF, INF]);
    assert!(bits(NAN).is_nan() && perplexity(NAN).is_nan() && bits(-0.0).is_sign_negative());
}
