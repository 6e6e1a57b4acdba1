use super::element::fused_by_f64;
use super::*;
use crate::kernel::factor::plain;
use crate::{Matrix, View, transposed};
use proptest::prelude::*;
use std::ops::Range;

/// Small integers: their products and sums are exact in every order of summation.
fn integers<E: Element>(rows: usize, columns: usize, seed: usize) -> Matrix<E> {
    Matrix::from_fn(rows, columns, |i, j| {
        E::from_f64(((seed + 7 * i + 13 * j + i * j) % 11) as f64 - 5.0)
    })
}

/// Numbers whose sums are rounded.
fn numbers<E: Element>(rows: usize, columns: usize) -> Matrix<E> {
    Matrix::from_fn(rows, columns, |i, j| {
        E::from_f64(((i * 31 + j * 17) % 101) as f64 / 37.0 - 1.3)
    })
}

fn factor<E: Element>(x: &Matrix<E>, turned: bool) -> Factor<'_, E> {
    let view: View<'_, E> = x.as_view();
    if turned { transposed(view) } else { view.into() }
}

/// Returns the kernels of both scalars that this processor can run, not only those in use.
fn of_both() -> Vec<Kernel> {
    #[allow(unused_mut)]
    let mut kernels = vec![Kernel::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        kernels.extend(is_x86_feature_detected!("fma").then_some(Kernel::Fused));
        kernels.extend((Vectors::detected() >= Vectors::Avx2).then_some(Kernel::Avx2));
        kernels.extend((Vectors::detected() >= Vectors::Avx512).then_some(Kernel::Avx512));
    }
    kernels
}

/// Returns those of bfloat16.
fn of_bfloat16() -> Vec<Kernel> {
    #[allow(unused_mut)]
    let mut kernels = vec![];
    #[cfg(target_arch = "x86_64")]
    {
        kernels.extend((Vectors::detected() >= Vectors::Avx2).then_some(Kernel::Rounded));
        kernels.extend(pairs::detected().then_some(Kernel::Pairs));
    }
    kernels
}

fn of_f32() -> Vec<Kernel> {
    [of_both(), of_bfloat16()].concat()
}

/// Small integers are bfloat16, so all kernels compute the same.
fn agree<E: Element>(
    kernels: &[Kernel],
    (m, n, k): (usize, usize, usize),
    (ta, tb, add): (bool, bool, bool),
) {
    let a = if ta { integers(k, m, 1) } else { integers(m, k, 1) };
    let b = if tb { integers(n, k, 2) } else { integers(k, n, 2) };
    let start = if add { integers(m, n, 3) } else { Matrix::repeat(m, n, E::from_f64(f64::NAN)) };
    let (a, b, two) = (factor(&a, ta), factor(&b, tb), E::from_f64(2.0));
    let mut expected = start.clone();
    plain(expected.as_view_mut(), two, a, b, add);
    for &with in kernels {
        let mut found = start.clone();
        // SAFETY: the processor has these vectors.
        unsafe { product_by(with, found.as_view_mut(), two, a, b, add) };
        assert!(found == expected, "{m}×{n}×{k} {ta} {tb} {add} {with:?}");
    }
}

proptest! {
    #[test]
    fn any_shape(
        m in 0usize..150, n in 0usize..60, k in 0usize..40, how in any::<(bool, bool, bool)>(),
    ) {
        agree::<f32>(&of_f32(), (m, n, k), how);
        agree::<f64>(&of_both(), (m, n, k), how);
    }
}

/// Parts of larger matrices: elements outside the factors are not read (they are NaN), those outside C not written.
fn parts_of_larger_matrices<E: Element>(kernels: &[Kernel]) {
    let [nan, beside] = [f64::NAN, 77.0].map(E::from_f64);
    for (m, n, k) in [(48, 16, 20), (64, 8, 600), (33, 13, 9), (130, 64, 40), (300, 130, 17)] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let (a, b) = (integers::<E>(m, k, 1), integers::<E>(k, n, 2));
            let parent = |x: &Matrix<E>, turned: bool| {
                let x = if turned { x.transpose() } else { x.clone() };
                let mut parent = Matrix::repeat(x.nrows() + 3, x.ncols() + 2, nan);
                parent.view_mut((2, 1), x.shape()).copy_from(&x);
                parent
            };
            let (pa, pb) = (parent(&a, ta), parent(&b, tb));
            let inside =
                |(rows, columns), turned| if turned { (columns, rows) } else { (rows, columns) };
            let x: View<'_, E> = pa.view((2, 1), inside((m, k), ta));
            let y: View<'_, E> = pb.view((2, 1), inside((k, n), tb));
            let x = if ta { transposed(x) } else { x.into() };
            let y = if tb { transposed(y) } else { y.into() };
            let mut expected = Matrix::repeat(m + 4, n + 2, beside);
            let part = expected.view_mut((1, 1), (m, n));
            plain(part, E::one(), factor(&a, false), factor(&b, false), false);
            for &with in kernels {
                let mut found = Matrix::repeat(m + 4, n + 2, beside);
                let part = found.view_mut((1, 1), (m, n));
                // SAFETY: the processor has these vectors.
                unsafe { product_by(with, part, E::one(), x, y, false) };
                assert!(found == expected, "{m}×{n}×{k} {ta} {tb} {with:?}");
            }
        }
    }
}

