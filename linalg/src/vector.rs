//! Sums over slices, in one fixed order that suits vector units.
//!
//! Formulas: <var>Σ xᵢ</var>, <var>x·y = Σ xᵢ·yᵢ</var>, max xᵢ, <var>y ← y + a·x</var>. Sixteen partial sums run side
//! by side and are added in pairs. This order depends only on the length, so a sum has the same bits on every
//! processor. In a transformer: every attention score is a dot product; every gradient is accumulated by
//! <var>y ← y + a·x</var>.
//! Source: the textbook's A.1; Higham, *Accuracy and Stability of Numerical Algorithms*, chapter 4.
//!
//! Floats: IEEE arithmetic. NaN stays NaN, ∞ − ∞ and 0·∞ are NaN, overflow gives ±∞ (the square of a number beyond
//! 1.3e154 overflows; [`crate::norm::l2`] scales before it squares).

use crate::Real;
use crate::accurate::{Sum, two_sum};
use crate::real::is_nan;
use std::ops::Range;

/// The number of terms that are summed without error compensation: 64 per lane.
const BLOCK: usize = 1024;

/// The number of partial sums: one vector register of AVX-512, two of AVX2.
const LANES: usize = 16;

/// Returns <var>Σ xᵢ</var>; 0 if x is empty.
///
/// ```
/// assert_eq!(linalg::vector::sum(&[1.0, 2.0, 3.0]), 6.0);
/// ```
#[inline(always)]
pub fn sum<T: Real>(x: &[T]) -> T {
    reduce(x, x, |x, _| x)
}

/// Returns the dot product <var>Σ xᵢ·yᵢ</var>; 0 if x and y are empty.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// // The textbook's word and context vectors.
/// let word = [0.23, -0.87, 1.42, 0.05];
/// let context = [0.10, 0.30, -0.50, 0.80];
/// assert!((linalg::vector::dot(&word, &context) + 0.908_f64).abs() < 1e-12);
/// ```
#[doc(alias = "inner")]
#[doc(alias = "vdot")]
#[inline(always)]
pub fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    reduce(x, y, |x, y| x * y)
}

/// Returns <var>Σ term(xᵢ, yᵢ)</var>, in one fixed order on every processor; 0 if x and y are empty.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// let squared = linalg::vector::reduce(&[1.0, 5.0], &[4.0, 1.0], |x, y| (x - y) * (x - y));
/// assert_eq!(squared, 25.0); // the squared distance
/// ```
#[inline(always)]
pub fn reduce<T: Real>(x: &[T], y: &[T], term: impl Fn(T, T) -> T) -> T {
    assert_eq!(x.len(), y.len(), "vectors of different lengths");
    in_blocks(
        x.len(),
        #[inline(always)]
        |block| reduce_block(&x[block.clone()], &y[block], &term),
    )
}

/// Sums blocks of terms with error compensation.
#[inline(always)]
fn in_blocks<T: Real>(n: usize, block: impl Fn(Range<usize>) -> T) -> T {
    if n <= BLOCK {
        return block(0..n);
    }
    let mut sum = Sum::new();
    for start in (0..n).step_by(BLOCK) {
        sum.add(block(start..n.min(start + BLOCK)));
    }
    sum.value()
}

#[inline(always)]
fn reduce_block<T: Real>(x: &[T], y: &[T], term: &impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        for l in 0..LANES {
            lanes[l] += term(x[l], y[l]);
        }
    }
    for (l, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
        lanes[l] += term(x, y);
    }
    fold(lanes)
}

/// Returns <var>Σ term(xᵢ, yᵢ, zᵢ)</var>, in the same order as the other sums; 0 if they are empty.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// let sum = linalg::vector::reduce3(&[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0], |x, y, z| x * y * z);
/// assert_eq!(sum, 63.0); // 15 + 48
/// ```
#[inline(always)]
pub fn reduce3<T: Real>(x: &[T], y: &[T], z: &[T], term: impl Fn(T, T, T) -> T) -> T {
    assert!(x.len() == y.len() && y.len() == z.len(), "vectors of different lengths");
    in_blocks(
        x.len(),
        #[inline(always)]
        |block| reduce3_block(&x[block.clone()], &y[block.clone()], &z[block], &term),
    )
}

#[inline(always)]
fn reduce3_block<T: Real>(x: &[T], y: &[T], z: &[T], term: &impl Fn(T, T, T) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    let (zs, z_rest) = z.as_chunks::<LANES>();
    for ((x, y), z) in xs.iter().zip(ys).zip(zs) {
        for l in 0..LANES {
            lanes[l] += term(x[l], y[l], z[l]);
        }
    }
    for (l, ((&x, &y), &z)) in x_rest.iter().zip(y_rest).zip(z_rest).enumerate() {
        lanes[l] += term(x, y, z);
    }
    fold(lanes)
}

