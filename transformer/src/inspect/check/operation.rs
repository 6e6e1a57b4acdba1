//! Certificates of every single operation of a recorded step, at its values in that step.
//!
//! For an operation y = f(x₁, …) with upstream gradient ȳ, and for each operand: ⟨ȳ, J·ẋ⟩ by dual numbers on the
//! forward code against ⟨Jᵀ·ȳ, ẋ⟩ by the vjp. If an operand moves the output but gets a gradient of exactly zero, the
//! path is cut. Forward must overwrite its output; vjp must add to the existing gradient.

use super::{Certificate, direction, inner, norm, recorded, rounding};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::streams;
use calculus::{Dual, Source, Tape, Var};
use linalg::Shape;
use linalg::derivation::{Part, What};
use linalg::formula::Matter;
use probability::random::Random;

/// The certificates over all operations together.
pub(super) const QUESTIONS: [(&str, &str); 5] = [
    ("complete", "no path is cut"),
    ("right", "every operation: ⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩"),
    ("right", "every operation computes what its formula states"),
    ("right", "every vjp adds"),
    ("right", "every forward writes its output"),
];

/// The results over all operations of a step.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Operations {
    /// Pairs of an operation and an operand.
    pub paths: usize,
    /// Paths that carry a value forward but no gradient back: "operand → value".
    pub cut: Vec<String>,
    /// The worst error of ⟨ȳ, J·ẋ⟩ = ⟨Jᵀ·ȳ, ẋ⟩ in units of its limit, and its place.
    pub adjoint: (f64, String),
    /// The worst difference between a value and its operation's formula in units of the formula's rounding, and its
    /// place.
    pub stated: (f64, String),
    /// Values that were compared with a formula.
    pub numbers: usize,
    /// Operations whose formula has too many terms to evaluate.
    pub unstated: Vec<String>,
    /// The worst error of "vjp adds" in units of its limit, and its place.
    pub adds: (f64, String),
    /// Values that forward does not fully overwrite.
    pub unwritten: Vec<String>,
}

impl Operations {
    /// Converts the results to certificates.
    pub fn certificates(&self) -> Vec<Certificate> {
        let paths = self.paths;
        let list = |found: &[String], fine: String| {
            if found.is_empty() { fine } else { found.join("; ") }
        };
        let (cut, unwritten) = (self.cut.len() as f64, self.unwritten.len() as f64);
        let worst = |(error, place): &(f64, String)| (*error, format!("worst: {place}"));
        let (adjoint, adjoint_at) = worst(&self.adjoint);
        let (adds, adds_at) = worst(&self.adds);
        let [no_path, law, formula, add, write] = QUESTIONS;
        let stated = match (self.unstated.as_slice(), self.numbers) {
            (_, 0) => Certificate::not_applicable(formula, "no formula is short enough"),
            (unstated, numbers) => {
                let too_long = match unstated {
                    [] => String::new(),
                    names => format!("; too many terms to evaluate: {}", names.join(", ")),
                };
                let detail = format!("{numbers} numbers; worst: {}{too_long}", self.stated.1);
                Certificate::at_most(formula, self.stated.0, 1.0, detail)
            }
        };
        vec![
            Certificate::at_most(
                no_path,
                cut,
                0.0,
                list(&self.cut, format!("{paths} paths carry values forward and gradients back")),
            ),
            Certificate::at_most(law, adjoint, 1.0, adjoint_at),
            stated,
            Certificate::at_most(add, adds, 1.0, adds_at),
            Certificate::at_most(
                write,
                unwritten,
                0.0,
                list(&self.unwritten, "no value of an earlier step is left".to_owned()),
            ),
        ]
    }
}

