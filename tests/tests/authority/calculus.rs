//! Derivatives, optimisers, clipping and schedules against PyTorch, SciPy, NumPy and mpmath: the table
//! `authority/calculus.json`, made by the script beside it.

use calculus::activation::{gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu};
use calculus::landscape::{Bowl, Field, Himmelblau, MonkeySaddle, Rosenbrock};
use calculus::optimizer::{Adam, Lion, Nesterov, Optimizer, RmsProp, Sgd};
use calculus::schedule::{Plateau, Schedule};
use calculus::taylor::{self, Series};
use calculus::{
    Dual, clip, depth, derivative, gradient, hessian, hessian_vector_product, jacobian,
    jacobian_by_rows, stationary, value_and_gradient,
};
use linalg::Real;
use tests::authority::{Entry, relative_error, table};

/// The bound of the whole table: a few dozen roundings of 2⁻⁵³, and those of exponents of up to 1400.
const BOUND: f64 = 1e-12;

#[test]
fn every_value_is_the_authority_s() {
    let table = table("calculus");
    let mut compared = 0;
    for entry in &table {
        for (route, found) in routes(entry) {
            assert_eq!(found.len(), entry.expected.len(), "{} by {route}", entry.function);
            for (i, (&found, &expected)) in found.iter().zip(&entry.expected).enumerate() {
                let error = relative_error(found, expected);
                assert!(
                    error <= BOUND,
                    "{} by {route}, value {i}: {found:e}, but {} has {expected:e} (off by {error:.1e})\n{:?}",
                    entry.function,
                    entry.source,
                    entry.inputs
                );
                compared += 1;
            }
        }
    }
    println!("{} entries, {compared} values compared", table.len());
    assert!(compared >= 600, "{compared}");
}

