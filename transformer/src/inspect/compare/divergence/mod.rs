//! The first divergence of two runs that start equal.
//!
//! Both runs are replayed side by side from their first step. The first matrix that is not the same is where they part:
//! a batch, the value of an operation, a gradient, the learning rate, an update. All of that comes from the recorded
//! steps; the model's code is not asked.
//!
//! *What is the same?* Training has the same bits on any number of threads, so that two runs that cut their batches alike
//! must agree in every bit. Where they cut them differently (batches of four, accumulated twice, beside batches of eight),
//! sums have another order; the step is then recorded once more over numbers that carry a bound of their rounding
//! (`compare::rounding`), and a difference counts from twice that bound on. The bound of an operation allows for its own
//! rounding and for the distance of both runs' operands. Rounding does not accumulate over steps: both update
//! rules are given the first run's gradients, so that updates are compared bit by bit, and after such a step the second run
//! takes over the first one's parameters and state.
//!
//! *What is the cause?* A setting in which the runs differ, if with the first run's value of it the second run takes the
//! same step up to that place and beyond: it is tried.

mod cause;
mod observed;

use super::rounding::Rounding;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::ModelError;
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use crate::training::trainer::Trainer;
use calculus::clip;
pub use cause::Cause;
use linalg::Real;
pub use observed::Part;
use observed::{Entry, Observed, entries, observe, observe_beside};
use serde::Serialize;

/// A run that can be replayed from its beginning.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// The settings.
    pub config: TrainingConfig,
    /// The model.
    pub model: Architecture,
    /// The text.
    pub corpus: &'a Corpus,
    /// The parameters at the start; those of the seed if absent.
    pub start: Option<Vec<f32>>,
}

/// The place where two runs part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Divergence {
    /// The step, from 1.
    pub step: u64,
    /// The part of the step.
    pub part: Part,
    /// The name of the matrix or number.
    pub name: String,
    /// The operations that computed it in the first and the second run; `None` for a parameter or a number, and for what
    /// one run does not have.
    pub operations: [Option<&'static str>; 2],
    /// The row and the column of the first element that differs; columns count through the step's batch.
    pub element: Option<[usize; 2]>,
    /// Its values; `None` for what one run does not have.
    pub values: [Option<f64>; 2],
    /// The distance that rounding explains; 0 if every bit counts.
    pub bound: f64,
    /// The settings that cause it, tried.
    pub causes: Vec<Cause>,
}

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No step was compared, because the runs start from different parameters.
    StartsDiffer {
        /// What differs.
        reason: String,
    },
    /// All steps are the same.
    Same {
        /// The steps that were compared.
        steps: u64,
        /// Whether every bit is the same; otherwise all differences are explained by rounding.
        bits: bool,
    },
    /// The runs part.
    Diverge(Box<Divergence>),
}

/// The most multiplications of a search whose bound of rounding is computed.
const AFFORDABLE: u64 = 1 << 34;

