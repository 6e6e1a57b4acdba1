//! The documented list of causes. Each has a section in `docs/FAILURES.md` with its mathematics, its
//! signature in the numbers and an example that produces it. Those of a slow or standing loss have a file each, with the
//! thresholds, the sign and the fixes: [`slow`] is their list.

use serde::Serialize;
use std::fmt;

mod below_baselines;
mod data_exhausted;
mod dead_parameters;
mod frozen_parameters;
mod model_too_small;
mod rate_too_low;
mod schedule_ended;
pub(crate) mod slow;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident: $title:expr;)*) => {
        /// Why training fails.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Cause { $($(#[$doc])* $name),* }

        impl Cause {
            /// All of them.
            pub const ALL: &[Cause] = &[$(Cause::$name),*];

            /// Its heading in the catalogue.
            pub fn title(self) -> &'static str {
                match self { $(Cause::$name => $title),* }
            }
        }
    };
}

causes! {
    /// A weight is NaN or ∞ before the first step.
    BrokenWeights: "broken weights";
    /// What the optimiser remembers is NaN or ∞, or a negative mean of squares.
    BrokenMoments: "broken optimiser state";
    /// An input is NaN or ∞.
    BrokenData: "broken data";
    /// A token or target that the vocabulary does not have.
    BadToken: "bad token id";
    /// Every target of a batch is ignored: 0/0.
    NoTarget: "all targets ignored";
    /// A column of scores is −∞ throughout.
    AllMasked: "fully masked row";
    /// exp of scores without their maximum subtracted.
    NoMaximum: "softmax without its maximum";
    /// The maximum of another column was subtracted: every exponential underflows.
    WrongMaximum: "softmax with another column's maximum";
    /// ln of a probability that underflowed.
    LogOfSoftmax: "logarithm of a softmax";
    /// ∞ − ∞.
    InfinityMinusInfinity: "∞ − ∞";
    /// 0·∞.
    ZeroTimesInfinity: "0 · ∞";
    /// A constant row, standardised with ε = 0.
    ZeroVariance: "variance of a constant row";
    /// The derivative of a norm at 0: 0/0, backward only.
    NormAtZero: "gradient of a norm at zero";
    /// The derivative of p·ln p at 0: ln 0, backward only.
    EntropyAtZero: "gradient of p·ln p at zero";
    /// m/√v with ε = 0 where no gradient ever arrived.
    NoEpsilon: "update with epsilon 0";
    /// 1 − β = 0 in a bias correction.
    BetaOne: "beta of 1";
    /// Decay that makes weights grow.
    DecaySign: "weight decay with the wrong sign";
    /// Gradients of earlier steps are still there.
    NotZeroed: "gradients not zeroed";
    /// Gradients of a step's batches are added up, not averaged.
    NotAveraged: "accumulation without dividing";
    /// A learning rate above what the curvature bears.
    RateTooHigh: "learning rate above the stability limit";
    /// A rate that is too high at the start only.
    NoWarmup: "missing warm-up";
    /// One batch with a gradient far above all others, and no clipping.
    SpikeBatch: "a spike batch without clipping";
    /// Initial weights that are too large.
    LargeInitialisation: "initialisation too large";
    /// A residual stream that grows from layer to layer.
    GrowingResidual: "exploding residual stream";
    /// Scores that are not divided by √d.
    NoScale: "attention without 1/√d";
    /// Attention that looks at one token only.
    EntropyCollapse: "attention entropy collapse";
    /// Logits that spread until the softmax is saturated.
    GrowingLogits: "output logits too large";
    /// Logits that move together, which the loss cannot see.
    DriftingLogits: "logits drift";
    /// A token that sees its future.
    NoMask: "missing causal mask";
    /// A gradient that does not arrive.
    CutGradient: "cut gradient";
    /// A value beyond a 16-bit format's largest number.
    RangeEnded: "overflow of a 16-bit format";
    /// Gradients below a 16-bit format's smallest number.
    Underflow: "underflow of gradients";
    /// A loss scale that takes gradients beyond the format's range.
    LossScaleTooHigh: "loss scale too high";
    /// Weights of 0 that no gradient leaves; units that are switched off for every token.
    DeadParameters: dead_parameters::TITLE;
    /// A rate with which the whole planned run comes to nothing.
    RateTooLow: rate_too_low::TITLE;
    /// A schedule that came to its end before the model did.
    ScheduleEnded: schedule_ended::TITLE;
    /// Parameters that have a gradient and do not move.
    FrozenParameters: frozen_parameters::TITLE;
    /// A text that has been learned by heart.
    DataExhausted: data_exhausted::TITLE;
    /// A model that cannot hold what the text offers.
    ModelTooSmall: model_too_small::TITLE;
    /// A model that predicts no better than counting.
    BelowBaselines: below_baselines::TITLE;
    /// None of these.
    Unknown: "no documented cause";
}

impl Cause {
    /// Whether it is one of a loss that stands still or falls too slowly, where every number is finite.
    pub fn is_slow(self) -> bool {
        slow::SLOW.iter().any(|slow| slow.cause == self)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}
