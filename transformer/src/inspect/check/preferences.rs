//! Certificates of a run that learns from preferences.

use super::{Certificate, Question, rounding};
use crate::inspect::subject::ModelStep;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::{Form, ModelError, RecordedStep};
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use infotheory::preference::{self, PreferenceLoss};
use linalg::Real;

const REFERENCE: Question =
    ("start", "the reference's nats are those of the model before training");
const BEGAN: Question = ("start", "the run's first loss is that of no preference");
const EVEN: Question = ("start", "nothing is preferred before training");

/// Certifies that the loss of a run's first step was that of log-ratios of 0: the run learned from this reference. Not
/// applicable with dropout, with which the first step predicts otherwise; `None` for a run without preferences.
pub fn began(model: &Architecture, first_loss: f64) -> Option<Certificate> {
    let PreferenceLoss { beta, objective } = model.preference?;
    if model.drops() {
        let why = "dropout changes the predictions of the first step";
        return Some(Certificate::not_applicable(BEGAN, why));
    }
    let even = preference::loss(0.0, beta, objective).map_or(f64::NAN, |nats| nats.0);
    let error = (first_loss / even - 1.0).abs();
    let detail = format!("relative difference of {first_loss:.6} in metrics.jsonl from {even:.6}");
    // The mean of a step's pairs, in f32.
    Some(Certificate::at_most(BEGAN, error, 64.0 * f64::from(f32::EPSILON), detail))
}

/// Certifies the reference of preferences, given the learned parameters as they are before the first step: the nats that the
/// corpus keeps ([`crate::refer`]) are those of a textbook recording at `f64`, and every log-ratio is 0 with them. Returns
/// an empty list for a run without preferences.
///
/// # Errors
/// If the step cannot be recorded.
pub fn preferences(
    config: &TrainingConfig,
    model: &Architecture,
    before: &[f32],
    corpus: &Corpus,
) -> Result<Vec<Certificate>, ModelError> {
    let still = model.without_dropout();
    let step = ModelStep::of_run(config, &still, corpus);
    let Some(references) = &step.references else { return Ok(vec![]) };
    let ((tokens, targets), kept) = ((step.batches)(0), references(0));
    fn nats<T: Real>(
        step: &ModelStep<'_>,
        form: Form,
        before: &[f32],
        batch: (&[u32], &[u32]),
    ) -> Result<Vec<f64>, ModelError> {
        let ModelStep { config, sequences, length, .. } = step;
        let mut model = RecordedStep::<T>::record_forward_only(config, *sequences, *length, form)?;
        let wide: Vec<T> = before.iter().map(|&p| T::from_f64(f64::from(p))).collect();
        model.copy_parameters(&wide);
        Ok(model.nats(batch.0, batch.1)?.into_iter().map(Real::to_f64).collect())
    }
    let exact = nats::<f64>(&step, Form::Textbook, before, (&tokens, &targets))?;
    let pairs = exact.iter().zip(&kept);
    let error = pairs.fold(0.0, |most: f64, (a, &b)| {
        let error = (a - f64::from(b)).abs() / (1.0 + a);
        // NaN counts as the largest.
        if most.is_nan() || error <= most { most } else { error }
    });
    let single = f64::from(f32::EPSILON) / f64::EPSILON;
    let limit = single * model.layers as f64 * rounding(1, model.width.max(model.hidden));
    let detail = "largest difference of a token's nats, relative to 1 nat and to them; at f64, formula by formula";
    let reference = Certificate::at_most(REFERENCE, error, limit, detail);
    let own = nats::<f32>(&step, Form::Fused, before, (&tokens, &targets))?;
    let apart = own.iter().zip(&kept).map(|(a, &b)| (a - f64::from(b)).abs()).sum();
    let even = model.preference.and_then(|p| preference::loss(0.0, p.beta, p.objective).ok());
    let detail = format!(
        "nats by which the answers of a batch differ from the reference with the arithmetic of training, so that the loss begins at {:.4}",
        even.map_or(f64::NAN, |nats| nats.0)
    );
    Ok(vec![reference, Certificate::at_most(EVEN, apart, 0.0, detail)])
}
