//! **Mathematics.** softmax(z + c) = softmax(z): the loss does not depend on c, so nothing limits it. At |z| = 30,000
//! the spacing is 0.002 in f32, 128 in bf16.
//!
//! **Signature.** All logits are far from 0 and close to each other.
//!
//! **Cure.** A penalty on (ln Σ e^z)², or no bias in the head.
//!
//! **Example.** `logits_drift`

use super::{Cure, Cures, Detect, Earlier, Findings, Sign, Subject};

/// The magnitude of the mean logit. Spacing at 1000: 6·10⁻⁵ in f32, 4 in bf16.
const MEAN: f64 = 1000.0;
/// The ratio of the mean to the deviation of a token's logits: they move together. A convention.
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
            format!("logits are {mean:.1} from 0 on average and at most {range:.1} apart")
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("a small penalty on (ln Σ e^z)², or no bias in the head")])
    }
}
