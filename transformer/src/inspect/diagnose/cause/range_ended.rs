//! **Mathematics.** float16 ends at 65,504: dot products of large queries and keys exceed it before they are divided by
//! √d, products of a gate before they are contracted, a residual stream, a weight. bfloat16 has f32's range.
//!
//! **Signature.** Origin at a value that f32 can hold and the format cannot; the same step in f32 is finite.
//!
//! **Cure.** bfloat16, if the model learns at least three quarters of what it learns in f32; otherwise f32. bfloat16 has
//! eight significant bits: at 80,000 its numbers are 512 apart, and a stream of that size loses what it carries.
//!
//! **Example.** `f16_overflow_in_scores`; `a_weight_beyond_float16`, an origin *given*

use super::{Cure, Cures, Detect, Findings, ModelError, Sign, Subject, Trial};
use crate::inspect::diagnose::origin::Origin;
use crate::training::precision::Precision;

/// Minimum share of what f32 learns: with less, bfloat16 is no fix. As for a warm-up.
const WORTH: f64 = 0.75;

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

    /// Tries f32 even if bfloat16 helps, to compare what they learn.
    fn trials<S: Subject>(f: &Findings<'_, S>) -> Result<Option<Vec<Trial>>, ModelError> {
        let replay = Self::replay(f);
        let each = Self::cures(f)?.into_iter().map(|cure| replay.trials(&[cure]));
        let mut trials: Vec<Vec<Trial>> = each.collect::<Result<_, _>>()?;
        let [short, full] = &mut trials[..] else { return Ok(Some(trials.concat())) };
        // A model that knew something need only keep it.
        let learns = |t: &Trial| t.held_out.is_some_and(|(before, _)| !replay.knows(before));
        let best = full.iter().filter(|t| t.cured).map(Trial::gain).fold(0.0, f64::max);
        short.iter_mut().for_each(|t| t.cured &= !learns(t) || t.gain() >= WORTH * best);
        if short.iter().any(|t| t.cured) {
            full.clear();
        }
        Ok(Some(trials.concat()))
    }
}

#[cfg(test)]
mod tests {
    use crate::Precision;
    use crate::inspect::diagnose::cause::specimen::{start, step};
    use crate::inspect::diagnose::{Cause, Cure, Recipe, diagnose};

    /// A weight of 70,000: f32 goes on, float16 has ∞ there.
    #[test]
    fn a_weight_beyond_float16() {
        let mut beyond = start();
        beyond.parameters[5] = 7e4;
        let recipe = Recipe { precision: Precision::F16, ..Recipe::adam(3e-3) };
        let found = diagnose(&step(), &beyond, &recipe, 20).unwrap();
        let (cause, why) = found.cause.unwrap();
        assert_eq!(cause, Cause::RangeEnded, "{why}");
        let origin = found.origin.unwrap();
        assert_eq!((origin.operation.as_str(), origin.element), ("parameter", (5, 0)));
        assert_eq!(origin.arithmetic, "7.0000e4 is beyond 6.5504e4, the largest f16");
        assert!(found.trials.iter().all(|t| matches!(t.change, Cure::Store(_))));
        // NaN is broken in every format.
        beyond.parameters[6] = f32::NAN;
        let found = diagnose(&step(), &beyond, &recipe, 20).unwrap();
        assert_eq!(found.cause.unwrap().0, Cause::BrokenWeights);
    }
}
