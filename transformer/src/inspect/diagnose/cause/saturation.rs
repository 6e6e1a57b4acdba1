//! Shared parts of the causes with saturated softmaxes, of attention or of the output: signs at the start or at the
//! end.

use super::{Findings, ModelError, Sign, Subject, entropy_collapse, growing_logits};
use crate::inspect::diagnose::signs::{Signs, signs};
use crate::inspect::diagnose::stepping::Course;

/// Share of ln V: a model below this loss has learned something, and may be as sharp as it is. A convention.
const KNOWS: f64 = 0.9;

pub(super) fn knows(signs: &Signs) -> bool {
    signs.loss <= KNOWS * signs.uniform
}

/// Checks whether a softmax is saturated although the model has not learned.
pub(super) fn is_saturated(signs: &Signs) -> bool {
    entropy_collapse::sign(signs).is_some() || growing_logits::sign(signs).is_some()
}

/// Returns the sign at the start, or at the end if the start has neither; `None` if the rate has made it.
pub(super) fn sign_of<S: Subject>(f: &Findings<'_, S>, sign: fn(&Signs) -> Option<String>) -> Sign {
    let signs = f.signs.as_ref().filter(|_| f.symptom.get().is_none());
    let Some((start, end)) = signs else { return Ok(None) };
    Ok(sign(if is_saturated(start) { start } else { end }))
}

/// Checks that no softmax is saturated after these steps.
pub(super) fn is_gone<S: Subject>(course: &mut Course<'_, S>) -> Result<bool, ModelError> {
    let batch = course.subject.batch(course.next_batch());
    Ok(!is_saturated(&signs(course.subject, &course.state().parameters, &batch)?))
}
