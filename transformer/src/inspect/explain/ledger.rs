//! The ledger of a step: the predicted change of the loss by the update, and the measured one.
//!
//! Taylor: L(θ + Δθ) − L(θ) = g·Δθ + ½·ΔθᵀHΔθ + O(‖Δθ‖³). The gradient is the recorded one; H·Δθ is
//! exact, the derivative of the gradient in the direction Δθ, by replaying the recording on dual
//! numbers; the left side is measured. All in `f64`, so that the remainder is not rounding.
//! Source: Pearlmutter, *Fast Exact Multiplication by the Hessian*, 1994.

use super::{Explanation, MEASURED, Node, Part};
use crate::model::recorded_step::{ModelError, RecordedStep};
use calculus::{Dual, Parameter};
use linalg::{Real, Role};
use serde::Serialize;
use std::ops::Range;

/// Above this number of parameters the second order, which takes several times the memory, is omitted.
const MOST: usize = 30_000_000;

/// The predicted and the measured effect of a step, in nats per token.
#[derive(Clone, Debug, Serialize)]
#[must_use]
pub struct Ledger {
    /// The loss before the update.
    pub before: f64,
    /// The loss after it.
    pub after: f64,
    /// g·Δθ.
    pub first: f64,
    /// ½·ΔθᵀHΔθ, unless the model is too large.
    pub second: Option<f64>,
    /// The same by part of the model, in the order of the network.
    pub groups: Vec<Group>,
    /// The effect of scaling the whole step by 1, ½, ¼, …: (scale, measured change).
    pub scales: Vec<(f64, f64)>,
    /// The number of frozen weights, which no step changes: their part of everything above is 0.
    pub frozen: usize,
    /// The contribution of each token's loss to the gradient.
    pub shares: Vec<Share>,
}

/// The ledger of one group of parameters.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// "embedding", "block 0 attention".
    pub name: String,
    /// Number of parameters.
    pub parameters: usize,
    /// Its share of g·Δθ.
    pub first: f64,
    /// Its share of ½·ΔθᵀHΔθ: ½·Δθ_G·(HΔθ)_G. The shares add up to the whole.
    pub second: Option<f64>,
    /// The measured change by updating this group alone.
    pub alone: f64,
    /// ‖g‖ of the group.
    pub gradient: f64,
    /// ‖Δθ‖ / ‖θ‖.
    pub ratio: f64,
}

/// The contribution of one token to the gradient.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Share {
    /// Its position in the text.
    pub place: usize,
    /// ‖gᵗ‖ of its own part of the mean loss.
    pub norm: f64,
    /// gᵗ·g/‖g‖²: the shares add up to 1.
    pub share: f64,
}

impl Ledger {
    /// Returns the measured change of the loss.
    pub fn measured(&self) -> f64 {
        self.after - self.before
    }

    /// Returns the remainder that first and second order leave unexplained.
    pub fn remainder(&self) -> Option<f64> {
        Some(self.measured() - self.first - self.second?)
    }

    /// Returns the remainder after first and second order at every scale: (scale, remainder).
    pub fn remainders(&self) -> Vec<(f64, f64)> {
        let second = self.second.unwrap_or(0.0);
        let rest = |&(s, change): &(f64, f64)| (s, change - s * self.first - s * s * second);
        self.scales.iter().map(rest).collect()
    }
}

