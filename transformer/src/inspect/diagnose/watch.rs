//! Watches training, and keeps the data of the steps before a failure that a diagnosis needs.

use super::course::{State, Taken};
use super::origin::Origin;
use super::picture::Growth;
use super::signs::{attentions, largest_score};
use super::stage::{Notify, Stage};
use super::stepping::Course;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::{Given, Handles, Recording};
use crate::training::precision::Precision;
use crate::training::recipe::Recipe;
use calculus::Var;
use std::collections::VecDeque;
use std::rc::Rc;

/// Maximum number of states kept to return to, besides the start.
const KEPT: usize = 3;
/// Consecutive steps with a loss above both the first and ln V after which a model has lost what it learned.
const LOST: u64 = 40;
/// Steps of a watch, at most and besides the last, at which attention scores are looked at: the interval of a slope needs a dozen points,
/// and each costs a forward pass.
const LOOKS: u64 = 12;
/// Relative tolerance of a gradient's norm: gradients that differ by less count as the same, like f32 sums in another
/// order.
const SAME: f64 = 1e-3;

/// Returns the bytes for watching a step: the recording used for training, one that shows every formula, the states to
/// return to, and the memory of an update. Tracked values take four times as much as the recording they replay; without
/// that memory, a diagnosis omits them.
///
/// # Errors
/// If the step cannot be recorded.
pub fn bytes(subject: &impl Subject, start: &State) -> Result<u128, ModelError> {
    let recordings = subject.bytes::<f32>(false)? + subject.bytes::<f32>(true)?;
    // Weights and two moments: at the start, in good health, before a step, in a replay; the loop's own moments, its
    // sums, the gradients that the optimizer is passed.
    let states = 3 * (KEPT as u128 + 3) + 5;
    Ok(recordings + 4 * states * start.parameters.len() as u128)
}

/// An error in the gradient passed to the optimizer: it differs from the mean over the batches of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    /// It is the sum over the batches.
    Sum,
    /// It includes the gradient of the previous step.
    WithTheStepBefore,
}

impl Handed {
    /// Returns the error of `handed`, given the mean gradient and the gradients that the previous step `left`; `None`
    /// if it is the mean, or neither of these.
    fn of(mean: &[f32], handed: &[f32], left: &[f32], batches: f64) -> Option<Self> {
        // ‖handed − factor·mean − add·left‖ over ‖factor·mean‖.
        let close = |factor: f64, add: f64| {
            let squares = mean.iter().zip(handed).zip(left).map(|((m, h), l)| {
                (f64::from(*h) - factor * f64::from(*m) - add * f64::from(*l)).powi(2)
            });
            let size = mean.iter().map(|&m| (factor * f64::from(m)).powi(2)).sum::<f64>().sqrt();
            squares.sum::<f64>().sqrt() / size.max(f64::MIN_POSITIVE) < SAME
        };
        if close(1.0, 0.0) {
            None
        } else if batches > 1.0 && close(batches, 0.0) {
            Some(Handed::Sum)
        } else if close(1.0, 1.0) || close(batches, 1.0) {
            Some(Handed::WithTheStepBefore)
        } else {
            None
        }
    }
}

/// The steps that were watched.
pub(crate) struct Watched {
    /// The record of each step; the last is the one that failed, if one did.
    pub(crate) history: Vec<Taken>,
    /// The last states with a healthy loss, oldest first.
    pub(crate) well: VecDeque<Rc<State>>,
    /// The state before the last step if that failed; else after it.
    pub(crate) last_good: Rc<State>,
    /// The error in the gradient passed to the optimizer, if any.
    pub(crate) handed: Option<Handed>,
    /// The result of an update of a weight of 1 without gradient.
    pub(crate) decay_factor: f64,
    /// Names of all values, in the order of the recording.
    pub(crate) names: Vec<String>,
    /// The values of the recording that findings examine.
    pub(crate) handles: Handles,
    /// The number of its frozen tensors.
    pub(crate) frozen: usize,
    /// The largest score of every attention at some of the steps, on one batch.
    pub(crate) scores: Vec<Growth>,
    ran_away: bool,
    /// Checks whether the last consecutive losses show that the model has lost what it learned.
    lost: bool,
}

