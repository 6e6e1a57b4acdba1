//! Gradient clipping.

use linalg::formula::{I, J, operand};
use linalg::{Formula, Real, ViewMut, parallel};

/// The number of squares per block; blocks are added in a tree whose form depends only on the length.
const BLOCK: usize = 1 << 14;

/// Returns <var>‖g‖₂</var> of all gradients together, summed in `f64` and without a derivative; 0 if there are none,
/// NaN or ∞ if the gradients contain NaN or ∞. ([`linalg::norm::l2`] has a derivative.)
///
/// Accurate over the whole range of `f64`: if squares overflow or underflow, the sum is repeated with gradients scaled
/// by the largest.
///
/// ```
/// use calculus::clip::global_norm;
/// assert_eq!(global_norm(&[3.0, 4.0]), 5.0);
/// assert!((global_norm(&[3e200, -4e200]) / 5e200 - 1.0).abs() < 1e-15);
/// ```
pub fn global_norm<T: Real>(gradients: &[T]) -> f64 {
    fn squares<T: Real>(g: &[T]) -> f64 {
        if g.len() <= BLOCK {
            const LANES: usize = 8;
            return T::simd(
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
    let sum = squares(gradients);
    // Below this limit, significant squares may have lost digits.
    let safe = sum >= 1e-280 && sum.is_finite();
    if safe || sum.is_nan() { sum.sqrt() } else { scaled_norm(gradients) }
}

/// Returns <var>‖g‖₂</var> as <var>max|g|·‖g/max|g|‖₂</var>, for squares out of range.
fn scaled_norm<T: Real>(gradients: &[T]) -> f64 {
    let sizes = || gradients.iter().map(|g| g.to_f64().abs());
    let largest = sizes().fold(0.0, f64::max);
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * linalg::accurate::sum(sizes().map(|g| (g / largest) * (g / largest))).sqrt()
}

/// Shrinks all gradients together so that their norm is at most `limit`; returns the norm before.
///
/// <var>g ← g·min(1, limit/(‖g‖ + 10⁻⁶))</var>: the direction stays. The 10⁻⁶ is PyTorch's. The factor is an `f64`, a
/// constant for differentiation. Gradients with a non-finite norm stay unchanged; the caller must check the returned
/// norm. A limit of ∞ changes nothing. All other gradients, from subnormal to near overflow, are accurate to a few ε
/// for any limit; a subnormal product may differ by one more smallest number.
///
/// Source: Pascanu, Mikolov, Bengio 2013.
///
/// # Panics
/// If the limit is negative or NaN: a negative factor would reverse the direction.
///
/// ```
/// let mut g = [3.0_f64, 4.0];
/// assert_eq!(calculus::clip::by_global_norm(&mut g, 1.0), 5.0);
/// assert!((g[0] - 0.6).abs() < 1e-6 && (g[1] - 0.8).abs() < 1e-6);
/// ```
#[doc(alias = "clip_grad_norm_")]
pub fn by_global_norm<T: Real>(gradients: &mut [T], limit: f64) -> f64 {
    let norm = global_norm(gradients);
    let whole = factor(norm, limit);
    if limit > 0.0 && whole < f64::MIN_POSITIVE {
        // A subnormal factor has few digits, or underflows, so a power of two is applied first. Its error in subnormal
        // products is below a quarter of the smallest number.
        let power = 1021.0_f64.exp2();
        scale(gradients, 1.0 / power);
        scale(gradients, limit * power / (norm + 1e-6));
    } else {
        scale(gradients, whole);
    }
    norm
}

/// Returns the factor by which [`by_global_norm`] shrinks gradients of this norm: at most 1, and 1 if the norm is not
/// finite. On `f64` only, like the norm.
///
/// # Panics
/// Like [`by_global_norm`].
///
/// ```
/// assert!((calculus::clip::factor(5.0, 1.0) - 0.2).abs() < 1e-6);
/// assert_eq!(calculus::clip::factor(0.5, 1.0), 1.0);
/// ```
pub fn factor(norm: f64, limit: f64) -> f64 {
    assert!(limit >= 0.0, "a norm is at most 0 or more, not {limit}");
    let factor = limit / (norm + 1e-6);
    if norm.is_finite() && factor < 1.0 { factor } else { 1.0 }
}

/// Computes <var>g ← factor·g</var> in IEEE arithmetic: 0·∞ is NaN. A factor of 1 changes nothing.
///
/// A factor outside the scalar's range is applied in several steps with a single rounding, as if it were in range: for
/// `f32`, 10⁻⁵⁰·10³⁰ is 10⁻²⁰ and not 0.
///
/// ```
/// let mut g = [3.0, -4.0];
/// calculus::clip::scale(&mut g, 0.5);
/// assert_eq!(g, [1.5, -2.0]);
/// ```
pub fn scale<T: Real>(gradients: &mut [T], factor: f64) {
    let (mut rest, step) = (factor, 64.0_f64.exp2());
    if is_held::<T>(factor) {
        return multiply(gradients, factor);
    }
    // Powers of two are exact unless the result is subnormal or infinite: large ones come before the rest, small ones
    // after it.
    while rest.abs() > step {
        multiply(gradients, step);
        rest /= step;
    }
    let mut small = 0;
    while rest.abs() < 1.0 / step {
        (rest, small) = (rest * step, small + 1);
    }
    multiply(gradients, rest);
    (0..small).for_each(|_| multiply(gradients, 1.0 / step));
}

/// Whether the scalar represents this factor to half an ε of `f32`, or as the same ∞ or NaN.
pub(crate) fn is_held<T: Real>(factor: f64) -> bool {
    let lost = (T::from_f64(factor).to_f64() - factor).abs();
    !(factor.is_finite() && lost > f64::from(f32::EPSILON / 2.0) * factor.abs())
}

/// Computes <var>g ← factor·g</var> for a factor that the scalar represents.
fn multiply<T: Real>(gradients: &mut [T], factor: f64) {
    if factor == 1.0 {
        return;
    }
    let (n, factor) = (gradients.len(), T::from_f64(factor));
    parallel::rows([ViewMut::from_slice(gradients, n, 1)], parallel::BLOCK, |_, [mut g]| {
        let mut g = g.column_mut(0);
        T::simd(
            #[inline(always)]
            || g.as_mut_slice().iter_mut().for_each(|g| *g *= factor),
        );
    });
}

/// Returns clipping at the norm `norm` as a formula, which an explanation prints and evaluates, on `f64` only.
///
/// ```
/// let formula = calculus::clip::formula(5.0, 1.0);
/// let shrunk = formula.derive((0, 0), |_, _, _| 3.0);
/// assert!((shrunk.part.value - 0.6).abs() < 1e-6); // 3 of (3, 4), whose norm is 5
/// ```
pub fn formula(norm: f64, limit: f64) -> Formula {
    Formula::new(
        "g′",
        ["g"],
        "Shrinks all gradients together so that their norm is at most the limit.",
        "Pascanu, Mikolov, Bengio 2013",
    )
    .value(factor(norm, limit) * operand(0).at(I, J))
}

/// Clamps every gradient to [−`limit`, `limit`], and returns the number of gradients outside.
///
/// The direction changes, because only large components shrink. ±∞ becomes ±`limit`; NaN stays NaN and is not counted.
///
/// Source: Mikolov, *Statistical Language Models Based on Neural Networks*, 2012, section 3.2.2.
///
/// # Panics
/// If the limit is negative or NaN.
///
/// ```
/// let mut g = [0.5_f64, -3.0, f64::INFINITY];
/// assert_eq!(calculus::clip::by_value(&mut g, 1.0), 2);
/// assert_eq!(g, [0.5, -1.0, 1.0]);
/// ```
#[doc(alias = "clip_grad_value_")]
#[doc(alias = "clamp")]
pub fn by_value<T: Real>(gradients: &mut [T], limit: f64) -> usize {
    assert!(limit >= 0.0, "a bound is 0 or more, not {limit}");
    let (low, high) = (T::from_f64(-limit), T::from_f64(limit));
    let mut outside = 0;
    for g in gradients {
        let bound = if *g > high {
            high
        } else if *g < low {
            low
        } else {
            continue;
        };
        (*g, outside) = (bound, outside + 1);
    }
    outside
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
    fn the_formula_is_what_is_done() {
        for (g, limit) in [([3.0, -4.0], 1.0), ([3.0, -4.0], 9.0), ([3e-200, -4e-200], 1e-300)] {
            let mut clipped = g;
            let norm = by_global_norm(&mut clipped, limit);
            let formula = formula(norm, limit);
            assert!(formula.value.to_string().ends_with("·g[i,j]"));
            for (i, found) in clipped.into_iter().enumerate() {
                let derivation = formula.derive((i, 0), |_, i, _| g[i]);
                assert!(derivation.makes(found, f64::EPSILON, 0.0), "{found:e} of {}", g[i]);
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
    fn norms_over_the_whole_range() {
        for scale in [5e-324, 1e-300, 1e-160, 1e-150, 1.0, 1e150, 1e160, 1e300] {
            let norm = global_norm(&[3.0 * scale, -4.0 * scale, 0.0]);
            assert!((norm / (5.0 * scale) - 1.0).abs() <= f64::EPSILON, "{scale:e}: {norm:e}");
        }
        assert_eq!(global_norm::<f64>(&[]), 0.0);
        assert_eq!(global_norm(&[-0.0_f64]), 0.0);
        assert_eq!(global_norm(&[f64::NEG_INFINITY, 1.0]), f64::INFINITY);
        assert!(global_norm(&[f64::INFINITY, f64::NAN]).is_nan());
        assert_eq!(global_norm(&[f64::MAX, f64::MAX]), f64::INFINITY); // √2·MAX overflows
    }

    #[test]
    fn hard_gradients_and_limits() {
        let mut g = [f64::NAN, 2.0, -0.0, 5e-324, f64::NEG_INFINITY];
        assert_eq!(by_value(&mut g, 1.0), 2);
        assert!(g[0].is_nan());
        assert_eq!(g[1..], [1.0, -0.0, 5e-324, -1.0]);
        assert_eq!(by_value(&mut [3.0_f32], 0.0), 1);
        assert_eq!(by_value::<f64>(&mut [], 1.0), 0);
        let hard = [0.0, -0.0, 5e-324, f64::MAX, f64::INFINITY, f64::NAN];
        for factor in [1.0, 0.0, -0.0, 0.5, 5e-324, f64::INFINITY, f64::NAN] {
            let mut g = hard;
            scale(&mut g, factor);
            for (scaled, g) in g.into_iter().zip(hard) {
                let product = g * factor;
                assert!(
                    scaled.to_bits() == product.to_bits() || product.is_nan() && scaled.is_nan()
                );
            }
        }
        scale::<f64>(&mut [], 2.0);
        let mut g = [f64::INFINITY, 1.0];
        assert_eq!(by_global_norm(&mut g, 1.0), f64::INFINITY);
        assert_eq!(g, [f64::INFINITY, 1.0]);
        assert_eq!(by_global_norm::<f64>(&mut [], 1.0), 0.0);
        let mut g = [1e300, 0.0];
        assert_eq!(by_global_norm(&mut g, f64::INFINITY), 1e300);
        assert_eq!(by_global_norm(&mut g, 1.0), 1e300);
        assert!((g[0] - 1.0).abs() <= f64::EPSILON);
    }

    #[test]
    #[should_panic(expected = "not -1")]
    fn a_negative_limit_would_climb() {
        by_global_norm(&mut [3.0], -1.0);
    }

    #[test]
    #[should_panic(expected = "not NaN")]
    fn a_limit_of_nan_bounds_nothing() {
        by_value(&mut [3.0], f64::NAN);
    }

    #[test]
    fn norm_of_many() {
        const {
            assert!(
                100_000 > 4 * BLOCK && !100_000_usize.is_multiple_of(BLOCK),
                "one block is no case"
            )
        };
        assert_eq!(global_norm(&vec![2.0_f32; 100_000]), (400_000.0_f64).sqrt());
    }
}
