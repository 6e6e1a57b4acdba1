//! Dual = reverse = difference, for every function of the mathematics crates.
//!
//! Each public function that is generic over the scalar is run on four scalars and differentiated by three routes:
//! forward mode, reverse mode, and a central difference of the same function in `f64`; its Taylor series is the
//! fourth witness. How far two routes may differ is not chosen. The scalars are `Dual<Bounded>`, `Traced<Bounded>`
//! and `Series<Bounded, 6>` ([`tests::bounded`]): each derivative comes with a bound of its rounding errors, and
//! the series knows what a central difference leaves out.
//!
//! That none is forgotten is held by name: a scan of the sources ([`tests::sources`]) lists every public function of
//! numbers; one with neither a case here nor a reason in `reasons.rs` fails. A function from which an operation of its file makes its
//! value needs none: `laws.rs` and `formulas.rs` try every operation.

mod calculus;
mod infotheory;
mod linalg;
mod probability;
mod reasons;

use ::calculus::check::{central_difference, difference_step};
use ::calculus::taylor::{Series, expand_along};
use ::calculus::{Dual, Traced, directional_derivative, gradient};
use ::linalg::{Real, vector};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use tests::bounded::{Bounded, with_path};
use tests::sources::{self, MATHEMATICS};
use tests::tolerance::MISTAKE;

/// Variables of every case.
const N: usize = 9;

type F<T> = fn(&[T]) -> T;

/// One number made by one function, or by several that belong together, from nine.
struct Case {
    /// The functions, by their path within the crate.
    covers: &'static [&'static str],
    /// The case as it is written.
    written: &'static str,
    plain: F<f64>,
    bounded: F<Bounded>,
    dual: F<Dual<Bounded>>,
    traced: F<Traced<Bounded>>,
    series: F<Series<Bounded, 6>>,
}

/// The same function at every scalar.
macro_rules! cases {
    ($($($name:literal)* => $f:expr;)*) => {
        vec![$($crate::every_derivative::Case {
            covers: &[$($name),*],
            written: stringify!($f),
            plain: $f,
            bounded: $f,
            dual: $f,
            traced: $f,
            series: $f,
        }),*]
    };
}
pub(crate) use cases;

/// All elements, each with a weight of its own: one number that sees them all.
fn seen<T: Real>(x: &[T]) -> T {
    vector::sum_of(x.len(), |i| x[i] * T::from_f64((i as f64 * 0.7).cos()))
}

/// What a place says of a case.
#[derive(Debug, PartialEq)]
enum Said {
    /// All routes agree within their bounds, and so closely that a mistake would show.
    Agreed,
    /// They agree within bounds too wide for a mistake to show.
    Little,
    /// There is a kink within the difference's step.
    Kink,
}

impl Case {
    fn name(&self) -> String {
        self.covers.join(", ")
    }

    /// Compares all routes at `x` along `v`.
    fn at(&self, x: &[f64], v: &[f64]) -> Result<Said, String> {
        let exactly = |x: &[f64]| x.iter().map(|&x| Bounded::exact(x)).collect::<Vec<_>>();
        let (places, directions) = (exactly(x), exactly(v));
        let forward = directional_derivative(self.dual, &places, &directions);
        let terms = gradient(self.traced, &places);
        let reverse =
            terms.iter().zip(&directions).fold(Bounded::exact(0.0), |s, (&g, &v)| s + g * v);
        let series = *expand_along(self.series, &places, &directions).coefficients();
        let (value, path) = with_path(|| (self.bounded)(&places));
        let apart = |what: &str, a: f64, b: f64, bound: f64| {
            // Written so that NaN is refused.
            let close = (a - b).abs() <= bound;
            close.then_some(()).ok_or(format!("{what}: {a:e} and {b:e} are not within {bound:e}"))
        };
        apart("dual, reverse", forward.value, reverse.value, forward.reach() + reverse.reach())?;
        apart("dual, series", forward.value, series[1].value, forward.reach() + series[1].reach())?;
        // The kernels of f64 add up in another order: as many roundings of the same terms.
        let found = (self.plain)(x);
        apart("value", value.value, found, 4.0 * value.reach() + 4.0 * f64::EPSILON * found.abs())?;

        // The difference is off by what it leaves out, h²·c₃ + h⁴·c₅ + …, and by the rounding of places and values.
        let largest = |x: &[f64]| x.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let (length, step) = (largest(v), difference_step(largest(x)));
        if length < 1e-3 {
            return Ok(Said::Little);
        }
        let h = step / length;
        let size = |c: Bounded| c.value.abs() + c.reach();
        let truncation = 2.0 * (h * h * size(series[3]) + h.powi(4) * size(series[5]));
        let moved = |h: f64| {
            let there =
                x.iter().zip(v).map(|(x, v)| Bounded::rounded(x + h * v)).collect::<Vec<_>>();
            with_path(|| (self.bounded)(&there))
        };
        let ((ahead, path_ahead), (behind, path_behind)) = (moved(h), moved(-h));
        if path_ahead != path || path_behind != path {
            return Ok(Said::Kink);
        }
        let rounding = 4.0 * (ahead.reach() + behind.reach()) / (2.0 * h);
        let difference = central_difference(self.plain, x, v);
        let bound = truncation + rounding + forward.reach();
        apart("dual, difference", forward.value, difference, bound)?;
        let size = 1.0 + forward.value.abs();
        let close = |other: f64| (forward.value - other).abs() <= MISTAKE * size;
        let told = close(reverse.value) && close(series[1].value) && close(difference);
        Ok(if told { Said::Agreed } else { Said::Little })
    }
}

