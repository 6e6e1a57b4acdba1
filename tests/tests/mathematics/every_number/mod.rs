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
//! That none is forgotten is held by name, as in `every_derivative`.

mod calculus;
mod infotheory;
mod inputs;
mod linalg;
mod probability;
mod reasons;

use inputs::{DOUBLE, Inputs, SINGLE, Scalar};
use ::linalg::{Matrix, Real, vector};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tests::exact::{Exact, Number, certified, with_bits};
use tests::sources::{self, MATHEMATICS};

/// What a function said: numbers, or why not.
type Said<T> = Result<Vec<T>, Refused>;

/// An error, as its message.
#[derive(Clone, Debug)]
struct Refused(String);

impl<E: Display> From<E> for Refused {
    fn from(error: E) -> Self {
        Refused(error.to_string())
    }
}

/// What functions give, as a list of numbers.
trait Numbers<T> {
    fn give(self, all: &mut Vec<T>);
}

macro_rules! scalars {
    ($($scalar:ty)*) => {$(
        impl Numbers<$scalar> for $scalar {
            fn give(self, all: &mut Vec<$scalar>) {
                all.push(self);
            }
        }
        impl Numbers<$scalar> for ::infotheory::Nats<$scalar> {
            fn give(self, all: &mut Vec<$scalar>) {
                all.push(self.0);
            }
        }
        impl Numbers<$scalar> for ::infotheory::Bits<$scalar> {
            fn give(self, all: &mut Vec<$scalar>) {
                all.push(self.0);
            }
        }
    )*};
}
scalars!(f32 f64 Exact);

impl<T, A: Numbers<T>> Numbers<T> for Vec<A> {
    fn give(self, all: &mut Vec<T>) {
        self.into_iter().for_each(|x| x.give(all));
    }
}

impl<T: Clone, const N: usize> Numbers<T> for [T; N] {
    fn give(self, all: &mut Vec<T>) {
        all.extend_from_slice(&self);
    }
}

impl<T: Clone> Numbers<T> for &[T] {
    fn give(self, all: &mut Vec<T>) {
        all.extend_from_slice(self);
    }
}

impl<T: Real> Numbers<T> for Matrix<T> {
    fn give(self, all: &mut Vec<T>) {
        all.extend_from_slice(self.as_slice());
    }
}

impl<T, A: Numbers<T>, B: Numbers<T>> Numbers<T> for (A, B) {
    fn give(self, all: &mut Vec<T>) {
        self.0.give(all);
        self.1.give(all);
    }
}

impl<T: Real> Numbers<T> for usize {
    fn give(self, all: &mut Vec<T>) {
        all.push(T::from_f64(self as f64));
    }
}

fn said<T>(found: Result<impl Numbers<T>, Refused>) -> Said<T> {
    found.map(|found| {
        let mut all = Vec::new();
        found.give(&mut all);
        all
    })
}

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

/// What the results of a case are.
enum Reference {
    /// To be compared with what this gives.
    Exact(fn(&[Exact]) -> Said<Exact>),
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
    single: Option<fn(&[f32]) -> Said<f32>>,
    double: fn(&[f64]) -> Said<f64>,
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
            single: Some(|$x| $crate::every_number::said((|| Ok($body))())),
            double: |$x| $crate::every_number::said((|| Ok($body))()),
            reference: $crate::every_number::Reference::Exact(
                cases!(@or |$x| $crate::every_number::said((|| Ok($body))())
                    $(, |$y| $crate::every_number::said((|| Ok($reference))()))?)),
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
            double: |$x| $crate::every_number::said((|| Ok($body))()),
            reference: cases!(@or $crate::every_number::Reference::Measured
                $(, $crate::every_number::Reference::Exact(|$y| $crate::every_number::said((|| Ok($reference))())))?),
            own: true,
        }),*]
    };
}
pub(crate) use {cases, doubles};

/// What running a case showed.
#[derive(Default)]
struct Outcome {
    tried: usize,
    worst: f64,
    faults: Vec<String>,
}

