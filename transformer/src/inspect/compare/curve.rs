//! The curve of a run: losses against steps, tokens and seconds.

use crate::disk::Metric;
use serde::Serialize;

/// A place on a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The step, from 1.
    pub step: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Seconds of training steps so far; evaluations and checkpoints are not included.
    pub seconds: f64,
    /// The loss, nats per token.
    pub loss: f64,
}

/// The losses of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// The loss of every batch.
    pub training: Vec<Place>,
    /// The losses on held-back text.
    pub held_back: Vec<Place>,
}

impl Curve {
    /// Returns the curve of recorded metrics, for steps of `tokens` tokens each. The seconds of a step are its tokens
    /// divided by its tokens per second. Losses that are not finite are left out.
    ///
    /// ```
    /// use transformer::{disk::Metric, inspect::compare::Curve};
    /// let metric = |step, loss, validation_loss| Metric {
    ///     step, loss: Some(loss), validation_loss, learning_rate: 1e-3, tokens_per_second: 50.0, ..Metric::default()
    /// };
    /// let curve = Curve::of(&[metric(1, 4.0, None), metric(2, 3.0, Some(3.5))], 100);
    /// let last = curve.held_back[0];
    /// assert_eq!((last.step, last.tokens, last.seconds, last.loss), (2, 200, 4.0, 3.5));
    /// ```
    pub fn of(metrics: &[Metric], tokens: u64) -> Self {
        let (mut curve, mut seconds) = (Curve::default(), 0.0);
        for metric in metrics {
            if metric.tokens_per_second > 0.0 {
                seconds += tokens as f64 / metric.tokens_per_second;
            }
            let place = |loss: Option<f64>| {
                let loss = loss.filter(|loss| loss.is_finite())?;
                let (step, tokens) = (metric.step, metric.step.saturating_mul(tokens));
                Some(Place { step, tokens, seconds, loss })
            };
            curve.training.extend(place(metric.loss));
            curve.held_back.extend(place(metric.validation_loss));
        }
        curve
    }

    /// Returns the numbers that a table shows; `None` if nothing was recorded.
    pub fn summary(&self) -> Option<Summary> {
        let last = self.training.iter().chain(&self.held_back).max_by_key(|place| place.step)?;
        let best = self.held_back.iter().min_by(|a, b| a.loss.total_cmp(&b.loss));
        Some(Summary {
            steps: last.step,
            tokens: last.tokens,
            seconds: last.seconds,
            last: self.held_back.last().copied(),
            best: best.copied(),
        })
    }
}

/// The end of a curve, and its best place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Steps recorded.
    pub steps: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Seconds of training steps.
    pub seconds: f64,
    /// The last loss on held-back text.
    pub last: Option<Place>,
    /// The lowest loss on held-back text.
    pub best: Option<Place>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(step: u64, loss: Option<f64>, held_back: Option<f64>) -> Metric {
        let (learning_rate, gradient_norm, health) = (1e-3, None, None);
        let tokens_per_second = 10.0 * step as f64;
        let validation_loss = held_back;
        Metric {
            step,
            loss,
            validation_loss,
            answers: None,
            preferred: None,
            teacher_divergence: None,
            learning_rate,
            gradient_norm,
            tokens_per_second,
            seconds: None,
            noise_scale: None,
            health,
        }
    }

    /// The best loss is not the last one where a run overfits, and a loss of NaN is no place.
    #[test]
    fn the_best_is_not_the_last() {
        let all = [
            metric(1, Some(5.0), Some(5.5)),
            metric(2, None, Some(3.5)),
            metric(4, Some(1.0), Some(4.0)),
        ];
        let curve = Curve::of(&all, 20);
        let summary = curve.summary().unwrap();
        assert_eq!((summary.best.unwrap().step, summary.last.unwrap().step), (2, 4));
        assert_eq!((summary.steps, summary.tokens), (4, 80));
        // 20 tokens at 10, 20 and 40 tokens per second.
        assert_eq!(summary.seconds, 2.0 + 1.0 + 0.5);
        assert_eq!(curve.training.len(), 2);
        assert_eq!(Curve::default().summary(), None);
    }
}
