//! Softmax: scores to a probability distribution.
//!
//! Formula: pᵢ = e^(zᵢ) / Σⱼ e^(zⱼ), for each column z. The maximum is subtracted first, which changes
//! nothing (a common factor cancels) and keeps e^z from overflowing.
//! Gradient: dz = p ⊙ (dp − ⟨dp, p⟩).
//! Source: the textbook's A.2; Bridle 1990.

use linalg::{
    Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work, column, parallel, simd, vector,
};

/// The distribution of one vector of scores.
///
/// A score of −∞ gets probability exactly 0. Scores that are all −∞, or of which one is NaN or +∞,
/// give NaN: there is no such distribution. Of no scores, nothing.
///
/// ```
/// use probability::softmax::softmax;
/// let p = softmax(&[1000.0_f64, 1000.0]); // e^1000 would overflow
/// assert_eq!(p, [0.5, 0.5]);
/// ```
pub fn softmax<T: Real>(scores: &[T]) -> Vec<T> {
    let mut p = vec![T::zero(); scores.len()];
    softmax_into(&mut p, scores);
    p
}

/// As [`softmax`], into a slice of the same length. Returns ln Σ e^z.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub fn softmax_into<T: Real>(p: &mut [T], scores: &[T]) -> T {
    p.copy_from_slice(scores);
    softmax_in_place(p)
}

/// As [`softmax`], in place. Returns ln Σ e^z.
#[inline(always)]
pub fn softmax_in_place<T: Real>(p: &mut [T]) -> T {
    let maximum = vector::maximum(p);
    for p in p.iter_mut() {
        *p = (*p - maximum).exp();
    }
    let sum = vector::sum(p);
    let share = T::one() / sum;
    for p in p.iter_mut() {
        *p *= share;
    }
    maximum + sum.ln()
}

/// ln Σ e^z without overflow; −∞ of no scores or where all scores are −∞.
///
/// ```
/// let lse = probability::softmax::log_sum_exp(&[2.0_f64, 1.0, 0.5, -1.0, 0.1]);
/// assert!((lse - 2.582419671).abs() < 1e-9);
/// ```
#[inline(always)]
pub fn log_sum_exp<T: Real>(scores: &[T]) -> T {
    let maximum = vector::maximum(scores);
    if maximum == T::from_f64(f64::NEG_INFINITY) {
        return maximum;
    }
    maximum + vector::reduce(scores, scores, |z, _| (z - maximum).exp()).ln()
}

/// Softmax of every column.
#[derive(Clone, Copy, Debug)]
pub struct Softmax;

impl Primitive<1> for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn shape(&self, [z]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(z)
    }

    fn flops(&self, [z]: [Shape; 1]) -> u64 {
        14 * z.len() as u64
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: true }
    }

    fn forward<T: Real>(&self, [z]: [View<'_, T>; 1], p: ViewMut<'_, T>, _: Work<'_, T>) {
        parallel::columns([p], |first, [mut p]| {
            simd(
                #[inline(always)]
                || {
                    for (j, mut p) in p.column_iter_mut().enumerate() {
                        softmax_into(p.as_mut_slice(), column(&z, first + j));
                    }
                },
            );
        });
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        p: View<'_, T>,
        dp: View<'_, T>,
        [dz]: [ViewMut<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        parallel::columns([dz], |first, [mut dz]| {
            simd(
                #[inline(always)]
                || {
                    for (j, mut dz) in dz.column_iter_mut().enumerate() {
                        let (p, dp) = (column(&p, first + j), column(&dp, first + j));
                        let mean = vector::dot(dp, p);
                        for ((dz, &p), &dp) in dz.as_mut_slice().iter_mut().zip(p).zip(dp) {
                            *dz += p * (dp - mean);
                        }
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_distribution_that_keeps_the_order(z in prop::collection::vec(-50.0f64..50.0, 1..40)) {
            let p = softmax(&z);
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() <= 1e-14);
            for i in 0..z.len() {
                for j in 0..z.len() {
                    prop_assert!(z[i] < z[j] || p[i] >= p[j]);
                }
            }
        }

        #[test]
        fn shifting_all_scores_changes_nothing(
            z in prop::collection::vec(-50.0f64..50.0, 1..40), shift in -1e3f64..1e3,
        ) {
            let shifted: Vec<f64> = z.iter().map(|z| z + shift).collect();
            for (p, q) in softmax(&z).into_iter().zip(softmax(&shifted)) {
                prop_assert!((p - q).abs() <= 1e-12);
            }
            prop_assert!((log_sum_exp(&shifted) - log_sum_exp(&z) - shift).abs() <= 1e-11);
        }
    }

    #[test]
    fn hard_scores() {
        let minus = f64::NEG_INFINITY;
        assert_eq!(softmax(&[0.0, minus]), [1.0, 0.0]);
        assert!(softmax(&[minus, minus]).iter().all(|p| p.is_nan()));
        assert!(softmax(&[0.0, f64::NAN]).iter().all(|p| p.is_nan()));
        assert!(softmax::<f64>(&[]).is_empty());
        assert_eq!(log_sum_exp(&[minus, minus]), minus);
        assert_eq!(log_sum_exp::<f64>(&[]), minus);
    }
}
