//! Where a diagnosed loop stands, and what a step of it did.

use super::origin::Origin;
use crate::training::recipe::Recipe;
use calculus::Parameter;
use calculus::optimizer::Optimizer;
use serde::Serialize;

/// Where training stands: everything that the next step depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps taken.
    pub steps: u64,
    /// The parameters.
    pub parameters: Vec<f32>,
    /// What the optimiser remembers, in its order; empty where it has not begun.
    pub memory: Vec<Vec<f32>>,
    /// The gradients that the last step left behind, for a loop that does not zero them; else empty.
    pub gradients: Vec<f32>,
}

impl State {
    /// Before the first step.
    pub fn start(parameters: Vec<f32>) -> Self {
        State { steps: 0, parameters, memory: vec![], gradients: vec![] }
    }

    /// A recipe's optimiser as it stands here, of a model with these parameters.
    pub(crate) fn optimizer(&self, recipe: &Recipe, list: &[Parameter]) -> Box<dyn Optimizer<f32>> {
        let mut rule = recipe.optimizer.build(list);
        rule.set_steps(self.steps);
        for ((_, own), saved) in rule.state().into_iter().zip(&self.memory) {
            if own.len() == saved.len() {
                own.copy_from_slice(saved);
            }
        }
        rule
    }
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Taken {
    /// Its number; the first is 1.
    pub number: u64,
    /// Its first batch, or the one that failed, as the subject counts: [`Recipe::called`] tells the run's.
    pub batch: u64,
    /// The loss before the update.
    pub loss: f64,
    /// Norm of all gradients together, before clipping, unscaled.
    pub gradient_norm: f64,
    /// Norm of the change over norm of the parameters.
    pub update_ratio: f64,
    /// The same layer by layer, in the order of the parameters; empty where there was no update.
    pub layer_ratios: Vec<f64>,
    /// The learning rate.
    pub rate: f64,
    /// The largest size of every value, in the order of the recording; infinite where one is not finite.
    pub largest: Vec<f64>,
    /// The largest size of every value's gradient.
    pub largest_gradient: Vec<f64>,
    /// Why the step was not taken, or what it broke.
    pub origin: Option<Origin>,
}
