//! **Mathematics.** p = softmax(z) underflows to 0 if z is 104 below the largest (f32); −ln p is then ∞ although −ln p
//! = ln Σ e^z − z is an ordinary number.
//!
//! **Signature.** Origin forward, `ln 0`, between the probabilities and the loss.
//!
//! **Cure.** Compute the loss from logits. A change of code.
//!
//! **Example.** `logarithm_of_softmax`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use calculus::Arithmetic;

pub(super) struct LogOfSoftmax;

impl Detect for LogOfSoftmax {
    const TITLE: &str = "logarithm of a softmax";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| o.direction == Direction::Forward && o.fails_at(Arithmetic::Ln)))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("compute the loss from logits: ln Σ e^z − z_y, as cross-entropy does")])
    }
}
