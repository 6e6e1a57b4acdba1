//! The matrix product of matrices and their transposes: cut into pieces, each computed by its scalar's kernel.
//!
//! The bits of a product do not depend on the pieces, so that their number may follow that of the threads.

use super::factor::Factor;
use crate::{Real, View, ViewMut, column, parallel, vector};
use std::ops::Range;

/// Computes <var>C ← α·A·B</var>.
///
/// ```
/// use linalg::{matrix, product_into, transposed};
/// let q = matrix(2, 1, &[1.0, 2.0]);
/// let k = matrix(2, 1, &[3.0, 4.0]);
/// let mut score = matrix(1, 1, &[f64::NAN]); // written, not read
/// product_into(score.as_view_mut(), 1.0, transposed(k.as_view()), q.as_view());
/// assert_eq!(score[0], 11.0);
/// ```
///
/// # Panics
/// If the shapes do not fit.
#[doc(alias = "matmul")]
#[doc(alias = "gemm")]
#[doc(alias = "einsum")]
pub fn product_into<'a, 'b, T: Real>(
    c: ViewMut<'_, T>,
    alpha: T,
    a: impl Into<Factor<'a, T>>,
    b: impl Into<Factor<'b, T>>,
) {
    product(Products::Full, c, alpha, a.into(), b.into(), false);
}

/// Computes <var>C ← C + α·A·B</var>.
///
/// # Panics
/// If the shapes do not fit.
///
/// ```
/// use linalg::{matrix, product_add};
/// let (a, mut c) = (matrix(1, 1, &[3.0]), matrix(1, 1, &[1.0]));
/// product_add(c.as_view_mut(), 2.0, a.as_view(), a.as_view());
/// assert_eq!(c[0], 19.0); // 1 + 2·3·3
/// ```
#[doc(alias = "gemm")]
#[doc(alias = "addmm")]
pub fn product_add<'a, 'b, T: Real>(
    c: ViewMut<'_, T>,
    alpha: T,
    a: impl Into<Factor<'a, T>>,
    b: impl Into<Factor<'b, T>>,
) {
    product(Products::Full, c, alpha, a.into(), b.into(), true);
}

/// How the products of a linear map read their factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Products {
    /// As they are.
    #[default]
    Full,
    /// Rounded to bfloat16: 8 bits of precision instead of 24, added up in `f32`. On a processor with AVX512-BF16 they are
    /// twice as fast; every processor computes the same bits. A subnormal number counts as 0.
    Bf16,
}

impl Products {
    /// Computes <var>C ← A·B</var>, or <var>C ← C + A·B</var> if `add` is set, for a gradient that may already hold
    /// contributions.
    ///
    /// ```
    /// use linalg::{Products, matrix};
    /// let (a, b, mut c) = (matrix(1, 1, &[1.001_f32]), matrix(1, 1, &[3.0]), matrix(1, 1, &[10.0]));
    /// Products::Full.to(c.as_view_mut(), a.as_view(), b.as_view(), false);
    /// assert!((c[0] - 3.003).abs() < 1e-6);
    /// Products::Bf16.to(c.as_view_mut(), a.as_view(), b.as_view(), false);
    /// assert_eq!(c[0], 3.0); // 1 is the nearest bfloat16 of 1.001
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn to<'a, 'b, T: Real>(
        self,
        c: ViewMut<'_, T>,
        a: impl Into<Factor<'a, T>>,
        b: impl Into<Factor<'b, T>>,
        add: bool,
    ) {
        product(self, c, T::one(), a.into(), b.into(), add);
    }
}

/// Returns the number of parts into which a product of (m × terms) and (terms × n) is cut at most, side by side or in
/// sequence. It depends only on the shape. Tests of products need more than one part.
///
/// ```
/// use linalg::parts;
/// assert_eq!(parts(64, 64, 64), 1);
/// assert_eq!(parts(130, 80, 100), 2);
/// assert!(parts(4096, 4096, 4096) > 100);
/// ```
pub fn parts(m: usize, n: usize, terms: usize) -> usize {
    let stretch = stretch(m, n, terms);
    let of_stretch = |first: usize| {
        let pieces = pieces(m * n * stretch.min(terms - first));
        side_by_side(m, n, pieces)
    };
    (0..terms.max(1)).step_by(stretch).map(of_stretch).sum()
}

