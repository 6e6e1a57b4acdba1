//! Tries fixes by replaying.

use super::applied::{apply, changed, held, peak};
use super::course::State;
use super::cure::{Cure, Trial};
use super::evidence::mean;
use super::stage::{Notify, Stage};
use super::stepping::Course;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::recipe::Recipe;

/// Number of steps in which an untrained model must learn something.
const LEARNING: u64 = 40;
/// Number of batches for measuring whether something was learned.
const HELD_OUT: u64 = 8;
/// A loss below this share of a uniform prediction's shows that the model has learned something.
const LEARNT: f64 = 0.999;

/// The setup for replaying fixes, and the condition for success.
pub(crate) struct Replay<'a, S: Subject> {
    pub(crate) subject: &'a S,
    pub(crate) recipe: &'a Recipe,
    pub(crate) notify: Notify<'a>,
    /// The states where replays begin, one after another until one is cured.
    pub(crate) states: Vec<&'a State>,
    /// The number of steps of a replay.
    pub(crate) steps: u64,
    /// ln V; ∞ if unknown.
    pub(crate) uniform: f64,
    /// Whether the model counts as untrained, whatever its loss.
    pub(crate) knows_nothing: bool,
    /// Whether the sign is gone after a replay.
    pub(crate) is_gone: fn(&mut Course<'_, S>) -> Result<bool, ModelError>,
}

impl<S: Subject> Replay<'_, S> {
    /// Tries fixes until one succeeds.
    pub(crate) fn trials(&self, cures: &[Cure]) -> Result<Vec<Trial>, ModelError> {
        let mut trials = vec![];
        for cure in cures {
            let mut own: Vec<Trial> = vec![];
            for state in &self.states {
                own.push(self.once(cure, state)?);
                let done = own.last().is_some_and(|t| t.cured || !t.tried);
                // Try every start state and keep the best: at the later one, large weights may already have corrupted
                // others.
                if done && !matches!(cure, Cure::Shrink(_)) {
                    break;
                }
            }
            let after = |t: &Trial| t.held_out.map_or(f64::INFINITY, |(_, after)| after);
            if own.iter().any(|t| t.cured) {
                own.sort_by(|a, b| b.cured.cmp(&a.cured).then(after(a).total_cmp(&after(b))));
            }
            let cured = own.iter().any(|t| t.cured);
            trials.append(&mut own);
            if cured {
                break;
            }
        }
        Ok(trials)
    }

    /// Returns the loss of some parameters on the batches from `first` on, in `f32` and without loss scale.
    fn losses(subject: &S, parameters: &[f32], first: u64) -> Result<Vec<f64>, ModelError> {
        let mut step = subject.record::<f32>()?;
        step.set_parameters(parameters);
        let own = (first..first + HELD_OUT).map(|batch| {
            step.give(&subject.batch(batch));
            f64::from(step.forward())
        });
        Ok(own.collect())
    }

    /// Checks whether this loss is that of a model that has learned something.
    pub(crate) fn knows(&self, loss: f64) -> bool {
        !self.knows_nothing && self.uniform.is_finite() && loss < 0.9 * self.uniform
    }

    /// Tries one fix from one state.
    pub(crate) fn once(&self, cure: &Cure, state: &State) -> Result<Trial, ModelError> {
        let (mut recipe, mut state) = (self.recipe.clone(), state.clone());
        let mut trial = Trial {
            cure: match cure {
                Cure::Skip(batch) => format!("{} left out", recipe.called(*batch)),
                cure => cure.to_string(),
            },
            change: cure.clone(),
            tried: true,
            from: state.steps,
            steps: 0,
            loss: f64::NAN,
            held_out: None,
            cured: false,
        };
        if !apply(self.subject, cure, &mut recipe, &mut state)? {
            return Ok(Trial { tried: false, ..trial });
        }
        if let Cure::Rate(factor) = cure {
            // The peak is what is tried: a replay ends before a long warm-up or a decay does.
            let steps = self.steps.max(LEARNING);
            recipe.schedule = held(recipe.schedule, state.steps, steps);
            trial.cure = format!("learning rate {:.1e} (× {factor:e})", peak(recipe.schedule));
        }
        let other = changed(self.subject, cure);
        let subject = other.as_ref().unwrap_or(self.subject);
        let mut course = Course::from(subject, &recipe, &state)?;
        // Batches that no replay sees, before and after it.
        let held_out = course.next_batch() + recipe.accumulate * self.steps.max(LEARNING);
        let before = Self::losses(subject, &state.parameters, held_out)?;
        let knows = self.knows(mean(&before));
        let mut first = f64::NAN;
        let of = if knows { self.steps } else { self.steps.max(LEARNING) };
        for _ in 0..of {
            let taken = course.step()?;
            trial.steps += 1;
            (self.notify)(Stage::Tried { cure: &trial.cure, done: trial.steps, of });
            if taken.origin.is_some() || !taken.loss.is_finite() {
                trial.loss = f64::NAN;
                return Ok(trial);
            }
            if !recipe.skipped.contains(&taken.batch) {
                trial.loss = taken.loss;
                first = if first.is_nan() { taken.loss } else { first };
            }
        }
        let ran_away = trial.loss > 1.5 * first + 0.5;
        let end = course.state().parameters;
        let gone = (self.is_gone)(&mut course)?;
        let (gain, doubt) = learnt(&before, &Self::losses(subject, &end, held_out)?);
        let (before, after) = (mean(&before), mean(&before) - gain);
        trial.held_out = Some((before, after));
        let learns = if knows {
            // A trained model may not lose more than is significant, nor 10 %.
            gain >= -3.0 * doubt && gain >= -0.1 * before
        } else {
            // A dead model's loss is ln V to the last digit.
            gain > 3.0 * doubt && after < LEARNT * before.min(self.uniform)
        };
        trial.cured = !ran_away && gone && learns;
        Ok(trial)
    }
}

/// Returns the mean decrease of the losses on the same batches, and its standard error.
fn learnt(before: &[f64], after: &[f64]) -> (f64, f64) {
    let gains: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
    let (gain, n) = (mean(&gains), gains.len() as f64);
    let variance = gains.iter().map(|g| (g - gain).powi(2)).sum::<f64>() / (n - 1.0);
    (gain, (variance / n).sqrt())
}
