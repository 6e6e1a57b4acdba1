//! **Mathematics.** The mean of the nats over all tokens of a conversation is, for its larger part, about what the user
//! says. A model that is to answer learns to ask, and its answers have a small share of the gradient.
//!
//! **Signature.** The tokens that begin an assistant's turn, which the chat template writes, are predicted themselves, three times or more
//! in the first eight batches. Where answers alone are learned, they never are.
//!
//! **Cure.** Learn the answers alone: `--answers`.
//!
//! **Example.** `conversations_learned_whole`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};

/// The batches that are read, and how often the beginning of an answer must be predicted.
const BATCHES: u64 = 8;
const TIMES: usize = 3;

pub(super) struct PromptCounted;

impl Detect for PromptCounted {
    const TITLE: &str = "loss that counts the prompt";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(known) = f.background().filter(|known| !known.answer_start.is_empty()) else {
            return Ok(None);
        };
        if f.watched.failed() {
            return Ok(None);
        }
        let begin: Vec<f64> = known.answer_start.iter().map(|&token| f64::from(token)).collect();
        let first = f.start.steps * f.recipe.accumulate;
        let mut times = 0;
        for number in first..first + BATCHES {
            let batch = f.subject.batch(number);
            let Some(targets) = f.watched.given(f.watched.handles.targets, &batch) else {
                return Ok(None);
            };
            let sequences = targets.chunks(f.subject.length().unwrap_or(targets.len()).max(1));
            times += sequences
                .map(|own| own.windows(begin.len()).filter(|part| *part == begin).count())
                .sum::<usize>();
        }
        Ok((times >= TIMES).then(|| {
            format!(
                "the tokens that begin an answer are predicted themselves, {times} times in {BATCHES} batches: what stands \
                 before answers counts in the loss"
            )
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code(
            "learn the answers alone: train with --answers on lines with \"messages\", or \"prompt\" and \"completion\"",
        )])
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{start, step};
    use crate::inspect::diagnose::{Background, Cause, Recipe, diagnose_with};
    use crate::inspect::subject::ModelStep;
    use crate::model::recorded_step::IGNORED;
    use std::sync::Arc;

    /// Conversations in windows: two words of a prompt, 9 and 10 before an answer, four words of the answer.
    fn diagnosed(answers_only: bool) -> Option<Cause> {
        let batch = move |n: u64| {
            let word = |i: u64| ((n + i) % 9) as u32;
            let window = |s: u64| {
                let [a, b] = [word(5 * s), word(5 * s + 3)];
                [a, b, 9, 10, b, a, b, a, b]
            };
            let all = [window(0), window(1)];
            let tokens = all.iter().flat_map(|w| w[..8].to_vec()).collect();
            let target = |i: usize, token: u32| if answers_only && i < 3 { IGNORED } else { token };
            let targets =
                all.iter().flat_map(|w| (0..8).map(|i| target(i, w[i + 1])).collect::<Vec<_>>());
            (tokens, targets.collect())
        };
        let step = ModelStep { batches: Arc::new(batch), ..step() };
        let known = Background { answer_start: vec![9, 10], ..Background::default() };
        let found = diagnose_with(&step, &start(), &Recipe::adam(3e-3), 10, &known).unwrap();
        found.cause.map(|(cause, _)| cause)
    }

    #[test]
    fn conversations_learned_whole() {
        assert_eq!(diagnosed(false), Some(Cause::PromptCounted));
    }

    #[test]
    fn answers_learned_alone() {
        assert_eq!(diagnosed(true), None);
    }
}
