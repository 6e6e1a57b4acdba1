//! Cross-entropy of predictions against what happened, fused with the logarithm of softmax.
//!
//! Formula, for logits z (classes × tokens) and the index y of the true class of each token:
//! L = mean over tokens of −ln softmax(z)_y = mean of (ln Σ e^z − z_y), in nats.
//! Gradient: dz = (softmax(z) − one-hot(y))/n: prediction minus truth.
//!
//! A good prediction has p_y near 1, and then neither ln p_y nor p_y − 1 may be computed as they stand:
//! in `f32`, a loss of 10⁻⁴ would be right to three digits. With o = Σ_{j≠y} e^z_j / e^z_y, the odds
//! against the truth, they are ln(1 + o) and −o/(1 + o), right to the last digits.
//!
//! Tokens whose target is negative are ignored: they neither cost nor count.
//! Source: the textbook's A.4; Goodfellow et al. 2016, section 6.2.2.

use linalg::{
    Memory, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work, column, gather,
    parallel, simd, vector,
};

/// The mean cross-entropy in nats; operands are logits (classes × tokens) and targets (1 × tokens).
///
/// A target that is no class makes the loss NaN, as do targets that are all ignored (a mean over
/// nothing): whoever makes batches refuses both.
///
/// ```
/// use infotheory::cross_entropy::CrossEntropy;
/// use linalg::{Primitive, Work, matrix};
/// let logits = matrix(5, 1, &[2.0, 1.0, 0.5, -1.0, 0.1]);
/// let (target, mut loss, mut kept) = (matrix(1, 1, &[0.0]), matrix(1, 1, &[0.0]), [0.0; 4]);
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

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }

    fn memory(&self, [logits, _]: [Shape; 2]) -> Memory {
        Memory { kept: KEPT * logits.columns, scratch: 0 }
    }

    fn forward<T: Real>(
        &self,
        [logits, targets]: [View<'_, T>; 2],
        mut loss: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let kept = ViewMut::from_slice(work.kept, KEPT, logits.ncols());
        let share = (8192 / logits.nrows()).max(1);
        parallel::column_blocks([kept], share, |first, [mut kept]| {
            simd(
                #[inline(always)]
                || {
                    for (j, mut kept) in kept.column_iter_mut().enumerate() {
                        let (z, target) = (column(&logits, first + j), targets[first + j]);
                        let token = Token::of(z, gather::index(target, z.len()));
                        kept.as_mut_slice().copy_from_slice(&token.numbers());
                    }
                },
            );
        });
        let mut sum = T::zero();
        for (kept, &target) in work.kept.as_chunks().0.iter().zip(targets.iter()) {
            if !is_ignored(target) {
                sum += Token::from_numbers(*kept).nats;
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
        let kept = work.kept.as_chunks().0;
        parallel::columns([d_logits], |first, [mut d_logits]| {
            simd(
                #[inline(always)]
                || {
                    for (j, mut d) in d_logits.column_iter_mut().enumerate() {
                        let (z, target) = (column(&logits, first + j), targets[first + j]);
                        if is_ignored(target) {
                            continue;
                        }
                        let token = Token::from_numbers(kept[first + j]);
                        let y = gather::index(target, z.len());
                        token.add_gradient(share, z, y, d.as_mut_slice());
                    }
                },
            );
        });
    }
}

/// Writes −ln softmax(z)_y of every column of logits, 0 where the target is ignored.
///
/// # Panics
/// If there are not as many targets and nats as columns.
pub fn nats_of_columns<T: Real>(logits: View<'_, T>, targets: View<'_, T>, nats: &mut [T]) {
    assert!(targets.ncols() == logits.ncols() && nats.len() == logits.ncols());
    let share = (8192 / logits.nrows()).max(1);
    let nats = ViewMut::from_slice(nats, 1, logits.ncols());
    parallel::column_blocks([nats], share, |first, [mut nats]| {
        simd(
            #[inline(always)]
            || {
                for j in 0..nats.ncols() {
                    let (z, target) = (column(&logits, first + j), targets[first + j]);
                    let counts = !is_ignored(target);
                    let token = counts.then(|| Token::of(z, gather::index(target, z.len())));
                    nats[j] = token.map_or(T::zero(), |token| token.nats);
                }
            },
        );
    });
}

/// Turns logits into the gradient of `share`·Σ nats with respect to them, where they stand, and writes
/// the nats of every column, as [`nats_of_columns`].
///
/// # Panics
/// As [`nats_of_columns`].
pub fn gradient_in_place<T: Real>(
    logits: ViewMut<'_, T>,
    targets: View<'_, T>,
    share: T,
    nats: &mut [T],
) {
    assert!(targets.ncols() == logits.ncols() && nats.len() == logits.ncols());
    let nats = ViewMut::from_slice(nats, 1, logits.ncols());
    parallel::columns([logits, nats], |first, [mut logits, mut nats]| {
        simd(
            #[inline(always)]
            || {
                for (j, mut z) in logits.column_iter_mut().enumerate() {
                    let (z, target) = (z.as_mut_slice(), targets[first + j]);
                    nats[j] = if is_ignored(target) {
                        z.fill(T::zero());
                        T::zero()
                    } else {
                        let y = gather::index(target, z.len());
                        Token::into_gradient(share, z, y)
                    };
                }
            },
        );
    });
}

/// What forward keeps of a token.
#[derive(Clone, Copy)]
struct Token<T> {
    /// −ln softmax(z)_y.
    nats: T,
    /// The largest logit.
    maximum: T,
    /// 1/Σ e^(z − maximum).
    scale: T,
    /// Σ_{j≠y} softmax(z)_j.
    others: T,
}

/// Numbers of a [`Token`].
const KEPT: usize = 4;

impl<T: Real> Token<T> {
    #[inline(always)]
    fn of(z: &[T], y: Option<usize>) -> Self {
        let maximum = vector::maximum(z);
        let sum = |z: &[T]| {
            vector::reduce(
                z,
                z,
                #[inline(always)]
                |z, _| (z - maximum).exp(),
            )
        };
        let Some(y) = y else {
            let nan = T::from_f64(f64::NAN);
            return Token { nats: nan, maximum, scale: nan, others: nan };
        };
        let (others, truth) = (sum(&z[..y]) + sum(&z[y + 1..]), (z[y] - maximum).exp());
        Token::of_sums(others, truth, maximum, z[y])
    }

    /// From Σ_{j≠y} e^(z_j − maximum) and e^(z_y − maximum).
    #[inline(always)]
    fn of_sums(others: T, truth: T, maximum: T, z_y: T) -> Self {
        let scale = T::one() / (others + truth);
        let nats = if others < truth {
            (others / truth).ln_1p()
        } else {
            (others + truth).ln() + (maximum - z_y)
        };
        Token { nats, maximum, scale, others: others * scale }
    }

    /// z ← share·(softmax(z) − one-hot(y)); returns −ln softmax(z)_y.
    #[inline(always)]
    fn into_gradient(share: T, z: &mut [T], y: Option<usize>) -> T {
        let Some(y) = y else {
            let nan = T::from_f64(f64::NAN);
            z.fill(nan);
            return nan;
        };
        let (maximum, z_y) = (vector::maximum(z), z[y]);
        z.iter_mut().for_each(|z| *z = (*z - maximum).exp());
        let others = vector::sum(&z[..y]) + vector::sum(&z[y + 1..]);
        let token = Token::of_sums(others, z[y], maximum, z_y);
        let factor = share * token.scale;
        z.iter_mut().for_each(|z| *z *= factor);
        z[y] = -(share * token.others);
        token.nats
    }

    /// d ← d + share·(softmax(z) − one-hot(y)).
    #[inline(always)]
    fn add_gradient(&self, share: T, z: &[T], y: Option<usize>, d: &mut [T]) {
        let before = y.map(|y| d[y]);
        let factor = share * self.scale;
        for (d, &z) in d.iter_mut().zip(z) {
            *d += factor * (z - self.maximum).exp();
        }
        if let (Some(y), Some(before)) = (y, before) {
            d[y] = before - share * self.others;
        }
    }

    fn numbers(self) -> [T; KEPT] {
        [self.nats, self.maximum, self.scale, self.others]
    }

    fn from_numbers([nats, maximum, scale, others]: [T; KEPT]) -> Self {
        Token { nats, maximum, scale, others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::{Matrix, matrix};

    fn loss(logits: &Matrix<f64>, targets: &[f64]) -> f64 {
        let targets = matrix(1, targets.len(), targets);
        let (mut loss, mut kept) = (matrix(1, 1, &[0.0]), vec![0.0; KEPT * logits.ncols()]);
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
    fn confident_predictions_keep_their_digits() {
        // −ln p_y = ln(1 + e^−20), of which f32 must keep more than p_y = 0.999999998 can tell.
        let (logits, target) = (matrix(2, 1, &[20.0_f32, 0.0]), matrix(1, 1, &[0.0_f32]));
        let (mut loss, mut kept) = (matrix(1, 1, &[0.0_f32]), [0.0; KEPT]);
        let inputs = [logits.as_view(), target.as_view()];
        let work = Work { kept: &mut kept, scratch: &mut [] };
        CrossEntropy.forward(inputs, loss.as_view_mut(), work);
        let exact = (-20.0_f64).exp().ln_1p();
        assert!((f64::from(loss[0]) / exact - 1.0).abs() < 4.0 * f64::from(f32::EPSILON));
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
