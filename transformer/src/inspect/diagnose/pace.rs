//! Why a run whose numbers are all finite learns little: the list of [`super::cause::slow`], asked in order, with its
//! fixes tried.

use super::applied::apply;
use super::cause::Cause;
use super::cause::slow::{SLOW, Slow};
use super::course::{Course, Descent, Recipe, State};
use super::cure::{Cure, Trial};
use super::edge::stability;
use super::evidence::{Change, Evidence, Probe, mean};
use crate::inspect::subject::Subject;
use crate::memory;
use crate::model::recorded_step::ModelError;
use calculus::stability::limit;

/// Standard errors of a difference that is no chance.
const ERRORS: f64 = 3.0;
/// Parts of a run after which held-back text is measured, to find where it was lowest.
const PARTS: u64 = 12;
/// Steps of a replay at the least, where fewer were watched.
const STEPS: u64 = 15;

/// A cause with its evidence, and its fixes as they were tried.
pub(crate) type Found = Option<((Cause, String), Vec<Trial>)>;

/// What replays of a slow run need.
pub(crate) struct Pace<'a, S: Subject> {
    pub(crate) subject: &'a S,
    pub(crate) recipe: &'a Recipe,
    /// Before the watch: where replays begin.
    pub(crate) start: &'a State,
}

impl<S: Subject> Pace<'_, S> {
    /// The first cause of the list that holds.
    pub(crate) fn cause(&self, mut evidence: Evidence<'_>) -> Result<Found, ModelError> {
        for slow in SLOW {
            let Some(why) = (slow.suspect)(&evidence) else { continue };
            if let Descent::Sgd { momentum } = self.recipe.descent
                && evidence.limit.is_none()
            {
                let found = stability(self.subject, self.start, self.recipe)?;
                let own = found.map(|s| limit(s.eigenvalue, momentum));
                evidence.limit = own.filter(|l| l.is_finite() && *l > 0.0);
            }
            let trials = self.trials(slow, &evidence)?;
            if slow.certain || trials.iter().any(|t| t.cured) {
                return Ok(Some(((slow.cause, why), trials)));
            }
        }
        Ok(None)
    }

    /// The fixes, until one helps.
    fn trials(&self, slow: &Slow, evidence: &Evidence<'_>) -> Result<Vec<Trial>, ModelError> {
        let mut trials = vec![];
        for cure in (slow.fixes)(evidence) {
            let trial = self.tried(&cure, evidence, (slow.least)(evidence))?;
            let cured = trial.cured;
            trials.push(trial);
            if cured {
                break;
            }
        }
        Ok(trials)
    }

    /// A fix over as many steps as were watched, against going on as it is: cured where the losses of batches that
    /// neither saw are lower by more than `least`, and by three standard errors.
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
                run(self.subject, &recipe, &state, steps, &mut trial)?
                    .map(|end| evidence.probe.losses(self.subject, &end.parameters))
                    .transpose()?
            }
        };
        let Some(after) = after else { return Ok(trial) };
        // What the fix begins with, or where the run is that it begins anew.
        let before = if trial.from < state.steps { &evidence.as_it_is } else { &evidence.before };
        let gained = Change::of(&evidence.as_it_is, &after);
        trial.held_out = Some((mean(before), gained.after));
        trial.cured = gained.gain() > least.max(ERRORS * gained.doubt);
        Ok(trial)
    }

    /// The run again with a model of twice the width; none where there is none, or it fails.
    fn larger(
        &self,
        trial: &mut Trial,
        evidence: &Evidence<'_>,
    ) -> Result<Option<Vec<f64>>, ModelError> {
        let Some((subject, parameters)) = self.subject.larger() else {
            trial.tried = false;
            return Ok(None);
        };
        memory::afford(super::bytes(&subject, &State::start(vec![]))?)?;
        (trial.from, trial.cure) = (0, format!("{} ({} parameters)", trial.cure, parameters.len()));
        let start = State::start(parameters);
        let end = run(&subject, self.recipe, &start, evidence.steps, trial)?;
        end.map(|end| evidence.probe.losses(&subject, &end.parameters)).transpose()
    }

    /// The run again from its beginning, ended where held-back text costs least.
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

/// So many steps; none where one fails. Notes the last loss and the steps.
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
