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

struct Writing<T> {
    names: Names,
    batch: Vec<Entry<T>>,
    values: Vec<Entry<T>>,
    gradients: Vec<Entry<T>>,
    after: Vec<Entry<T>>,
    places: HashMap<(Part, usize), usize>,
}

impl<T: Real> Writing<T> {
    fn add(&mut self, part: Part, var: Var, elements: &[T]) {
        let list = if part == Part::Value { &mut self.values } else { &mut self.gradients };
        match self.places.get(&(part, var.index())) {
            Some(&at) => {
                list[at].elements.extend_from_slice(elements);
                list[at].replays += 1;
            }
            None => {
                self.places.insert((part, var.index()), list.len());
                let (name, operation, rows) = self.names.0[var.index()].clone();
                let elements = elements.to_vec();
                list.push(Entry { part, name, operation, rows, replays: 1, elements });
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

/// Ends a sum where a number is written to memory; plain numbers are unchanged.
pub(super) trait Stored: Real {
    /// Returns the number as stored.
    fn as_stored(self) -> Self {
        self
    }
}

impl Stored for f32 {}

impl Stored for Rounding {
    fn as_stored(self) -> Self {
        self.stored()
    }
}

impl<T: Stored> Observer<T> for Writing<T> {
    fn value(&mut self, var: Var, value: &mut [T]) {
        value.iter_mut().for_each(|x| *x = x.as_stored());
        self.add(Part::Value, var, value);
    }

    fn gradient(&mut self, var: Var, gradient: &mut [T]) {
        gradient.iter_mut().for_each(|x| *x = x.as_stored());
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
    let names = Names::of(trainer.model().tape());
    let mut writing = Writing {
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
