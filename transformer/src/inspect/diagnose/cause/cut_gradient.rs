//! **Mathematics.** A path carries a value forward but no gradient back (`detach`, an operation without its rule): ⟨ȳ,
//! Jẋ⟩ ≠ 0 = ⟨Jᵀȳ, ẋ⟩.
//!
//! **Signature.** The loss stays near ln V; parameters whose gradient is exactly 0; `check` names the operation.
//!
//! **Cure.** Make the operation propagate its gradient.
//!
//! **Example.** `loss_flat_because_a_gradient_is_cut`

use super::{Cure, Cures, Detect, Earlier, Findings, ModelError, Sign, Subject, saturation};
use crate::inspect::check;
use crate::inspect::diagnose::edge::CURVED;
use crate::inspect::diagnose::evidence::listed;

/// Steps with a flat loss.
const WATCHED: usize = 15;
/// Share of ln V: every loss of a flat course is above it.
const LOWEST: f64 = 0.97;
/// Nats above ln V: every loss of a flat course is below it.
const ABOVE: f64 = 1.0;
/// Share of the first loss: the last is above it. These four are conventions; they only decide whether the operations
/// are checked, which is exact.
const FALL: f64 = 0.985;

pub(super) struct CutGradient;

impl Detect for CutGradient {
    const TITLE: &str = "cut gradient";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(start) = f.start_signs().filter(|start| !saturation::is_saturated(start)) else {
            return Ok(None);
        };
        let losses = || f.watched.history.iter().map(|t| t.loss);
        let flat = f.watched.history.len() >= WATCHED
            && losses().all(|l| l > LOWEST * start.uniform && l < start.uniform + ABOVE)
            && losses().next_back() > losses().next().map(|l| FALL * l);
        if (start.unmoved.is_empty() && !flat) || f.watched.failed() {
            return Ok(None);
        }
        f.unless_symptom(cut(f, &start.unmoved)?)
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code(
            "make the named operation propagate its gradient; `check` certifies it",
        )])
    }
}

/// Returns the path that is cut, if any.
fn cut<S: Subject>(f: &Findings<'_, S>, unmoved: &[String]) -> Result<Option<String>, ModelError> {
    if f.start.parameters.len() > CURVED {
        return Ok(None);
    }
    let wide: Vec<f64> = f.start.parameters.iter().map(|&p| f64::from(p)).collect();
    let operations = check::operations(f.subject, &wide, 1)?;
    let unmoved = match unmoved {
        [] => String::new(),
        names => format!("; no gradient reaches {}", listed(names)),
    };
    Ok(match operations.adjoint {
        _ if !operations.cut.is_empty() => Some(operations.cut.join("; ") + &unmoved),
        (off, what) if off > 1.0 => {
            Some(format!("the vjp does not match its function: {what}{unmoved}"))
        }
        _ => None,
    })
}
