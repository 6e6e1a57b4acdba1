//! Every function of the mathematics crates, on every kind of number.
//!
//! Each public function of numbers runs on a grid: decades from the smallest subnormal to the largest float, ±0, vectors
//! of lengths 0, 1, 2, 3, 17 and a million that mix sizes and cancel, in `f32` and in `f64`; then ±∞ and NaN. What it gives is
//! compared with a reference of any precision ([`tests::exact`]): the same generic function on numbers that lose nothing, or
//! a formula of the case's own.
//!
//! The laws:
//! * where the reference is a number of the scalar, so is the result, and it is within the case's bound;
//! * an error comes where the reference has one, or for a reason that the case names;
//! * a NaN that goes in comes out as one or as an error;
//! * nothing panics, and every case ends.
//!
//! A bound counts units of rounding, ε; [`Unit`] says of what. Below the normal numbers a unit is the smallest subnormal.
//!
//! `cargo test -p tests --test mathematics every_number -- --nocapture` prints every function with the number of inputs, the
//! worst error and the bound. GRID=softmax tries the functions of that name alone, GRID_DEEP=1 all inputs and not a quarter.
//!
//! That none is forgotten is held by name, as in `every_derivative`. An operation needs no case here: of one number, its
//! value and slope run on the grid by themselves; `formulas.rs` and `laws.rs` try all.

// A case is a closure in which `?` may stand; NaN must pass no comparison; x − x is NaN where x is no number.
#![allow(
    clippy::redundant_closure_call,
    clippy::neg_cmp_op_on_partial_ord,
    clippy::eq_op,
    clippy::type_complexity
)]

mod calculus;
mod definitions;
mod evaluation;
mod infotheory;
mod inputs;
mod linalg;
mod probability;
mod reasons;
mod run;
mod said;

use ::calculus::{Dual, activation::Activation};
use ::linalg::{Matrix, Primitive, Real, Shape, apply, cases::Size, vector};
use inputs::Inputs;
use run::OPEN;
use said::{Refused, Said, said};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tests::exact::Exact;
use tests::law;
use tests::registry::{self, Visitor, by_head};
use tests::sources::{self, MATHEMATICS};

/// What a bound counts in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// ε·|f|.
    Result,
    /// ε·|f|; where that does not do, ε·(|f| + Σ |xⱼ·∂f/∂xⱼ|): what inputs that are off by ε of themselves do to it.
    Conditioned,
    /// ε·max |f|; where that does not do, ε·(max |f| + max |x|·Σ |∂f/∂xⱼ|): what a matrix whose elements are off by ε
    /// of the largest does to it. Of a matrix that is singular to that precision nothing is promised.
    Normwise,
    /// ε·max |f|, over all results of the function.
    Whole,
}

/// A function on one scalar.
type On<T> = Box<dyn Fn(&[T]) -> Said<T>>;

/// What the results of a case are.
enum Reference {
    /// To be compared with what this gives.
    Exact(On<Exact>),
    /// Errors in ε, measured by the case itself: none above its bound.
    Measured,
}

/// A function, or several that belong together, and how far it may be off.
struct Case {
    covers: &'static [&'static str],
    written: &'static str,
    inputs: Inputs,
    unit: Unit,
    bound: f64,
    /// Parts of messages of errors that may come where the reference has none.
    refuses: &'static [&'static str],
    single: Option<On<f32>>,
    double: On<f64>,
    reference: Reference,
    /// Whether the reference is a formula of the case's own, which says nothing of ±∞.
    own: bool,
}

