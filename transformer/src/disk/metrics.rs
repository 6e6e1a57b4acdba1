//! `metrics.jsonl`: one line per step.

use crate::training::evaluation::{Answers, Preferred};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A line of `metrics.jsonl`. A loss that is not finite is written as null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The step's number, from 1.
    pub step: u64,
    /// The batch's mean loss: nats per token, or the loss of preferences.
    pub loss: Option<f64>,
    /// The same on the validation part, at steps that measure it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validation_loss: Option<f64>,
    /// The number of right answers of the validation part, at steps that measure it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<Answers>,
    /// Accuracy and rewards on the validation part's preferences, at steps that measure it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preferred: Option<Preferred>,
    /// KL(teacher ‖ model) on some tokens of the validation part, nats per token, at steps that measure it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub teacher_divergence: Option<f64>,
    /// The learning rate of the update.
    pub learning_rate: f64,
    /// The norm of all gradients together, before clipping.
    pub gradient_norm: Option<f64>,
    /// The speed of this step.
    pub tokens_per_second: f64,
    /// The time that the run took up to here, without the time between two processes; absent in runs of earlier
    /// versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<f64>,
    /// The gradient noise scale so far, in windows, at the steps that measure it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub noise_scale: Option<f64>,
    /// The measurements of `--watch`, at the steps that it measures.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub health: Option<serde_json::Value>,
}

/// The remaining metrics of a run that resumes after some step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// Lines up to that step.
    pub metrics: Vec<Metric>,
    /// The number of dropped lines: of later steps, which will be trained again.
    pub dropped: usize,
    /// The numbers of unreadable lines, from 1; they are kept unchanged.
    pub damaged: Vec<usize>,
    /// The number of steps so far without a readable line.
    pub missing: u64,
    /// The contents of the file.
    pub(super) bytes: Vec<u8>,
}

impl Restored {
    /// Reads the file of a run that resumes after `step`. Only lines of later steps are dropped. The step of an
    /// unreadable line follows from its place: it is kept if a line up to `step` follows, or if there are few enough
    /// lines before it.
    pub(super) fn of(file: &[u8], step: u64) -> Self {
        let lines: Vec<&[u8]> = file.split_inclusive(|b| *b == b'\n').collect();
        let read: Vec<Option<Metric>> =
            lines.iter().map(|line| serde_json::from_slice(line).ok()).collect();
        let kept = |metric: &Option<Metric>| metric.as_ref().is_some_and(|m| m.step <= step);
        let last = read.iter().rposition(kept);
        let reached = last.and_then(|i| read[i].as_ref()).map_or(0, |m| m.step);
        let mut restored = Restored::default();
        for (i, (line, metric)) in lines.iter().zip(read).enumerate() {
            let beyond = (i + 1).saturating_sub(last.map_or(0, |last| last + 1)) as u64;
            let stays = match &metric {
                Some(metric) => metric.step <= step,
                None => reached.saturating_add(beyond) <= step,
            };
            if !stays {
                restored.dropped += 1;
                continue;
            }
            restored.bytes.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                restored.bytes.push(b'\n');
            }
            match metric {
                Some(metric) => restored.metrics.push(metric),
                None => restored.damaged.push(i + 1),
            }
        }
        let steps: HashSet<u64> = restored.metrics.iter().map(|m| m.step).collect();
        restored.missing = step.saturating_sub(steps.len() as u64);
        restored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(step: u64) -> String {
        let metric = Metric {
            step,
            loss: Some(1.0 / step as f64),
            validation_loss: None,
            answers: None,
            preferred: None,
            teacher_divergence: None,
            learning_rate: 1e-3,
            gradient_norm: None,
            tokens_per_second: 7.0,
            seconds: Some(0.5 * step as f64),
            noise_scale: None,
            health: None,
        };
        serde_json::to_string(&metric).unwrap() + "\n"
    }

    proptest! {
        /// After a kill at any byte, exactly the lines up to the state's step remain.
        #[test]
        fn a_file_that_is_cut_off_keeps_what_the_state_has(steps in 1u64..20, at in 0.0..1.0, cut in 0.0..1.0) {
            let whole: String = (1..=steps).map(line).collect();
            let step = (at * steps as f64) as u64;
            let least: usize = (1..=step).map(|i| line(i).len()).sum();
            // A state of `step` is saved after that line.
            let length = least + (cut * (whole.len() - least) as f64) as usize;
            let restored = Restored::of(&whole.as_bytes()[..length], step);
            prop_assert_eq!(&restored.bytes, &whole.as_bytes()[..least]);
            prop_assert_eq!((restored.missing, restored.damaged.len()), (0, 0));
            let after = whole.as_bytes()[least..length].split_inclusive(|b| *b == b'\n').count();
            prop_assert_eq!(restored.dropped, after);
        }

        /// If one line is damaged with any bytes but a line end, no other line is lost, and it is named.
        #[test]
        fn a_damaged_line_takes_no_other_with_it(
            steps in 1usize..20, which in 0usize..20, at in 1usize..20, bytes in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let (which, step) = (which % steps, (at % steps + 1) as u64);
            let mut bytes: Vec<u8> = bytes.into_iter().filter(|b| *b != b'\n').collect();
            bytes.insert(0, b'#');
            let mut lines: Vec<Vec<u8>> = (1..=steps as u64).map(|i| line(i).into_bytes()).collect();
            lines[which] = [&bytes[..], b"\n"].concat();
            let restored = Restored::of(&lines.concat(), step);
            let there = which < step as usize;
            prop_assert_eq!(restored.bytes, lines[..step as usize].concat());
            prop_assert_eq!(restored.metrics.len(), step as usize - usize::from(there));
            prop_assert_eq!(restored.damaged, if there { vec![which + 1] } else { vec![] });
            prop_assert_eq!(restored.missing, u64::from(there));
            prop_assert_eq!(restored.dropped, steps - step as usize);
        }
    }

    #[test]
    fn no_metrics_are_all_missing() {
        let restored = Restored::of(b"", 12);
        assert_eq!((restored.missing, restored.dropped, restored.metrics.len()), (12, 0, 0));
        // A run without its first lines resumes.
        let later: String = (9..=14).map(line).collect();
        let restored = Restored::of(later.as_bytes(), 12);
        assert_eq!((restored.missing, restored.dropped, restored.metrics.len()), (8, 2, 4));
    }
}
