//! The scaled dot product: the score of a query and a key.
//!
//! Formula: <var>q·k/√d</var>. If the 2d coordinates are independent with mean 0 and variance 1, each product has mean
//! 0 and variance 1, and the sum of d of them has variance d. Divided by √d it has variance 1 for every width. Without
//! the division, the scores of wide heads are of size √d, softmax puts all its weight on the largest, and its gradient
//! vanishes. In a transformer: the first half of attention.
//! Source: Vaswani et al., *Attention Is All You Need*, 2017, section 3.2.1; the textbook's A.1.
//!
//! # The experiment
//!
//! Coordinates of ±1 with equal probability have mean 0 and variance 1. For a width of 8 all 2⁸ keys can be compared
//! with one query, and the variance is exact; for the widths of real heads a few thousand random pairs show it.
//!
//! ```
//! use linalg::{scaled_dot::scaled_dot, vector::dot};
//!
//! let key = |bits: u64, d: usize| -> Vec<f64> {
//!     (0..d).map(|i| if bits >> i & 1 == 1 { 1.0 } else { -1.0 }).collect()
//! };
//! let query = key(0b1011_0010, 8);
//! let mean_square = |score: &dyn Fn(&[f64]) -> f64| {
//!     (0..256).map(|bits| score(&key(bits, 8)).powi(2)).sum::<f64>() / 256.0
//! };
//! assert_eq!(mean_square(&|k| dot(&query, k)), 8.0); // d
//! assert!((mean_square(&|k| scaled_dot(&query, k).unwrap()) - 1.0).abs() < 1e-14);
//!
//! let mut state = 42_u64; // xorshift: random enough for signs
//! let mut random = |d: usize| -> Vec<f64> {
//!     (0..d).map(|_| {
//!         state ^= state << 13;
//!         state ^= state >> 7;
//!         state ^= state << 17;
//!         if state >> 40 & 1 == 1 { 1.0 } else { -1.0 }
//!     }).collect()
//! };
//! for d in [8, 64, 512] {
//!     let n = 2000;
//!     let scores: Vec<f64> =
//!         (0..n).map(|_| scaled_dot(&random(d), &random(d)).unwrap()).collect();
//!     let variance = scores.iter().map(|s| s * s).sum::<f64>() / n as f64;
//!     // The variance of the mean of n squares, each of variance at most 2: five standard errors.
//!     assert!((variance - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "{d}: {variance}");
//! }
//! ```
//!
//! Token t is compared with the keys of all tokens before it. Their keys and values do not change, so a cache keeps
//! them: without it, 499,500 of them are recomputed for a text of 1,000 tokens.
//!
//! ```
//! let again: u64 = (1..=1000).map(|t| t - 1).sum();
//! assert_eq!(again, 499_500);
//! ```

use crate::error::length;
use crate::{
    Matrix, Real, ShapeError, apply, operation::product::Product, operation::scale::Scale, vector,
};

/// Returns <var>q·k/√d</var>.
///
/// Floats: IEEE; NaN stays NaN. 0 for empty vectors.
///
/// # Errors
/// Different lengths.
///
/// ```
/// use linalg::scaled_dot::scaled_dot;
/// assert_eq!(scaled_dot(&[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0, 1.0, 1.0]), Ok(5.0));
/// ```
pub fn scaled_dot<T: Real>(q: &[T], k: &[T]) -> Result<T, ShapeError> {
    length("the key", k, q.len())?;
    if q.is_empty() {
        return Ok(T::zero());
    }
    Ok(vector::dot(q, k) / T::from_f64((q.len() as f64).sqrt()))
}

/// Returns <var>Kᵀ·Q/√d</var>: the score of every key (a row) for every query (a column), for one head and without a
/// mask.
///
/// Shapes: Q (d × queries), K (d × keys), result (keys × queries); in PyTorch, (query, key). Floats: as in
/// [`scaled_dot`].
///
/// # Errors
/// Queries and keys of different widths.
///
/// ```
/// use linalg::{matrix, scaled_dot::scores};
/// let (q, k) = (matrix(4, 1, &[2.0, 0.0, 0.0, 0.0]), matrix(4, 2, &[1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]));
/// assert_eq!(scores(&q, &k)?.as_slice(), &[1.0, 3.0]);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
pub fn scores<T: Real>(q: &Matrix<T>, k: &Matrix<T>) -> Result<Matrix<T>, ShapeError> {
    let factor = 1.0 / (q.nrows().max(1) as f64).sqrt();
    apply(&Scale { factor }, [&apply(&Product::transposed(), [k, q])?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{draw, factors};
    use crate::similarity::cosine;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_matrix_of_scores_holds_the_scores((a, b) in factors(1..9)) {
            let (q, k) = (a.transpose(), b);
            let all = scores(&q, &k).unwrap();
            prop_assert_eq!(all.shape(), (k.ncols(), q.ncols()));
            for i in 0..k.ncols() {
                for j in 0..q.ncols() {
                    let (q, k) = (q.column(j), k.column(i));
                    let one = scaled_dot(q.as_slice(), k.as_slice()).unwrap();
                    let bound = 16.0 * f64::EPSILON * q.norm() * k.norm();
                    prop_assert!((all[(i, j)] - one).abs() <= bound);
                }
            }
        }

        #[test]
        fn a_query_attends_most_to_what_points_its_way(d in 2..9_usize, seed in 0..99_u64) {
            // Among keys of equal length, the largest score belongs to the largest cosine.
            let q = draw(seed, d, 1);
            let mut k = draw(seed + 1, d, 5);
            k.column_iter_mut().for_each(|mut k| k /= k.norm());
            let scores = scores(&q, &k).unwrap();
            let cosine = |j: usize| cosine(q.as_slice(), k.column(j).as_slice()).unwrap();
            let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
            prop_assert!((0..5).all(|j| cosine(j) <= cosine(best) + 16.0 * f64::EPSILON));
        }
    }

    #[test]
    fn misfits_are_refused() {
        assert!(scaled_dot(&[1.0], &[1.0, 2.0]).is_err());
        assert!(scores(&draw(1, 2, 2), &draw(1, 3, 2)).is_err());
    }
}
