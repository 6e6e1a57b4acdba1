//! Logistic regression without a transformer: a loss as a plain function, its gradient in reverse mode, a learning rate
//! from its curvature, gradient descent.
//!
//!     cargo run --release -p glassbox-calculus --example 01_logistic_regression [-- FILE]
//!
//! FILE has one observation per line: numbers, separated by commas; the last is the label, 0 or 1. Without FILE, 400
//! points are generated from P(1 | x, y) = σ(2x − y + ½).

use calculus::activation::sigmoid;
use calculus::optimizer::{Optimizer, Sgd};
use calculus::{clip, gradient, stability, value_and_gradient};
use linalg::Real;
use std::process::ExitCode;

/// An observation: its features and its label.
struct Observation {
    features: Vec<f64>,
    label: bool,
}

/// Returns ln(1 + eᵗ), in a form that does not overflow.
fn softplus<T: Real>(t: T) -> T {
    if t <= T::zero() { t.exp().ln_1p() } else { t + (-t).exp().ln_1p() }
}

/// Returns w·x + b; the last of the parameters is b.
fn score<T: Real>(w: &[T], x: &[f64]) -> T {
    let (bias, w) = w.split_last().expect("a bias");
    w.iter().zip(x).fold(*bias, |sum, (&w, &x)| sum + w * T::from_f64(x))
}

/// Returns −mean ln P(label) in nats, with P(1 | x) = σ(w·x + b): the cross-entropy, and the loss of a language model
/// with two words.
fn loss<T: Real>(w: &[T], data: &[Observation]) -> T {
    let surprisal = |o: &Observation| {
        let z = score(w, &o.features);
        softplus(if o.label { -z } else { z })
    };
    data.iter().map(surprisal).fold(T::zero(), |sum, s| sum + s) / T::from_f64(data.len() as f64)
}

/// Returns points evenly distributed over a square (a Weyl sequence: no random numbers), each with a label from the
/// known model.
fn known_source(n: usize) -> Vec<Observation> {
    let spread = |i: usize, root: f64| (i as f64 * root.sqrt()).fract();
    let point = |i| {
        let (x, y) = (4.0 * spread(i, 2.0) - 2.0, 4.0 * spread(i, 3.0) - 2.0);
        let label = spread(i, 5.0) < sigmoid(2.0 * x - y + 0.5);
        Observation { features: vec![x, y], label }
    };
    (1..=n).map(point).collect()
}

fn read(path: &str) -> Result<Vec<Observation>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let mut data: Vec<Observation> = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |what: String| format!("{path}, line {}: {what}", i + 1);
        let number = |x: &str| match x.trim().parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(x),
            _ => Err(at(format!("{x:?} is no finite number"))),
        };
        let mut features = line.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
        let label = match features.pop() {
            Some(0.0) => false,
            Some(1.0) => true,
            other => return Err(at(format!("the label is {other:?}; 0 or 1 is needed"))),
        };
        if let Some(first) = data.first()
            && first.features.len() != features.len()
        {
            let (found, expected) = (features.len(), first.features.len());
            return Err(at(format!("{found} features, where the first line has {expected}")));
        }
        data.push(Observation { features, label });
    }
    if data.is_empty() {
        return Err(format!("{path}: no observation"));
    }
    standardise(&mut data);
    Ok(data)
}

/// Scales every feature to mean 0 and deviation 1: one learning rate then suits them all.
fn standardise(data: &mut [Observation]) {
    let n = data.len() as f64;
    for j in 0..data[0].features.len() {
        let mean = data.iter().map(|o| o.features[j]).sum::<f64>() / n;
        let square = data.iter().map(|o| (o.features[j] - mean).powi(2)).sum::<f64>() / n;
        let deviation = if square > 0.0 { square.sqrt() } else { 1.0 };
        data.iter_mut().for_each(|o| o.features[j] = (o.features[j] - mean) / deviation);
    }
}

fn main() -> ExitCode {
    let data = match std::env::args().nth(1).map(|path| read(&path)) {
        None => known_source(400),
        Some(Ok(data)) => data,
        Some(Err(what)) => {
            eprintln!("{what}");
            return ExitCode::FAILURE;
        }
    };
    let mut w = vec![0.0; data[0].features.len() + 1];
    // The loss is convex; its curvature is largest where the model is least certain: at w = 0.
    let curvature = match stability::sharpness(|w| loss(w, &data), &w) {
        Ok(curvature) => curvature,
        Err(what) => {
            eprintln!("{what}");
            return ExitCode::FAILURE;
        }
    };
    let rate = 0.5 * stability::limit(curvature, 0.0);
    println!("{} observations, {} parameters", data.len(), w.len());
    println!(
        "largest curvature {curvature:.4}: rates below {:.4} are stable; taken: {rate:.4}\n",
        2.0 * rate
    );
    println!("step   loss (nats)   ‖gradient‖   parameters");
    let mut descent = Sgd::new(w.len(), 0.0);
    for step in 0..=1000 {
        let (value, slope) = value_and_gradient(|w| loss(w, &data), &w);
        if [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].contains(&step) {
            let shown: Vec<String> = w.iter().take(6).map(|w| format!("{w:+.4}")).collect();
            let norm = clip::global_norm(&slope);
            println!("{step:>4}   {value:<11.6}   {norm:<10.2e}   {}", shown.join(" "));
        }
        descent.step(rate, &mut w, &slope);
    }
    let right = data.iter().filter(|o| (score(&w, &o.features) > 0.0) == o.label).count();
    println!("\n{right} of {} labels are the more probable ones", data.len());
    // At the maximum of the likelihood the model's mean probability equals the labels' frequency.
    let mean =
        data.iter().map(|o| sigmoid(score(&w, &o.features))).sum::<f64>() / data.len() as f64;
    let ones = data.iter().filter(|o| o.label).count() as f64 / data.len() as f64;
    let left = gradient(|w| loss(w, &data), &w)[w.len() - 1];
    println!(
        "mean P(1) {mean:.6}, frequency of 1 {ones:.6}: their difference is dL/db = {left:+.1e}"
    );
    ExitCode::SUCCESS
}
