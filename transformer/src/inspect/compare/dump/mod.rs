//! Another program's training step beside ours: the first tensor that differs, and the probable mistake.
//!
//! The other program dumps one step of a model (`docs/dump_step.py`): parameters, inputs and outputs of its modules,
//! gradients, the update. Our step is recorded with the same parameters on the same batch, over numbers that carry a bound
//! of their rounding in single precision (`compare::rounding`). Tensors are aligned by names and shapes, and compared in the
//! order of computation: values, then gradients, then the update. The first one outside twice the bound is where the two
//! programs part. Tensors that agree replace ours, so that every operation is compared on the other program's own operands,
//! and a bound covers only what lies between two tensors of the dump.
//!
//! *The probable mistake* is tried: our step is recorded again with a known mistake (no mask, another ε, no factor of the
//! scores, …). A mistake that makes our tensor equal to the dumped one is named.

mod align;
mod mistake;
mod read;

use super::rounding::Rounding;
use crate::disk::files::{FileError, read_family};
use crate::model::architecture::Architecture;
use crate::model::family::Family;
use crate::model::recorded_step::{Form, ModelError, RecordedStep};
use crate::printable::printable;
use align::Place;
use calculus::{Parameter, Tape, Var};
use linalg::Real;
pub use read::Dump;
use serde::Serialize;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A dump that cannot be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// The file is no dump.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Names that the model does not have, or lacks.
    #[error("{reason}")]
    Names {
        /// The names, each with the nearest known one.
        reason: String,
    },
    /// A tensor of another size.
    #[error("{name} has {found} numbers; the model has {expected} there")]
    Size {
        /// Its name.
        name: String,
        /// Its numbers.
        found: usize,
        /// Numbers of ours.
        expected: usize,
    },
    /// No tensor of the dump stands for a value of ours.
    #[error(
        "no module of the dump is known: it has {found}; docs/dump_step.py writes input.NAME and output.NAME of every module with parameters, by transformers' names"
    )]
    Nothing {
        /// The first names.
        found: String,
    },
    /// The step cannot be recorded.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl DumpError {
    fn size(name: &str, found: usize, expected: usize) -> Self {
        DumpError::Size { name: printable(name), found, expected }
    }

    fn unknown(kind: &str, family: &str, unknown: &[&str], known: &[&str]) -> Self {
        let each = unknown.iter().take(8).map(|name| {
            let near = nearest(name, known).unwrap_or("nothing");
            format!("{kind}.{name} (nearest: {near})")
        });
        let each: Vec<String> = each.collect();
        let more = if unknown.len() > 8 { ", …" } else { "" };
        let reason =
            format!("names that are no parameter of the {family} model: {}{more}", each.join(", "));
        DumpError::Names { reason: printable(&reason) }
    }

    fn missing(kind: &str, name: &str, known: &[&str]) -> Self {
        let near = nearest(name, known).unwrap_or("nothing");
        let reason = format!("the dump has no {kind}.{name} (nearest: {near})");
        DumpError::Names { reason: printable(&reason) }
    }
}

/// Returns the name with the fewest changed letters.
fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    known.iter().copied().min_by_key(|other| distance(name.as_bytes(), other.as_bytes()))
}

/// Returns Levenshtein's distance: insertions, deletions and replacements.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = cost.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The first tensor that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    /// Its name in the dump.
    pub tensor: String,
    /// The name of our value, gradient or parameter.
    pub ours: String,
    /// The operation that computes it here, if one does.
    pub operation: Option<&'static str>,
    /// The place in the dump's order of elements at which the difference exceeds its bound most.
    pub element: usize,
    /// Our value and the dumped one.
    pub values: [f64; 2],
    /// The distance that rounding explains.
    pub bound: f64,
    /// Mistakes with which our tensor equals the dumped one.
    pub mistakes: Vec<String>,
}

/// The result of a comparison with a dump.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The tensors that agree, in the order of computation up to the first that differs.
    pub agree: Vec<String>,
    /// The first tensor that differs; `None` if all agree.
    pub first: Option<Parting>,
    /// Tensors of the dump that stand for no value of ours.
    pub unknown: Vec<String>,
}

