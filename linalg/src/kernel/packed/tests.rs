use super::*;
use crate::kernel::{bfloat, factor::plain};
use crate::{Factor, Matrix, View, transposed};
use proptest::prelude::*;
use std::ops::Range;

/// Small integers: their products and sums are exact in every order of summation.
fn integers(rows: usize, columns: usize, seed: usize) -> Matrix<f32> {
    Matrix::from_fn(rows, columns, |i, j| ((seed + 7 * i + 13 * j + i * j) % 11) as f32 - 5.0)
}

fn strided(x: &Matrix<f32>, turned: bool) -> Strided {
    let rows = x.nrows();
    let (row, column) = if turned { (rows, 1) } else { (1, rows) };
    Strided { start: x.as_ptr(), row, column }
}

fn factor(x: &Matrix<f32>, turned: bool) -> Factor<'_, f32> {
    let view: View<'_, f32> = x.as_view();
    if turned { transposed(view) } else { view.into() }
}

/// Returns all kernels that this processor can run, not only those in use.
fn kernels() -> impl Iterator<Item = Kernel> {
    let all = [Kernel::Avx512, Kernel::Avx2, Kernel::Pairs, Kernel::Rounded];
    all.into_iter().filter(|kernel| match kernel {
        Kernel::Avx512 => Vectors::detected() >= Vectors::Avx512,
        Kernel::Avx2 | Kernel::Rounded => Vectors::detected() >= Vectors::Avx2,
        Kernel::Pairs => pairs::detected(),
    })
}

/// Small integers are bfloat16, so all kernels compute the same.
fn agrees_with_the_definition((m, n, k): (usize, usize, usize), (ta, tb, add): (bool, bool, bool)) {
    let a = if ta { integers(k, m, 1) } else { integers(m, k, 1) };
    let b = if tb { integers(n, k, 2) } else { integers(k, n, 2) };
    let start = if add { integers(m, n, 3) } else { Matrix::repeat(m, n, f32::NAN) };
    let mut expected = start.clone();
    plain(expected.as_view_mut(), 2.0, factor(&a, ta), factor(&b, tb), add);
    for with in kernels() {
        let mut found = start.clone();
        let (c, x, y) = (found.as_mut_ptr(), strided(&a, ta), strided(&b, tb));
        // SAFETY: pointers and strides are those of matrices of these sizes; the processor has
        // these vectors.
        assert!(unsafe { product_by(with, (m, n, k), c, m, 2.0, x, y, add) });
        assert_eq!(found, expected, "{m}×{n}×{k} {ta} {tb} {add} {with:?}");
    }
}

proptest! {
    #[test]
    fn any_shape(
        m in 0usize..150, n in 0usize..60, k in 1usize..40, how in any::<(bool, bool, bool)>(),
    ) {
        agrees_with_the_definition((m, n, k), how);
    }
}

/// Parts of larger matrices: elements outside the factors are not read (they are NaN), those outside C not written.
#[test]
fn parts_of_larger_matrices() {
    const BESIDE: f32 = 77.0;
    for (m, n, k) in [(48, 16, 20), (64, 8, 600), (33, 13, 9), (130, 64, 40), (300, 130, 17)] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let (a, b) = (integers(m, k, 1), integers(k, n, 2));
            let parent = |x: &Matrix<f32>, turned: bool| {
                let x = if turned { x.transpose() } else { x.clone() };
                let mut parent = Matrix::repeat(x.nrows() + 3, x.ncols() + 2, f32::NAN);
                parent.view_mut((2, 1), x.shape()).copy_from(&x);
                parent
            };
            let (pa, pb) = (parent(&a, ta), parent(&b, tb));
            let inside = |x: &Matrix<f32>, turned: bool| {
                let (start, rows) = (&raw const x[(2, 1)], x.nrows());
                let (row, column) = if turned { (rows, 1) } else { (1, rows) };
                Strided { start, row, column }
            };
            let mut expected = Matrix::repeat(m + 4, n + 2, BESIDE);
            let part = expected.view_mut((1, 1), (m, n));
            plain(part, 1.0, factor(&a, false), factor(&b, false), false);
            for with in kernels() {
                let mut found = Matrix::repeat(m + 4, n + 2, BESIDE);
                let (c, x, y) = (&raw mut found[(1, 1)], inside(&pa, ta), inside(&pb, tb));
                // SAFETY: the parts lie inside their matrices; the processor has these vectors.
                let done = unsafe { product_by(with, (m, n, k), c, m + 4, 1.0, x, y, false) };
                assert!(done);
                assert_eq!(found, expected, "{m}×{n}×{k} {ta} {tb} {with:?}");
            }
        }
    }
}

