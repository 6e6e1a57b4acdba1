//! **Mathematics.** x̂ = (x − µ)/√(σ² + ε): a constant row has σ = 0, and with ε = 0 this is 0/0. Padding tokens with
//! an all-zero vector are constant rows.
//!
//! **Signature.** Origin forward, in a normalisation, `1 / 0` or `0 / 0`.
//!
//! **Cure.** ε = 10⁻⁵.
//!
//! **Example.** `variance_of_a_constant_row`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;
use calculus::Arithmetic;
use linalg::Role;

pub(super) struct ZeroVariance;

impl Detect for ZeroVariance {
    const TITLE: &str = "variance of a constant row";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        Ok(f.origin_where(|o| {
            let of_zero = o.divides_by_zero() || o.fails_at(Arithmetic::Sqrt);
            o.is(Direction::Forward, Role::Norm) && of_zero
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("add an epsilon of 1e-5 to the variance")])
    }
}
