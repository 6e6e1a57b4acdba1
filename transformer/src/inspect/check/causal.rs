//! Certificates that no output looks ahead. Exact: zeros and bits, not tolerances.

use super::patience::{F64, PATIENCE, dear, seconds};
use super::{Certificate, direction, recorded};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use calculus::Var;

const GRADIENT: (&str, &str) = ("causal", "no gradient to a later token or another sequence");
const BITS: (&str, &str) = ("causal", "later tokens change no bit of earlier logits");
const TARGETS: (&str, &str) = ("causal", "targets do not reach the logits");

/// The certificates of [`causality`], in order.
pub(super) const QUESTIONS: [(&str, &str); 3] = [GRADIENT, BITS, TARGETS];

/// Runs the certificates "causal": no output depends on a later token or on another sequence, and targets do not leak
/// into predictions.
///
/// # Errors
/// If the step cannot be recorded.
pub fn causality(
    subject: &impl Subject,
    parameters: &[f64],
) -> Result<Vec<Certificate>, ModelError> {
    within(PATIENCE, subject, parameters)
}

/// Like [`causality`], with a time budget of `patience` seconds per certificate.
pub(super) fn within(
    patience: f64,
    subject: &impl Subject,
    parameters: &[f64],
) -> Result<Vec<Certificate>, ModelError> {
    let mut step = recorded::<f64>(subject, parameters)?;
    let found = [step.handles.tokens, step.handles.targets];
    let ([Some(tokens), Some(targets)], Some(logits), Some(length)) =
        (found, step.predictions(), subject.length())
    else {
        let why = "the step has no known tokens, targets or logits, or no sequences";
        return Ok(QUESTIONS.map(|c| Certificate::not_applicable(c, why)).into());
    };
    step.tape.forward();
    let pairs = step.tape.parameters().len() as f64 * step.tape.shape(tokens).columns as f64;
    let tried = places(length).len() as f64;
    let or_skipped = |step: &mut Recording<f64>, name, times, ask: Ask| match dear(
        seconds(F64, times * tried * pairs),
        patience,
    ) {
        None => ask(step, tokens, logits, length),
        Some(why) => Certificate::skipped(name, &why),
    };
    Ok(vec![
        or_skipped(&mut step, GRADIENT, 2.0, gradient),
        or_skipped(&mut step, BITS, 1.0, bits),
        leak(&mut step, targets, logits),
    ])
}

type Ask = fn(&mut Recording<f64>, Var, Var, usize) -> Certificate;

/// Returns the positions of a sequence to test.
fn places(length: usize) -> Vec<usize> {
    let mut places = vec![0, 1, length / 2, length.saturating_sub(2), length - 1];
    places.retain(|&p| p < length);
    places.sort_unstable();
    places.dedup();
    places
}

fn gradient(step: &mut Recording<f64>, tokens: Var, logits: Var, length: usize) -> Certificate {
    let tape = &mut step.tape;
    // The operations that embed the tokens.
    let embedded: Vec<Var> =
        tape.vars().filter(|v| tape.operands(*v).get(1) == Some(&tokens)).collect();
    let shape = tape.shape(logits);
    let sequences = shape.columns / length;
    let (mut seen, mut first) = (0, String::new());
    for place in places(length) {
        let sequence = place % sequences;
        let token = sequence * length + place;
        let mut upstream = vec![0.0; shape.len()];
        let column = direction(place as u64, 20, shape.rows);
        upstream[token * shape.rows..][..shape.rows].copy_from_slice(&column);
        tape.backward_from(logits, &upstream);
        for &var in &embedded {
            let rows = tape.shape(var).rows;
            let gradient = tape.gradient_elements(var);
            for (t, column) in gradient.chunks(rows).enumerate() {
                let visible = t / length == sequence && t <= token;
                if !visible && column.iter().any(|&g| g != 0.0) {
                    seen += 1;
                    if first.is_empty() {
                        first = format!("the logits of token {token} depend on token {t}");
                    }
                }
            }
        }
    }
    if embedded.is_empty() {
        return Certificate::not_applicable(GRADIENT, "no operation looks up the tokens");
    }
    let fine =
        format!("{} tokens tested in {sequences} sequences of {length}", places(length).len());
    let detail = if seen == 0 { fine } else { first };
    Certificate::at_most(GRADIENT, f64::from(seen), 0.0, detail)
}

fn bits(step: &mut Recording<f64>, tokens: Var, logits: Var, length: usize) -> Certificate {
    let tape = &mut step.tape;
    let table = tape.vars().find(|v| tape.operands(*v).get(1) == Some(&tokens));
    let Some(table) = table.map(|v| tape.operands(v)[0]) else {
        return Certificate::not_applicable(BITS, "no operation looks up the tokens");
    };
    let vocabulary = tape.shape(table).columns as f64;
    let rows = tape.shape(logits).rows;
    let (given, before) = (tape.elements(tokens).to_vec(), tape.elements(logits).to_vec());
    let (mut changed, mut first) = (0, String::new());
    for place in places(length) {
        let token = (place % (given.len() / length)) * length + place;
        let own = token - place..=token;
        let elements = tape.elements_mut(tokens);
        for (t, x) in elements.iter_mut().enumerate() {
            *x = if own.contains(&t) { given[t] } else { (given[t] + 1.0) % vocabulary };
        }
        tape.forward();
        for t in own {
            let columns = t * rows..(t + 1) * rows;
            let pairs = tape.elements(logits)[columns.clone()].iter().zip(&before[columns]);
            if pairs.into_iter().any(|(a, b)| a.to_bits() != b.to_bits()) {
                changed += 1;
                if first.is_empty() {
                    first = format!("tokens after {token} change the logits of token {t}");
                }
            }
        }
    }
    tape.elements_mut(tokens).copy_from_slice(&given);
    tape.forward();
    let fine = "all other tokens replaced".to_owned();
    let detail = if changed == 0 { fine } else { first };
    Certificate::at_most(BITS, f64::from(changed), 0.0, detail)
}

fn leak(step: &mut Recording<f64>, targets: Var, logits: Var) -> Certificate {
    let tape = &step.tape;
    let needed = tape.dependencies(logits);
    let path = tape.vars().zip(needed).any(|(v, needed)| needed && v == targets);
    let detail = if path { "the logits are computed from the targets" } else { "no path" };
    Certificate::at_most(TARGETS, f64::from(u8::from(path)), 0.0, detail)
}
