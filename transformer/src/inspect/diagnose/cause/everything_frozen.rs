//! **Mathematics.** A frozen weight has no gradient and is left as it is. If every weight is frozen, a step changes
//! nothing, and the loss varies only with the batches.
//!
//! **Signature.** The recorded step has no learned parameter.
//!
//! **Cure.** Learn some weights, or adapters beside them.
//!
//! **Example.** `every_weight_frozen`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};

pub(super) struct EverythingFrozen;

impl Detect for EverythingFrozen {
    const TITLE: &str = "everything frozen";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let frozen = f.watched.frozen;
        Ok(f.start
            .parameters
            .is_empty()
            .then(|| format!("all {frozen} weight tensors are frozen: no step changes anything")))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("learn some weights (--learn), or adapters beside them (--lora)")])
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::{Cause, Recipe, State, diagnose};
    use crate::inspect::subject::Subject;
    use crate::model::recorded_step::ModelError;
    use crate::model::recording::{Given, Recording};
    use calculus::Recorder;
    use infotheory::cross_entropy::CrossEntropy;
    use linalg::{Real, Shape, product::Product};

    /// A linear classifier whose author froze its only matrix.
    struct Frozen;

    impl Subject for Frozen {
        fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
            let mut r = Recorder::<T>::new();
            r.freeze(|_| true);
            let w = r.parameter("weight", Shape::new(3, 2))?;
            let x = r.input("x", Shape::new(2, 4))?;
            let targets = r.input("targets", Shape::new(1, 4))?;
            let logits = r.push("logits", Product::plain(), [w, x])?;
            let loss = r.push("loss", CrossEntropy, [logits, targets])?;
            Ok(Recording::new(r.finish(), loss))
        }

        fn batch(&self, number: u64) -> Vec<Given> {
            let x = (0..8).map(|i| ((number + i) % 5) as f64 - 2.0).collect();
            let targets = (0..4).map(|i| ((number + i) % 3) as f64).collect();
            vec![Given { name: "x", elements: x }, Given { name: "targets", elements: targets }]
        }
    }

    #[test]
    fn every_weight_frozen() {
        for recipe in [Recipe::sgd(0.1), Recipe::adam(1e-3)] {
            let found = diagnose(&Frozen, &State::start(vec![]), &recipe, 10).unwrap();
            assert_eq!(found.cause.unwrap().0, Cause::EverythingFrozen);
        }
    }
}
