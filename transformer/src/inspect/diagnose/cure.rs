//! Cures, tried by replaying.

use super::applied::{apply, held, peak, round};
use super::by_saturation;
use super::cause::Cause;
use super::course::{Course, Descent, Recipe, State};
use super::edge::Stability;
use super::evidence::{listed, mean};
use super::signs::{Signs, signs};
use crate::inspect::precision::Precision;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use serde::Serialize;
use std::fmt;

/// A change that may help.
#[derive(Clone, Debug, PartialEq)]
pub enum Cure {
    /// All learning rates times this.
    Rate(f64),
    /// A linear rise to the rate over so many steps.
    Warmup(u64),
    /// Gradients clipped to this norm.
    Clip(f64),
    /// This batch left out.
    Skip(u64),
    /// Adam's ε.
    Epsilon(f64),
    /// Adam's β₁ and β₂.
    Betas(f64, f64),
    /// The other sign of decay.
    Decay,
    /// Gradients zeroed before every step.
    Zero,
    /// Gradients averaged over the batches of a step.
    Average,
    /// The loss times this before propagating back.
    LossScale(f64),
    /// Values stored in this format.
    Store(Precision),
    /// Every matrix that multiplies a vector's size by more than 1 scaled to multiply by this, and what the optimiser
    /// remembers of them begun anew.
    Shrink(f64),
    /// Broken weights set to 0.
    Mend,
    /// What the optimiser remembers begun anew.
    Forget,
    /// The learning rate held at this, whatever the schedule says.
    Hold(f64),
    /// These tensors drawn anew: matrices with a deviation of ½/√inputs, gains at 1, other vectors at 0; and what the
    /// optimiser remembers begun anew.
    Redraw(Vec<String>),
    /// Training ended where the loss on held-back text is lowest.
    Stop,
    /// A model of twice the width.
    Larger,
    /// A change of the model or its data, which a replay cannot make.
    Code(&'static str),
}

impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cure::Rate(factor) => write!(f, "learning rate × {factor:e}"),
            Cure::Warmup(steps) => write!(f, "warm-up over {steps} steps"),
            Cure::Clip(norm) => write!(f, "gradients clipped to norm {norm}"),
            Cure::Skip(batch) => write!(f, "batch {batch} left out"),
            Cure::Epsilon(epsilon) => write!(f, "the update's epsilon at {epsilon:e}"),
            Cure::Betas(b1, b2) => write!(f, "betas at {b1} and {b2}"),
            Cure::Decay => write!(f, "the other sign of weight decay"),
            Cure::Zero => write!(f, "gradients zeroed before every step"),
            Cure::Average => write!(f, "gradients divided by the number of batches"),
            Cure::LossScale(scale) => write!(f, "loss scale {scale}"),
            Cure::Store(precision) => write!(f, "values stored as {precision}"),
            Cure::Shrink(gain) => {
                write!(f, "weight matrices that multiply sizes by more than 1 scaled to {gain}")
            }
            Cure::Mend => write!(f, "broken weights set to 0"),
            Cure::Forget => write!(f, "the optimiser's moments begun anew"),
            Cure::Hold(rate) => write!(f, "learning rate held at {rate:.1e}"),
            Cure::Redraw(names) => write!(f, "{} drawn anew", listed(names)),
            Cure::Stop => write!(f, "training ended where held-back text costs least"),
            Cure::Larger => write!(f, "a model of twice the width"),
            Cure::Code(what) => write!(f, "{what}"),
        }
    }
}

/// What became of a cure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// The cure.
    pub cure: String,
    /// The same as a value, for who applies it.
    #[serde(skip)]
    pub change: Cure,
    /// Whether it was tried: a change of code cannot be.
    pub tried: bool,
    /// From which step on it was replayed.
    pub from: u64,
    /// How many steps it was replayed.
    pub steps: u64,
    /// The last loss; NaN where it failed again.
    pub loss: f64,
    /// The mean loss of batches that no step of the replay saw, before and after it, if it came to its end.
    pub held_out: Option<(f64, f64)>,
    /// Whether loss and gradients stayed finite, the loss did not run away, the symptom is gone, and the model
    /// learns: a change that only survives is no cure. A model that knew something need only keep it.
    pub cured: bool,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trial { cure, tried, from, steps, loss, held_out, cured, .. } = self;
        match (tried, cured) {
            (false, _) => write!(f, "{cure}: not tried, it is a change of the model or its data"),
            (true, helps) if loss.is_finite() => {
                let no = if *helps { "" } else { "no help: " };
                write!(
                    f,
                    "{cure}: tried from step {from} on, {no}loss {loss:.4} after {steps} steps"
                )?;
                match held_out {
                    Some((before, after)) => {
                        write!(
                            f,
                            "; on batches that it did not see {before:.4} before, {after:.4} after"
                        )
                    }
                    None => Ok(()),
                }
            }
            (true, _) => {
                write!(f, "{cure}: tried from step {from} on, fails again at step {steps}")
            }
        }
    }
}

