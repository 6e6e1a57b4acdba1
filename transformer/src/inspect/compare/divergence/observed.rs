//! One training step, written down: every value, gradient and update, in the order of computation.

use crate::inspect::compare::rounding::Rounding;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use crate::text::corpus::Corpus;
use crate::training::trainer::Trainer;
use crate::training::training_loop::{Observer, Replay, Step};
use calculus::{Parameter, Tape, Var};
use linalg::Real;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// A part of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Tokens and targets of the batch.
    Batch,
    /// The value of an operation.
    Value,
    /// The loss gradient by the value of an operation.
    Gradient,
    /// The gradient of a parameter, summed over the step.
    ParameterGradient,
    /// The factor by which gradients are clipped.
    ClippingFactor,
    /// The learning rate.
    LearningRate,
    /// The state of the optimizer after the update.
    OptimizerState,
    /// A parameter after the update.
    Update,
}

impl Part {
    /// Returns its name in words.
    pub fn words(self) -> &'static str {
        match self {
            Part::Batch => "batch",
            Part::Value => "value of",
            Part::Gradient => "gradient by",
            Part::ParameterGradient => "gradient of the parameter",
            Part::ClippingFactor => "clipping factor",
            Part::LearningRate => "learning rate",
            Part::OptimizerState => "optimizer state",
            Part::Update => "update of",
        }
    }
}

/// One matrix of a step; of a value, those of all replays of the step, one after another.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) part: Part,
    pub(super) name: String,
    pub(super) operation: Option<&'static str>,
    pub(super) rows: usize,
    pub(super) replays: usize,
    pub(super) elements: Vec<T>,
}

/// A step, written down.
pub(super) struct Observed<T> {
    pub(super) entries: Vec<Entry<T>>,
    pub(super) step: Step,
    pub(super) parameters: Vec<Parameter>,
}

/// What an observer needs to know about a recording.
struct Names(Vec<(String, Option<&'static str>, usize)>);

impl Names {
    fn of<T: Real>(tape: &Tape<T>) -> Self {
        let vars = tape.vars();
        Names(
            vars.map(|v| (tape.name(v).to_owned(), tape.operation(v), tape.shape(v).rows))
                .collect(),
        )
    }
}

/// The values and gradients of two runs, by part and variable.
type Anchors<'a> = HashMap<(Part, usize), [&'a [f32]; 2]>;

/// Finds the numbers of two runs for each variable of a recording.
fn anchors<'a>(names: &Names, runs: [&'a Observed<f32>; 2]) -> Anchors<'a> {
    let mut by_name: HashMap<(Part, &str), [&'a [f32]; 2]> = HashMap::new();
    for (side, run) in runs.iter().enumerate() {
        for entry in &run.entries {
            by_name.entry((entry.part, &entry.name)).or_insert([&[]; 2])[side] = &entry.elements;
        }
    }
    let mut all = HashMap::new();
    for (index, (name, ..)) in names.0.iter().enumerate() {
        for part in [Part::Value, Part::Gradient] {
            let both = by_name.get(&(part, name.as_str()));
            if let Some(both) = both.filter(|[own, other]| own.len() == other.len()) {
                all.insert((part, index), *both);
            }
        }
    }
    all
}

struct Writing<'a, T> {
    anchors: Anchors<'a>,
    names: Names,
    batch: Vec<Entry<T>>,
    values: Vec<Entry<T>>,
    gradients: Vec<Entry<T>>,
    after: Vec<Entry<T>>,
    places: HashMap<(Part, usize), usize>,
}

impl<T: Stored> Writing<'_, T> {
    /// Writes down numbers as stored, and sets them to those of the two runs, if these are known.
    fn add(&mut self, part: Part, var: Var, elements: &mut [T]) {
        elements.iter_mut().for_each(|x| *x = x.as_stored());
        let list = if part == Part::Value { &mut self.values } else { &mut self.gradients };
        let mut before = 0;
        match self.places.get(&(part, var.index())) {
            Some(&at) => {
                before = list[at].elements.len();
                list[at].elements.extend_from_slice(elements);
                list[at].replays += 1;
            }
            None => {
                self.places.insert((part, var.index()), list.len());
                let (name, operation, rows) = self.names.0[var.index()].clone();
                let written = elements.to_vec();
                list.push(Entry { part, name, operation, rows, replays: 1, elements: written });
            }
        }
        if let Some([own, other]) = self.anchors.get(&(part, var.index())) {
            let pairs = own.iter().zip(*other).skip(before);
            for (x, (own, other)) in elements.iter_mut().zip(pairs) {
                *x = x.as_known(*own, *other);
            }
        }
    }

    /// Writes down the parameters' part of a list.
    fn parameters(&mut self, part: Part, tape: &Tape<T>, all: &[T]) {
        self.after.extend(entries(part, "", &tape.parameter_list(), all));
    }
}

