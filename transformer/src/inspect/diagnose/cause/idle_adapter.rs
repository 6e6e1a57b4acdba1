//! **Mathematics.** y = W·x + s·B·(A·x) sends s·Bᵀ·ȳ·xᵀ to A and s·ȳ·(A·x)ᵀ to B: if both are 0, both gradients are, and
//! the adapter stays at 0. If s is so small that ‖s·B·A‖ is below 2⁻²⁴·‖W‖, the sum is rounded to what it was: an optimizer that normalises
//! moves B by η a step, whatever s is.
//!
//! **Signature.** After five watched steps or more at a rate above 0, ‖s·B·A‖ < 2⁻²⁴·‖W‖ (Frobenius norms) for every adapter, while A and
//! B are all 0, or ‖B·A‖ alone would not be below: a product that is small with a factor of 1 is that of a low rate. Of adapters that learn the lengths of rows, too (DoRA), only the first is judged.
//!
//! **Cure.** Adapters reinitialised (A random, B zero), with a factor of 1.
//!
//! **Example.** `adapters_of_zeros`, `alpha_of_a_trillionth`

use super::slow::{AdapterSize, Evidence, Slow};
use super::{Cure, Cures, Findings, Subject};

/// Minimum number of watched steps.
const WATCHED: u64 = 5;
/// Half the distance from 1 to the next f32 below: what is added and is smaller than this share changes nothing.
const ROUNDED: f64 = 1.0 / (1_u64 << 24) as f64;

pub(super) struct IdleAdapter;

impl Slow for IdleAdapter {
    const TITLE: &str = "adapter without effect";
    const CERTAIN: bool = true;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let first = e.adapters.first()?;
        let judged = e.watched >= WATCHED && e.path > 0.0;
        if !judged || e.adapters.iter().any(|own| own.ratio() >= ROUNDED) {
            return None;
        }
        if e.adapters.iter().all(|own| e.zero.contains(&own.name)) {
            let all = e.adapters.len();
            return Some(format!(
                "A and B are 0 in all {all} adapters ({}): neither has a gradient",
                first.name
            ));
        }
        // Lengths of rows have an effect of their own.
        if first.rescaled {
            return None;
        }
        let largest = |of: fn(&AdapterSize) -> f64| e.adapters.iter().map(of).fold(0.0, f64::max);
        let alone = largest(|own| own.product() / own.matrix);
        (alone >= ROUNDED).then(|| {
            format!(
                "the products of the adapters, multiplied by s = {:e}, are {:.1e} of the matrices that they change: less than \
                 f32 can add; with s = 1 they would be {alone:.1e}",
                first.factor,
                largest(|own| own.ratio())
            )
        })
    }

    fn fixes<S: Subject>(_: &Findings<'_, S>, _: &Evidence<'_>) -> Cures {
        Ok(vec![Cure::Adapters(1.0)])
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{adapted, start_of};
    use crate::inspect::diagnose::{Background, Cause, Recipe, State, diagnose_with};
    use crate::inspect::subject::ModelStep;

    fn diagnosed(step: &ModelStep<'_>, start: &State) -> Option<Cause> {
        let (recipe, known) = (Recipe::adam(3e-3), Background::default());
        let found = diagnose_with(step, start, &recipe, 20, &known).unwrap();
        if found.cause.is_some() {
            assert!(found.trials[0].cured, "{:?} {:?}", found.cause, found.trials);
        }
        found.cause.map(|(cause, _)| cause)
    }

    #[test]
    fn adapters_of_zeros() {
        let step = adapted(1.0);
        let zeros = vec![0.0; start_of(&step).parameters.len()];
        assert_eq!(diagnosed(&step, &State::start(zeros)), Some(Cause::IdleAdapter));
    }

    #[test]
    fn alpha_of_a_trillionth() {
        let step = adapted(1e-12);
        assert_eq!(diagnosed(&step, &start_of(&step)), Some(Cause::IdleAdapter));
    }

    #[test]
    fn an_adapter_that_has_begun_to_learn_is_no_cause() {
        let step = adapted(1.0);
        assert_eq!(diagnosed(&step, &start_of(&step)), None);
    }
}
