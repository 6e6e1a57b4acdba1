//! The matrix product of `f32` and `f64` on strided views.
#![allow(unsafe_code)]

use super::bfloat;
use crate::{Factor, Products, Real, Vectors, ViewMut, vector::sum_of};
use std::any::TypeId;

/// Computes C ← α·A·B (+ C) on one thread. The caller has checked the shapes; they are checked again here, because
/// memory safety depends on them.
pub(crate) fn gemm<T: Real>(
    mut c: ViewMut<'_, T>,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    add: bool,
) {
    let (m, n, k) = (c.nrows(), c.ncols(), a.columns());
    assert!(a.rows() == m && b.columns() == n && b.rows() == k);
    if m == 1 {
        return row(c, alpha, a, b, add);
    }
    let (c_row, c_column) = c.strides();
    let (a_row, a_column) = a.strides();
    let (b_row, b_column) = b.strides();
    // SAFETY: the three pointers come from views that are alive for the whole call, with the strides of those views and
    // extents that were just compared; `c` is borrowed mutably, so nothing else reads or writes it. Without `read_dst`
    // the old contents of C are not read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c_column as isize,
            c_row as isize,
            add,
            a.pointer(),
            a_column as isize,
            a_row as isize,
            b.pointer(),
            b_column as isize,
            b_row as isize,
            T::one(),
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Like [`gemm`], for a single row. The `gemm` crate's summation order depends on the distance between columns, which
/// is 1 only if the row is a matrix of its own. Here, a row of a larger matrix gives the same bits.
fn row<T: Real>(mut c: ViewMut<'_, T>, alpha: T, a: Factor<'_, T>, b: Factor<'_, T>, add: bool) {
    for (j, c) in c.iter_mut().enumerate() {
        let old = if add { *c } else { T::zero() };
        *c = old + alpha * sum_of(a.columns(), |k| a.at(0, k) * b.at(k, j));
    }
}

/// Like [`gemm`], by our own kernel if it supports the processor.
pub(crate) fn gemm_f32(
    mut c: ViewMut<'_, f32>,
    alpha: f32,
    a: Factor<'_, f32>,
    b: Factor<'_, f32>,
    add: bool,
) {
    if !packed(Products::Full, c.as_view_mut(), alpha, a, b, add) {
        gemm(c, alpha, a, b, add);
    }
}

/// Like [`gemm_f32`], of factors that are rounded to bfloat16: [`bfloat`] says what is computed.
pub(crate) fn gemm_bf16(
    mut c: ViewMut<'_, f32>,
    a: Factor<'_, f32>,
    b: Factor<'_, f32>,
    add: bool,
) {
    if !packed(Products::Bf16, c.as_view_mut(), 1.0, a, b, add) {
        bfloat::portable(c, a, b, add);
    }
}

/// Whether no bit of a product of these scalars depends on how it is cut along its rows and columns: whether it is our own
/// kernel's, in which every element adds its terms in the same order.
pub(crate) fn is_cut_freely<T: Real>() -> bool {
    cfg!(target_arch = "x86_64")
        && TypeId::of::<T>() == TypeId::of::<f32>()
        && Vectors::in_use() > Vectors::Portable
}

/// Computes a product by our own kernel; returns whether it supports the processor.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, unused_variables))]
fn packed(
    products: Products,
    mut c: ViewMut<'_, f32>,
    alpha: f32,
    a: Factor<'_, f32>,
    b: Factor<'_, f32>,
    add: bool,
) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use super::packed::{Strided, product};
        let sizes = (c.nrows(), c.ncols(), a.columns());
        assert!(a.rows() == sizes.0 && b.columns() == sizes.1 && b.rows() == sizes.2);
        let strided = |f: &Factor<'_, f32>| {
            let (row, column) = f.strides();
            Strided { start: f.pointer(), row, column }
        };
        let column = c.strides().1;
        let (c, a, b) = (c.as_mut_ptr(), strided(&a), strided(&b));
        // SAFETY: pointers, sizes and strides are those of views that are alive for the whole call; sizes were just
        // compared; `c` was borrowed mutably, and its rows are contiguous, as in all views of this crate.
        unsafe { product(products, sizes, c, column, alpha, a, b, add) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
