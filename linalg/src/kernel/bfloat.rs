//! Products of bfloat16, added up in `f32`: what they are.
//!
//! Both factors are rounded to bfloat16 ([`rounded`]). The terms of the inner dimension are taken in blocks of equal
//! length, at most [`TERMS_OF_BLOCK`]. A block is added up in the order of its terms, <var>s ← fl(a·b + s)</var>, each
//! time in one rounding to `f32`; the sums of blocks are added in order. Subnormal numbers count as 0, in the factors and in
//! <var>s</var>. That is what processors with AVX512-BF16 compute, whose instruction takes two terms at once; all others
//! compute the same bits by fused multiply-adds of `f32`.

use super::{block_of_terms, factor::Factor};
use crate::half::{bf16_to_f32, f32_to_bf16, f64_to_bf16};
use crate::{Real, ViewMut};

/// The longest block of the inner dimension.
pub(crate) const TERMS_OF_BLOCK: usize = 1024;

/// Returns the nearest bfloat16; a subnormal number becomes 0.
#[inline(always)]
pub(crate) fn rounded(x: f32) -> f32 {
    flushed(bf16_to_f32(f32_to_bf16(flushed(x))))
}

/// Returns `x`, or 0 of its sign if it is subnormal.
#[inline(always)]
fn flushed(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(x) } else { x }
}

/// Computes <var>C ← A·B</var>, or <var>C ← C + A·B</var> if `add` is set, of `f32` on any processor.
pub(crate) fn portable(mut c: ViewMut<'_, f32>, a: Factor<'_, f32>, b: Factor<'_, f32>, add: bool) {
    let terms = a.columns();
    let block = block_of_terms(terms, TERMS_OF_BLOCK).max(1);
    for j in 0..c.ncols() {
        for i in 0..c.nrows() {
            let mut sum = if add { c[(i, j)] } else { 0.0 };
            for first in (0..terms).step_by(block) {
                let mut part = 0.0_f32;
                let end = terms.min(first + block);
                for k in first..end {
                    part = flushed(rounded(a.at(i, k)).mul_add(rounded(b.at(k, j)), part));
                }
                if (end - first) % 2 == 1 {
                    part += 0.0; // The partner of the last term is 0.
                }
                sum = if add || first > 0 { sum + part } else { part };
            }
            c[(i, j)] = sum;
        }
    }
}

/// Returns the nearest bfloat16 of a scalar; its derivative is that of x, as if it were not rounded.
#[inline(always)]
fn rounded_scalar<T: Real>(x: T) -> T {
    let value = x.to_f64();
    let near = f64::from(flushed(bf16_to_f32(f64_to_bf16(value))));
    // Exact, because near has fewer digits than the value.
    if value.is_finite() && near.is_finite() { x + T::from_f64(near - value) } else { x }
}

/// Like [`portable`], in the arithmetic of any scalar, without blocks.
pub(crate) fn plain<T: Real>(mut c: ViewMut<'_, T>, a: Factor<'_, T>, b: Factor<'_, T>, add: bool) {
    for j in 0..c.ncols() {
        for i in 0..c.nrows() {
            let mut sum = if add { c[(i, j)] } else { T::zero() };
            for k in 0..a.columns() {
                sum += rounded_scalar(a.at(i, k)) * rounded_scalar(b.at(k, j));
            }
            c[(i, j)] = sum;
        }
    }
}