/// Returns the number of parts into which [`cut`] cuts an (m × n) matrix.
fn side_by_side(m: usize, n: usize, pieces: usize) -> usize {
    let (long, short) = (m.max(n), m.min(n));
    match middle(long, pieces) {
        None => 1,
        Some(middle) => {
            let part = |long| side_by_side(long, short, pieces / 2);
            part(middle) + part(long - middle)
        }
    }
}

/// The multiply-adds below which a product is not cut.
const WHOLE: usize = 1 << 19;
/// The multiply-adds of a piece, some milliseconds at most. Every piece packs its own parts of the factors, so a few
/// large pieces cost least.
const LARGE_PIECE: usize = 1 << 28;
/// But there are [`FEW`] pieces, for as many threads, if each has at least this many multiply-adds.
const PIECE: usize = 1 << 26;
const FEW: usize = 8;
/// The elements of both factors that are used at once: the capacity of a third-level cache. A longer inner dimension is
/// processed in stretches, so that pieces which share a factor read it from memory only once.
const CACHED: usize = 1 << 21;
/// The shortest stretch: C is read and written once per stretch.
const LEAST_STRETCH: usize = 1024;

/// Computes <var>C ← α·A·B (+ C)</var>; α is 1 for rounded factors.
pub(crate) fn product<T: Real>(
    products: Products,
    mut c: ViewMut<'_, T>,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    add: bool,
) {
    assert!(
        a.rows() == c.nrows() && b.columns() == c.ncols() && a.columns() == b.rows(),
        "a product of {}×{} and {}×{} into {}×{}",
        a.rows(),
        a.columns(),
        b.rows(),
        b.columns(),
        c.nrows(),
        c.ncols()
    );
    debug_assert!(products == Products::Full || alpha == T::one());
    if c.ncols() == 1 && products == Products::Full {
        return matrix_vector(c, alpha, a, b, add);
    }
    let (m, n, terms) = (c.nrows(), c.ncols(), a.columns());
    let stretch = stretch(m, n, terms);
    for first in (0..terms.max(1)).step_by(stretch) {
        let count = stretch.min(terms - first);
        let pieces = pieces(m * n * count).min(for_threads(rayon::current_num_threads()));
        let (a, b) = (a.some_columns(first, count), b.some_rows(first, count));
        cut(products, c.as_view_mut(), alpha, a, b, add || first > 0, pieces);
    }
}

/// Returns the number of terms of the inner dimension that are processed at once.
fn stretch(m: usize, n: usize, terms: usize) -> usize {
    terms.min((CACHED / (m + n).max(1)).max(LEAST_STRETCH)).max(1)
}

/// Returns the number of pieces into which a product of `work` multiply-adds is cut: a power of two.
fn pieces(work: usize) -> usize {
    if work <= WHOLE {
        return 1;
    }
    let pieces = |size: usize| (work / size + 1).next_power_of_two();
    pieces(PIECE).clamp(2, FEW).max(pieces(LARGE_PIECE))
}

/// Returns the pieces for these threads. Every piece packs parts of the factors again, so two threads have one each; more
/// threads, which end at more different times, have two.
fn for_threads(threads: usize) -> usize {
    if threads <= 2 { 2 } else { 2 * threads.next_power_of_two() }
}

/// Computes c ← α·A·b (+ c). Every element of A is read and used once, so the speed depends only on reading A in order
/// on all threads; copying does not pay.
fn matrix_vector<T: Real>(
    mut c: ViewMut<'_, T>,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    add: bool,
) {
    let terms = a.columns();
    if !add {
        c.fill(T::zero());
    }
    if !a.transposed {
        return parallel::rows([c], ROWS, |first, [mut c]| {
            let rows = first..first + c.nrows();
            add_combination(c.column_mut(0).as_mut_slice(), alpha, &a.view, rows, b, 0..terms);
        });
    }
    let rows = (STREAM / terms.max(1)).max(1);
    parallel::rows([c], rows, |first, [mut c]| {
        T::simd(
            #[inline(always)]
            || {
                for (i, c) in c.column_mut(0).as_mut_slice().iter_mut().enumerate() {
                    let row = column(&a.view, first + i);
                    let dot = match b.transposed {
                        false => vector::dot(row, column(&b.view, 0)),
                        true => vector::sum_of(terms, |k| row[k] * b.at(k, 0)),
                    };
                    *c += alpha * dot;
                }
            },
        );
    });
}

