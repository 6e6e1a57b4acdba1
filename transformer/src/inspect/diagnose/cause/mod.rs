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
mod pairs;
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
    EverythingFrozen in everything_frozen: "No weight is learned.";
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
    AdapterFactor in adapter_factor: "Adapters whose factor makes the rate too high.";
    SpikeBatch in spike_batch: "One batch with a gradient far above all others, and no clipping.";
    NoWarmup in no_warmup: "A rate that is too high at the start only.";
    RateTooHigh in rate_too_high: "A learning rate too high for the curvature.";
    // Saturated softmaxes: at the start, or at the end of a run whose rate is within the limit.
    EntropyCollapse in entropy_collapse: "Attention to a single token.";
    GrowingLogits in growing_logits: "Logits that spread until the softmax is saturated.";
    // Every number is finite, but the loss is about something else than what is meant, or the model loses what it knew.
    PromptCounted in prompt_counted: "A loss on conversations that counts what the user says.";
    EqualPairs in equal_pairs: "Preferences whose sides are the same tokens.";
    SwappedPairs in swapped_pairs: "Preferences for answers that the model considered less likely in nearly all pairs.";
    Forgetting in forgetting: "What the model knew before is lost.";
    // Every number is finite, but the loss does not fall or falls too slowly: the most specific first.
    IdleAdapter in idle_adapter: "Adapters that change nothing.";
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
    use crate::inspect::diagnose::{Course, Recipe, State};
    use crate::inspect::subject::ModelStep;
    use crate::model::adaptation::{Adaptation, Adapter, Target};
    use crate::model::architecture::Architecture;
    use crate::model::frozen::FrozenWeights;
    use crate::model::recorded_step::{Form, IGNORED, LAST, RecordedStep};
    use infotheory::preference::{Objective, PreferenceLoss};
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
        start_of(&step())
    }

    /// The first state of a step that begins with its seed.
    pub(crate) fn start_of(step: &ModelStep<'_>) -> State {
        State::start(step.config.initial_parameters(1).unwrap())
    }

    /// The same with adapters of rank 2 in every linear map, and this factor of their products.
    pub(crate) fn adapted(factor: f64) -> ModelStep<'static> {
        let adapter = Adapter {
            rank: 2,
            alpha: 2.0 * factor,
            rank_stabilized: false,
            magnitudes: false,
            dropout: 0.0,
            targets: vec![Target::QueryKeyValue, Target::Projection, Target::Contracted],
        };
        let mut own = step();
        let weights = own.config.initial_parameters(2).unwrap();
        let list = own.config.parameter_list().unwrap();
        own.config.adaptation = Adaptation { adapter: Some(adapter), ..Adaptation::default() };
        let frozen = FrozenWeights::of(&list, &weights, |name| own.config.adaptation.freezes(name));
        own.config.adaptation.frozen = Some(frozen);
        own
    }

    /// The predicted tokens of a chosen and a rejected answer.
    pub(crate) type Answers = ([u32; 3], [u32; 3]);

    /// Preferences, numbered through all batches: after one token, the three that were chosen or rejected.
    pub(crate) fn preferring(
        pair: impl Fn(u32) -> Answers + Send + Sync + 'static,
    ) -> ModelStep<'static> {
        let plain = step();
        let preference =
            PreferenceLoss { beta: 0.1, objective: Objective::Logistic { flipped: 0.0 } };
        let config = Architecture { packed: true, preference: Some(preference), ..plain.config };
        let batch = move |n: u64| {
            let (mut tokens, mut targets) = (vec![], vec![]);
            for number in 4 * n as u32..4 * n as u32 + 4 {
                let (chosen, rejected) = pair(number);
                for [a, b, c] in [chosen, rejected] {
                    tokens.extend([(number + 6) % 7, a, b, c]);
                    targets.extend([a, b, c, LAST]);
                }
                if number % 2 == 1 {
                    *targets.last_mut().unwrap() = IGNORED;
                }
            }
            (tokens, targets)
        };
        let (sequences, length) = (2, 16);
        let mut own = ModelStep { config, sequences, length, batches: Arc::new(batch), ..plain };
        let weights = own.config.initial_parameters(1).unwrap();
        refer(&mut own, weights);
        own
    }

    /// Makes weights the reference of a step on preferences.
    fn refer(step: &mut ModelStep<'static>, weights: Vec<f32>) {
        let ModelStep { config, batches, .. } = step.clone();
        step.references = Some(Arc::new(move |n| {
            let mut own = RecordedStep::<f32>::record(&config, 2, 16, Form::Fused, 1).unwrap();
            own.copy_parameters(&weights);
            let (tokens, targets) = batches(n);
            own.nats(&tokens, &targets).unwrap()
        }));
    }

    /// Makes a model that counts to seven, again and again, the reference of a step on preferences; returns its weights.
    pub(crate) fn counting(step: &mut ModelStep<'static>) -> Vec<f32> {
        let batch = |n: u64| {
            let text: Vec<u32> = (0..17).map(|i| (n as u32 + i) % 7).collect();
            (text[..16].to_vec(), text[1..].to_vec())
        };
        let config = Architecture { packed: false, preference: None, ..step.config.clone() };
        let plain = ModelStep { config, batches: Arc::new(batch), ..self::step() };
        let recipe = Recipe::adam(1e-2);
        let mut course = Course::from(&plain, &recipe, &start_of(&plain)).unwrap();
        (0..80).for_each(|_| assert!(course.step().unwrap().origin.is_none()));
        let weights = course.state().parameters;
        refer(step, weights.clone());
        weights
    }
}
