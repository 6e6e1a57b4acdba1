//! Cures tried by replaying.

use super::applied::{apply, held, peak};
use super::course::State;
use super::cure::{Cure, Trial};
use super::evidence::mean;
use super::stepping::Course;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::recipe::Recipe;

/// Steps in which a model that knows nothing must learn something.
const LEARNING: u64 = 40;
/// Batches on which it is asked whether something was learnt.
const HELD_OUT: u64 = 8;
/// Below this share of what a model without knowledge pays, one has learnt something.
const LEARNT: f64 = 0.999;

/// How cures are replayed, and when one has cured.
pub(crate) struct Replay<'a, S: Subject> {
    pub(crate) subject: &'a S,
    pub(crate) recipe: &'a Recipe,
    /// Where replays begin, one after another until one is cured.
    pub(crate) states: &'a [State],
    /// Steps of a replay.
    pub(crate) steps: u64,
    /// ln V; ∞ where that is not known.
    pub(crate) uniform: f64,
    /// Whether the model counts as one that has learned nothing, whatever its loss.
    pub(crate) knows_nothing: bool,
    /// Whether the sign is gone after a replay.
    pub(crate) is_gone: fn(&mut Course<'_, S>) -> Result<bool, ModelError>,
}

impl<S: Subject> Replay<'_, S> {
    /// Tries cures until one cures.
    pub(crate) fn trials(&self, cures: &[Cure]) -> Result<Vec<Trial>, ModelError> {
        let mut trials = vec![];
        for cure in cures {
            let mut own: Vec<Trial> = vec![];
            for state in self.states {
                own.push(self.once(cure, state)?);
                let done = own.last().is_some_and(|t| t.cured || !t.tried);
                // Large weights may have spoilt others by now, or not yet: where it goes better, it began well.
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

    /// The loss of some parameters on the batches from `first` on, in `f32` and without loss scale.
    fn losses(&self, parameters: &[f32], first: u64) -> Result<Vec<f64>, ModelError> {
        let mut step = self.subject.record::<f32>()?;
        step.set_parameters(parameters);
        let own = (first..first + HELD_OUT).map(|batch| {
            step.give(&self.subject.batch(batch));
            f64::from(step.forward())
        });
        Ok(own.collect())
    }

    /// Whether these losses are those of a model that knows something already.
    fn knows(&self, losses: &[f64]) -> bool {
        !self.knows_nothing && self.uniform.is_finite() && mean(losses) < 0.9 * self.uniform
    }

    /// One cure from one state.
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
            // The peak is what is tried: a replay ends before a long rise does, and before a fall.
            let steps = self.steps.max(LEARNING);
            recipe.schedule = held(recipe.schedule, state.steps, steps);
            trial.cure = format!("learning rate {:.1e} (× {factor:e})", peak(recipe.schedule));
        }
        let mut course = Course::from(self.subject, &recipe, &state)?;
        // Batches that no replay sees, before and after it.
        let held_out = course.next_batch() + recipe.accumulate * self.steps.max(LEARNING);
        let before = self.losses(&state.parameters, held_out)?;
        let knows = self.knows(&before);
        let mut first = f64::NAN;
        for _ in 0..if knows { self.steps } else { self.steps.max(LEARNING) } {
            let taken = course.step()?;
            trial.steps += 1;
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
        let (gain, doubt) = learnt(&before, &self.losses(&end, held_out)?);
        let (before, after) = (mean(&before), mean(&before) - gain);
        trial.held_out = Some((before, after));
        let learns = if knows {
            // What was learnt before is not lost: nothing that shows, and in no case a tenth.
            gain >= -3.0 * doubt && gain >= -0.1 * before
        } else {
            // A model that died says ln V to the last digit.
            gain > 3.0 * doubt && after < LEARNT * before.min(self.uniform)
        };
        trial.cured = !ran_away && gone && learns;
        Ok(trial)
    }
}

/// By how much losses fell on the same batches, on the average, and the standard error of that.
fn learnt(before: &[f64], after: &[f64]) -> (f64, f64) {
    let gains: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
    let (gain, n) = (mean(&gains), gains.len() as f64);
    let variance = gains.iter().map(|g| (g - gain).powi(2)).sum::<f64>() / (n - 1.0);
    (gain, (variance / n).sqrt())
}