/// How near to the largest number a partial sum of 17 terms may bring what is in range.
const RANGE: f64 = 32.0;

/// Functions that say of a NaN what their documentation says, and do not give it back.
const NAN_IS_ANSWERED: [&str; 4] = [
    "cross_entropy::nats_of_columns", // what is ignored is not looked at
    "cross_entropy::gradient_in_place",
    "cross_entropy::counted", // a NaN is not ignored
    "check::difference_step",
];

/// How many faults of one case and scalar are listed.
const LISTED: usize = 6;

impl Outcome {
    fn fault(&mut self, scalar: &Scalar, x: &[f64], what: &str) {
        if self.faults.len() < LISTED {
            let shown: Vec<String> = x.iter().take(18).map(|x| format!("{x:e}")).collect();
            let rest = if x.len() > 18 { format!(", … {}", x.len()) } else { String::new() };
            self.faults.push(format!("  {} [{}{rest}]: {what}", scalar.name, shown.join(", ")));
        }
    }
}

/// What was said, or what a panic said.
fn caught(f: impl FnOnce() -> Said<f64>) -> Result<Said<f64>, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

impl Case {
    fn name(&self) -> String {
        self.covers.join(", ")
    }

    /// The function on this scalar.
    fn at(&self, scalar: &Scalar, x: &[f64]) -> Said<f64> {
        match (scalar.name, self.single) {
            ("f32", Some(single)) => {
                let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
                single(&x).map(|all| all.into_iter().map(f64::from).collect())
            }
            _ => (self.double)(x),
        }
    }

    /// Σ |xⱼ·∂f/∂xⱼ| of every result, or max |x|·Σ |∂f/∂xⱼ|: from results at inputs that are off by 2⁻¹²⁰.
    fn condition(&self, f: fn(&[Exact]) -> Said<Exact>, x: &[f64]) -> Vec<f64> {
        let (nudge, back) = ((-120_f64).exp2(), 120_f64.exp2());
        let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        with_bits(x, 400, || {
            let place: Vec<Exact> = x.iter().map(|&x| Exact::of(x)).collect();
            let Ok(here) = f(&place) else { return vec![f64::INFINITY] };
            let mut sums = vec![Exact::of(0.0); here.len()];
            for j in 0..x.len() {
                let size = if self.unit == Unit::Normwise { largest } else { x[j] };
                if size == 0.0 {
                    continue;
                }
                let mut moved = place.clone();
                moved[j] += Exact::of(size) * Exact::of(nudge);
                let Ok(there) = f(&moved) else { return vec![f64::INFINITY; here.len()] };
                for (sum, (&a, &b)) in sums.iter_mut().zip(there.iter().zip(&here)) {
                    *sum += (a - b).abs() * Exact::of(back);
                }
            }
            sums.into_iter().map(|sum| sum.to_f64()).collect()
        })
    }

    /// Whether a matrix is singular to the scalar's precision, so that nothing is promised.
    fn nothing_is_promised(&self, scalar: &Scalar, x: &[f64], whole: f64) -> bool {
        let Reference::Exact(f) = self.reference else { return false };
        self.unit == Unit::Normwise && {
            let most = self.condition(f, x).into_iter().fold(0.0, f64::max);
            // NaN: where derivatives are ∞ − ∞.
            !(most * scalar.epsilon < 1e-2 * whole)
        }
    }

