//! Tiles by the processor's dot products of pairs of bfloat16 (AVX512-BF16).
//!
//! An element of a packed block holds two terms of the inner dimension. The instruction adds the product of the upper
//! halves first, then that of the lower ones, each in one rounding and with subnormal numbers taken as 0, so the earlier
//! term stands in the upper half.
//! Source: Intel, *Architecture Instruction Set Extensions Programming Reference*, VDPBF16PS; which half is first was
//! tried on an AMD processor of the Zen 5 generation.
#![allow(unsafe_code)]

use super::{AHEAD, Blocks, Packed, Strided, tile::Tile, vectors};
use crate::kernel::bfloat::TERMS_OF_BLOCK;
use std::arch::x86_64::*;
use std::mem::transmute;

/// The number of terms by which packing prefetches.
const TERMS_AHEAD: usize = 16;

/// Whether this processor has the instructions.
pub(super) fn detected() -> bool {
    is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw")
}

/// Thirty-two bfloat16 at once.
pub(super) struct Pairs;

impl Tile<f32> for Pairs {
    const LANES: usize = 16;
    const COLUMNS: usize = 8;
    const INNER: usize = TERMS_OF_BLOCK;
    const BLOCK_A: usize = 144 * 1024;
    const TERMS: usize = 2;
    const IN_PLACE: bool = false;

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn blocks(blocks: &Blocks<'_, f32>, packed: &mut Packed) {
        // SAFETY: guaranteed by the caller.
        unsafe { blocks.each::<Self>(packed) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn fused(x: f32, y: f32, sum: f32) -> f32 {
        x.mul_add(y, sum)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pack_rows(
        a: Strided<f32>,
        (i, p): (usize, usize),
        (m, k): (usize, usize),
        to: *mut f32,
    ) {
        let depth = k.div_ceil(2);
        let mut done = 0;
        while done < m {
            let height = vectors((m - done).div_ceil(16)) * 16;
            for line in (0..height).step_by(16) {
                let lines = (m - done).saturating_sub(line).min(16);
                // SAFETY: the lines are rows of the block; a panel has `height` elements for each pair.
                unsafe {
                    let to = to.add(done * depth + line);
                    let from = a.at(i + done + line.min(m - done - 1), p);
                    each_pair(from, (a.row, a.column), (lines, k), |pair, x| {
                        _mm512_storeu_si512(to.add(pair * height).cast(), x);
                    });
                }
            }
            done += height;
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pack_columns(
        b: Strided<f32>,
        (p, j): (usize, usize),
        (k, n): (usize, usize),
        to: *mut f32,
    ) {
        let depth = k.div_ceil(2);
        for done in (0..n).step_by(16) {
            let lines = (n - done).min(16);
            // SAFETY: the lines are columns of the block; a panel has eight elements for each pair, and the second panel
            // exists if it has a column.
            unsafe {
                let first = to.add(done * depth);
                let second = first.add(8 * depth);
                each_pair(b.at(p, j + done), (b.column, b.row), (lines, k), |pair, x| {
                    _mm256_storeu_si256(first.add(8 * pair).cast(), _mm512_castsi512_si256(x));
                    if lines > 8 {
                        let upper = _mm512_extracti64x4_epi64::<1>(x);
                        _mm256_storeu_si256(second.add(8 * pair).cast(), upper);
                    }
                });
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn run<const V: usize, const PACKED: bool>(
        k: usize,
        a: Strided<f32>,
        b: Strided<f32>,
        c: *mut f32,
        c_column: usize,
        alpha: f32,
        add: bool,
    ) {
        debug_assert!(PACKED, "pairs are always packed");
        // SAFETY: guaranteed by the caller.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); V]; 8];
            for j in 0..8 {
                for v in 0..V {
                    let place = c.wrapping_add(j * c_column + 16 * v);
                    _mm_prefetch::<_MM_HINT_T0>(place.cast());
                }
            }
            let (mut x_start, mut y_start) = (a.start, b.start);
            for _ in 0..k {
                let mut x = [_mm512_setzero_si512(); V];
                for v in 0..V {
                    x[v] = _mm512_loadu_si512(x_start.add(16 * v).cast());
                    let ahead = x_start.wrapping_add(AHEAD * a.column + 16 * v);
                    _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                }
                for j in 0..8 {
                    let y = _mm512_set1_epi32(y_start.add(j).cast::<i32>().read());
                    for v in 0..V {
                        sums[j][v] = _mm512_dpbf16_ps(sums[j][v], halves(x[v]), halves(y));
                    }
                }
                x_start = x_start.wrapping_add(a.column);
                y_start = y_start.wrapping_add(8);
            }
            let alpha = _mm512_set1_ps(alpha);
            for j in 0..8 {
                for v in 0..V {
                    let place = c.add(j * c_column + 16 * v);
                    let sum = match add {
                        true => _mm512_fmadd_ps(alpha, sums[j][v], _mm512_loadu_ps(place)),
                        false => _mm512_mul_ps(alpha, sums[j][v]),
                    };
                    _mm512_storeu_ps(place, sum);
                }
            }
        }
    }
}

/// Returns the bits as bfloat16.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(x: __m512i) -> __m512bh {
    // SAFETY: both types are 512 bits of any value.
    unsafe { transmute::<__m512i, __m512bh>(x) }
}

/// Returns thirty-two numbers as bfloat16: `low` in the lower half of the register.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512, high: __m512) -> __m512i {
    let both = _mm512_cvtne2ps_pbh(high, low);
    // SAFETY: both types are 512 bits of any value.
    unsafe { transmute::<__m512bh, __m512i>(both) }
}

/// Calls `store(p, pairs)` with the terms 2p and 2p + 1 of up to sixteen lines, rounded; 0 for lines and terms that do not
/// exist. Element (line, term) is at `from + line·strides.0 + term·strides.1`; one stride is 1.
///
/// # Safety
/// The lines and terms are in memory; the processor has the instructions.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn each_pair(
    from: *const f32,
    (line, term): (usize, usize),
    (lines, terms): (usize, usize),
    mut store: impl FnMut(usize, __m512i),
) {
    let mask = |count: usize| (((1_u32 << count.min(16)) - 1) & 0xffff) as __mmask16;
    // SAFETY: masks keep to what exists, as the caller guarantees.
    unsafe {
        if line == 1 {
            // Terms stand in rows: one above the other is a pair, to be interleaved.
            let order: [u16; 32] = const {
                let mut order = [0; 32];
                let mut i = 0;
                while i < 32 {
                    order[i] = (i / 2 + if i % 2 == 0 { 0 } else { 16 }) as u16;
                    i += 1;
                }
                order
            };
            let order = _mm512_loadu_si512(order.as_ptr().cast());
            let mask = mask(lines);
            for pair in 0..terms.div_ceil(2) {
                let at = from.add(2 * pair * term);
                for ahead in [TERMS_AHEAD, TERMS_AHEAD + 1] {
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead * term).cast());
                }
                let first = _mm512_maskz_loadu_ps(mask, at);
                let second = match 2 * pair + 1 < terms {
                    true => _mm512_maskz_loadu_ps(mask, at.add(term)),
                    false => _mm512_setzero_ps(),
                };
                store(pair, _mm512_permutexvar_epi16(order, rounded(second, first)));
            }
            return;
        }
        for first in (0..terms).step_by(32) {
            let left = terms - first;
            let mut x = [_mm512_setzero_si512(); 16];
            for (l, x) in x.iter_mut().enumerate().take(lines) {
                let at = from.add(l * line + first);
                for ahead in [32, 48] {
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead).cast());
                }
                let low = _mm512_maskz_loadu_ps(mask(left), at);
                let high = match left > 16 {
                    true => _mm512_maskz_loadu_ps(mask(left - 16), at.add(16)),
                    false => _mm512_setzero_ps(),
                };
                // The earlier term of a pair goes into the upper half.
                *x = _mm512_rol_epi32::<16>(rounded(low, high));
            }
            let x = transposed(x);
            for (pair, x) in x.into_iter().enumerate().take(left.div_ceil(2)) {
                store(first / 2 + pair, x);
            }
        }
    }
}

