//! Updates that rounding takes away: parameters that have a gradient and do not move.
//!
//! A weight θ in a format changes only if its update is at least half of the distance to its neighbour: 2⁻²⁵ to 2⁻²⁴·|θ| in f32,
//! 2⁻¹² to 2⁻¹¹ in float16, 2⁻⁹ to 2⁻⁸ in bfloat16. At a relative update of 10⁻³, a weight of bfloat16 stands still; weights are
//! therefore kept in f32 (Micikevicius et al., *Mixed Precision Training*, 2018, section 3.1). The update is computed in
//! `f64` by the optimizer itself, so that it is known also if rounding takes it away.

use crate::inspect::diagnose::course::State;
use crate::inspect::diagnose::stepping::decay_factor;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::precision::Precision;
use crate::training::recipe::Recipe;
use calculus::{Parameter, clip, matrices};
use serde::Serialize;

/// Share of a tensor's elements that have an update: if more than half do not move, the tensor is told of.
const MOST: f64 = 0.5;
const FORMATS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];

/// Why a tensor does not move although it has a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The learning rate is 0.
    NoRate,
    /// The update itself is below the smallest number: the rate times a gradient, or a gradient over ε.
    Vanishes,
    /// The update is below half of the distance from the weights to their neighbours.
    RoundedAway,
}

/// A tensor that has a gradient and hardly moves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unmoved {
    /// The tensor.
    pub name: String,
    /// The cause.
    pub reason: Reason,
    /// Share of the elements with a gradient that the next update does not change in f32.
    pub share: f64,
    /// Root mean squares of the gradient, of the update before rounding, of the weights.
    pub gradient: f64,
    /// See `gradient`.
    pub update: f64,
    /// See `gradient`.
    pub weight: f64,
}

impl Unmoved {
    /// Describes the reason with its numbers.
    pub fn because(&self, rate: f64) -> String {
        let Unmoved { update, weight, gradient, .. } = self;
        match self.reason {
            Reason::NoRate => "the learning rate is 0".to_owned(),
            Reason::Vanishes => format!(
                "a gradient of {gradient:.1e} at the rate {rate:.1e} gives an update of {update:.1e}, below the smallest f32"
            ),
            Reason::RoundedAway => format!(
                "an update of {update:.1e}, at the rate {rate:.1e}, is rounded away by weights of {weight:.1e}, whose \
                 neighbours are about {:.1e} apart",
                2.0_f64.powi(-23) * weight
            ),
        }
    }
}

/// The next update of a state, before rounding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NextUpdate {
    /// Share of the parameters with a gradient that it would not change if weights were kept in f32, bf16 and f16.
    pub lost: [f64; 3],
    /// Tensors that have a gradient and hardly move in f32.
    pub unmoved: Vec<Unmoved>,
    /// Norm of the change over norm of the weights, of all weights that decay; NaN if none does.
    pub decayed_ratio: f64,
    /// Root mean square of the weights that decay; NaN if none does.
    pub decayed_weight: f64,
    /// The learning rate.
    pub rate: f64,
}

