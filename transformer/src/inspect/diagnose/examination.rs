//! What `glassbox diagnose` asks of a GPT-2: a diagnosis, once more from the seed where the state is spoilt already,
//! the curvature, and the health of a run that has no fault.

use super::cause::Earlier;
use super::{
    AGAIN, Background, Cause, Diagnosis, Direction, Recipe, State, Verdict, diagnose_with, failure,
    stability,
};
use crate::inspect::diagnose::health::{BORNE, Health, health};
use crate::inspect::subject::ModelStep;
use crate::model::recorded_step::ModelError;

/// A diagnosis, and the health of what has no fault.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The diagnosis; its stability is known where the model is small enough.
    pub diagnosis: Diagnosis,
    /// Measures of health; only where no cause was found.
    pub health: Option<Health>,
}

impl Examination {
    /// What it comes to, with so many warnings of the caller's own.
    pub fn verdict(&self, warnings: usize) -> Verdict {
        Verdict::of(&self.diagnosis, self.health.as_ref(), warnings)
    }
}

/// [`examination_of`] a run of which no more is known.
///
/// # Errors
/// If the step cannot be recorded.
pub fn examination(
    step: &ModelStep<'_>,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    remark: impl FnMut(&str),
) -> Result<Examination, ModelError> {
    examination_of(step, start, recipe, steps, &Background::default(), remark)
}

/// Watches up to `steps` steps of a training run. A state right before a failure shows no growth, and weights that
/// training has spoilt say no more why: the run's first 500 steps are trained again from its seed, which `remark` is
/// told. So is a run that learned little, where its highest rate is far above the limit of stability of fresh weights.
///
/// # Errors
/// If the step cannot be recorded.
pub fn examination_of(
    step: &ModelStep<'_>,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    background: &Background,
    mut remark: impl FnMut(&str),
) -> Result<Examination, ModelError> {
    let mut found = diagnose_with(step, start, recipe, steps, background)?;
    let after = found.cause.as_ref().map_or(Earlier::Nothing, |(cause, _)| cause.after());
    let symptom = after == Earlier::LargeWeights;
    let late = found.cause.as_ref().is_some_and(|(cause, _)| {
        let at_once = found.history.len() == 1 && *cause != Cause::BrokenMoments;
        at_once || symptom
    });
    let remains = after == Earlier::FallenRate;
    let fresh = match start.steps > 0 && (late || remains) {
        true => Some(State::start(step.config.initial_parameters(step.seed)?)),
        false => None,
    };
    if let Some(fresh) = fresh
        && (late || too_fast(step, &fresh, recipe, start.steps)?)
    {
        remark(
            "it fails at once, or was spoilt before: training again from the seed to see what grew",
        );
        let again = failure(step, &fresh, recipe, (start.steps + steps).min(AGAIN), symptom)?;
        if again.cause.is_some() {
            found = again;
        }
    }
    let given = found.origin.as_ref().is_some_and(|o| o.direction == Direction::Given);
    if found.stability.is_none() && !given {
        found.stability = stability(step, &found.last_good, recipe)?;
    }
    let health = match found.cause {
        None => {
            let last = found.history.last();
            Some(health(step, &found.last_good, recipe, last, found.stability)?)
        }
        Some(_) => None,
    };
    Ok(Examination { diagnosis: found, health })
}

/// Whether the highest rate of a run's first steps is above what fresh weights bear.
fn too_fast(
    step: &ModelStep<'_>,
    fresh: &State,
    recipe: &Recipe,
    steps: u64,
) -> Result<bool, ModelError> {
    let Some(found) = stability(step, fresh, recipe)? else { return Ok(false) };
    let ratio = |s| {
        recipe.schedule.rate(s)
            / recipe.optimizer.limit(found.eigenvalue, s).unwrap_or(f64::INFINITY)
    };
    Ok((0..steps.min(AGAIN)).any(|s| ratio(s) > BORNE))
}
