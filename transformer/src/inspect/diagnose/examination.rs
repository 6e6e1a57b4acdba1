//! The examination that `glassbox diagnose` runs on a GPT-2: a diagnosis, repeated from the seed if the saved state is
//! already corrupted, the curvature, and the health of a run without a fault.

use super::cause::Earlier;
use super::{
    AGAIN, Background, Cause, Diagnosis, Direction, Recipe, Stage, State, Verdict,
    diagnose_watched, failure, stability,
};
use crate::inspect::diagnose::health::{BORNE, Health, Outlook, health};
use crate::inspect::subject::ModelStep;
use crate::model::recorded_step::ModelError;

/// A diagnosis, and the health of a run without a fault.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The diagnosis; its stability is `None` if the model is too large.
    pub diagnosis: Diagnosis,
    /// Measures of health; only if no cause was found.
    pub health: Option<Health>,
    /// What lies ahead of the run; only if no cause was found.
    pub outlook: Option<Outlook>,
}

impl Examination {
    /// Returns the verdict, given the number of the caller's own warnings.
    pub fn verdict(&self, warnings: usize) -> Verdict {
        Verdict::of(&self.diagnosis, self.health.as_ref(), warnings)
    }
}

/// Runs [`examination_of`] on a run without known background.
///
/// # Errors
/// If the step cannot be recorded.
pub fn examination(
    step: &ModelStep<'_>,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    notify: impl Fn(Stage<'_>),
) -> Result<Examination, ModelError> {
    examination_of(step, start, recipe, steps, &Background::default(), notify)
}

/// Watches up to `steps` steps of a training run. A state right before a failure shows no growth, and corrupted weights
/// no longer show the reason: in both cases the run's first 500 steps are trained again from its seed, or from the model that
/// it began with. So is a run that learned little and whose highest rate is far above the limit of stability of fresh weights. Calls `notify` at every
/// stage.
///
/// # Errors
/// If the step cannot be recorded.
pub fn examination_of(
    step: &ModelStep<'_>,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    background: &Background,
    notify: impl Fn(Stage<'_>),
) -> Result<Examination, ModelError> {
    let mut found = diagnose_watched(step, start, recipe, steps, background, &notify)?;
    let after = found.cause.as_ref().map_or(Earlier::Nothing, |(cause, _)| cause.after());
    let symptom = after == Earlier::LargeWeights;
    let late = found.cause.as_ref().is_some_and(|(cause, _)| {
        let at_once = found.history.len() == 1 && *cause != Cause::BrokenMoments;
        at_once || symptom
    });
    let remains = after == Earlier::FallenRate;
    let fresh = match (start.steps > 0 && (late || remains), background.from_model) {
        (false, _) => None,
        (true, true) => background.initial.clone().map(State::start),
        (true, false) => Some(State::start(step.config.initial_parameters(step.seed)?)),
    };
    if let Some(fresh) = fresh
        && (late || too_fast(step, &fresh, recipe, start.steps)?)
    {
        notify(Stage::Remark(
            "it fails at once, or its state is already corrupted: training again from its beginning to see what grew",
        ));
        let steps = (start.steps + steps).min(AGAIN);
        let again = failure(step, &fresh, recipe, steps, (symptom, &notify))?;
        if again.cause.is_some() {
            found = again;
        }
    }
    let given = found.origin.as_ref().is_some_and(|o| o.direction == Direction::Given);
    if found.stability.is_none() && !given {
        notify(Stage::Measuring("curvature"));
        found.stability = stability(step, &found.last_good, recipe)?;
    }
    let (health, outlook) = match found.cause {
        None => {
            notify(Stage::Measuring("health"));
            let last = found.history.last();
            let health = health(step, &found.last_good, recipe, last, found.stability)?;
            (Some(health), Some(Outlook::of(step, start, recipe, &found, background)?))
        }
        Some(_) => (None, None),
    };
    Ok(Examination { diagnosis: found, health, outlook })
}

/// Checks whether the highest rate of a run's first steps is above the stable rate of fresh weights.
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