/// Records our step with a dump's parameters and batch.
fn record<T: Real>(
    architecture: &Architecture,
    dump: &Dump,
    parameters: &[f64],
) -> Result<RecordedStep<T>, ModelError> {
    let sequences = dump.tokens.len() / dump.length.max(1);
    let mut model =
        RecordedStep::<T>::record(architecture, sequences, dump.length, Form::Textbook, 0)?;
    let own: Vec<T> = parameters.iter().map(|x| T::from_f64(*x)).collect();
    model.copy_parameters(&own);
    model.set_batch(&dump.tokens, &dump.targets)?;
    model.set_step(None);
    Ok(model)
}

/// Our step beside a dump, up to the first value or gradient that differs.
struct Walk<'a> {
    dump: &'a Dump,
    places: &'a [Place],
    /// The tensors that agree.
    agree: Vec<String>,
    /// The first that differs: whether it is a gradient, its place, our numbers and the difference.
    first: Option<(bool, Place, Vec<Rounding>, Parting)>,
    error: Option<DumpError>,
}

impl Walk<'_> {
    /// Compares a value or a gradient of ours with all tensors of the dump that stand for it. Where they agree, the dump's
    /// numbers take the place of ours, so that every operation is compared on the other program's own operands.
    fn compare(&mut self, tape: &Named, var: Var, x: &mut [Rounding], gradient: bool) {
        x.iter_mut().for_each(|x| *x = x.stored());
        let own = self.places.iter().filter(|p| p.var == var && (p.output || !gradient));
        for place in own {
            if self.first.is_some() || self.error.is_some() {
                return;
            }
            let name = match gradient {
                true => place.gradient_name(),
                false => place.name(),
            };
            let Some(other) = self.dump.tensors.get(&name) else { continue };
            let (ours, rows, operation) = &tape.0[var.index()];
            let own = place.elements(x, *rows);
            if own.len() != other.len() {
                let (found, expected) = (other.len(), own.len());
                self.error = Some(DumpError::size(&name, found, expected));
                return;
            }
            let plain: Vec<f64> = own.iter().map(|x| x.to_f64()).collect();
            let bounds = bounds(&own, place.column());
            if let Some(element) = exceeding(&plain, other, &bounds) {
                let parting = Parting {
                    tensor: name,
                    ours: ours.clone(),
                    operation: *operation,
                    element,
                    values: [plain[element], other[element]],
                    bound: bounds[element],
                    mistakes: vec![],
                };
                self.first = Some((gradient, place.clone(), own, parting));
                return;
            }
            place.set(x, *rows, other.iter().map(|x| Rounding::known(*x, *x)));
            self.agree.push(name);
        }
    }
}