/// What cures depend on.
pub(crate) struct Case<'a, S: Subject> {
    pub(crate) subject: &'a S,
    pub(crate) recipe: &'a Recipe,
    /// The last state of good health, then the start: where replays begin.
    pub(crate) states: &'a [State],
    pub(crate) signs: Option<&'a Signs>,
    /// The batch at which it failed.
    pub(crate) batch: u64,
    /// The usual gradient norm.
    pub(crate) usual_norm: f64,
    /// Steps of a replay.
    pub(crate) steps: u64,
    /// The largest size of a gradient without loss scale.
    pub(crate) largest_gradient: f64,
    /// The curvature where health was good, if it was asked for.
    pub(crate) stability: Option<Stability>,
}

impl<S: Subject> Case<'_, S> {
    /// What helps against a cause: alternatives, the mildest first.
    fn cures(&self, cause: Cause) -> Vec<Cure> {
        let format = |p| vec![Cure::Store(p)];
        match cause {
            Cause::BrokenWeights => vec![Cure::Mend],
            Cause::BrokenMoments => vec![Cure::Forget],
            Cause::BrokenData | Cause::BadToken | Cause::NoTarget => vec![Cure::Skip(self.batch)],
            Cause::AllMasked => vec![Cure::Code("leave every query at least one key: itself")],
            Cause::NoMaximum | Cause::WrongMaximum => {
                vec![Cure::Code("subtract each column's own maximum before the exponential")]
            }
            Cause::LogOfSoftmax => {
                vec![Cure::Code(
                    "compute the loss from logits: ln Σ e^z − z_y, as cross-entropy does",
                )]
            }
            Cause::InfinityMinusInfinity | Cause::ZeroTimesInfinity => {
                vec![Cure::Code("select what is masked, or use a large finite number for −∞")]
            }
            Cause::ZeroVariance => vec![Cure::Code("add an epsilon of 1e-5 to the variance")],
            Cause::NormAtZero => vec![Cure::Code("√(x² + ε) for the norm, or skip vectors of 0")],
            Cause::EntropyAtZero => {
                vec![Cure::Code("leave out what has probability 0: p·ln p → 0")]
            }
            Cause::NoEpsilon => vec![Cure::Epsilon(1e-8)],
            Cause::BetaOne => vec![Cure::Betas(0.9, 0.99)],
            Cause::DecaySign => vec![Cure::Decay],
            Cause::NotZeroed => vec![Cure::Zero],
            Cause::NotAveraged => vec![Cure::Average],
            Cause::RateTooHigh => {
                // Half of the limit, where that is far below, and less; a rate that some models bear, where
                // there is no limit to be had and the rate is beyond all reason. The highest rate counts: one
                // that warms up gets there.
                let rate = peak(self.recipe.schedule);
                let half = self.stability.map(|s| 0.5 * s.limit / rate).filter(|f| f.is_finite());
                let half = half.or((rate > 10.0).then_some(0.1 / rate));
                let first = half.filter(|f| *f > 0.0 && *f < 0.05).unwrap_or(1e-1);
                // Adam moves a weight by about the rate, whatever its limit at one state: rates that it is used
                // with come first, the largest before the others.
                let adam = matches!(self.recipe.descent, Descent::Adam { .. });
                let usual = [1e-2, 1e-3].map(|usual| usual / rate);
                let usual = usual.into_iter().filter(|f| adam && *f <= 0.1);
                let less = [1.0, 1e-1, 1e-2, 1e-3].map(|f| first * f);
                usual.chain(less).map(|f| Cure::Rate(round(f))).collect()
            }
            Cause::NoWarmup => vec![Cure::Warmup(100)],
            Cause::SpikeBatch => {
                let norm = if self.usual_norm.is_finite() { self.usual_norm } else { 1.0 };
                vec![Cure::Clip(round(norm)), Cure::Skip(self.batch)]
            }
            Cause::LargeInitialisation | Cause::EntropyCollapse | Cause::GrowingLogits => {
                vec![Cure::Shrink(0.5), Cure::Shrink(0.05)]
            }
            Cause::GrowingResidual => {
                vec![Cure::Code(
                    "normalise before every block, and write 1/√(2·layers) to the stream",
                )]
            }
            Cause::NoScale => vec![Cure::Code("divide scores by √d of a head")],
            Cause::DriftingLogits => {
                vec![Cure::Code("a small penalty on (ln Σ e^z)², or no bias in the head")]
            }
            Cause::NoMask => vec![Cure::Code("mask every key that is later than its query")],
            Cause::CutGradient => {
                vec![Cure::Code("let the named operation send its gradient; `check` certifies it")]
            }
            Cause::RangeEnded => [format(Precision::Bf16), format(Precision::F32)].concat(),
            Cause::Underflow | Cause::LossScaleTooHigh => vec![Cure::LossScale(self.loss_scale())],
            Cause::Unknown => vec![Cure::Rate(0.1), Cure::Clip(1.0)],
            // Their fixes stand with them: see `cause::slow`.
            Cause::DeadParameters
            | Cause::RateTooLow
            | Cause::ScheduleEnded
            | Cause::FrozenParameters
            | Cause::DataExhausted
            | Cause::ModelTooSmall
            | Cause::BelowBaselines => vec![],
        }
    }

    fn loss_scale(&self) -> f64 {
        loss_scale(self.recipe.precision, self.largest_gradient)
    }

    /// Tries the cures of a cause until one cures.
    pub(crate) fn try_cures(&self, cause: Cause) -> Result<Vec<Trial>, ModelError> {
        let mut trials = vec![];
        for cure in self.cures(cause) {
            // A rise begins at the start.
            let first = if cause == Cause::NoWarmup { self.states.len() - 1 } else { 0 };
            let mut own: Vec<Trial> = vec![];
            for state in &self.states[first..] {
                own.push(self.replay(&cure, state, cause)?);
                let done = own.last().is_some_and(|t| t.cured || !t.tried);
                // Large weights may have spoilt others by now, or not yet: where it goes better, it began well.
                if done && !matches!(cure, Cure::Shrink(_)) {
                    break;
                }
            }
            let after = |t: &Trial| t.held_out.map_or(f64::INFINITY, |(_, after)| after);
            if own.iter().any(|t| t.cured) {
                own.sort_by(|a, b| b.cured.cmp(&a.cured).then(after(a).total_cmp(&after(b))));
            }
            let cured = own.iter().any(|t| t.cured);
            trials.append(&mut own);
            if cured {
                break;
            }
        }
        Ok(trials)
    }

    /// Whether the rate is borne after a rise over 100 steps, and worth it: a rate of a tenth without any learns no
    /// more than a third more.
    pub(crate) fn rises(&self) -> Result<bool, ModelError> {
        let Some(start) = self.states.last() else { return Ok(false) };
        let warm = self.replay(&Cure::Warmup(100), start, Cause::NoWarmup)?;
        if !warm.cured {
            return Ok(false);
        }
        let slow = self.replay(&Cure::Rate(0.1), start, Cause::NoWarmup)?;
        let gain = |trial: &Trial| trial.held_out.map_or(0.0, |(before, after)| before - after);
        Ok(!slow.cured || gain(&warm) >= 0.75 * gain(&slow))
    }

    /// The loss of some parameters on the batches from `first` on, in `f32` and without loss scale.
    fn losses(&self, parameters: &[f32], first: u64) -> Result<Vec<f64>, ModelError> {
        let mut step = self.subject.record::<f32>()?;
        step.set_parameters(parameters);
        let own = (first..first + HELD_OUT).map(|batch| {
            step.give(&self.subject.batch(batch));
            f64::from(step.forward())
        });
        Ok(own.collect())
    }

    /// What knowing nothing costs; ∞ where that is not known.
    fn uniform(&self) -> f64 {
        self.signs
            .map_or(f64::INFINITY, |s| if s.uniform.is_nan() { f64::INFINITY } else { s.uniform })
    }

    /// Whether these losses are those of a model that knows something already.
    fn knows(&self, losses: &[f64], cause: Cause) -> bool {
        // A loss whose gradients vanish is scaled: ln V says nothing of it.
        cause != Cause::Underflow
            && self.uniform().is_finite()
            && mean(losses) < 0.9 * self.uniform()
    }

    fn replay(&self, cure: &Cure, state: &State, cause: Cause) -> Result<Trial, ModelError> {
        let (mut recipe, mut state) = (self.recipe.clone(), state.clone());
        let mut trial = Trial {
            cure: match cure {
                Cure::Skip(batch) => format!("{} left out", recipe.called(*batch)),
                cure => cure.to_string(),
            },
            change: cure.clone(),
            tried: true,
            from: state.steps,
            steps: 0,
            loss: f64::NAN,
            held_out: None,
            cured: false,
        };
        if !apply(self.subject, cure, &mut recipe, &mut state)? {
            return Ok(Trial { tried: false, ..trial });
        }
        if let Cure::Rate(factor) = cure {
            // The peak is what is tried: a replay ends before a long rise does, and before a fall.
            let steps = self.steps.max(LEARNING);
            recipe.schedule = held(recipe.schedule, state.steps, steps);
            trial.cure = format!("learning rate {:.1e} (× {factor:e})", peak(recipe.schedule));
        }
        let mut course = Course::from(self.subject, &recipe, &state)?;
        // Batches that no replay sees, before and after it.
        let held_out = course.next_batch() + recipe.accumulate * self.steps.max(LEARNING);
        let before = self.losses(&state.parameters, held_out)?;
        let knows = self.knows(&before, cause);
        let mut first = f64::NAN;
        for _ in 0..if knows { self.steps } else { self.steps.max(LEARNING) } {
            let taken = course.step()?;
            trial.steps += 1;
            if taken.origin.is_some() || !taken.loss.is_finite() {
                trial.loss = f64::NAN;
                return Ok(trial);
            }
            if !recipe.skipped.contains(&taken.batch) {
                trial.loss = taken.loss;
                first = if first.is_nan() { taken.loss } else { first };
            }
        }
        let ran_away = trial.loss > 1.5 * first + 0.5;
        let end = course.state().parameters;
        let gone = match cause {
            Cause::DecaySign => course.decay_factor() <= 1.0,
            Cause::EntropyCollapse | Cause::GrowingLogits => {
                let batch = self.subject.batch(course.next_batch());
                by_saturation(&signs(self.subject, &end, &batch)?).is_none()
            }
            _ => true,
        };
        let (gain, doubt) = learnt(&before, &self.losses(&end, held_out)?);
        let (before, after) = (mean(&before), mean(&before) - gain);
        trial.held_out = Some((before, after));
        let learns = if knows {
            // What was learnt before is not lost: nothing that shows, and in no case a tenth.
            gain >= -3.0 * doubt && gain >= -0.1 * before
        } else {
            // A model that died says ln V to the last digit.
            gain > 3.0 * doubt && after < LEARNT * before.min(self.uniform())
        };
        trial.cured = !ran_away && gone && learns;
        Ok(trial)
    }
}

