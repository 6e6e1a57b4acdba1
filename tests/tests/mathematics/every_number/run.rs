//! A case on its grid, compared with its reference.

use super::inputs::{DOUBLE, Inputs, SINGLE, Scalar};
use super::said::{Refused, Said};
use super::{Case, On, Reference, Unit};
use linalg::Real;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tests::exact::{Exact, Number, certified, with_bits};

/// What running a case showed.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) tried: usize,
    pub(super) worst: f64,
    pub(super) faults: Vec<String>,
}

/// How near to the largest number a partial sum of 17 terms may bring what is in range.
const RANGE: f64 = 32.0;

/// Functions that say of a NaN what their documentation says, and do not give it back.
const NAN_IS_ANSWERED: [&str; 6] = [
    "mask::masked_softmax", // what is not seen is not looked at
    "running::Running::count",
    "cross_entropy::nats_of_columns", // what is ignored is not looked at
    "cross_entropy::gradient_in_place",
    "cross_entropy::counted", // a NaN is not ignored
    "check::difference_step",
];

/// Cases with faults that are known and not yet mended. One that has none any more is to be taken off the list.
pub(super) const OPEN: [&str; 0] = [];

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
    pub(super) fn name(&self) -> String {
        self.covers.join(", ")
    }

    /// The function on this scalar.
    fn at(&self, scalar: &Scalar, x: &[f64]) -> Said<f64> {
        match (scalar.name, &self.single) {
            ("f32", Some(single)) => {
                let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
                single(&x).map(|all| all.into_iter().map(f64::from).collect())
            }
            _ => (self.double)(x),
        }
    }

    /// Σ |xⱼ·∂f/∂xⱼ| of every result, or max |x|·Σ |∂f/∂xⱼ|: from results at inputs that are off by 2⁻¹²⁰.
    fn condition(&self, f: &On<Exact>, x: &[f64]) -> Vec<f64> {
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
        let Reference::Exact(f) = &self.reference else { return false };
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
                && (tame && !found.is_finite()
                    || conditioned && found.is_finite() && exact.is_finite())
            {
                continue;
            }
            let own =
                if matches!(self.unit, Unit::Whole | Unit::Normwise) { whole } else { exact.abs() };
            let distance = right.distance(found);
            let units = |size: f64| distance / (scalar.epsilon * size.max(scalar.normal));
            let mut off = units(own);
            if !(off <= self.bound)
                && conditioned
                && x.iter().all(|x| x.is_finite())
                && let Reference::Exact(f) = &self.reference
            {
                let condition = condition.get_or_insert_with(|| self.condition(f, x));
                let most = condition.iter().fold(0.0_f64, |m, c| m.max(*c));
                let more = if self.unit == Unit::Normwise {
                    most
                } else {
                    condition.get(i).copied().unwrap_or(most)
                };
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
        let Reference::Exact(exact) = &self.reference else {
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
            (Ok(_), Err(error))
                if self.unit == Unit::Normwise && error.0.contains("do not suffice") => {}
            (Err(error), Ok(_)) | (Ok(_), Err(error)) if excused(&error) => {}
            (Err(_), Ok(right))
                if self.nothing_is_promised(
                    scalar,
                    x,
                    right.iter().map(|r| r.to_f64().abs()).fold(0.0, f64::max),
                ) => {}
            (Err(error), Ok(right)) => {
                let right: Vec<f64> = right.iter().take(4).map(Number::to_f64).collect();
                outcome.fault(scalar, x, &format!("refused, {}; right is {right:?}", error.0));
            }
            (Ok(found), Err(error)) => {
                let found: Vec<f64> = found.into_iter().take(4).collect();
                outcome.fault(
                    scalar,
                    x,
                    &format!("gives {found:?}; the reference says {}", error.0),
                );
            }
        }
    }

    /// A million numbers: `f32` is compared with `f64`, and `f64` is finite.
    fn check_long(&self, outcome: &mut Outcome) {
        // What measures itself takes long on a million.
        let deep = std::env::var_os("GRID_DEEP").is_some();
        if matches!(self.reference, Reference::Measured) && !deep {
            return;
        }
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
                    let size = if self.unit == Unit::Result { b.abs() } else { size };
                    // Half a unit of what f64 itself may be off by is nothing in f32.
                    let off = (a - b).abs() / (SINGLE.epsilon * size.max(SINGLE.normal));
                    if !(off <= self.bound) {
                        return outcome.fault(
                            &SINGLE,
                            &x,
                            &format!("{a:e} where {b:e} is right, {off:.3e} units"),
                        );
                    }
                    outcome.worst = outcome.worst.max(off);
                }
            }
            other => outcome.fault(&SINGLE, &x, &format!("{other:?}")),
        }
    }

    /// Every how many-th input is tried: where they are many, some; all where GRID_DEEP is set, as the gate does.
    fn step(&self) -> usize {
        let few = matches!(
            self.inputs,
            Inputs::Number | Inputs::Share | Inputs::Distribution | Inputs::Table
        );
        if few || std::env::var_os("GRID_DEEP").is_some() { 1 } else { 4 }
    }

    pub(super) fn run(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let scalars: &[Scalar] = if self.single.is_some() { &[SINGLE, DOUBLE] } else { &[DOUBLE] };
        for scalar in scalars {
            let mut all: Vec<_> =
                self.inputs.grid(scalar).into_iter().step_by(self.step()).collect();
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
