//! Compares a learning rate with the rate at which training diverges.

use super::course::{State, Taken};
use crate::inspect::curvature::Hessian;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Given;
use crate::printable::decimal;
use crate::training::recipe::Recipe;
use calculus::optimizer::{OptimizerConfig, OptimizerKind};
use calculus::{Source, clip};
use linalg::krylov::{End, Lanczos};
use serde::Serialize;
use std::fmt;

/// Models with more parameters are not differentiated twice.
pub(crate) const CURVED: usize = 2_000_000;
/// Nor are steps with more parameters × tokens: each Hessian-vector product would take over a few seconds.
const WORK: usize = 64_000_000;
/// A residual of a thousandth gives an eigenvalue far more accurate than the theory is.
const METHOD: Lanczos = Lanczos { end: End::Largest, iterations: 16, tolerance: 1e-3 };

/// A learning rate compared with the limit of stability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stability {
    /// The largest eigenvalue of the Hessian, preconditioned like the update rule.
    pub eigenvalue: f64,
    /// The learning rate above which training on a quadratic of that curvature diverges.
    pub limit: f64,
    /// The learning rate.
    pub rate: f64,
    /// The update rule that the limit applies to.
    #[serde(skip)]
    pub optimizer: OptimizerConfig,
    /// The norm to which gradients are clipped, which the limit ignores; 0 does not clip.
    pub clip: f64,
    /// Steps taken before.
    pub steps: u64,
    /// Tokens (columns) of the batches that the Hessian is computed on.
    pub tokens: usize,
    /// The distance from the estimate within which an eigenvalue lies.
    pub residual: f64,
    /// The number of Hessian-vector products.
    pub applications: usize,
    /// Whether the residual reached the requested thousandth of the eigenvalue.
    pub converged: bool,
}

impl Stability {
    /// Applies the same curvature to the rates of the steps taken, and returns the first step with the highest rate
    /// over its limit. Clipped steps of gradient descent count with the rate of their length.
    pub(super) fn judged(self, recipe: &Recipe, history: &[Taken]) -> Self {
        let at = |t: &Taken| {
            let clipped = match recipe.optimizer {
                OptimizerConfig { kind, .. } if recipe.clip > 0.0 && !kind.normalises() => {
                    clip::factor(t.gradient_norm, recipe.clip)
                }
                // Such a step does not depend on the size of its gradients.
                _ => 1.0,
            };
            let limit =
                recipe.optimizer.limit(self.eigenvalue, t.number - 1).unwrap_or(f64::INFINITY);
            Stability { limit, rate: t.rate * clipped, steps: t.number - 1, clip: 0.0, ..self }
        };
        let ratio = |s: &Stability| s.rate / s.limit;
        let finite = history.iter().filter(|t| t.gradient_norm.is_finite());
        let above = |best: Stability, s: Stability| if ratio(&s) > ratio(&best) { s } else { best };
        finite.map(at).reduce(above).unwrap_or(self)
    }
}

impl fmt::Display for Stability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stability { eigenvalue, limit, rate, steps, tokens, residual, applications, .. } = self;
        let whose = match self.optimizer {
            OptimizerConfig { kind: OptimizerKind::Sgd, momentum: 0.0, .. } => {
                "descent's".to_owned()
            }
            OptimizerConfig { kind: OptimizerKind::Sgd, .. } => "momentum's".to_owned(),
            OptimizerConfig { kind, .. } => format!("{kind:?}'s"),
        };
        let of = match self.optimizer.kind.normalises() {
            true => format!("the Hessian in {whose} units"),
            false => "the Hessian".to_owned(),
        };
        write!(f, "largest eigenvalue {eigenvalue:.2e}")?;
        if !self.converged {
            write!(f, " ± {residual:.0e} (after {applications} products)")?;
        }
        write!(f, " of {of} on {tokens} tokens")?;
        if eigenvalue.is_nan() {
            return write!(
                f,
                ": a product with the Hessian is no number, so there is no limit at step {steps}"
            );
        }
        if limit.is_nan() {
            return write!(f, ", so the loss has no minimum: no limit at step {steps}");
        }
        let times = match rate / limit {
            large if large >= 1e4 => format!("{large:.1e}"),
            times => format!("{times:.2}"),
        };
        write!(f, ": the rate {rate:.2e} is {times} times {whose} limit of {limit:.2e}")?;
        write!(f, " at step {steps}")?;
        if self.clip > 0.0 {
            let clip = decimal(self.clip);
            write!(f, "; clipping to norm {clip} shortens steps and is not counted")?;
        }
        Ok(())
    }
}

