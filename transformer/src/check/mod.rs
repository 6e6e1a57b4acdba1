//! Certificates: is a step's gradient right and complete, does nothing look ahead, does it start sane?
//!
//! Every certificate is one measured number against a limit: derived where theory gives one (differences,
//! adjoints, bits, masks), a convention that its detail names where not (a start, a share of data). They read the
//! recorded step and need no line in the model. `glassbox check` prints all of them as a table; a model
//! that somebody composed from the crates implements [`Subject`] and gets them by [`gradients`] and
//! [`causality`]:
//!
//! ```
//! use calculus::{Recorder, activation::{Activation, Tanh}};
//! use linalg::{Real, Shape, affine::Affine};
//! use infotheory::cross_entropy::CrossEntropy;
//! use transformer::{Given, ModelError, Recording, Subject, check};
//!
//! /// A classifier with one hidden layer.
//! struct Classifier;
//!
//! impl Subject for Classifier {
//!     fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
//!         let mut r = Recorder::new();
//!         let x = r.input("x", Shape::new(3, 4))?;
//!         let targets = r.input("targets", Shape::new(1, 4))?;
//!         let w = r.parameter("w", Shape::new(5, 3))?;
//!         let b = r.parameter("b", Shape::new(5, 1))?;
//!         let z = r.push("z", Affine, [w, x, b])?;
//!         let logits = r.push("logits", Activation(Tanh), [z])?;
//!         let loss = r.push("loss", CrossEntropy, [logits, targets])?;
//!         Ok(Recording { tape: r.finish(), loss })
//!     }
//!     fn batch(&self, _: u64) -> Vec<Given> {
//!         let x = (0..12).map(|i| f64::from(i) / 7.0 - 0.8).collect();
//!         vec![
//!             Given { name: "x", elements: x },
//!             Given { name: "targets", elements: vec![0.0, 4.0, 2.0, 1.0] },
//!         ]
//!     }
//! }
//!
//! let parameters: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 20) / 20.0 - 0.4).collect();
//! let certificates = check::gradients(&Classifier, &parameters, 1)?;
//! assert!(certificates.iter().all(|c| c.verdict != check::Verdict::Fail));
//! # Ok::<(), ModelError>(())
//! ```

mod bits;
mod causal;
mod data;
mod gradient;
mod operation;
mod start;

pub use bits::{accumulation, resume, threads};
pub use causal::causality;
pub use data::data;
pub use gradient::gradients;
pub use operation::{Operations, operations};
pub use start::{Expected, start};

use crate::corpus::Corpus;
use crate::model::{Gpt2, ModelError};
use crate::subject::{GptStep, Subject};
use crate::{Form, Gpt2Config, TrainingConfig, memory, streams};
use calculus::Dual;
use probability::random::Random;
use serde::Serialize;

/// What a certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The number keeps its limit.
    Pass,
    /// It does not.
    Fail,
    /// The question does not arise here.
    NotApplicable,
}

/// One question about a step, with its answer as a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// Which group of questions: "complete", "right", "causal", "start", "data", "bits".
    pub group: &'static str,
    /// The question.
    pub name: &'static str,
    /// What was measured.
    pub measured: f64,
    /// The least and the most that it may be.
    pub limits: (f64, f64),
    /// Whether it is.
    pub verdict: Verdict,
    /// What was measured where, or why the question does not arise.
    pub detail: String,
}

impl Certificate {
    /// A number that may be at most this. NaN fails.
    pub fn at_most(
        (group, name): (&'static str, &'static str),
        measured: f64,
        most: f64,
        detail: impl Into<String>,
    ) -> Self {
        Self::between((group, name), measured, (0.0, most), detail)
    }

    /// A number that must lie in a range. NaN fails.
    pub fn between(
        (group, name): (&'static str, &'static str),
        measured: f64,
        limits: (f64, f64),
        detail: impl Into<String>,
    ) -> Self {
        let holds = limits.0 <= measured && measured <= limits.1;
        let verdict = if holds { Verdict::Pass } else { Verdict::Fail };
        Certificate { group, name, measured, limits, verdict, detail: detail.into() }
    }

    /// A question that does not arise.
    pub fn not_applicable(
        (group, name): (&'static str, &'static str),
        why: impl Into<String>,
    ) -> Self {
        let (measured, limits, verdict) = (f64::NAN, (f64::NAN, f64::NAN), Verdict::NotApplicable);
        Certificate { group, name, measured, limits, verdict, detail: why.into() }
    }
}

/// Whether no certificate failed.
pub fn passed(certificates: &[Certificate]) -> bool {
    certificates.iter().all(|c| c.verdict != Verdict::Fail)
}

/// Every certificate for a GPT-2 in training: `parameters` of a model that exists, or none for freshly
/// initialised ones.
///
/// Rules are certified on short sequences, as rules do not depend on length; causality on sequences
/// that are longer than a block of attention's queries.
///
/// # Errors
/// Sizes that cannot be recorded.
pub fn model(
    config: &TrainingConfig,
    model: &Gpt2Config,
    parameters: Option<&[f32]>,
    corpus: &Corpus,
) -> Result<Vec<Certificate>, ModelError> {
    let mut all = vec![];
    each(config, model, parameters, corpus, |c| all.push(c))?;
    Ok(all)
}