fn holds(cases: Vec<Case>) {
    for case in cases {
        let (places, told, kinks) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
        let numbers = |range: std::ops::Range<f64>| prop::collection::vec(range, N);
        let found = TestRunner::new(Config { failure_persistence: None, ..Config::default() }).run(
            &(numbers(-2.0..2.0), numbers(-1.0..1.0)),
            |(x, v)| {
                let said = case.at(&x, &v).map_err(TestCaseError::fail)?;
                places.set(places.get() + 1);
                told.set(told.get() + u32::from(said == Said::Agreed));
                kinks.set(kinks.get() + u32::from(said == Said::Kink));
                Ok(())
            },
        );
        assert!(found.is_ok(), "{}: {}", case.name(), found.unwrap_err());
        let (places, told, kinks) = (places.get(), told.get(), kinks.get());
        let few = format!("{told} of {places} places say anything, {kinks} have a kink");
        assert!(2 * told > places, "{}: {few}", case.name());
    }
}

#[test]
fn of_linear_algebra() {
    holds(linalg::cases());
}

#[test]
fn of_probability() {
    holds(probability::cases());
}

#[test]
fn of_calculus() {
    holds(calculus::cases());
}

#[test]
fn of_information_theory() {
    holds(infotheory::cases());
}

/// Every case's functions by their full path, with the case and the source that it stands in.
fn covered() -> Vec<(String, &'static str, &'static str)> {
    let all = [
        ("linalg", linalg::cases(), include_str!("linalg.rs")),
        ("probability", probability::cases(), include_str!("probability.rs")),
        ("calculus", calculus::cases(), include_str!("calculus.rs")),
        ("infotheory", infotheory::cases(), include_str!("infotheory.rs")),
    ];
    let mut found = Vec::new();
    for (crate_name, cases, source) in all {
        for case in cases {
            found.extend(
                case.covers
                    .iter()
                    .map(|name| (format!("{crate_name}::{name}"), case.written, source)),
            );
        }
    }
    found
}

