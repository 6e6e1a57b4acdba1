//! How long weights remember with decoupled decay, and the balance that it leads to.
//!
//! AdamW's weights are a running mean of updates, <var>θ ← (1 − η·λ)·θ − η·u</var>: an update's share falls to 1/e after
//! <var>τ = 1/(η·λ)</var> steps. If gradients are noise of mean 0, growth by updates and shrinking by decay balance. With
//! a = 1 − η·λ and u a mean of normalised gradients of variance 1 with smoothing b = β₁, θ is an autoregression of second order
//! with roots a and b, so that at balance
//! <var>rms θ = η·(1 − b)·√((1 + a·b)/((1 − a·b)·(1 − a²)·(1 − b²)))</var>, about √(η/(2λ)), and
//! <var>‖Δθ‖/‖θ‖ = √(2·(1 − a)·(1 − b)/(1 + a·b))</var>, about √(2·η·λ·(1 − b)/(1 + b)). Over more steps than the
//! momentum lasts, 1/(1 − b), the weights turn by √(2·η·λ) per root of a step, whatever b.
//! Gradients of a weight whose scale the loss does not see (one before a norm) are perpendicular to it: the same
//! balance holds. Gradients that agree from step to step make larger updates and weights.
//! Sources: Wang and Aitchison, *How to set AdamW's weight decay as you scale model and dataset size*, 2024, for τ;
//! Kosson, Messmer and Jaggi, *Rotational Equilibrium: How Weight Decay Balances Learning Across Neural Networks*, 2024,
//! for the balance; Box and Jenkins, *Time Series Analysis*, section 3.2, for the variance.

use calculus::optimizer::OptimizerKind;
use serde::Serialize;

use crate::training::recipe::Recipe;

/// How long the weights that decay remember, and where noise alone would lead them, at the rate of the next step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decay {
    /// τ = 1/(η·λ): the steps after which an update's share of the weights has fallen to 1/e.
    pub steps: f64,
    /// The same in passes over the text; `None` if the text's length is unknown.
    pub passes: Option<f64>,
    /// τ over the planned steps; `None` if no plan is known.
    pub of_plan: Option<f64>,
    /// Norm of an update over norm of the weights at balance; `None` if no closed form is known for the update rule.
    pub balance_ratio: Option<f64>,
    /// Root mean square of the weights at balance.
    pub balance_weight: Option<f64>,
    /// The same ratio of the next update, over all weights that decay.
    pub ratio: f64,
    /// The root mean square of these weights.
    pub weight: f64,
}

/// Returns ‖Δθ‖/‖θ‖ and rms θ at balance, for AdamW with these settings under noise; see the module. η·λ and β₁ must lie in
/// [0, 1), η·λ above 0.
pub fn balance(rate: f64, decay: f64, beta1: f64) -> (f64, f64) {
    let (lost, b) = (rate * decay, beta1);
    let a = 1.0 - lost;
    let ratio = (2.0 * lost * (1.0 - b) / (1.0 + a * b)).sqrt();
    // 1 − a² = ηλ·(2 − ηλ), without the difference.
    let variance =
        (1.0 + a * b) / ((1.0 - a * b) * lost * (2.0 - lost) * (1.0 - b * b)) * (1.0 - b).powi(2);
    (ratio, rate * variance.sqrt())
}

