//! **Mathematics.** A linear map with entries of deviation σ multiplies a vector's size by σ·√n. GPT-2's 0.02 keeps it
//! below 1; a hundred times that gives logits of hundreds.
//!
//! **Signature.** Gains far above 1 in most matrices at the first step; the first loss far above ln V.
//!
//! **Cure.** Scale the matrices down.
//!
//! **Example.** `initialisation_times_100`

use super::{Cure, Cures, Detect, Earlier, Findings, ModelError, Sign, Subject};
use crate::inspect::diagnose::signs::gains;

/// The largest gain of a linear map. A gain of 1 keeps a vector's size; trained models stay well below this.
const LARGEST: f64 = 6.0;
/// The gain that most linear maps must have: half of the largest, so that a single large map does not count as an
/// initialisation.
const MOST: f64 = 3.0;
/// Nats above ln V: a trained model's loss is below this.
const UNLEARNED: f64 = 1.0;

pub(super) struct LargeInitialisation;

impl Detect for LargeInitialisation {
    const TITLE: &str = "initialisation too large";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(start) = f.start_signs() else { return Ok(None) };
        let unlearned = start.loss.is_nan() || start.loss > start.uniform + UNLEARNED;
        let (gain, name) = &start.gain;
        let large = *gain > LARGEST && (f.watched.failed() || unlearned) && most_are_large(f)?;
        f.unless_symptom(large.then(|| {
            format!("{name} multiplies a vector's size by {gain:.1} at the start, like others")
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Shrink(0.5), Cure::Shrink(0.05)])
    }
}

/// Checks whether most linear maps of the start are large, not a single one.
fn most_are_large<S: Subject>(f: &Findings<'_, S>) -> Result<bool, ModelError> {
    let mut step = f.subject.record_in_full::<f32>()?;
    step.set_parameters(&f.start.parameters);
    let gains = gains(&step.tape);
    Ok(2 * gains.iter().filter(|g| g.gain > MOST).count() > gains.len())
}