/// Generic functions: on `f32`, on `f64`, and, unless another reference follows, exactly.
macro_rules! cases {
    ($($($name:literal)+ , $inputs:expr, $unit:ident $bound:literal
        $(, unless $refuses:expr)? => |$x:ident| $body:expr $(, as |$y:ident| $reference:expr)? ;)*) => {
        vec![$($crate::every_number::Case {
            covers: &[$($name),+],
            written: stringify!($body),
            inputs: $inputs,
            unit: $crate::every_number::Unit::$unit,
            bound: $bound,
            refuses: cases!(@or &[] $(, &$refuses)?),
            single: Some(Box::new(|$x: &[f32]| $crate::every_number::said((|| Ok($body))()))),
            double: Box::new(|$x: &[f64]| $crate::every_number::said((|| Ok($body))())),
            reference: $crate::every_number::Reference::Exact(cases!(@or
                Box::new(|$x: &[$crate::every_number::Exact]| $crate::every_number::said((|| Ok($body))()))
                $(, Box::new(|$y: &[$crate::every_number::Exact]| $crate::every_number::said((|| Ok($reference))())))?)),
            own: cases!(@or false $(, { let _ = stringify!($reference); true })?),
        }),*]
    };
    (@or $default:expr) => { $default };
    (@or $default:expr, $given:expr) => { $given };
}
/// Functions of `f64`, with a reference; or that measure their own error, in ε.
macro_rules! doubles {
    ($($($name:literal)+ , $inputs:expr, $unit:ident $bound:literal
        $(, unless $refuses:expr)? => |$x:ident| $body:expr $(, as |$y:ident| $reference:expr)? ;)*) => {
        vec![$($crate::every_number::Case {
            covers: &[$($name),+],
            written: stringify!($body),
            inputs: $inputs,
            unit: $crate::every_number::Unit::$unit,
            bound: $bound,
            refuses: cases!(@or &[] $(, &$refuses)?),
            single: None,
            double: Box::new(|$x: &[f64]| $crate::every_number::said((|| Ok($body))())),
            reference: cases!(@or $crate::every_number::Reference::Measured
                $(, $crate::every_number::Reference::Exact(Box::new(
                    |$y: &[$crate::every_number::Exact]| $crate::every_number::said((|| Ok($reference))()))))?),
            own: true,
        }),*]
    };
}
pub(crate) use {cases, doubles};

