//! Sums over slices, in one fixed order that vector units like.
//!
//! Formulas: <var>Σ xᵢ</var>, <var>x·y = Σ xᵢ·yᵢ</var>, max xᵢ, <var>y ← y + a·x</var>. Sixteen partial sums run side
//! by side and are added in pairs: an order that depends on the length alone, so a sum has the same bits on every
//! processor, and its error grows with n/16 instead of n. In a transformer: every score of attention is a dot
//! product; every gradient is accumulated by <var>y ← y + a·x</var>.
//! Source: the textbook's A.1; Higham, *Accuracy and Stability of Numerical Algorithms*, chapter 4.
//!
//! Floats: IEEE arithmetic. NaN stays NaN, ∞ − ∞ and 0·∞ are NaN, what is too large becomes ±∞ (a square beyond
//! 1.3e154 does; [`crate::norm::l2`] does not square before it scales).

use crate::Real;

/// Partial sums kept side by side: one vector register of AVX-512, two of AVX2.
const LANES: usize = 16;

/// <var>Σ xᵢ</var>; 0 of none.
///
/// ```
/// assert_eq!(linalg::vector::sum(&[1.0, 2.0, 3.0]), 6.0);
/// ```
#[inline(always)]
pub fn sum<T: Real>(x: &[T]) -> T {
    reduce(x, x, |x, _| x)
}

/// <var>Σ xᵢ·yᵢ</var>: how far two vectors point the same way; 0 of none.
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
#[inline(always)]
pub fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    reduce(x, y, |x, y| x * y)
}

/// <var>Σ term(xᵢ, yᵢ)</var>, in one fixed order whatever the processor; 0 of none.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// let squared = linalg::vector::reduce(&[1.0, 5.0], &[4.0, 1.0], |x, y| (x - y) * (x - y));
/// assert_eq!(squared, 25.0); // of the distance
/// ```
#[inline(always)]
pub fn reduce<T: Real>(x: &[T], y: &[T], term: impl Fn(T, T) -> T) -> T {
    assert_eq!(x.len(), y.len(), "vectors of different lengths");
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

/// <var>Σ term(xᵢ, yᵢ, zᵢ)</var>, in the same order as the other sums; 0 of none.
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

/// <var>Σ term(i)</var> for i = 0 .. n, in the same order as the other sums; 0 of none.
///
/// ```
/// assert_eq!(linalg::vector::sum_of(4, |i| i as f64), 6.0);
/// ```
#[inline(always)]
pub fn sum_of<T: Real>(n: usize, term: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for l in 0..LANES {
            lanes[l] += term(start + l);
        }
    }
    for i in whole..n {
        lanes[i - whole] += term(i);
    }
    fold(lanes)
}

/// Adds neighbours in pairs, pairs in pairs, …
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

/// The largest element; −∞ of none, NaN if one is. Exact; of 0 and −0 either.
///
/// ```
/// use linalg::vector::maximum;
/// assert_eq!(maximum(&[1.0, 3.0, 2.0]), 3.0);
/// assert!(maximum(&[1.0, f64::NAN]).is_nan());
/// ```
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

/// <var>y ← y + a·x</var>.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// let mut y = [1.0, 2.0];
/// linalg::vector::axpy(&mut y, 10.0, &[3.0, 4.0]);
/// assert_eq!(y, [31.0, 42.0]);
/// ```
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
