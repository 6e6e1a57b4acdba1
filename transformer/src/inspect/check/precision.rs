//! Certificates that a step with products of bfloat16 is that of `f32`, up to the rounding of its factors.

use super::{Certificate, Question, inner, norm, recorded};
use crate::inspect::subject::ModelStep;
use crate::model::recorded_step::ModelError;
use linalg::Products;

pub(super) const QUESTIONS: [Question; 2] =
    [("bf16", "loss as of products in f32"), ("bf16", "gradient as of products in f32")];

/// Returns how far rounded factors may move a gradient, relative to its norm.
///
/// The nearest bfloat16 of a number differs from it by at most u = 2⁻⁹ of its size, and a product of two by about √2·u. A
/// gradient passes four linear maps per layer and the head, forward and backward; roundings are independent, so they grow
/// as the square root of their number. Eight times that.
fn limit(layers: usize) -> f64 {
    let products = 2 * (4 * layers + 1);
    8.0 * (2.0 * products as f64).sqrt() / 512.0
}

/// Compares the loss and the gradient of a step whose linear maps multiply bfloat16 ([`Products::Bf16`]) with those of one
/// that multiplies `f32`. The loss's difference is relative to the loss, or to a nat if that is less.
///
/// # Errors
/// If the step cannot be recorded.
pub fn narrow_products(
    step: &ModelStep<'_>,
    parameters: &[f64],
) -> Result<Vec<Certificate>, ModelError> {
    let mut recording = recorded::<f32>(step, parameters)?;
    let mut of = |products| {
        recording.tape.set_products(products);
        let loss = f64::from(recording.step());
        (loss, recording.tape.gradients().iter().map(|&g| f64::from(g)).collect::<Vec<f64>>())
    };
    let both = (of(Products::Full), of(Products::Bf16));
    Ok(compared(both, step.config.layers, format!("{} × {} tokens", step.sequences, step.length)))
}

/// Compares loss and gradient of both kinds of products.
fn compared(
    ((loss, full), (narrow_loss, narrow)): ((f64, Vec<f64>), (f64, Vec<f64>)),
    layers: usize,
    shape: String,
) -> Vec<Certificate> {
    let difference: Vec<f64> = full.iter().zip(&narrow).map(|(a, b)| a - b).collect();
    let moved = (narrow_loss - loss).abs() / loss.abs().max(1.0);
    let turned = norm(&difference) / norm(&full);
    let (both, limit) = (inner(&full, &narrow).0, limit(layers));
    let cosine = both / (norm(&full) * norm(&narrow));
    let losses = format!("{loss:.6} and {narrow_loss:.6}, {shape}");
    let relative = format!("relative to its norm; cosine {cosine:.6}");
    let [of_loss, of_gradient] = QUESTIONS;
    vec![
        Certificate::at_most(of_loss, moved, limit, losses),
        Certificate::at_most(of_gradient, turned, limit, relative),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::check::Verdict;

    /// What rounding explains passes; a gradient of another sign, one that is missing, and another loss fail.
    #[test]
    fn a_fault_is_more_than_rounding() {
        let full: Vec<f64> = (0..100).map(|i| f64::from(i % 7) - 3.0).collect();
        let near: Vec<f64> = full.iter().map(|x| x * (1.0 + 1.0 / 512.0)).collect();
        let mut flipped = near.clone();
        flipped[..10].iter_mut().for_each(|x| *x = -*x);
        let mut missing = near.clone();
        missing[50..60].fill(0.0);
        let verdicts = |loss, narrow: &[f64]| {
            let both = ((2.0, full.clone()), (loss, narrow.to_vec()));
            compared(both, 4, String::new()).into_iter().map(|c| c.verdict).collect::<Vec<_>>()
        };
        use Verdict::{Fail, Pass};
        assert_eq!(verdicts(2.001, &near), [Pass, Pass]);
        assert_eq!(verdicts(2.001, &flipped), [Pass, Fail]);
        assert_eq!(verdicts(2.001, &missing), [Pass, Fail]);
        assert_eq!(verdicts(2.5, &near), [Fail, Pass]);
        assert_eq!(verdicts(f64::NAN, &[f64::NAN; 100]), [Fail, Fail]);
    }
}
