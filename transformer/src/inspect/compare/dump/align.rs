//! Which tensor of a dump is which value of ours.
//!
//! A module of the other program is known by its weight: the family says in which tensor a parameter stands, and the
//! recording which operation reads the parameter. That operation's value is the module's output, its operand the input.
//! No name of an operation is asked for.

use super::{Dump, DumpError};
use crate::disk::files::is_head;
use crate::model::architecture::Architecture;
use crate::model::family::{Family, Tensor};
use crate::model::layers::parameter_list;
use crate::model::recorded_step::RecordedStep;
use calculus::{Parameter, Var};
use linalg::{Real, Role};
use std::ops::Range;

/// What the names of gradients by outputs begin with.
const GRADIENT: &str = "output_gradient.";

/// A value of ours that stands in a dump.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The name in the dump, after `input.` or `output.`.
    pub(super) module: String,
    /// Whether it is the module's output.
    pub(super) output: bool,
    /// Our value.
    pub(super) var: Var,
    /// The rows of our value, range after range.
    pub(super) rows: Vec<Range<usize>>,
    /// The operation that reads the module's parameter.
    pub(super) reader: Var,
}

impl Place {
    pub(super) fn name(&self) -> String {
        format!("{}.{}", if self.output { "output" } else { "input" }, self.module)
    }

    /// Returns the name of the gradient by the module's output.
    pub(super) fn gradient_name(&self) -> String {
        format!("{GRADIENT}{}", self.module)
    }

    /// Returns the elements of our value in the dump's order: column by column, the place's rows of each.
    pub(super) fn elements<X: Copy>(&self, value: &[X], rows: usize) -> Vec<X> {
        let columns = value.chunks(rows.max(1));
        columns
            .flat_map(|column| self.rows.iter().flat_map(|range| column[range.clone()].to_vec()))
            .collect()
    }

    /// Returns the number of rows.
    pub(super) fn column(&self) -> usize {
        self.rows.iter().map(Range::len).sum()
    }

    /// Sets the elements of our value, given in the dump's order.
    pub(super) fn set<X>(
        &self,
        value: &mut [X],
        rows: usize,
        numbers: impl IntoIterator<Item = X>,
    ) {
        let mut numbers = numbers.into_iter();
        for column in value.chunks_mut(rows.max(1)) {
            for at in self.rows.iter().cloned().flatten() {
                if let Some(x) = numbers.next() {
                    column[at] = x;
                }
            }
        }
    }
}

/// Returns the name of a tensor without the family's prefix.
fn plain<'n>(family: &dyn Family, name: &'n str) -> &'n str {
    name.strip_prefix(family.prefix()).unwrap_or(name)
}

/// Returns the tensors of each parameter.
fn tensors(
    family: &dyn Family,
    architecture: &Architecture,
    list: &[Parameter],
) -> Vec<(usize, Tensor)> {
    let of = |(i, parameter)| {
        family.tensors(architecture, parameter).into_iter().map(move |tensor| (i, tensor))
    };
    list.iter().enumerate().flat_map(of).collect()
}

/// Gathers a number for each of our parameters from the dump's tensors of this kind: `parameter`, `gradient`, `updated`.
/// Returns `None` if the dump has none of this kind.
pub(super) fn gathered(
    dump: &Dump,
    kind: &str,
    family: &dyn Family,
    architecture: &Architecture,
    list: &[Parameter],
) -> Result<Option<Vec<f64>>, DumpError> {
    let start = format!("{kind}.");
    let own: Vec<(&str, &str, &Vec<f64>)> = dump
        .tensors
        .iter()
        .filter_map(|(name, numbers)| {
            let full = name.strip_prefix(&start)?;
            Some((full, plain(family, full), numbers))
        })
        .collect();
    if own.is_empty() {
        return Ok(None);
    }
    let wanted = tensors(family, architecture, list);
    // Biases that only files have are zeros.
    let full =
        Architecture { biases: family.stored_biases(architecture.biases), ..architecture.clone() };
    let stored = parameter_list(&full).unwrap_or_default();
    let stored = tensors(family, &full, &stored);
    let unknown: Vec<&str> = own
        .iter()
        .filter(|(_, name, _)| {
            let tied = architecture.tied && is_head(family, name);
            !tied
                && !family.is_buffer(name)
                && !wanted.iter().chain(&stored).any(|(_, t)| t.name == *name)
        })
        .map(|(full, ..)| *full)
        .collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = wanted.iter().map(|(_, tensor)| tensor.name.as_str()).collect();
        return Err(DumpError::unknown(kind, family.name(), &unknown, &known));
    }
    let mut all = vec![0.0; list.last().map_or(0, |last| last.range.end)];
    for (i, tensor) in &wanted {
        let parameter = &list[*i];
        let Some((_, _, numbers)) = own.iter().find(|(_, name, _)| *name == tensor.name) else {
            let known: Vec<&str> = own.iter().map(|(full, ..)| *full).collect();
            return Err(DumpError::missing(kind, &tensor.name, &known));
        };
        let expected = tensor.shape().iter().product::<usize>();
        if numbers.len() != expected {
            let (name, found) = (format!("{kind}.{}", tensor.name), numbers.len());
            return Err(DumpError::size(&name, found, expected));
        }
        for (x, place) in numbers.iter().zip(tensor.places(parameter.shape.rows)) {
            all[parameter.range.start + place] = *x;
        }
    }
    Ok(Some(all))
}

