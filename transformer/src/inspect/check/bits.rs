//! Certificates that the same computation gives the same bits.

use super::{Certificate, inner, norm, recorded, rounding};
use crate::disk::checkpoint::{self, Difference};
use crate::inspect::subject::{ModelStep, Subject};
use crate::model::architecture::Architecture;
use crate::model::recorded_step::ModelError;
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use crate::training::trainer::Trainer;
use linalg::Products;
use std::error::Error;
use std::sync::Arc;

pub(super) const THREADS: (&str, &str) = ("bits", "loss and gradients on 1, 2, 3 threads");
pub(super) const PIECES: (&str, &str) = ("bits", "a batch in pieces, same to rounding");
pub(super) const RESUMED: (&str, &str) = ("bits", "saved and resumed");
const SETTLED: (&str, &str) = ("bits", "the run's settings and text are its state's");
const SAVED: (&str, &str) = ("bits", "the run's model and its training state agree");

/// A certificate about bits that cannot be answered for non-finite values.
fn not_finite(name: (&'static str, &'static str)) -> Certificate {
    let why = "the loss, a gradient or an update is not finite in f32";
    Certificate::between(name, f64::NAN, (0.0, 0.0), why)
}

/// Compares loss and gradients on 1, 2 and 3 threads, bit by bit.
///
/// # Errors
/// If the step cannot be recorded.
pub fn threads(
    subject: &impl Subject,
    parameters: &[f32],
    products: Products,
) -> Result<Certificate, ModelError> {
    let wide: Vec<f64> = parameters.iter().map(|&p| f64::from(p)).collect();
    let on = |threads: usize| -> Result<Option<Vec<u32>>, ModelError> {
        let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build() else {
            return Ok(None);
        };
        pool.install(|| {
            let mut step = recorded::<f32>(subject, &wide)?;
            step.tape.set_products(products);
            let loss = step.step();
            Ok(Some(step.tape.gradients().iter().chain([&loss]).map(|g| g.to_bits()).collect()))
        })
    };
    let name = THREADS;
    let (Some(one), Some(two), Some(three)) = (on(1)?, on(2)?, on(3)?) else {
        return Ok(Certificate::not_applicable(name, "no threads are available"));
    };
    // NaN has the same bits on any number of threads.
    if one.iter().any(|&bits| !f32::from_bits(bits).is_finite()) {
        return Ok(not_finite(name));
    }
    let differing = (0..one.len()).filter(|&i| one[i] != two[i] || one[i] != three[i]).count();
    let detail = format!("numbers that differ, of {}", one.len());
    Ok(Certificate::at_most(name, differing as f64, 0.0, detail))
}

/// Compares the gradient of a batch with the average over its sequences one by one: the same sum in another order, so
/// equal to rounding and not to the bit. The limit is 8ε·(16 + √parameters + longest sum), relative to the gradient's
/// norm. Every sequence must have the same number of targets.
///
/// # Errors
/// If the step cannot be recorded.
pub fn accumulation(step: &ModelStep<'_>, parameters: &[f64]) -> Result<Certificate, ModelError> {
    let (name, step) = (PIECES, &step.with_cross_entropy());
    let (sequences, length) = (step.sequences, step.length);
    let (tokens, targets) = (step.batches)(0);
    let counted =
        |y: &[u32]| y.iter().filter(|&&t| crate::model::recorded_step::is_counted(t)).count();
    if targets.chunks(length).any(|y| counted(y) != counted(&targets[..length])) {
        return Ok(Certificate::not_applicable(
            name,
            "sequences differ in their number of targets",
        ));
    }
    let mut whole = recorded::<f64>(step, parameters)?;
    whole.step();
    let piece = |i: usize| {
        let range = i * length..(i + 1) * length;
        (tokens[range.clone()].to_vec(), targets[range].to_vec())
    };
    let one = ModelStep { sequences: 1, batches: Arc::new(|i| piece(i as usize)), ..step.clone() };
    let mut accumulated = one.record::<f64>()?;
    accumulated.set_parameters(parameters);
    accumulated.tape.zero_gradients();
    for i in 0..sequences {
        accumulated.give(&one.batch(i as u64));
        accumulated.tape.forward();
        accumulated.tape.backward_scaled(accumulated.loss, 1.0 / sequences as f64);
    }
    let (a, b) = (whole.tape.gradients(), accumulated.tape.gradients());
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let error = norm(&difference) / inner(a, a).0.sqrt();
    let limit = rounding(a.len(), step.config.width.max(step.config.vocabulary));
    let detail =
        format!("{sequences} sequences one by one, averaged; relative to the gradient's norm");
    Ok(Certificate::at_most(name, error, limit, detail))
}

