//! **Mathematics.** float16 ends at 65,504: dot products of large queries and keys exceed it before they are divided by
//! √d. bfloat16 has f32's range.
//!
//! **Signature.** Origin at a value that f32 can hold and the format cannot; the same step in f32 is finite.
//!
//! **Cure.** bfloat16, or f32.
//!
//! **Example.** `f16_overflow_in_scores`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Origin;
use crate::training::precision::Precision;

pub(super) struct RangeEnded;

impl Detect for RangeEnded {
    const TITLE: &str = "overflow of a 16-bit format";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let finite = f.finite_in_f32()?;
        Ok(f.origin_where(|_: &Origin| finite))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Store(Precision::Bf16), Cure::Store(Precision::F32)])
    }
}
