//! Calibration: of the answers that a model gives with confidence 0.8, are 80 % right?
//!
//! Systems act on a model's probability of its own answer: a filter, a cascade of models, a refusal below a limit. They pay for
//! overconfidence. Training on cross-entropy tends to calibrate a base model;
//! fine-tuning on preferences tends to undo it.
//!
//! Formula: with confidences cᵢ and yᵢ = 1 for a right answer, in bins of equal width with nₖ of the N answers, mean
//! confidence c̄ₖ and accuracy ȳₖ:
//!
//! * expected calibration error, <var>ECE = Σ nₖ/N·|c̄ₖ − ȳₖ|</var>;
//! * Brier's score, <var>BS = Σ (cᵢ − yᵢ)²/N</var>, whose expectation is lowest if every confidence is the true probability;
//! * Murphy's decomposition, <var>BS = reliability − resolution + uncertainty + within</var>, with
//!   <var>reliability = Σ nₖ/N·(c̄ₖ − ȳₖ)²</var>, <var>resolution = Σ nₖ/N·(ȳₖ − ȳ)²</var> and
//!   <var>uncertainty = ȳ·(1 − ȳ)</var>. <var>within = Σ ((cᵢ − c̄ₖ)² − 2(cᵢ − c̄ₖ)(yᵢ − ȳₖ))/N</var> is 0 if all
//!   confidences of a bin are equal, as Murphy's are.
//!
//! Source: Brier, *Verification of forecasts expressed in terms of probability*, 1950; Murphy, *A new vector partition of the
//! probability score*, 1973; Stephenson, Coelho and Jolliffe, *Two extra components in the Brier score decomposition*, 2008;
//! Guo et al., *On calibration of modern neural networks*, 2017.
//!
//! On `f64` alone: bins cannot be differentiated.

use crate::accurate;
use crate::error::{ProbabilityError, check, check_length, check_setting};

/// The most bins.
const MOST: usize = 1_000_000;

/// The answers whose confidence lies in one bin: a point of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// The least confidence of the bin.
    pub low: f64,
    /// The confidence at which the next bin begins; of the last one 1, which belongs to it.
    pub high: f64,
    /// The number of answers.
    pub count: u64,
    /// The number of right answers. [`interval::wilson`](crate::interval::wilson) of `right` and `count` is the error bar of
    /// the accuracy.
    pub right: u64,
    /// The mean confidence.
    pub confidence: f64,
}

impl Bin {
    /// Returns the share of right answers, in `f64`.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.count as f64
    }
}

/// The calibration of a model's answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The bins that have answers, in order.
    pub bins: Vec<Bin>,
    /// The mean distance of confidence and accuracy, ECE.
    pub expected_error: f64,
    /// The largest distance of confidence and accuracy of a bin.
    pub largest_error: f64,
    /// Brier's score: 0 is best; a constant forecast of ½ has ¼.
    pub brier: f64,
    /// What miscalibration costs: 0 is best.
    pub reliability: f64,
    /// What distinguishing easy questions from hard ones gains.
    pub resolution: f64,
    /// The score of a constant forecast of the mean accuracy.
    pub uncertainty: f64,
    /// What differences of confidence within bins cost, or gain if it is negative.
    pub within: f64,
}

/// Measures the calibration of answers: the probability that the model gave to each, and which were right. On `f64`: it cannot
/// be differentiated.
///
/// # Errors
/// If the lengths differ, there are no answers, a confidence is NaN or outside \[0, 1\], or the bins are not from 1 to 10⁶.
///
/// ```
/// use probability::calibration::measure;
/// // Four answers with 0.9, three of them right; four with 0.6, two of them right.
/// let said = [0.9, 0.9, 0.9, 0.9, 0.6, 0.6, 0.6, 0.6];
/// let right = [true, true, true, false, true, true, false, false];
/// let found = measure(&said, &right, 10)?;
/// assert!((found.expected_error - (0.15 + 0.1) / 2.0).abs() < 1e-15);
/// let parts = found.reliability - found.resolution + found.uncertainty + found.within;
/// assert!((found.brier - parts).abs() < 1e-15 && (found.brier - 0.235).abs() < 1e-15);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("ece", "brier_score_loss", "calibration_curve", "reliability"))]
pub fn measure(
    confidences: &[f64],
    right: &[bool],
    bins: usize,
) -> Result<Calibration, ProbabilityError> {
    check_length("answers that are right or not", confidences.len(), right.len())?;
    check_setting(
        "the number of bins",
        "from 1 to 1000000",
        bins as f64,
        (1..=MOST).contains(&bins),
    )?;
    let share = |c: f64| (0.0..=1.0).contains(&c);
    check("confidence", "between 0 and 1", confidences.iter().copied(), share)?;
    if confidences.is_empty() {
        return Err(ProbabilityError::Empty { what: "answers" });
    }
    let mut sorted = vec![Vec::new(); bins];
    for (&c, &y) in confidences.iter().zip(right) {
        let bin = ((c * bins as f64) as usize).min(bins - 1);
        sorted[bin].push((c, f64::from(u8::from(y))));
    }
    let total = confidences.len() as f64;
    let all = || sorted.iter().flatten();
    let accuracy = all().map(|(_, y)| y).sum::<f64>() / total;
    let brier = accurate::sum(all().map(|(c, y)| (c - y) * (c - y))) / total;
    let mut found = Calibration {
        bins: vec![],
        expected_error: 0.0,
        largest_error: 0.0,
        brier,
        reliability: 0.0,
        resolution: 0.0,
        uncertainty: accuracy * (1.0 - accuracy),
        within: 0.0,
    };
    for (k, answers) in sorted.iter().enumerate().filter(|(_, answers)| !answers.is_empty()) {
        let bin = Bin {
            low: k as f64 / bins as f64,
            high: (k + 1) as f64 / bins as f64,
            count: answers.len() as u64,
            right: answers.iter().filter(|(_, y)| *y == 1.0).count() as u64,
            confidence: accurate::sum(answers.iter().map(|(c, _)| *c)) / answers.len() as f64,
        };
        let weight = answers.len() as f64 / total;
        let apart = (bin.confidence - bin.accuracy()).abs();
        found.expected_error += weight * apart;
        found.largest_error = found.largest_error.max(apart);
        found.reliability += weight * apart * apart;
        found.resolution += weight * (bin.accuracy() - accuracy).powi(2);
        let rest = |(c, y): &(f64, f64)| {
            let d = c - bin.confidence;
            d * (d - 2.0 * (y - bin.accuracy()))
        };
        found.within += accurate::sum(answers.iter().map(rest)) / total;
        found.bins.push(bin);
    }
    Ok(found)
}
