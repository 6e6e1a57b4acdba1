//! Names are for people: with every value and operation renamed at random, every diagnosis and certificate is the same.

use super::slow::{self, Slow};
use super::{Case, ZOO, families};
use linalg::Real;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::{draw, models};
use transformer::inspect::check::{self, Certificate};
use transformer::inspect::diagnose::{Background, Cure, Diagnosis, diagnose, diagnose_with};
use transformer::{Corpus, Given, ModelError, ModelStep, Recording, Subject};

/// The random name of a name, the same each time.
fn other(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashMap<String, &'static str>>> = Mutex::new(None);
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut names = NAMES.lock().expect("no panic within");
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let new: &'static str = Box::leak(format!("{number:016x}").into_boxed_str());
    names.insert(name.to_owned(), new);
    new
}

/// A subject whose recordings have other names.
struct Renamed<S>(S);

fn renamed<T: Real>(recording: Recording<T>) -> Recording<T> {
    let mut recording = recording;
    recording.tape.rename(|name| other(name).to_owned(), other);
    recording
}

impl<S: Subject> Subject for Renamed<S> {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.0.record().map(renamed)
    }

    fn record_in_full<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        self.0.record_in_full().map(renamed)
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        renamed_batch(self.0.batch(number))
    }

    fn length(&self) -> Option<usize> {
        self.0.length()
    }

    fn larger(&self) -> Option<(Self, Vec<f32>)> {
        self.0.larger().map(|(larger, parameters)| (Renamed(larger), parameters))
    }
}

fn renamed_batch(batch: Vec<Given>) -> Vec<Given> {
    let given = batch.into_iter();
    given.map(|Given { name, elements }| Given { name: other(name), elements }).collect()
}

/// All of a diagnosis but its words.
fn found(of: &Diagnosis) -> String {
    let origin = of.origin.as_ref().map(|o| {
        let operands: Vec<_> = o.operands.iter().map(|o| o.range).collect();
        let place = (o.direction, o.role, o.element, o.value, o.inherited);
        format!("{place:?} {operands:?} {:?}", o.fault)
    });
    let trials: Vec<String> = of
        .trials
        .iter()
        .map(|t| match &t.change {
            Cure::Redraw(names) => format!("{} tensors, {}", names.len(), t.cured),
            change => format!("{change:?}, {}, {:?}", t.cured, t.held_out),
        })
        .collect();
    let taken: Vec<_> = of.history.iter().map(|t| (t.loss, t.layer_ratios.clone())).collect();
    format!("{:?} {origin:?} {trials:?} {taken:?}", of.cause.as_ref().map(|c| c.0))
}

#[test]
fn no_name_is_read_by_a_diagnosis() {
    for (name, case, animal) in ZOO.iter().chain(families::all()) {
        let (examined, _): &Case = case.get_or_init(animal);
        let (run, steps) = (&examined.run, examined.found.history.len() as u64);
        let again = diagnose(&Renamed(run.beast.clone()), &run.start, &run.recipe, steps);
        assert_eq!(found(&again.expect("a valid model")), found(&examined.found), "{name}");
    }
}

#[test]
fn no_name_is_read_by_a_diagnosis_of_a_slow_run() {
    for (name, Slow { run, background, found: expected }) in slow::all() {
        let held_out = background.held_out.iter().cloned().map(renamed_batch).collect();
        let known = Background { held_out, ..background.clone() };
        let other = Renamed(run.beast.clone());
        let again = diagnose_with(&other, &run.start, &run.recipe, slow::STEPS, &known);
        assert_eq!(found(&again.expect("a valid model")), found(expected), "{name}");
    }
}

#[test]
fn no_name_is_read_by_a_certificate() {
    let config = models::training();
    let corpus = Corpus::text(draw::below(1, 900, 7), 0.1, config.context).expect("a text");
    let model = config.model(7).expect("valid sizes");
    let step = ModelStep::of_run(&config, &model, &corpus);
    let parameters: Vec<f64> = models::parameters(3, &model.parameter_list().expect("valid"));
    let numbers = |all: Vec<Certificate>| -> Vec<_> {
        all.into_iter().map(|c| (c.name, c.measured.to_bits(), c.verdict)).collect()
    };
    let all =
        |certificates: Result<Vec<Certificate>, ModelError>| numbers(certificates.expect("valid"));
    let other = Renamed(step.clone());
    let gradients = all(check::gradients(&other, &parameters, 1));
    assert!(gradients.len() > 5);
    assert_eq!(gradients, all(check::gradients(&step, &parameters, 1)));
    assert_eq!(
        all(check::causality(&other, &parameters)),
        all(check::causality(&step, &parameters))
    );
}
