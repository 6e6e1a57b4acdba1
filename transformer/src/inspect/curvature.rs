//! The curvature of the loss, and the largest stable learning rate.
//!
//! Gradient descent on a quadratic with Hessian H multiplies the error along an eigenvector by 1 − η·λ: it
//! diverges when η > 2/λ_max. With momentum µ the bound is (2 + 2µ)/λ_max. Adam divides by √v̂ + ε = P first
//! and averages gradients with β₁, corrected at step t: (1 − β₁ᵗ)·(2 + 2β₁)/(1 − β₁) over the largest eigenvalue of
//! P^(−½)·H·P^(−½).
//! Sources: the textbook's A.3; Polyak 1964; Cohen et al., *Gradient Descent on Neural Networks Typically
//! Occurs at the Edge of Stability*, 2021, and *Adaptive Gradient Methods at the Edge of Stability*, 2022.
//!
//! H is never formed: H·v is the derivative of the gradient in the direction v, which the recorded step
//! gives exactly at dual numbers. Lanczos' method finds λ_max from such products.

use crate::inspect::check::normal_direction;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::{Given, Recording};
use calculus::Dual;
use linalg::krylov::{End, Lanczos, Ritz};
use serde::Serialize;
use std::fmt;

/// The largest eigenvalue of a Hessian, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Largest {
    /// The largest eigenvalue by value, not by magnitude; NaN if a product is not finite.
    pub value: f64,
    /// The distance within which an eigenvalue of H lies.
    pub residual: f64,
    /// The number of Hessian-vector products.
    pub applications: usize,
    /// Whether the residual reached the requested tolerance.
    pub converged: bool,
}

/// A step recorded at dual numbers: Hessian-vector products of its loss, exact to rounding.
pub struct Hessian {
    steps: Vec<Recording<Dual<f64>>>,
}

impl fmt::Debug for Hessian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hessian").field("batches", &self.steps.len()).finish_non_exhaustive()
    }
}

impl Hessian {
    /// Records the mean loss over these batches, at these parameters.
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

    /// Returns the number of parameters.
    pub fn size(&self) -> usize {
        self.steps.first().map_or(0, |s| s.tape.parameters().len())
    }

    /// Computes H·v.
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

    /// Estimates the largest eigenvalue of H, or of P^(−½)·H·P^(−½) for a diagonal P. The method is always asked for
    /// that end of the spectrum, whichever end it is set to.
    pub fn largest(&mut self, preconditioner: Option<&[f64]>, method: Lanczos) -> Largest {
        let n = self.size();
        let roots: Vec<f64> = match preconditioner {
            Some(p) => p.iter().map(|p| p.powf(-0.5)).collect(),
            None => vec![1.0; n],
        };
        let method = Lanczos { end: End::Largest, ..method };
        let mut product = |v: &[f64], out: &mut [f64]| {
            let scaled: Vec<f64> = v.iter().zip(&roots).map(|(v, r)| v * r).collect();
            let product = self.times(&scaled).into_iter().zip(&roots).map(|(h, r)| h * r);
            out.iter_mut().zip(product).for_each(|(out, h)| *out = h);
        };
        let start = normal_direction(0x1a2b, 40, n);
        let mut found = method.run(&mut product, &start);
        // The method measures a residual against the larger end of the spectrum. If that is the other end, an
        // eigenvalue is known only once the basis has its maximum size.
        let settled = |r: &Ritz<f64>| r.residuals[0] <= method.tolerance * r.values[0].abs();
        if found.as_ref().is_ok_and(|ritz| ritz.converged && !settled(ritz)) {
            let whole = Lanczos { tolerance: f64::EPSILON, ..method };
            found = whole.run(&mut product, &start);
        }
        match found {
            Ok(ritz) => Largest {
                value: ritz.values[0],
                residual: ritz.residuals[0],
                applications: ritz.values.len(),
                converged: settled(&ritz),
            },
            Err(_) => {
                let applications = method.iterations;
                let (value, residual, converged) = (f64::NAN, f64::INFINITY, false);
                Largest { value, residual, applications, converged }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calculus::Recorder;
    use linalg::{Real, Shape, hadamard::Hadamard, product::Product};

    /// ½·Σ λᵢ·xᵢ² with λᵢ = 7/i, in an orthonormal basis that mixes all coordinates: H = Q·diag(λ)·Qᵀ.
    struct Quadratic;

    const N: usize = 40;

    impl Subject for Quadratic {
        fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
            let mut r = Recorder::new();
            let x = r.parameter("x", Shape::new(N, 1))?;
            let a = r.input("a", Shape::new(N, N))?;
            let ones = r.input("ones", Shape::new(1, N))?;
            let y = r.push("y", Product::plain(), [a, x])?;
            let squares = r.push("squares", Hadamard, [y, y])?;
            let loss = r.push("loss", Product::plain(), [ones, squares])?;
            Ok(Recording::new(r.finish(), loss))
        }

        fn batch(&self, _: u64) -> Vec<Given> {
            // A = diag(√(λ/2))·Qᵀ, with the discrete cosine transform for Q.
            let n = N as f64;
            let entry = |i: usize, j: usize| {
                let scale = if i == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
                let angle = std::f64::consts::PI * i as f64 * (j as f64 + 0.5) / n;
                (7.0 / (i as f64 + 1.0) / 2.0).sqrt() * scale * angle.cos()
            };
            let elements = (0..N * N).map(|k| entry(k % N, k / N)).collect();
            vec![Given { name: "a", elements }, Given { name: "ones", elements: vec![1.0; N] }]
        }
    }

    #[test]
    fn a_known_spectrum_to_eight_digits() {
        let x: Vec<f64> = (0..N).map(|i| (i as f64).sin()).collect();
        let mut hessian = Hessian::of(&Quadratic, &x, &[Quadratic.batch(0)]).unwrap();
        let found = hessian.largest(None, Lanczos::default());
        assert!((found.value - 7.0).abs() < 1e-8 && found.converged, "{found:?}");
        // Three products are too few, and the result reports it: an eigenvalue is within the residual.
        let early = hessian.largest(None, Lanczos { iterations: 3, ..Lanczos::default() });
        assert!(!early.converged && early.applications == 3, "{early:?}");
        assert!((early.value - 7.0).abs() <= early.residual && early.residual > 1e-4, "{early:?}");
        // P = 4: a quarter of it.
        let found = hessian.largest(Some(&[4.0; N]), Lanczos::default());
        assert!((found.value - 1.75).abs() < 1e-8, "{found:?}");
    }
}