impl<T: Real> Explanation<T> {
    /// Computes the ledger of this step.
    ///
    /// # Errors
    /// Like [`Explanation::of`].
    pub fn ledger(&self) -> Result<Ledger, ModelError> {
        let before: Vec<f64> = self.subject.parameters.iter().map(|x| x.to_f64()).collect();
        let after: Vec<f64> = self.updated.iter().map(|x| x.to_f64()).collect();
        let change: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();

        let mut model = self.measuring::<f64>()?;
        let loss = gradients(&mut model, &before);
        let g = model.tape().gradients().to_vec();
        let curved = if before.len() > MOST {
            None
        } else {
            let mut moving = self.measuring::<Dual<f64>>()?;
            let both: Vec<_> = before.iter().zip(&change).map(|(&x, &d)| Dual::new(x, d)).collect();
            gradients(&mut moving, &both);
            Some(moving.tape().gradients().iter().map(|g| g.derivative).collect::<Vec<f64>>())
        };

        let mut moved = before.clone();
        let scales: Vec<(f64, f64)> = (0..6)
            .map(|k| {
                let scale = 0.5_f64.powi(k);
                let both = before.iter().zip(&change);
                moved.iter_mut().zip(both).for_each(|(m, (b, d))| *m = b + scale * d);
                (scale, loss_at(&mut model, &moved) - loss)
            })
            .collect();
        drop(moved);
        let whole = loss_at(&mut model, &after);
        model.copy_parameters(&before);
        let mut groups = Vec::new();
        for (name, ranges) in self.groups() {
            let over = |f: &dyn Fn(usize) -> f64| -> f64 {
                ranges.iter().flat_map(|r| r.clone()).map(f).sum()
            };
            // This group alone takes its step, and goes back.
            place(&mut model, &after, &ranges);
            let alone = loss_of(&mut model);
            place(&mut model, &before, &ranges);
            let size = over(&|i| before[i] * before[i]).sqrt().max(f64::MIN_POSITIVE);
            groups.push(Group {
                parameters: ranges.iter().map(Range::len).sum(),
                first: over(&|i| g[i] * change[i]),
                second: curved.as_ref().map(|h| 0.5 * over(&|i| change[i] * h[i])),
                alone: alone - loss,
                gradient: over(&|i| g[i] * g[i]).sqrt(),
                ratio: over(&|i| change[i] * change[i]).sqrt() / size,
                name,
            });
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        Ok(Ledger {
            before: loss,
            after: whole,
            first: dot(&g, &change),
            second: curved.as_ref().map(|h| 0.5 * dot(&change, h)),
            groups,
            scales,
            frozen: self.model.tape().frozen_vars().map(|(_, p)| p.shape.len()).sum(),
            shares: self.shares(),
        })
    }

    /// Records the model on another scalar, with the same batch.
    fn measuring<S: Real>(&self) -> Result<RecordedStep<S>, ModelError> {
        let subject = &self.subject;
        let length = subject.tokens.len();
        let mut model = RecordedStep::record(&subject.config, 1, length, MEASURED, subject.seed)?;
        model.set_batch(&subject.tokens, &subject.targets)?;
        subject.set_teacher(&mut model);
        model.set_step(subject.descent.batch);
        Ok(model)
    }

    /// Returns the groups of parameters in the order of the network: names and ranges.
    fn groups(&self) -> Vec<(String, Vec<Range<usize>>)> {
        let mut groups: Vec<(String, Vec<Range<usize>>)> = Vec::new();
        for parameter in self.model.tape().parameter_list() {
            let name = self.group_of(&parameter);
            match groups.iter_mut().find(|g| g.0 == name) {
                Some(group) => group.1.push(parameter.range),
                None => groups.push((name, vec![parameter.range])),
            }
        }
        groups
    }

    /// Returns the group of a parameter: norms form their own, else its part of the network.
    fn group_of(&self, parameter: &Parameter) -> String {
        if parameter.uses.iter().any(|(role, _)| *role == Role::Norm) {
            return "norms".to_owned();
        }
        let own = self.nodes.iter().find(|n| n.parameter == Some(parameter.range.start));
        let adapters = &self.model.marks().weights.adapters;
        let beside = |node: &Node| adapters.iter().any(|own| own.has(node.var));
        let adapters = if own.is_some_and(beside) { ", adapters" } else { "" };
        match own.map(|node| (node.block, node.part)) {
            Some((Some(block), Part::Attention)) => format!("block {block} attention{adapters}"),
            Some((Some(block), _)) => format!("block {block} feed-forward{adapters}"),
            Some((None, Part::Embedding)) => "embedding".to_owned(),
            _ => "head".to_owned(),
        }
    }

    /// Computes the contribution of each token's own loss to the gradient.
    fn shares(&self) -> Vec<Share> {
        let Ok(mut model) =
            super::recorded(&self.subject, crate::model::recorded_step::Without::default())
        else {
            return Vec::new();
        };
        let Some(surprisal) = model.predictions().map(|p| p.surprisal) else { return Vec::new() };
        let targets = &self.subject.targets;
        let predicted: Vec<usize> = (0..targets.len())
            .filter(|&t| targets[t] != crate::model::recorded_step::IGNORED)
            .collect();
        let whole: Vec<f64> = model.tape().gradients().iter().map(|g| g.to_f64()).collect();
        let square: f64 = whole.iter().map(|g| g * g).sum();
        let mut shares = Vec::new();
        for &place in &predicted {
            let mut upstream = vec![T::zero(); targets.len()];
            upstream[place] = T::from_f64(1.0 / predicted.len() as f64);
            model.tape_mut().zero_gradients();
            model.tape_mut().backward_from(surprisal, &upstream);
            let own = || model.tape().gradients().iter().map(|g| g.to_f64());
            let norm = own().map(|g| g * g).sum::<f64>().sqrt();
            let along: f64 = own().zip(&whole).map(|(a, b)| a * b).sum();
            shares.push(Share { place, norm, share: along / square.max(f64::MIN_POSITIVE) });
        }
        shares
    }
}

fn gradients<S: Real>(model: &mut RecordedStep<S>, parameters: &[S]) -> f64 {
    let loss = loss_at(model, parameters);
    let var = model.loss_var();
    model.tape_mut().zero_gradients();
    model.tape_mut().backward(var);
    loss
}

fn loss_at<S: Real>(model: &mut RecordedStep<S>, parameters: &[S]) -> f64 {
    model.copy_parameters(parameters);
    loss_of(model)
}

/// Sets the parameters of these ranges.
fn place<S: Real>(model: &mut RecordedStep<S>, from: &[S], ranges: &[Range<usize>]) {
    let parameters = model.tape_mut().parameters_mut();
    for range in ranges {
        parameters[range.clone()].copy_from_slice(&from[range.clone()]);
    }
}

/// Returns the loss at the parameters that are set.
fn loss_of<S: Real>(model: &mut RecordedStep<S>) -> f64 {
    model.tape_mut().forward();
    model.tape().elements(model.loss_var())[0].to_f64()
}
