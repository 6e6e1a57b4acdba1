//! Statistics of a step that show its health, read from an unfused recording.

use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::{Given, Recording};
use calculus::{Source, Tape, Var};
use linalg::{Role, View, column, gather};
use serde::Serialize;

/// Signs of health at one state on one batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signs {
    /// The loss.
    pub loss: f64,
    /// ln V: the loss of a uniform prediction; NaN without logits, or if the loss is of preferences.
    pub uniform: f64,
    /// The largest gain of a linear map, and its name. A gain is the factor on the root mean square of the input: σ·√n,
    /// with σ that of the map's elements and n its inputs.
    pub gain: (f64, String),
    /// Root mean square of the residual stream's last sum over that of its first; 1 without sums.
    pub residual: f64,
    /// Attention, one entry per softmax.
    pub attention: Vec<Attention>,
    /// The largest range (greatest − least) of a token's logits; the mean of all; their deviation about each token's
    /// mean.
    pub logits: Option<(f64, f64, f64)>,
    /// Parameters whose gradient is exactly zero, and those that the loss does not depend on.
    pub unmoved: Vec<String>,
    /// Share of dead units of every activation function: units that no token uses.
    pub dead: Vec<(String, f64)>,
}

/// The statistics of one softmax over keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attention {
    /// Its name.
    pub name: String,
    /// Mean entropy over ln of the number of visible tokens: 1 is uniform, 0 attends to one token.
    pub entropy: f64,
    /// The largest score.
    pub largest: f64,
    /// Share of queries with a weight above 0.99.
    pub saturated: f64,
    /// Whether its dot products are not scaled.
    pub unscaled: bool,
}

/// Computes Σ x².
pub(crate) fn squares(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}

/// Computes √(mean x²); 0 for an empty slice.
pub(crate) fn rms(x: &[f32]) -> f64 {
    (squares(x) / x.len().max(1) as f64).sqrt()
}

/// Computes the signs of a step at parameters and batch.
///
/// # Errors
/// If the step cannot be recorded.
pub fn signs(
    subject: &impl Subject,
    parameters: &[f32],
    batch: &[Given],
) -> Result<Signs, ModelError> {
    let mut step = subject.record_in_full::<f32>()?;
    step.set_parameters(parameters);
    step.give(batch);
    let loss = f64::from(step.step());
    let Recording { tape, loss: output, handles } = &step;
    let logits = handles.logits;
    // A loss of pairs is no nats of a vocabulary, and one with a teacher's part not only.
    let of_tokens = logits.filter(|_| handles.is_cross_entropy());
    Ok(Signs {
        loss,
        uniform: of_tokens.map_or(f64::NAN, |v| (tape.shape(v).rows as f64).ln()),
        gain: largest_gain(tape),
        residual: residual(tape),
        attention: attentions(tape).into_iter().map(|v| attention(tape, v)).collect(),
        logits: logits.map(|v| spread(tape.elements(v), tape.shape(v).rows)),
        unmoved: unmoved(tape, *output),
        dead: dead(tape),
    })
}

/// Computes by how much a linear map y = W·x multiplies the root mean square of its input, averaged over all directions
/// of x: σ·√n, with σ the root mean square of W's elements and n the length of x. A gain of 1 preserves the size of
/// elements; GPT-2's σ = 0.02 gives 0.55 at a width of 768.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gain {
    /// The matrix.
    pub(crate) matrix: Var,
    /// Its gain.
    pub(crate) gain: f64,
}

/// Returns the gain of every parameter that a linear map multiplies by, in the order of computation. A table used only
/// for lookups multiplies nothing.
pub(crate) fn gains(tape: &Tape<f32>) -> Vec<Gain> {
    let mut found: Vec<Gain> = vec![];
    for var in tape.vars() {
        let linear = is_linear(tape, var);
        let Some(&matrix) = tape.operands(var).first().filter(|_| linear) else { continue };
        let again = found.iter().any(|g| g.matrix == matrix);
        if tape.source(matrix).is_weight() && !again {
            let inputs = tape.shape(tape.operands(var)[1]).rows;
            found.push(Gain { matrix, gain: rms(&tape.weight(matrix)) * (inputs as f64).sqrt() });
        }
    }
    found
}

fn is_linear(tape: &Tape<f32>, var: Var) -> bool {
    tape.role(var) == Some(Role::Linear)
}

