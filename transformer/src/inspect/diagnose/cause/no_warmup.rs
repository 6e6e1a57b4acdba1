//! **Mathematics.** The first steps of an optimizer that normalises (Adam, Lion, …) have size η in every coordinate
//! whatever the gradient, while curvature is highest at the start. After a warm-up the same peak is stable.
//!
//! **Signature.** Fails within the first steps; with a warm-up over 100 steps the same rate succeeds, and learns at
//! least three quarters of what a tenth of the rate learns without one.
//!
//! **Cure.** A warm-up over 100 steps.
//!
//! **Example.** `missing_warm_up`

use super::{Cure, Cures, Detect, Earlier, Findings, ModelError, Replay, Sign, Subject, dynamics};
use crate::inspect::diagnose::applied::peak;

/// Steps of the warm-up: as many as Adam's second moment (β₂ = 0.99) averages over.
const RISE: u64 = 100;
/// Steps of a replay: beyond the warm-up.
const REPLAYED: u64 = 130;
/// The last step of a run that fails at its start.
const EARLY: u64 = 50;
/// Share of the peak: a schedule that starts at this rate or above has no warm-up.
const COLD: f64 = 0.9;
/// Minimum share of what a tenth of the rate learns without a warm-up: with less, a warm-up is not worth it.
const WORTH: f64 = 0.75;

pub(super) struct NoWarmup;

impl Detect for NoWarmup {
    const TITLE: &str = "missing warm-up";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let schedule = f.recipe.schedule;
        let normalises = f.recipe.optimizer.kind.normalises();
        let early = f.watched.history.last().is_some_and(|t| t.number <= EARLY);
        let cold = schedule.rate(0) >= COLD * peak(schedule);
        let found = normalises && early && cold && f.start.steps == 0;
        if !found || !dynamics::are_asked(f)? || !rises(f)? {
            return Ok(None);
        }
        let (rate, shown) = dynamics::rate(f)?;
        Ok(Some(format!(
            "the rate is {rate:.2e} from the first step on; after a warm-up over {RISE} steps it succeeds and \
             learns{shown}"
        )))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Warmup(RISE)])
    }

    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        // A warm-up begins at the start.
        Replay { steps: REPLAYED, states: vec![f.start], ..f.replay() }
    }
}

/// Checks whether training with this rate succeeds after a warm-up, and is worth it: a tenth of the rate without one
/// learns at most a third more.
fn rises<S: Subject>(f: &Findings<'_, S>) -> Result<bool, ModelError> {
    let replay = Replay { uniform: f64::INFINITY, ..NoWarmup::replay(f) };
    let warm = replay.once(&Cure::Warmup(RISE), f.start)?;
    if !warm.cured {
        return Ok(false);
    }
    let slow = replay.once(&Cure::Rate(0.1), f.start)?;
    Ok(!slow.cured || warm.gain() >= WORTH * slow.gain())
}
