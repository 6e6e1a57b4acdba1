//! The weights of a recording whose training changes only some of them, or adapters beside them.

use crate::model::architecture::Architecture;
use crate::model::recorded_step::RecordedStep;
use calculus::{Parameter, Var};
use linalg::{
    Factor, Primitive, Real, View, ViewMut, Work, adapted_norms::AdaptedNorms, rows::Rows,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

impl Architecture {
    /// Adds the adapters to the matrices that they change, <var>W ← W + s·B·A</var>, and gives rows the lengths that are learned: the model is then one without adapters
    /// that predicts the same, up to rounding. `weights` are those of the model in the order of its parameter list,
    /// `adapters` the parameters of a recording with adapters ([`Architecture::adapters`]). Nothing changes without adapters.
    ///
    /// # Panics
    /// If the model is invalid, or a number of weights is not its own.
    pub fn merge<T: Real>(&self, weights: &mut [T], adapters: &[T]) {
        let valid = "a valid model";
        let factor = self.adaptation.adapter.as_ref().map_or(0.0, |adapter| adapter.factor());
        for place in self.adapters().expect(valid) {
            let matrix = &place.whole;
            let own = &mut weights[matrix.range.clone()];
            let mut w = ViewMut::from_slice(own, matrix.shape.rows, matrix.shape.columns);
            let view = |p: &Parameter| {
                let elements = &adapters[p.range.clone()];
                Factor::from(View::from_slice(elements, p.shape.rows, p.shape.columns))
            };
            let rows = w.rows_mut(place.rows.start, place.rows.len());
            T::gemm(rows, T::from_f64(factor), view(&place.b), view(&place.a), true);
            let Some(magnitudes) = &place.magnitudes else { continue };
            let lengths = &adapters[magnitudes.range.clone()];
            let mut rows = w.rows_mut(place.rows.start, place.rows.len());
            let mut norms = vec![T::zero(); lengths.len()];
            let thin = View::from_slice(&[], place.rows.len(), 0);
            let none = View::from_slice(&[], 0, matrix.shape.columns);
            let whole = Rows { start: 0, count: place.rows.len() };
            AdaptedNorms { factor: 0.0, rows: whole }.forward(
                [rows.as_view(), thin, none],
                ViewMut::from_slice(&mut norms, lengths.len(), 1),
                Work::none(),
            );
            for (i, mut row) in rows.row_iter_mut().enumerate() {
                let ratio = lengths[i] / norms[i];
                row.iter_mut().for_each(|w| *w *= ratio);
            }
        }
    }
}

impl<T: Real> RecordedStep<T> {
    /// Returns the weights of the model itself, learned or frozen, in the order of its parameter list
    /// ([`Architecture::parameter_list`]).
    pub(super) fn own_weights(&self) -> Vec<(Var, Parameter)> {
        let tape = self.tape();
        let adapters = &self.marks().weights.adapters;
        let beside = |var: &Var| adapters.iter().any(|own| own.has(*var));
        let learned = tape.parameter_vars().filter(|(var, _)| !beside(var));
        let mut all: Vec<_> = learned.chain(tape.frozen_vars()).collect();
        all.sort_by_key(|(var, _)| var.index());
        all
    }

    /// Sets the weights of the model itself, given in the order of its parameter list; adapters stay as they are.
    ///
    /// # Panics
    /// If their number is another.
    pub fn set_weights<S: Real>(&mut self, weights: &[S]) {
        let mut rest = weights;
        for (var, _) in self.own_weights() {
            let place = self.tape_mut().value_mut(var);
            let (own, left) = rest.split_at(place.len());
            place.iter_mut().zip(own).for_each(|(p, x)| *p = T::from_f64(x.to_f64()));
            rest = left;
        }
        assert!(rest.is_empty(), "weights of another model");
    }

    /// Returns the weights of the model itself, in the order of its parameter list, with adapters merged
    /// ([`Architecture::merge`]). `learned` are the learned parameters: those of the tape, or an average of earlier ones.
    ///
    /// # Panics
    /// If the number of learned parameters is another.
    pub fn merged<'a>(&self, learned: &'a [T]) -> Cow<'a, [T]> {
        let tape = self.tape();
        assert_eq!(learned.len(), tape.parameters().len(), "parameters of another model");
        if self.config().adaptation.is_none() {
            return Cow::Borrowed(learned);
        }
        let places: HashMap<Var, Range<usize>> =
            tape.parameter_vars().map(|(var, p)| (var, p.range)).collect();
        let mut all = Vec::with_capacity(self.config().parameters());
        for (var, _) in self.own_weights() {
            match places.get(&var) {
                Some(range) => all.extend_from_slice(&learned[range.clone()]),
                None => all.extend_from_slice(&tape.weight(var)),
            }
        }
        self.config().merge(&mut all, learned);
        Cow::Owned(all)
    }
}
