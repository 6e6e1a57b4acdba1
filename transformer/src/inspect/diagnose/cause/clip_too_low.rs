//! **Mathematics.** Clipping to a norm c multiplies a gradient by c/‖g‖ if that is below 1. If c is below the norm of
//! every step, gradient descent moves by η·c per step whatever the gradient, as at the rate η·c/‖g‖. An optimizer that
//! normalises divides the size out again, as Adam by m̂/(√v̂ + ε), as long as the clipped elements are above ε.
//!
//! **Signature.** The median gradient norm of the watched steps is more than a hundred times the norm to which they are
//! clipped; and as many steps, clipped at that median, gain more than twice what the watched steps gain and a fiftieth
//! of ln V. A run whose optimizer normalises and that learns anyway does not match.
//!
//! **Cure.** Clip at the median norm; better, at a norm that only outliers exceed.
//!
//! **Example.** `every_step_is_clipped_a_thousandfold`

use super::slow::{EARLY, Evidence, Slow, WATCHED};
use super::{Cure, Cures, Findings, Subject};
use crate::inspect::diagnose::applied::round;

/// The ratio of the median norm to the clipping norm. A norm meant for outliers is near the median: two orders of
/// magnitude are left for runs whose norms change. A convention.
const TIMES: f64 = 100.0;
/// Minimum gain that matters, as a share of ln V.
const MATTERS: f64 = 0.02;

pub(super) struct ClipTooLow;

impl Slow for ClipTooLow {
    const TITLE: &str = "clipping far below the usual norm";

    fn suspect<S: Subject>(f: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let (clip, norm) = (f.recipe.clip, f.usual_norm());
        let judged = e.planned >= EARLY && e.watched >= WATCHED && e.path > 0.0;
        (judged && clip > 0.0 && norm > TIMES * clip).then(|| {
            format!(
                "gradients are clipped to norm {clip:.1e}, their median norm is {norm:.1e}: steps of gradient \
                 descent are {:.1e} times as long as the rate implies",
                clip / norm
            )
        })
    }

    fn fixes<S: Subject>(f: &Findings<'_, S>, _: &Evidence<'_>) -> Cures {
        Ok(vec![Cure::Clip(round(f.usual_norm()))])
    }

    fn least(e: &Evidence<'_>) -> f64 {
        e.train.gain().max(MATTERS * e.scale())
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{start, step};
    use crate::inspect::diagnose::{
        Background, Cause, Course, Cure, Diagnosis, Recipe, diagnose_with,
    };

    fn diagnosed(recipe: &Recipe) -> Diagnosis {
        let background = Background { planned: 400, ..Background::default() };
        diagnose_with(&step(), &start(), recipe, 40, &background).unwrap()
    }

    /// Returns the loss after 150 steps.
    fn trained(recipe: &Recipe) -> f64 {
        let step = step();
        let mut course = Course::from(&step, recipe, &start()).unwrap();
        (0..150).map(|_| course.step().unwrap().loss).last().unwrap()
    }

    #[test]
    fn every_step_is_clipped_a_thousandfold() {
        let healthy = Recipe::sgd(0.3);
        let clipped = Recipe { clip: 1e-4, ..healthy.clone() };
        let found = diagnosed(&clipped);
        let norms = found.history.iter().map(|t| t.gradient_norm);
        assert!(norms.fold(f64::INFINITY, f64::min) > 1000.0 * clipped.clip);
        assert_eq!(found.cause.map(|c| c.0), Some(Cause::ClipTooLow), "{:?}", found.trials);
        let Some(Cure::Clip(clip)) = found.trials.iter().find(|t| t.cured).map(|t| &t.change)
        else {
            panic!("no fix helps: {:?}", found.trials)
        };
        // Three quarters of the gain without clipping, as for all fixes.
        let cured = trained(&Recipe { clip: *clip, ..healthy.clone() });
        let (sick, unclipped) = (trained(&clipped), trained(&healthy));
        let uniform = 11.0_f64.ln();
        assert!(uniform - cured > 0.75 * (uniform - unclipped), "{cured}, {unclipped}");
        assert!(uniform - sick < 0.1 * (uniform - unclipped), "{sick}, {unclipped}");
    }

    /// Adam learns at any gradient size, and gradient descent if only outliers are clipped.
    #[test]
    fn clipping_that_costs_nothing_is_not_accused() {
        for recipe in
            [Recipe { clip: 1e-4, ..Recipe::adam(1e-2) }, Recipe { clip: 1.0, ..Recipe::sgd(0.3) }]
        {
            let cause = diagnosed(&recipe).cause;
            assert!(cause.as_ref().is_none_or(|c| c.0 != Cause::ClipTooLow), "{cause:?}");
        }
    }
}