impl Watched {
    /// Takes up to `steps` steps, and stops when one fails.
    pub(crate) fn of<S: Subject>(
        subject: &S,
        recipe: &Recipe,
        start: &State,
        steps: u64,
        notify: Notify<'_>,
    ) -> Result<Self, ModelError> {
        let mut course = Course::from(subject, recipe, start)?;
        let tape = &course.recording.tape;
        let names = tape.vars().map(|v| tape.name(v).to_owned()).collect();
        let mut watched = Watched {
            history: vec![],
            well: VecDeque::new(),
            last_good: Rc::new(State::start(vec![])),
            handed: None,
            decay_factor: course.decay_factor(),
            names,
            handles: course.recording.handles.clone(),
            frozen: tape.frozen_vars().count(),
            scores: vec![],
            ran_away: false,
            lost: false,
        };
        let (mut best, mut first, mut worse) = (f64::INFINITY, f64::NAN, 0);
        let mut least = f64::INFINITY;
        let mut left: Vec<f32> = start.gradients.clone();
        left.resize(start.parameters.len(), 0.0);
        let mut looks = Looks::new(subject, subject.batch(course.next_batch()))?;
        let every = steps.div_ceil(LOOKS).max(1);
        for i in 0..steps {
            if i % every == 0 {
                looks.take(start.steps + i, course.recording.tape.parameters());
            }
            let taken = course.step()?;
            notify(Stage::Watched { done: i + 1, of: steps, loss: taken.loss });
            let failed = taken.origin.is_some() || !taken.loss.is_finite();
            let earlier = std::mem::replace(&mut watched.last_good, Rc::new(course.take_before()));
            if let Ok(state) = Rc::try_unwrap(earlier) {
                course.reuse(state);
            }
            watched.scores = looks.scores();
            if failed || !taken.gradient_norm.is_finite() {
                watched.history.push(taken);
                return Ok(watched);
            }
            first = if first.is_nan() { taken.loss } else { first };
            best = best.min(taken.loss);
            if taken.loss <= 1.2 * best + 0.1 {
                watched.well.push_back(Rc::clone(&watched.last_good));
                if watched.well.len() > KEPT
                    && let Some(Ok(state)) = watched.well.pop_front().map(Rc::try_unwrap)
                {
                    course.reuse(state);
                }
            }
            // A loop that forgets to zero its gradients shows it at its second step.
            if i < 2 && recipe.precision == Precision::F32 && watched.handed.is_none() {
                let mean = course.fresh_gradient(&watched.last_good)?;
                let batches = recipe.accumulate as f64;
                watched.handed = Handed::of(&mean, course.handed(), &left, batches);
            }
            if i < 2 {
                left = course.handed().to_vec();
            }
            watched.ran_away = taken.loss > 3.0 * first + 3.0;
            (worse, least) = match taken.loss > first {
                true => (worse + 1, least.min(taken.loss)),
                false => (0, f64::INFINITY),
            };
            watched.lost = worse == LOST && least > uniform(subject)?;
            watched.history.push(taken);
            if watched.ran_away || watched.lost {
                return Ok(watched);
            }
        }
        watched.last_good = Rc::new(course.state());
        looks.take(start.steps + steps, &watched.last_good.parameters);
        watched.scores = looks.scores();
        Ok(watched)
    }

    /// Checks whether the last step failed: an origin, a non-finite loss or gradient, a diverged loss.
    pub(crate) fn failed(&self) -> bool {
        let spoilt =
            |t: &Taken| t.origin.is_some() || !t.loss.is_finite() || !t.gradient_norm.is_finite();
        self.ran_away || self.lost || self.history.last().is_some_and(spoilt)
    }

    /// Returns the first non-finite value of the last step.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.history.last()?.origin.as_ref()
    }

    /// Checks whether a weight before the last step is NaN or infinite.
    pub(crate) fn has_broken_weights(&self) -> bool {
        self.last_good.parameters.iter().any(|p| !p.is_finite())
    }

    /// Returns a batch's elements for an input.
    pub(crate) fn given<'a>(&self, input: Option<Var>, batch: &'a [Given]) -> Option<&'a [f64]> {
        let name = &self.names[input?.index()];
        batch.iter().find(|given| given.name == name).map(|given| &given.elements[..])
    }

    /// Returns the batch of the last step.
    pub(crate) fn batch(&self) -> u64 {
        self.history.last().map_or(0, |t| t.batch)
    }
}

/// Measures attention scores on one batch as the parameters change: on other batches, the noise of the tokens hides slow growth.
struct Looks {
    step: Recording<f32>,
    attentions: Vec<Var>,
    found: Vec<(u64, Vec<f64>)>,
}

impl Looks {
    fn new(subject: &impl Subject, batch: Vec<Given>) -> Result<Self, ModelError> {
        let mut step = subject.record_in_full::<f32>()?;
        step.give(&batch);
        let attentions = attentions(&step.tape);
        Ok(Looks { step, attentions, found: vec![] })
    }

    fn take(&mut self, steps: u64, parameters: &[f32]) {
        let Looks { step, attentions, found } = self;
        if attentions.is_empty() {
            return;
        }
        step.set_parameters(parameters);
        step.tape.forward();
        found.push((steps, attentions.iter().map(|v| largest_score(&step.tape, *v)).collect()));
    }

    fn scores(&self) -> Vec<Growth> {
        let of = |(i, v): (usize, &Var)| Growth {
            name: self.step.tape.name(*v).to_owned(),
            sizes: self.found.iter().map(|(steps, sizes)| (*steps, sizes[i])).collect(),
        };
        self.attentions.iter().enumerate().map(of).collect()
    }
}

/// Returns ln V; −∞ if there are no logits.
fn uniform(subject: &impl Subject) -> Result<f64, ModelError> {
    let step = subject.record_in_full::<f32>()?;
    let classes = step.handles.logits.map(|v| step.tape.shape(v).rows);
    Ok(classes.map_or(f64::NEG_INFINITY, |classes| (classes as f64).ln()))
}
