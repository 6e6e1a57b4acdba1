//! Tiles by AVX-512 and AVX2.
#![allow(unsafe_code)]

use super::{AHEAD, Blocks, Packed, Strided, element::Element, pack, tile::Tile};
use crate::kernel::bfloat::{self, TERMS_OF_BLOCK};
use std::arch::x86_64::*;

/// Sixteen `f32` or eight `f64` at once.
pub(super) struct Avx512;
/// Eight `f32` or four `f64` at once.
pub(super) struct Avx2;
/// Eight `f32` at once that were rounded to bfloat16.
pub(super) struct Rounded;

macro_rules! tile {
    ($name:ident, $feature:literal, $element:ty, $vector:ty, $lanes:literal, $columns:literal,
     $block:expr,
     $zero:ident, $splat:ident, $load:ident, $store:ident, $fma:ident, $mul:ident,
     $add_product:ident, {$($own:tt)*}) => {
        impl Tile<$element> for $name {
            $($own)*
            const LANES: usize = $lanes;
            const COLUMNS: usize = $columns;
            const BLOCK_A: usize = $block;

            #[target_feature(enable = $feature)]
            unsafe fn blocks(blocks: &Blocks<'_, $element>, packed: &mut Packed) {
                // SAFETY: guaranteed by the caller.
                unsafe { blocks.each::<Self>(packed) }
            }

            #[inline]
            #[target_feature(enable = $feature)]
            unsafe fn fused(x: $element, y: $element, sum: $element) -> $element {
                x.mul_add(y, sum)
            }

            #[inline]
            #[target_feature(enable = $feature)]
            unsafe fn run<const V: usize, const PACKED: bool>(
                k: usize,
                a: Strided<$element>,
                b: Strided<$element>,
                c: *mut $element,
                c_column: usize,
                alpha: $element,
                add: bool,
            ) {
                // SAFETY: guaranteed by the caller.
                unsafe {
                    let of_line = <$element>::OF_LINE;
                    let mut sums = [[$zero(); V]; $columns];
                    for j in 0..$columns {
                        for line in 0..V * $lanes / of_line {
                            let place = c.wrapping_add(j * c_column + of_line * line);
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
                            if (v * $lanes).is_multiple_of(of_line) {
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
                    if !<Self as Tile<$element>>::IN_PLACE && k % 2 == 1 {
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
    f32,
    __m512,
    16,
    8,
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
    f32,
    __m256,
    8,
    4,
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
    Avx512,
    "avx512f",
    f64,
    __m512d,
    8,
    8,
    72 * 1024,
    _mm512_setzero_pd,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_fmadd_pd,
    _mm512_mul_pd,
    _mm512_fmadd_pd,
    {}
);
tile!(
    Avx2,
    "avx2,fma",
    f64,
    __m256d,
    4,
    4,
    16 * 1024,
    _mm256_setzero_pd,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_fmadd_pd,
    _mm256_mul_pd,
    _mm256_fmadd_pd,
    {}
);
tile!(
    Rounded,
    "avx2,fma",
    f32,
    __m256,
    8,
    4,
    24 * 1024,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_mul_ps,
    add_product_flushed,
    {
        const INNER: usize = TERMS_OF_BLOCK;
        const BLOCK_COLUMNS: usize = 256;
        const IN_PLACE: bool = false;

        #[inline(always)]
        unsafe fn pack_rows(
            a: Strided<f32>,
            at: (usize, usize),
            size: (usize, usize),
            to: *mut f32,
        ) {
            let (m, k) = size;
            // SAFETY: guaranteed by the caller; packing wrote these elements.
            unsafe {
                pack::rows::<f32, Self>(a, at, size, to);
                round_all(to, m.next_multiple_of(Self::LANES) * k);
            }
        }

        #[inline(always)]
        unsafe fn pack_columns(
            b: Strided<f32>,
            at: (usize, usize),
            size: (usize, usize),
            to: *mut f32,
        ) {
            let (k, n) = size;
            // SAFETY: guaranteed by the caller; packing wrote these elements.
            unsafe {
                pack::columns::<f32, Self>(b, at, size, to);
                round_all(to, n.next_multiple_of(Self::COLUMNS) * k);
            }
        }
    }
);

/// Rounds packed numbers to bfloat16.
///
/// # Safety
/// So many numbers stand there, and nothing else uses them.
#[inline(always)]
unsafe fn round_all(packed: *mut f32, count: usize) {
    // SAFETY: guaranteed by the caller.
    let packed = unsafe { std::slice::from_raw_parts_mut(packed, count) };
    packed.iter_mut().for_each(|x| *x = bfloat::rounded(*x));
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