/// Steps in which a model that knows nothing must learn something.
const LEARNING: u64 = 40;
/// Batches on which it is asked whether something was learnt.
const HELD_OUT: u64 = 8;
/// Below this share of what a model without knowledge pays, one has learnt something.
const LEARNT: f64 = 0.999;

/// By how much losses fell on the same batches, on the average, and the standard error of that.
fn learnt(before: &[f64], after: &[f64]) -> (f64, f64) {
    let gains: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
    let (gain, n) = (mean(&gains), gains.len() as f64);
    let variance = gains.iter().map(|g| (g - gain).powi(2)).sum::<f64>() / (n - 1.0);
    (gain, (variance / n).sqrt())
}

/// The largest power of two that keeps the largest gradient four times below a format's end and is itself a
/// number of the format: it is the gradient of the loss.
///
/// ```
/// use transformer::Precision;
/// use transformer::inspect::diagnose::loss_scale;
/// assert_eq!(loss_scale(Precision::F16, 0.5), 16384.0); // 16384·0.5 is below 65504/4 = 16376
/// assert_eq!(loss_scale(Precision::F16, 3.0), 4096.0);
/// assert_eq!(loss_scale(Precision::F16, 1e-9), 32768.0); // 65536 is no f16
/// ```
pub fn loss_scale(precision: Precision, largest_gradient: f64) -> f64 {
    let room = precision.largest() / 4.0 / largest_gradient.max(f64::MIN_POSITIVE);
    let highest = precision.largest().log2().floor().min(24.0);
    room.log2().floor().clamp(-24.0, highest).exp2()
}
