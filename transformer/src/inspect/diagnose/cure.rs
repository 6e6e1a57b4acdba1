//! Cures as values, and what became of one that was tried.

use super::evidence::listed;
use crate::training::precision::Precision;
use serde::Serialize;
use std::fmt;

/// A change that may help.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
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
    /// Every matrix that multiplies a vector's size by more than 1 scaled to multiply by this, and their moments
    /// reset to 0.
    Shrink(f64),
    /// Broken weights set to 0.
    Mend,
    /// The optimiser's moments reset to 0.
    Forget,
    /// The learning rate held at this, whatever the schedule says.
    Hold(f64),
    /// These tensors drawn anew: matrices with a deviation of ½/√inputs, gains at 1, other vectors at 0; and their
    /// moments reset to 0.
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
