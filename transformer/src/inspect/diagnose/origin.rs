//! Finds the first non-finite value of a step.
//!
//! A recorded step keeps every value in order, so the question has an exact answer: the first value, in the order of
//! computation, that is not finite although all its operands are. Every later value merely inherited it. Backward is
//! searched in the same way, operation by operation in reverse. −∞ counts as finite if it means "masked": as the output
//! of a mask, or as an input.

use crate::inspect::subject::Subject;
use crate::memory;
use crate::model::recorded_step::ModelError;
use crate::model::recording::{Given, Recording};
use crate::training::precision;
use crate::training::precision::Precision;
use calculus::{Arithmetic, Fault, Source, Tape, Var, Witness};
use linalg::{Real, Role, Shape, View};
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;

/// The phase of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Before the step: in the weights or in the data.
    Given,
    /// The forward pass.
    Forward,
    /// The backward pass.
    Backward,
    /// The update of the parameters.
    Update,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Given => "given",
            Direction::Forward => "forward",
            Direction::Backward => "backward",
            Direction::Update => "update",
        })
    }
}

/// The values of an operand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operand {
    /// Its name.
    pub name: String,
    /// Its element, or its least and greatest relevant ones: those of the same column if there is one, else all.
    #[serde(flatten, serialize_with = "low_and_high")]
    pub range: (f64, f64),
    /// Which elements these are.
    pub what: &'static str,
}

/// The first non-finite number of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// The phase of the step.
    pub direction: Direction,
    /// The value's dotted name; in the backward pass, that of the value whose gradient it is; in an update, the
    /// parameter's.
    pub name: String,
    /// The operation that computes the value, or whose vjp computes the gradient.
    pub operation: String,
    /// That operation's role.
    #[serde(skip)]
    pub role: Option<Role>,
    /// The value's source; `None` for optimizer state.
    #[serde(skip)]
    pub source: Option<Source>,
    /// Row and column.
    #[serde(flatten, serialize_with = "row_and_column")]
    pub element: (usize, usize),
    /// The value: NaN, ∞ or −∞; in a second moment, a negative number.
    #[serde(serialize_with = "in_words")]
    pub value: f64,
    /// The arithmetic operation that failed, found by evaluating the operation again on values that track their origin;
    /// `None` for a given value, or if the format's range ended.
    #[serde(skip)]
    pub fault: Option<Fault<f64>>,
    /// The failure, in words.
    pub arithmetic: String,
    /// The operands.
    pub operands: Vec<Operand>,
    /// The number of later values that are not finite because of this one.
    pub inherited: usize,
}

fn row_and_column<S: Serializer>(
    &(row, column): &(usize, usize),
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map([("row", row), ("column", column)])
}

fn low_and_high<S: Serializer>(&(low, high): &(f64, f64), to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("low", low), ("high", high)])
}

/// JSON has no NaN and no ∞.
fn in_words<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { direction, name, operation, element: (i, j), arithmetic, .. } = self;
        let value = self.shown();
        write!(f, "{direction}: {name} ({operation}), element ({i}, {j}) = {value}: {arithmetic}")
    }
}

/// Checks whether a number is wrong: not finite, except −∞ that means "masked".
fn wrong(x: f64, masked: bool) -> bool {
    !(x.is_finite() || (masked && x == f64::NEG_INFINITY))
}

/// Returns the first value of a forward replay that is not finite although its operands are, among those that `output`
/// depends on.
pub fn forward<T: Real>(tape: &Tape<T>, output: Var) -> Option<Origin> {
    let needed = tape.dependencies(output);
    // For each value: whether it is wrong, and whether it may hold −∞.
    let mut states: Vec<(bool, bool)> = vec![];
    let mut first: Option<Origin> = None;
    let mut places: HashMap<Var, usize> = HashMap::new();
    for (i, (var, needed)) in tape.vars().zip(needed).enumerate() {
        places.insert(var, i);
        let elements = tape.value(var);
        let operands: Vec<usize> = tape.operands(var).iter().map(|o| places[o]).collect();
        let masked = match tape.source(var) {
            Source::Parameter => false,
            Source::Input => true,
            Source::Operation => {
                tape.role(var) == Some(Role::Mask) || operands.iter().any(|&o| states[o].1)
            }
        };
        let found = elements.iter().position(|x| wrong(x.to_f64(), masked));
        let holds = masked && elements.iter().any(|x| x.to_f64() == f64::NEG_INFINITY);
        let inherits = operands.iter().any(|&o| states[o].0);
        states.push((found.is_some(), holds));
        let Some(at) = found.filter(|_| needed) else { continue };
        match &mut first {
            Some(first) => first.inherited += 1,
            None if inherits => {}
            None => first = Some(describe(tape, var, at)),
        }
    }
    first
}

