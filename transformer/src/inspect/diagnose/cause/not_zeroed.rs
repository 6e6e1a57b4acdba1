//! **Mathematics.** Backward adds. Without zeroing the update gets Σ of all gradients so far: undamped momentum, a step
//! that grows with the number of steps.
//!
//! **Signature.** The gradient handed to the update equals that of this step's batches plus what the step before left.
//!
//! **Cure.** Zero before every step.
//!
//! **Example.** `gradients_not_zeroed`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::watch::Handed;

pub(super) struct NotZeroed;

impl Detect for NotZeroed {
    const TITLE: &str = "gradients not zeroed";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let why = "the gradient handed to the update is that of this step's batches plus that of the step before";
        let found = f.watched.handed == Some(Handed::WithTheStepBefore);
        Ok(found.then(|| why.to_owned()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Zero])
    }
}
