//! Tiles of C in registers, by width of vectors.
#![allow(unsafe_code)]

use super::{AHEAD, Blocks, COLUMNS, Line, Strided, pack};
use crate::kernel::bfloat::{self, TERMS_OF_BLOCK};
use std::arch::x86_64::*;

/// A vector width, a format of the factors' numbers, and the size of the tiles.
pub(super) trait Tile: Sized {
    /// The number of `f32` in a register.
    const LANES: usize;
    /// The number of columns of a tile.
    const COLUMNS: usize;
    /// The longest block of the inner dimension: a tile's columns of B of this length stay in the first-level cache
    /// while A streams through it.
    const INNER: usize;
    /// The number of elements of a packed block of A: at least about half of the usual second-level cache of processors
    /// with these vectors.
    const BLOCK_A: usize;
    /// The most columns of a packed block of B.
    const BLOCK_COLUMNS: usize = COLUMNS;
    /// The terms of the inner dimension in one packed element.
    const TERMS: usize = 1;
    /// Whether a factor may be read where it is: packing does not change its numbers.
    const IN_PLACE: bool = true;
    /// Rows of C up to which so few tiles read B that it is read in place.
    const FEW_ROWS: usize = 8 * Self::LANES;
    /// Columns of C up to which so few tiles read A that it is read in place.
    const FEW_COLUMNS: usize = 16 * Self::COLUMNS;

    /// Runs [`Blocks::each`], compiled for these vectors.
    ///
    /// # Safety
    /// The requirements of [`Blocks::each`].
    unsafe fn blocks(blocks: &Blocks, packed_a: &mut Vec<Line>, packed_b: &mut Vec<Line>);

    /// Packs (m × k) of A from (i, p) on: in panels of rows. A panel holds its rows for one inner index after the other,
    /// padded with zeros.
    ///
    /// # Safety
    /// The block lies inside the matrix; `to` has room for it; the processor has these vectors.
    #[inline(always)]
    unsafe fn pack_rows(a: Strided, at: (usize, usize), size: (usize, usize), to: *mut f32) {
        // SAFETY: guaranteed by the caller.
        unsafe { pack::rows::<Self>(a, at, size, to) }
    }

    /// Packs (k × n) of B from (p, j) on: in panels of columns. A panel holds its columns for one inner index after the
    /// other, padded with zeros.
    ///
    /// # Safety
    /// The requirements of [`Tile::pack_rows`].
    #[inline(always)]
    unsafe fn pack_columns(b: Strided, at: (usize, usize), size: (usize, usize), to: *mut f32) {
        // SAFETY: guaranteed by the caller.
        unsafe { pack::columns::<Self>(b, at, size, to) }
    }

    /// Computes C ← α·A·B (+ C) for a tile of `V` registers and all COLUMNS: rows of A are contiguous, B is in place
    /// or, if `PACKED`, [k][COLUMNS].
    ///
    /// # Safety
    /// The processor has these vectors; all accesses through the pointers are in bounds.
    unsafe fn run<const V: usize, const PACKED: bool>(
        k: usize,
        a: Strided,
        b: Strided,
        c: *mut f32,
        c_column: usize,
        alpha: f32,
        add: bool,
    );
}

/// Sixteen `f32` at once.
pub(super) struct Avx512;
/// Eight `f32` at once.
pub(super) struct Avx2;
/// Eight `f32` at once that were rounded to bfloat16.
pub(super) struct Rounded;

