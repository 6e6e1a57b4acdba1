//! **Mathematics.** A table has V columns; an id t ≥ V has none. An unchecked lookup reads another row's memory or
//! gives NaN.
//!
//! **Signature.** Origin forward, in the lookup or in the loss (a target). The operand shows the id.
//!
//! **Cure.** Leave the batch out; then compare the tokenizer's vocabulary with the model's.
//!
//! **Example.** `bad_token_id`, `bad_target_id`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::{Direction, Origin};
use linalg::Role;

pub(super) struct BadToken;

impl Detect for BadToken {
    const TITLE: &str = "bad token id";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let of_loss = |o: &Origin| o.is(Direction::Forward, Role::Loss) && o.fault.is_none();
        match f.watched.origin() {
            Some(origin) if of_loss(origin) => bad_target(f),
            _ => Ok(f.origin_where(|o| o.is(Direction::Forward, Role::Lookup))),
        }
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Skip(f.watched.batch())])
    }
}

/// Returns a target of the failed batch that is not a class.
fn bad_target<S: Subject>(f: &Findings<'_, S>) -> Sign {
    let step = f.subject.record_in_full::<f32>()?;
    let classes = step.handles.logits.map_or(usize::MAX, |v| step.tape.shape(v).rows);
    let batch = f.subject.batch(f.watched.batch());
    let targets = step.given(step.handles.targets, &batch).unwrap_or_default();
    let place = targets.iter().position(|&t| t >= classes as f64 || t.is_nan());
    Ok(place.map(|i| {
        let last = classes - 1;
        format!(
            "target {} at position {i} of the batch: there are {classes} classes (0 to {last})",
            targets[i]
        )
    }))
}
