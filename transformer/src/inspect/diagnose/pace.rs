//! Fixes for a run that learns little, compared with continuing unchanged.

use super::applied::{apply, changed};
use super::course::State;
use super::cure::{Cure, Trial};
use super::evidence::{Change, Evidence, Probe, mean};
use super::stepping::Course;
use super::watch::bytes;
use crate::inspect::subject::Subject;
use crate::memory;
use crate::model::recorded_step::ModelError;
use crate::training::recipe::Recipe;

/// Standard errors above which a difference is significant.
const ERRORS: f64 = 3.0;
/// Parts of a run after which held-back text is measured, to find the lowest loss.
const PARTS: u64 = 12;
/// Minimum number of replayed steps, if fewer were watched.
const STEPS: u64 = 15;

/// The input for replays of a slow run.
pub(crate) struct Pace<'a, S: Subject> {
    pub(crate) subject: &'a S,
    pub(crate) recipe: &'a Recipe,
    /// The state before the watch, where replays begin.
    pub(crate) start: &'a State,
}

impl<S: Subject> Pace<'_, S> {
    /// Tries the fixes until one helps.
    pub(crate) fn trials(
        &self,
        fixes: &[Cure],
        evidence: &Evidence<'_>,
        least: f64,
    ) -> Result<Vec<Trial>, ModelError> {
        let mut trials = vec![];
        for cure in fixes {
            let trial = self.tried(cure, evidence, least)?;
            let cured = trial.cured;
            trials.push(trial);
            if cured {
                break;
            }
        }
        Ok(trials)
    }

    /// Compares a fix, over as many steps as were watched, with continuing unchanged: cured if the losses of batches
    /// that neither run saw are lower by more than `least` and by three standard errors.
    fn tried(&self, cure: &Cure, evidence: &Evidence<'_>, least: f64) -> Result<Trial, ModelError> {
        let (mut recipe, mut state) = (self.recipe.clone(), self.start.clone());
        let mut trial = Trial {
            cure: cure.to_string(),
            change: cure.clone(),
            tried: true,
            from: state.steps,
            steps: 0,
            loss: f64::NAN,
            held_out: None,
            cured: false,
        };
        let initial = evidence.background.initial.clone().map(State::start);
        let after = match (cure, initial) {
            (Cure::Larger, _) => self.larger(&mut trial, evidence)?,
            (Cure::Stop, Some(initial)) => self.stopped(&mut trial, initial, evidence)?,
            _ => {
                if !apply(self.subject, cure, &mut recipe, &mut state)? {
                    return Ok(Trial { tried: false, ..trial });
                }
                let steps = evidence.watched.max(STEPS);
                let other = changed(self.subject, cure);
                let subject = other.as_ref().unwrap_or(self.subject);
                run(subject, &recipe, &state, steps, &mut trial)?
                    .map(|end| evidence.probe.losses(subject, &end.parameters))
                    .transpose()?
            }
        };
        let Some(after) = after else { return Ok(trial) };
        // The start of the fix, or the run's current state, which the fix restarts.
        let before = if trial.from < state.steps { &evidence.as_it_is } else { &evidence.before };
        let gained = Change::of(&evidence.as_it_is, &after);
        trial.held_out = Some((mean(before), gained.after));
        trial.cured = gained.gain() > least.max(ERRORS * gained.doubt);
        Ok(trial)
    }

    /// Trains the run again with a model of twice the width; `None` if there is none, or it fails.
    fn larger(
        &self,
        trial: &mut Trial,
        evidence: &Evidence<'_>,
    ) -> Result<Option<Vec<f64>>, ModelError> {
        let Some((subject, parameters)) = self.subject.larger() else {
            trial.tried = false;
            return Ok(None);
        };
        memory::afford(bytes(&subject, &State::start(vec![]))?)?;
        (trial.from, trial.cure) = (0, format!("{} ({} parameters)", trial.cure, parameters.len()));
        let start = State::start(parameters);
        let end = run(&subject, self.recipe, &start, evidence.steps, trial)?;
        end.map(|end| evidence.probe.losses(&subject, &end.parameters)).transpose()
    }

    /// Trains the run again from its beginning, ended at the lowest loss on held-back text.
    fn stopped(
        &self,
        trial: &mut Trial,
        mut state: State,
        evidence: &Evidence<'_>,
    ) -> Result<Option<Vec<f64>>, ModelError> {
        trial.from = 0;
        let mut best: Option<Vec<f64>> = None;
        let part = (evidence.steps / PARTS).max(1);
        let Probe::Given(_) = &evidence.probe else { return Ok(None) };
        let mut steps = 0;
        while state.steps + part <= evidence.steps {
            let Some(end) = run(self.subject, self.recipe, &state, part, trial)? else {
                return Ok(None);
            };
            state = end;
            let losses = evidence.probe.losses(self.subject, &state.parameters)?;
            if best.as_ref().is_none_or(|b| mean(&losses) < mean(b)) {
                (best, steps) = (Some(losses), state.steps);
            }
        }
        trial.steps = steps;
        trial.cure = format!("training ended at step {steps}");
        Ok(best)
    }
}

/// Takes this number of steps; `None` if one fails. Records the last loss and the steps.
fn run<S: Subject>(
    subject: &S,
    recipe: &Recipe,
    start: &State,
    steps: u64,
    trial: &mut Trial,
) -> Result<Option<State>, ModelError> {
    let mut course = Course::from(subject, recipe, start)?;
    for _ in 0..steps {
        let taken = course.step()?;
        trial.steps += 1;
        trial.loss = taken.loss;
        if taken.origin.is_some() || !taken.loss.is_finite() {
            trial.loss = f64::NAN;
            return Ok(None);
        }
    }
    Ok(Some(course.state()))
}