macro_rules! tile {
    ($name:ident, $feature:literal, $vector:ty, $lanes:literal, $columns:literal, $inner:expr,
     $block:expr,
     $zero:ident, $splat:ident, $load:ident, $store:ident, $fma:ident, $mul:ident,
     $add_product:ident, {$($own:tt)*}) => {
        impl Tile for $name {
            $($own)*
            const LANES: usize = $lanes;
            const COLUMNS: usize = $columns;
            const INNER: usize = $inner;
            const BLOCK_A: usize = $block;

            #[target_feature(enable = $feature)]
            unsafe fn blocks(blocks: &Blocks, packed_a: &mut Vec<Line>, packed_b: &mut Vec<Line>) {
                // SAFETY: guaranteed by the caller.
                unsafe { blocks.each::<Self>(packed_a, packed_b) }
            }

            #[inline]
            #[target_feature(enable = $feature)]
            unsafe fn run<const V: usize, const PACKED: bool>(
                k: usize,
                a: Strided,
                b: Strided,
                c: *mut f32,
                c_column: usize,
                alpha: f32,
                add: bool,
            ) {
                // SAFETY: guaranteed by the caller.
                unsafe {
                    let mut sums = [[$zero(); V]; $columns];
                    for j in 0..$columns {
                        for line in 0..V * $lanes / 16 {
                            let place = c.wrapping_add(j * c_column + 16 * line);
                            _mm_prefetch::<_MM_HINT_T0>(place.cast());
                        }
                    }
                    let (mut x_start, mut y_start) = (a.start, b.start);
                    let y_step = if PACKED { $columns } else { b.row };
                    for _ in 0..k {
                        let mut x: [$vector; V] = [$zero(); V];
                        for v in 0..V {
                            x[v] = $load(x_start.add(v * $lanes));
                            // Once per cache line.
                            if (v * $lanes).is_multiple_of(16) {
                                let ahead = x_start.wrapping_add(AHEAD * a.column + v * $lanes);
                                _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                            }
                        }
                        for j in 0..$columns {
                            let y = $splat(*y_start.add(if PACKED { j } else { j * b.column }));
                            for v in 0..V {
                                sums[j][v] = $add_product(x[v], y, sums[j][v]);
                            }
                        }
                        // After the last step these pointers may be out of bounds; they are not read there.
                        x_start = x_start.wrapping_add(a.column);
                        y_start = y_start.wrapping_add(y_step);
                    }
                    if !Self::IN_PLACE && k % 2 == 1 {
                        // The partner of the last term is 0.
                        let zero = $zero();
                        sums.iter_mut().flatten().for_each(|s| *s = $add_product(zero, zero, *s));
                    }
                    let alpha = $splat(alpha);
                    for j in 0..$columns {
                        for v in 0..V {
                            let place = c.add(j * c_column + v * $lanes);
                            let sum = if add {
                                $fma(alpha, sums[j][v], $load(place))
                            } else {
                                $mul(alpha, sums[j][v])
                            };
                            $store(place, sum);
                        }
                    }
                }
            }
        }
    };
}

tile!(
    Avx512,
    "avx512f",
    __m512,
    16,
    8,
    512,
    144 * 1024, // somewhat more than half of 1 MiB, measured best
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    {}
);
tile!(
    Avx2,
    "avx2,fma",
    __m256,
    8,
    4,
    512,
    32 * 1024, // half of 256 KiB
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    {}
);
tile!(
    Rounded,
    "avx2,fma",
    __m256,
    8,
    4,
    TERMS_OF_BLOCK,
    24 * 1024,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_mul_ps,
    add_product_flushed,
    {
        const BLOCK_COLUMNS: usize = 256;
        const IN_PLACE: bool = false;

        #[inline(always)]
        unsafe fn pack_rows(a: Strided, at: (usize, usize), size: (usize, usize), to: *mut f32) {
            let (m, k) = size;
            // SAFETY: guaranteed by the caller; packing wrote these elements.
            unsafe {
                pack::rows::<Self>(a, at, size, to);
                round_all(std::slice::from_raw_parts_mut(to, m.next_multiple_of(Self::LANES) * k));
            }
        }

        #[inline(always)]
        unsafe fn pack_columns(b: Strided, at: (usize, usize), size: (usize, usize), to: *mut f32) {
            let (k, n) = size;
            // SAFETY: guaranteed by the caller; packing wrote these elements.
            unsafe {
                pack::columns::<Self>(b, at, size, to);
                round_all(std::slice::from_raw_parts_mut(
                    to,
                    n.next_multiple_of(Self::COLUMNS) * k,
                ));
            }
        }
    }
);

/// Rounds packed numbers to bfloat16.
#[inline(always)]
fn round_all(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = bfloat::rounded(*x));
}

/// Returns x·y + sum in one rounding; a subnormal result becomes 0.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_product_flushed(x: __m256, y: __m256, sum: __m256) -> __m256 {
    let sum = _mm256_fmadd_ps(x, y, sum);
    let sign = _mm256_set1_ps(-0.0);
    let size = _mm256_andnot_ps(sign, sum);
    let tiny = _mm256_cmp_ps::<_CMP_LT_OQ>(size, _mm256_set1_ps(f32::MIN_POSITIVE));
    // Where it is tiny, everything but the sign is cleared.
    _mm256_andnot_ps(_mm256_andnot_ps(sign, tiny), sum)
}
