//! A scalar whose bits do not depend on the machine.

use linalg::{Factor, Real, View, ViewMut, column, simd, vector};
use num_traits::{One, Zero};
use std::array;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// An `f32` whose matrix products add in one order on every processor.
///
/// The tuned product of `f32` chooses its kernel by the processor, and with it the order of its sums and whether a
/// product and a sum are rounded once or twice. That is right for training; but a file compressed on one machine must
/// decompress on another. Here c_ij = Σ_k a_ik·b_kj is summed over k in order, each product and each sum rounded. All
/// other forward operations (additions, square roots, the exponential of [`linalg`], products with a single column)
/// already have one result.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
#[repr(transparent)]
pub(crate) struct Portable(pub(crate) f32);

macro_rules! operators {
    ($($trait:ident $method:ident, $assign:ident $assign_method:ident, $op:tt;)*) => {$(
        impl $trait for Portable {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Portable(self.0 $op other.0)
            }
        }
        impl $assign for Portable {
            #[inline(always)]
            fn $assign_method(&mut self, other: Self) {
                *self = *self $op other;
            }
        }
    )*};
}

operators! {
    Add add, AddAssign add_assign, +;
    Sub sub, SubAssign sub_assign, -;
    Mul mul, MulAssign mul_assign, *;
    Div div, DivAssign div_assign, /;
}

impl Neg for Portable {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Portable(-self.0)
    }
}

impl Zero for Portable {
    #[inline(always)]
    fn zero() -> Self {
        Portable(0.0)
    }
    #[inline(always)]
    fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl One for Portable {
    #[inline(always)]
    fn one() -> Self {
        Portable(1.0)
    }
}

macro_rules! as_f32 {
    ($($function:ident)*) => {$(
        #[inline(always)]
        fn $function(self) -> Self {
            Portable(Real::$function(self.0))
        }
    )*};
}

impl Real for Portable {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        Portable(x as f32)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.0)
    }
    as_f32! { exp ln ln_1p sqrt tanh erf erfc sin cos abs }

    #[inline(always)]
    fn simd<R>(work: impl FnOnce() -> R) -> R {
        simd(work)
    }
    fn gemm(
        mut c: ViewMut<'_, Self>,
        alpha: Self,
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        add: bool,
    ) {
        match (a.parts(), b.parts()) {
            ((a, false), (b, false)) => plain(c, alpha, a, b, add),
            ((a, true), (b, false)) => by_dot_products(c, alpha, a, b, add),
            // By definition; no layer needs this forward.
            _ => {
                for j in 0..c.ncols() {
                    for i in 0..c.nrows() {
                        let terms = (0..a.columns()).map(|k| a.at(i, k) * b.at(k, j));
                        let sum = alpha * terms.fold(Portable(0.0), |sum, x| sum + x);
                        c[(i, j)] = sum + if add { c[(i, j)] } else { Portable(0.0) };
                    }
                }
            }
        }
    }
}

/// Rows of a tile: an AVX-512 register.
const ROWS: usize = 16;

/// C ← α·A·B (+ C), tile by tile. The cut into tiles changes no bit, because every element is a sum over k in order.
fn plain(
    mut c: ViewMut<'_, Portable>,
    alpha: Portable,
    a: View<'_, Portable>,
    b: View<'_, Portable>,
    add: bool,
) {
    simd(
        #[inline(always)]
        || {
            for row in (0..a.nrows()).step_by(ROWS) {
                let mut done = 0;
                while done < b.ncols() {
                    done += match b.ncols() - done {
                        16.. => tile::<16>(&mut c, alpha, &a, &b, add, row, done),
                        4.. => tile::<4>(&mut c, alpha, &a, &b, add, row, done),
                        _ => tile::<1>(&mut c, alpha, &a, &b, add, row, done),
                    };
                }
            }
        },
    );
}