/// Our values of an entry, by every route that there is.
fn routes(entry: &Entry) -> Vec<(&'static str, Vec<f64>)> {
    let x = &entry.inputs;
    if let Some(name) = entry.function.strip_prefix("taylor of ") {
        let series = taylor::expand::<f64, 8>(|x| by_name(name, x), x[0][0]);
        let dual = by_name(name, Dual::variable(x[0][0]));
        let start = series.coefficients();
        // The first two coefficients by another scalar.
        let (mut mixed, one) = (start.to_vec(), [dual.value, dual.derivative]);
        mixed[..2].copy_from_slice(&one);
        return vec![("series", start.to_vec()), ("dual numbers", mixed)];
    }
    if let Some(name) = entry.function.strip_suffix(" at the kink") {
        let y = by_name(name, Dual::variable(x[0][0]));
        let (value, slope) = value_and_gradient(|x| by_name(name, x[0]), &x[0]);
        return vec![
            ("dual numbers", vec![y.value, y.derivative]),
            ("a trace", vec![value, slope[0]]),
        ];
    }
    match entry.function.as_str() {
        "rosenbrock" => vec![("value", vec![Rosenbrock.at(&x[0])])],
        "rosenbrock gradient" => vec![
            ("reverse mode", gradient(|x| Rosenbrock.at(x), &x[0])),
            ("forward mode", jacobian(|x| vec![Rosenbrock.at(x)], &x[0]).as_slice().to_vec()),
        ],
        "rosenbrock hessian" => {
            let found = hessian(|x| Rosenbrock.at(x), &x[0]);
            // An independent route, forward over forward.
            let slopes =
                |x: &[Dual<f64>]| jacobian(|x| vec![Rosenbrock.at(x)], x).as_slice().to_vec();
            let jacobian = jacobian(slopes, &x[0]);
            vec![("hessian", found.as_slice().to_vec()), ("jacobian", jacobian.as_slice().to_vec())]
        }
        "rosenbrock hvp" => {
            let found = hessian_vector_product(|x| Rosenbrock.at(x), &x[0], &x[1]);
            vec![("forward over reverse", found)]
        }
        "rosenbrock curvatures" => {
            let found = stationary::curvatures(&hessian(|x| Rosenbrock.at(x), &x[0]));
            vec![("spectrum", found.expect("a symmetric matrix"))]
        }
        name if landscape(name, &x[0]).is_some() => landscape(name, &x[0]).into_iter().collect(),
        "logistic regression" => {
            let (value, slope) = value_and_gradient(|w| logistic(w, &x[0], &x[1]), &x[2]);
            vec![("reverse mode", [vec![value], slope].concat())]
        }
        "logistic regression hessian" => {
            let found = hessian(|w| logistic(w, &x[0], &x[1]), &x[2]);
            vec![("forward over reverse", found.as_slice().to_vec())]
        }
        "softmax jacobian" => vec![
            ("columns", jacobian(softmax, &x[0]).as_slice().to_vec()),
            ("rows", jacobian_by_rows(softmax, &x[0]).as_slice().to_vec()),
        ],
        "sgd" | "momentum" | "nesterov" | "rmsprop" | "adam" | "adamw" | "lion" => {
            vec![("steps", trajectory(&entry.function, &x[0], &x[1], &x[2]))]
        }
        "clip by norm" => {
            let mut g = x[1].clone();
            let norm = clip::by_global_norm(&mut g, x[0][0]);
            vec![("norm and gradients", [vec![norm], g].concat())]
        }
        "clip by value" => {
            let mut g = x[1].clone();
            clip::by_value(&mut g, x[0][0]);
            vec![("gradients", g)]
        }
        "cosine" | "linear" | "staircase" => {
            let schedule = schedule(&entry.function, &x[0]);
            let steps = 0..entry.expected.len() as u64;
            vec![("rates", steps.map(|step| schedule.rate(step)).collect())]
        }
        "plateau" => {
            let mut plateau = Plateau::new(x[0][0], x[0][1], x[0][2] as u64, x[0][3]);
            vec![("rates", x[1].iter().map(|&loss| plateau.rate(loss)).collect())]
        }
        "depth" => vec![("factors", chain(&x[0]))],
        name => {
            let series = taylor::expand::<f64, 3>(|x| by_name(name, x), x[0][0]);
            let first = |x: Dual<f64>| derivative(|x| by_name(name, x), x);
            let nested = first(Dual::variable(x[0][0]));
            let found: Vec<f64> = (0..3).map(|k| series.derivative(k)).collect();
            vec![
                ("series", found.clone()),
                (
                    "nested dual numbers",
                    vec![by_name(name, x[0][0]), nested.value, nested.derivative],
                ),
            ]
        }
    }
}

/// Value, gradient or Hessian of one of the landscapes that PyTorch differentiates.
fn landscape(name: &str, x: &[f64]) -> Option<(&'static str, Vec<f64>)> {
    fn of(f: &impl Field, what: &str, x: &[f64]) -> Option<(&'static str, Vec<f64>)> {
        match what {
            "" => Some(("value", vec![f.at(x)])),
            " gradient" => Some(("reverse mode", gradient(|x| f.at(x), x))),
            " hessian" => {
                Some(("forward over reverse", hessian(|x| f.at(x), x).as_slice().to_vec()))
            }
            _ => None,
        }
    }
    if let Some(what) = name.strip_prefix("bowl") {
        return of(&Bowl(&[2.0, 8.0, -1.0]), what, x);
    }
    if let Some(what) = name.strip_prefix("himmelblau") {
        return of(&Himmelblau, what, x);
    }
    name.strip_prefix("monkey saddle").and_then(|what| of(&MonkeySaddle, what, x))
}