fn describe<T: Real>(tape: &Tape<T>, var: Var, at: usize) -> Origin {
    let shape = tape.shape(var);
    let element = (at % shape.rows, at / shape.rows);
    let (direction, operation, arithmetic) = match tape.source(var) {
        Source::Parameter => (Direction::Given, "parameter", "it is in the weights"),
        Source::Input => (Direction::Given, "input", "it is in the data"),
        Source::Operation => (Direction::Forward, tape.operation(var).unwrap_or_default(), ""),
    };
    Origin {
        direction,
        name: tape.name(var).to_owned(),
        operation: operation.to_owned(),
        role: tape.role(var),
        source: Some(tape.source(var)),
        element,
        value: tape.value(var)[at].to_f64(),
        fault: None,
        arithmetic: arithmetic.to_owned(),
        operands: operands(tape, var, shape, element),
        inherited: 0,
    }
}

/// Returns the operands of an operation, as far as one element of a result of shape `out` reads them.
fn operands<T: Real>(
    tape: &Tape<T>,
    var: Var,
    out: Shape,
    element: (usize, usize),
) -> Vec<Operand> {
    let read = |&o: &Var| read(tape.name(o), tape.value(o), out, element);
    tape.operands(var).iter().map(read).collect()
}

/// Returns the part of a matrix that one element of a result of shape `out` reads.
fn read<T: Real>(name: &str, all: View<'_, T>, out: Shape, (i, j): (usize, usize)) -> Operand {
    let (part, what) = if all.shape() == (out.rows, out.columns) {
        (all.view((i, j), (1, 1)), "that element")
    } else if all.ncols() == out.columns {
        (all.columns(j, 1), "that column")
    } else {
        (all, "all elements")
    };
    let values = part.iter().map(|x| x.to_f64());
    let range = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| {
        if x.is_nan() { (x, x) } else { (l.min(x), h.max(x)) }
    });
    Operand { name: name.to_owned(), range, what }
}

/// Returns the first gradient of a backward replay that is not finite although its upstream gradient was. Replays
/// backward; afterwards the parameters' gradients are those of this replay. `store` is applied to every stored
/// gradient.
pub fn backward<T: Real>(
    tape: &mut Tape<T>,
    output: Var,
    scale: T,
    store: impl Fn(T) -> T,
) -> Option<Origin> {
    let needed = tape.dependencies(output);
    tape.zero_gradients();
    tape.begin_backward(output, &[scale]);
    let mut first: Option<Origin> = None;
    for (var, _) in tape.vars().zip(needed).rev().filter(|(_, needed)| *needed) {
        // The loss's own gradient, the scale, is not a stored value; a view is stored with its matrix.
        if var != output && !tape.is_view(var) {
            tape.gradient_elements_mut(var).iter_mut().for_each(|g| *g = store(*g));
        }
        tape.backward_one(var);
        if first.is_some() {
            continue;
        }
        for operand in tape.operands(var) {
            let gradient = tape.gradient(operand);
            let found = gradient.iter().position(|&g| !store(g).to_f64().is_finite());
            let Some(at) = found else { continue };
            let shape = tape.shape(operand);
            let element = (at % shape.rows, at / shape.rows);
            let upstream = format!("gradient of {}", tape.name(var));
            let arrived = tape.gradient(var);
            let mut operands = operands(tape, var, shape, element);
            operands.push(read(&upstream, arrived, shape, element));
            first = Some(Origin {
                direction: Direction::Backward,
                name: tape.name(operand).to_owned(),
                operation: tape.operation(var).unwrap_or_default().to_owned(),
                role: tape.role(var),
                source: Some(tape.source(operand)),
                element,
                value: store(gradient[at]).to_f64(),
                fault: None,
                arithmetic: String::new(),
                operands,
                inherited: 0,
            });
            break;
        }
    }
    let mut first = first?;
    let spoilt = |v: &Var| tape.gradient(*v).iter().any(|g| !g.to_f64().is_finite());
    first.inherited = tape.vars().filter(spoilt).count().saturating_sub(1);
    Some(first)
}

/// Converts a fault with its operands to `f64`.
fn widened(fault: Fault<f32>) -> Fault<f64> {
    Fault { step: fault.step, left: f64::from(fault.left), right: f64::from(fault.right) }
}

/// Describes the effect of a 16-bit format if the arithmetic itself was finite.
fn range_ended(precision: Precision, value: f32) -> String {
    format!("{value:.4e} is beyond {:.4e}, the largest {precision}", precision.largest())
}