/// Returns the length of the vectors that a matrix multiplies; for a lookup table, that of its columns.
pub(crate) fn inputs(tape: &Tape<f32>, matrix: Var) -> usize {
    let mut users = tape.vars().filter(|v| is_linear(tape, *v));
    let user = users.find(|v| tape.operands(*v).first() == Some(&matrix));
    user.map_or(tape.shape(matrix).rows, |v| tape.shape(tape.operands(v)[1]).rows)
}

/// Returns the gain of every table used only for lookups: it maps a token's one-hot vector to one of its columns, so a
/// single input is read.
pub(crate) fn tables(tape: &Tape<f32>) -> Vec<Gain> {
    let multiplied: Vec<Var> = gains(tape).into_iter().map(|g| g.matrix).collect();
    let mut found: Vec<Gain> = vec![];
    for var in tape.vars().filter(|v| tape.role(*v) == Some(Role::Lookup)) {
        let Some(&matrix) = tape.operands(var).first() else { continue };
        let again = multiplied.contains(&matrix) || found.iter().any(|g| g.matrix == matrix);
        if tape.source(matrix).is_weight() && !again {
            found.push(Gain { matrix, gain: rms(tape.elements(matrix)) });
        }
    }
    found
}

fn largest_gain(tape: &Tape<f32>) -> (f64, String) {
    gains(tape).into_iter().fold((0.0, String::new()), |largest, g| {
        // NaN is reported elsewhere.
        if g.gain > largest.0 { (g.gain, tape.name(g.matrix).to_owned()) } else { largest }
    })
}

fn residual(tape: &Tape<f32>) -> f64 {
    let sums: Vec<Var> = tape.vars().filter(|v| tape.role(*v) == Some(Role::Sum)).collect();
    match (sums.first(), sums.last()) {
        (Some(&a), Some(&b)) if a != b && tape.shape(a) == tape.shape(b) => {
            rms(tape.elements(b)) / rms(tape.elements(a)).max(f64::MIN_POSITIVE)
        }
        _ => 1.0,
    }
}

/// Returns the softmaxes whose output weighs values.
pub(crate) fn attentions(tape: &Tape<f32>) -> Vec<Var> {
    let mixes = |var: Var| {
        tape.vars().any(|user| {
            tape.role(user) == Some(Role::WeightedSum) && tape.operands(user).contains(&var)
        })
    };
    tape.vars().filter(|v| tape.role(*v) == Some(Role::Softmax) && mixes(*v)).collect()
}

/// Returns the largest magnitude of an attention's scores that are not masked.
pub(crate) fn largest_score(tape: &Tape<f32>, attention: Var) -> f64 {
    let scores = tape.value(tape.operands(attention)[0]);
    let finite = scores.iter().filter(|s| s.is_finite());
    finite.fold(0.0, |m: f64, s| m.max(f64::from(s.abs())))
}

/// Returns the statistics of an attention's softmax.
fn attention(tape: &Tape<f32>, var: Var) -> Attention {
    let scored = tape.operands(var)[0];
    let (mut sum, mut counted, mut saturated) = (0.0, 0.0, 0.0);
    let (weights, scores) = (tape.value(var), tape.value(scored));
    for j in 0..weights.ncols() {
        let (p, s) = (column(&weights, j), column(&scores, j));
        let visible = s.iter().filter(|s| **s > f32::NEG_INFINITY).count();
        if visible < 2 {
            continue;
        }
        let nats: f64 =
            p.iter().filter(|p| **p > 0.0).map(|&p| -f64::from(p) * f64::from(p).ln()).sum();
        sum += nats / (visible as f64).ln();
        counted += 1.0;
        saturated += f64::from(u8::from(p.iter().any(|&p| p > 0.99)));
    }
    let share = |x: f64| if counted > 0.0 { x / counted } else { 1.0 };
    Attention {
        name: tape.name(var).to_owned(),
        entropy: share(sum),
        largest: largest_score(tape, var),
        saturated: if counted > 0.0 { saturated / counted } else { 0.0 },
        unscaled: is_unscaled(tape, scored),
    }
}