/// How long one case may take: an endless one fails, a slow machine does not.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs all cases, one after the other, and prints a line for each.
fn holds(crate_name: &'static str, cases: fn() -> Vec<Case>) {
    let begun = Arc::new(Mutex::new((String::new(), Instant::now())));
    let (send, receive) = mpsc::channel();
    let seen = Arc::clone(&begun);
    // A name alone, or the beginning of one: GRID=softmax.
    let only = std::env::var("GRID").unwrap_or_default();
    std::thread::spawn(move || {
        for case in cases().iter().filter(|case| case.name().contains(&only)) {
            *seen.lock().expect("no panic while it is held") = (case.name(), Instant::now());
            let start = Instant::now();
            let outcome = case.run();
            let done = (case.name(), case.bound, case.unit, outcome, start.elapsed());
            if send.send(done).is_err() {
                return;
            }
        }
    });
    let mut faults = Vec::new();
    loop {
        match receive.recv_timeout(Duration::from_secs(1)) {
            Ok((name, bound, unit, outcome, time)) => {
                println!(
                    "{crate_name}::{name}: {} inputs, worst {:.2}, bound {bound} {unit:?}, {} ms",
                    outcome.tried,
                    outcome.worst,
                    time.as_millis()
                );
                if outcome.faults.is_empty() == OPEN.contains(&name.as_str()) {
                    println!("{}", outcome.faults.join("\n"));
                    faults.push(format!("{crate_name}::{name}\n{}", outcome.faults.join("\n")));
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let (name, since) = begun.lock().expect("no panic while it is held").clone();
                assert!(since.elapsed() < LIMIT, "{crate_name}::{name} does not end");
            }
        }
    }
    assert!(faults.is_empty(), "{} cases with faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn of_linear_algebra() {
    holds("linalg", linalg::cases);
}

#[test]
fn of_probability() {
    holds("probability", probability::cases);
}

#[test]
fn of_evaluations() {
    holds("probability", evaluation::cases);
}

#[test]
fn of_calculus() {
    holds("calculus", calculus::cases);
}

#[test]
fn of_information_theory() {
    holds("infotheory", infotheory::cases);
}

/// Cases of the operations of one number: the value, and the slope that the same code has on dual numbers. They may be
/// off by a unit for each floating-point operation that is stated, forward and backward.
#[derive(Default)]
struct OfOneNumber(Vec<Case>);

fn value_and_slope<T: Real, P: Primitive<N>, const N: usize>(primitive: &P, x: &[T]) -> Said<T> {
    let x = Matrix::from_element(1, 1, Dual::variable(x[0]));
    let y = apply(primitive, [&x; N])?[0];
    said(Ok([y.value, y.derivative]))
}

impl Visitor for OfOneNumber {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: law::Case<P, N>) {
        let one = [Shape::new(1, 1); N];
        if N > 1 || case.inputs[0].len() > 1 || case.primitive.shape(one) != Ok(one[0]) {
            return;
        }
        let primitive = Rc::new(case.primitive);
        let [single, double, exact] = [&primitive, &primitive, &primitive].map(Rc::clone);
        self.0.push(Case {
            covers: vec![primitive.name()].leak(),
            written: "",
            inputs: Inputs::Number,
            unit: Unit::Conditioned,
            bound: (primitive.flops(one) + primitive.vjp_flops(one)) as f64,
            refuses: &[],
            single: Some(Box::new(move |x| value_and_slope(&*single, x))),
            double: Box::new(move |x| value_and_slope(&*double, x)),
            reference: Reference::Exact(Box::new(move |x| value_and_slope(&*exact, x))),
            own: true,
        });
    }
}

#[test]
fn of_every_operation() {
    holds("operation", || {
        let mut found = OfOneNumber::default();
        registry::of_size(Size::Matrix(1, 1), &mut found);
        registry::of_size(by_head((1, 1, 1, 1, 1)), &mut found);
        assert!(found.0.len() > Activation::ALL.len());
        found.0
    });
}

/// The functions with a case, by their full path, with the case and the source that it stands in.
fn covered() -> Vec<(String, &'static str, &'static str)> {
    let all = [
        ("linalg", linalg::cases(), include_str!("linalg.rs")),
        ("probability", probability::cases(), include_str!("probability.rs")),
        ("probability", evaluation::cases(), include_str!("evaluation.rs")),
        ("calculus", calculus::cases(), include_str!("calculus.rs")),
        ("infotheory", infotheory::cases(), include_str!("infotheory.rs")),
    ];
    let mut found = Vec::new();
    for (crate_name, cases, source) in all {
        for case in cases {
            let names = case.covers.iter();
            found.extend(names.map(|name| (format!("{crate_name}::{name}"), case.written, source)));
        }
    }
    found
}

#[test]
fn no_function_is_forgotten() {
    let functions = sources::functions(&MATHEMATICS);
    let cases: BTreeSet<String> = covered().into_iter().map(|(name, ..)| name).collect();
    let mut excused: BTreeMap<&str, &str> = BTreeMap::new();
    let mut wrong = String::new();
    for (reason, names) in reasons::REASONS {
        for name in *names {
            let matching: Vec<&String> = functions
                .keys()
                .filter(|path| *path == name || (name.ends_with("::") && path.starts_with(name)))
                .collect();
            if matching.is_empty() {
                writeln!(wrong, "{name} has a reason and does not exist").expect("a string");
            }
            excused.extend(matching.into_iter().map(|path| (path.as_str(), *reason)));
        }
    }
    for name in cases.iter().filter(|name| !functions.contains_key(*name)) {
        writeln!(wrong, "{name} has a case and does not exist").expect("a string");
    }
    for (path, function) in &functions {
        match (cases.contains(path), excused.get(path.as_str())) {
            (false, None) if function.of_an_operation => Ok(()),
            (false, None) => writeln!(wrong, "{path} has neither a case nor a reason"),
            (true, Some(reason)) => writeln!(wrong, "{path} has a case, and a reason: {reason}"),
            _ => Ok(()),
        }
        .expect("a string");
    }
    assert!(wrong.is_empty(), "\n{wrong}");
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
        // A case may call a function of its own file, which calls what is covered. `of` and `new` have other names.
        if ["new", "push"].contains(&name) {
            continue;
        }
        let helpers = source.split("\nfn ").skip(1).filter(|helper| {
            let own = helper.split(['<', '(']).next().unwrap_or_default();
            sources::has_word(written, own)
        });
        let mut read = std::iter::once(written).chain(helpers);
        if !read.any(|body| sources::has_word(body, name)) {
            wrong.push(format!("{path} is not called in {written}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// tanh, off in the fourteenth digit.
fn skewed<T: Real>(x: T) -> T {
    x.tanh() * T::from_f64(1.0 + 1e-14)
}

/// The comparison that all cases pass finds a wrong digit, an overflow, a lost NaN, a panic.
#[test]
fn a_mistake_shows() {
    let wrong = cases! {
        "digit", Inputs::Number, Conditioned 4.0 => |x| skewed(x[0]), as |x| x[0].tanh();
        "overflow", Inputs::Vector, Conditioned 40.0 => |x| vector::reduce(x, x, |x, y| x * y).sqrt();
        "nan", Inputs::Numbers(2), Conditioned 1.0 => |x| if x[0] > x[1] { x[0] } else { x[1] };
        "panic", Inputs::Vector, Conditioned 9.0 => |x| x[0];
    };
    for (case, what) in wrong.iter().zip(["units", "where", "a NaN is lost", "panics"]) {
        let found = case.run().faults.join("\n");
        assert!(found.contains(what), "{}: {found}", case.name());
    }
}