#[test]
fn no_function_is_forgotten() {
    let functions = sources::functions(&MATHEMATICS);
    let cases: BTreeSet<String> = covered().into_iter().map(|(name, ..)| name).collect();
    let mut excused: BTreeMap<String, &str> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (reason, names) in reasons::REASONS {
        for name in *names {
            // `module::Type::` stands for every method of the type.
            let matching: Vec<&String> = functions
                .keys()
                .filter(|path| match name.ends_with("::") {
                    true => path.starts_with(name),
                    false => path == name,
                })
                .collect();
            if matching.is_empty() {
                wrong.push(format!("{name} has a reason and does not exist"));
            }
            for path in matching {
                if excused.insert(path.clone(), reason).is_some() {
                    wrong.push(format!("{path} has two reasons"));
                }
            }
        }
    }
    for name in &cases {
        if !functions.contains_key(name) {
            wrong.push(format!("{name} has a case and does not exist"));
        }
    }
    for (path, function) in &functions {
        match (cases.contains(path), excused.get(path)) {
            (false, None) if function.of_an_operation => {}
            (false, None) => wrong.push(format!("{path} has neither a case nor a reason")),
            (true, Some(reason)) => {
                wrong.push(format!("{path} has a case, and a reason: {reason}"))
            }
            (true, None) => {}
            // What cannot be differentiated says so where its reader looks.
            (false, Some(reason)) if [reasons::F64, reasons::MEASURED].contains(reason) => {
                let scalar = function.generic == (*reason == reasons::MEASURED);
                if !scalar || !function.documentation.contains("f64") {
                    wrong.push(format!("{path}: {reason}, and its documentation does not say f64"));
                }
            }
            (false, Some(_)) => {}
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    println!(
        "{} functions: {} with a case, {} with a reason",
        functions.len(),
        cases.len(),
        excused.len()
    );
}

#[test]
fn every_case_calls_what_it_covers() {
    let mut wrong = Vec::new();
    for (path, written, source) in covered() {
        let name = path.rsplit("::").next().expect("a name");
        // A case that is a function of its own is read where that function is.
        let body = match written.contains('|') {
            true => written,
            false => {
                let own = source.split(&format!("fn {written}<")).nth(1).unwrap_or_default();
                own.split("\nfn ").next().unwrap_or_default()
            }
        };
        if !sources::has_word(body, name) {
            wrong.push(format!("{path} is not called in {written}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// At zeros, ones and ties, which drawn numbers never hit and where branches meet: where the function itself has one
/// slope (its differences to the left and to the right agree), that is its derivative. Forward, reverse and Taylor agree on
/// a wrong one, as for a smooth function that is written through |x|.
#[test]
fn where_branches_meet_the_slope_is_the_functions_own() {
    let places: [[f64; N]; 7] = [
        [0.0; N],
        [-0.0; N],
        [1.0; N],
        [-1.0; N],
        [0.5; N],
        std::array::from_fn(|i| (i % 2) as f64),
        std::array::from_fn(|i| (i % 3) as f64 * 0.5),
    ];
    let directions: [[f64; N]; 3] = [
        [1.0; N],
        std::array::from_fn(|i| (i as f64 * 1.3).cos()),
        std::array::from_fn(|i| (i as f64 * 0.9).sin() - 0.3),
    ];
    let all = [linalg::cases(), probability::cases(), calculus::cases(), infotheory::cases()];
    let (mut compared, mut wrong) = (0, Vec::new());
    // Spans of zeros, and powers of a matrix whose eigenvalues meet, have a slope in every direction, which is no
    // linear function of the direction.
    const CONES: [&str; 3] =
        ["krylov::power_iteration", "projection::away_from_span", "projection::onto_span"];
    let smooth = |case: &&Case| !CONES.iter().any(|name| case.covers.contains(name));
    for case in all.iter().flatten().filter(smooth) {
        for (x, v) in places.iter().flat_map(|x| directions.iter().map(move |v| (x, v))) {
            // A case may not be made for such a place: a list of zeros is no distribution.
            let at = |h: f64| {
                let moved: Vec<f64> = x.iter().zip(v).map(|(x, v)| x + h * v).collect();
                std::panic::catch_unwind(|| (case.plain)(&moved)).ok().filter(|y| y.is_finite())
            };
            const H: f64 = 1e-6;
            let (Some(here), Some(right), Some(left)) = (at(0.0), at(H), at(-H)) else { continue };
            let (left, right) = ((here - left) / H, (right - here) / H);
            // One-sided differences of a smooth function differ by H·f″, and by rounding: ε·f/H.
            let size = 1.0 + left.abs() + here.abs();
            if (left - right).abs() > 1e-4 * size {
                continue;
            }
            let exactly = |x: &[f64]| x.iter().map(|&x| Bounded::exact(x)).collect::<Vec<_>>();
            let found = directional_derivative(case.dual, &exactly(x), &exactly(v)).value;
            compared += 1;
            let off = (found - 0.5 * (left + right)).abs();
            if off.is_nan() || off > 2e-4 * size {
                wrong.push(format!("{} at {x:?} along {v:?}: {found}, not {left}", case.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 1000, "{compared}");
}

/// At a zero that drawn numbers never hit: a factor of 0 leaves the other factor as its slope.
#[test]
fn where_a_factor_is_zero_its_slope_is_not() {
    use ::infotheory::cross_entropy::cross_entropy;
    use ::infotheory::objective::label_smoothing;
    use ::probability::{Categorical, layer_norm::standardise, rms_norm::rms_norm};
    let close = |found: &[f64], right: &[f64]| {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-14 * b.abs().max(1.0);
        assert!(
            found.len() == right.len() && found.iter().zip(right).all(near),
            "{found:?}, {right:?}"
        );
    };
    let by_duals = |f: F<Dual<f64>>, x: &[f64], i: usize| {
        let x = x.iter().enumerate().map(|(j, &x)| Dual::new(x, f64::from(u8::from(i == j))));
        f(&x.collect::<Vec<_>>()).derivative
    };
    let both = |dual: F<Dual<f64>>, traced: F<Traced<f64>>, x: &[f64], right: &[f64]| {
        let forward: Vec<f64> = (0..x.len()).map(|i| by_duals(dual, x, i)).collect();
        close(&forward, right);
        close(&gradient(traced, x), right);
    };
    macro_rules! both {
        ($f:expr, $x:expr, $right:expr) => {
            both($f, $f, &$x, &$right)
        };
    }
    // (x − µ)/√(σ² + ε) where all are equal, ε = 10⁻⁴: (1 − ⅓)/√ε; x/√ε at 0.
    both!(
        |x| standardise(x, 1e-4).expect("ε")[0],
        [3.0; 3],
        [200.0 / 3.0, -100.0 / 3.0, -100.0 / 3.0]
    );
    both!(
        |x| rms_norm(x, &[Real::from_f64(1.0), Real::from_f64(1.0)], 1e-4).expect("ε")[1],
        [0.0; 2],
        [0.0, 100.0]
    );
    // −Σ p ln q: the slope in p is −ln q, also of what does not happen; that in q is −p/q.
    both!(
        |x| cross_entropy(&x[..2], &x[2..]).expect("distributions").0,
        [1.0, 0.0, 0.75, 0.25],
        [-0.75_f64.ln(), -0.25_f64.ln(), -1.0 / 0.75, 0.0]
    );
    // Σ p f: the slope in p is f.
    both!(
        |x| Categorical::from_probabilities(&x[..2])
            .expect("a distribution")
            .expectation(|i| x[2 + i]),
        [1.0, 0.0, 5.0, 7.0],
        // Probabilities are divided by their sum: f(i) − E[f].
        [0.0, 2.0, 1.0, 0.0]
    );
    // (1 − α)·plain + α·mean, from both ends of α: mean − plain.
    let slope = 1.48;
    for alpha in [0.0, 1.0] {
        let f = |x: &[Dual<f64>]| {
            let logits = [2.0, 1.0, 0.5, -1.0, 0.1].map(Dual::constant);
            label_smoothing::of_logits(&logits, 0, x[0]).expect("finite").0
        };
        close(&[by_duals(f, &[alpha], 0)], &[slope]);
    }
}

/// A rule with a mistake of a thousandth is found by the same comparison that all others pass.
#[test]
fn a_mistake_shows() {
    /// √ whose derivative is 1.001 times what it is: through `f64`, which carries none.
    fn skewed<T: Real>(x: &[T]) -> T {
        let y = (x[0] * x[0] + T::one()).sqrt();
        let constant = T::from_f64(y.to_f64());
        y + (y - constant) * T::from_f64(1e-3)
    }
    let wrong = &cases! { "none" => skewed; }[0];
    let mut x = [0.0; N];
    x[0] = 0.7;
    let error = wrong.at(&x, &[1.0; N]).unwrap_err();
    assert!(error.starts_with("dual, difference"), "{error}");
    let right = &cases! { "none" => |x| x[0].exp().sqrt(); }[0];
    assert_eq!(right.at(&x, &[1.0; N]), Ok(Said::Agreed));
    // A kink within the step is no mistake.
    let kink = &cases! { "none" => |x| x[0].abs(); }[0];
    x[0] = 1e-7;
    assert_eq!(kink.at(&x, &[1.0; N]), Ok(Said::Kink));
}
