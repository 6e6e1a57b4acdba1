//! Why is my loss NaN? The first cause, not the symptoms.
//!
//! Frameworks report where a NaN is noticed. A recorded step keeps every value, in the order in which it was
//! computed, so that the question has an exact answer: [`find`] names the operation, the element, its operands
//! and the arithmetic that failed. [`diagnose`] runs or resumes training under watch, stops where something
//! goes wrong, names a [`Cause`] of a documented list with the evidence for it, and tries the cure by replaying
//! from the last good step.
//!
//! ```
//! use transformer::inspect::diagnose::{diagnose, Cause, Recipe, State};
//! use transformer::{RecordedStep, Architecture, ModelStep, Form};
//! use std::sync::Arc;
//! let config = Architecture { vocabulary: 11, context: 8, width: 16, heads: 2, layers: 1, hidden: 32, ..Default::default() };
//! let step = ModelStep {
//!     config: config.clone(), sequences: 2, length: 8, seed: 1,
//!     batches: Arc::new(|n| {
//!         let text: Vec<u32> = (0..17).map(|i| (n as u32 + 3 * i) % 11).collect();
//!         (text[..16].to_vec(), text[1..].to_vec())
//!     }),
//! };
//! let mut model = RecordedStep::<f32>::record(&config, 2, 8, Form::Fused, 1)?;
//! model.initialise(1);
//! let mut parameters = model.tape().parameters().to_vec();
//! parameters[5] = f32::NAN;
//! let found = diagnose(&step, &State::start(parameters), &Recipe::adam(1e-2), 10)?;
//! assert_eq!(found.cause.unwrap().0, Cause::BrokenWeights);
//! assert_eq!(found.origin.unwrap().name, "embedding.token.weight");
//! assert!(found.trials[0].cured); // the broken weight at 0: it learns again
//! # Ok::<(), transformer::ModelError>(())
//! ```
//!
//! The list of causes is in `docs/FAILURES.md`, each with its mathematics, its signature and an example.

mod applied;
mod background;
mod cause;
mod course;
mod cure;
mod dynamics;
mod edge;
mod evidence;
mod examination;
pub mod health;
mod origin;
mod pace;
mod picture;
mod reduced;
mod signs;
mod verdict;

pub use background::Background;
pub use cause::Cause;
pub use course::{Course, Descent, Recipe, State, Taken};
pub use cure::{Cure, Trial, loss_scale};
pub use edge::{Stability, stability, stability_limit};
pub use examination::{Examination, examination, examination_of};
pub use origin::{Direction, Operand, Origin, backward, find, forward};
pub use picture::{Growth, sparkline};
pub use reduced::{Reduced, Saved, Stored, reduced};
pub use signs::{Attention, Signs, looks_ahead, signs};
pub use verdict::Verdict;

use crate::inspect::check;
use crate::inspect::diagnose::health::GROWTH;
use crate::inspect::precision::Precision;
use crate::inspect::subject::Subject;
use crate::memory;
use crate::model::recorded_step::ModelError;
use calculus::{Arithmetic, Source};
use cure::Case;
use edge::CURVED;
use evidence::{AGAIN, Evidence};
use linalg::{Role, column};
use pace::Pace;
use std::collections::VecDeque;

/// States that are kept to go back to, besides the start.
const KEPT: usize = 3;
/// How many times the limit of stability a rate is far above it: training bears up to 1.3 times near a minimum
/// (docs/FAILURES.md has the measurements).
const FAR: f64 = 2.0;
/// Steps in a row with a loss above both the first and ln V after which a model is lost: what it knew is gone.
const LOST: u64 = 40;

/// What was found.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// Steps that were taken without fault, counted from the start of training.
    pub steps: u64,
    /// The steps that were watched; the last is the one that failed, if one did.
    pub history: Vec<Taken>,
    /// Where the first number that is none was born, if one was.
    pub origin: Option<Origin>,
    /// Why, and by which evidence; none for a healthy run.
    pub cause: Option<(Cause, String)>,
    /// How the quantity that failed grew over the watched steps.
    pub growth: Growth,
    /// Curvature at the last good state, where it was asked for.
    pub stability: Option<Stability>,
    /// The signs at the start and at the last good state.
    pub signs: Option<(Signs, Signs)>,
    /// The cures that were proposed, and what became of them.
    pub trials: Vec<Trial>,
    /// The last good state.
    pub last_good: State,
}

