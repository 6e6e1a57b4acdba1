//! Finds the first non-finite value of a step.
//!
//! A recorded step keeps every value in order, so the question has an exact answer: the first value, in the order of
//! computation, that is not finite although all its operands are. Every later value merely inherited it. Backward is
//! searched in the same way, operation by operation in reverse. −∞ counts as finite if it means "masked": as the output
//! of a mask, or as an input.

mod record;

pub use record::{Direction, Operand, Origin};

use crate::inspect::subject::Subject;
use crate::memory;
use crate::model::recorded_step::ModelError;
use crate::model::recording::{Given, Recording};
use crate::training::precision::{Precision, round_all};
use calculus::{Source, Tape, Var, Witness};
use linalg::{Real, Role, Shape, View};
use record::widened;
use std::collections::HashMap;

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
            Source::Parameter | Source::Frozen => false,
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
        Source::Frozen => (Direction::Given, "frozen parameter", "it is in the weights"),
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

/// Describes the effect of a 16-bit format if the arithmetic itself was finite.
fn range_ended(precision: Precision, value: f32) -> String {
    format!("{value:.4e} is beyond {:.4e}, the largest {precision}", precision.largest())
}

/// Replays forward by hand, with every stored value rounded, including parameters.
pub(crate) fn forward_rounded(recording: &mut Recording<f32>, precision: Precision) -> f32 {
    let tape = &mut recording.tape;
    round_all(precision, tape.parameters_mut());
    tape.forward_watched(|_, value| round_all(precision, value));
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
        note_weight(subject, parameters, precision, origin)?;
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
            let Some(&gradient) = tape.gradient(operand).get(at) else { continue };
            if !precision.round(gradient.value).is_finite() {
                note(origin, gradient, precision);
                return Ok(());
            }
        }
    }
    note(origin, Witness::new(f32::NAN), precision);
    Ok(())
}

/// Describes a weight that `f32` holds, and the format does not.
fn note_weight(
    subject: &impl Subject,
    parameters: &[f32],
    precision: Precision,
    origin: &mut Origin,
) -> Result<(), ModelError> {
    let list = subject.record::<f32>()?.tape.parameter_list();
    let Some(own) = list.into_iter().find(|p| p.name == origin.name) else { return Ok(()) };
    let (i, j) = origin.element;
    let weight = parameters[own.range.start + j * own.shape.rows + i];
    if weight.is_finite() {
        origin.arithmetic = range_ended(precision, weight);
    }
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
