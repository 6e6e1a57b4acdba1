//! Gradient clipping.

use linalg::formula::{I, J, operand};
use linalg::{Formula, Real, ViewMut, parallel, simd};

/// ‖g‖₂ of all gradients together, summed in `f64`; NaN or ∞ where the gradients are.
pub fn global_norm<T: Real>(gradients: &[T]) -> f64 {
    /// Sums of this many squares are added up as a tree whose form depends on the length alone.
    const BLOCK: usize = 1 << 14;
    fn squares<T: Real>(g: &[T]) -> f64 {
        if g.len() <= BLOCK {
            const LANES: usize = 8;
            return simd(
                #[inline(always)]
                || {
                    let mut lanes = [0.0; LANES];
                    let (chunks, rest) = g.as_chunks::<LANES>();
                    for chunk in chunks {
                        for l in 0..LANES {
                            lanes[l] += chunk[l].to_f64() * chunk[l].to_f64();
                        }
                    }
                    let rest: f64 = rest.iter().map(|g| g.to_f64() * g.to_f64()).sum();
                    lanes.iter().sum::<f64>() + rest
                },
            );
        }
        let (left, right) = g.split_at((g.len() / 2).next_multiple_of(BLOCK));
        let (left, right) = rayon::join(|| squares(left), || squares(right));
        left + right
    }
    squares(gradients).sqrt()
}

/// Shrinks all gradients together so that their norm is at most `limit`; returns the norm before.
///
/// g ← g·min(1, limit/(‖g‖ + 10⁻⁶)): the direction stays. The 10⁻⁶ is PyTorch's. Gradients whose norm
/// is not finite are left as they are: there is nothing to save, and the caller must see it.
///
/// Source: Pascanu, Mikolov, Bengio 2013.
///
/// ```
/// let mut g = [3.0_f64, 4.0];
/// assert_eq!(calculus::clip::by_global_norm(&mut g, 1.0), 5.0);
/// assert!((g[0] - 0.6).abs() < 1e-6 && (g[1] - 0.8).abs() < 1e-6);
/// ```
pub fn by_global_norm<T: Real>(gradients: &mut [T], limit: f64) -> f64 {
    let norm = global_norm(gradients);
    let factor = limit / (norm + 1e-6);
    if norm.is_finite() && factor < 1.0 {
        let (n, factor) = (gradients.len(), T::from_f64(factor));
        parallel::rows([ViewMut::from_slice(gradients, n, 1)], 8192, |_, [mut g]| {
            let mut g = g.column_mut(0);
            simd(
                #[inline(always)]
                || g.as_mut_slice().iter_mut().for_each(|g| *g *= factor),
            );
        });
    }
    norm
}

/// What [`by_global_norm`] multiplies with, where the norm is `norm`.
pub fn factor(norm: f64, limit: f64) -> f64 {
    let factor = limit / (norm + 1e-6);
    if norm.is_finite() && factor < 1.0 { factor } else { 1.0 }
}

/// Clipping as a formula, where the norm is `norm`: what an explanation prints and evaluates.
pub fn formula(norm: f64, limit: f64) -> Formula {
    Formula::new(
        "g′",
        ["g"],
        "Shrinks all gradients together so that their norm is at most the limit.",
        "Pascanu, Mikolov, Bengio 2013",
    )
    .value(factor(norm, limit) * operand(0).at(I, J))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shortens_and_keeps_the_direction(
            g in prop::collection::vec(-9.0f64..9.0, 1..50), limit in 0.1f64..9.0,
        ) {
            let mut clipped = g.clone();
            let norm = by_global_norm(&mut clipped, limit);
            prop_assert!(global_norm(&clipped) <= limit.max(norm.min(limit)) * (1.0 + 1e-12));
            let factor = (limit / (norm + 1e-6)).min(1.0);
            for (c, g) in clipped.iter().zip(&g) {
                prop_assert!((c - factor * g).abs() <= 1e-12);
            }
        }
    }

    #[test]
    fn nan_is_reported_and_not_spread() {
        let mut g = [1.0, f64::NAN];
        assert!(by_global_norm(&mut g, 0.5).is_nan());
        assert_eq!(g[0], 1.0);
    }

    #[test]
    fn norm_of_many() {
        assert_eq!(global_norm(&vec![2.0_f32; 100_000]), (400_000.0_f64).sqrt());
    }
}