/// Compares the curvature at a state with the learning rate of its next step; on fewer tokens ([`Subject::fewer`]) if
/// the step is too large to differentiate twice, and `None` if those are still too many.
///
/// # Errors
/// If the step cannot be recorded.
pub fn stability(
    subject: &impl Subject,
    state: &State,
    recipe: &Recipe,
) -> Result<Option<Stability>, ModelError> {
    let n = state.parameters.len();
    if n > CURVED || recipe.optimizer.limit(1.0, state.steps).is_none() {
        return Ok(None);
    }
    let tokens = columns(subject)?;
    if n * tokens <= WORK {
        return measured(subject, state, recipe, tokens).map(Some);
    }
    let Some(few) = subject.fewer() else { return Ok(None) };
    match columns(&few)? {
        tokens if n * tokens <= WORK => measured(&few, state, recipe, tokens).map(Some),
        _ => Ok(None),
    }
}

/// Returns the tokens, or columns, of a batch.
fn columns(subject: &impl Subject) -> Result<usize, ModelError> {
    let step = subject.record::<f32>()?;
    let given = step.tape.vars().filter(|v| step.tape.source(*v) == Source::Input);
    Ok(given.map(|v| step.tape.shape(v).columns).max().unwrap_or(1))
}

fn measured(
    subject: &impl Subject,
    state: &State,
    recipe: &Recipe,
    tokens: usize,
) -> Result<Stability, ModelError> {
    let wide: Vec<f64> = state.parameters.iter().map(|&p| f64::from(p)).collect();
    let first = state.steps * recipe.accumulate;
    let batches: Vec<_> =
        (first..first + recipe.accumulate.min(4)).map(|b| subject.batch(b)).collect();
    let mut hessian = Hessian::of(subject, &wide, &batches)?;
    let preconditioner =
        match recipe.optimizer.kind.normalises() || recipe.optimizer.width_ratio != 1.0 {
            true => preconditioner(subject, state, recipe, &batches)?,
            false => None,
        };
    let found = hessian.largest(preconditioner.as_deref(), METHOD);
    let eigenvalue = found.value;
    Ok(Stability {
        eigenvalue,
        limit: recipe.optimizer.limit(eigenvalue, state.steps).unwrap_or(f64::INFINITY),
        rate: recipe.schedule.rate(state.steps),
        optimizer: recipe.optimizer,
        clip: recipe.clip,
        steps: state.steps,
        tokens: tokens * batches.len(),
        residual: found.residual,
        applications: found.applications,
        converged: found.converged,
    })
}

/// Returns what the coming step divides by, from the same batches as the Hessian: the row of a token that no earlier
/// batch had has curvature there, but no second moment yet.
fn preconditioner(
    subject: &impl Subject,
    state: &State,
    recipe: &Recipe,
    batches: &[Vec<Given>],
) -> Result<Option<Vec<f64>>, ModelError> {
    let mut gradient = vec![0.0; state.parameters.len()];
    let mut step = subject.record::<f32>()?;
    step.set_parameters(&state.parameters);
    for batch in batches {
        step.give(batch);
        step.step();
        for (sum, &g) in gradient.iter_mut().zip(step.tape.gradients()) {
            *sum += f64::from(g) / batches.len() as f64;
        }
    }
    Ok(state.optimizer::<f32>(recipe, &step.tape.parameter_list()).preconditioner(&gradient))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit names its update rule, the tokens measured and its accuracy.
    #[test]
    fn a_limit_says_whose_it_is_and_how_well_it_is_known() {
        let adam = OptimizerConfig::default();
        let known = Stability {
            eigenvalue: 20.0,
            limit: adam.limit(20.0, 0).unwrap(),
            rate: 0.019,
            optimizer: adam,
            clip: 0.0,
            steps: 0,
            tokens: 64,
            residual: 1e-3,
            applications: 9,
            converged: true,
        };
        assert_eq!(
            known.to_string(),
            "largest eigenvalue 2.00e1 of the Hessian in Adam's units on 64 tokens: the rate 1.90e-2 is 0.10 \
             times Adam's limit of 1.90e-1 at step 0"
        );
        let early = Stability { converged: false, residual: 3.0, applications: 16, ..known };
        let told = "largest eigenvalue 2.00e1 ± 3e0 (after 16 products) of the Hessian";
        assert!(early.to_string().contains(told), "{early}");
        let huge = Stability { rate: 1e30, ..known };
        assert!(huge.to_string().contains("the rate 1.00e30 is 5.3e30 times"), "{huge}");
        let clipped = Stability { clip: 1.0, optimizer: OptimizerConfig::sgd(0.9), ..known };
        let told = "momentum's limit of";
        assert!(clipped.to_string().contains(told), "{clipped}");
        assert!(
            clipped.to_string().ends_with("clipping to norm 1 shortens steps and is not counted")
        );
        let hill = Stability { eigenvalue: -1.0, limit: f64::NAN, ..known };
        assert!(
            hill.to_string().ends_with("the loss has no minimum: no limit at step 0"),
            "{hill}"
        );
    }
}