#[test]
fn more_than_a_block_in_every_direction() {
    let all =
        [(400, 20, 600), (30, 1101, 7), (700, 9, 520), (128, 64, 16), (64, 8, 3), (40, 12, 1033)];
    /// Several blocks of the inner dimension, of rows and of columns; the last one is partial.
    fn blocks<T: Tile>(all: &[(usize, usize, usize)]) {
        let inner = |k: usize| block_of_terms(k, T::INNER);
        let depth = |k: usize| inner(k).div_ceil(T::TERMS);
        let some =
            |of: &dyn Fn(usize, usize, usize) -> bool| all.iter().any(|&(m, n, k)| of(m, n, k));
        assert!(some(&|_, _, k| k > T::INNER && k % inner(k) != 0), "the inner dimension");
        assert!(some(&|m, _, k| m > T::BLOCK_A / depth(k) && m % T::LANES != 0), "rows");
        assert!(some(&|_, n, _| n > T::BLOCK_COLUMNS && n % T::COLUMNS != 0), "columns");
    }
    blocks::<Avx512>(&all);
    blocks::<Avx2>(&all);
    blocks::<Pairs>(&all);
    blocks::<Rounded>(&all);
    for how in [(false, false, true), (true, false, false), (false, true, true)] {
        all.into_iter().for_each(|sizes| agrees_with_the_definition(sizes, how));
    }
}

/// Numbers of all sizes, some of them subnormal, infinite or no numbers.
fn wild(rows: usize, columns: usize, seed: u64) -> Matrix<f32> {
    Matrix::from_fn(rows, columns, |i, j| {
        let mut bits = seed ^ (i as u64) << 32 ^ j as u64;
        for _ in 0..3 {
            bits = (bits ^ bits >> 31).wrapping_mul(0x7fb5_d329_728e_a185); // mixes all bits
        }
        match bits % 64 {
            0 => 0.0,
            1 if seed.is_multiple_of(5) => f32::INFINITY,
            2 if seed.is_multiple_of(7) => f32::NAN,
            n if n < 8 => f32::from_bits(bits as u32 & 0x80ff_ffff), // near the end of the range
            _ => f32::from_bits((bits >> 8) as u32 & 0x83ff_ffff | 0x3c00_0000),
        }
    })
}

proptest! {
    #[test]
    fn bfloat16_has_the_same_bits_in_every_kernel(
        m in 1usize..60, n in 1usize..30, k in 1usize..80, seed in 0u64..1000,
        (ta, tb, add) in any::<(bool, bool, bool)>(),
    ) {
        let k = if seed.is_multiple_of(50) { k + 1024 } else { k }; // more than one block
        let a = if ta { wild(k, m, seed) } else { wild(m, k, seed) };
        let b = if tb { wild(n, k, seed + 1) } else { wild(k, n, seed + 1) };
        let start = if add { wild(m, n, seed + 2) } else { Matrix::repeat(m, n, f32::NAN) };
        let mut expected = start.clone();
        bfloat::portable(expected.as_view_mut(), factor(&a, ta), factor(&b, tb), add);
        for with in kernels().filter(|with| matches!(with, Kernel::Pairs | Kernel::Rounded)) {
            let mut found = start.clone();
            let (c, x, y) = (found.as_mut_ptr(), strided(&a, ta), strided(&b, tb));
            // SAFETY: pointers and strides are those of matrices of these sizes.
            assert!(unsafe { product_by(with, (m, n, k), c, m, 1.0, x, y, add) });
            for (found, expected) in found.iter().zip(&expected) {
                let same = found.to_bits() == expected.to_bits();
                prop_assert!(same || found.is_nan() && expected.is_nan(), "{found:e} {expected:e} {with:?}");
            }
        }
    }
}

