//! The state of a diagnosed loop, and the record of one of its steps.

use super::origin::Origin;
use crate::training::recipe::Recipe;
use calculus::Parameter;
use calculus::optimizer::{MEAN, Optimizer};
use linalg::Real;
use serde::Serialize;

/// The training state: everything that the next step depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps taken.
    pub steps: u64,
    /// The parameters.
    pub parameters: Vec<f32>,
    /// The optimizer state, in the optimizer's order; empty before the first step.
    pub memory: Vec<Vec<f32>>,
    /// The gradients that the last step left, for a loop that does not zero them; else empty.
    pub gradients: Vec<f32>,
}

impl State {
    /// Creates the state before the first step.
    pub fn start(parameters: Vec<f32>) -> Self {
        State { steps: 0, parameters, memory: vec![], gradients: vec![] }
    }

    /// Creates a recipe's optimizer in this state, for a model with these parameters.
    pub(crate) fn optimizer<T: Real>(
        &self,
        recipe: &Recipe,
        list: &[Parameter],
    ) -> Box<dyn Optimizer<T>> {
        let mut rule = recipe.optimizer.build::<T>(list);
        rule.set_steps(self.steps);
        for (k, (name, own)) in rule.state().into_iter().enumerate() {
            // A mean of iterates that was forgotten begins anew at the parameters.
            let anew = Some(&self.parameters).filter(|_| name == MEAN);
            let saved = self.memory.get(k).filter(|saved| own.len() == saved.len()).or(anew);
            let pairs = own.iter_mut().zip(saved.into_iter().flatten());
            pairs.for_each(|(own, &m)| *own = T::from_f64(f64::from(m)));
        }
        rule
    }
}

/// The record of one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Taken {
    /// Its number; the first is 1.
    pub number: u64,
    /// Its first batch, or the one that failed, in the subject's numbering; [`Recipe::called`] gives the run's.
    pub batch: u64,
    /// The loss before the update.
    pub loss: f64,
    /// Norm of the whole gradient, before clipping, without loss scale.
    pub gradient_norm: f64,
    /// Norm of the change over norm of the parameters.
    pub update_ratio: f64,
    /// The same by layer, in the order of the parameters; empty if there was no update.
    pub layer_ratios: Vec<f64>,
    /// The learning rate.
    pub rate: f64,
    /// The largest magnitude of every value, in the order of the recording; infinite if an element is not finite.
    pub largest: Vec<f64>,
    /// The largest magnitude of every value's gradient.
    pub largest_gradient: Vec<f64>,
    /// Why the step was not taken, or what its update made non-finite.
    pub origin: Option<Origin>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::diagnose::cause::specimen;
    use crate::inspect::subject::Subject;
    use calculus::optimizer::{OptimizerConfig, OptimizerKind};

    /// A mean of iterates that was forgotten begins anew at the parameters: iterate and mean are there, and so is the next
    /// step.
    #[test]
    fn a_forgotten_mean_begins_at_the_parameters() {
        let (start, mut recipe) = (specimen::start(), Recipe::sgd(1e-3));
        let kind = OptimizerKind::ScheduleFree;
        recipe.optimizer = OptimizerConfig { kind, ..OptimizerConfig::default() };
        let state = State { steps: 50, ..start };
        let list = specimen::step().record::<f32>().unwrap().tape.parameter_list();
        let mut rule = state.optimizer::<f32>(&recipe, &list);
        assert_eq!(rule.evaluated().unwrap(), state.parameters);
        let mut moved = state.parameters.clone();
        rule.step(1e-3, &mut moved, &vec![0.0; state.parameters.len()]);
        assert_eq!(moved, state.parameters);
    }
}