/// Checks whether dot products reach `scores` although neither they nor their queries or keys were multiplied by a
/// constant.
fn is_unscaled(tape: &Tape<f32>, scores: Var) -> bool {
    // Back to the first operation of one of these roles.
    let back = |mut at: Var, roles: &[Role]| loop {
        match tape.role(at) {
            Some(role) if roles.contains(&role) => return Some((role, at)),
            Some(_) => at = tape.operands(at)[0],
            None => return None,
        }
    };
    let Some((Role::Scores, products)) = back(scores, &[Role::Scale, Role::Scores]) else {
        return false;
    };
    // A query or key may be scaled after its linear map or, as a norm takes a constant out again, after its norm.
    let scaled = |&operand: &Var| {
        let found = back(operand, &[Role::Scale, Role::Linear, Role::Norm]);
        found.is_some_and(|(role, _)| role == Role::Scale)
    };
    !tape.operands(products).iter().any(scaled)
}

fn spread(logits: &[f32], rows: usize) -> (f64, f64, f64) {
    let (mut range, mut mean, mut square) = (0.0_f64, 0.0, 0.0);
    for z in logits.chunks(rows) {
        let (low, high) =
            z.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &z| (l.min(z), h.max(z)));
        range = range.max(f64::from(high - low));
        let own = z.iter().map(|&z| f64::from(z)).sum::<f64>() / rows as f64;
        mean += own;
        square += z.iter().map(|&z| (f64::from(z) - own).powi(2)).sum::<f64>() / rows as f64;
    }
    let n = (logits.len() / rows) as f64;
    (range, mean / n, (square / n).sqrt())
}

fn unmoved(tape: &Tape<f32>, loss: Var) -> Vec<String> {
    let parameters = tape
        .vars()
        .zip(tape.dependencies(loss))
        .filter(|(v, _)| tape.source(*v) == Source::Parameter);
    parameters
        .filter(|(v, needed)| !needed || tape.gradient_elements(*v).iter().all(|&g| g == 0.0))
        .map(|(v, _)| tape.name(v).to_owned())
        .collect()
}

/// Returns the rows of activations that send no gradient for any token.
fn dead(tape: &Tape<f32>) -> Vec<(String, f64)> {
    let mut found = vec![];
    for var in tape.vars() {
        let is_activation = tape.role(var) == Some(Role::Activation);
        let Some(&x) = tape.operands(var).first().filter(|_| is_activation) else { continue };
        let rows = tape.shape(var).rows;
        let (g, out) = (tape.gradient(x), tape.gradient(var));
        let some = |x: &View<'_, f32>, r: usize| x.row(r).iter().any(|&x| x != 0.0);
        let dead = (0..rows).filter(|&r| some(&out, r) && !some(&g, r)).count();
        found.push((tape.name(var).to_owned(), dead as f64 / rows as f64));
    }
    found
}

/// Returns the parameters that an activation's operand is computed from, by its operation.
pub(crate) fn unit_sources(subject: &impl Subject, name: &str) -> Result<Vec<String>, ModelError> {
    let step = subject.record_in_full::<f32>()?;
    let tape = &step.tape;
    let own = tape.find(name).and_then(|v| tape.operands(v).first().copied());
    let from = own.map_or(vec![], |x| tape.operands(x));
    let parameters = from.iter().filter(|v| tape.source(**v).is_weight());
    Ok(parameters.map(|v| tape.name(*v).to_owned()).collect())
}

