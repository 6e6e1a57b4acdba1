//! A step in the units of information theory.

use super::Explanation;
use crate::model::recorded_step::IGNORED;
use linalg::Real;
use serde::Serialize;

/// The information in a model's predictions, in nats.
#[derive(Clone, Debug, Serialize)]
pub struct Information {
    /// The mean loss, nats per token.
    pub nats: f64,
    /// ln V: the loss of a uniform prediction.
    pub uniform: f64,
    /// Mean entropy of the predictions, nats.
    pub entropy: f64,
    /// The cross-entropy of predicting by frequencies alone, nats per token.
    pub unigram: f64,
    /// Mean KL(prediction ‖ frequencies), nats.
    pub divergence: f64,
    /// Whether the frequencies are those of the explained text itself, because no better ones are known.
    pub own_frequencies: bool,
    /// Token by token.
    pub predictions: Vec<Prediction>,
    /// Calibration: confidence and accuracy, from the least confident bin.
    pub calibration: Vec<Bin>,
}

/// The prediction of one token.
#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    /// The position of the predicting token.
    pub place: usize,
    /// The actual next token, if there is a target.
    pub target: Option<u32>,
    /// −ln p of the target, nats; 0 without a target.
    pub surprisal: f64,
    /// The entropy of the prediction, nats.
    pub entropy: f64,
    /// The number of tokens that the model considers more probable than the target.
    pub rank: usize,
    /// The most probable tokens with their probabilities.
    pub top: Vec<(u32, f64)>,
}

/// Predictions of about the same confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// The lower end of the bin, a probability of the most probable token …
    pub low: f64,
    /// … and its upper end.
    pub high: f64,
    /// The number of predictions.
    pub count: usize,
    /// The mean probability of the most probable token.
    pub confidence: f64,
    /// The share of predictions whose most probable token was right.
    pub accuracy: f64,
}

/// Number of bars per prediction.
const TOP: usize = 8;
/// Number of bins of confidence.
const BINS: usize = 5;

impl<T: Real> Explanation<T> {
    /// Returns the probabilities of the next token after the token at `place`.
    pub fn probabilities(&self, place: usize) -> Vec<f64> {
        let read = self.model.predictions().expect("a textbook recording");
        self.model
            .tape()
            .value(read.probabilities)
            .column(place)
            .iter()
            .map(|p| p.to_f64())
            .collect()
    }

    /// Computes the information of the step.
    pub fn information(&self) -> Information {
        let subject = &self.subject;
        let vocabulary = subject.config.vocabulary;
        let own = subject.unigram.is_none();
        let unigram = subject.unigram.clone().unwrap_or_else(|| {
            // Laplace smoothing: every count is increased by one.
            let mut counts = vec![1.0; vocabulary];
            subject.tokens.iter().for_each(|&t| counts[t as usize] += 1.0);
            let total: f64 = counts.iter().sum();
            counts.into_iter().map(|c| c / total).collect()
        });
        let (mut entropy, mut divergence, mut by_frequency, mut count) = (0.0, 0.0, 0.0, 0.0);
        let mut predictions = Vec::new();
        for (place, &target) in subject.targets.iter().enumerate() {
            let p = self.probabilities(place);
            let mut order: Vec<u32> = (0..vocabulary as u32).collect();
            order.sort_by(|&a, &b| p[b as usize].total_cmp(&p[a as usize]));
            let seen = |x: &&f64| **x > 0.0;
            let own_entropy = -p.iter().filter(seen).map(|p| p * p.ln()).sum::<f64>();
            let target = (target != IGNORED).then_some(target);
            if let Some(target) = target {
                let pairs = p.iter().zip(&unigram).filter(|(p, _)| **p > 0.0);
                divergence += pairs.map(|(p, q)| p * (p / q).ln()).sum::<f64>();
                by_frequency -= unigram[target as usize].ln();
                entropy += own_entropy;
                count += 1.0;
            }
            let chance = target.map(|t| p[t as usize]);
            predictions.push(Prediction {
                place,
                target,
                surprisal: chance.map_or(0.0, |p| -p.ln()),
                entropy: own_entropy,
                rank: chance.map_or(0, |c| p.iter().filter(|&&x| x > c).count()),
                top: order.into_iter().take(TOP).map(|t| (t, p[t as usize])).collect(),
            });
        }
        Information {
            nats: self.loss(),
            uniform: (vocabulary as f64).ln(),
            entropy: entropy / count,
            unigram: by_frequency / count,
            divergence: divergence / count,
            own_frequencies: own,
            calibration: calibration(&predictions),
            predictions,
        }
    }
}

fn calibration(predictions: &[Prediction]) -> Vec<Bin> {
    let mut bins = Vec::new();
    for b in 0..BINS {
        let (low, high) = (b as f64 / BINS as f64, (b + 1) as f64 / BINS as f64);
        let inside = |p: &&Prediction| {
            let sure = p.top[0].1;
            p.target.is_some() && sure >= low && (sure < high || b + 1 == BINS)
        };
        let these: Vec<&Prediction> = predictions.iter().filter(inside).collect();
        if !these.is_empty() {
            let n = these.len() as f64;
            let right = these.iter().filter(|p| p.target == Some(p.top[0].0)).count();
            let confidence = these.iter().map(|p| p.top[0].1).sum::<f64>() / n;
            let count = these.len();
            bins.push(Bin { low, high, count, confidence, accuracy: right as f64 / n });
        }
    }
    bins
}