/// Returns <var>Σ term(i)</var> for i = 0 .. n, in the same order as the other sums; 0 if n is 0.
///
/// ```
/// assert_eq!(linalg::vector::sum_of(4, |i| i as f64), 6.0);
/// ```
#[inline(always)]
pub fn sum_of<T: Real>(n: usize, term: impl Fn(usize) -> T) -> T {
    in_blocks(
        n,
        #[inline(always)]
        |block| {
            let mut lanes = [T::zero(); LANES];
            let whole = block.end - block.len() % LANES;
            for start in (block.start..whole).step_by(LANES) {
                for l in 0..LANES {
                    lanes[l] += term(start + l);
                }
            }
            for i in whole..block.end {
                lanes[i - whole] += term(i);
            }
            fold(lanes)
        },
    )
}

/// Computes <var>s ← s + Σⱼ xⱼ</var> for n vectors as long as s; `add(j, s)` adds xⱼ. Intended for gradients that are
/// sums over tokens, such as those of a bias or a gain.
///
/// Up to 1024 vectors are added by a plain sum; more are added in blocks of 128 with compensation for rounding errors.
///
/// # Panics
/// If s is longer than [`MOST_ROWS`].
///
/// ```
/// let mut sum = [0.0_f32];
/// linalg::vector::add_all(&mut sum, 1_000_000, |_, s| s[0] += 0.1);
/// assert!((sum[0] - 100_000.0).abs() <= 100_000.0 * 64.0 * f32::EPSILON); // a plain sum gives 100958.34
/// ```
#[inline(always)]
pub fn add_all<T: Real>(s: &mut [T], n: usize, add: impl Fn(usize, &mut [T])) {
    /// Vectors per block.
    const TOGETHER: usize = 128;
    assert!(s.len() <= MOST_ROWS, "a piece of at most {MOST_ROWS} rows");
    if n <= BLOCK {
        return (0..n).for_each(|j| add(j, s));
    }
    let (mut block, mut lost) = ([T::zero(); MOST_ROWS], [T::zero(); MOST_ROWS]);
    let (block, lost) = (&mut block[..s.len()], &mut lost[..s.len()]);
    for start in (0..n).step_by(TOGETHER) {
        block.fill(T::zero());
        (start..n.min(start + TOGETHER)).for_each(|j| add(j, block));
        for ((s, lost), &block) in s.iter_mut().zip(lost.iter_mut()).zip(block.iter()) {
            let (sum, loss) = two_sum(*s, block);
            let (together, below) = two_sum(sum, *lost + loss);
            (*s, *lost) = (if is_nan(below) { sum } else { together }, below);
        }
    }
    for (s, &lost) in s.iter_mut().zip(lost.iter()) {
        // If the sum is infinite, `lost` is NaN.
        if !is_nan(lost) {
            *s += lost;
        }
    }
}

/// The most elements of a vector that [`add_all`] sums.
pub const MOST_ROWS: usize = 128;

/// Adds neighbours in pairs, then the sums in pairs, and so on.
#[inline(always)]
fn fold<T: Real>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            let other = lanes[l + width];
            lanes[l] += other;
        }
        width /= 2;
    }
    lanes[0]
}

/// Returns the largest element; −∞ if x is empty, NaN if an element is NaN. Exact; for 0 and −0, either.
///
/// ```
/// use linalg::vector::maximum;
/// assert_eq!(maximum(&[1.0, 3.0, 2.0]), 3.0);
/// assert!(maximum(&[1.0, f64::NAN]).is_nan());
/// ```
#[doc(alias = "amax")]
#[inline(always)]
pub fn maximum<T: Real>(x: &[T]) -> T {
    let mut lanes = [T::from_f64(f64::NEG_INFINITY); LANES];
    let (xs, rest) = x.as_chunks::<LANES>();
    for x in xs {
        for l in 0..LANES {
            lanes[l] = x[l].larger(lanes[l]);
        }
    }
    for (l, &x) in rest.iter().enumerate() {
        lanes[l] = x.larger(lanes[l]);
    }
    lanes.iter().fold(lanes[0], |best, &x| x.larger(best))
}

/// Computes <var>y ← y + a·x</var>.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// let mut y = [1.0, 2.0];
/// linalg::vector::axpy(&mut y, 10.0, &[3.0, 4.0]);
/// assert_eq!(y, [31.0, 42.0]);
/// ```
#[doc(alias = "saxpy")]
#[inline(always)]
pub fn axpy<T: Real>(y: &mut [T], a: T, x: &[T]) {
    assert_eq!(x.len(), y.len(), "vectors of different lengths");
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reductions_agree_with_loops(x in prop::collection::vec(-9i32..9, 0..100)) {
            let x: Vec<f64> = x.into_iter().map(f64::from).collect();
            prop_assert_eq!(sum(&x), x.iter().sum::<f64>());
            prop_assert_eq!(dot(&x, &x), x.iter().map(|x| x * x).sum::<f64>());
            let cubes = reduce3(&x, &x, &x, |x, y, z| x * y * z);
            prop_assert_eq!(cubes, x.iter().map(|x| x * x * x).sum::<f64>());
            prop_assert_eq!(maximum(&x), x.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b)));
        }
    }

    #[test]
    fn a_maximum_does_not_hide_nan() {
        for at in 0..20 {
            let mut x = [1.0; 20];
            x[at] = f64::NAN;
            assert!(maximum(&x).is_nan());
        }
    }
}
