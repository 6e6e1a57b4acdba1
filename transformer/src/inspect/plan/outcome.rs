//! A plan, and what it was made from.

use super::law::{Fit, FitError, Point};
use super::repetition::{Price, Repetition};
use crate::memory::bytes;
use crate::training::config::TrainingConfig;
use probability::interval::Interval;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// A size within this share of the least predicted loss is as good; the smallest of these is taken.
const AS_GOOD: f64 = 0.001;

/// Why a pilot was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// To fit the law.
    Law,
    /// To measure the price of repetition, of dropout or of decay.
    Repetition,
}

/// A short run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pilot {
    /// Why it was run.
    pub purpose: Purpose,
    /// Its parameters, training tokens and loss.
    #[serde(flatten)]
    pub point: Point,
    /// Tokens of a window.
    pub context: usize,
    /// Blocks.
    pub layers: usize,
    /// Features of a token.
    pub width: usize,
    /// The share of the text that it was trained on.
    pub share: f64,
    /// The share of activations dropped.
    pub dropout: f64,
    /// The decay of matrices.
    pub weight_decay: f64,
    /// Seconds.
    pub seconds: f64,
}

/// A size, and what it would reach in the time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// The settings of the run.
    pub config: TrainingConfig,
    /// Parameters.
    pub parameters: u64,
    /// Seconds of a step.
    pub step_seconds: f64,
    /// Training tokens.
    pub tokens: f64,
    /// Passes over the text.
    pub epochs: f64,
    /// Bytes of memory at most.
    pub bytes: u64,
    /// Whether the memory suffices.
    pub fits: bool,
    /// The predicted loss, nats per token.
    pub loss: f64,
    /// The interval that holds the loss with a probability of 90 %.
    #[serde(serialize_with = "ends")]
    pub interval: Interval,
}

fn ends<S: Serializer>(interval: &Interval, serializer: S) -> Result<S::Ok, S::Error> {
    [interval.low, interval.high].serialize(serializer)
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The number of the chosen size in `alternatives`.
    pub chosen: usize,
    /// Sizes, the smallest first.
    pub alternatives: Vec<Alternative>,
    /// The pilots.
    pub pilots: Vec<Pilot>,
    /// The law of the loss.
    pub law: Fit,
    /// The law without the known entropy, if it is known: its E should be the entropy.
    pub free: Option<Fit>,
    /// The value of repeated text.
    pub repetition: Repetition,
    /// Prices of dropout and decay, if the text is repeated.
    pub prices: Vec<Price>,
    /// Seconds that the measurements took.
    pub spent: f64,
}

/// A plan that cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanError<E> {
    /// A failed measurement.
    #[error("{0}")]
    Trial(E),
    /// Settings that fit no size.
    #[error("{0}")]
    Settings(String),
    /// A time in which nothing can be learned.
    #[error(
        "{seconds:.0} s are too short for a plan: a step of the smallest model takes {step:.3} s, and pilots have a tenth of \
         the time; give more --time"
    )]
    Time {
        /// Seconds of the run.
        seconds: f64,
        /// Seconds of a step.
        step: f64,
    },
    /// A memory too small for the smallest model.
    #[error(
        "the smallest model takes {} of memory, and {} are allowed: give more --memory, or a smaller --context or --batch",
        bytes((*needed).into()),
        bytes((*given).into())
    )]
    Memory {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are allowed.
        given: u64,
    },
    /// A pilot that diverged.
    #[error(
        "a pilot of width {width} diverged at a learning rate of {rate:e}: give a lower --learning-rate"
    )]
    Diverged {
        /// Features of a token.
        width: usize,
        /// The highest learning rate.
        rate: f64,
    },
    /// Pilots that determine no law.
    #[error(transparent)]
    Law(#[from] FitError),
}

/// The progress of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// The speed of a model with so many parameters is measured.
    Speed(u64),
    /// A pilot begins: its purpose, parameters and expected seconds.
    Pilot(Purpose, u64, f64),
    /// The law is fitted.
    Fit,
}

impl Plan {
    /// Returns the chosen size.
    pub fn choice(&self) -> &Alternative {
        &self.alternatives[self.chosen]
    }
}

/// Returns the first size that fits and is as good as the best.
pub(super) fn choice(all: &[Alternative]) -> usize {
    let fitting = || all.iter().enumerate().filter(|(_, a)| a.fits);
    let least = fitting().map(|(_, a)| a.loss).fold(f64::INFINITY, f64::min);
    fitting().find(|(_, a)| a.loss <= least * (1.0 + AS_GOOD)).map_or(0, |(i, _)| i)
}
