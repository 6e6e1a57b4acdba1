//! What `glassbox diagnose` asks of a GPT-2: a diagnosis, once more from the seed where the state is spoilt already,
//! the curvature, and the health of a run that has no fault.

use super::{Cause, Diagnosis, Direction, Recipe, State, diagnose, stability};
use crate::check::initialised;
use crate::health::{Health, health};
use crate::{GptStep, ModelError};

/// Runs of at most so many steps are walked again from their start.
const AGAIN: u64 = 500;
/// What large weights look like, whatever made them large.
const SYMPTOMS: [Cause; 9] = [
    Cause::LargeInitialisation,
    Cause::GrowingResidual,
    Cause::EntropyCollapse,
    Cause::GrowingLogits,
    Cause::DriftingLogits,
    Cause::CutGradient,
    Cause::RateTooHigh,
    Cause::NoWarmup,
    Cause::Unknown,
];
/// Tokens on which a model is differentiated twice, where its own batch is too large for that.
const FEW: usize = 32;

/// A diagnosis, and the health of what has no fault.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The diagnosis; its stability is known where the model is small enough.
    pub diagnosis: Diagnosis,
    /// The health, if nothing is wrong.
    pub health: Option<Health>,
}

/// Watches up to `steps` steps of a training run. A state right before a failure shows no growth, and weights that
/// training has spoilt say no more why: a short run is trained again from its seed, which `remark` is told.
///
/// # Errors
/// If the step cannot be recorded.
pub fn examination(
    step: &GptStep<'_>,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    mut remark: impl FnMut(&str),
) -> Result<Examination, ModelError> {
    let mut found = diagnose(step, start, recipe, steps)?;
    let late = found.cause.as_ref().is_some_and(|(cause, _)| {
        let at_once = found.history.len() == 1 && *cause != Cause::BrokenMoments;
        at_once || SYMPTOMS.contains(cause)
    });
    if late && (1..=AGAIN).contains(&start.steps) {
        remark(
            "it fails at once, or was spoilt before: training again from the seed to see what grew",
        );
        let fresh = State::start(initialised(&step.config, step.seed)?);
        let again = diagnose(step, &fresh, recipe, start.steps + steps)?;
        if again.cause.is_some() {
            found = again;
        }
    }
    let given = found.origin.as_ref().is_some_and(|o| o.direction == Direction::Given);
    if found.stability.is_none() && !given {
        found.stability = match stability(step, &found.last_good, recipe)? {
            Some(own) => Some(own),
            None => stability(&step.smaller(1, FEW), &found.last_good, recipe)?,
        };
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
