//! The cross-entropy of a model on a text.

use crate::model::loss::LogRatios;
use crate::model::recorded_step::{IGNORED, ModelError, RecordedStep, is_counted};
use crate::text::corpus::Window;
use infotheory::preference;
use linalg::Real;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// A model's cross-entropy on a text, or its loss on preferences.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Nats per token, or the mean loss of pairs.
    pub loss: f64,
    /// The number of predicted tokens, or of pairs.
    pub tokens: usize,
    /// Accuracy and rewards, on preferences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred: Option<Preferred>,
    /// The number of right answers, on conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// KL(teacher ‖ model) of predictions of some held-back tokens at a temperature of 1, nats per token, if the model learns
    /// from a teacher and it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_divergence: Option<f64>,
}

/// The number of answers that a model gets right to the last token: each token is the likeliest after those before it, so that
/// greedy generation writes this answer. Of an answer that its window cuts, the part in the window counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The answers.
    pub all: usize,
    /// Those that are right.
    pub right: usize,
}

impl Answers {
    /// Returns the share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.all as f64
    }

    /// Counts the answers of a batch: runs of targets.
    fn count(&mut self, targets: &[u32], hits: &[bool]) {
        let tokens: Vec<_> = targets.iter().zip(hits).collect();
        let same = |a: &(&u32, &bool), b: &(&u32, &bool)| is_counted(*a.0) == is_counted(*b.0);
        for run in tokens.chunk_by(same).filter(|run| is_counted(*run[0].0)) {
            self.all += 1;
            self.right += usize::from(run.iter().all(|(_, hit)| **hit));
        }
    }
}

/// Accuracy and rewards of a model on pairs of a chosen and a rejected answer. A *reward* is β times the nats by which an answer is
/// likelier than under the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preferred {
    /// The share of pairs whose chosen answer has the larger reward.
    pub accuracy: f64,
    /// The mean reward of chosen answers.
    pub chosen: f64,
    /// The mean reward of rejected answers.
    pub rejected: f64,
    /// KL(model ‖ reference) of predictions of answers' tokens, nats per token, if it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub divergence: Option<f64>,
}

impl Preferred {
    /// Returns the mean difference of the rewards of a chosen and a rejected answer.
    pub fn margin(&self) -> f64 {
        self.chosen - self.rejected
    }
}

impl Evaluation {
    /// Measures a model on all windows, with dropout off. The last batch is filled up with windows that are not
    /// counted.
    ///
    /// # Errors
    /// Tokens that the model does not have, windows of another length than recorded, or no target.
    pub fn of<T: Real>(
        model: &mut RecordedStep<T>,
        windows: &[Window],
    ) -> Result<Self, ModelError> {
        let whole = Self::of_watched(model, windows, |_| ControlFlow::Continue(()))?;
        Ok(whole.expect("nothing interrupted the evaluation"))
    }

