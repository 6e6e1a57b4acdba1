//! Certificates: is a step's gradient right and complete, does nothing look ahead, does it start sane?
//!
//! Every certificate is one measured number against a limit: derived if theory gives one (differences, adjoints, bits,
//! masks), otherwise a convention that its detail names (a start, a share of data). They read the recorded step and
//! need no code in the model. `glassbox check` prints all of them as a table; a model composed from the crates
//! implements [`Subject`] and gets them by [`gradients`] and [`causality`]:
//!
//! ```
//! use calculus::{Recorder, activation::Activation};
//! use linalg::{Real, Shape, affine::Affine};
//! use infotheory::cross_entropy::CrossEntropy;
//! use transformer::{Given, ModelError, Recording, Subject};
//! use transformer::inspect::check;
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
//!         let logits = r.push("logits", Activation::Tanh, [z])?;
//!         let loss = r.push("loss", CrossEntropy, [logits, targets])?;
//!         Ok(Recording::new(r.finish(), loss))
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

mod adapted;
mod bits;
mod causal;
mod certificate;
mod conversations;
mod data;
mod gradient;
mod operation;
mod patience;
mod precision;
mod preferences;
mod start;
mod update;
pub mod widths;

pub use bits::{accumulation, resume, resumed, saved, settled, threads};
pub use causal::causality;
pub use certificate::{Certificate, Verdict, passed};
pub use conversations::{answers, apart};
pub use data::{data, shifted};
pub use gradient::{differences, gradients, narrow};
pub use operation::{Operations, operations};
pub use precision::narrow_products;
pub use preferences::{began, preferences};
pub use start::{Expected, start};
pub use update::singular_values;

use crate::inspect::subject::{ModelStep, Subject};
use crate::model::architecture::{Architecture, Gain};
use crate::model::parameter_kind::{is_bias, is_gain};
use crate::model::recorded_step::{ModelError, RecordedStep};
use crate::model::recording::{Given, Recording};
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use crate::training::precision::Precision;
use crate::{memory, streams};
use calculus::Dual;
use linalg::Real;
use probability::dropout::QUERIES;
use probability::random::Random;
use rayon::prelude::*;

/// The group of a certificate, and its question.
type Question = (&'static str, &'static str);

/// Runs every certificate for a GPT-2 in training, with the `parameters` of an existing model, or freshly initialised
/// ones if `None`.
///
/// Rules are certified on short sequences, because they do not depend on length. Single operations (if there is time)
/// and causality are certified on sequences longer than a block of attention's queries. The loss is computed in several
/// chunks of tokens.
///
/// # Errors
/// Sizes that cannot be recorded.
pub fn model(
    config: &TrainingConfig,
    model: &Architecture,
    parameters: Option<&[f32]>,
    corpus: &Corpus,
) -> Result<Vec<Certificate>, ModelError> {
    let mut all = vec![];
    each(config, model, parameters, corpus, |c| all.push(c))?;
    Ok(all)
}

/// Like [`model`], but reports each certificate as it completes: the first in milliseconds, all of a large model in
/// minutes.
///
/// # Errors
/// Like [`model`]; insufficient memory, before any is allocated.
pub fn each(
    config: &TrainingConfig,
    model: &Architecture,
    parameters: Option<&[f32]>,
    corpus: &Corpus,
    tell: impl FnMut(Certificate),
) -> Result<(), ModelError> {
    within(patience::PATIENCE, (config, model), parameters, corpus, tell)
}