/// Trains up to `steps` steps under watch and says what goes wrong, why, and what helps.
///
/// # Errors
/// If the step cannot be recorded.
pub fn diagnose<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
) -> Result<Diagnosis, ModelError> {
    diagnose_with(subject, start, recipe, steps, &Background::default())
}

/// As [`diagnose`], with what is known of the run besides: its plan, text that it does not see, baselines. What makes
/// a loss stand still can be found only as far as it is known.
///
/// # Errors
/// If the step cannot be recorded.
pub fn diagnose_with<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    background: &Background,
) -> Result<Diagnosis, ModelError> {
    memory::afford(bytes(subject, start)?)?;
    let background = Some(background);
    Patient { subject, start, recipe, background, spoilt: false }.examine(steps)
}

/// As [`diagnose`], of failures alone: a run is walked again to see what grew, not how fast it learns. Weights that
/// are known to come out `spoilt` are a failure too, though every loss on the way is finite.
pub(crate) fn failure<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    spoilt: bool,
) -> Result<Diagnosis, ModelError> {
    memory::afford(bytes(subject, start)?)?;
    Patient { subject, start, recipe, background: None, spoilt }.examine(steps)
}

/// Bytes that watching a step takes: a recording as it trains and one that shows every formula, the states
/// to go back to, and what an update needs. Numbers that remember take four times as much as the recording
/// they replay; where that is not there, a diagnosis goes without.
///
/// # Errors
/// If the step cannot be recorded.
pub fn bytes(subject: &impl Subject, start: &State) -> Result<u128, ModelError> {
    let recordings = subject.bytes::<f32>(false)? + subject.bytes::<f32>(true)?;
    // Weights and two moments: at the start, in good health, before a step; the loop's own; its sums.
    let states = 3 * (KEPT as u128 + 4) + 4;
    Ok(recordings + 4 * states * start.parameters.len() as u128)
}

struct Patient<'a, S: Subject> {
    subject: &'a S,
    start: &'a State,
    recipe: &'a Recipe,
    /// What is known of its pace; none where that is not asked.
    background: Option<&'a Background>,
    /// Whether the weights after these steps are known to be spoilt.
    spoilt: bool,
}

/// What a course came to.
struct Watched {
    history: Vec<Taken>,
    /// The last states at which the loss was well, oldest first.
    well: VecDeque<State>,
    last_good: State,
    /// A mistake of the loop itself, if the second step showed one.
    loop_fault: Option<(Cause, String)>,
    ran_away: bool,
    /// Whether the last losses in a row say that what was known is gone.
    lost: bool,
    decay_factor: f64,
    names: Vec<String>,
}

impl Watched {
    /// Whether the last step went wrong: an origin, a loss or gradient that is no number, a loss that ran away.
    fn failed(&self) -> bool {
        let spoilt =
            |t: &Taken| t.origin.is_some() || !t.loss.is_finite() || !t.gradient_norm.is_finite();
        self.ran_away || self.lost || self.history.last().is_some_and(spoilt)
    }
}

