//! The weights before training.

use crate::model::adapters::AdapterMarks;
use crate::model::architecture::{Architecture, Gain, HIDDEN_DEVIATION};
use crate::model::parameter_kind::{is_bias, is_gain};
use crate::model::recorded_step::{Form, ModelError, RecordedStep};
use crate::streams;
use calculus::{Source, Tape, hidden_matrices};
use linalg::{Primitive, Real, View, ViewMut, Work, adapted_norms::AdaptedNorms, rows::Rows};
use probability::random::Random;
use rayon::prelude::*;
use std::collections::HashSet;

impl<T: Real> RecordedStep<T> {
    /// Initialises parameters like GPT-2: weights normal with deviation 0.02, those that write to the residual stream
    /// 0.02/√(2·layers), gains 1 (their parameters 0 if they are 1 plus a parameter), biases 0. Source: Radford et al. 2019, section 2.3.
    ///
    /// Frozen weights begin as they would if they were learned, unless their values are given. Of adapters, see [`RecordedStep::initialise_adapters`].
    pub fn initialise(&mut self, seed: u64) {
        let by_layers = (2.0 * self.config().layers as f64).sqrt();
        let Architecture { gain: kind, hidden_deviation, .. } = *self.config();
        let weights = self.own_weights();
        let own = weights.iter().map(|(_, p)| p);
        let hidden = hidden_matrices(own).map(|p| p.name.clone());
        let hidden: HashSet<String> = hidden.collect();
        let given = self.config().adaptation.frozen.is_some();
        for (k, (var, parameter)) in weights.into_iter().enumerate() {
            if given && self.tape().source(var) == Source::Frozen {
                continue;
            }
            let random = Random::new(seed, streams::PARAMETERS + k as u32, 0);
            let writes = self.marks().weights.writers.contains(&var);
            let (gain, bias) = (is_gain(&parameter), is_bias(&parameter));
            let values = self.tape_mut().value_mut(var);
            if bias {
                values.fill(T::zero());
            } else if gain {
                values.fill(if kind == Gain::Plain { T::one() } else { T::zero() });
            } else {
                let own = match hidden.contains(&parameter.name) {
                    true => hidden_deviation,
                    false => HIDDEN_DEVIATION,
                };
                let deviation = if writes { own / by_layers } else { own };
                values.par_iter_mut().enumerate().for_each(|(i, value)| {
                    *value = T::from_f64(deviation * random.normal(i as u64));
                });
            }
        }
        self.initialise_adapters(seed);
    }

    /// Initialises the adapters: A uniform within ±1/√n for n inputs, B zero, learned lengths of rows as they are, so that the step is that of the model. Source:
    /// Hu et al. 2021, section 4.1; the distribution of A is that of PEFT (He et al. 2015, with a = √5).
    pub fn initialise_adapters(&mut self, seed: u64) {
        let first = streams::PARAMETERS + self.own_weights().len() as u32;
        let adapters = self.marks().weights.adapters.clone();
        begin_adapters(self.tape_mut(), &adapters, seed, first);
    }
}

/// Sets adapters to what they are before training: A uniform within ±1/√n for n inputs, by the random numbers of a seed and
/// of one stream an adapter from `first` on, B = 0, and with DoRA the lengths of the rows of weights.
pub(crate) fn begin_adapters<T: Real>(
    tape: &mut Tape<T>,
    adapters: &[AdapterMarks],
    seed: u64,
    first: u32,
) {
    for (own, stream) in adapters.iter().zip(first..) {
        let AdapterMarks { a, b, magnitudes, .. } = *own;
        let random = Random::new(seed, stream, 0);
        let bound = 1.0 / (tape.shape(a).columns as f64).sqrt();
        for (i, x) in tape.value_mut(a).iter_mut().enumerate() {
            *x = T::from_f64(bound * (2.0 * random.uniform(i as u64) - 1.0));
        }
        tape.value_mut(b).fill(T::zero());
        let Some(magnitudes) = magnitudes else { continue };
        let shape = tape.shape(own.matrix);
        let matrix = tape.weight(own.matrix).into_owned();
        let rows = Rows { start: own.rows.start, count: own.rows.len() };
        let mut lengths = vec![T::zero(); rows.count];
        AdaptedNorms { factor: own.factor, rows }.forward(
            [View::from_slice(&matrix, shape.rows, shape.columns), tape.value(b), tape.value(a)],
            ViewMut::from_slice(&mut lengths, rows.count, 1),
            Work::none(),
        );
        tape.value_mut(magnitudes).copy_from_slice(&lengths);
    }
}

impl Architecture {
    /// Returns the parameters before training ([`RecordedStep::initialise`]), one after another in the order of
    /// recording.
    ///
    /// # Errors
    /// Sizes that contradict each other or that memory cannot hold.
    pub fn initial_parameters(&self, seed: u64) -> Result<Vec<f32>, ModelError> {
        let mut model = RecordedStep::<f32>::record_forward_only(self, 1, 1, Form::Fused)?;
        model.initialise(seed);
        Ok(model.tape().parameters().to_vec())
    }
}