/// Compares two steps with one step, save, resume, one step: parameters and optimizer state, bit by bit.
///
/// # Errors
/// If the step cannot be recorded.
pub fn resume(
    config: &TrainingConfig,
    model: &Architecture,
    parameters: &[f32],
    corpus: &Corpus,
) -> Result<Certificate, ModelError> {
    resumed(config, model, parameters, corpus, |first, second| {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("state.safetensors");
        checkpoint::save(&path, first, "check")?;
        checkpoint::load(&path, second, "check")?;
        Ok(())
    })
}

/// Compares the weights of a run's model with those of its training state, bit by bit: the model is what is evaluated,
/// the state is what training resumes from.
///
/// ```
/// use transformer::inspect::check::{saved, Verdict};
/// assert_eq!(saved(&[0.5, f32::NAN], &[0.5, f32::NAN]).verdict, Verdict::Pass);
/// assert_eq!(saved(&[0.5, 0.0], &[0.5, -0.0]).verdict, Verdict::Fail);
/// ```
pub fn saved(model: &[f32], state: &[f32]) -> Certificate {
    let differs = |(a, b): &(&f32, &f32)| a.to_bits() != b.to_bits();
    let differing = model.iter().zip(state).filter(differs).count();
    let differing = differing + model.len().abs_diff(state.len());
    let detail = match differing {
        0 => format!("weights that differ, of {}", model.len()),
        _ => format!(
            "weights that differ, of {}: the model was certified, training and `diagnose` resume from the state",
            model.len()
        ),
    };
    Certificate::at_most(SAVED, differing as f64, 0.0, detail)
}

/// Compares the settings and the text of a run with those its state was trained with: training resumes only with the
/// same.
///
/// ```
/// use transformer::inspect::check::{settled, Verdict};
/// use transformer::disk::checkpoint::Difference;
/// let rate = Difference { setting: "learning_rate".into(), saved: "0.001".into(), now: "0.01".into() };
/// assert_eq!(settled(&[], true).verdict, Verdict::Pass);
/// let edited = settled(&[rate], true);
/// assert_eq!((edited.verdict, edited.measured), (Verdict::Fail, 1.0));
/// assert!(edited.detail.contains("learning_rate was 0.001"));
/// assert_eq!(settled(&[], false).verdict, Verdict::Fail);
/// ```
pub fn settled(differences: &[Difference], same_text: bool) -> Certificate {
    let mut all: Vec<String> = differences.iter().map(Difference::to_string).collect();
    if !same_text {
        all.push("the text is a different one".to_owned());
    }
    let count = all.len() as f64;
    let detail = if all.is_empty() { "settings that differ".to_owned() } else { all.join("; ") };
    Certificate::at_most(SETTLED, count, 0.0, detail)
}

/// Like [`resume`], but for any checkpoint format: `pass_on` saves the first trainer and loads the second, which
/// continues.
///
/// # Errors
/// If the step cannot be recorded.
pub fn resumed(
    config: &TrainingConfig,
    model: &Architecture,
    parameters: &[f32],
    corpus: &Corpus,
    pass_on: impl FnOnce(&mut Trainer<f32>, &mut Trainer<f32>) -> Result<(), Box<dyn Error>>,
) -> Result<Certificate, ModelError> {
    let name = RESUMED;
    let model = Architecture { context: model.context, ..model.clone() };
    let start = || -> Result<Trainer<f32>, ModelError> {
        let mut trainer = Trainer::new(config.clone(), &model)?;
        trainer.model_mut().copy_parameters(parameters);
        Ok(trainer)
    };
    let mut whole = start()?;
    if !(whole.step(corpus)?.applied && whole.step(corpus)?.applied) {
        return Ok(not_finite(name));
    }
    let expected: Vec<Vec<f32>> = whole.state().into_iter().map(|(_, x)| x.to_vec()).collect();
    drop(whole);
    let mut first = start()?;
    first.step(corpus)?;
    let mut second = start()?;
    if let Err(why) = pass_on(&mut first, &mut second) {
        return Ok(Certificate::between(name, f64::NAN, (0.0, 0.0), why.to_string()));
    }
    second.step(corpus)?;
    let (mut differing, mut count) = (0, 0);
    for (a, (_, b)) in expected.iter().zip(second.state()) {
        count += a.len();
        differing += a.iter().zip(b.iter()).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    }
    let detail = format!("numbers that differ, of {count}");
    Ok(Certificate::at_most(name, differing as f64, 0.0, detail))
}