/// Tests every operation of a step.
///
/// # Errors
/// If the step cannot be recorded.
pub fn operations(
    subject: &impl Subject,
    parameters: &[f64],
    seed: u64,
) -> Result<Operations, ModelError> {
    let mut plain = recorded::<f64>(subject, parameters)?.tape;
    let mut dual = recorded::<Dual<f64>>(subject, parameters)?.tape;
    plain.forward();
    dual.forward();
    let mut found = Operations::default();
    for (i, (var, moving)) in plain.vars().zip(dual.vars()).enumerate() {
        // A view computes nothing: it equals its operand.
        if plain.operation(var).is_some() && !plain.is_view(var) {
            found.operation(&mut plain, &mut dual, (var, moving), seed + 1000 * i as u64);
        }
    }
    Ok(found)
}

impl Operations {
    fn operation(
        &mut self,
        plain: &mut Tape<f64>,
        dual: &mut Tape<Dual<f64>>,
        (var, moving): (Var, Var),
        seed: u64,
    ) {
        let name = format!("{} ({})", plain.name(var), plain.operation(var).unwrap_or_default());
        let mut operands: Vec<(Var, Var)> = vec![];
        for pair in plain.operands(var).into_iter().zip(dual.operands(moving)) {
            // A frozen matrix has no gradient.
            let wanted = plain.source(pair.0) != Source::Frozen;
            if wanted && !operands.contains(&pair) {
                operands.push(pair);
            }
        }
        let upstream = direction(seed, 0, plain.elements(var).len());

        // Runs forward over the values of another step.
        let before = plain.elements(var).to_vec();
        plain.elements_mut(var).fill(f64::NAN);
        plain.forward_one(var);
        let same = before.iter().zip(plain.elements(var)).all(|(a, b)| a.to_bits() == b.to_bits());
        if !same {
            self.unwritten.push(name.clone());
            plain.elements_mut(var).copy_from_slice(&before);
        }

        // Runs the vjp into zeros, and into existing gradients.
        let mut send = |there: &dyn Fn(usize, usize) -> Vec<f64>| -> Vec<Vec<f64>> {
            for (k, o) in operands.iter().enumerate() {
                let there = there(k, plain.shape(o.0).len());
                plain.gradient_mut(o.0).iter_mut().zip(there).for_each(|(g, x)| *g = x);
            }
            plain.gradient_elements_mut(var).copy_from_slice(&upstream);
            plain.backward_one(var);
            operands.iter().map(|o| plain.gradient(o.0).iter().copied().collect()).collect()
        };
        let sent = send(&|_, n| vec![0.0; n]);
        let some = |k: usize, n: usize| direction(seed + 100, k as u32, n);
        let after = send(&some);
        self.formula(plain, var, &operands, (&before, &upstream), &sent, seed);

        for (k, (operand, tangent_at)) in operands.iter().enumerate() {
            self.paths += 1;
            let (gradient, n) = (&sent[k], sent[k].len());
            let there = some(k, n);
            let kept: Vec<f64> = (0..n).map(|i| after[k][i] - there[i] - gradient[i]).collect();
            let size = norm(&there) + norm(gradient);
            let place = || format!("{} → {name}", plain.name(*operand));
            let shapes = [*operand, var].map(|v| plain.shape(v));
            let inner_terms = shapes.iter().map(|s| s.rows + s.columns).max().unwrap_or(1);
            let terms = n + before.len();
            worse(&mut self.adds, norm(&kept) / size / rounding(terms, inner_terms), &place);

            let tangent = direction(seed + 200, k as u32, n);
            let mut elements = dual.matrix_mut(*tangent_at);
            elements.iter_mut().zip(&tangent).for_each(|(x, &t)| x.derivative = t);
            dual.forward_one(moving);
            let moved: Vec<f64> = dual.elements(moving).iter().map(|y| y.derivative).collect();
            dual.matrix_mut(*tangent_at).iter_mut().for_each(|x| x.derivative = 0.0);

            let (forward, reverse) = (inner(&upstream, &moved).0, inner(gradient, &tangent).0);
            let own = norm(&upstream) * norm(&moved) + norm(gradient) * norm(&tangent);
            // A derivative may be the remainder of cancelling terms of the size of y/x (a norm of one feature); terms
            // up to a million times larger count, which still detects an error of 10⁻⁷.
            let x = norm(&plain.value(*operand).iter().copied().collect::<Vec<_>>());
            let terms_size = norm(&upstream) * norm(&before) * norm(&tangent) / x;
            // If an operand does not move the output at all (a query with a single key), every term cancels.
            let still = moved.iter().all(|&m| m == 0.0);
            let most = if still { f64::MAX } else { 1e6 * own };
            let size = own + if terms_size.is_finite() { terms_size.min(most) } else { 0.0 };
            let difference = (forward - reverse).abs();
            // Numbers below the smallest normal one have fewer digits.
            let smallest = terms as f64 * f64::MIN_POSITIVE;
            let error = if difference <= smallest { 0.0 } else { difference / size };
            worse(&mut self.adjoint, error / rounding(terms, inner_terms), &place);
            let moves = moved.iter().any(|&m| m.is_nan() || m.abs() >= f64::MIN_POSITIVE);
            if moves && gradient.iter().all(|&g| g == 0.0) {
                self.cut.push(place());
            }
        }
        dual.elements_mut(moving).iter_mut().for_each(|y| y.derivative = 0.0);
    }
}