impl NextUpdate {
    /// Computes the next update of a state.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn of(subject: &impl Subject, state: &State, recipe: &Recipe) -> Result<Self, ModelError> {
        let mut step = subject.record::<f32>()?;
        step.set_parameters(&state.parameters);
        let list = step.tape.parameter_list();
        let batches = recipe.replays(state.steps);
        let mut gradient = vec![0.0_f64; state.parameters.len()];
        for &batch in &batches {
            step.give(&subject.batch(batch));
            step.step();
            let share = if recipe.average { 1.0 / batches.len() as f64 } else { 1.0 };
            let gradients = step.tape.gradients();
            gradient.iter_mut().zip(gradients).for_each(|(s, &g)| *s += share * f64::from(g));
        }
        Ok(NextUpdate::by(state, recipe, &list, gradient))
    }

    /// Computes the next update by this gradient.
    fn by(state: &State, recipe: &Recipe, list: &[Parameter], mut gradient: Vec<f64>) -> Self {
        clip::by_global_norm(&mut gradient, recipe.largest_norm());
        let rate = recipe.schedule.rate(state.steps);
        let before: Vec<f64> = state.parameters.iter().map(|&p| f64::from(p)).collect();
        let decayed: Vec<usize> = match recipe.optimizer.weight_decay {
            0.0 => vec![],
            _ => matrices(list).into_iter().flatten().collect(),
        };
        let mut rule = state.optimizer::<f64>(recipe, list);
        let mut moved = vec![0.0; before.len()];
        if recipe.optimizer.kind.averages() {
            // An update depends on how far the parameters are from their mean.
            moved.copy_from_slice(&before);
            rule.step(rate, &mut moved, &gradient);
            moved.iter_mut().zip(&before).for_each(|(moved, before)| *moved -= before);
        } else {
            // From parameters of 0, where no digit of the update is lost: what it adds does not depend on them, and its
            // decay multiplies them.
            rule.step(rate, &mut moved, &gradient);
            let lost_to_decay = 1.0 - decay_factor(recipe, state.steps);
            decayed.iter().for_each(|&i| moved[i] -= lost_to_decay * before[i]);
        }
        let moved = |i: usize| moved[i];
        let stays = |format: Precision, i: usize| {
            let own = format.round(state.parameters[i]);
            format.round((f64::from(own) + moved(i)) as f32).to_bits() == own.to_bits()
        };
        // An element at 0 that receives nothing has no update.
        let has = |i: &usize| gradient[*i] != 0.0;
        let lost = FORMATS.map(|format| {
            let all = (0..before.len()).filter(has);
            all.clone().filter(|&i| stays(format, i)).count() as f64 / all.count().max(1) as f64
        });
        let rms = |of: &dyn Fn(usize) -> f64, range: std::ops::Range<usize>| {
            let n = range.len().max(1) as f64;
            (range.map(|i| of(i) * of(i)).sum::<f64>() / n).sqrt()
        };
        let mut unmoved = vec![];
        for Parameter { name, range, .. } in list {
            let own = || range.clone().filter(has);
            let still: Vec<usize> = own().filter(|&i| stays(Precision::F32, i)).collect();
            let share = still.len() as f64 / own().count().max(1) as f64;
            if share <= MOST {
                continue;
            }
            let update = rms(&moved, range.clone());
            let vanishes = still.iter().all(|&i| moved(i) as f32 == 0.0);
            let reason = match () {
                () if rate == 0.0 => Reason::NoRate,
                () if vanishes => Reason::Vanishes,
                () => Reason::RoundedAway,
            };
            let (gradient, weight) =
                (rms(&|i| gradient[i], range.clone()), rms(&|i| before[i], range.clone()));
            unmoved.push(Unmoved { name: name.clone(), reason, share, gradient, update, weight });
        }
        let squares =
            |of: &dyn Fn(usize) -> f64| decayed.iter().map(|&i| of(i).powi(2)).sum::<f64>();
        let (changes, sizes) = (squares(&moved), squares(&|i| before[i]));
        NextUpdate {
            lost,
            unmoved,
            decayed_ratio: (changes / sizes).sqrt(),
            decayed_weight: (sizes / decayed.len() as f64).sqrt(),
            rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calculus::optimizer::OptimizerConfig;
    use linalg::{Role, Shape};
    use probability::random::Random;

    fn tensor(name: &str, range: std::ops::Range<usize>) -> Parameter {
        let (shape, uses) = (Shape::new(2, range.len() / 2), vec![(Role::Linear, 0)]);
        Parameter { name: name.into(), shape, range, uses, output: false }
    }

    /// Relative updates of 2⁻ᵏ: each format keeps those of at least half its spacing.
    #[test]
    fn an_update_is_lost_below_half_of_the_spacing() {
        // Weights of 1.25: the spacing is 2⁻²³, 2⁻⁷ and 2⁻¹⁰. Descent at the rate 1 changes by the gradient.
        let lost = |size: f64| {
            let state = State::start(vec![1.25; 8]);
            let list = [tensor("w", 0..8)];
            NextUpdate::by(&state, &Recipe::sgd(1.0), &list, vec![size; 8]).lost
        };
        let [f32, bf16, f16] = [-24, -8, -11].map(|k| 2.0_f64.powi(k));
        assert_eq!(lost(0.99 * f32), [1.0, 1.0, 1.0]);
        assert_eq!(lost(1.01 * f32), [0.0, 1.0, 1.0]);
        assert_eq!(lost(0.99 * f16), [0.0, 1.0, 1.0]);
        assert_eq!(lost(1.01 * f16), [0.0, 1.0, 0.0]);
        assert_eq!(lost(0.99 * bf16), [0.0, 1.0, 0.0]);
        assert_eq!(lost(1.01 * bf16), [0.0, 0.0, 0.0]);
    }

    /// The share of f32 is that of the bits that the optimizer itself leaves unchanged in f32.
    #[test]
    fn the_share_is_what_the_optimizer_leaves() {
        const N: usize = 4000;
        let random = Random::new(3, 0, 0);
        // Weights of all sizes from 1 to 10⁶: Adam's first step of 10⁻² is lost by some.
        let weights: Vec<f32> =
            (0..N as u64).map(|i| 10.0_f64.powf(6.0 * random.uniform(i)) as f32).collect();
        let gradient: Vec<f64> = (0..N as u64).map(|i| random.normal(i + 5000)).collect();
        let (state, recipe) = (State::start(weights.clone()), Recipe::adam(1e-2));
        let list = [tensor("w", 0..N)];
        let found = NextUpdate::by(&state, &recipe, &list, gradient.clone());
        let (mut rule, mut after) = (recipe.optimizer.build::<f32>(&list), weights.clone());
        let handed: Vec<f32> = gradient.iter().map(|&g| g as f32).collect();
        rule.step(1e-2, &mut after, &handed);
        let same = weights.iter().zip(&after).filter(|(a, b)| a.to_bits() == b.to_bits()).count();
        assert!(same > N / 20 && same < N / 2, "{same}");
        // Ties and the optimizer's own rounding: a few of four thousand.
        assert!((found.lost[0] - same as f64 / N as f64).abs() < 2e-3, "{} {same}", found.lost[0]);
    }

    #[test]
    fn the_reason_is_told() {
        let state = State::start([vec![1e6; 8], vec![0.1; 8]].concat());
        let list = [tensor("large", 0..8), tensor("small", 8..16)];
        let reasons = |recipe: &Recipe, gradient: f64| -> Vec<(String, Reason)> {
            let found = NextUpdate::by(&state, recipe, &list, vec![gradient; 16]);
            assert!(found.unmoved.iter().all(|u| u.share == 1.0 && u.gradient > 0.0));
            found.unmoved.into_iter().map(|u| (u.name, u.reason)).collect()
        };
        let both = |reason| vec![("large".to_owned(), reason), ("small".to_owned(), reason)];
        // Adam's step is 3·10⁻³; the neighbours of 10⁶ are 0.06 apart.
        let rounded = vec![("large".to_owned(), Reason::RoundedAway)];
        assert_eq!(reasons(&Recipe::adam(3e-3), 1e-3), rounded);
        assert_eq!(reasons(&Recipe::adam(0.0), 1e-3), both(Reason::NoRate));
        assert_eq!(reasons(&Recipe::sgd(1e-20), 1e-30), both(Reason::Vanishes));
        assert_eq!(reasons(&Recipe::sgd(1e-9), 1e-3), both(Reason::RoundedAway));
        assert_eq!(reasons(&Recipe::sgd(1e3), 1e-3), vec![]);
        // A parameter without a gradient is not asked, and clipping counts.
        assert_eq!(reasons(&Recipe::sgd(1e-9), 0.0), vec![]);
        assert_eq!(
            reasons(&Recipe { clip: 1e-9, ..Recipe::sgd(1.0) }, 1.0),
            both(Reason::RoundedAway)
        );
    }

    /// ‖Δθ‖/‖θ‖ and the root mean square of the weights that decay.
    #[test]
    fn decayed_weights_are_measured() {
        let rule = OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::default() };
        let recipe = Recipe { optimizer: rule, ..Recipe::adam(1e-2) };
        let mut free = tensor("gain", 8..16);
        (free.uses, free.shape) = (vec![], Shape::new(8, 1));
        let state = State::start([vec![2.0; 8], vec![50.0; 8]].concat());
        let found = NextUpdate::by(&state, &recipe, &[tensor("w", 0..8), free], vec![1.0; 16]);
        // −η·λ·2 − η: 0.012 of 2.
        assert!((found.decayed_ratio - 0.006).abs() < 1e-9, "{}", found.decayed_ratio);
        assert_eq!(found.decayed_weight, 2.0);
        let none =
            NextUpdate::by(&state, &Recipe::adam(1e-2), &[tensor("w", 0..16)], vec![1.0; 16]);
        assert!(none.decayed_weight.is_nan() && none.decayed_ratio.is_nan());
    }
}
