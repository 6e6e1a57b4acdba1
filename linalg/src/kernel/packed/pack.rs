//! Blocks of the factors, copied in the order in which a tile reads them.
#![allow(unsafe_code)]

use super::{Strided, element::Element, tile::Tile, vectors};

/// See [`Tile::pack_rows`].
///
/// # Safety
/// The block lies inside the matrix; `to` has room for it.
#[inline(always)]
pub(super) unsafe fn rows<E: Element, T: Tile<E>>(
    a: Strided<E>,
    (i, p): (usize, usize),
    (m, k): (usize, usize),
    to: *mut E,
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
pub(super) unsafe fn columns<E: Element, T: Tile<E>>(
    b: Strided<E>,
    (p, j): (usize, usize),
    (k, n): (usize, usize),
    to: *mut E,
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
unsafe fn copy_runs<E: Element>(
    from: *const E,
    stride: usize,
    count: usize,
    k: usize,
    to: *mut E,
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
/// by four; runs are filled up with zeros.
///
/// # Safety
/// The requirements of [`copy_runs`].
#[inline(always)]
unsafe fn interleave<E: Element>(
    from: *const E,
    stride: usize,
    count: usize,
    k: usize,
    to: *mut E,
    width: usize,
) {
    let (whole, even) = (count - count % 4, k - k % 4);
    // SAFETY: guaranteed by the caller.
    unsafe {
        for i in (0..whole).step_by(4) {
            let (from, to) = (from.add(i * stride), to.add(i));
            for p in (0..even).step_by(4) {
                E::transpose(from.add(p), stride, to.add(p * width), width);
            }
            for p in even..k {
                for r in 0..4 {
                    *to.add(p * width + r) = *from.add(r * stride + p);
                }
            }
        }
        for i in whole..width {
            for p in 0..k {
                let to = to.add(p * width + i);
                *to = if i < count { *from.add(i * stride + p) } else { E::zero() };
            }
        }
    }
}