/// Returns a dump that has every tensor for every sequence and a gradient for every output.
///
/// Tensors that a program has once for all sequences, as it may have those of positions, are repeated; their gradients are
/// sums over sequences and are left out. An output without a gradient, in a dump with gradients, got none: zeros.
pub(super) fn completed(dump: &Dump, places: &[Place]) -> Dump {
    let mut whole = dump.clone();
    if dump.tensors.keys().any(|name| name.starts_with(GRADIENT)) {
        for place in places.iter().filter(|place| place.output) {
            let zeros = || vec![0.0; place.column() * dump.tokens.len()];
            whole.tensors.entry(place.gradient_name()).or_insert_with(zeros);
        }
    }
    for place in places {
        let one = place.column() * dump.length;
        let Some(numbers) = whole.tensors.get_mut(&place.name()) else { continue };
        if numbers.len() == one && dump.tokens.len() > dump.length {
            *numbers = numbers.repeat(dump.tokens.len() / dump.length);
            whole.tensors.remove(&place.gradient_name());
        }
    }
    whole
}

/// Returns all places that both have, in the order of our computation, and the modules of the dump that we do not know.
pub(super) fn places<T: Real>(
    dump: &Dump,
    family: &dyn Family,
    model: &RecordedStep<T>,
) -> (Vec<Place>, Vec<String>) {
    let (tape, architecture) = (model.tape(), model.config());
    let vars: Vec<(Var, Parameter)> = tape.parameter_vars().collect();
    let list: Vec<Parameter> = vars.iter().map(|(_, parameter)| parameter.clone()).collect();
    let known = tensors(family, architecture, &list);
    let (mut places, mut unknown) = (Vec::new(), Vec::new());
    let logits = model.logits_var();
    for name in dump.tensors.keys() {
        let (output, module) = match (name.strip_prefix("input."), name.strip_prefix("output.")) {
            (Some(module), _) => (false, module),
            (_, Some(module)) => (true, module),
            _ => continue,
        };
        let weight = format!("{}.weight", plain(family, module));
        let head = is_head(family, &weight);
        let found = known.iter().find(|(_, tensor)| tensor.name == weight);
        let (reader, own) = match (head, found) {
            (true, _) => (logits, None),
            (false, Some((i, tensor))) => {
                let parameter = vars[*i].0;
                let readers = tape
                    .vars()
                    .filter(|&v| tape.operands(v).contains(&parameter) && Some(v) != logits);
                (readers.into_iter().next(), Some((tensor, list[*i].shape.rows)))
            }
            (false, None) => (None, None),
        };
        let Some(reader) = reader else {
            unknown.push(name.clone());
            continue;
        };
        let var = match (output, tape.role(reader)) {
            (true, _) => Some(reader),
            (false, Some(Role::Norm)) => tape.operands(reader).first().copied(),
            (false, Some(Role::Linear)) => tape.operands(reader).get(1).copied(),
            _ => None,
        };
        let Some(var) = var else { continue };
        let whole = 0..tape.shape(var).rows;
        // A norm of heads has the features of one head as its parameter; its value has all.
        let rows = match own {
            Some((tensor, rows)) if output && rows == whole.end => tensor.rows.clone(),
            _ => vec![whole],
        };
        places.push(Place { module: module.to_owned(), output, var, rows, reader });
    }
    // A value may be the output of one module and the input of the next.
    places.sort_by_key(|place| (place.var.index(), !place.output));
    (places, unknown)
}
