//! Blocks of the factors, copied in the order in which a tile reads them.
#![allow(unsafe_code)]

use super::{Strided, tile::Tile, vectors};
use std::arch::x86_64::*;

/// See [`Tile::pack_rows`].
///
/// # Safety
/// The block lies inside the matrix; `to` has room for it.
#[inline(always)]
pub(super) unsafe fn rows<T: Tile>(
    a: Strided,
    (i, p): (usize, usize),
    (m, k): (usize, usize),
    to: *mut f32,
) {
    let mut done = 0;
    while done < m {
        let height = vectors((m - done).div_ceil(T::LANES)) * T::LANES;
        let rows = height.min(m - done);
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (from, to) = (a.at(i + done, p), to.add(done * k));
            if a.row == 1 {
                copy_runs(from, a.column, rows, k, to, height);
            } else {
                interleave(from, a.row, rows, k, to, height);
            }
        }
        done += height;
    }
}

/// See [`Tile::pack_columns`].
///
/// # Safety
/// The requirements of [`rows`].
#[inline(always)]
pub(super) unsafe fn columns<T: Tile>(
    b: Strided,
    (p, j): (usize, usize),
    (k, n): (usize, usize),
    to: *mut f32,
) {
    /// Panels packed together if columns are contiguous in memory: whole cache lines are read, and panels a multiple of
    /// 4 KiB apart still fit in the first-level cache.
    const TOGETHER: usize = 4;
    let mut done = 0;
    while b.column == 1 && done + TOGETHER * T::COLUMNS <= n {
        for q in 0..k {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let from = b.at(p + q, j + done);
                let to = to.add(done * k + q * T::COLUMNS);
                for panel in 0..TOGETHER {
                    let (from, to) = (from.add(panel * T::COLUMNS), to.add(panel * T::COLUMNS * k));
                    from.copy_to_nonoverlapping(to, T::COLUMNS);
                }
            }
        }
        done += TOGETHER * T::COLUMNS;
    }
    while done < n {
        let columns = T::COLUMNS.min(n - done);
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (from, to) = (b.at(p, j + done), to.add(done * k));
            if b.column == 1 {
                copy_runs(from, b.row, columns, k, to, T::COLUMNS);
            } else {
                interleave(from, b.column, columns, k, to, T::COLUMNS);
            }
        }
        done += T::COLUMNS;
    }
}

/// Copies `k` runs of `count` contiguous elements, `stride` apart, to runs of `width`.
///
/// # Safety
/// `from` contains the runs, and `to` has room for them.
#[inline(always)]
unsafe fn copy_runs(
    from: *const f32,
    stride: usize,
    count: usize,
    k: usize,
    to: *mut f32,
    width: usize,
) {
    // A constant length becomes a few vector moves.
    macro_rules! fixed {
        ($($length:literal)*) => {
            match count {
                $($length if width == $length => {
                    for p in 0..k {
                        // SAFETY: guaranteed by the caller.
                        unsafe {
                            from.add(p * stride).copy_to_nonoverlapping(to.add(p * width), $length);
                        }
                    }
                })*
                _ => {
                    for p in 0..k {
                        // SAFETY: guaranteed by the caller.
                        unsafe {
                            let to = to.add(p * width);
                            from.add(p * stride).copy_to_nonoverlapping(to, count);
                            to.add(count).write_bytes(0, width - count);
                        }
                    }
                }
            }
        };
    }
    fixed!(4 8 16 24 32 48);
}

/// Interleaves `count` runs of `k` contiguous elements, `stride` apart, to `k` runs of `width`: a transposition, four
/// by four in registers.
///
/// # Safety
/// The requirements of [`copy_runs`].
#[inline(always)]
unsafe fn interleave(
    from: *const f32,
    stride: usize,
    count: usize,
    k: usize,
    to: *mut f32,
    width: usize,
) {
    let (whole, even) = (count - count % 4, k - k % 4);
    // SAFETY: guaranteed by the caller.
    unsafe {
        for i in (0..whole).step_by(4) {
            let from = from.add(i * stride);
            let to = to.add(i);
            for p in (0..even).step_by(4) {
                let x = |r: usize| _mm_loadu_ps(from.add(r * stride + p));
                let (x0, x1, x2, x3) = (x(0), x(1), x(2), x(3));
                let (low01, high01) = (_mm_unpacklo_ps(x0, x1), _mm_unpackhi_ps(x0, x1));
                let (low23, high23) = (_mm_unpacklo_ps(x2, x3), _mm_unpackhi_ps(x2, x3));
                let to = to.add(p * width);
                _mm_storeu_ps(to, _mm_movelh_ps(low01, low23));
                _mm_storeu_ps(to.add(width), _mm_movehl_ps(low23, low01));
                _mm_storeu_ps(to.add(2 * width), _mm_movelh_ps(high01, high23));
                _mm_storeu_ps(to.add(3 * width), _mm_movehl_ps(high23, high01));
            }
            for p in even..k {
                for r in 0..4 {
                    *to.add(p * width + r) = *from.add(r * stride + p);
                }
            }
        }
        for i in whole..width {
            for p in 0..k {
                *to.add(p * width + i) = if i < count { *from.add(i * stride + p) } else { 0.0 };
            }
        }
    }
}
