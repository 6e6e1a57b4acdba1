//! The scalars that have tiles: `f32` and `f64`.
#![allow(unsafe_code)]

use super::{Blocks, Kernel, Packed, loops::Loops, tile::Tile};
#[cfg(target_arch = "x86_64")]
use super::{
    avx::{Avx2, Avx512, Rounded},
    pairs::Pairs,
};
use crate::Real;

/// A scalar with tiles.
pub(crate) trait Element: Real {
    /// The longest block of the inner dimension: a tile's columns of B of this length stay in the first-level cache while
    /// A streams through it. It is the same in every kernel, because sums of blocks are added in order.
    const TERMS_OF_BLOCK: usize;
    /// The number of elements of a cache line.
    const OF_LINE: usize = 64 / size_of::<Self>();

    /// Returns x·y + sum in one rounding.
    fn fused(x: Self, y: Self, sum: Self) -> Self;

    /// Computes a product with this kernel.
    ///
    /// # Safety
    /// The processor has the kernel's instructions; it is one of this scalar.
    unsafe fn run(kernel: Kernel, blocks: &Blocks<'_, Self>, packed: &mut Packed);

    /// Transposes four by four elements: rows are `stride` and `width` apart.
    ///
    /// # Safety
    /// Both places have these elements.
    #[inline(always)]
    unsafe fn transpose(from: *const Self, stride: usize, to: *mut Self, width: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let x: [[Self; 4]; 4] =
                std::array::from_fn(|r| from.add(r * stride).cast::<[Self; 4]>().read());
            for c in 0..4 {
                to.add(c * width).cast::<[Self; 4]>().write(std::array::from_fn(|r| x[r][c]));
            }
        }
    }
}

impl Element for f32 {
    const TERMS_OF_BLOCK: usize = 512;

    #[inline(always)]
    fn fused(x: f32, y: f32, sum: f32) -> f32 {
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            x.mul_add(y, sum)
        } else {
            fused_by_f64(x, y, sum)
        }
    }

    unsafe fn run(kernel: Kernel, blocks: &Blocks<'_, f32>, packed: &mut Packed) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            match kernel {
                Kernel::Portable => Loops::<false>::blocks(blocks, packed),
                #[cfg(target_arch = "x86_64")]
                Kernel::Fused => Loops::<true>::blocks(blocks, packed),
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx512 => Avx512::blocks(blocks, packed),
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx2 => Avx2::blocks(blocks, packed),
                #[cfg(target_arch = "x86_64")]
                Kernel::Pairs => Pairs::blocks(blocks, packed),
                #[cfg(target_arch = "x86_64")]
                Kernel::Rounded => Rounded::blocks(blocks, packed),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, width: usize) {
        use std::arch::x86_64::*;
        // SAFETY: guaranteed by the caller; every x86-64 has these instructions.
        unsafe {
            let x = |r: usize| _mm_loadu_ps(from.add(r * stride));
            let (x0, x1, x2, x3) = (x(0), x(1), x(2), x(3));
            let (low01, high01) = (_mm_unpacklo_ps(x0, x1), _mm_unpackhi_ps(x0, x1));
            let (low23, high23) = (_mm_unpacklo_ps(x2, x3), _mm_unpackhi_ps(x2, x3));
            _mm_storeu_ps(to, _mm_movelh_ps(low01, low23));
            _mm_storeu_ps(to.add(width), _mm_movehl_ps(low23, low01));
            _mm_storeu_ps(to.add(2 * width), _mm_movelh_ps(high01, high23));
            _mm_storeu_ps(to.add(3 * width), _mm_movehl_ps(high23, high01));
        }
    }
}

impl Element for f64 {
    const TERMS_OF_BLOCK: usize = 256;

    /// Two roundings where the target has no such instruction.
    #[inline(always)]
    fn fused(x: f64, y: f64, sum: f64) -> f64 {
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            x.mul_add(y, sum)
        } else {
            x * y + sum
        }
    }

    unsafe fn run(kernel: Kernel, blocks: &Blocks<'_, f64>, packed: &mut Packed) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            match kernel {
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx512 => Avx512::blocks(blocks, packed),
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx2 => Avx2::blocks(blocks, packed),
                #[cfg(target_arch = "x86_64")]
                Kernel::Fused => Loops::<true>::blocks(blocks, packed),
                _ => Loops::<false>::blocks(blocks, packed),
            }
        }
    }
}

/// Returns x·y + sum in one rounding, without the instruction, in loops that the compiler vectorises (`f32::mul_add`
/// would be a call for every number).
///
/// The product of two `f32` is exact in `f64`. If the sum is not, it is rounded to the neighbour with an odd last bit, and
/// that rounds to the right `f32`, because `f64` has more than two bits more.
///
/// Source: Boldo and Melquiond, *Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd*,
/// 2008.
#[inline(always)]
pub(super) fn fused_by_f64(x: f32, y: f32, sum: f32) -> f32 {
    let (product, old) = (f64::from(x) * f64::from(y), f64::from(sum));
    let sum = product + old;
    // What rounding lost (Knuth's TwoSum).
    let part = sum - product;
    let lost = (product - (sum - part)) + (old - part);
    let bits = sum.to_bits();
    // Without a branch. An infinite sum loses NaN, and its last bit is 0: it has no odd neighbour.
    let inexact = u64::from(lost.abs() > 0.0) & !bits & 1;
    let outwards = (lost > 0.0) == (sum > 0.0);
    let odd = if outwards { bits + inexact } else { bits - inexact };
    f64::from_bits(odd) as f32
}
