//! **Mathematics.** The loss is a mean over the n targets that are not ignored: Σ/n with n = 0 is 0/0. It occurs with
//! padded or masked batches (prompts cut off before their answer).
//!
//! **Signature.** Origin forward, in the loss, arithmetic `0 / 0`; only at some batches.
//!
//! **Cure.** Leave the batch out, or use Σ/max(n, 1).
//!
//! **Example.** `all_targets_ignored`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use linalg::Role;

pub(super) struct NoTarget;

impl Detect for NoTarget {
    const TITLE: &str = "all targets ignored";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.is(Direction::Forward, Role::Loss) && o.divides_by_zero()))
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Skip(f.watched.batch())])
    }
}