/// Cuts numbers of all parameters into one matrix for each; `kind` is the name of an optimizer's state, or empty.
pub(super) fn entries<T: Real>(
    part: Part,
    kind: &str,
    list: &[Parameter],
    all: &[T],
) -> Vec<Entry<T>> {
    let cut = list.iter().map(|p| Entry {
        part,
        name: if kind.is_empty() { p.name.clone() } else { format!("{kind} of {}", p.name) },
        operation: None,
        rows: p.shape.rows,
        replays: 1,
        elements: all.get(p.range.clone()).unwrap_or_default().to_vec(),
    });
    cut.collect()
}

/// Numbers that know where they are stored, and may know two runs' values; plain numbers are unchanged.
pub(super) trait Stored: Real {
    /// Returns the number as stored: the end of a sum.
    fn as_stored(self) -> Self {
        self
    }

    /// Returns the number as two runs know it.
    fn as_known(self, _own: f32, _other: f32) -> Self {
        self
    }
}

impl Stored for f32 {}

impl Stored for Rounding {
    fn as_stored(self) -> Self {
        self.stored()
    }

    fn as_known(self, own: f32, other: f32) -> Self {
        Rounding::known(f64::from(own), f64::from(other))
    }
}

impl<T: Stored> Observer<T> for Writing<'_, T> {
    fn value(&mut self, var: Var, value: &mut [T]) {
        self.add(Part::Value, var, value);
    }

    fn gradient(&mut self, var: Var, gradient: &mut [T]) {
        self.add(Part::Gradient, var, gradient);
    }

    fn replayed(&mut self, recording: &Recording<T>, _: Replay) -> ControlFlow<()> {
        let handles = &recording.handles;
        for (name, var) in [("tokens", handles.tokens), ("targets", handles.targets)] {
            let Some(var) = var else { continue };
            let elements = recording.tape.elements(var);
            match self.batch.iter_mut().find(|entry| entry.name == name) {
                Some(entry) => {
                    entry.elements.extend_from_slice(elements);
                    entry.replays += 1;
                }
                None => self.batch.push(Entry {
                    part: Part::Batch,
                    name: name.to_owned(),
                    operation: None,
                    rows: 1,
                    replays: 1,
                    elements: elements.to_vec(),
                }),
            }
        }
        ControlFlow::Continue(())
    }

    fn before_update(
        &mut self,
        tape: &Tape<T>,
        _: &mut dyn calculus::optimizer::Optimizer<T>,
    ) -> ControlFlow<()> {
        self.parameters(Part::ParameterGradient, tape, tape.gradients());
        ControlFlow::Continue(())
    }

    fn after_update(&mut self, tape: &Tape<T>) {
        self.parameters(Part::Update, tape, tape.parameters());
    }
}

/// Takes a step and writes it down.
pub(super) fn observe<T: Stored>(
    trainer: &mut Trainer<T>,
    corpus: &Corpus,
) -> Result<Observed<T>, ModelError> {
    observe_beside(trainer, corpus, None)
}

/// Like [`observe`], beside two runs that took this step: after each operation their numbers take the place of its own.
pub(super) fn observe_beside<T: Stored>(
    trainer: &mut Trainer<T>,
    corpus: &Corpus,
    beside: Option<[&Observed<f32>; 2]>,
) -> Result<Observed<T>, ModelError> {
    let names = Names::of(trainer.model().tape());
    let mut writing = Writing {
        anchors: beside.map_or_else(HashMap::new, |runs| anchors(&names, runs)),
        names,
        batch: vec![],
        values: vec![],
        gradients: vec![],
        after: vec![],
        places: HashMap::new(),
    };
    let step = trainer.step_observed(corpus, &mut writing)?;
    let step = step.expect("nothing interrupted the step");
    let list = trainer.model().tape().parameter_list();
    let state = trainer.state().into_iter().skip(1);
    let state: Vec<Entry<T>> =
        state.flat_map(|(kind, all)| entries(Part::OptimizerState, kind, &list, all)).collect();
    let Writing { batch, values, gradients, after, .. } = writing;
    let (before, after): (Vec<_>, Vec<_>) =
        after.into_iter().partition(|entry| entry.part == Part::ParameterGradient);
    let entries = [batch, values, gradients, before, state, after].concat();
    Ok(Observed { entries, step, parameters: list })
}
