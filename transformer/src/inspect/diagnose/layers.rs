//! Layers of parameters, and their change by an update.

use rayon::prelude::*;
use std::ops::Range;

/// Computes ‖after − before‖ and ‖before‖ over some ranges.
pub(crate) fn change(before: &[f32], after: &[f32], ranges: &[Range<usize>]) -> (f64, f64) {
    const BLOCK: usize = 1 << 16;
    let squares = |range: &Range<usize>| {
        let pieces =
            before[range.clone()].par_chunks(BLOCK).zip(after[range.clone()].par_chunks(BLOCK));
        // One after another: the order of a sum is fixed.
        let sums: Vec<(f64, f64)> = pieces.map(|(b, a)| squared(b, a)).collect();
        sums.into_iter().fold((0.0, 0.0), |(c, s), (x, y)| (c + x, s + y))
    };
    let (moved, size) =
        ranges.iter().map(squares).fold((0.0, 0.0), |(c, s), (x, y)| (c + x, s + y));
    (moved.sqrt(), size.sqrt())
}

/// Computes Σ (a − b)² and Σ b², in SIMD lanes.
fn squared(before: &[f32], after: &[f32]) -> (f64, f64) {
    const LANES: usize = 8;
    linalg::simd(
        #[inline(always)]
        || {
            let mut lanes = [[0.0_f64; LANES]; 2];
            let ((b, rest), (a, rest_a)) =
                (before.as_chunks::<LANES>(), after.as_chunks::<LANES>());
            for (b, a) in b.iter().zip(a) {
                for l in 0..LANES {
                    let (own, moved) = (f64::from(b[l]), f64::from(a[l] - b[l]));
                    lanes[0][l] += moved * moved;
                    lanes[1][l] += own * own;
                }
            }
            for (b, a) in rest.iter().zip(rest_a) {
                lanes[0][0] += f64::from(a - b) * f64::from(a - b);
                lanes[1][0] += f64::from(*b) * f64::from(*b);
            }
            (lanes[0].iter().sum(), lanes[1].iter().sum())
        },
    )
}
