//! Cross-entropy of predictions against what happened, fused with the logarithm of softmax.
//!
//! Formula, for logits z (classes × tokens) and the index y of the true class of each token:
//! L = mean over tokens of −ln softmax(z)_y = mean of (ln Σ e^z − z_y), in nats.
//! Gradient: dz = (softmax(z) − one-hot(y))/n: prediction minus truth.
//! Tokens whose target is negative are ignored: they neither cost nor count.
//! Source: the textbook's A.4; Goodfellow et al. 2016, section 6.2.2.

use linalg::{
    Memory, Primitive, Real, Shape, ShapeError, View, ViewMut, Work, column, gather, parallel, simd,
};
use probability::softmax::log_sum_exp;

/// The mean cross-entropy in nats; operands are logits (classes × tokens) and targets (1 × tokens).
///
/// A target that is no class makes the loss NaN, as do targets that are all ignored (a mean over
/// nothing): whoever makes batches refuses both.
///
/// ```
/// use infotheory::cross_entropy::CrossEntropy;
/// use linalg::{Primitive, Work, matrix};
/// let logits = matrix(5, 1, &[2.0, 1.0, 0.5, -1.0, 0.1]);
/// let (target, mut loss, mut kept) = (matrix(1, 1, &[0.0]), matrix(1, 1, &[0.0]), [0.0]);
/// let work = Work { kept: &mut kept, scratch: &mut [] };
/// CrossEntropy.forward([logits.as_view(), target.as_view()], loss.as_view_mut(), work);
/// assert!((loss[0] - 0.582419671_f64).abs() < 1e-9);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy;

/// How many targets are not ignored.
pub fn counted<T: Real>(targets: &View<'_, T>) -> usize {
    targets.iter().filter(|y| !is_ignored(**y)).count()
}

/// Whether a target says that its token is not to be predicted.
pub fn is_ignored<T: Real>(target: T) -> bool {
    target.to_f64() < 0.0
}

impl Primitive<2> for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn shape(&self, [logits, targets]: [Shape; 2]) -> Result<Shape, ShapeError> {
        targets.expect("the row of targets", Shape::new(1, logits.columns))?;
        Ok(Shape::new(1, 1))
    }

    fn flops(&self, [logits, _]: [Shape; 2]) -> u64 {
        13 * logits.len() as u64
    }

    fn memory(&self, [logits, _]: [Shape; 2]) -> Memory {
        // ln Σ e^z of every token: with it, backward has each probability as e^(z − lse).
        Memory { kept: logits.columns, scratch: 0 }
    }

    fn forward<T: Real>(
        &self,
        [logits, targets]: [View<'_, T>; 2],
        mut loss: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let blocks = ViewMut::from_slice(work.kept, 1, logits.ncols());
        let share = (8192 / logits.nrows()).max(1);
        parallel::column_blocks([blocks], share, |first, [mut lse]| {
            simd(
                #[inline(always)]
                || {
                    for j in 0..lse.ncols() {
                        lse[(0, j)] = log_sum_exp(column(&logits, first + j));
                    }
                },
            );
        });
        let mut sum = T::zero();
        for (j, lse) in work.kept.iter().enumerate() {
            if !is_ignored(targets[j]) {
                sum += match gather::index(targets[j], logits.nrows()) {
                    Some(y) => *lse - logits[(y, j)],
                    None => T::from_f64(f64::NAN),
                };
            }
        }
        loss[0] = sum / T::from_f64(counted(&targets) as f64);
    }

    fn vjp<T: Real>(
        &self,
        [logits, targets]: [View<'_, T>; 2],
        _: View<'_, T>,
        upstream: View<'_, T>,
        [d_logits, _]: [ViewMut<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        let share = upstream[0] / T::from_f64(counted(&targets) as f64);
        let lse = &*work.kept;
        parallel::columns([d_logits], |first, [mut d_logits]| {
            simd(
                #[inline(always)]
                || {
                    for (j, mut d) in d_logits.column_iter_mut().enumerate() {
                        let token = first + j;
                        if is_ignored(targets[token]) {
                            continue;
                        }
                        let d = d.as_mut_slice();
                        for (d, &z) in d.iter_mut().zip(column(&logits, token)) {
                            *d += share * (z - lse[token]).exp();
                        }
                        if let Some(y) = gather::index(targets[token], d.len()) {
                            d[y] -= share;
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
    use linalg::{Matrix, matrix};

    fn loss(logits: &Matrix<f64>, targets: &[f64]) -> f64 {
        let targets = matrix(1, targets.len(), targets);
        let (mut loss, mut kept) = (matrix(1, 1, &[0.0]), vec![0.0; logits.ncols()]);
        let work = Work { kept: &mut kept, scratch: &mut [] };
        CrossEntropy.forward([logits.as_view(), targets.as_view()], loss.as_view_mut(), work);
        loss[0]
    }

    #[test]
    fn who_knows_nothing_pays_ln_v() {
        let found = loss(&Matrix::zeros(65, 3), &[0.0, 7.0, 64.0]);
        assert!((found - 65.0_f64.ln()).abs() < 1e-14);
    }

    #[test]
    fn ignored_targets_neither_cost_nor_count() {
        let logits = matrix(2, 3, &[0.3, -0.1, 5.0, 9.0, 0.7, 0.2]);
        let kept = matrix(2, 2, &[0.3, -0.1, 0.7, 0.2]);
        assert_eq!(loss(&logits, &[1.0, -1.0, 0.0]), loss(&kept, &[1.0, 0.0]));
        assert!(loss(&logits, &[-1.0; 3]).is_nan());
        assert!(loss(&logits, &[0.0, 2.0, 0.0]).is_nan());
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let logits = matrix(2, 1, &[1e4, -1e4]);
        assert_eq!(loss(&logits, &[0.0]), 0.0);
        assert_eq!(loss(&logits, &[1.0]), 2e4);
    }
}
