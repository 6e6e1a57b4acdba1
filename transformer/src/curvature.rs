//! The curvature of the loss, and the learning rate that it bears.
//!
//! Gradient descent on a quadratic with Hessian H multiplies the error along an eigenvector by 1 − η·λ: it
//! diverges when η > 2/λ_max. With momentum µ the bound is (2 + 2µ)/λ_max. Adam divides by √v̂ + ε = P first
//! and averages gradients with β₁: (2 + 2β₁)/(1 − β₁) over the largest eigenvalue of P^(−½)·H·P^(−½).
//! Sources: the textbook's A.3; Polyak 1964; Cohen et al., *Gradient Descent on Neural Networks Typically
//! Occurs at the Edge of Stability*, 2021, and *Adaptive Gradient Methods at the Edge of Stability*, 2022.
//!
//! H is never formed: H·v is the derivative of the gradient in the direction v, which the recorded step
//! gives exactly at dual numbers. Lanczos' method finds λ_max from such products.

use crate::ModelError;
use crate::check::{direction, inner, norm};
use crate::subject::{Given, Recording, Subject};
use calculus::Dual;
use nalgebra::{DMatrix, SymmetricEigen};

/// The largest eigenvalue of a symmetric operator, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Largest {
    /// The eigenvalue of largest value (not of largest size).
    pub value: f64,
    /// Some eigenvalue is within this distance.
    pub residual: f64,
    /// How often the operator was applied.
    pub applications: usize,
}

/// Lanczos' method with full reorthogonalisation, until the residual is below `tolerance` times the
/// eigenvalue or after `most` applications.
///
/// ```
/// use transformer::curvature::largest_eigenvalue;
/// // Second differences of 60 points: eigenvalues 2 − 2·cos(k·π/61).
/// let found = largest_eigenvalue(60, 60, 1e-12, |x| {
///     let at = |j: usize| x.get(j).copied().unwrap_or(0.0);
///     (0..60).map(|i| 2.0 * x[i] - at(i.wrapping_sub(1)) - at(i + 1)).collect()
/// });
/// let exact = 2.0 - 2.0 * (60.0 * std::f64::consts::PI / 61.0).cos();
/// assert!((found.value - exact).abs() < 1e-8);
/// ```
pub fn largest_eigenvalue(
    n: usize,
    most: usize,
    tolerance: f64,
    mut operator: impl FnMut(&[f64]) -> Vec<f64>,
) -> Largest {
    let mut basis: Vec<Vec<f64>> = vec![];
    let (mut alpha, mut beta): (Vec<f64>, Vec<f64>) = (vec![], vec![]);
    let mut next = direction(0x1a2b, 40, n);
    let mut best = Largest { value: f64::NAN, residual: f64::INFINITY, applications: 0 };
    for k in 0..most.min(n) {
        let length = norm(&next);
        if !length.is_finite() || length <= f64::EPSILON * best.value.abs() {
            break; // an invariant space: all that the start vector can tell is told
        }
        if k > 0 {
            beta.push(length);
        }
        let q: Vec<f64> = next.iter().map(|x| x / length).collect();
        let mut w = operator(&q);
        alpha.push(inner(&w, &q).0);
        basis.push(q);
        for _ in 0..2 {
            for q in &basis {
                let share = inner(&w, q).0;
                w.iter_mut().zip(q).for_each(|(w, q)| *w -= share * q);
            }
        }
        let tridiagonal = DMatrix::from_fn(k + 1, k + 1, |i, j| match i.abs_diff(j) {
            0 => alpha[i],
            1 => beta[i.min(j)],
            _ => 0.0,
        });
        if !tridiagonal.iter().all(|x| x.is_finite()) {
            break;
        }
        let eigen = SymmetricEigen::new(tridiagonal);
        let (place, value) = eigen.eigenvalues.argmax();
        let residual = norm(&w) * eigen.eigenvectors[(k, place)].abs();
        best = Largest { value, residual, applications: k + 1 };
        if residual <= tolerance * value.abs() {
            break;
        }
        next = w;
    }
    best
}

/// A step at dual numbers: Hessian-vector products of its loss, exact to rounding.
pub struct Hessian {
    steps: Vec<Recording<Dual<f64>>>,
}

impl Hessian {
    /// Of the mean loss over these batches, at these parameters.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn of(
        subject: &impl Subject,
        parameters: &[f64],
        batches: &[Vec<Given>],
    ) -> Result<Self, ModelError> {
        let steps = batches.iter().map(|batch| {
            let mut step = subject.record::<Dual<f64>>()?;
            step.set_parameters(parameters);
            step.give(batch);
            Ok(step)
        });
        Ok(Hessian { steps: steps.collect::<Result<_, ModelError>>()? })
    }

    /// Number of parameters.
    pub fn size(&self) -> usize {
        self.steps.first().map_or(0, |s| s.tape.parameters().len())
    }

    /// H·v.
    pub fn times(&mut self, v: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; v.len()];
        let share = 1.0 / self.steps.len() as f64;
        for step in &mut self.steps {
            let parameters = step.tape.parameters_mut().iter_mut();
            parameters.zip(v).for_each(|(p, &v)| p.derivative = v);
            step.step();
            let gradients = step.tape.gradients().iter();
            sum.iter_mut().zip(gradients).for_each(|(s, g)| *s += share * g.derivative);
        }
        sum
    }

    /// The largest eigenvalue of H, or of P^(−½)·H·P^(−½) for a diagonal P.
    pub fn largest(&mut self, preconditioner: Option<&[f64]>, applications: usize) -> Largest {
        let n = self.size();
        let roots: Vec<f64> = match preconditioner {
            Some(p) => p.iter().map(|p| p.powf(-0.5)).collect(),
            None => vec![1.0; n],
        };
        largest_eigenvalue(n, applications, 1e-3, |v| {
            let scaled: Vec<f64> = v.iter().zip(&roots).map(|(v, r)| v * r).collect();
            self.times(&scaled).into_iter().zip(&roots).map(|(h, r)| h * r).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_spectrum_to_eight_digits() {
        // Q·diag(λ)·Qᵀ with λ = 1, ½, ⅓, … and Q = I − 2uuᵀ, a reflection: nothing is diagonal.
        let n = 200;
        let u = direction(3, 0, n);
        let length = norm(&u);
        let reflect = |x: &[f64]| -> Vec<f64> {
            let share = 2.0 * inner(x, &u).0 / length / length;
            x.iter().zip(&u).map(|(x, u)| x - share * u).collect()
        };
        let spectrum = |i: usize| 7.5 / (i + 1) as f64 - 0.1 * i as f64;
        let found = largest_eigenvalue(n, n, 1e-10, |x| {
            let y: Vec<f64> = reflect(x).iter().enumerate().map(|(i, x)| spectrum(i) * x).collect();
            reflect(&y)
        });
        assert!((found.value - 7.5).abs() < 1e-8, "{found:?}");
        assert!(found.applications < n);
    }

    #[test]
    fn an_operator_of_rank_one_is_done_at_once() {
        let found = largest_eigenvalue(50, 50, 1e-12, |x| {
            let sum: f64 = x.iter().sum();
            vec![sum; 50]
        });
        assert!((found.value - 50.0).abs() < 1e-10 && found.applications <= 3, "{found:?}");
    }
}
