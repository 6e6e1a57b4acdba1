//! Shared parts of the causes in the training dynamics: when they are checked, and how a rate is described.

use super::{Findings, ModelError, Subject, saturation};
use crate::inspect::diagnose::applied::peak;
use crate::inspect::diagnose::findings::Symptom;
use calculus::schedule::Schedule;

/// Checks whether the training dynamics are examined: for a run that failed, and for one with saturated softmaxes or
/// corrupted weights whose rate is far above the limit of stability, so that the growth is a symptom of the rate. Not
/// if softmaxes were saturated from the first step on.
pub(super) fn are_asked<S: Subject>(f: &Findings<'_, S>) -> Result<bool, ModelError> {
    let Some((start, end)) = f.signs.as_ref().filter(|_| f.symptom.get().is_none()) else {
        return Ok(f.symptom.get().is_some());
    };
    let (grown, symptom) = match saturation::is_saturated(start) {
        true => (f.start.steps > 0, Symptom::AtStart),
        false if f.watched.failed() => return Ok(true),
        false => (f.spoilt || saturation::is_saturated(end), Symptom::AtEnd),
    };
    let symptom = (grown && f.is_far_above()?).then_some(symptom);
    f.symptom.set(symptom);
    Ok(symptom.is_some())
}

/// Checks whether the rate is above the limit of stability; `None` if no limit is known.
pub(super) fn is_above<S: Subject>(f: &Findings<'_, S>) -> Result<Option<bool>, ModelError> {
    let known = f.stability()?.filter(|s| !s.limit.is_nan());
    Ok(known.map(|s| s.rate > s.limit))
}

/// Returns the suspected rate, and its description in words.
pub(super) fn rate<S: Subject>(f: &Findings<'_, S>) -> Result<(f64, String), ModelError> {
    let stability = f.stability()?;
    let highest = f.watched.history.iter().max_by(|a, b| a.rate.total_cmp(&b.rate));
    let (rate, step) = match (stability, highest) {
        (Some(s), _) => (s.rate, s.steps),
        (None, Some(t)) => (t.rate, t.number - 1),
        (None, None) => (f64::NAN, f.start.steps),
    };
    let unmeasured = || match f.recipe.optimizer.limit(1.0, 0) {
        Some(_) => "the model is too large for that".to_owned(),
        None => format!("{} has none", f.recipe.optimizer.kind),
    };
    let (against, shown) = match stability {
        Some(s) => (" against the limit", format!("; {s}")),
        None => ("", format!("; no limit of stability was measured: {}", unmeasured())),
    };
    let shown = match f.recipe.schedule {
        Schedule::Constant { .. } => shown,
        schedule => format!(
            " at step {step}, the highest of the watched steps{against} (the peak is {:.2e}){shown}",
            peak(schedule)
        ),
    };
    Ok((rate, shown))
}
