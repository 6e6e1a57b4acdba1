//! **Mathematics.** softmax(z + c) = softmax(z): the loss does not see c, so that nothing holds it. At |z| = 30,000 an
//! f32 tells 0.002 apart, a bf16 128.
//!
//! **Signature.** All logits far from 0 and near to each other.
//!
//! **Cure.** A penalty on (ln Σ e^z)², or no bias in the head.
//!
//! **Example.** `logits_drift`

use super::{Cure, Cures, Detect, Earlier, Findings, Sign, Subject};

/// The mean logit, by size: at 1000 an f32 still tells 0.00006 apart, a bf16 no more than 4.
const MEAN: f64 = 1000.0;
/// How many deviations of a token's logits the mean must be: they move together. A convention.
const DEVIATIONS: f64 = 10.0;

pub(super) struct DriftingLogits;

impl Detect for DriftingLogits {
    const TITLE: &str = "logits drift";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(start) = f.start_signs() else { return Ok(None) };
        let far = |(_, mean, deviation): &(f64, f64, f64)| {
            mean.abs() > MEAN && mean.abs() > DEVIATIONS * deviation
        };
        f.unless_symptom(start.logits.filter(far).map(|(range, mean, _)| {
            format!("logits lie {mean:.1} from 0 on average and {range:.1} apart at the most")
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("a small penalty on (ln Σ e^z)², or no bias in the head")])
    }
}
