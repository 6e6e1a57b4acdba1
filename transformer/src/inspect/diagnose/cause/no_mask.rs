//! **Mathematics.** Position t sees token t + 1, which is its target: the loss can fall to 0 by copying.
//!
//! **Signature.** No NaN: a loss that falls too fast. Another last token changes the logits of earlier ones, to the
//! bit.
//!
//! **Cure.** Add the mask.
//!
//! **Example.** `missing_causal_mask`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::signs::looks_ahead;

pub(super) struct NoMask;

impl Detect for NoMask {
    const TITLE: &str = "missing causal mask";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let batch = f.subject.batch(f.start.steps * f.recipe.accumulate);
        let found = looks_ahead(f.subject, &f.start.parameters, &batch)?;
        Ok(found.then(|| "another last token changes the logits of earlier ones".to_owned()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("mask every key that is later than its query")])
    }
}