impl<S: Subject> Patient<'_, S> {
    fn watch(&self, steps: u64) -> Result<Watched, ModelError> {
        let mut course = Course::from(self.subject, self.recipe, self.start)?;
        let tape = &course.recording.tape;
        let names = tape.vars().map(|v| tape.name(v).to_owned()).collect();
        let mut watched = Watched {
            history: vec![],
            well: VecDeque::new(),
            last_good: self.start.clone(),
            loop_fault: None,
            ran_away: false,
            lost: false,
            decay_factor: course.decay_factor(),
            names,
        };
        let (mut best, mut first, mut worse) = (f64::INFINITY, f64::NAN, 0);
        let mut least = f64::INFINITY;
        let mut left: Vec<f32> = self.start.gradients.clone();
        left.resize(self.start.parameters.len(), 0.0);
        for i in 0..steps {
            let before = course.state();
            let taken = course.step()?;
            let failed = taken.origin.is_some() || !taken.loss.is_finite();
            watched.last_good = before;
            if failed || !taken.gradient_norm.is_finite() {
                watched.history.push(taken);
                return Ok(watched);
            }
            first = if first.is_nan() { taken.loss } else { first };
            best = best.min(taken.loss);
            if taken.loss <= 1.2 * best + 0.1 {
                watched.well.push_back(watched.last_good.clone());
                if watched.well.len() > KEPT {
                    watched.well.pop_front();
                }
            }
            // A loop that forgets to zero shows it at its second step.
            if i < 2 && self.recipe.precision == Precision::F32 && watched.loop_fault.is_none() {
                let fresh = course.fresh_gradient(&watched.last_good)?;
                watched.loop_fault = self.compare(&fresh, course.handed(), &left);
            }
            if i < 2 {
                left = course.handed().to_vec();
            }
            watched.ran_away = taken.loss > 3.0 * first + 3.0;
            (worse, least) = match taken.loss > first {
                true => (worse + 1, least.min(taken.loss)),
                false => (0, f64::INFINITY),
            };
            watched.lost = worse == LOST && least > self.uniform()?;
            watched.history.push(taken);
            if watched.ran_away || watched.lost {
                return Ok(watched);
            }
        }
        watched.last_good = course.state();
        Ok(watched)
    }

    /// The gradient that the loop handed to its optimiser against that of its batches.
    fn compare(&self, fresh: &[f32], handed: &[f32], left: &[f32]) -> Option<(Cause, String)> {
        let distance = |factor: f64, add: f64| {
            let squares = fresh.iter().zip(handed).zip(left).map(|((f, h), l)| {
                (f64::from(*h) - factor * f64::from(*f) - add * f64::from(*l)).powi(2)
            });
            let size = fresh.iter().map(|&f| (factor * f64::from(f)).powi(2)).sum::<f64>().sqrt();
            squares.sum::<f64>().sqrt() / size.max(f64::MIN_POSITIVE)
        };
        // Sums in f32 in another order.
        let close = |factor, add| distance(factor, add) < 1e-3;
        let batches = self.recipe.accumulate as f64;
        if close(1.0, 0.0) {
            None
        } else if batches > 1.0 && close(batches, 0.0) {
            let why = format!(
                "the gradient handed to the update is {batches} times the mean over the step's {batches} batches"
            );
            Some((Cause::NotAveraged, why))
        } else if close(1.0, 1.0) || close(batches, 1.0) {
            let why = "the gradient handed to the update is that of this step's batches plus that of the \
                       step before";
            Some((Cause::NotZeroed, why.to_owned()))
        } else {
            None
        }
    }

    fn examine(&self, steps: u64) -> Result<Diagnosis, ModelError> {
        let watched = self.watch(steps)?;
        let last = watched.history.last();
        let origin = last.and_then(|t| t.origin.clone());
        let given = origin.as_ref().is_some_and(|o| o.direction == Direction::Given);
        let batch = last.map_or(0, |t| t.batch);
        let signs = match given {
            true => None,
            false => {
                let accumulate = self.recipe.accumulate;
                let at = |s: &State| {
                    let batch = self.subject.batch(s.steps * accumulate);
                    signs(self.subject, &s.parameters, &batch)
                };
                Some((at(self.start)?, at(&watched.last_good)?))
            }
        };
        let front = watched.well.front().filter(|s| s.steps > self.start.steps);
        let well: Vec<State> = front.into_iter().chain([self.start]).cloned().collect();
        let mut stability = None;
        let mut cause = self.cause(&watched, signs.as_ref(), &well, &mut stability)?;
        let norms = usual(watched.history.iter().rev().skip(1).map(|t| t.gradient_norm));
        let trials = match &cause {
            None => match self.slow(&watched, signs.as_ref())? {
                Some((found, trials)) => {
                    cause = Some(found);
                    trials
                }
                None => vec![],
            },
            Some((cause, _)) => {
                let replays = (watched.history.len() as u64 + 10).clamp(12, 60);
                let replays = match cause {
                    Cause::NoWarmup => 130,                                 // past the rise
                    Cause::RateTooHigh | Cause::Unknown => replays.max(40), // long enough to learn
                    _ => replays,
                };
                let largest = watched.history.iter().flat_map(|t| &t.largest_gradient);
                let finite = largest.filter(|g| g.is_finite()).fold(0.0, |m: f64, &g| m.max(g));
                let largest_gradient = match cause {
                    Cause::LossScaleTooHigh | Cause::Underflow => {
                        reduced(self.subject, &well[0].parameters, batch, Precision::F32, 1.0)?
                            .largest_gradient
                    }
                    _ => finite / self.recipe.loss_scale,
                };
                Case {
                    subject: self.subject,
                    recipe: self.recipe,
                    states: &well,
                    signs: signs.as_ref().map(|s| &s.0),
                    batch: match cause {
                        Cause::SpikeBatch => self.blamed(&watched).map_or(batch, |t| t.batch),
                        _ => batch,
                    },
                    usual_norm: norms,
                    steps: replays,
                    largest_gradient,
                    stability,
                }
                .try_cures(*cause)?
            }
        };
        let failed = watched.failed();
        let taken = watched.history.len() as u64 - u64::from(failed && !watched.history.is_empty());
        Ok(Diagnosis {
            steps: self.start.steps + taken,
            growth: Growth::of(&watched.history, &watched.names, origin.as_ref()),
            history: watched.history,
            origin,
            cause,
            stability,
            signs,
            trials,
            last_good: watched.last_good,
        })
    }

    /// What makes a run whose numbers are all finite learn little.
    fn slow(
        &self,
        watched: &Watched,
        signs: Option<&(Signs, Signs)>,
    ) -> Result<pace::Found, ModelError> {
        let (Some((first, last)), Some(background)) = (signs, self.background) else {
            return Ok(None);
        };
        let (subject, recipe) = (self.subject, self.recipe);
        let (start, end) = (self.start, &watched.last_good);
        let (states, signs) = ((start, end), (first, last));
        let found = Evidence::of(subject, recipe, background, states, signs, &watched.history)?;
        Pace { subject, recipe, start }.cause(found)
    }

    /// ln V; −∞ where there are no logits.
    fn uniform(&self) -> Result<f64, ModelError> {
        let step = self.subject.record_in_full::<f32>()?;
        let classes = step.handles.logits.map(|v| step.tape.shape(v).rows);
        Ok(classes.map_or(f64::NEG_INFINITY, |classes| (classes as f64).ln()))
    }

    /// The cause and its evidence.
    fn cause(
        &self,
        watched: &Watched,
        signs: Option<&(Signs, Signs)>,
        well: &[State],
        stability: &mut Option<Stability>,
    ) -> Result<Option<(Cause, String)>, ModelError> {
        let last = watched.history.last();
        let origin = last.and_then(|t| t.origin.as_ref());
        if let Some(origin) = origin
            && let Some(found) = self.by_arithmetic(origin, watched)?
        {
            return Ok(Some(found));
        }
        if let Some(found) = watched.loop_fault.clone() {
            return Ok(Some(found));
        }
        if watched.decay_factor > 1.0 {
            let why =
                format!("a weight without gradient grows by {:.6} a step", watched.decay_factor);
            return Ok(Some((Cause::DecaySign, why)));
        }
        let first = self.start.steps * self.recipe.accumulate;
        let batch = self.subject.batch(first);
        if looks_ahead(self.subject, &self.start.parameters, &batch)? {
            let why = "another last token changes the logits of earlier ones".to_owned();
            return Ok(Some((Cause::NoMask, why)));
        }
        let failed = watched.failed();
        let Some((at_start, at_end)) = signs else {
            return Ok(Some((Cause::Unknown, String::new())));
        };
        if self.recipe.precision != Precision::F32
            && let Some(found) = self.by_range(watched, origin)?
        {
            return Ok(Some(found));
        }
        if let Some(found) = self.by_structure(watched, at_start, failed)? {
            // Sizes that training has made are a symptom, where its rate is far above the limit.
            let fast = |s: Stability| s.rate > FAR * s.limit;
            if self.start.steps > 0 && self.judged(watched, self.start)?.is_some_and(fast) {
                let well = std::slice::from_ref(self.start);
                return self.by_dynamics(watched, well, stability).map(Some);
            }
            return Ok(Some(found));
        }
        if failed {
            let found = self.by_dynamics(watched, well, stability)?;
            // Where the rate is within the limit of stability, what grew says more.
            let grew = matches!(found.0, Cause::Unknown | Cause::RateTooHigh)
                && stability.as_ref().is_some_and(|s| s.rate <= s.limit);
            return Ok(by_saturation(at_end).filter(|_| grew).or(Some(found)));
        }
        // Finite to the end; saturated all the same?
        let saturated = by_saturation(at_end);
        if saturated.is_none() && !self.spoilt {
            return Ok(None);
        }
        // What grew under a rate far above the limit is its symptom.
        let judged = self.judged(watched, self.start)?;
        if judged.is_some_and(|s| s.rate > FAR * s.limit) {
            return self.by_dynamics(watched, well, stability).map(Some);
        }
        Ok(saturated)
    }

    /// What the arithmetic itself says.
    fn by_arithmetic(
        &self,
        origin: &Origin,
        watched: &Watched,
    ) -> Result<Option<(Cause, String)>, ModelError> {
        let last = watched.history.last();
        let why = || Some(origin.to_string());
        let role = origin.role;
        let is = |step| origin.fault.is_some_and(|f| f.step == step);
        let of_zero = origin.fault.is_some_and(|f| f.step == Arithmetic::Divide && f.right == 0.0);
        let subtracted = is(Arithmetic::Subtract) || is(Arithmetic::Add);
        let form = origin.fault.is_some_and(|f| f.is_indeterminate());
        let cause = match origin.direction {
            Direction::Given if origin.source == Some(Source::Parameter) => {
                Some(Cause::BrokenWeights)
            }
            Direction::Given if origin.source == Some(Source::Input) => Some(Cause::BrokenData),
            Direction::Given => Some(Cause::BrokenMoments),
            Direction::Update => match self.recipe.descent {
                Descent::Adam { beta1, beta2, .. } if beta1 >= 1.0 || beta2 >= 1.0 => {
                    Some(Cause::BetaOne)
                }
                Descent::Adam { epsilon, .. } if epsilon <= 0.0 => Some(Cause::NoEpsilon),
                _ => None,
            },
            Direction::Forward if role == Some(Role::Lookup) => Some(Cause::BadToken),
            Direction::Forward if role == Some(Role::Loss) && of_zero => Some(Cause::NoTarget),
            Direction::Forward if role == Some(Role::Loss) && origin.fault.is_none() => {
                return Ok(self.bad_target(last)?.map(|why| (Cause::BadToken, why)));
            }
            Direction::Forward if is(Arithmetic::Ln) => Some(Cause::LogOfSoftmax),
            Direction::Forward if matches!(role, Some(Role::Softmax | Role::Attention)) => {
                if is(Arithmetic::Exp) {
                    Some(Cause::NoMaximum)
                } else if of_zero && self.highest_is_fine(origin, watched)? {
                    Some(Cause::WrongMaximum)
                } else if of_zero {
                    Some(Cause::NoMaximum)
                } else if subtracted && form {
                    Some(Cause::AllMasked)
                } else {
                    None
                }
            }
            Direction::Forward if role == Some(Role::Norm) && (of_zero || is(Arithmetic::Sqrt)) => {
                Some(Cause::ZeroVariance)
            }
            Direction::Forward if form && subtracted => Some(Cause::InfinityMinusInfinity),
            Direction::Forward if form && is(Arithmetic::Multiply) => {
                Some(Cause::ZeroTimesInfinity)
            }
            Direction::Backward if is(Arithmetic::Ln) => Some(Cause::EntropyAtZero),
            Direction::Backward if of_zero => Some(Cause::NormAtZero),
            _ => None,
        };
        Ok(cause.zip(why()))
    }

    /// Whether a softmax that underflows elsewhere is right in the column of the highest score: then that
    /// column's maximum was subtracted from all. Without any maximum that column overflows or underflows
    /// too.
    fn highest_is_fine(&self, origin: &Origin, watched: &Watched) -> Result<bool, ModelError> {
        let mut step = self.subject.record_in_full::<f32>()?;
        step.set_parameters(&watched.last_good.parameters);
        step.give(&self.subject.batch(watched.history.last().map_or(0, |t| t.batch)));
        step.forward();
        let tape = &step.tape;
        let Some(var) = tape.find(&origin.name) else { return Ok(false) };
        let Some(&scores) = tape.operands(var).first() else { return Ok(false) };
        let (scores, weights) = (tape.value(scores), tape.value(var));
        let columns = (0..weights.ncols()).map(|j| (column(&scores, j), column(&weights, j)));
        let highest = |z: &[f32]| z.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
        let top = columns.max_by(|a, b| highest(a.0).total_cmp(&highest(b.0)));
        Ok(top.is_some_and(|(_, p)| p.iter().all(|p| p.is_finite())))
    }

    /// A target of the failed batch that is no class.
    fn bad_target(&self, last: Option<&Taken>) -> Result<Option<String>, ModelError> {
        let step = self.subject.record_in_full::<f32>()?;
        let classes = step.handles.logits.map_or(usize::MAX, |v| step.tape.shape(v).rows);
        let batch = self.subject.batch(last.map_or(0, |t| t.batch));
        let targets = step.given(step.handles.targets, &batch).unwrap_or_default();
        let place = targets.iter().position(|&t| t >= classes as f64 || t.is_nan());
        Ok(place.map(|i| {
            let last = classes - 1;
            format!(
                "target {} at place {i} of the batch: there are {classes} classes (0 to {last})",
                targets[i]
            )
        }))
    }

    /// What initial sizes and the recorded operations say.
    fn by_structure(
        &self,
        watched: &Watched,
        start: &Signs,
        failed: bool,
    ) -> Result<Option<(Cause, String)>, ModelError> {
        let sharp = start.attention.iter().find(|a| a.unscaled && a.saturated > 0.25);
        if let Some(a) = sharp {
            let why = format!(
                "{}: dot products of up to {:.1} reach the softmax undivided; {:.0} % of queries put over 0.99 \
                 on one key",
                a.name,
                a.largest,
                100.0 * a.saturated
            );
            return Ok(Some((Cause::NoScale, why)));
        }
        // A gain of 1 keeps a vector's size; trained models stay well below this.
        let unlearned = start.loss.is_nan() || start.loss > start.uniform + 1.0;
        if start.gain.0 > 6.0 && (failed || unlearned) && self.uniformly_large()? {
            let (gain, name) = &start.gain;
            let why = format!(
                "{name} multiplies a vector's size by {gain:.1} at the start, as do others"
            );
            return Ok(Some((Cause::LargeInitialisation, why)));
        }
        if start.residual > GROWTH {
            let why = format!(
                "the residual stream grows by {:.1e} from first to last sum",
                start.residual
            );
            return Ok(Some((Cause::GrowingResidual, why)));
        }
        // At 1000 an f32 still tells 0.00006 apart, a bf16 no more than 4.
        if let Some((range, mean, deviation)) = start.logits
            && mean.abs() > 1000.0
            && mean.abs() > 10.0 * deviation
        {
            let why =
                format!("logits lie {mean:.1} from 0 on average and {range:.1} apart at the most");
            return Ok(Some((Cause::DriftingLogits, why)));
        }
        if let Some(found) = by_saturation(start) {
            return Ok(Some(found));
        }
        let losses = || watched.history.iter().map(|t| t.loss);
        let flat = watched.history.len() >= 15
            && losses().all(|l| l > 0.97 * start.uniform && l < start.uniform + 1.0)
            && losses().next_back() > losses().next().map(|l| 0.985 * l);
        if (!start.unmoved.is_empty() || flat) && !failed {
            return self.cut(start);
        }
        Ok(None)
    }

    /// Whether most linear maps of the start are large, not one alone.
    fn uniformly_large(&self) -> Result<bool, ModelError> {
        let mut step = self.subject.record_in_full::<f32>()?;
        step.set_parameters(&self.start.parameters);
        let gains = signs::gains(&step.tape);
        Ok(2 * gains.iter().filter(|g| g.gain > 3.0).count() > gains.len())
    }

    /// The path that is cut, if one is.
    fn cut(&self, start: &Signs) -> Result<Option<(Cause, String)>, ModelError> {
        if self.start.parameters.len() > CURVED {
            return Ok(None);
        }
        let wide: Vec<f64> = self.start.parameters.iter().map(|&p| f64::from(p)).collect();
        let operations = check::operations(self.subject, &wide, 1)?;
        let unmoved = match start.unmoved.as_slice() {
            [] => String::new(),
            [a, b, c, rest @ ..] if !rest.is_empty() => {
                format!("; no gradient reaches {a}, {b}, {c} and {} others", rest.len())
            }
            names => format!("; no gradient reaches {}", names.join(", ")),
        };
        if !operations.cut.is_empty() {
            return Ok(Some((Cause::CutGradient, operations.cut.join("; ") + &unmoved)));
        }
        if operations.adjoint.0 > 1.0 {
            let why =
                format!("the vjp is not that of its function: {}{unmoved}", operations.adjoint.1);
            return Ok(Some((Cause::CutGradient, why)));
        }
        Ok(None)
    }

    /// Whether a 16-bit format's range is to blame: the same step in `f32` is fine.
    fn by_range(
        &self,
        watched: &Watched,
        origin: Option<&Origin>,
    ) -> Result<Option<(Cause, String)>, ModelError> {
        let precision = self.recipe.precision;
        let state = &watched.last_good;
        let number = watched.history.last().map_or(0, |t| t.batch);
        let batch = self.subject.batch(number);
        if let Some(origin) = origin {
            let fine =
                find(self.subject, &state.parameters, &batch, Precision::F32, 1.0)?.is_none();
            let cause = match origin.direction {
                Direction::Backward if self.recipe.loss_scale > 1.0 => Cause::LossScaleTooHigh,
                _ => Cause::RangeEnded,
            };
            return Ok(fine.then(|| (cause, origin.to_string())));
        }
        let stored =
            reduced(self.subject, &state.parameters, number, precision, self.recipe.loss_scale)?;
        if stored.lost_gradients > 0.25 {
            let why = format!(
                "{:.0} % of the parameters' gradients are below {:.1e}, the smallest {precision}",
                100.0 * stored.lost_gradients,
                precision.smallest()
            );
            return Ok(Some((Cause::Underflow, why)));
        }
        Ok(None)
    }
}

/// Saturated softmaxes of a model that has not learned.
fn by_saturation(signs: &Signs) -> Option<(Cause, String)> {
    if signs.loss <= 0.9 * signs.uniform {
        return None; // sharp, but it knows something
    }
    if let Some(a) = signs.attention.iter().find(|a| a.saturated > 0.5 && a.largest > 30.0) {
        let why = format!(
            "{}: scores of up to {:.1}, entropy {:.3} of what is possible",
            a.name, a.largest, a.entropy
        );
        return Some((Cause::EntropyCollapse, why));
    }
    let (range, _, _) = signs.logits?;
    (range > 50.0 && signs.loss > signs.uniform).then(|| {
        let why = format!(
            "logits of a token are up to {range:.1} apart while the loss is {:.2}, above ln V = {:.2}",
            signs.loss, signs.uniform
        );
        (Cause::GrowingLogits, why)
    })
}

/// The median of what is finite.
fn usual(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = numbers.filter(|x| x.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
