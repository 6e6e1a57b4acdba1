//! The causes that a diagnosis knows, one file each, in the order in which they are checked.
//!
//! A file's documentation is its section of `docs/FAILURES.md`; below it are the thresholds, the sign, and the fixes. A
//! new cause is a new file and a line in the list below.

use super::cure::{Cure, Trial};
use super::findings::Findings;
use super::replay::Replay;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use serde::Serialize;
use std::fmt;

mod dynamics;
mod saturation;
mod slow;

pub(crate) use entropy_collapse::SCORE;

/// The evidence for a cause, in words and numbers, if its sign is present.
type Sign = Result<Option<String>, ModelError>;
/// The proposed fixes, the mildest first.
type Cures = Result<Vec<Cure>, ModelError>;

/// The detection of a cause, and its fixes.
trait Detect {
    /// The cause's heading in the catalogue.
    const TITLE: &'static str;
    /// Whether it explains a loss that does not fall or falls too slowly, although every number is finite.
    const SLOW: bool = false;
    /// The earlier event that the cause may follow from.
    const AFTER: Earlier = Earlier::Nothing;

    /// Returns the evidence, if none of the earlier causes in the list holds.
    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign;

    /// Returns the fixes to try: alternatives.
    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures;

    /// Returns the setup for replaying fixes.
    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        f.replay()
    }

    /// Tries the fixes; returns `None` if the cause is ruled out because none helps.
    fn trials<S: Subject>(f: &Findings<'_, S>) -> Result<Option<Vec<Trial>>, ModelError> {
        Self::replay(f).trials(&Self::cures(f)?).map(Some)
    }
}

/// An event before the watch that a cause may follow from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// None: it is the first cause.
    Nothing,
    /// Weights grew large, for any reason.
    LargeWeights,
    /// A rate was too high from the start, and decayed by its schedule.
    FallenRate,
}

/// A cause with its evidence, and the trials of its fixes.
pub(crate) type Found = ((Cause, String), Vec<Trial>);

macro_rules! causes {
    ($($name:ident in $file:ident: $doc:literal;)*) => {
        $(mod $file;)*

        /// The reasons why training fails, in the order in which they are checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Cause { $(#[doc = $doc] $name),* }

        impl Cause {
            /// All causes.
            pub const ALL: &[Cause] = &[$(Cause::$name),*];

            /// Returns the cause's heading in the catalogue.
            pub fn title(self) -> &'static str {
                match self { $(Cause::$name => <$file::$name as Detect>::TITLE),* }
            }

            /// Checks whether it explains a loss that does not fall or falls too slowly, although every number is
            /// finite.
            pub fn is_slow(self) -> bool {
                match self { $(Cause::$name => <$file::$name as Detect>::SLOW),* }
            }

            /// Returns the earlier event that the cause may follow from.
            pub(crate) fn after(self) -> Earlier {
                match self { $(Cause::$name => <$file::$name as Detect>::AFTER),* }
            }
        }

        /// Returns the first cause of the list that holds.
        pub(crate) fn find<S: Subject>(f: &Findings<'_, S>) -> Result<Option<Found>, ModelError> {
            $(
                if let Some(why) = $file::$name::detect(f)?
                    && let Some(trials) = $file::$name::trials(f)?
                {
                    return Ok(Some(((Cause::$name, why), trials)));
                }
            )*
            Ok(None)
        }
    };
}

