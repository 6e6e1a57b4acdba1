//! What adapters change of a model: the singular values of s·B·A, before and after the update.

use super::Explanation;
use crate::inspect::adapters::{AdapterSize, singular_values};
use linalg::spectrum::effective_rank;
use linalg::{Matrix, Real, adapted_norms::AdaptedNorms, apply, rows::Rows};
use serde::Serialize;

/// An adapter's change of its matrix, W + s·B·A.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterChange {
    /// The dotted name of the linear map.
    pub name: String,
    /// The rank r.
    pub rank: usize,
    /// The factor s.
    pub factor: f64,
    /// ‖W‖ of the rows that it changes, the Frobenius norm.
    pub matrix: f64,
    /// The change before the update.
    pub before: Spectrum,
    /// The change after it.
    pub after: Spectrum,
    /// Before and after it, the largest |m/n − 1| of a row, if the lengths m of rows are learned (DoRA): row i of W + s·B·A, of
    /// length n, is multiplied by m/n.
    pub lengths: Option<[f64; 2]>,
}

/// The singular values of s·B·A.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// The values, the largest first, as many as the rank.
    pub values: Vec<f64>,
    /// Their effective rank, e to the entropy of σᵢ/Σσ in nats ([`linalg::spectrum::effective_rank`]); 0 if all are 0, NaN if
    /// one is not finite.
    pub effective_rank: f64,
    /// ‖s·B·A‖/‖W‖, Frobenius norms.
    pub ratio: f64,
}

impl Spectrum {
    fn of(size: &AdapterSize) -> Self {
        let values: Vec<f64> = size.values.iter().map(|x| size.factor.abs() * x).collect();
        let effective_rank = effective_rank(&values).unwrap_or(f64::NAN);
        Spectrum { effective_rank, ratio: size.ratio(), values }
    }
}

impl<T: Real> Explanation<T> {
    /// Returns what every adapter changes, in the order of the network; empty for a model without adapters.
    pub fn adapter_changes(&self) -> Vec<AdapterChange> {
        let marks = &self.model.marks().weights.adapters;
        let tape = self.model.tape();
        let learned = |var| {
            let own = tape.parameter_vars().find(|(own, _)| *own == var);
            let (_, p) = own.expect("a learned matrix");
            let elements = self.updated[p.range].iter().map(|x| x.to_f64());
            Matrix::from_iterator(p.shape.rows, p.shape.columns, elements)
        };
        let of = marks.iter().map(|own| {
            let before = AdapterSize::of(tape, own);
            let values = singular_values(&learned(own.a), &learned(own.b));
            let after = AdapterSize { values, ..before.clone() };
            let lengths = own.magnitudes.map(|m| {
                let rows = Rows { start: own.rows.start, count: own.rows.len() };
                let norms = AdaptedNorms { factor: own.factor, rows };
                let shape = tape.shape(own.matrix);
                let weights = tape.weight(own.matrix);
                let weights = weights.iter().map(|w| w.to_f64());
                let w = Matrix::from_iterator(shape.rows, shape.columns, weights);
                let wide = |var| tape.value(var).map(|x| x.to_f64());
                let largest = |a: &Matrix<f64>, b: &Matrix<f64>, m: &Matrix<f64>| {
                    let n = apply(&norms, [&w, b, a]).expect("recorded shapes");
                    let far = m.iter().zip(n.iter()).map(|(m, n)| (m / n - 1.0).abs());
                    far.fold(0.0, f64::max)
                };
                [
                    largest(&wide(own.a), &wide(own.b), &wide(m)),
                    largest(&learned(own.a), &learned(own.b), &learned(m)),
                ]
            });
            // Without the name of the matrix A itself, and of the scope of adapters.
            let name = before.name.trim_end_matches(".a.weight").trim_end_matches(".adapter");
            AdapterChange {
                name: name.to_owned(),
                rank: before.values.len(),
                factor: own.factor,
                matrix: before.matrix,
                before: Spectrum::of(&before),
                after: Spectrum::of(&after),
                lengths,
            }
        });
        of.collect()
    }
}