/// Maximum terms of a formula to evaluate for one operation: some tenths of a second.
const PARTS: u64 = 1 << 23;
/// Elements of each matrix to compare with a formula; all, if there are fewer.
const SAMPLE: usize = 12;

impl Operations {
    /// Compares elements of an operation's output and of its operands' gradients with its formula.
    fn formula(
        &mut self,
        plain: &Tape<f64>,
        var: Var,
        operands: &[(Var, Var)],
        (output, upstream): (&[f64], &[f64]),
        sent: &[Vec<f64>],
        seed: u64,
    ) {
        let Some(formula) = plain.formula(var) else { return };
        let name = format!("{} ({})", plain.name(var), plain.operation(var).unwrap_or_default());
        let slots = plain.operands(var);
        let element = |x: &[f64], shape: Shape, (i, j): (usize, usize)| match i < shape.rows {
            true => x.get(j * shape.rows + i).copied().unwrap_or(f64::NAN),
            false => f64::NAN,
        };
        let read = |of: Matter, i: usize, j: usize| match of {
            Matter::Operand(o) => plain.value(slots[o]).get((i, j)).copied().unwrap_or(f64::NAN),
            Matter::Output => element(output, plain.shape(var), (i, j)),
            Matter::Upstream => element(upstream, plain.shape(var), (i, j)),
            Matter::Table(_) => f64::NAN,
        };
        let mut numbers = formula.numbers(&read, PARTS);
        let random = Random::new(seed, streams::DIRECTIONS, 400);
        let sample = |shape: Shape| -> Vec<(usize, usize)> {
            let n = shape.len();
            let at =
                |k: usize| if n <= SAMPLE { k } else { random.below(k as u64, n as u64) as usize };
            (0..n.min(SAMPLE)).map(at).map(|k| (k % shape.rows, k / shape.rows)).collect()
        };
        // Errors at the largest elements matter most; which elements these are is not compared.
        let mut compare = |states: Option<Part>, found: f64, what: &str, at: (usize, usize)| {
            let Some(part) = states else {
                if self.unstated.last() != Some(&name) {
                    self.unstated.push(name.clone());
                }
                return false;
            };
            let (epsilon, smallest) = (f64::EPSILON, f64::MIN_POSITIVE);
            let bound = part.bound(epsilon, smallest);
            // A bound of ∞ shows nothing.
            if bound.is_finite() {
                self.numbers += 1;
                let error = match (part.makes(found, epsilon, smallest), part.value.is_finite()) {
                    (true, true) => (part.value - found).abs() / bound,
                    (true, false) => 0.0,
                    (false, _) => ((part.value - found).abs() / bound).max(1.0 + f64::EPSILON),
                };
                let (i, j) = at;
                worse(&mut self.stated, error, &|| {
                    let states = part.value;
                    format!(
                        "{what} of {name} at [{i}, {j}]: {found:e} where the formula states {states:e}"
                    )
                });
            }
            true
        };
        for at in sample(plain.shape(var)) {
            let found = element(output, plain.shape(var), at);
            if !compare(numbers.value(at), found, "the value", at) {
                return;
            }
        }
        for ((operand, _), sent) in operands.iter().zip(sent) {
            let moving: Vec<usize> = (0..slots.len())
                .filter(|&slot| slots[slot] == *operand && formula.gradients[slot].is_some())
                .collect();
            if moving.is_empty() {
                continue;
            }
            let what = format!("what {} gets", plain.name(*operand));
            // If most of a gradient is 0, the nonzero elements are compared, too.
            let shape = plain.shape(*operand);
            let moved: Vec<usize> = (0..sent.len()).filter(|&k| sent[k] != 0.0).collect();
            let more = if moved.len() < sent.len() { SAMPLE.min(moved.len()) } else { 0 };
            let some = (0..more).map(|k| moved[k * moved.len() / more]);
            let some = some.map(|k| (k % shape.rows, k / shape.rows));
            for at in sample(shape).into_iter().chain(some) {
                let parts: Option<Vec<Part>> =
                    moving.iter().map(|&slot| numbers.gradient(slot, at)).collect();
                // If an operand occurs twice, two numbers are added.
                let states = parts.map(|parts| match <[Part; 1]>::try_from(parts) {
                    Ok([part]) => part,
                    Err(parts) => {
                        let size: f64 = parts.iter().map(|p| p.value.abs()).sum();
                        let error = parts.iter().map(|p| p.error).sum::<f64>() + size;
                        let value = parts.iter().map(|p| p.value).sum();
                        Part { value, error, what: What::Number }
                    }
                });
                if !compare(states, element(sent, plain.shape(*operand), at), &what, at) {
                    return;
                }
            }
        }
    }
}

