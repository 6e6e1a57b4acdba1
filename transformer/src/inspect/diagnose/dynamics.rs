//! What the course of the steps says: a spike, a rate.

use super::applied::peak;
use super::course::{Descent, State, Taken};
use super::cure::Case;
use super::{Cause, Patient, Stability, Watched, stability, usual};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use calculus::schedule::Schedule;

impl<S: Subject> Patient<'_, S> {
    /// The step whose gradient stands out: the one that failed, or the one before it.
    pub(super) fn blamed<'w>(&self, watched: &'w Watched) -> Option<&'w Taken> {
        let history = &watched.history;
        let n = history.len();
        // A spike breaks the next step rather than its own.
        let candidates = history[n.saturating_sub(4)..].iter().rev();
        candidates.max_by(|a, b| {
            let size = |t: &Taken| if t.gradient_norm.is_finite() { t.gradient_norm } else { 0.0 };
            let before = |t: &Taken| {
                usual(history.iter().filter(|h| h.number < t.number).map(|h| h.gradient_norm))
            };
            (size(a) / before(a)).total_cmp(&(size(b) / before(b)))
        })
    }

    /// What the course of the steps says: a spike, a rate.
    pub(super) fn by_dynamics(
        &self,
        watched: &Watched,
        well: &[State],
        stability: &mut Option<Stability>,
    ) -> Result<(Cause, String), ModelError> {
        let history = &watched.history;
        if let Some(blamed) = self.blamed(watched) {
            // What was usual lately: norms fall as a model learns.
            let earlier = history.iter().rev().filter(|t| t.number < blamed.number);
            let before: Vec<f64> = earlier.take(10).map(|t| t.gradient_norm).collect();
            let median = usual(before.iter().copied());
            let calm = before.iter().all(|n| *n < 4.0 * median);
            if before.len() >= 4
                && calm
                && blamed.gradient_norm > 15.0 * median
                && self.recipe.clip == 0.0
                && self.stands_out(blamed.batch, well)?
            {
                let why = format!(
                    "{} has a gradient of norm {:.2e} where {:.2e} is usual, and nothing clips it",
                    self.recipe.called(blamed.batch),
                    blamed.gradient_norm,
                    median
                );
                return Ok((Cause::SpikeBatch, why));
            }
        }
        *stability = self.judged(watched, &well[0])?;
        let highest = history.iter().max_by(|a, b| a.rate.total_cmp(&b.rate));
        let (rate, step) = match (&*stability, highest) {
            (Some(s), _) => (s.rate, s.steps),
            (None, Some(t)) => (t.rate, t.number - 1),
            (None, None) => (f64::NAN, self.start.steps),
        };
        let unmeasured = "; the curvature of a model of this size is not measured".to_owned();
        let shown = stability.map_or(unmeasured, |s| format!("; {s}"));
        let shown = match self.recipe.schedule {
            Schedule::Constant { .. } => shown,
            schedule => format!(
                " at step {step}, the highest of the watched steps against the limit (the peak is {:.2e}){shown}",
                peak(schedule)
            ),
        };
        let adam = matches!(self.recipe.descent, Descent::Adam { .. });
        let early = history.last().is_some_and(|t| t.number <= 50);
        let cold = self.recipe.schedule.rate(0) >= 0.9 * peak(self.recipe.schedule);
        let rises = || -> Result<bool, ModelError> {
            let case = Case {
                subject: self.subject,
                recipe: self.recipe,
                states: std::slice::from_ref(self.start),
                signs: None,
                batch: 0,
                usual_norm: 1.0,
                steps: 130,
                largest_gradient: 1.0,
                stability: None,
            };
            case.rises()
        };
        if adam && early && cold && self.start.steps == 0 && rises()? {
            let why = format!(
                "the rate is {rate:.2e} from the first step on; after a rise over 100 steps it holds and learns{shown}"
            );
            return Ok((Cause::NoWarmup, why));
        }
        let within = |s: &Stability| s.rate <= s.limit;
        let cause = if stability.as_ref().is_some_and(within) {
            Cause::Unknown
        } else {
            Cause::RateTooHigh
        };
        Ok((cause, format!("the rate is {rate:.2e}{shown}")))
    }

    /// Whether a batch's gradient is far above that of its neighbours at the same weights: the batch, not the
    /// weights.
    fn stands_out(&self, batch: u64, well: &[State]) -> Result<bool, ModelError> {
        let mut step = self.subject.record::<f32>()?;
        step.set_parameters(&well[0].parameters);
        let mut norm = |batch: u64| {
            step.give(&self.subject.batch(batch));
            step.step();
            calculus::clip::global_norm(step.tape.gradients())
        };
        let own = norm(batch);
        let others: Vec<f64> = (1..=4).map(|i| norm(batch + i)).collect();
        Ok(own.is_nan() || own >= 5.0 * usual(others.into_iter()))
    }

    /// The curvature at a state, against the rate that did it: of the steps that were watched, the one whose rate is
    /// highest over the limit as the update rule has it at that step. A schedule may be far from its peak where a run
    /// is looked at; and steps of descent that are clipped are as long as those of a smaller rate.
    pub(super) fn judged(
        &self,
        watched: &Watched,
        state: &State,
    ) -> Result<Option<Stability>, ModelError> {
        let found = stability(self.subject, state, self.recipe)?;
        Ok(found.map(|s| s.judged(self.recipe, &watched.history)))
    }
}
