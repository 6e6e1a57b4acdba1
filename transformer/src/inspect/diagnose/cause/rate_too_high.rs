//! **Mathematics.** On a quadratic with largest curvature λ, the error along that direction is multiplied by 1 − ηλ per
//! step: it grows for η > 2/λ. Momentum: (2 + 2µ)/λ. Adam: (1 − β₁ᵗ)·(2 + 2β₁)/((1 − β₁)·λ′), λ′ of P^(−½)HP^(−½) with
//! P = √v̂ + ε: m̂ = m/(1 − β₁ᵗ) is a mean of gradients, so for the current P Adam is gradient descent with momentum β₁
//! at the rate η·(1 − β₁)/(1 − β₁ᵗ). After some dozens of steps the first factor is 1 and the limit 38/λ′ for β₁ = 0.9
//! (Cohen et al., *Adaptive Gradient Methods at the Edge of Stability*, 2022); at the first step it is a tenth of that.
//! Neither decay nor clipping is counted; the evidence mentions clipping.
//!
//! **Signature.** The loss rises within a few steps, faster and faster, at any batch; η above the limit that Lanczos'
//! method finds from exact Hessian-vector products. If no limit is measured (the optimizer has none, as Lion, whose
//! steps have one length; the model is too large), the loss does not distinguish this from other causes: it is this one
//! only if the same steps at a lower rate are stable and learn, and the evidence says that no limit was measured.
//!
//! **Cure.** Half of the limit if it is measured, then the rate times 1/10, 1/100, …: the first that is stable and
//! learns. With an optimizer that moves a weight by about the rate, whatever its gradients, 10⁻² and 10⁻³ are tried first.
//!
//! **Example.** `rate_times_1000`; `lion_at_a_rate_of_1`, without a limit; `rate_too_high_for_any_warm_up`, which a
//! warm-up does not fix; `update_overflows`, with finite loss and gradients while η·g is not: origin *update*, found
//! before a weight is lost.

use super::{
    Cure, Cures, Detect, Earlier, Findings, ModelError, Replay, Sign, Subject, Trial, dynamics,
};
use crate::inspect::diagnose::applied::{peak, round};

/// A rate that is too high for any training.
const BEYOND_REASON: f64 = 10.0;
/// Steps of a replay: long enough to learn.
const LEARNING: u64 = 40;

pub(super) struct RateTooHigh;

impl Detect for RateTooHigh {
    const TITLE: &str = "learning rate above the stability limit";
    const AFTER: Earlier = Earlier::LargeWeights;

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        if !dynamics::are_asked(f)? || dynamics::is_above(f)? == Some(false) {
            return Ok(None);
        }
        let (rate, shown) = dynamics::rate(f)?;
        Ok(Some(format!("the rate is {rate:.2e}{shown}")))
    }

    fn cures<S: Subject>(f: &Findings<'_, S>) -> Cures {
        // Half of the limit, if that is far below the rate, and less; without a known limit, for a rate beyond all
        // reason, one that is stable for some models. The highest rate counts: a warm-up reaches it.
        let rate = peak(f.recipe.schedule);
        let half = f.stability()?.map(|s| 0.5 * s.limit / rate).filter(|f| f.is_finite());
        let half = half.or((rate > BEYOND_REASON).then_some(0.1 / rate));
        let first = half.filter(|f| *f > 0.0 && *f < 0.05).unwrap_or(1e-1);
        // An optimizer that normalises moves a weight by about the rate, whatever its limit at one state: usual rates of
        // such optimizers come first, the largest before the others.
        let normalises = f.recipe.optimizer.kind.normalises();
        let usual = [1e-2, 1e-3].map(|usual| usual / rate);
        let usual = usual.into_iter().filter(|f| normalises && *f <= 0.1);
        let less = [1.0, 1e-1, 1e-2, 1e-3].map(|f| first * f);
        Ok(usual.chain(less).map(|f| Cure::Rate(round(f))).collect())
    }

    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        let usual = f.replay();
        Replay { steps: usual.steps.max(LEARNING), ..usual }
    }

    /// Without a limit, only a lower rate that trains says that it was the rate.
    fn trials<S: Subject>(f: &Findings<'_, S>) -> Result<Option<Vec<Trial>>, ModelError> {
        let trials = Self::replay(f).trials(&Self::cures(f)?)?;
        let known = dynamics::is_above(f)?.is_some();
        Ok((known || trials.iter().any(|t| t.cured)).then_some(trials))
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{start, step};
    use crate::inspect::diagnose::{Cause, Cure, Recipe, diagnose};
    use calculus::optimizer::{OptimizerConfig, OptimizerKind};

    pub(in super::super) fn lion(rate: f64) -> Recipe {
        let optimizer = OptimizerConfig { kind: OptimizerKind::Lion, ..OptimizerConfig::default() };
        Recipe { optimizer, clip: 1.0, ..Recipe::sgd(rate) }
    }

    #[test]
    fn lion_at_a_rate_of_1() {
        let found = diagnose(&step(), &start(), &lion(1.0), 60).unwrap();
        let (cause, why) = found.cause.unwrap();
        assert_eq!(cause, Cause::RateTooHigh, "{why}");
        assert!(why.contains("no limit of stability was measured: lion has none"), "{why}");
        let lower = |t: &crate::inspect::diagnose::Trial| {
            t.cured && matches!(t.change, Cure::Rate(factor) if factor < 1.0)
        };
        assert!(found.trials.iter().any(lower), "{:?}", found.trials);
    }
}