/// The name, the rows and the operation of every variable.
struct Named(Vec<(String, usize, Option<&'static str>)>);

impl Named {
    fn of<T: Real>(tape: &Tape<T>) -> Self {
        let vars = tape.vars();
        Named(
            vars.map(|v| (tape.name(v).to_owned(), tape.shape(v).rows, tape.operation(v)))
                .collect(),
        )
    }
}

/// Compares a dump with our step of the model whose `config.json` is in a directory; its weights are the dump's.
///
/// # Errors
/// A configuration that cannot be read; otherwise like [`compare`].
pub fn of_directory(dump: &Dump, directory: &Path) -> Result<Compared, DumpError> {
    let (family, architecture) = read_family(directory)?;
    compare(dump, &architecture, family)
}

/// Compares a dump with our step of the same model.
///
/// # Errors
/// Names or sizes that do not fit the model; a model that cannot be recorded.
pub fn compare(
    dump: &Dump,
    architecture: &Architecture,
    family: &'static dyn Family,
) -> Result<Compared, DumpError> {
    // A dump is of a step without dropout.
    let architecture = &Architecture { dropout: 0.0, ..architecture.clone() };
    let list = crate::model::layers::parameter_list(architecture).map_err(ModelError::from)?;
    let parameters = align::gathered(dump, "parameter", family, architecture, &list)?;
    let Some(parameters) = parameters else {
        return Err(DumpError::missing("parameter", "…", &[]));
    };
    let mut model = record::<Rounding>(architecture, dump, &parameters)?;
    let (places, unknown) = align::places(dump, family, &model);
    if places.is_empty() {
        let found: Vec<&str> = dump.tensors.keys().take(5).map(String::as_str).collect();
        return Err(DumpError::Nothing { found: printable(&found.join(", ")) });
    }
    let dump = &align::completed(dump, &places);
    let (agree, first, error) = (vec![], None, None);
    let mut walk = Walk { dump, places: &places, agree, first, error };
    let (named, loss) = (Named::of(model.tape()), model.loss_var());
    let tape = model.tape_mut();
    tape.zero_gradients();
    tape.forward_watched(|var, x| walk.compare(&named, var, x, false));
    if walk.first.is_none() && walk.error.is_none() {
        let one = [Rounding::from_f64(1.0)];
        tape.backward_watched(loss, &one, |var, x| walk.compare(&named, var, x, true));
    }
    let Walk { mut agree, first, error, .. } = walk;
    if let Some(error) = error {
        return Err(error);
    }
    if let Some((gradient, place, own, mut first)) = first {
        first.mistakes = match gradient {
            true => mistake::scaled(dump, &first.tensor, &place, &own),
            false => {
                let tried = mistake::Trial { dump, architecture, family, parameters: &parameters };
                tried.of_value(&first.tensor, &place, &model, &own)
            }
        };
        return Ok(Compared { agree, first: Some(first), unknown });
    }
    let gradients = align::gathered(dump, "gradient", family, architecture, &list)?;
    if let Some(gradients) = &gradients {
        // The elements of a gradient are columns of a product.
        let own = model.tape().gradients();
        if let Some(first) =
            parameter_differs("gradient", &list, |p| p.shape.rows, (own, gradients))
        {
            return Ok(Compared { agree, first: Some(first), unknown });
        }
        agree.push("gradient.*".to_owned());
    }
    let updated = align::gathered(dump, "updated", family, architecture, &list)?;
    if let (Some(gradients), Some(updated), Some(_)) = (&gradients, &updated, &dump.optimizer) {
        let step = mistake::Update { dump, list: &list, parameters: &parameters, gradients };
        // The elements of an update are independent.
        if let Some(mut first) = parameter_differs("updated", &list, |_| 1, (&step.ours(), updated))
        {
            first.mistakes = step.mistakes(updated);
            return Ok(Compared { agree, first: Some(first), unknown });
        }
        agree.push("updated.*".to_owned());
    }
    Ok(Compared { agree, first: None, unknown })
}

/// Returns the bounds of numbers in the order of a place: of every column twice the largest bound of its elements, because
/// programs round a column's elements relative to the largest terms.
fn bounds(own: &[Rounding], column: usize) -> Vec<f64> {
    let of = |column: &[Rounding]| {
        let most = column.iter().map(|x| x.error()).fold(0.0, f64::max);
        vec![2.0 * most + f64::from(f32::MIN_POSITIVE); column.len()]
    };
    own.chunks(column.max(1)).flat_map(of).collect()
}

/// Returns the place at which numbers exceed their bounds most.
fn exceeding(own: &[f64], other: &[f64], bounds: &[f64]) -> Option<usize> {
    let excess = |i: &usize| (own[*i] - other[*i]).abs() / bounds[*i];
    let outside = (0..own.len()).filter(|i| excess(i).partial_cmp(&1.0).is_none_or(|o| o.is_gt()));
    outside.max_by(|a, b| excess(a).total_cmp(&excess(b)))
}

/// Returns the first parameter whose numbers exceed their bounds; a `column` of them is rounded together.
fn parameter_differs(
    kind: &str,
    list: &[Parameter],
    column: fn(&Parameter) -> usize,
    (own, other): (&[Rounding], &[f64]),
) -> Option<Parting> {
    list.iter().find_map(|parameter| {
        let (own, other) = (&own[parameter.range.clone()], &other[parameter.range.clone()]);
        let plain: Vec<f64> = own.iter().map(|x| x.to_f64()).collect();
        let bounds = bounds(own, column(parameter));
        exceeding(&plain, other, &bounds).map(|element| Parting {
            tensor: format!("{kind} of {}", parameter.name),
            ours: parameter.name.clone(),
            operation: None,
            element,
            values: [plain[element], other[element]],
            bound: bounds[element],
            mistakes: vec![],
        })
    })
}

#[cfg(test)]
mod tests;