#[test]
fn nothing_beside_the_parts_is_read_or_written() {
    parts_of_larger_matrices::<f32>(&of_f32());
    parts_of_larger_matrices::<f64>(&of_both());
}

#[test]
fn more_than_a_block_in_every_direction() {
    let all = [
        (400, 20, 600),
        (30, 1101, 7),
        (700, 9, 520),
        (128, 64, 16),
        (64, 8, 3),
        (40, 12, 1033),
        (501, 9, 250),
    ];
    /// Several blocks of the inner dimension, of rows and of columns; the last one is partial.
    fn blocks<E: Element, T: Tile<E>>(all: &[(usize, usize, usize)]) {
        let inner = |k: usize| block_of_terms(k, T::INNER);
        let depth = |k: usize| inner(k).div_ceil(T::TERMS);
        let some =
            |of: &dyn Fn(usize, usize, usize) -> bool| all.iter().any(|&(m, n, k)| of(m, n, k));
        assert!(some(&|_, _, k| k > T::INNER && k % inner(k) != 0), "the inner dimension");
        assert!(some(&|m, _, k| m > T::BLOCK_A / depth(k) && m % T::LANES != 0), "rows");
        assert!(some(&|_, n, _| n > T::BLOCK_COLUMNS && n % T::COLUMNS != 0), "columns");
    }
    blocks::<f32, loops::Loops<false>>(&all);
    blocks::<f64, loops::Loops<false>>(&all);
    #[cfg(target_arch = "x86_64")]
    {
        blocks::<f32, avx::Avx512>(&all);
        blocks::<f64, avx::Avx512>(&all);
        blocks::<f32, avx::Avx2>(&all);
        blocks::<f64, avx::Avx2>(&all);
        blocks::<f32, pairs::Pairs>(&all);
        blocks::<f32, avx::Rounded>(&all);
    }
    for how in [(false, false, true), (true, false, false), (false, true, true)] {
        for sizes in all {
            agree::<f32>(&of_f32(), sizes, how);
            agree::<f64>(&of_both(), sizes, how);
        }
    }
}