/// Both widths add up the same terms in the same order.
#[test]
fn avx2_and_avx512_compute_the_same_bits() {
    if Vectors::detected() < Vectors::Avx512 {
        return;
    }
    let number = |i: usize, j: usize| ((i * 31 + j * 17) % 101) as f32 / 37.0 - 1.3;
    for (m, n, k) in [(50, 9, 70), (33, 70, 513), (20, 12, 1100)] {
        let (a, b) = (Matrix::from_fn(m, k, number), Matrix::from_fn(k, n, number));
        let [wide, narrow] = [Kernel::Avx512, Kernel::Avx2].map(|kernel| {
            let mut c = Matrix::from_fn(m, n, number);
            let (to, x, y) = (c.as_mut_ptr(), strided(&a, false), strided(&b, false));
            // SAFETY: pointers and strides are those of matrices of these sizes.
            assert!(unsafe { product_by(kernel, (m, n, k), to, m, 0.7, x, y, true) });
            c
        });
        assert_eq!(wide, narrow, "{m}×{n}×{k}");
    }
}

/// Any part of a product has the bits of the whole: threads may cut it anywhere.
#[test]
fn cuts_change_no_bit() {
    let (m, n, k) = (150, 70, 1100);
    let number = |i: usize, j: usize| ((i * 31 + j * 17) % 101) as f32 / 37.0 - 1.3;
    let (a, b) = (Matrix::from_fn(m, k, number), Matrix::from_fn(n, k, number));
    let start = Matrix::from_fn(m, n, number);
    for (with, add) in kernels().flat_map(|with| [(with, false), (with, true)]) {
        let alpha = if matches!(with, Kernel::Pairs | Kernel::Rounded) { 1.0 } else { 0.3 };
        let part = |rows: Range<usize>, columns: Range<usize>| {
            let mut c = start.clone();
            let (a, b) = (&raw const a[(rows.start, 0)], &raw const b[(columns.start, 0)]);
            let x = Strided { start: a, row: 1, column: m };
            let y = Strided { start: b, row: n, column: 1 };
            let at = &raw mut c[(rows.start, columns.start)];
            // SAFETY: the part lies inside the matrices; the processor has these instructions.
            assert!(unsafe {
                product_by(with, (rows.len(), columns.len(), k), at, m, alpha, x, y, add)
            });
            c
        };
        let whole = part(0..m, 0..n);
        for rows in [0..1, 3..40, 16..150, 149..150] {
            for columns in [0..1, 5..70, 8..24, 69..70] {
                let own = part(rows.clone(), columns.clone());
                for (i, j) in rows.clone().flat_map(|i| columns.clone().map(move |j| (i, j))) {
                    assert_eq!(own[(i, j)].to_bits(), whole[(i, j)].to_bits(), "{with:?} {i} {j}");
                }
            }
        }
    }
}

#[test]
fn subnormal_numbers_count_as_0() {
    for k in [2, 3] {
        let (a, b) = (Matrix::repeat(16, k, -1e-20_f32), Matrix::repeat(k, 8, 1e-19));
        let mut expected = Matrix::zeros(16, 8);
        bfloat::portable(expected.as_view_mut(), factor(&a, false), factor(&b, false), false);
        // Two terms of −1e-39 are −0 after each of them; the third has a partner, +0.
        let zero = if k == 2 { -0.0_f32 } else { 0.0 };
        assert!(expected.iter().all(|x| x.to_bits() == zero.to_bits()), "{expected}");
        for with in kernels().filter(|with| matches!(with, Kernel::Pairs | Kernel::Rounded)) {
            let mut found = Matrix::repeat(16, 8, f32::NAN);
            let (c, x, y) = (found.as_mut_ptr(), strided(&a, false), strided(&b, false));
            // SAFETY: pointers and strides are those of matrices of these sizes.
            assert!(unsafe { product_by(with, (16, 8, k), c, 16, 1.0, x, y, false) });
            assert!(found.iter().all(|x| x.to_bits() == zero.to_bits()), "{with:?} {found}");
        }
    }
}
