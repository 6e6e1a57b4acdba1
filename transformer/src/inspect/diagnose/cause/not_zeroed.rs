//! **Mathematics.** Backward adds. Without zeroing, the update gets the sum of all gradients so far: undamped momentum,
//! a step that grows with the number of steps.
//!
//! **Signature.** The gradient passed to the update equals that of this step's batches plus that left by the previous
//! step.
//!
//! **Cure.** Zero gradients before every step.
//!
//! **Example.** `gradients_not_zeroed`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::watch::Handed;

pub(super) struct NotZeroed;

impl Detect for NotZeroed {
    const TITLE: &str = "gradients not zeroed";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let why = "the gradient passed to the update is that of this step's batches plus that of the previous step";
        let found = f.watched.handed == Some(Handed::WithTheStepBefore);
        Ok(found.then(|| why.to_owned()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Zero])
    }
}
