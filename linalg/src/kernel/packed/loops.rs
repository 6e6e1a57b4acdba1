//! Tiles of plain loops, for processors whose vectors have no tiles of their own here: the compiler takes NEON's, SSE2's
//! or WebAssembly's.
#![allow(unsafe_code)]

use super::{Blocks, Packed, Strided, element::Element, tile::Tile};

/// Plain loops; `FUSED` by the processor's multiply-add, without it by [`Element::fused`].
pub(super) struct Loops<const FUSED: bool>;

macro_rules! tile {
    ($element:ty, $fused:literal, $($feature:literal)?, $lanes:literal, $block:expr) => {
        impl Tile<$element> for Loops<$fused> {
            const LANES: usize = $lanes;
            const COLUMNS: usize = 4;
            const BLOCK_A: usize = $block;

            $(#[target_feature(enable = $feature)])?
            unsafe fn blocks(blocks: &Blocks<'_, $element>, packed: &mut Packed) {
                // SAFETY: guaranteed by the caller.
                unsafe { blocks.each::<Self>(packed) }
            }

            #[inline(always)]
            unsafe fn fused(x: $element, y: $element, sum: $element) -> $element {
                if $fused { x.mul_add(y, sum) } else { <$element as Element>::fused(x, y, sum) }
            }

            #[inline(always)]
            unsafe fn run<const V: usize, const PACKED: bool>(
                k: usize,
                a: Strided<$element>,
                b: Strided<$element>,
                c: *mut $element,
                c_column: usize,
                alpha: $element,
                add: bool,
            ) {
                // SAFETY: guaranteed by the caller; after the last step the pointers may be out of bounds, and are not read.
                unsafe {
                    let mut sums = [[[0.0; $lanes]; V]; 4];
                    let (mut x_start, mut y_start) = (a.start, b.start);
                    let y_step = if PACKED { 4 } else { b.row };
                    for _ in 0..k {
                        let x = x_start.cast::<[[$element; $lanes]; V]>().read();
                        for j in 0..4 {
                            let y = *y_start.add(if PACKED { j } else { j * b.column });
                            for v in 0..V {
                                for l in 0..$lanes {
                                    sums[j][v][l] = Self::fused(x[v][l], y, sums[j][v][l]);
                                }
                            }
                        }
                        x_start = x_start.wrapping_add(a.column);
                        y_start = y_start.wrapping_add(y_step);
                    }
                    for j in 0..4 {
                        for (i, sum) in sums[j].as_flattened().iter().enumerate() {
                            let c = c.add(j * c_column + i);
                            *c = if add { Self::fused(alpha, *sum, *c) } else { alpha * *sum };
                        }
                    }
                }
            }
        }
    };
}

tile!(f32, false, , 8, 32 * 1024); // half of 256 KiB
tile!(f64, false, , 4, 16 * 1024);
#[cfg(target_arch = "x86_64")]
tile!(f32, true, "fma", 8, 32 * 1024);
#[cfg(target_arch = "x86_64")]
tile!(f64, true, "fma", 4, 16 * 1024);