    /// Compares one result.
    fn compare(
        &self,
        scalar: &Scalar,
        x: &[f64],
        found: &[f64],
        right: &[Number],
        outcome: &mut Outcome,
    ) {
        if found.len() != right.len() {
            let what = format!("{} numbers where {} are right", found.len(), right.len());
            return outcome.fault(scalar, x, &what);
        }
        let whole = right.iter().map(|r| r.to_f64().abs()).fold(0.0, f64::max);
        let mut condition = None;
        for (i, (&found, right)) in found.iter().zip(right).enumerate() {
            let exact = right.to_f64();
            if found == exact || (found.is_nan() && exact.is_nan()) {
                continue;
            }
            // What the scalar cannot hold is ∞, also where the bound alone may reach beyond its range.
            let edge = scalar.largest * (1.0 - self.bound.min(1e6) * scalar.epsilon);
            if found.is_infinite() && exact.abs() >= edge && (found > 0.0) == (exact > 0.0) {
                continue;
            }
            let tame = matches!(self.inputs, Inputs::Tame(_));
            let conditioned = matches!(self.unit, Unit::Conditioned | Unit::Normwise);
            // Of infinite inputs there is no condition: what is finite is, and products may be ∞ or NaN.
            if x.iter().any(|x| !x.is_finite())
                && (tame && !found.is_finite() || conditioned && found.is_finite() && exact.is_finite())
            {
                continue;
            }
            let own = if matches!(self.unit, Unit::Whole | Unit::Normwise) { whole } else { exact.abs() };
            let distance = right.distance(found);
            let units = |size: f64| distance / (scalar.epsilon * size.max(scalar.normal));
            let mut off = units(own);
            if !(off <= self.bound) && conditioned && x.iter().all(|x| x.is_finite())
                && let Reference::Exact(f) = self.reference
            {
                let condition = condition.get_or_insert_with(|| self.condition(f, x));
                let most = condition.iter().fold(0.0_f64, |m, c| m.max(*c));
                let more = if self.unit == Unit::Normwise { most } else { condition.get(i).copied().unwrap_or(most) };
                if found.is_finite() && exact.is_finite() {
                    off = units(own + more);
                } else if !found.is_finite() && more * RANGE >= scalar.largest {
                    // Terms that cancel are beyond the range, or nearly so.
                    continue;
                }
                if self.unit == Unit::Normwise && !(most * scalar.epsilon < 1e-2 * whole) {
                    continue;
                }
            }
            // Written so that NaN is a fault.
            if !(off <= self.bound) {
                let what = format!("{found:e} where {exact:e} is right, {off:.3e} units");
                outcome.fault(scalar, x, &what);
            } else {
                outcome.worst = outcome.worst.max(off);
            }
        }
    }

    /// One input, all laws.
    fn check(&self, scalar: &Scalar, x: &[f64], outcome: &mut Outcome) {
        outcome.tried += 1;
        let found = match caught(|| self.at(scalar, x)) {
            Ok(found) => found,
            Err(panic) => return outcome.fault(scalar, x, &format!("panics: {panic}")),
        };
        let finite = x.iter().all(|x| x.is_finite());
        if let (Ok(all), true) = (&found, x.iter().any(|x| x.is_nan()))
            && !all.iter().any(|x| x.is_nan())
            && !NAN_IS_ANSWERED.contains(&self.covers[0])
            && !matches!(self.reference, Reference::Measured)
        {
            return outcome.fault(scalar, x, &format!("a NaN is lost: {all:?}"));
        }
        let Reference::Exact(exact) = self.reference else {
            for off in found.unwrap_or_default() {
                if !(off <= self.bound) {
                    outcome.fault(scalar, x, &format!("off by {off:e} units"));
                } else {
                    outcome.worst = outcome.worst.max(off);
                }
            }
            return;
        };
        if !finite && self.own {
            return;
        }
        let right = catch_unwind(AssertUnwindSafe(|| {
            certified(x, || exact(&x.iter().map(|&x| Exact::of(x)).collect::<Vec<_>>()))
        }));
        let Ok(right) = right else {
            return outcome.fault(scalar, x, "the reference panics");
        };
        let excused = |error: &Refused| self.refuses.iter().any(|part| error.0.contains(part));
        match (found, right) {
            (Ok(found), Ok(right)) => self.compare(scalar, x, &found, &right, outcome),
            (Err(_), Err(_)) => {}
            // A number of which no digit is known.
            (Ok(_), Err(error)) if self.unit == Unit::Normwise && error.0.contains("do not suffice") => {}
            (Err(error), Ok(_)) | (Ok(_), Err(error)) if excused(&error) => {}
            (Err(_), Ok(right)) if self.nothing_is_promised(scalar, x, right.iter().map(|r| r.to_f64().abs()).fold(0.0, f64::max)) => {}
            (Err(error), Ok(right)) => {
                let right: Vec<f64> = right.iter().take(4).map(Number::to_f64).collect();
                outcome.fault(scalar, x, &format!("refused, {}; right is {right:?}", error.0));
            }
            (Ok(found), Err(error)) => {
                let found: Vec<f64> = found.into_iter().take(4).collect();
                outcome.fault(scalar, x, &format!("gives {found:?}; the reference says {}", error.0));
            }
        }
    }

