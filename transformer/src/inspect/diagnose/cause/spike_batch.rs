//! **Mathematics.** A step moves by η·‖g‖. A batch with a gradient a hundred times the median moves as far as a hundred
//! steps, in one direction.
//!
//! **Signature.** One gradient norm far above the median of those before, also at other weights: the batch stands out,
//! not the state.
//!
//! **Cure.** Clip at the median norm; leave the batch out.
//!
//! **Example.** `one_outlier_batch`

use super::{Cure, Cures, Detect, Findings, ModelError, Sign, Subject, dynamics};
use crate::inspect::diagnose::applied::round;
use crate::inspect::diagnose::course::Taken;
use crate::inspect::diagnose::findings::median;
use calculus::clip::global_norm;

/// The number of last steps that may be suspected: a spike breaks the next step rather than its own.
const BLAMED: usize = 4;
/// Number of steps before it whose median norm is the usual one, and the minimum.
const LATELY: usize = 10;
const LEAST: usize = 4;
/// Maximum ratio of those norms to the usual one: norms that grow step by step are not a spike.
const CALM: f64 = 4.0;
/// Ratio of a spike to the usual norm: well above fluctuations. A convention.
const TIMES: f64 = 15.0;
/// Minimum ratio to the norm of its neighbours at the same weights: the batch, not the weights.
const STANDS_OUT: f64 = 5.0;
/// The neighbouring batches.
const NEIGHBOURS: u64 = 4;

pub(super) struct SpikeBatch;

impl Detect for SpikeBatch {
    const TITLE: &str = "a spike batch without clipping";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let history = &f.watched.history;
        let Some(blamed) = blamed(history).filter(|_| f.recipe.clip == 0.0) else {
            return Ok(None);
        };
        if !dynamics::are_asked(f)? {
            return Ok(None);
        }
        // The usual norm of recent steps: norms fall as a model learns.
        let earlier = history.iter().rev().filter(|t| t.number < blamed.number);
        let before: Vec<f64> = earlier.take(LATELY).map(|t| t.gradient_norm).collect();
        let usual = median(before.iter().copied());
        let calm = before.iter().all(|n| *n < CALM * usual);
        let spike = before.len() >= LEAST && calm && blamed.gradient_norm > TIMES * usual;
        Ok((spike && stands_out(f, blamed.batch)?).then(|| {
            format!(
                "{} has a gradient of norm {:.2e}, the median is {:.2e}, and nothing clips it",
                f.recipe.called(blamed.batch),
                blamed.gradient_norm,
                usual
            )
        }))
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        let norm = f.usual_norm();
        let norm = if norm.is_finite() { norm } else { 1.0 };
        let batch = blamed(&f.watched.history).map_or(f.watched.batch(), |t| t.batch);
        Ok(vec![Cure::Clip(round(norm)), Cure::Skip(batch)])
    }
}

/// Returns the step whose gradient stands out: the one that failed, or one of those before it.
fn blamed(history: &[Taken]) -> Option<&Taken> {
    let candidates = history[history.len().saturating_sub(BLAMED)..].iter().rev();
    candidates.max_by(|a, b| {
        let size = |t: &Taken| if t.gradient_norm.is_finite() { t.gradient_norm } else { 0.0 };
        let before = |t: &Taken| {
            median(history.iter().filter(|h| h.number < t.number).map(|h| h.gradient_norm))
        };
        (size(a) / before(a)).total_cmp(&(size(b) / before(b)))
    })
}

/// Checks whether a batch's gradient is far above that of its neighbours at the same weights: the batch, not the
/// weights.
fn stands_out<S: Subject>(f: &Findings<'_, S>, batch: u64) -> Result<bool, ModelError> {
    let mut step = f.subject.record::<f32>()?;
    step.set_parameters(&f.suspected().parameters);
    let mut norm = |batch: u64| {
        step.give(&f.subject.batch(batch));
        step.step();
        global_norm(step.tape.gradients())
    };
    let own = norm(batch);
    let others: Vec<f64> = (1..=NEIGHBOURS).map(|i| norm(batch + i)).collect();
    Ok(own.is_nan() || own >= STANDS_OUT * median(others.into_iter()))
}