impl Decay {
    /// Computes the memory at this rate, `None` if nothing decays. `kept` is the factor of an update without gradients,
    /// (`ratio`, `weight`) as in the fields; `pass` and `planned` are in steps, 0 if unknown.
    pub(super) fn of(
        recipe: &Recipe,
        rate: f64,
        kept: f64,
        (ratio, weight): (f64, f64),
        (pass, planned): (f64, f64),
    ) -> Option<Self> {
        let steps = 1.0 / (1.0 - kept);
        let rule = &recipe.optimizer;
        // The mean of iterates has a memory of its own.
        if !(steps.is_finite() && steps > 1.0 && weight > 0.0) || rule.kind.averages() {
            return None;
        }
        // One rate for all matrices, and a mean of gradients.
        let one_rate = rule.kind == OptimizerKind::Adam && rule.width_ratio == 1.0;
        let known = one_rate && (0.0..1.0).contains(&rule.beta1);
        let balance = known.then(|| balance(rate, rule.weight_decay, rule.beta1));
        let over = |whole: f64| (whole > 0.0).then(|| steps / whole);
        Some(Decay {
            steps,
            passes: over(pass),
            of_plan: over(planned),
            balance_ratio: balance.map(|b| b.0),
            balance_weight: balance.map(|b| b.1),
            ratio,
            weight,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calculus::Parameter;
    use calculus::optimizer::OptimizerConfig;
    use linalg::{Role, Shape};
    use probability::random::Random;

    const N: usize = 2000;

    /// Trains weights by AdamW on normal noise, perpendicular to them if asked, until they have forgotten their start;
    /// returns the ratio of the norms and the root mean square, averaged over the last steps.
    fn simulated(rule: OptimizerConfig, rate: f64, perpendicular: bool) -> (f64, f64) {
        let uses = vec![(Role::Linear, 0)];
        let shape = Shape::new(40, N / 40);
        let own = Parameter { name: "w".into(), shape, range: 0..N, uses, output: false };
        let mut adam = rule.build::<f64>(&[own]);
        let steps = (6.0 / (rate * rule.weight_decay)) as u32;
        let random = Random::new(5, 0, 0);
        let mut w: Vec<f64> = (0..N as u64).map(|i| random.normal(i)).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut ratio, mut size, mut counted) = (0.0, 0.0, 0.0);
        for step in 0..steps {
            let random = Random::new(6, step, 0);
            let mut g: Vec<f64> = (0..N as u64).map(|i| random.normal(i)).collect();
            if perpendicular {
                let along = dot(&g, &w) / dot(&w, &w);
                g.iter_mut().zip(&w).for_each(|(g, w)| *g -= along * w);
            }
            let before = w.clone();
            adam.step(rate, &mut w, &g);
            if 6 * step >= 5 * steps {
                let moved: Vec<f64> = w.iter().zip(&before).map(|(a, b)| a - b).collect();
                ratio += (dot(&moved, &moved) / dot(&before, &before)).sqrt();
                size += (dot(&before, &before) / N as f64).sqrt();
                counted += 1.0;
            }
        }
        (ratio / counted, size / counted)
    }

    /// The closed form against AdamW itself. After six memories the start, of variance 1, has the share e⁻¹² of it.
    /// A root mean square of 2,000 independent weights has a relative deviation of 1/√(2·2000) = 1.6 %, and averages of a
    /// memory's steps are hardly better: four deviations. The second moment, of β₂ = 0.999, varies by 4.5 %, which moves the mean of
    /// 1/√v by 3/8 of its square, a thousandth.
    #[test]
    fn noise_leads_weights_to_the_closed_forms() {
        for (beta1, decay, rate) in [(0.9, 0.5, 1e-2), (0.0, 0.5, 1e-2), (0.95, 1.0, 1e-2)] {
            let rule = OptimizerConfig {
                beta1,
                beta2: 0.999,
                weight_decay: decay,
                ..OptimizerConfig::default()
            };
            let (ratio, size) = balance(rate, decay, beta1);
            for perpendicular in [false, true] {
                let (r, s) = simulated(rule, rate, perpendicular);
                assert!((s / size - 1.0).abs() < 0.065, "{beta1}: rms {s} is not {size}");
                assert!((r / ratio - 1.0).abs() < 0.065, "{beta1}: ratio {r} is not {ratio}");
            }
        }
    }

    /// For small η·λ: √(η/(2λ)) and √(2ηλ(1 − β₁)/(1 + β₁)), the paper's Table 1; without momentum √(2ηλ).
    #[test]
    fn small_rates_have_the_papers_forms() {
        for (rate, decay, beta1) in [(1e-4, 0.1, 0.9), (3e-5, 0.01, 0.95), (1e-4, 0.1, 0.0)] {
            let (ratio, size) = balance(rate, decay, beta1);
            let lost: f64 = rate * decay;
            let (r, s) = (
                (2.0 * lost * (1.0 - beta1) / (1.0 + beta1)).sqrt(),
                (rate / (2.0 * decay)).sqrt(),
            );
            // Of the order of η·λ/(1 − β₁).
            let near = |a: f64, b: f64| (a / b - 1.0).abs() < 2.0 * lost / (1.0 - beta1);
            assert!(near(ratio, r) && near(size, s), "{ratio} {r} {size} {s}");
        }
    }
}