/// Like [`each`], with a time budget of `patience` seconds per certificate.
fn within(
    patience: f64,
    (config, model): (&TrainingConfig, &Architecture),
    parameters: Option<&[f32]>,
    corpus: &Corpus,
    mut tell: impl FnMut(Certificate),
) -> Result<(), ModelError> {
    let step = ModelStep::of_run(config, model, corpus);
    memory::afford(bytes(&step, corpus)?)?;
    let fresh = match parameters {
        None => model.initial_parameters(config.seed)?,
        Some(given) => given.to_vec(),
    };
    let wide: Vec<f64> = fresh.iter().map(|&p| f64::from(p)).collect();
    // Dropout matters for the rules only.
    let still = ModelStep { config: model.without_dropout(), ..step.clone() };
    if model.vocabulary < 2 {
        // There is no gradient to check, and no initial loss.
        let why =
            "a vocabulary of one token: its probability is 1 and the loss 0, whatever the weights";
        let none =
            |all: &[Question]| all.iter().map(|c| Certificate::not_applicable(*c, why)).collect();
        let updates = update::questions(&config.rule());
        let before: Vec<Certificate> = none(
            &[&gradient::questions()[..], &updates, &causal::QUESTIONS, &start::QUESTIONS].concat(),
        );
        let after: Vec<Certificate> = none(&[bits::THREADS, bits::PIECES, bits::RESUMED]);
        let data = data(corpus, model.vocabulary, config);
        before.into_iter().chain(data).chain(after).for_each(tell);
        return Ok(());
    }
    let [rules, longer] = [RULES, OPERATIONS].map(|(n, length)| InChunks(step.smaller(n, length)));
    let moved = adapted::moved(model, &wide)?;
    gradient::each((&rules, &longer), &moved, config.seed, patience, &mut tell)?;
    let few = step.smaller(4, 32);
    let optimizer = &config.rule();
    update::within(patience, &few, optimizer, &wide)?.into_iter().for_each(&mut tell);
    causal::within(patience, &still.smaller(2, 40), &wide)?.into_iter().for_each(&mut tell);
    let is_fresh = parameters.is_none_or(|p| looks_fresh(model, p, config.seed));
    start::within(patience, &still, &fresh, is_fresh)?.into_iter().for_each(&mut tell);
    adapted::each(patience, (config, &still.smaller(2, 32)), &fresh, corpus, &mut tell)?;
    data(corpus, model.vocabulary, config).into_iter().for_each(&mut tell);
    let small = TrainingConfig {
        batch: config.batch.clamp(2, 4),
        context: short(config, corpus),
        ..config.clone()
    };
    let fewer = still.smaller(4, 16);
    // A step: one forward pass and one backward pass, which costs twice as much.
    let time = |rate, steps: usize, tokens: usize| {
        patience::seconds(rate, 3.0 * (steps * tokens) as f64 * fresh.len() as f64)
    };
    let or_skipped = |name, seconds, ask: &dyn Fn() -> Result<Certificate, ModelError>| {
        patience::dear(seconds, patience)
            .map_or_else(ask, |why| Ok(Certificate::skipped(name, &why)))
    };
    let tokens = |step: &ModelStep<'_>| step.sequences * step.length;
    if corpus.counts().is_some() {
        let whole = step.sequences * step.length;
        tell(or_skipped(conversations::APART, time(patience::F64, 2, whole), &|| {
            apart(&still, &moved)
        })?);
    }
    if config.precision == Precision::Bf16 {
        narrow_products(&few, &wide)?.into_iter().for_each(&mut tell);
    }
    tell(or_skipped(bits::THREADS, time(patience::F32, 3, tokens(&few)), &|| {
        threads(&few, &fresh, config.precision.products())
    })?);
    tell(or_skipped(bits::PIECES, time(patience::F64, 2, tokens(&fewer)), &|| {
        accumulation(&fewer, &wide)
    })?);
    let steps = 4 * small.accumulate;
    tell(or_skipped(
        bits::RESUMED,
        time(patience::F32, steps, small.batch * small.context),
        &|| resume(&small, model, &fresh, corpus),
    )?);
    Ok(corpus.check_read()?)
}

/// Returns the tokens of a short window. Conversations keep the run's: an answer may begin late.
fn short(config: &TrainingConfig, corpus: &Corpus) -> usize {
    match corpus.counts() {
        Some(_) => config.context,
        None => config.context.min(32),
    }
}

/// Sequences and tokens for the certificates of rules.
const RULES: (usize, usize) = (2, 8);
/// Sequences and tokens for the certificates of single operations: more than a block of attention's queries.
const OPERATIONS: (usize, usize) = (2, QUERIES + 8);

/// A step whose loss is computed in chunks of tokens with a short last one, like that of a large vocabulary.
struct InChunks<'a>(ModelStep<'a>);