/// Replays two runs for at most `steps` steps, and returns the first place where they part.
///
/// ```
/// use transformer::{Corpus, TrainingConfig};
/// use transformer::inspect::compare::divergence::{Outcome, Part, Side, first};
/// let config = TrainingConfig {
///     batch: 2, context: 8, width: 8, heads: 2, layers: 1, warmup: 1, steps: 4, ..Default::default()
/// };
/// let corpus = Corpus::text((0..200).map(|i| i % 7).collect(), 0.1, 8)?;
/// let model = config.model(7)?;
/// let a = Side { config, model, corpus: &corpus, start: None };
/// let mut b = a.clone();
/// assert_eq!(first(&a, &b, 3)?, Outcome::Same { steps: 3, bits: true });
/// b.config.learning_rate *= 1.01;
/// let Outcome::Diverge(found) = first(&a, &b, 3)? else { panic!("not found") };
/// assert_eq!((found.step, found.part), (1, Part::LearningRate));
/// assert_eq!(found.causes[0].setting, "learning_rate");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A model that cannot be recorded, or a corpus with tokens that it does not have.
pub fn first(a: &Side<'_>, b: &Side<'_>, steps: u64) -> Result<Outcome, ModelError> {
    let (mut own, mut other) = (start(a)?, start(b)?);
    if let Some(reason) = starts_differ(&own, &other) {
        return Ok(Outcome::StartsDiffer { reason });
    }
    let cut = |side: &Side<'_>| (side.config.sequences_at_once(), side.config.context);
    let same_cut = cut(a) == cut(b)
        && a.config.parts() * a.config.accumulate as u64
            == b.config.parts() * b.config.accumulate as u64;
    let mut steps = steps.min(a.config.steps).min(b.config.steps);
    let mut rounding = match same_cut {
        true => None,
        false => {
            let tokens = a.config.step_tokens() as u64;
            let each = 6 * tokens * own.model().tape().parameters().len() as u64;
            steps = steps.min((AFFORDABLE / each.max(1)).max(1));
            Some(start_as::<Rounding>(a)?)
        }
    };
    for number in 1..=steps {
        let before: Vec<Vec<f32>> = own.state().into_iter().map(|(_, x)| x.to_vec()).collect();
        let (first, second) = (observe(&mut own, a.corpus)?, observe(&mut other, b.corpus)?);
        let mut bounds = None;
        if let Some(bounded) = &mut rounding {
            take_over(bounded, &before, number - 1, |x| Rounding::from_f64(f64::from(x)));
            bounds = Some(observe_beside(bounded, a.corpus, Some([&first, &second]))?);
        }
        let compared = Compared { a, b, number, bounds: bounds.as_ref(), before: &before };
        if let Some(mut found) = compared.parting(&first, &second) {
            found.causes = cause::causes(&compared, &found, &first)?;
            return Ok(Outcome::Diverge(Box::new(found)));
        }
        if rounding.is_some() {
            let now: Vec<Vec<f32>> = own.state().into_iter().map(|(_, x)| x.to_vec()).collect();
            take_over(&mut other, &now, number, |x| x);
        }
    }
    Ok(Outcome::Same { steps, bits: same_cut })
}

fn start(side: &Side<'_>) -> Result<Trainer<f32>, ModelError> {
    let mut trainer = Trainer::<f32>::new(side.config.clone(), &side.model)?;
    if let Some(start) = &side.start {
        trainer.model_mut().copy_parameters(start);
    }
    Ok(trainer)
}

fn start_as<T: Real>(side: &Side<'_>) -> Result<Trainer<T>, ModelError> {
    Trainer::<T>::new(side.config.clone(), &side.model)
}

/// Sets a trainer to the state of another one after `steps` steps.
fn take_over<T: Real>(
    trainer: &mut Trainer<T>,
    state: &[Vec<f32>],
    steps: u64,
    number: impl Fn(f32) -> T,
) {
    for ((_, own), from) in trainer.state().into_iter().zip(state) {
        own.iter_mut().zip(from).for_each(|(own, x)| *own = number(*x));
    }
    trainer.set_steps(steps);
}

/// Returns what the update rule of a run makes of another run's parameters, state and gradients.
fn updated(side: &Side<'_>, first: &Observed<f32>, before: &[Vec<f32>]) -> Vec<Entry<f32>> {
    let list = &first.parameters;
    let gradients = first.entries.iter().filter(|e| e.part == Part::ParameterGradient);
    let mut all: Vec<f32> = gradients.flat_map(|entry| entry.elements.clone()).collect();
    let mut rule = side.config.rule().build::<f32>(list);
    let number = first.step.number;
    rule.set_steps(number - 1);
    for ((_, own), from) in rule.state().into_iter().zip(&before[1..]) {
        if own.len() == from.len() {
            own.copy_from_slice(from);
        }
    }
    let mut parameters = before[0].clone();
    let limit = if side.config.clip > 0.0 { side.config.clip } else { f64::INFINITY };
    let factor = clip::factor(first.step.gradient_norm, limit);
    rule.step_scaled(side.config.schedule().rate(number - 1), factor, &mut parameters, &mut all);
    let state = rule.state().into_iter().map(|(name, x)| (Part::OptimizerState, name, x.to_vec()));
    let after = (Part::Update, "", parameters);
    let matrices = state.collect::<Vec<_>>().into_iter().chain([after]);
    matrices.flat_map(|(part, kind, x)| entries(part, kind, list, &x)).collect()
}