/// As [`model`], told one by one: the first come in milliseconds, all of a large model in minutes.
///
/// # Errors
/// As [`model`]; memory that the machine does not have, before it is taken.
pub fn each(
    config: &TrainingConfig,
    model: &Gpt2Config,
    parameters: Option<&[f32]>,
    corpus: &Corpus,
    mut tell: impl FnMut(Certificate),
) -> Result<(), ModelError> {
    let step = GptStep::of_run(config, model, corpus);
    memory::afford(bytes(&step)?)?;
    let fresh = match parameters {
        None => initialised(model, config.seed)?,
        Some(given) => given.to_vec(),
    };
    let wide: Vec<f64> = fresh.iter().map(|&p| f64::from(p)).collect();
    // Dropout is part of the rules, and of no other question.
    let still = GptStep { config: Gpt2Config { dropout: 0.0, ..model.clone() }, ..step.clone() };
    let rules = step.smaller(RULES.0, RULES.1);
    gradient::each(&rules, &wide, config.seed, &mut tell)?;
    causality(&still.smaller(2, 40), &wide)?.into_iter().for_each(&mut tell);
    let is_fresh = parameters.is_none_or(|p| looks_fresh(model, p));
    start(&still, &fresh, is_fresh)?.into_iter().for_each(&mut tell);
    data(corpus, model.vocabulary, config).into_iter().for_each(&mut tell);
    let small = TrainingConfig {
        batch: config.batch.clamp(2, 4),
        context: config.context.min(32),
        ..config.clone()
    };
    tell(threads(&step.smaller(4, 32), &fresh)?);
    tell(accumulation(&still.smaller(4, 16), &wide)?);
    tell(resume(&small, model, &fresh, corpus)?);
    Ok(())
}

/// Sequences and tokens on which rules are certified.
const RULES: (usize, usize) = (2, 8);

/// Bytes that all certificates of a step take at the most: at once there are a recording at `f64`, another
/// one, one at dual numbers and some vectors; or three trainers.
///
/// # Errors
/// Sizes that cannot be recorded.
pub fn bytes(step: &GptStep<'_>) -> Result<u128, ModelError> {
    let parameters = step.config.parameters() as u128;
    let rules = step.smaller(RULES.0, RULES.1);
    let gradients = 2 * rules.bytes::<f64>(false)? + rules.bytes::<Dual<f64>>(false)?;
    let starting = step.smaller(start::SEEN.0, start::SEEN.1).bytes::<f32>(false)?;
    // Weights, gradients and two moments.
    let training = 3 * (16 * parameters + step.smaller(4, 32).bytes::<f32>(false)?);
    // The weights at both widths; directions and gradients.
    Ok(12 * parameters
        + (gradients + 40 * parameters).max(starting + 24 * parameters).max(training))
}

/// Freshly initialised parameters.
///
/// # Errors
/// Sizes that contradict each other or that memory cannot hold.
pub fn initialised(config: &Gpt2Config, seed: u64) -> Result<Vec<f32>, ModelError> {
    let mut model = Gpt2::<f32>::record_forward_only(config, 1, 1, Form::Fused)?;
    model.initialise(seed);
    Ok(model.tape().parameters().to_vec())
}

/// Whether every gain is 1 and every bias 0: nothing was learned yet.
fn looks_fresh(config: &Gpt2Config, parameters: &[f32]) -> bool {
    let mut rest = parameters;
    config.parameter_shapes().all(|(name, shape)| {
        let (own, later) = rest.split_at(shape.len());
        rest = later;
        let untouched = if name.ends_with(".bias") { 0.0 } else { 1.0 };
        shape.columns > 1 || own.iter().all(|&p| p == untouched)
    })
}

/// Standard normal numbers: the direction number `which` of a seed.
pub(crate) fn direction(seed: u64, which: u32, length: usize) -> Vec<f64> {
    let random = Random::new(seed, streams::DIRECTIONS, which);
    (0..length as u64).map(|i| random.normal(i)).collect()
}

/// ⟨a, b⟩ and Σ |aᵢ·bᵢ|: a sum, and the size that its rounding is relative to.
pub(crate) fn inner(a: &[f64], b: &[f64]) -> (f64, f64) {
    a.iter().zip(b).map(|(a, b)| a * b).fold((0.0, 0.0), |(s, m), x| (s + x, m + x.abs()))
}

/// ‖a‖₂.
pub(crate) fn norm(a: &[f64]) -> f64 {
    a.iter().map(|a| a * a).sum::<f64>().sqrt()
}

/// How far two routes to one sum may be apart, relative to the size of what was summed, where `terms`
/// terms are added in `f64` and each passed through sums of `inner` terms: roundings are independent, so
/// that they grow as the root of their number; eight deviations.
pub(crate) fn rounding(terms: usize, inner: usize) -> f64 {
    8.0 * f64::EPSILON * (16.0 + (terms as f64).sqrt() + inner as f64)
}

/// Records at `f64` with parameters and the first batch.
pub(crate) fn recorded<T: linalg::Real>(
    subject: &impl Subject,
    parameters: &[f64],
) -> Result<crate::Recording<T>, ModelError> {
    let mut recording = subject.record::<T>()?;
    recording.set_parameters(parameters);
    recording.give(&subject.batch(0));
    Ok(recording)
}