impl InChunks<'_> {
    /// Two fifths of the tokens: two whole chunks and a half.
    fn chunk(&self) -> usize {
        (2 * self.0.sequences * self.0.length / 5).max(1)
    }
}

impl Subject for InChunks<'_> {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let ModelStep { config, sequences, length, seed, .. } = &self.0;
        let model =
            RecordedStep::record_in_chunks(config, *sequences, *length, self.chunk(), *seed)?;
        Ok(model.into_recording())
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        self.0.batch(number)
    }

    fn length(&self) -> Option<usize> {
        self.0.length()
    }
}

/// Returns the peak bytes of all certificates of a step: at once there are two recordings at `f64`, one at dual numbers
/// and some vectors; or three trainers.
///
/// # Errors
/// Sizes that cannot be recorded.
pub fn bytes(step: &ModelStep<'_>, corpus: &Corpus) -> Result<u128, ModelError> {
    let parameters = step.config.parameters() as u128;
    let [rules, longer] = [RULES, OPERATIONS].map(|(n, length)| step.smaller(n, length));
    let gradients = rules.bytes::<f64>(false)?
        + longer.bytes::<f64>(false)?
        + longer.bytes::<Dual<f64>>(false)?;
    let looked_through = data::bytes(corpus, step.length);
    let starting = step.smaller(start::SEEN.0, start::SEEN.1).bytes::<f32>(false)?;
    // Weights, gradients and two moments.
    let training = 3 * (16 * parameters + step.smaller(4, 32).bytes::<f32>(false)?);
    // The weights at both widths; directions and gradients.
    Ok(12 * parameters
        + (gradients + 40 * parameters)
            .max(starting + 24 * parameters)
            .max(training)
            .max(looked_through))
}

/// Checks whether every gain and bias is as in an untrained model; if there are none, whether the weights are those that the
/// seed gives.
fn looks_fresh(config: &Architecture, parameters: &[f32], seed: u64) -> bool {
    // What a run starts from is trained.
    if !config.adaptation.is_none() {
        return false;
    }
    let Ok(list) = config.parameter_list() else { return false };
    let mut told = list.into_iter().filter(|p| is_gain(p) || is_bias(p)).peekable();
    if told.peek().is_none() {
        return config.initial_parameters(seed).is_ok_and(|begin| begin == parameters);
    }
    let gain = if config.gain == Gain::Plain { 1.0 } else { 0.0 };
    told.all(|p| {
        let begin = if is_gain(&p) { gain } else { 0.0 };
        parameters[p.range].iter().all(|&x| x == begin)
    })
}

/// Returns standard normal numbers: direction number `which` of a seed.
pub(crate) fn normal_direction(seed: u64, which: u32, length: usize) -> Vec<f64> {
    let random = Random::new(seed, streams::DIRECTIONS, which);
    (0..length).into_par_iter().map(|i| random.normal(i as u64)).collect()
}

/// Returns random numbers of either sign, of sizes from 1/2 to 3/2: direction number `which` of a seed. They test as well as
/// normal numbers, for a fraction of their time. (Signs alone do not: sums of them are often 0.)
pub(crate) fn direction(seed: u64, which: u32, length: usize) -> Vec<f64> {
    /// Numbers that one thread draws in sequence: a multiple of 4.
    const TOGETHER: usize = 1 << 14;
    let random = Random::new(seed, streams::DIRECTIONS, which);
    let number = |bits: u64| {
        let size = 0.5 + (bits >> 1 & 0x7fff) as f64 / 32768.0;
        if bits & 1 == 0 { size } else { -size }
    };
    let mut numbers = vec![0.0; length];
    numbers.par_chunks_mut(TOGETHER).enumerate().for_each(|(k, numbers)| {
        for (i, four) in numbers.chunks_mut(4).enumerate() {
            let bits = random.bits((k * TOGETHER / 4 + i) as u64);
            four.iter_mut().enumerate().for_each(|(at, x)| *x = number(bits >> (16 * at)));
        }
    });
    numbers
}

/// Returns ⟨a, b⟩ and Σ |aᵢ·bᵢ|: a sum, and the size that its rounding is relative to.
pub(crate) fn inner(a: &[f64], b: &[f64]) -> (f64, f64) {
    a.iter().zip(b).map(|(a, b)| a * b).fold((0.0, 0.0), |(s, m), x| (s + x, m + x.abs()))
}