    /// A million numbers: `f32` is compared with `f64`, and `f64` is finite.
    fn check_long(&self, outcome: &mut Outcome) {
        let Some(x) = self.inputs.long() else { return };
        let x: Vec<f64> = x.into_iter().map(SINGLE.nearest).collect();
        let double = match caught(|| self.at(&DOUBLE, &x)) {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => return,
            Err(panic) => return outcome.fault(&DOUBLE, &x, &format!("panics: {panic}")),
        };
        outcome.tried += 1;
        if double.iter().any(|x| !x.is_finite()) {
            outcome.fault(&DOUBLE, &x, "not finite");
        }
        if self.single.is_none() || matches!(self.reference, Reference::Measured) {
            return;
        }
        outcome.tried += 1;
        match caught(|| self.at(&SINGLE, &x)) {
            Ok(Ok(single)) if single.len() == double.len() => {
                let size = double.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
                for (a, b) in single.iter().zip(&double) {
                    let size = if self.unit == Unit::Whole { size } else { b.abs() };
                    // Half a unit of what f64 itself may be off by is nothing in f32.
                    let off = (a - b).abs() / (SINGLE.epsilon * size.max(SINGLE.normal));
                    if !(off <= self.bound) {
                        return outcome.fault(&SINGLE, &x, &format!("{a:e} where {b:e} is right, {off:.3e} units"));
                    }
                    outcome.worst = outcome.worst.max(off);
                }
            }
            other => outcome.fault(&SINGLE, &x, &format!("{other:?}")),
        }
    }

    /// Every how many-th input is tried: where they are many, some; all where GRID_DEEP is set, as the gate does.
    fn step(&self) -> usize {
        let few = matches!(self.inputs, Inputs::Number | Inputs::Share | Inputs::Distribution | Inputs::Table);
        if few || std::env::var_os("GRID_DEEP").is_some() { 1 } else { 3 }
    }

    fn run(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let scalars: &[Scalar] = if self.single.is_some() { &[SINGLE, DOUBLE] } else { &[DOUBLE] };
        for scalar in scalars {
            let mut all: Vec<_> = self.inputs.grid(scalar).into_iter().step_by(self.step()).collect();
            all.extend(self.inputs.special(scalar));
            let mut here = Outcome::default();
            all.iter().for_each(|x| self.check(scalar, x, &mut here));
            outcome.tried += here.tried;
            outcome.worst = outcome.worst.max(here.worst);
            outcome.faults.extend(here.faults);
        }
        self.check_long(&mut outcome);
        outcome
    }
}

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
                    outcome.tried, outcome.worst, time.as_millis()
                );
                if !outcome.faults.is_empty() {
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
fn of_calculus() {
    holds("calculus", calculus::cases);
}

#[test]
fn of_information_theory() {
    holds("infotheory", infotheory::cases);
}

/// The functions with a case, by their full path, with the case and the source that it stands in.
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
    for path in functions.keys() {
        match (cases.contains(path), excused.get(path.as_str())) {
            (false, None) => writeln!(wrong, "{path} has neither a case nor a reason"),
            (true, Some(reason)) => writeln!(wrong, "{path} has a case, and a reason: {reason}"),
            _ => Ok(()),
        }
        .expect("a string");
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    println!("{} functions: {} with a case, {} with a reason", functions.len(), cases.len(), excused.len());
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
