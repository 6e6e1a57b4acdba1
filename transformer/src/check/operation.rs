//! Every operation of a recorded step by itself, at the values that it has there.
//!
//! For an operation y = f(x₁, …) with upstream gradient ȳ, and for each operand: ⟨ȳ, J·ẋ⟩ by dual numbers
//! on the forward code against ⟨Jᵀ·ȳ, ẋ⟩ by the vjp. An operand that moves the output and gets a gradient
//! of exactly zero is a path that was cut. Forward must write what it outputs; vjp must add to what is
//! there.

use super::{Certificate, direction, inner, norm, recorded, rounding};
use crate::ModelError;
use crate::subject::Subject;
use calculus::{Dual, Tape, Var};

/// What is asked of all operations together.
pub(super) const QUESTIONS: [(&str, &str); 4] = [
    ("complete", "no path is cut"),
    ("right", "every operation: ⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩"),
    ("right", "every vjp adds"),
    ("right", "every forward writes its output"),
];

/// What was found over all operations of a step.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    /// Pairs of an operation and an operand.
    pub paths: usize,
    /// Paths that carry a value forward and no gradient back: "operand → value".
    pub cut: Vec<String>,
    /// The worst error of ⟨ȳ, J·ẋ⟩ = ⟨Jᵀ·ȳ, ẋ⟩, in units of its limit, and where.
    pub adjoint: (f64, String),
    /// The worst error of "vjp adds", in units of its limit, and where.
    pub adds: (f64, String),
    /// Values that forward does not write in full.
    pub unwritten: Vec<String>,
}

impl Operations {
    /// The certificates that follow.
    pub fn certificates(&self) -> Vec<Certificate> {
        let paths = self.paths;
        let list = |found: &[String], fine: String| {
            if found.is_empty() { fine } else { found.join("; ") }
        };
        let (cut, unwritten) = (self.cut.len() as f64, self.unwritten.len() as f64);
        let worst = |(error, place): &(f64, String)| (*error, format!("worst: {place}"));
        let (adjoint, adjoint_at) = worst(&self.adjoint);
        let (adds, adds_at) = worst(&self.adds);
        let [no_path, law, add, write] = QUESTIONS;
        vec![
            Certificate::at_most(
                no_path,
                cut,
                0.0,
                list(&self.cut, format!("{paths} paths carry values forward and gradients back")),
            ),
            Certificate::at_most(law, adjoint, 1.0, adjoint_at),
            Certificate::at_most(add, adds, 1.0, adds_at),
            Certificate::at_most(
                write,
                unwritten,
                0.0,
                list(&self.unwritten, "nothing of an earlier step is left".to_owned()),
            ),
        ]
    }
}

/// Tries every operation of a step.
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
        if plain.operation(var).is_some() {
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
            if !operands.contains(&pair) {
                operands.push(pair);
            }
        }
        let upstream = direction(seed, 0, plain.elements(var).len());

        // Forward over what another step left behind.
        let before = plain.elements(var).to_vec();
        plain.elements_mut(var).fill(f64::NAN);
        plain.forward_one(var);
        let same = before.iter().zip(plain.elements(var)).all(|(a, b)| a.to_bits() == b.to_bits());
        if !same {
            self.unwritten.push(name.clone());
            plain.elements_mut(var).copy_from_slice(&before);
        }

        // The vjp into nothing, and into something.
        let mut send = |there: &dyn Fn(usize, usize) -> Vec<f64>| -> Vec<Vec<f64>> {
            for (k, o) in operands.iter().enumerate() {
                let n = plain.elements(o.0).len();
                plain.gradient_elements_mut(o.0).copy_from_slice(&there(k, n));
            }
            plain.gradient_elements_mut(var).copy_from_slice(&upstream);
            plain.backward_one(var);
            operands.iter().map(|o| plain.gradient_elements(o.0).to_vec()).collect()
        };
        let sent = send(&|_, n| vec![0.0; n]);
        let some = |k: usize, n: usize| direction(seed + 100, k as u32, n);
        let after = send(&some);

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
            let elements = dual.elements_mut(*tangent_at);
            elements.iter_mut().zip(&tangent).for_each(|(x, &t)| x.derivative = t);
            dual.forward_one(moving);
            let moved: Vec<f64> = dual.elements(moving).iter().map(|y| y.derivative).collect();
            dual.elements_mut(*tangent_at).iter_mut().for_each(|x| x.derivative = 0.0);

            let (forward, reverse) = (inner(&upstream, &moved).0, inner(gradient, &tangent).0);
            let own = norm(&upstream) * norm(&moved) + norm(gradient) * norm(&tangent);
            // A derivative may be what terms of the size of y/x leave when they cancel (a norm of one
            // feature); up to a million times larger ones count, which still shows an error of 10⁻⁷.
            let x = norm(plain.elements(*operand));
            let terms_size = norm(&upstream) * norm(&before) * norm(&tangent) / x;
            let size = own + if terms_size.is_finite() { terms_size.min(1e6 * own) } else { 0.0 };
            let difference = (forward - reverse).abs();
            let error = if difference == 0.0 { 0.0 } else { difference / size };
            worse(&mut self.adjoint, error / rounding(terms, inner_terms), &place);
            if moved.iter().any(|&m| m != 0.0) && gradient.iter().all(|&g| g == 0.0) {
                self.cut.push(place());
            }
        }
        dual.elements_mut(moving).iter_mut().for_each(|y| y.derivative = 0.0);
    }
}

/// Keeps the larger error; one that is not a number is the largest.
pub(super) fn worse(worst: &mut (f64, String), error: f64, place: &dyn Fn() -> String) {
    let error = if error.is_nan() { f64::INFINITY } else { error };
    if worst.1.is_empty() || error > worst.0 {
        *worst = (error, place());
    }
}
