//! x

use super::{Case, cases};

pub(crate) fn cases() -> Vec<Case> {
    cases! {}
}