/// Checks whether another last token changes an earlier logit of the same sequence, or another sequence changes any:
/// attention without its mask.
///
/// # Errors
/// If the step cannot be recorded.
pub fn looks_ahead(
    subject: &impl Subject,
    parameters: &[f32],
    batch: &[Given],
) -> Result<bool, ModelError> {
    let mut step = subject.record::<f32>()?;
    step.set_parameters(parameters);
    step.give(batch);
    let predictions = step.predictions();
    let tape = &mut step.tape;
    let found = (step.handles.tokens, predictions, subject.length());
    let (Some(tokens), Some(logits), Some(length)) = found else { return Ok(false) };
    let table = tape.vars().find(|v| tape.operands(*v).get(1) == Some(&tokens));
    let Some(table) = table.map(|v| tape.operands(v)[0]) else { return Ok(false) };
    let vocabulary = tape.shape(table).columns;
    let valid = |t: &f32| gather::index(*t, vocabulary).is_some();
    if length < 2 || vocabulary < 2 || !tape.elements(tokens).iter().all(valid) {
        return Ok(false);
    }
    tape.forward();
    let rows = tape.shape(logits).rows;
    let past = 0..rows * (length - 1);
    let before = tape.elements(logits)[past.clone()].to_vec();
    // The last token of the first sequence, and all tokens of the others.
    for t in &mut tape.elements_mut(tokens)[length - 1..] {
        *t = (*t + 1.0) % vocabulary as f32;
    }
    tape.forward();
    let after = &tape.elements(logits)[past];
    Ok(before.iter().zip(after).any(|(a, b)| a.to_bits() != b.to_bits() && a.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use calculus::Recorder;
    use linalg::heads::{HeadMix, HeadScores};
    use linalg::rotation::{Pairs, Rotation};
    use linalg::{Shape, affine::Affine, product::Product, scale::Scale};
    use probability::{mask::CausalMask, rms_norm::RmsNorm, softmax::Softmax};

    /// Scores, queries before or after their rotation, or keys may be multiplied by a constant; a norm takes it out again.
    #[test]
    fn a_scale_counts_wherever_it_reaches_the_scores() {
        let unscaled = |at: &str| {
            let mut r = Recorder::<f32>::new();
            let [query, key, value] = ["query", "key", "value"].map(|name| {
                let w = r.parameter(&format!("{name}.weight"), Shape::new(4, 4)).unwrap();
                let x = r.input(&format!("{name}.input"), Shape::new(4, 3)).unwrap();
                r.push(name, Product::plain(), [w, x]).unwrap()
            });
            let positions = r.input("positions", Shape::new(1, 3)).unwrap();
            let scale = |r: &mut Recorder<f32>, here: &str, x| match here == at {
                true => r.push("scaled", Scale { factor: 0.5 }, [x]).unwrap(),
                false => x,
            };
            let query = scale(&mut r, "query before its norm", query);
            let norm = RmsNorm { epsilon: 1e-5, heads: 1, offset: 0.0 };
            let query = r.push("norm", norm, [query]).unwrap();
            let query = scale(&mut r, "query", query);
            let rotation = Rotation::new(1, 1e4, Pairs::Halves);
            let query = r.push("rotated", rotation, [query, positions]).unwrap();
            let query = scale(&mut r, "rotated query", query);
            let key = scale(&mut r, "key", key);
            let (heads, key_value_heads, length) = (1, 1, 3);
            let scores = HeadScores { heads, key_value_heads, length };
            let scores = r.push("scores", scores, [query, key]).unwrap();
            let scores = scale(&mut r, "scores", scores);
            let masked = r.push("masked", CausalMask::default(), [scores]).unwrap();
            let weights = r.push("weights", Softmax, [masked]).unwrap();
            let mix = HeadMix { heads, key_value_heads, length };
            r.push("mixed", mix, [value, weights]).unwrap();
            let mut tape = r.finish();
            tape.forward();
            attention(&tape, weights).unscaled
        };
        for place in ["scores", "query", "rotated query", "key"] {
            assert!(!unscaled(place), "{place}");
        }
        for place in ["nowhere", "query before its norm"] {
            assert!(unscaled(place), "{place}");
        }
    }

    #[test]
    fn a_gain_is_what_happens_to_a_vectors_size() {
        // Plain and transposed, tall and wide: measured on 4000 random vectors.
        let record = |turned: bool, (out, inputs): (usize, usize)| {
            let mut r = Recorder::<f32>::new();
            let shape = if turned { Shape::new(inputs, out) } else { Shape::new(out, inputs) };
            let w = r.parameter("w", shape).unwrap();
            let x = r.input("x", Shape::new(inputs, 4000)).unwrap();
            let y = match turned {
                true => r.push("y", Product::transposed(), [w, x]).unwrap(),
                false => {
                    let b = r.parameter("b", Shape::new(out, 1)).unwrap();
                    r.push("y", Affine, [w, x, b]).unwrap()
                }
            };
            let mut tape = r.finish();
            let random = probability::random::Random::new(3, 0, 0);
            for (var, scale) in [(w, 0.3), (x, 1.0)] {
                let n = tape.shape(var).len() as u64;
                let values = (0..n).map(|i| (scale * random.normal(i + 9999 * n)) as f32);
                let values: Vec<f32> = values.collect();
                tape.elements_mut(var).copy_from_slice(&values);
            }
            tape.forward();
            let measured = rms(tape.elements(y)) / rms(tape.elements(x));
            let found = gains(&tape);
            assert_eq!((found.len(), found[0].matrix), (1, w));
            // The mean of 4000·out squares is accurate to a few hundredths.
            let ratio = found[0].gain / measured;
            assert!((ratio - 1.0).abs() < 0.05, "{turned} {out}×{inputs}: {ratio}");
        };
        for shape in [(6, 60), (60, 6), (20, 20)] {
            record(false, shape);
            record(true, shape);
        }
    }
}