/// Returns why two trainers do not start equal.
fn starts_differ(a: &Trainer<f32>, b: &Trainer<f32>) -> Option<String> {
    let [own, other] = [a, b].map(|t| t.model().tape());
    let lists = [own.parameter_list(), other.parameter_list()];
    let differs = |(p, q): &(&calculus::Parameter, &calculus::Parameter)| {
        p.name != q.name || p.shape != q.shape
    };
    if let Some((p, q)) = lists[0].iter().zip(&lists[1]).find(differs) {
        return Some(format!(
            "a parameter of the first is {} ({}), of the second {} ({})",
            p.name, p.shape, q.name, q.shape
        ));
    }
    if lists[0].len() != lists[1].len() {
        return Some(format!("they have {} and {} parameters", lists[0].len(), lists[1].len()));
    }
    let bits = |x: &f32| x.to_bits();
    let differing =
        own.parameters().iter().zip(other.parameters()).position(|(a, b)| bits(a) != bits(b));
    differing.map(|at| {
        let (name, (row, column)) = crate::training::trainer::place(&lists[0], at);
        let seeds = [a.config().seed, b.config().seed];
        let why = if seeds[0] == seeds[1] {
            String::new()
        } else {
            format!("; the seeds are {} and {}", seeds[0], seeds[1])
        };
        format!("{name}[{row}, {column}] differs before the first step{why}")
    })
}

/// Two runs at one step.
pub(super) struct Compared<'s, 'c> {
    a: &'s Side<'c>,
    b: &'s Side<'c>,
    number: u64,
    bounds: Option<&'s Observed<Rounding>>,
    /// The first run's parameters and optimizer state before the step.
    before: &'s [Vec<f32>],
}

impl Compared<'_, '_> {
    /// Returns the first place where two written steps differ.
    fn parting(&self, first: &Observed<f32>, second: &Observed<f32>) -> Option<Divergence> {
        let early = |part: Part| {
            matches!(part, Part::Batch | Part::Value | Part::Gradient | Part::ParameterGradient)
        };
        let split = |of: &Observed<f32>| of.entries.iter().position(|e| !early(e.part));
        let cut = [first, second].map(|of| split(of).unwrap_or(of.entries.len()));
        let part = self
            .among(&first.entries[..cut[0]], &second.entries[..cut[1]])
            .or_else(|| self.numbers(first, second));
        if part.is_some() {
            return part;
        }
        if self.bounds.is_none() {
            return self.among(&first.entries[cut[0]..], &second.entries[cut[1]..]);
        }
        // Gradients differ by rounding: the rules are compared on one of the two.
        let [own, other] = [self.a, self.b].map(|side| updated(side, first, self.before));
        Compared { bounds: None, ..*self }.among(&own, &other)
    }

