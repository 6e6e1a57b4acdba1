//! The matrix product of `f32` and `f64`: the `gemm` crate on strided views.
#![allow(unsafe_code)]

use crate::{Factor, Real, ViewMut};

/// C ← α·A·B (+ C), one thread. Shapes were checked by the caller, and are checked again here,
/// because memory safety rests on them.
pub(crate) fn gemm<T: Real>(
    mut c: ViewMut<'_, T>,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    add: bool,
) {
    let (m, n, k) = (c.nrows(), c.ncols(), a.columns());
    assert!(a.rows() == m && b.columns() == n && b.rows() == k);
    let (c_row, c_column) = c.strides();
    let (a_row, a_column) = a.strides();
    let (b_row, b_column) = b.strides();
    // SAFETY: the three pointers come from views that are alive for the whole call, with the
    // strides of those views and extents that were just compared; `c` is borrowed mutably, so
    // nothing else reads or writes it. With `read_dst` unset the old contents of C are not read.
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
