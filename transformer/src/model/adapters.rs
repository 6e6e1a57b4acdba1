//! The adapter of a linear map, as it is recorded: see [`crate::model::adaptation`].

use crate::model::adaptation::{SCOPE, Target};
use crate::model::architecture::Architecture;
use crate::model::layers::{Context, Recorded, WeightMarks, recorded_token};
use calculus::{Parameter, RecordError, Recorder, Var};
use linalg::{Real, Shape, add::Add, product::Product};
use probability::dropout::{Dropout, Order};
use std::collections::HashMap;
use std::ops::Range;

/// An adapter, W + s·B·A.
#[derive(Clone, Debug)]
pub struct AdapterMarks {
    /// The linear map that has it.
    pub target: Target,
    /// The matrix W (m × n).
    pub matrix: Var,
    /// The rows of the matrix that it changes.
    pub rows: Range<usize>,
    /// A (r × n).
    pub a: Var,
    /// B (as many as `rows` × r).
    pub b: Var,
}

/// The place of an adapter in the parameters of a recording that learns nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterPlace {
    /// The linear map that has it.
    pub target: Target,
    /// The matrix that it changes, among the parameters of the model itself.
    pub whole: Parameter,
    /// The rows of the matrix that it changes.
    pub rows: Range<usize>,
    /// A.
    pub a: Parameter,
    /// B.
    pub b: Parameter,
}

impl Context<'_> {
    /// Records the adapter of a linear map y of x, if the map has one: y + s·B·(A·x). `matrix` and `rows` are its weights.
    pub(super) fn adapted<T: Real>(
        &self,
        r: &mut Recorder<T>,
        (layer, name, target): (usize, &str, Target),
        (matrix, rows): (Var, Range<usize>),
        [x, y]: [Var; 2],
        weights: &mut WeightMarks,
    ) -> Recorded {
        let adapter = self.config.adaptation.adapter.as_ref();
        let Some(adapter) = adapter.filter(|adapter| adapter.targets.contains(&target)) else {
            return Ok(y);
        };
        let (inputs, rank) = (r.shape(x).rows, adapter.rank);
        let (a, b, change) = r.scope(&format!("{name}.{SCOPE}"), |r| {
            let a = r.parameter("a.weight", Shape::new(rank, inputs))?;
            let b = r.parameter("b.weight", Shape::new(rows.len(), rank))?;
            let mut x = x;
            if let Some((step, seed)) = self.dropout.filter(|_| adapter.dropout > 0.0) {
                // Numbered after all dropouts of the network.
                let stream =
                    3 * self.config.layers + 1 + Target::ALL.len() * layer + target as usize;
                let stream = crate::streams::DROPOUT + stream as u32;
                let order = Order::Columns;
                let dropout = Dropout { rate: adapter.dropout, seed, stream, order };
                x = r.push("dropped", dropout, [x, step])?; // n×tokens
            }
            let low = r.push("low", Product::plain(), [a, x])?; // r×tokens
            let low = self.scale(adapter.factor(), r, "scaled", low)?; // r×tokens
            Ok((a, b, r.push("change", Product::plain(), [b, low])?)) // m×tokens
        })?;
        weights.adapters.push(AdapterMarks { target, matrix, rows, a, b });
        r.push(&format!("{name}.adapted"), Add, [y, change]) // m×tokens
    }
}

/// Returns the adapters of a model, in the order in which their parameters are recorded.
pub(crate) fn adapters(config: &Architecture) -> Result<Vec<AdapterPlace>, RecordError> {
    let (recorder, marks) = recorded_token(config)?;
    let of_model = recorded_token(&config.base())?.0.parameter_list();
    let by_name: HashMap<&str, &Parameter> = of_model.iter().map(|p| (&p.name[..], p)).collect();
    let whole = |name: &str| by_name[name].clone();
    // Nothing else is learned beside adapters.
    let learned = recorder.parameter_list();
    let pairs = learned.chunks_exact(2).zip(marks.weights.adapters);
    let place = |(pair, own): (&[Parameter], AdapterMarks)| AdapterPlace {
        target: own.target,
        whole: whole(recorder.name(own.matrix)),
        rows: own.rows,
        a: pair[0].clone(),
        b: pair[1].clone(),
    };
    Ok(pairs.map(place).collect())
}
