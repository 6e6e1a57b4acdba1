//! **Mathematics.** Nothing in the loss on new data holds what the model knew of other text: weights move along their
//! gradient, and what is shared between both is overwritten (McCloskey and Cohen, *Catastrophic Interference in
//! Connectionist Networks*, 1989).
//!
//! **Signature.** The loss on text from before this training is significantly higher than it was, by at least half of what the model knew
//! of it: (L − L₀)/(ln V − L₀) ≥ ½ for a vocabulary of V tokens, L₀ before this training. The text is given, or written by the model
//! from which the run began.
//!
//! **Cure.** Adapters instead of all weights, a lower rate or fewer steps, or some of the earlier text among the data.
//!
//! **Example.** `a_text_that_counts_the_other_way`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::background::Remembered;

/// The share of its knowledge that a model that forgets has lost.
const LOST: f64 = 0.5;
/// Standard errors above which a rise is significant.
const ERRORS: f64 = 3.0;

pub(super) struct Forgetting;

impl Detect for Forgetting {
    const TITLE: &str = "forgetting";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(before) = f.background().and_then(|known| known.before.as_ref()) else {
            return Ok(None);
        };
        if f.watched.failed() {
            return Ok(None);
        }
        let Remembered { before, after, doubt, known, lost } =
            before.remembered(f.subject, &f.watched.last_good.parameters)?;
        Ok((known > 0.0 && lost >= LOST && after - before > ERRORS * doubt).then(|| {
            format!(
                "the loss on text from before this training rose from {before:.3} to {after:.3} nats per token: {:.0} % of the {known:.3} nats that the \
                 model knew are lost",
                100.0 * lost
            )
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code(
            "adapters in place of all weights (--lora), a lower rate or fewer steps, or some of the earlier text among the data",
        )])
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::step;
    use crate::inspect::diagnose::{
        Background, Before, Cause, Course, Recipe, State, diagnose_with,
    };
    use crate::inspect::subject::ModelStep;
    use crate::text::corpus::Window;
    use std::sync::Arc;

    /// A text in which each of eleven words is `by` after its predecessor.
    fn counts(by: u32) -> ModelStep<'static> {
        let batch = move |n: u64| {
            let text: Vec<u32> = (0..17).map(|i| (n as u32 + by * i) % 11).collect();
            (text[..16].to_vec(), text[1..].to_vec())
        };
        ModelStep { batches: Arc::new(batch), ..step() }
    }

    fn trained(step: &ModelStep<'_>, start: &State, steps: u64) -> State {
        let recipe = Recipe::adam(1e-2);
        let mut course = Course::from(step, &recipe, start).unwrap();
        (0..steps).for_each(|_| assert!(course.step().unwrap().origin.is_none()));
        State::start(course.state().parameters)
    }

    /// Goes on with a model that counts by 3, on text that counts by `by`.
    fn diagnosed(by: u32) -> Option<Cause> {
        let old = counts(3);
        let fresh = State::start(old.config.initial_parameters(1).unwrap());
        let base = trained(&old, &fresh, 80);
        let windows: Vec<Window> = (0..4)
            .map(|n| {
                let (tokens, targets) = (old.batches)(1000 + n);
                Window { tokens, targets, reference: vec![] }
            })
            .flat_map(|both| {
                let half = |range: std::ops::Range<usize>| Window {
                    tokens: both.tokens[range.clone()].to_vec(),
                    targets: both.targets[range].to_vec(),
                    reference: vec![],
                };
                [half(0..8), half(8..16)]
            })
            .collect();
        let new = counts(by);
        let before = Before::of(&new, &base.parameters, &windows).unwrap();
        let start = trained(&new, &base, 60);
        let known = Background { before: Some(before), ..Background::default() };
        let found = diagnose_with(&new, &start, &Recipe::adam(1e-3), 20, &known).unwrap();
        found.cause.map(|(cause, why)| {
            println!("{cause}: {why}");
            cause
        })
    }

    #[test]
    fn a_text_that_counts_the_other_way() {
        assert_eq!(diagnosed(8), Some(Cause::Forgetting));
    }

    #[test]
    fn more_of_the_same_is_not_forgotten() {
        assert_ne!(diagnosed(3), Some(Cause::Forgetting));
    }
}
