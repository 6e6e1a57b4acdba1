//! **Mathematics.** With the maximum of the whole matrix as c, a column 104 below it has exp(z − c) = 0 everywhere
//! (f32): 0/0.
//!
//! **Signature.** Origin forward, in a softmax, `0 / 0` although no score is infinite.
//!
//! **Cure.** Subtract each column's own maximum. A change of code.
//!
//! **Example.** `maximum_of_the_whole_matrix`

use super::{Cure, Cures, Detect, Findings, ModelError, Sign, Subject};
use crate::inspect::diagnose::origin::Origin;
use linalg::column;

pub(super) struct WrongMaximum;

impl Detect for WrongMaximum {
    const TITLE: &str = "softmax with another column's maximum";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(origin) = f.watched.origin() else { return Ok(None) };
        let found =
            origin.is_in_softmax() && origin.divides_by_zero() && highest_is_fine(f, origin)?;
        Ok(found.then(|| origin.to_string()))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("subtract each column's own maximum before the exponential")])
    }
}

/// Checks whether a softmax that underflows elsewhere is right in the column of the highest score: then that column's
/// maximum was subtracted from all. Without any maximum that column overflows or underflows, too.
fn highest_is_fine<S: Subject>(f: &Findings<'_, S>, origin: &Origin) -> Result<bool, ModelError> {
    let mut step = f.subject.record_in_full::<f32>()?;
    step.set_parameters(&f.watched.last_good.parameters);
    step.give(&f.subject.batch(f.watched.batch()));
    step.forward();
    let tape = &step.tape;
    let Some(var) = tape.find(&origin.name) else { return Ok(false) };
    let Some(&scores) = tape.operands(var).first() else { return Ok(false) };
    let (scores, weights) = (tape.value(scores), tape.value(var));
    let columns = (0..weights.ncols()).map(|j| (column(&scores, j), column(&weights, j)));
    let highest = |z: &[f32]| z.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
    let top = columns.max_by(|a, b| highest(a.0).total_cmp(&highest(b.0)));
    Ok(top.is_some_and(|(_, p)| p.iter().all(|p| p.is_finite())))
}
