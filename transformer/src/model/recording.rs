//! A recorded step: a tape, its loss, and the values that readers need.

use crate::model::adapters::AdapterMarks;
use calculus::{Tape, Var};
use linalg::Real;

/// A recorded step, its loss, and the values that readers need.
#[derive(Debug)]
#[must_use]
pub struct Recording<T: Real> {
    /// The step.
    pub tape: Tape<T>,
    /// The loss, 1×1.
    pub loss: Var,
    /// Values that some certificates and findings examine.
    pub handles: Handles,
}

/// Values that some certificates and findings examine; without a value, those do not apply. Readers never look for a
/// value by its name.
#[derive(Clone, Debug, Default)]
pub struct Handles {
    /// The input of token indices (1 × tokens).
    pub tokens: Option<Var>,
    /// The input of targets (1 × tokens); a negative one is ignored.
    pub targets: Option<Var>,
    /// The input of the place in its window of the first key that each token sees (1 × tokens), if windows hold several
    /// sequences.
    pub first: Option<Var>,
    /// The input of the step number that selects dropout's masks ([`probability::dropout::STEP`]).
    pub step: Option<Var>,
    /// The logits (classes × tokens).
    pub logits: Option<Var>,
    /// The vectors that each token's logits are computed from, if logits never exist all at once (features × tokens).
    pub last: Option<Var>,
    /// The parts of the loss of preferences, if that is the loss.
    pub pairs: Option<PairHandles>,
    /// The adapters beside frozen matrices.
    pub adapters: Vec<AdapterMarks>,
    /// The input of a teacher's logits (classes × tokens), if the loss has a part of one.
    pub teacher: Option<Var>,
}

/// The operands of the loss of preferences ([`infotheory::preference::PreferenceLoss`]), 1 × tokens each.
#[derive(Clone, Copy, Debug)]
pub struct PairHandles {
    /// The nats of every token.
    pub nats: Var,
    /// The input of the reference's nats.
    pub reference: Var,
    /// The input of each token's pair.
    pub pairs: Var,
    /// The input of each token's side.
    pub sides: Var,
}

/// The elements of an input, column by column, with its dotted name.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The input's name.
    pub name: &'static str,
    /// Its elements.
    pub elements: Vec<f64>,
}

impl Handles {
    /// Whether the loss is the mean of nats of targets, and not of preferences, nor of a teacher's predictions too.
    pub(crate) fn is_cross_entropy(&self) -> bool {
        self.pairs.is_none() && self.teacher.is_none()
    }
}

impl<T: Real> Recording<T> {
    /// A step whose loss is its only handle.
    pub fn new(tape: Tape<T>, loss: Var) -> Self {
        Recording { tape, loss, handles: Handles::default() }
    }

    /// Returns a batch's elements for an input.
    pub fn given<'a>(&self, input: Option<Var>, batch: &'a [Given]) -> Option<&'a [f64]> {
        let name = self.tape.name(input?);
        batch.iter().find(|given| given.name == name).map(|given| &given.elements[..])
    }

    /// Sets the inputs to a batch.
    ///
    /// # Panics
    /// If an input is missing or has another number of elements.
    pub fn give(&mut self, batch: &[Given]) {
        for Given { name, elements } in batch {
            let var = self.tape.find(name).expect("an input of the recording");
            let place = self.tape.value_mut(var);
            assert_eq!(place.len(), elements.len(), "elements of {name}");
            place.iter_mut().zip(elements).for_each(|(x, &e)| *x = T::from_f64(e));
        }
    }

    /// Sets all parameters.
    ///
    /// # Panics
    /// If their number differs.
    pub fn set_parameters<S: Real>(&mut self, parameters: &[S]) {
        let own = self.tape.parameters_mut();
        assert_eq!(own.len(), parameters.len(), "parameters of another model");
        own.iter_mut().zip(parameters).for_each(|(p, x)| *p = T::from_f64(x.to_f64()));
    }

    /// Returns whether the gradient of this parameter counts norms that change with it as constants, so that it is not the
    /// derivative of the loss: A and B of adapters that learn the lengths of rows ([`crate::Adapter::magnitudes`]).
    pub(crate) fn counts_norms_as_constants(&self, parameter: &str) -> bool {
        let named = |var: Var| self.tape.name(var) == parameter;
        let of = |own: &AdapterMarks| own.magnitudes.is_some() && (named(own.a) || named(own.b));
        self.handles.adapters.iter().any(of)
    }

    /// Returns the logits, or the values that each token's logits are computed from.
    pub fn predictions(&self) -> Option<Var> {
        self.handles.logits.or(self.handles.last)
    }

    /// Runs forward on the given inputs; returns the loss.
    pub fn forward(&mut self) -> T {
        self.tape.forward();
        self.tape.elements(self.loss)[0]
    }

    /// Runs forward, and backward from zeroed gradients; returns the loss.
    pub fn step(&mut self) -> T {
        let loss = self.forward();
        self.tape.zero_gradients();
        self.tape.backward(self.loss);
        loss
    }
}