/// The elements of A that one thread reads in sequence.
const STREAM: usize = 1 << 18;
/// The longest piece of a column whose sums a thread buffers.
const ROWS: usize = 4096;

/// Computes <var>c ← c + α·Σ_k a_k·b_k</var> over the columns `terms` of A, for the rows `rows`.
fn add_combination<T: Real>(
    c: &mut [T],
    alpha: T,
    a: &View<'_, T>,
    rows: Range<usize>,
    b: Factor<'_, T>,
    terms: Range<usize>,
) {
    /// The number of columns that are read side by side.
    const TOGETHER: usize = 8;
    if terms.len() * c.len() > STREAM && terms.len() > TOGETHER {
        // Columns are contiguous: the threads divide them, each with its own sums.
        let middle = terms.start + (terms.len() / 2).next_multiple_of(TOGETHER);
        let mut aside = [T::zero(); ROWS];
        let aside = &mut aside[..c.len()];
        let (left, right) = (terms.start..middle, middle..terms.end);
        parallel::join(
            || add_combination(c, alpha, a, rows.clone(), b, left),
            || add_combination(aside, alpha, a, rows.clone(), b, right),
        );
        return vector::axpy(c, T::one(), aside);
    }
    T::simd(
        #[inline(always)]
        || {
            let mut k = terms.start;
            while k + TOGETHER <= terms.end {
                let x: [T; TOGETHER] = std::array::from_fn(|l| alpha * b.at(k + l, 0));
                let a: [&[T]; TOGETHER] = std::array::from_fn(|l| &column(a, k + l)[rows.clone()]);
                for (i, c) in c.iter_mut().enumerate() {
                    let mut sum = *c;
                    for l in 0..TOGETHER {
                        sum += a[l][i] * x[l];
                    }
                    *c = sum;
                }
                k += TOGETHER;
            }
            for k in k..terms.end {
                vector::axpy(c, alpha * b.at(k, 0), &column(a, k)[rows.clone()]);
            }
        },
    );
}

/// Returns where a side is cut, if it is cut.
fn middle(side: usize, pieces: usize) -> Option<usize> {
    /// Kernels work on tiles; a cut at a multiple of this leaves no partial tile in the middle.
    const TILE: usize = 16;
    /// The shortest side of a piece: for shorter sides packing would cost more than the product.
    const LEAST: usize = 64;
    let middle = (side / 2).next_multiple_of(TILE);
    (pieces > 1 && middle >= LEAST && middle < side).then_some(middle)
}