/// Keeps the larger error; NaN counts as the largest.
pub(super) fn worse(worst: &mut (f64, String), error: f64, place: &dyn Fn() -> String) {
    let error = if error.is_nan() { f64::INFINITY } else { error };
    if worst.1.is_empty() || error > worst.0 {
        *worst = (error, place());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recording::{Given, Recording};
    use calculus::Recorder;
    use infotheory::cross_entropy::CrossEntropy;
    use linalg::Real;

    /// The logits are parameters: three classes, two tokens.
    struct Logits;

    impl Subject for Logits {
        fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
            let mut r = Recorder::new();
            let logits = r.parameter("logits", Shape::new(3, 2))?;
            let targets = r.input("targets", Shape::new(1, 2))?;
            let loss = r.push("loss", CrossEntropy, [logits, targets])?;
            Ok(Recording::new(r.finish(), loss))
        }

        fn batch(&self, _: u64) -> Vec<Given> {
            vec![Given { name: "targets", elements: vec![0.0, 2.0] }]
        }
    }

    /// A loss of e⁻⁴⁰⁰ has derivatives whose squares underflow, one of e⁻⁷²⁰ subnormal ones, one of e⁻⁸⁰⁰ none: each is the
    /// derivative of its function.
    #[test]
    fn a_memorised_text_has_right_gradients() {
        for gap in [1.0, 30.0, 400.0, 720.0, 744.0, 800.0] {
            let found = operations(&Logits, &[gap, 0.0, 1.0, 0.0, 1.0, gap], 1).unwrap();
            assert!(found.adjoint.0 <= 1.0, "{gap}: {:?}", found.adjoint);
            assert!(found.cut.is_empty() && found.adds.0 <= 1.0, "{gap}: {:?}", found.cut);
        }
    }

    #[test]
    fn a_norm_of_small_numbers_is_not_0() {
        assert_eq!(norm(&[3e-200, 4e-200]), 5e-200);
        assert_eq!(norm(&[0.0, 0.0]), 0.0);
        assert_eq!(norm(&[3.0, 4.0]), 5.0);
        assert!(norm(&[f64::NAN, 0.0]).is_nan() && norm(&[f64::INFINITY]).is_infinite());
    }
}
