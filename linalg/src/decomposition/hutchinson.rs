//! The trace of an operator that is given only as a function, from random probes.
//!
//! Formula: <var>tr A = E[zᵀ·A·z]</var> for random signs z, because E[z·zᵀ] is the identity. The mean over some probes has a
//! standard error of <var>√(2·Σ_{i≠j} aᵢⱼ²/probes)</var> for symmetric A: 0 for a diagonal matrix.
//! In a transformer: the trace of the Hessian of a loss, the sum of all curvatures, at two backpropagations a probe;
//! optimizers that estimate curvature use the same products.
//! Source: Hutchinson, 1989; Avron and Toledo, *Randomized Algorithms for Estimating the Trace*, 2011.

use crate::decomposition::randomised::sign;
use crate::error::finite_elements;
use crate::{Error, vector};

/// An estimate of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceEstimate {
    /// The mean of zᵀ·A·z.
    pub value: f64,
    /// The standard error of the mean.
    pub standard_error: f64,
}

/// Estimates the trace of an operator on ℝⁿ from `probes` applications to random signs. The closure `|x, y|` writes A·x
/// into y; the same seed gives the same probes. In `f64` only.
///
/// # Errors
/// Fewer than two probes, which have no standard error; NaN and ±∞ in the operator's output.
///
/// ```
/// use linalg::{hutchinson::trace, krylov::operator, matrix};
/// let a = matrix(2, 2, &[3.0, 0.5, 0.5, 1.0]);
/// let found = trace(operator(&a)?, 2, 400, 1)?;
/// assert!((found.value - 4.0).abs() < 4.0 * found.standard_error);
/// assert!((found.standard_error - 0.05).abs() < 0.01); // √(2·2·½²/400)
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "trace_estimator")]
pub fn trace(
    mut operator: impl FnMut(&[f64], &mut [f64]),
    n: usize,
    probes: usize,
    seed: u64,
) -> Result<TraceEstimate, Error> {
    if probes < 2 {
        let (name, range) = ("the number of probes", "at least 2");
        return Err(Error::Range { name, value: probes as f64, range });
    }
    let (mut image, mut samples) = (vec![0.0; n], Vec::with_capacity(probes));
    for probe in 0..probes {
        let first = (probe * n) as u64;
        let signs: Vec<f64> = (first..first + n as u64).map(|i| sign(seed, i)).collect();
        operator(&signs, &mut image);
        finite_elements("what the operator wrote", &image, n)?;
        samples.push(vector::dot(&signs, &image));
    }
    let count = probes as f64;
    let value = vector::sum(&samples) / count;
    let squares = vector::reduce(&samples, &samples, |x, _| (x - value) * (x - value));
    Ok(TraceEstimate { value, standard_error: (squares / (count - 1.0) / count).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::{krylov::operator, lu};
    use crate::laws::{draw, symmetric};
    use crate::{Matrix, norm};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_diagonal_is_exact(d in prop::collection::vec(-9..9_i32, 1..20), seed in 0..99_u64) {
            let d: Vec<f64> = d.into_iter().map(f64::from).collect();
            let diagonal = |x: &[f64], y: &mut [f64]| (0..d.len()).for_each(|i| y[i] = d[i] * x[i]);
            let found = trace(diagonal, d.len(), 2, seed).unwrap();
            prop_assert_eq!((found.value, found.standard_error), (d.iter().sum(), 0.0));
        }

        /// Five of its own standard errors, for probes enough that these are known.
        #[test]
        fn the_trace_is_within_its_error(a in symmetric(1..9), seed in 0..999_u64) {
            let found = trace(operator(&a).unwrap(), a.nrows(), 200, seed).unwrap();
            let right = lu::trace(&a).unwrap();
            prop_assert!((found.value - right).abs() <= 5.0 * found.standard_error + 1e-12 * a.norm());
        }
    }

    /// The standard error over many probes is the closed form.
    #[test]
    fn the_error_is_that_of_the_elements_beside_the_diagonal() {
        let a = draw(5, 30, 30);
        let a = &a + a.transpose();
        let found = trace(operator(&a).unwrap(), 30, 4000, 3).unwrap();
        let beside = Matrix::from_fn(30, 30, |i, j| if i == j { 0.0 } else { a[(i, j)] });
        let right = (2.0 / 4000.0_f64).sqrt() * norm::frobenius(&beside);
        // The estimate of a standard deviation from 4000 samples is off by 1 or 2 %.
        assert!(
            (found.standard_error / right - 1.0).abs() < 0.1,
            "{} {right}",
            found.standard_error
        );
    }

    #[test]
    fn what_is_refused() {
        let same = |x: &[f64], y: &mut [f64]| y.copy_from_slice(x);
        let message = trace(same, 3, 1, 0).unwrap_err().to_string();
        assert_eq!(message, "the number of probes is 1, but must be at least 2");
        assert!(trace(|_, y: &mut [f64]| y.fill(f64::NAN), 3, 2, 0).is_err());
        assert_eq!(trace(same, 0, 2, 0).unwrap().value, 0.0);
    }
}
