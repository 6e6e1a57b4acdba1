//! Cures as values, and the result of a trial.

use super::evidence::listed;
use crate::training::precision::Precision;
use serde::Serialize;
use std::fmt;

/// A change that may help.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cure {
    /// Multiplies all learning rates by this factor.
    Rate(f64),
    /// Warms the rate up linearly over this number of steps.
    Warmup(u64),
    /// Clips gradients to this norm.
    Clip(f64),
    /// Leaves out this batch.
    Skip(u64),
    /// Sets Adam's ε.
    Epsilon(f64),
    /// Sets Adam's β₁ and β₂.
    Betas(f64, f64),
    /// Inverts the sign of weight decay.
    Decay,
    /// Zeroes gradients before every step.
    Zero,
    /// Averages gradients over the batches of a step.
    Average,
    /// Multiplies the loss by this before backpropagation.
    LossScale(f64),
    /// Stores values in this format.
    Store(Precision),
    /// Scales every matrix with a gain above 1 to this gain, and resets its moments to 0.
    Shrink(f64),
    /// Sets broken weights to 0.
    Mend,
    /// Resets the optimizer's moments to 0.
    Forget,
    /// Holds the learning rate at this, whatever the schedule.
    Hold(f64),
    /// Redraws these tensors: matrices with a deviation of ½/√inputs, gains at 1, other vectors at 0; resets their
    /// moments to 0.
    Redraw(Vec<String>),
    /// Reinitialises all adapters, with this factor of their products.
    Adapters(f64),
    /// Ends training at the lowest loss on held-back text.
    Stop,
    /// Uses a model of twice the width.
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
            Cure::Decay => write!(f, "the sign of weight decay inverted"),
            Cure::Zero => write!(f, "gradients zeroed before every step"),
            Cure::Average => write!(f, "gradients divided by the number of batches"),
            Cure::LossScale(scale) => write!(f, "loss scale {scale}"),
            Cure::Store(precision) => write!(f, "values stored as {precision}"),
            Cure::Shrink(gain) => {
                write!(f, "weight matrices that multiply sizes by more than 1 scaled to {gain}")
            }
            Cure::Mend => write!(f, "broken weights set to 0"),
            Cure::Forget => write!(f, "the optimizer's moments reset to 0"),
            Cure::Hold(rate) => write!(f, "learning rate held at {rate:.1e}"),
            Cure::Redraw(names) => write!(f, "{} redrawn", listed(names)),
            Cure::Adapters(factor) => {
                write!(f, "adapters reinitialised with a factor s of {factor}")
            }
            Cure::Stop => write!(f, "training ended at the lowest loss on held-back text"),
            Cure::Larger => write!(f, "a model of twice the width"),
            Cure::Code(what) => write!(f, "{what}"),
        }
    }
}

/// The result of a fix's trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// The fix, in words.
    pub cure: String,
    /// The fix as a value, for callers that apply it.
    #[serde(skip)]
    pub change: Cure,
    /// Whether it was tried: a change of code cannot be.
    pub tried: bool,
    /// The step at which the replay began.
    pub from: u64,
    /// The number of replayed steps.
    pub steps: u64,
    /// The last loss; NaN if the replay failed again.
    pub loss: f64,
    /// The mean loss of batches that no step of the replay saw, before and after it, if it was completed.
    pub held_out: Option<(f64, f64)>,
    /// Whether loss and gradients stayed finite, the loss did not diverge, the symptom is gone, and the model learns:
    /// merely surviving is not enough. A model that had learned something need only keep it.
    pub cured: bool,
}

impl Trial {
    /// Returns by how much the loss of batches that the replay did not see fell; 0 if it was not completed.
    pub(crate) fn gain(&self) -> f64 {
        self.held_out.map_or(0.0, |(before, after)| before - after)
    }
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