    /// Like [`Evaluation::of`], but calls `batch` after every batch with the number of windows measured. `batch` can
    /// interrupt: the result is then `None`.
    ///
    /// # Errors
    /// See [`Evaluation::of`].
    pub fn of_watched<T: Real>(
        model: &mut RecordedStep<T>,
        windows: &[Window],
        mut batch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Self>, ModelError> {
        let (mut nats, mut tokens, mut done) = (0.0, 0, 0);
        let mut preferred = model.preference().map(|_| Preferred::default());
        let mut answers =
            (model.config().packed && preferred.is_none()).then_some(Answers::default());
        let size = model.batch();
        let (mut x, mut y) = (Vec::with_capacity(size), Vec::with_capacity(size));
        let mut reference = Vec::with_capacity(size);
        for these in windows.chunks(model.sequences()) {
            x.clear();
            y.clear();
            reference.clear();
            for window in these {
                x.extend(&window.tokens);
                y.extend(&window.targets);
                reference.extend(&window.reference);
            }
            if these.len() < model.sequences() {
                x.resize(size, 0);
                y.resize(size, IGNORED);
            }
            let counted = model.averaged_over(&y);
            match (model.preference(), &mut preferred) {
                (Some(loss), Some(preferred)) => {
                    if reference.len() != these.len() * model.length() {
                        return Err(ModelError::NoReference);
                    }
                    reference.resize(size, 0.0);
                    for LogRatios { chosen, rejected } in model.log_ratios((&x, &y), &reference)? {
                        nats += preference::loss(chosen - rejected, loss.beta, loss.objective)
                            .map_or(f64::NAN, |nats| nats.0);
                        preferred.accuracy += f64::from(chosen > rejected);
                        preferred.chosen += loss.beta * chosen;
                        preferred.rejected += loss.beta * rejected;
                    }
                }
                _ if counted == 0 => {}
                _ => match &mut answers {
                    None => nats += model.cross_entropy(&x, &y)? * counted as f64,
                    Some(answers) => {
                        let (loss, hits) = model.loss_and_hits(&x, &y)?;
                        nats += loss * counted as f64;
                        for (targets, hits) in
                            y.chunks(model.length()).zip(hits.chunks(model.length()))
                        {
                            answers.count(targets, hits);
                        }
                    }
                },
            }
            tokens += counted;
            done += these.len();
            if batch(done).is_break() {
                return Ok(None);
            }
        }
        if tokens == 0 {
            Err(ModelError::NoTarget)
        } else {
            let n = tokens as f64;
            if let Some(Preferred { accuracy, chosen, rejected, .. }) = &mut preferred {
                [accuracy, chosen, rejected].into_iter().for_each(|sum| *sum /= n);
            }
            let teacher_divergence = None;
            Ok(Some(Evaluation { loss: nats / n, tokens, preferred, answers, teacher_divergence }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recorded_step::LAST;

    /// An answer is right if all of its tokens are; one ends where nothing is predicted, or with its window.
    #[test]
    fn answers_are_runs_of_targets() {
        let (y, n) = (5, false);
        let targets = [IGNORED, y, y, LAST, y, IGNORED, y, y];
        let mut answers = Answers::default();
        answers.count(&targets, &[n, true, true, n, n, true, true, n]);
        assert_eq!(answers, Answers { all: 3, right: 1 });
        answers.count(&targets, &[n, true, true, n, true, n, true, true]);
        assert_eq!((answers, answers.accuracy()), (Answers { all: 6, right: 4 }, 4.0 / 6.0));
        answers.count(&[IGNORED, LAST], &[n, n]);
        assert_eq!(answers.all, 6);
    }
    use crate::model::architecture::Architecture;
    use crate::model::recorded_step::Form;
    use crate::text::corpus::windows;

    /// The mean over a text does not depend on the number of windows per batch: every token counts once, also in a
    /// short last batch and the text's short last window.
    #[test]
    fn every_token_counts_once_however_windows_are_grouped() {
        let config = Architecture { vocabulary: 9, context: 6, ..Architecture::default() };
        let stream: Vec<u32> = (0..45_u32).map(|i| (i * i + i / 5) % 9).collect();
        let windows = windows(&stream, config.context);
        assert!(!(stream.len() - 1).is_multiple_of(config.context), "the last window is short");
        let at_once = |n: usize| {
            let mut model =
                RecordedStep::<f64>::record_forward_only(&config, n, config.context, Form::Fused)
                    .unwrap();
            model.initialise(3);
            // Far enough from a uniform prediction that every token has its own loss.
            model.tape_mut().parameters_mut().iter_mut().for_each(|p| *p *= 20.0);
            Evaluation::of(&mut model, &windows).unwrap()
        };
        let one = at_once(1);
        assert_eq!(one.tokens, stream.len() - 1);
        assert!((one.loss - 9.0_f64.ln()).abs() > 0.01, "{one:?}");
        for n in 2..=windows.len() + 1 {
            let several = at_once(n);
            assert_eq!(several.tokens, one.tokens, "{n} at once");
            let bound = 64.0 * f64::EPSILON * (1.0 + one.loss);
            assert!((several.loss - one.loss).abs() <= bound, "{n} at once: {several:?}, {one:?}");
        }
        assert!(
            (2..windows.len()).any(|n| !windows.len().is_multiple_of(n)),
            "a last batch that is short"
        );
    }
}