/// Returns the transpose of sixteen rows of sixteen numbers.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512i; 16]) -> [__m512i; 16] {
    let mut t = r;
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    // Row 4g + c: column c of every fourth of a register, of rows 4g to 4g + 3.
    let mut q = t;
    for g in 0..4 {
        let at = 4 * g;
        q[at] = _mm512_unpacklo_epi64(t[at], t[at + 2]);
        q[at + 1] = _mm512_unpackhi_epi64(t[at], t[at + 2]);
        q[at + 2] = _mm512_unpacklo_epi64(t[at + 1], t[at + 3]);
        q[at + 3] = _mm512_unpackhi_epi64(t[at + 1], t[at + 3]);
    }
    let mut columns = q;
    for c in 0..4 {
        let even = |x, y| _mm512_shuffle_i32x4::<0x88>(x, y);
        let odd = |x, y| _mm512_shuffle_i32x4::<0xdd>(x, y);
        let [a, b] = [even(q[c], q[4 + c]), even(q[8 + c], q[12 + c])];
        let [d, e] = [odd(q[c], q[4 + c]), odd(q[8 + c], q[12 + c])];
        columns[c] = even(a, b);
        columns[4 + c] = even(d, e);
        columns[8 + c] = odd(a, b);
        columns[12 + c] = odd(d, e);
    }
    columns
}