/// A function of one variable.
fn by_name<T: Real>(name: &str, x: T) -> T {
    match name {
        "relu" => relu(x),
        "leaky_relu" => leaky_relu(x, 0.01),
        "sigmoid" => sigmoid(x),
        "gelu" => gelu(x),
        "gelu_tanh" => gelu_tanh(x),
        "silu" => silu(x),
        "tanh" => x.tanh(),
        "exp" => x.exp(),
        "ln" => x.ln(),
        "ln_1p" => x.ln_1p(),
        "sqrt" => x.sqrt(),
        "erf" => x.erf(),
        "erfc" => x.erfc(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "abs" => x.abs(),
        "reciprocal" => T::one() / (T::one() + x * x),
        name => panic!("{name}: the table has a function that this test has not"),
    }
}

/// −mean ln p(label) of points in the plane, with weights (w₀, w₁) and bias w₂.
fn logistic<T: Real>(w: &[T], points: &[f64], labels: &[f64]) -> T {
    let surprisal = |(x, &label): (&[f64], &f64)| {
        let z = T::from_f64(x[0]) * w[0] + T::from_f64(x[1]) * w[1] + w[2];
        let toward = if label == 1.0 { z } else { -z };
        -sigmoid(toward).ln()
    };
    let total = points.chunks(2).zip(labels).map(surprisal).fold(T::zero(), |sum, x| sum + x);
    total / T::from_f64(labels.len() as f64)
}

fn softmax<T: Real>(z: &[T]) -> Vec<T> {
    let e: Vec<T> = z.iter().map(|z| z.exp()).collect();
    let sum = e.iter().fold(T::zero(), |sum, &e| sum + e);
    e.into_iter().map(|e| e / sum).collect()
}

/// Parameters after every step, one gradient after another.
fn trajectory(name: &str, settings: &[f64], start: &[f64], gradients: &[f64]) -> Vec<f64> {
    let n = start.len();
    let all = || std::iter::once(0..n).collect();
    let mut rule: Box<dyn Optimizer<f64>> = match name {
        "sgd" => Box::new(Sgd::new(n, 0.0)),
        "momentum" => Box::new(Sgd::new(n, settings[1])),
        "nesterov" => Box::new(Nesterov::new(n, settings[1])),
        "rmsprop" => Box::new(RmsProp::new(n, settings[1], settings[2])),
        "lion" => Box::new(Lion::new(n, settings[1], settings[2]).with_decay(settings[3], all())),
        _ => Box::new(
            Adam::new(n, settings[1], settings[2], settings[3]).with_decay(settings[4], all()),
        ),
    };
    let (mut w, mut after) = (start.to_vec(), Vec::new());
    for g in gradients.chunks(n) {
        rule.step(settings[0], &mut w, g);
        after.extend_from_slice(&w);
    }
    after
}

fn schedule(name: &str, settings: &[f64]) -> Schedule {
    let (peak, second, third) = (settings[0], settings[1], settings[2] as u64);
    match name {
        "staircase" => Schedule::Step { peak, factor: second, every: third },
        _ => {
            let (minimum, warmup, total) = (second, third, settings[3] as u64);
            match name {
                "cosine" => Schedule::Cosine { peak, minimum, warmup, total },
                _ => Schedule::Linear { peak, minimum, warmup, total },
            }
        }
    }
}

/// The last value of σ(w·x), or x + σ(w·x), layer on layer, and its derivative by the first.
fn chain(settings: &[f64]) -> Vec<f64> {
    let (layers, w, x) = (settings[0] as usize, settings[1], settings[2]);
    fn layer<T: Real>(w: f64, residual: f64, x: T) -> T {
        T::from_f64(residual) * x + sigmoid(T::from_f64(w) * x)
    }
    let residual = settings[3];
    let factors = depth::factors(layers, |_, x| layer(w, residual, x), x);
    let last = (0..layers).fold(x, |x, _| layer(w, residual, x));
    vec![last, depth::gradients(&factors)[0]]
}

#[test]
fn a_series_of_three_terms_is_a_second_derivative() {
    // What the table's second derivatives are read from.
    let x = Series::<f64, 3>::variable(2.0);
    assert_eq!((x * x * x).derivative(2), 12.0);
}
