//! **Mathematics.** x ← a·x + f(x): with a > 1 the stream grows like aⁿ over n sums, and squares (a variance) overflow
//! at 1.8·10¹⁹.
//!
//! **Signature.** The last sum of the stream is orders of magnitude larger than the first, at the first step.
//!
//! **Cure.** Normalise before every block; scale its output by 1/√(2·layers).
//!
//! **Example.** `exploding_residual_stream`

use super::{Cure, Cures, Detect, Earlier, Findings, Sign, Subject};
use crate::inspect::diagnose::health::GROWTH;

pub(super) struct GrowingResidual;

impl Detect for GrowingResidual {
    const TITLE: &str = "exploding residual stream";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(start) = f.start_signs() else { return Ok(None) };
        // In trained models some features of the stream are hundreds of times larger than others.
        // Source: Sun et al., Massive Activations in Large Language Models, 2024.
        let grows = start.residual > GROWTH && !f.is_trained_and_well();
        f.unless_symptom(grows.then(|| {
            format!("the residual stream grows by {:.1e} from first to last sum", start.residual)
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("normalise before every block, and scale its output by 1/√(2·layers)")])
    }
}