/// Replays forward by hand, with every stored value rounded, including parameters.
pub(crate) fn forward_rounded(recording: &mut Recording<f32>, precision: Precision) -> f32 {
    let tape = &mut recording.tape;
    for var in tape.vars() {
        tape.forward_one(var);
        let stored = tape.source(var) != Source::Input && !tape.is_view(var);
        if stored && precision != Precision::F32 {
            precision::round_all(precision, tape.elements_mut(var));
        }
    }
    tape.elements(recording.loss)[0]
}

/// Finds the first origin of a step at given parameters and batch, in `f32` or with stored values rounded, with the
/// arithmetic that failed.
///
/// # Errors
/// If the step cannot be recorded.
pub fn find(
    subject: &impl Subject,
    parameters: &[f32],
    batch: &[Given],
    precision: Precision,
    scale: f32,
) -> Result<Option<Origin>, ModelError> {
    for in_full in [true, false] {
        let mut step = if in_full { subject.record_in_full()? } else { subject.record::<f32>()? };
        step.set_parameters(parameters);
        step.give(batch);
        let (tape_loss, finite) = (step.loss, |x: f32| x.is_finite());
        let loss = forward_rounded(&mut step, precision);
        let mut origin = forward(&step.tape, tape_loss);
        // A failure of the unfused form only (ln of a probability that underflowed) did not occur in training.
        if origin.is_none() && finite(loss) {
            origin = backward(&mut step.tape, tape_loss, scale, |g| precision.round(g));
        }
        drop(step);
        if let Some(mut origin) = origin {
            if in_full && only_in_full(subject, &origin, parameters, batch, precision)? {
                continue;
            }
            match explain(subject, in_full, parameters, batch, scale, precision, &mut origin) {
                // Without memory for witnesses ([`Witness`]), only the operands.
                Err(ModelError::Memory { .. }) => {
                    note(&mut origin, Witness::new(f32::NAN), precision);
                }
                other => other?,
            }
            return Ok(Some(origin));
        }
    }
    Ok(None)
}

/// Checks whether the trained recording has this value and finds it finite, or has a finite loss.
fn only_in_full(
    subject: &impl Subject,
    origin: &Origin,
    parameters: &[f32],
    batch: &[Given],
    precision: Precision,
) -> Result<bool, ModelError> {
    let mut trained = subject.record::<f32>()?;
    trained.set_parameters(parameters);
    trained.give(batch);
    let loss = forward_rounded(&mut trained, precision);
    Ok(match origin.direction {
        Direction::Forward => loss.is_finite() && forward(&trained.tape, trained.loss).is_none(),
        _ => false,
    })
}

/// Evaluates the step again on witnesses ([`Witness`]), and records the arithmetic operation that failed.
fn explain(
    subject: &impl Subject,
    in_full: bool,
    parameters: &[f32],
    batch: &[Given],
    scale: f32,
    precision: Precision,
    origin: &mut Origin,
) -> Result<(), ModelError> {
    if origin.direction == Direction::Given {
        return Ok(());
    }
    // In addition to the states that a diagnosis keeps.
    let kept = 100 * parameters.len() as u128;
    memory::afford(subject.bytes::<Witness<f32>>(in_full)? + kept)?;
    let mut step = match in_full {
        true => subject.record_in_full::<Witness<f32>>()?,
        false => subject.record::<Witness<f32>>()?,
    };
    step.set_parameters(parameters);
    step.give(batch);
    let tape = &mut step.tape;
    // As stored, and without the history of other operations.
    let store = |x: Witness<f32>| Witness::new(precision.round(x.value));
    let (i, j) = origin.element;
    for var in tape.vars() {
        let stored = tape.source(var) != Source::Input && !tape.is_view(var);
        tape.forward_one(var);
        let here = origin.direction == Direction::Forward && tape.name(var) == origin.name;
        if here {
            let at = j * tape.shape(var).rows + i;
            note(origin, tape.value(var)[at], precision);
            return Ok(());
        }
        if stored {
            tape.elements_mut(var).iter_mut().for_each(|x| *x = store(*x));
        }
    }
    let needed = tape.dependencies(step.loss);
    tape.zero_gradients();
    tape.begin_backward(step.loss, &[Witness::new(scale)]);
    for (var, _) in tape.vars().zip(needed).rev().filter(|(_, needed)| *needed) {
        if var != step.loss && !tape.is_view(var) {
            tape.gradient_elements_mut(var).iter_mut().for_each(|g| *g = store(*g));
        }
        tape.backward_one(var);
        let operand = tape.operands(var).into_iter().find(|o| tape.name(*o) == origin.name);
        if let Some(operand) = operand {
            let at = j * tape.shape(operand).rows + i;
            let gradient = tape.gradient(operand)[at];
            if !precision.round(gradient.value).is_finite() {
                note(origin, gradient, precision);
                return Ok(());
            }
        }
    }
    note(origin, Witness::new(f32::NAN), precision);
    Ok(())
}

