//! What the property tests of this crate draw from: numbers that a few bits hold and numbers that need all,
//! matrices of every small shape, some of them without full rank.

use crate::{Matrix, apply, product::Product};
use proptest::prelude::*;
use std::ops::Range;

/// A number between −9 and 9: often whole, so that ties, zeros and dependent columns happen.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![(-9..=9_i32).prop_map(f64::from), -9.0..9.0_f64]
}

pub(crate) fn vectors(length: Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(number(), length)
}

/// Two vectors of one length.
pub(crate) fn pair(length: Range<usize>) -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    length.prop_flat_map(|n| (vectors(n..n + 1), vectors(n..n + 1)))
}

fn of_shape(rows: usize, columns: usize) -> impl Strategy<Value = Matrix<f64>> {
    let n = rows * columns;
    vectors(n..n + 1).prop_map(move |x| Matrix::from_vec(rows, columns, x))
}

/// Matrices with sides in `side`.
pub(crate) fn matrices(side: Range<usize>) -> impl Strategy<Value = Matrix<f64>> {
    (side.clone(), side).prop_flat_map(|(m, n)| of_shape(m, n))
}

pub(crate) fn squares(side: Range<usize>) -> impl Strategy<Value = Matrix<f64>> {
    side.prop_flat_map(|n| of_shape(n, n))
}

pub(crate) fn symmetric(side: Range<usize>) -> impl Strategy<Value = Matrix<f64>> {
    squares(side).prop_map(|a| &a + a.transpose())
}

/// Two matrices that can be multiplied.
pub(crate) fn factors(side: Range<usize>) -> impl Strategy<Value = (Matrix<f64>, Matrix<f64>)> {
    (side.clone(), side.clone(), side).prop_flat_map(|(m, k, n)| (of_shape(m, k), of_shape(k, n)))
}

/// A matrix with elements between −1 and 1 that look random, the same on every run.
pub(crate) fn draw(seed: u64, rows: usize, columns: usize) -> Matrix<f64> {
    Matrix::from_fn(rows, columns, |i, j| {
        let mut z = (seed << 40) ^ ((i as u64) << 20) ^ j as u64;
        // The finaliser of splitmix64.
        z = z.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

pub(crate) fn product(a: &Matrix<f64>, b: &Matrix<f64>) -> Matrix<f64> {
    apply(&Product::plain(), [a, b]).unwrap()
}

/// <var>‖A − B‖_F</var>.
pub(crate) fn gap(a: &Matrix<f64>, b: &Matrix<f64>) -> f64 {
    (a - b).norm()
}

/// <var>‖QᵀQ − I‖_F</var>: how far columns are from orthonormal.
pub(crate) fn skew(q: &Matrix<f64>) -> f64 {
    gap(&(q.transpose() * q), &Matrix::identity(q.ncols(), q.ncols()))
}