/// Computes ‖a‖₂, also of numbers whose squares underflow: the gradients of a loss near 0 in `f64`.
pub(crate) fn norm(a: &[f64]) -> f64 {
    let plain = a.iter().map(|a| a * a).sum::<f64>().sqrt();
    if plain >= 1e-140 || plain.is_nan() {
        return plain;
    }
    let largest = a.iter().fold(0.0, |m: f64, a| m.max(a.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * a.iter().map(|a| (a / largest) * (a / largest)).sum::<f64>().sqrt()
}

/// Returns how far two routes to one sum may differ, relative to the size of the summed values, if `terms` terms are
/// added in `f64` and each passed through sums of `inner` terms: roundings are independent, so they grow as the square
/// root of their number; eight deviations.
pub(crate) fn rounding(terms: usize, inner: usize) -> f64 {
    8.0 * f64::EPSILON * (16.0 + (terms as f64).sqrt() + inner as f64)
}

/// Records the step at `f64` with parameters and the first batch.
pub(crate) fn recorded<T: linalg::Real>(
    subject: &impl Subject,
    parameters: &[f64],
) -> Result<crate::model::recording::Recording<T>, ModelError> {
    let mut recording = subject.record::<T>()?;
    recording.set_parameters(parameters);
    recording.give(&subject.batch(0));
    Ok(recording)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::config::{OptimizerKind, ScheduleKind};

    fn tiny() -> (TrainingConfig, Architecture, Corpus) {
        let config = TrainingConfig {
            schedule: ScheduleKind::Constant,
            learning_rate: 1e-3,
            min_learning_rate: 1e-4,
            warmup: 0,
            activation: crate::model::architecture::Activation::Gelu,
            ..crate::training::config::tests::tiny()
        };
        let random = Random::new(3, 0, 0);
        let tokens = (0..2000).map(|i| random.below(i, 13) as u32).collect();
        let corpus = Corpus::text(tokens, 0.1, 8).unwrap();
        let model = config.model(13).unwrap();
        (config, model, corpus)
    }

    #[test]
    fn without_patience_what_is_dear_is_skipped_and_nothing_else_changes() {
        let (config, model, corpus) = tiny();
        let all = |patience| {
            let mut all = vec![];
            within(patience, (&config, &model), None, &corpus, |c| all.push(c)).unwrap();
            all
        };
        let (patient, hasty) = (all(patience::PATIENCE), all(0.0));
        let names = |all: &[Certificate]| all.iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(&patient), names(&hasty));
        assert!(patient.iter().all(|c| c.verdict == Verdict::Pass), "{patient:?}");
        let skipped: Vec<_> = hasty.iter().filter(|c| c.verdict == Verdict::Skipped).collect();
        assert!(skipped.iter().all(|c| c.detail.starts_with("skipped: about ")));
        // Reading only, one tensor's differences, and the data cost almost nothing.
        assert_eq!(skipped.len(), 24 - 1 - 1 - 1 - 4);
        assert!(hasty.iter().any(|c| c.detail.contains("1 of 16 tensors")), "{hasty:?}");
        assert!(passed(&hasty));
    }

    /// The step whose rules are certified has the structure of a large step: a loss in several chunks with a short last
    /// one and, for single operations, more than one block of attention's queries.
    #[test]
    fn what_is_certified_is_cut() {
        let (config, _, corpus) = tiny();
        for context in [8, 64] {
            let config = TrainingConfig { context, ..config.clone() };
            let corpus = Corpus::text(corpus.train().to_vec(), 0.1, context).unwrap();
            let step = ModelStep::of_run(&config, &config.model(13).unwrap(), &corpus);
            for (sequences, length) in [RULES, OPERATIONS] {
                let rules = InChunks(step.smaller(sequences, length));
                let tokens = rules.0.sequences * rules.0.length;
                assert!(2 * rules.chunk() < tokens && tokens % rules.chunk() != 0, "{tokens}");
                let recording = rules.record::<f64>().unwrap();
                assert_eq!(recording.tape.shape(recording.predictions().unwrap()).columns, tokens);
            }
            assert!(context < 64 || step.smaller(2, OPERATIONS.1).length > QUERIES);
        }
    }

    /// Two more certificates if the optimizer orthogonalises; all of them pass, and are skipped without patience.
    #[test]
    fn an_orthogonalised_update_is_certified() {
        let (config, model, corpus) = tiny();
        let muon = TrainingConfig { optimizer: OptimizerKind::Muon, ..config.clone() };
        let all = |config: &TrainingConfig, patience| {
            let mut all = vec![];
            within(patience, (config, &model), None, &corpus, |c| all.push(c)).unwrap();
            all
        };
        let (usual, found) = (all(&config, patience::PATIENCE), all(&muon, patience::PATIENCE));
        assert_eq!(found.len(), usual.len() + 2);
        assert!(found.iter().all(|c| c.verdict == Verdict::Pass), "{found:?}");
        let of_update = |c: &&Certificate| c.name.starts_with("orthogonalised update");
        let own: Vec<_> = found.iter().filter(of_update).collect();
        let matrices = calculus::hidden_matrices(&model.parameter_list().unwrap()).count();
        assert!(own[0].detail.ends_with(&format!("in {matrices} hidden matrices")), "{own:?}");
        let hasty = all(&muon, 0.0);
        assert!(hasty.iter().filter(of_update).all(|c| c.verdict == Verdict::Skipped));
        let one = Corpus::text(vec![0; 2000], 0.1, 8).unwrap();
        let nothing = super::model(&muon, &muon.model(1).unwrap(), None, &one).unwrap();
        let names = |all: &[Certificate]| all.iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(&nothing), names(&found));
    }

    /// A text of a single letter has nothing to learn; the certificate reports it instead of 0/0.
    #[test]
    fn one_token_leaves_nothing_to_predict() {
        let (config, _, _) = tiny();
        let corpus = Corpus::text(vec![0; 2000], 0.1, 8).unwrap();
        let found = super::model(&config, &config.model(1).unwrap(), None, &corpus).unwrap();
        let (config, model, corpus) = tiny();
        let usual = super::model(&config, &model, None, &corpus).unwrap();
        let names = |all: &[Certificate]| all.iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&usual));
        for c in &found {
            match c.name {
                "tokens are in range" | "targets are the inputs shifted by one" => {
                    assert_eq!(c.verdict, Verdict::Pass, "{c:?}");
                }
                _ => assert_eq!(c.verdict, Verdict::NotApplicable, "{c:?}"),
            }
        }
    }

    /// By sizes alone: with GPT-2's 124 million parameters, overfitting is skipped and tensors are sampled; the rest
    /// takes a few minutes, and memory that is checked before.
    #[test]
    fn a_large_model_is_bounded() {
        let gpt2 = Architecture {
            vocabulary: 50257,
            context: 1024,
            width: 768,
            heads: 12,
            layers: 12,
            hidden: 3072,
            ..Architecture::default()
        };
        let parameters = gpt2.parameters() as f64;
        assert!((1.2e8..1.3e8).contains(&parameters));
        let dear = |rate, steps, tokens| {
            let seconds = patience::seconds(rate, 3.0 * steps * tokens * parameters);
            patience::dear(seconds, patience::PATIENCE).is_some()
        };
        assert!(dear(patience::F32, 300.0, 32.0), "overfitting one batch");
        assert!(!dear(patience::DUAL, 2.0, 16.0), "the Hessian on sixteen tokens");
        assert!(!dear(patience::F32, 1.0, 2048.0), "a step's scales");
        let step = ModelStep {
            config: gpt2,
            sequences: 8,
            length: 1024,
            seed: 0,
            batches: std::sync::Arc::new(|_| unreachable!("nothing is drawn")),
            references: None,
            teacher: None,
        };
        // Two recordings at f64 and one at dual numbers, each with gradients: 64 bytes per parameter, and 52 for
        // vectors.
        let corpus = Corpus::text(vec![0; 20_000], 0.1, 1024).unwrap();
        let bytes = bytes(&step, &corpus).unwrap() as f64;
        assert!((116.0..130.0).contains(&(bytes / parameters)), "{}", bytes / parameters);
    }
}