/// Cuts C along its longer side into `pieces` parts (a power of two).
fn cut<T: Real>(
    products: Products,
    mut c: ViewMut<'_, T>,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    add: bool,
    pieces: usize,
) {
    let (m, n) = (c.nrows(), c.ncols());
    let Some(middle) = middle(m.max(n), pieces) else {
        return match products {
            Products::Full => T::gemm(c, alpha, a, b, add),
            Products::Bf16 => T::gemm_bf16(c, a, b, add),
        };
    };
    if n >= m {
        let (left, right) = c.columns_range_pair_mut(..middle, middle..);
        let (b_left, b_right) = b.split_columns(middle);
        parallel::join(
            || cut(products, left, alpha, a, b_left, add, pieces / 2),
            || cut(products, right, alpha, a, b_right, add, pieces / 2),
        );
    } else {
        let (top, bottom) = c.rows_range_pair_mut(..middle, middle..);
        let (a_top, a_bottom) = a.split_rows(middle);
        parallel::join(
            || cut(products, top, alpha, a_top, b, add, pieces / 2),
            || cut(products, bottom, alpha, a_bottom, b, add, pieces / 2),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::factor::{plain, transposed};
    use crate::{Matrix, matrix};
    use proptest::prelude::*;

    /// A matrix of small integers: their products and sums are exact, so kernels must agree exactly.
    fn integers(rows: usize, columns: usize, seed: u64) -> Matrix<f32> {
        Matrix::from_fn(rows, columns, |i, j| {
            ((seed as usize + 7 * i + 13 * j + i * j) % 11) as f32 - 5.0
        })
    }

    proptest! {
        #[test]
        fn kernel_agrees_with_definition(
            m in 0usize..40, n in 0usize..40, k in 0usize..40, seed in 0u64..99,
            (ta, tb, add) in any::<(bool, bool, bool)>(),
        ) {
            let a = if ta { integers(k, m, seed) } else { integers(m, k, seed) };
            let b = if tb { integers(n, k, seed + 1) } else { integers(k, n, seed + 1) };
            let a = Factor { view: a.as_view(), transposed: ta };
            let b = Factor { view: b.as_view(), transposed: tb };
            // Without `add` the old contents must not matter, even if they are NaN.
            let start = if add { integers(m, n, 3) } else { Matrix::repeat(m, n, f32::NAN) };
            let (mut found, mut expected) = (start.clone(), start);
            f32::gemm(found.as_view_mut(), 2.0, a, b, add);
            plain(expected.as_view_mut(), 2.0, a, b, add);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_product_with_a_vector_is_a_product() {
        let sizes = [(1, 1), (3, 8), (40, 7), (700, 130), (3, 2000), (5000, 133), (900, 700)];
        // More rows than one piece, the last one partial; more of A than one thread reads in sequence, in both
        // directions.
        assert!(sizes.iter().any(|&(m, _)| m > ROWS && m % ROWS != 0));
        assert!(sizes.iter().any(|&(m, k)| k * m.min(ROWS) > STREAM));
        assert!(sizes.iter().any(|&(m, k)| m > STREAM / k && m % (STREAM / k) != 0));
        for (m, k) in sizes {
            for (ta, tb, add) in [(false, false, true), (true, false, false), (true, true, true)] {
                let a = if ta { integers(k, m, 1) } else { integers(m, k, 1) };
                let b = if tb { integers(1, k, 2) } else { integers(k, 1, 2) };
                let a = Factor { view: a.as_view(), transposed: ta };
                let b = Factor { view: b.as_view(), transposed: tb };
                let start = if add { integers(m, 1, 3) } else { Matrix::repeat(m, 1, f32::NAN) };
                let (mut found, mut expected) = (start.clone(), start);
                product(Products::Full, found.as_view_mut(), 2.0, a, b, add);
                plain(expected.as_view_mut(), 2.0, a, b, add);
                assert_eq!(found, expected, "{m}×{k} {ta} {tb} {add}");
            }
        }
    }

    #[test]
    fn pieces_make_the_whole() {
        for (m, n, k) in [(300, 200, 40), (64, 2000, 30), (2000, 64, 30)] {
            let (a, b) = (integers(k, m, 1), integers(n, k, 2));
            let (mut found, mut expected) = (Matrix::zeros(m, n), Matrix::zeros(m, n));
            let (a, b) = (transposed(a.as_view()), transposed(b.as_view()));
            assert!(side_by_side(m, n, 8) > 2, "{m}×{n} is hardly cut");
            cut(Products::Full, found.as_view_mut(), 1.0, a, b, false, 8);
            plain(expected.as_view_mut(), 1.0, a, b, false);
            assert_eq!(found, expected);
        }
    }

    /// Products with several stretches of the inner dimension, the last one partial; the stretches are also cut.
    #[test]
    fn stretches_make_the_whole() {
        for (m, n, k) in [(130, 6, 2 * CACHED / 136 + 7), (70, 3, CACHED / 73 + 1)] {
            assert!(k > stretch(m, n, k) && k % stretch(m, n, k) != 0, "{k} terms are one stretch");
            let (a, b) = (integers(k, m, 1), integers(k, n, 2));
            for add in [false, true] {
                let start = if add { integers(m, n, 3) } else { Matrix::repeat(m, n, f32::NAN) };
                let (mut found, mut expected) = (start.clone(), start);
                let (a, b) = (transposed(a.as_view()), Factor::from(b.as_view()));
                product(Products::Full, found.as_view_mut(), 1.0, a, b, add);
                plain(expected.as_view_mut(), 1.0, a, b, add);
                assert_eq!(found, expected, "{m}×{n}, {k} terms");
            }
        }
        assert!(parts(130, 6, 2 * CACHED / 136 + 7) > 3);
    }

    #[test]
    #[should_panic(expected = "a product of 2×3 and 2×3 into 2×3")]
    fn misfits_are_refused() {
        let a = matrix(2, 3, &[0.0; 6]);
        product_into(a.clone().as_view_mut(), 1.0, a.as_view(), a.as_view());
    }
}