/// Bits that are mixed from a place.
fn mixed(seed: u64, i: usize, j: usize) -> u64 {
    let mut bits = seed ^ (i as u64) << 32 ^ j as u64;
    for _ in 0..3 {
        bits = (bits ^ bits >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
    }
    bits
}

/// Numbers of all sizes, some of them subnormal, infinite or no numbers.
fn wild(rows: usize, columns: usize, seed: u64) -> Matrix<f32> {
    Matrix::from_fn(rows, columns, |i, j| {
        let bits = mixed(seed, i, j);
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
    fn bits_are_the_same_in_every_kernel(
        m in 1usize..60, n in 1usize..30, k in 1usize..80, seed in 0u64..1000,
        (ta, tb, add) in any::<(bool, bool, bool)>(),
    ) {
        let long = seed.is_multiple_of(50); // more than one block
        let k = if long { k + 1024 } else { k };
        let a = if ta { wild(k, m, seed) } else { wild(m, k, seed) };
        let b = if tb { wild(n, k, seed + 1) } else { wild(k, n, seed + 1) };
        let start = if add { wild(m, n, seed + 2) } else { Matrix::repeat(m, n, f32::NAN) };
        let with = |kernel: Kernel, alpha: f32| {
            let mut c = start.clone();
            // SAFETY: the processor has these vectors.
            unsafe { product_by(kernel, c.as_view_mut(), alpha, factor(&a, ta), factor(&b, tb), add) };
            c
        };
        let mut rounded = start.clone();
        bfloat::portable(rounded.as_view_mut(), factor(&a, ta), factor(&b, tb), add);
        let full = with(Kernel::Portable, 0.7);
        let pairs = of_both().into_iter().map(|kernel| (kernel, 0.7, &full));
        let pairs = pairs.chain(of_bfloat16().into_iter().map(|kernel| (kernel, 1.0, &rounded)));
        for (kernel, alpha, expected) in pairs {
            for (found, expected) in with(kernel, alpha).iter().zip(expected) {
                let same = found.to_bits() == expected.to_bits();
                prop_assert!(
                    same || found.is_nan() && expected.is_nan(),
                    "{found:e} {expected:e} {kernel:?}"
                );
            }
        }
    }

    /// Any bits: subnormal numbers, infinities, results at both ends of the range. And sums that `f64` rounds to the middle
    /// between two `f32`, from either side.
    #[test]
    fn a_multiply_add_by_f64_is_the_fused_one(seed: u64) {
        for i in 0..100 {
            let [x, y, z] = [0, 1, 2].map(|j| mixed(seed, i, j));
            let (any_x, any_y) = (f32::from_bits(x as u32), f32::from_bits(y as u32));
            let (x, y, z) = match i % 4 {
                0 => (any_x, any_y, f32::from_bits(z as u32)),
                // The product's neighbourhood, where digits cancel; far below it.
                1 => (any_x, any_y, f32::from_bits((-any_x * any_y).to_bits().wrapping_add(z as u32 % 5))),
                2 => (any_x, any_y, any_x * any_y * 2_f32.powi(-20 - (z % 40) as i32)),
                // An odd z, and less than half of its last bit by a part that f64 does not see: 1 − a²·2⁻⁴⁶ of it.
                _ => {
                    let exponent = (x >> 40) as i32 % 60;
                    let odd = f32::from_bits(z as u32 & 0x807f_ffff | 127 << 23 | 1);
                    let a = (y % 200 + 1) as f32 * f32::EPSILON;
                    let sign = if y & 1 << 40 == 0 { 1.0 } else { -1.0 };
                    let scale = 2_f32.powi(exponent);
                    (sign * (1.0 + a) * scale, (1.0 - a) * 2_f32.powi(-24), odd * scale)
                }
            };
            let (found, expected) = (fused_by_f64(x, y, z), x.mul_add(y, z));
            let same = found.to_bits() == expected.to_bits();
            prop_assert!(same || found.is_nan() && expected.is_nan(), "{x:e}·{y:e} + {z:e}: {found:e}");
        }
    }
}

/// In `f64` too, except that portable loops may round twice.
#[test]
fn vectors_of_f64_compute_the_same_bits() {
    for (m, n, k) in [(50, 9, 70), (33, 70, 513), (20, 12, 1100)] {
        let (a, b) = (numbers::<f64>(m, k), numbers::<f64>(k, n));
        let products = of_both().into_iter().map(|kernel| {
            let mut c = numbers::<f64>(m, n);
            // SAFETY: the processor has these vectors.
            unsafe {
                product_by(
                    kernel,
                    c.as_view_mut(),
                    0.7,
                    factor(&a, false),
                    factor(&b, false),
                    true,
                );
            }
            c
        });
        let products: Vec<_> = products.collect();
        for pair in products[1..].windows(2) {
            assert_eq!(pair[0], pair[1], "{m}×{n}×{k}");
        }
        let apart = (&products[0] - &products[products.len() - 1]).abs().max();
        // Terms of at most 2.1 and half a rounding of each.
        assert!(apart <= k as f64 * k as f64 * 2.1 * f64::EPSILON, "{m}×{n}×{k}: {apart:e}");
    }
}

/// Any part of a product has the bits of the whole: threads may cut it anywhere.
fn cuts_change_no_bit<E: Element>(kernels: &[Kernel]) {
    let (m, n, k) = (150, 70, 1100);
    let (a, b, start) = (numbers::<E>(m, k), numbers::<E>(n, k), numbers::<E>(m, n));
    for (&with, add) in kernels.iter().flat_map(|with| [(with, false), (with, true)]) {
        let one = of_bfloat16().contains(&with);
        let alpha = E::from_f64(if one { 1.0 } else { 0.3 });
        let part = |rows: Range<usize>, columns: Range<usize>| {
            let mut c = start.clone();
            let (x, y): (View<'_, E>, View<'_, E>) =
                (a.rows(rows.start, rows.len()), b.rows(columns.start, columns.len()));
            let size = (rows.len(), columns.len());
            let to = c.view_mut((rows.start, columns.start), size);
            // SAFETY: the processor has these instructions.
            unsafe { product_by(with, to, alpha, x.into(), transposed(y), add) };
            c
        };
        let whole = part(0..m, 0..n);
        for rows in [0..1, 3..40, 16..150, 149..150] {
            for columns in [0..1, 5..70, 8..24, 69..70] {
                let own = part(rows.clone(), columns.clone());
                for (i, j) in rows.clone().flat_map(|i| columns.clone().map(move |j| (i, j))) {
                    assert!(own[(i, j)] == whole[(i, j)], "{with:?} {i} {j}");
                }
            }
        }
    }
}

#[test]
fn parts_have_the_bits_of_the_whole() {
    cuts_change_no_bit::<f32>(&of_f32());
    cuts_change_no_bit::<f64>(&of_both());
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
        for with in of_bfloat16() {
            let mut found = Matrix::repeat(16, 8, f32::NAN);
            let (a, b) = (factor(&a, false), factor(&b, false));
            // SAFETY: the processor has these vectors.
            unsafe { product_by(with, found.as_view_mut(), 1.0, a, b, false) };
            assert!(found.iter().all(|x| x.to_bits() == zero.to_bits()), "{with:?} {found}");
        }
    }
}