    /// Compares the numbers between the gradients and the update.
    fn numbers(&self, first: &Observed<f32>, second: &Observed<f32>) -> Option<Divergence> {
        // With the same norm, so that rounding of the norm is no difference.
        let factor = |side: &Side<'_>| {
            let limit = if side.config.clip > 0.0 { side.config.clip } else { f64::INFINITY };
            clip::factor(first.step.gradient_norm, limit)
        };
        let pairs = [
            (Part::ClippingFactor, "clipping factor", factor(self.a), factor(self.b)),
            (
                Part::LearningRate,
                "learning rate",
                first.step.learning_rate,
                second.step.learning_rate,
            ),
        ];
        let (part, name, a, b) = pairs.into_iter().find(|(.., a, b)| a != b)?;
        Some(self.found(part, name, [None; 2], None, [Some(a), Some(b)], 0.0))
    }

    fn found(
        &self,
        part: Part,
        name: &str,
        operations: [Option<&'static str>; 2],
        element: Option<[usize; 2]>,
        values: [Option<f64>; 2],
        bound: f64,
    ) -> Divergence {
        let (step, name, causes) = (self.number, name.to_owned(), vec![]);
        Divergence { step, part, name, operations, element, values, bound, causes }
    }

    /// Walks both lists in their order; what only one run computes is a difference.
    fn among(&self, own: &[Entry<f32>], other: &[Entry<f32>]) -> Option<Divergence> {
        let in_list = |list: &[Entry<f32>], e: &Entry<f32>| {
            list.iter().any(|x| x.part == e.part && x.name == e.name)
        };
        let (mut i, mut k) = (0, 0);
        while i < own.len() || k < other.len() {
            let alone = |e: &Entry<f32>, side: usize| {
                let mut operations = [None; 2];
                let mut values = [None; 2];
                operations[side] = e.operation;
                values[side] = e.elements.first().map(|x| f64::from(*x));
                self.found(e.part, &e.name, operations, None, values, 0.0)
            };
            match (own.get(i), other.get(k)) {
                (Some(a), Some(b)) if a.part == b.part && a.name == b.name => {
                    if let Some(found) = self.entry(a, b) {
                        return Some(found);
                    }
                    (i, k) = (i + 1, k + 1);
                }
                (Some(a), _) if !in_list(other, a) => return Some(alone(a, 0)),
                (_, Some(b)) if !in_list(own, b) => return Some(alone(b, 1)),
                // Both have both, in another order: the operands decide, not the order.
                (Some(a), _) => {
                    let b = other.iter().find(|b| b.part == a.part && b.name == a.name);
                    if let Some(found) = b.and_then(|b| self.entry(a, b)) {
                        return Some(found);
                    }
                    i += 1;
                    k += 1;
                }
                (None, _) => return None,
            }
        }
        None
    }

    /// Compares two matrices of one name.
    fn entry(&self, a: &Entry<f32>, b: &Entry<f32>) -> Option<Divergence> {
        let operations = [a.operation, b.operation];
        let bounds = self
            .bounds
            .and_then(|of| of.entries.iter().find(|e| e.part == a.part && e.name == a.name));
        let (mut own, mut other) = (&a.elements[..], &b.elements[..]);
        if own.len() != other.len() {
            let each = [own.len() / a.replays.max(1), other.len() / b.replays.max(1)];
            if self.bounds.is_none() || each[0] != each[1] || a.part == Part::Batch {
                let values = [own.first(), other.first()].map(|x| x.map(|x| f64::from(*x)));
                return Some(self.found(a.part, &a.name, operations, None, values, 0.0));
            }
            // One number or matrix of each replay: of a gradient it is a share of a sum that is compared later, of a value
            // it depends on parameters alone, or is the loss, which depends on logits compared before.
            if a.part != Part::Value || each[0] == 1 {
                return None;
            }
            (own, other) = (&own[..each[0]], &other[..each[0]]);
        }
        let bound = |at: usize| match bounds {
            None => 0.0,
            Some(of) => of.elements.get(at).map_or(0.0, |x| 2.0 * x.error()) + SMALLEST,
        };
        let differs = |at: &usize| {
            let (x, y) = (own[*at], other[*at]);
            let same = x.to_bits() == y.to_bits() || (self.bounds.is_some() && x == y);
            // NaN is within no bound.
            !same
                && (f64::from(x) - f64::from(y))
                    .abs()
                    .partial_cmp(&bound(*at))
                    .is_none_or(|o| o.is_gt())
        };
        let at = (0..own.len()).find(differs)?;
        let rows = a.rows.max(1);
        let values = [Some(f64::from(own[at])), Some(f64::from(other[at]))];
        let element = Some([at % rows, at / rows]);
        Some(self.found(a.part, &a.name, operations, element, values, bound(at)))
    }
}

/// Smaller differences are below the normal numbers of `f32`, where errors are not relative.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

#[cfg(test)]
mod tests;
