//! **Mathematics.** softmax subtracts max z. If every z is −∞, z − max z = −∞ − (−∞) = NaN.
//!
//! **Signature.** Origin forward, in a softmax, `−∞ − (−∞)`; one column.
//!
//! **Cure.** Every query sees at least itself. A change of the mask: not tried.
//!
//! **Example.** `all_masked_row`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};

pub(super) struct AllMasked;

impl Detect for AllMasked {
    const TITLE: &str = "fully masked row";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.is_in_softmax() && o.cancels_infinities()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("leave every query at least one key: itself")])
    }
}