causes! {
    // The arithmetic: the first non-finite value, and the operation that computed it.
    BrokenWeights in broken_weights: "A weight is NaN or ∞ before the first step.";
    BrokenData in broken_data: "An input is NaN or ∞.";
    BrokenMoments in broken_moments: "The optimizer state holds NaN or ∞, or a negative mean of squares.";
    BetaOne in beta_one: "1 − β = 0 in a bias correction.";
    NoEpsilon in no_epsilon: "m/√v with ε = 0 for a parameter that never had a gradient.";
    BadToken in bad_token: "A token or target outside the vocabulary.";
    NoTarget in no_target: "Every target of a batch is ignored: 0/0.";
    LogOfSoftmax in log_of_softmax: "ln of a probability that underflowed.";
    AllMasked in all_masked: "A column of scores is all −∞.";
    WrongMaximum in wrong_maximum:
        "The maximum of another column was subtracted: every exponential underflows.";
    NoMaximum in no_maximum: "exp of scores without their maximum subtracted.";
    ZeroVariance in zero_variance: "A constant row, standardised with ε = 0.";
    InfinityMinusInfinity in infinity_minus_infinity: "∞ − ∞.";
    ZeroTimesInfinity in zero_times_infinity: "0·∞.";
    NormAtZero in norm_at_zero: "The derivative of a norm at 0: 0/0, backward only.";
    EntropyAtZero in entropy_at_zero: "The derivative of p·ln p at 0: ln 0, backward only.";
    // The loop's handling of gradients and weights, and what the model sees.
    NotZeroed in not_zeroed: "Gradients of earlier steps are still included.";
    NotAveraged in not_averaged: "Gradients of a step's batches are summed, not averaged.";
    DecaySign in decay_sign: "Decay that makes weights grow.";
    NoMask in no_mask: "A token that sees its future.";
    // The limits of a 16-bit format.
    LossScaleTooHigh in loss_scale_too_high: "A loss scale that takes gradients beyond the format's range.";
    RangeEnded in range_ended: "A value beyond a 16-bit format's largest number.";
    Underflow in underflow: "Gradients below a 16-bit format's smallest number.";
    // Sizes at the start, and the recorded operations.
    NoScale in no_scale: "Scores that are not divided by √d.";
    LargeInitialisation in large_initialisation: "Initial weights that are too large.";
    GrowingResidual in growing_residual: "A residual stream that grows from layer to layer.";
    DriftingLogits in drifting_logits: "Logits that move together, which the loss cannot see.";
    CutGradient in cut_gradient: "A gradient that does not arrive.";
    // The training dynamics.
    SpikeBatch in spike_batch: "One batch with a gradient far above all others, and no clipping.";
    NoWarmup in no_warmup: "A rate that is too high at the start only.";
    RateTooHigh in rate_too_high: "A learning rate too high for the curvature.";
    // Saturated softmaxes: at the start, or at the end of a run whose rate is within the limit.
    EntropyCollapse in entropy_collapse: "Attention to a single token.";
    GrowingLogits in growing_logits: "Logits that spread until the softmax is saturated.";
    // Every number is finite, but the loss does not fall or falls too slowly: the most specific first.
    DeadParameters in dead_parameters:
        "Weights that stay at 0 for lack of a gradient; units that are off for every token.";
    SoftmaxCollapse in softmax_collapse: "Tokens whose probability is exactly 1: no gradient is left.";
    ClipTooLow in clip_too_low: "Gradients clipped to a norm far below the median.";
    RateTooLow in rate_too_low: "A rate so low that the whole planned run learns almost nothing.";
    ScheduleEnded in schedule_ended: "A schedule that ended before the model finished learning.";
    FrozenParameters in frozen_parameters: "Parameters that have a gradient but do not change.";
    DataExhausted in data_exhausted: "A memorised text.";
    ModelTooSmall in model_too_small: "A model too small for the information in the text.";
    BelowBaselines in below_baselines: "A model that predicts no better than n-gram counts.";
    // It failed nevertheless.
    Unknown in unknown: "None of the above.";
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// A small model and its data; the tests of causes introduce faults into it.
#[cfg(test)]
pub(crate) mod specimen {
    use crate::inspect::diagnose::State;
    use crate::inspect::subject::ModelStep;
    use crate::model::architecture::Architecture;
    use std::sync::Arc;

    /// A text of eleven words, each three after its predecessor.
    pub(crate) fn step() -> ModelStep<'static> {
        let config = Architecture {
            vocabulary: 11,
            context: 8,
            width: 16,
            heads: 2,
            layers: 1,
            hidden: 32,
            ..Architecture::default()
        };
        let batch = |n: u64| {
            let text: Vec<u32> = (0..17).map(|i| (n as u32 + 3 * i) % 11).collect();
            (text[..16].to_vec(), text[1..].to_vec())
        };
        let batches = Arc::new(batch);
        let (references, teacher) = (None, None);
        ModelStep { config, sequences: 2, length: 8, seed: 1, batches, references, teacher }
    }

    pub(crate) fn start() -> State {
        State::start(step().config.initial_parameters(1).unwrap())
    }
}