/// Describes the failure.
fn note(origin: &mut Origin, found: Witness<f32>, precision: Precision) {
    // In f32 itself, a replay that stays finite rounded differently: then the operands must do.
    if found.value.is_finite() && precision != Precision::F32 {
        origin.arithmetic = range_ended(precision, found.value);
        return;
    }
    origin.fault = found.fault.map(widened);
    origin.arithmetic = match origin.fault {
        Some(fault) => fault.to_string(),
        None if origin.role == Some(Role::Lookup) => bad_index(origin),
        None => {
            let operands = origin.operands.iter().map(|o| {
                format!("{} from {:.3e} to {:.3e} ({})", o.name, o.range.0, o.range.1, o.what)
            });
            operands.collect::<Vec<_>>().join("; ")
        }
    };
}

fn bad_index(origin: &Origin) -> String {
    match origin.operands.get(1) {
        Some(o) => format!("index {} is not a column of the table", o.range.0),
        None => String::new(),
    }
}

impl Origin {
    /// Returns the origin for invalid optimizer state: in the tensor `name`, the element of `parameter`; `others` more
    /// elements are invalid.
    pub(crate) fn remembered(
        name: &str,
        parameter: &str,
        element: (usize, usize),
        value: f64,
        others: usize,
    ) -> Self {
        let what = if value < 0.0 && value.is_finite() {
            "the divisor of an update is never negative; "
        } else {
            ""
        };
        Origin {
            direction: Direction::Given,
            name: parameter.to_owned(),
            operation: name.replace('_', " "),
            role: None,
            source: None,
            element,
            value,
            fault: None,
            arithmetic: format!("{what}it is in the optimizer's state, tensor {name}"),
            operands: vec![],
            inherited: others,
        }
    }

    /// Returns the origin for an update that made a parameter non-finite.
    pub(crate) fn update(name: &str, element: (usize, usize), spoilt: Witness<f32>) -> Self {
        let fault = spoilt.fault.map(widened);
        let arithmetic =
            fault.map_or("it is not finite after the update".into(), |f| f.to_string());
        Origin {
            direction: Direction::Update,
            name: name.to_owned(),
            operation: "update".to_owned(),
            role: None,
            source: Some(Source::Parameter),
            element,
            value: f64::from(spoilt.value),
            fault,
            arithmetic,
            operands: vec![],
            inherited: 0,
        }
    }

    /// Checks whether it is in this phase, in an operation of this role.
    pub(crate) fn is(&self, direction: Direction, role: Role) -> bool {
        self.direction == direction && self.role == Some(role)
    }

    /// Checks whether a softmax failed in the forward pass, alone or in attention.
    pub(crate) fn is_in_softmax(&self) -> bool {
        self.is(Direction::Forward, Role::Softmax) || self.is(Direction::Forward, Role::Attention)
    }

    /// Checks whether this arithmetic operation failed.
    pub(crate) fn fails_at(&self, step: Arithmetic) -> bool {
        self.fault.is_some_and(|f| f.step == step)
    }

    /// Checks whether something was divided by 0.
    pub(crate) fn divides_by_zero(&self) -> bool {
        self.fault.is_some_and(|f| f.step == Arithmetic::Divide && f.right == 0.0)
    }

    /// Checks whether it is ∞ − ∞, in a difference or a sum.
    pub(crate) fn cancels_infinities(&self) -> bool {
        let sums = self.fails_at(Arithmetic::Subtract) || self.fails_at(Arithmetic::Add);
        sums && self.fault.is_some_and(|f| f.is_indeterminate())
    }

    /// Returns the element: NaN, ∞ or −∞; for optimizer state, a negative number.
    pub fn shown(&self) -> String {
        self.value.to_string().replace('-', "−").replace("inf", "∞")
    }

    /// Checks whether arithmetic on finite numbers overflowed.
    pub fn overflowed(&self) -> bool {
        self.fault.is_some_and(|f| {
            let pole = match f.step {
                Arithmetic::Ln => f.left == 0.0,
                Arithmetic::Divide => f.right == 0.0,
                _ => false,
            };
            !f.is_indeterminate() && !pole
        })
    }
}
