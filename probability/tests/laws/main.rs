//! The laws of probability, as properties of random inputs.
//!
//! Exact laws of real numbers hold within rounding here. Every bound states its origin: ε for each operation, times the
//! size of the summed numbers.

mod categorical;
mod distributions;
mod evaluation;
mod extremes;
mod gaussian;
mod hard_floats;
mod moments;
mod normalisation;
mod rounding;
mod sampling;
mod softmax;
mod statistics;
mod textbook;

use probability::{Categorical, Joint};
use proptest::prelude::*;

/// ε of `f64`: one operation loses at most half of it.
pub(crate) const EPSILON: f64 = f64::EPSILON;

/// Logits of size up to 20, some of them −∞ but never all.
pub(crate) fn logits(most: usize) -> impl Strategy<Value = Vec<f64>> {
    let some = prop_oneof![9 => -20.0..20.0_f64, 1 => Just(f64::NEG_INFINITY)];
    (prop::collection::vec(some, 0..most), -20.0..20.0_f64).prop_map(|(mut z, first)| {
        z.insert(0, first);
        z
    })
}

/// A distribution over n outcomes, some of them impossible.
pub(crate) fn distribution(
    n: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = Categorical> {
    let weight = prop_oneof![9 => 1e-3..1.0_f64, 1 => Just(0.0)];
    prop::collection::vec(weight, n)
        .prop_filter_map("something must be possible", |w| Categorical::from_weights(&w).ok())
}

/// A joint distribution of x (1 to 6 values) and y (1 to 6 values).
pub(crate) fn joint() -> impl Strategy<Value = Joint> {
    (1..=6_usize, 1..=6_usize).prop_flat_map(|(m, n)| {
        distribution(m * n).prop_map(move |p| {
            Joint::from_probabilities(&linalg::matrix(m, n, p.probabilities()))
                .expect("a distribution")
        })
    })
}

/// Numbers of size up to 100.
pub(crate) fn numbers(
    n: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-100.0..100.0_f64, n)
}

/// Returns whether two numbers differ by at most `bound`.
#[track_caller]
pub(crate) fn close(a: f64, b: f64, bound: f64) {
    assert!(
        (a - b).abs() <= bound,
        "{a} and {b} differ by {:e}, more than {bound:e}",
        (a - b).abs()
    );
}

/// Returns whether two lists differ by at most `bound` in every element.
#[track_caller]
pub(crate) fn all_close(a: &[f64], b: &[f64], bound: f64) {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).for_each(|(a, b)| close(*a, *b, bound));
}
