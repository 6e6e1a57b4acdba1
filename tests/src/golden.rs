//! Reading golden values: numbers that nobody here made.

use linalg::Real;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;
use transformer::model::family;
use transformer::{Form, IGNORED, RecordedStep};

/// The tensors of a safetensors file, in row-major order, by name without its family's prefix.
///
/// # Panics
/// If the file is not one of floating-point numbers and 32-bit integers.
pub fn tensors(path: &Path) -> HashMap<String, Vec<f64>> {
    let bytes = std::fs::read(path).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let numbers = |tensor: &safetensors::tensor::TensorView<'_>| -> Vec<f64> {
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::F32 => {
                data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
            }
            Dtype::I32 => {
                data.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect()
            }
            other => panic!("golden values of type {other:?}"),
        }
    };
    let plain = |name: String| {
        let prefixes = ["transformer.", "model.", "gpt_neox."];
        prefixes.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(&name).to_owned()
    };
    file.tensors().into_iter().map(|(name, t)| (plain(name), numbers(&t))).collect()
}

/// The largest absolute difference.
///
/// # Panics
/// If the lengths differ.
pub fn largest_difference<T: Real>(found: &[T], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(f, e)| (f.to_f64() - e).abs());
    differences.fold(0.0, |largest, d| if d <= largest { largest } else { d })
}

/// ‖found − expected‖ / ‖expected‖.
///
/// # Panics
/// If the lengths differ.
pub fn relative_difference<T: Real>(found: &[T], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(f, e)| f.to_f64() - e));
    difference / norm(&mut expected.iter().copied())
}

/// Every gradient of a model after a backward replay against golden ones: the tensor that is
/// furthest off, by tensor norm. A tensor whose golden norm is nothing but rounding is measured by the
/// largest norm of all: a key's bias shifts every score of a softmax alike and has gradient 0.
///
/// # Panics
/// If a parameter has no golden gradient, or the other way round.
pub fn worst_gradient<T: Real>(
    model: &RecordedStep<T>,
    golden: &HashMap<String, Vec<f64>>,
) -> (String, f64) {
    let family = family::of(model.config());
    let tensors: Vec<_> = model
        .tape()
        .parameter_list()
        .into_iter()
        .flat_map(|p| family.tensors(model.config(), &p).into_iter().map(move |t| (p.clone(), t)))
        .collect();
    assert_eq!(tensors.len(), golden.len());
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let largest = golden.values().map(|x| norm(x)).fold(0.0, f64::max);
    let errors = tensors.into_iter().map(|(p, tensor)| {
        let own = &model.tape().gradients()[p.range];
        let own: Vec<T> = tensor.places(p.shape.rows).map(|i| own[i]).collect();
        // GPT-NeoX's head has another name in files than as PyTorch's parameter.
        let head = tensor.name == format!("{}.weight", family.head());
        let name = if head { "lm_head.weight" } else { &tensor.name };
        let expected = norm(&golden[name]);
        let rounding = expected <= 1e-13 * largest;
        let unit = if rounding { expected / largest } else { 1.0 };
        let error = unit * relative_difference(&own, &golden[name]);
        (tensor.name, error)
    });
    errors.max_by(|a, b| a.1.total_cmp(&b.1)).expect("a model with parameters")
}

/// A model of a directory, recorded for a batch of sequences.
///
/// # Panics
/// If the directory holds no such model.
pub fn model<T: Real>(
    directory: &Path,
    sequences: usize,
    length: usize,
    form: Form,
) -> RecordedStep<T> {
    let (config, parameters) = transformer::disk::files::read::<T>(directory).expect("a model");
    let mut model =
        RecordedStep::record(&config, sequences, length, form, 0).expect("a valid model");
    model.copy_parameters(&parameters);
    model
}

/// Predict, and propagate back; the loss in nats.
///
/// # Panics
/// If the batch does not fit.
pub fn step<T: Real>(model: &mut RecordedStep<T>, tokens: &[u32], targets: &[u32]) -> f64 {
    let loss = model.loss_var();
    let nats = model.loss(tokens, targets).expect("a valid batch");
    model.tape_mut().zero_gradients();
    model.tape_mut().backward(loss);
    nats
}

/// Every token's successor within its row; the last has none.
pub fn next_tokens(rows: &[Vec<u32>]) -> Vec<u32> {
    rows.iter().flat_map(|row| row[1..].iter().copied().chain([IGNORED])).collect()
}