/// Computes a tile of C: [`ROWS`] rows (or the remaining ones) by N columns. Returns N.
#[inline(always)]
fn tile<const N: usize>(
    c: &mut ViewMut<'_, Portable>,
    alpha: Portable,
    a: &View<'_, Portable>,
    b: &View<'_, Portable>,
    add: bool,
    row: usize,
    first: usize,
) -> usize {
    let depth = a.ncols();
    let b: [&[Portable]; N] = array::from_fn(|j| &column(b, first + j)[..depth]);
    let rows = (a.nrows() - row).min(ROWS);
    let mut sums = [[Portable(0.0); ROWS]; N];
    for k in 0..depth {
        let part = &column(a, k)[row..row + rows];
        let mut padded = [Portable(0.0); ROWS];
        let part: &[Portable; ROWS] = match part.try_into() {
            Ok(whole) => whole,
            Err(_) => {
                padded[..rows].copy_from_slice(part);
                &padded
            }
        };
        for j in 0..N {
            let x = b[j][k];
            for i in 0..ROWS {
                sums[j][i] += part[i] * x;
            }
        }
    }
    for j in 0..N {
        for i in 0..rows {
            let c = &mut c[(row + i, first + j)];
            *c = alpha * sums[j][i] + if add { *c } else { Portable(0.0) };
        }
    }
    N
}

/// C ← α·Aᵀ·B (+ C): the columns of A are contiguous, and a dot product has one order.
fn by_dot_products(
    mut c: ViewMut<'_, Portable>,
    alpha: Portable,
    a: View<'_, Portable>,
    b: View<'_, Portable>,
    add: bool,
) {
    simd(
        #[inline(always)]
        || {
            for j in 0..c.ncols() {
                for i in 0..c.nrows() {
                    let product = alpha * vector::dot(column(&a, i), column(&b, j));
                    c[(i, j)] = product + if add { c[(i, j)] } else { Portable(0.0) };
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::{Matrix, product_add, product_into, transposed};
    use probability::random::Random;

    fn drawn(seed: u64, rows: usize, columns: usize) -> Matrix<Portable> {
        let random = Random::new(seed, 0, 0);
        let element = |i, j| Portable(random.normal((i + rows * j) as u64) as f32);
        Matrix::from_fn(rows, columns, element)
    }

    #[test]
    fn products_are_sums_in_order_however_they_are_cut() {
        for (m, k, n) in [(1, 1, 2), (16, 7, 16), (37, 20, 23), (512, 128, 16), (5, 300, 3)] {
            let (a, b, old) = (drawn(1, m, k), drawn(2, k, n), drawn(3, m, n));
            let mut c = old.clone();
            product_into(c.as_view_mut(), Portable(0.5), a.as_view(), b.as_view());
            let mut sum = old.clone();
            product_add(sum.as_view_mut(), Portable(0.5), a.as_view(), b.as_view());
            for j in 0..n {
                for i in 0..m {
                    let terms = (0..k).map(|l| a[(i, l)].0 * b[(l, j)].0);
                    let expected = 0.5 * terms.fold(0.0_f32, |sum, x| sum + x);
                    assert_eq!(c[(i, j)].0, expected);
                    assert_eq!(sum[(i, j)].0, expected + old[(i, j)].0);
                }
            }
            let (turned, mut same) = (b.transpose(), old.clone());
            let b_again = transposed(turned.as_view());
            product_into(same.as_view_mut(), Portable(0.5), a.as_view(), b_again);
            assert_eq!(same, c);
            let turned = a.transpose();
            let mut other = c.clone();
            product_into(
                other.as_view_mut(),
                Portable(0.5),
                transposed(turned.as_view()),
                b.as_view(),
            );
            // The same sums in another order: k terms of size 1 each.
            let apart = (0..m * n).map(|i| (other[i].0 - c[i].0).abs()).fold(0.0, f32::max);
            assert!(apart <= k as f32 * 8.0 * f32::EPSILON, "{apart}");
            product_add(
                other.as_view_mut(),
                Portable(-0.5),
                transposed(turned.as_view()),
                b.as_view(),
            );
            assert!(other.iter().all(|x| x.0.abs() <= k as f32 * 8.0 * f32::EPSILON));
        }
    }

    #[test]
    fn functions_are_those_of_single_precision() {
        let x = Portable(0.7);
        for (ours, theirs) in [
            (x.exp(), Real::exp(0.7_f32)),
            (x.ln(), 0.7_f32.ln()),
            (x.ln_1p(), 0.7_f32.ln_1p()),
            (x.sqrt(), 0.7_f32.sqrt()),
            (x.tanh(), Real::tanh(0.7_f32)),
            (x.erf(), Real::erf(0.7_f32)),
            (x.sin(), 0.7_f32.sin()),
            (x.cos(), 0.7_f32.cos()),
            ((-x).abs(), 0.7),
            (x / x - Portable::one(), 0.0),
        ] {
            assert_eq!(ours.0, theirs);
        }
        let mut y = x;
        y -= x;
        assert!(y.is_zero());
        y += x;
        y *= x;
        y /= x;
        assert_eq!(y, x);
    }
}
