//! What lies ahead of a run if it goes on as it does: the edge of stability, attention scores that grow, how long weights
//! remember, tokens whose loss rounds to 0, updates that rounding takes away.

mod collapse;
mod decay;
mod growth;
mod rounding;

pub(crate) use collapse::silent;
pub use collapse::{Collapse, collapse_gap};
pub use decay::{Decay, balance};
pub use growth::{Reached, ScoreGrowth, recorded_scores};
pub use rounding::{NextUpdate, Reason, Unmoved};

use crate::inspect::diagnose::background::Background;
use crate::inspect::diagnose::edge::{Stability, stability};
use crate::inspect::diagnose::stepping::decay_factor;
use crate::inspect::diagnose::{Diagnosis, State};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::recipe::Recipe;
use serde::Serialize;

/// The fewest steps between two measurements of curvature: fewer show the batch, not the run.
const APART: usize = 10;

/// The learning rate over the limit of stability at a step: λ_max·η over what the update rule bears.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// Steps taken before.
    pub steps: u64,
    /// The largest eigenvalue of the Hessian, in the units of the update rule.
    pub eigenvalue: f64,
    /// The learning rate.
    pub rate: f64,
    /// The rate over the limit; above 1, steps along that eigenvector grow.
    pub ratio: f64,
}

/// What lies ahead of a run. Every part is absent where it says nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlook {
    /// The edge of stability at the start and at the end of the watch, as far as it was measured.
    pub edge: Vec<Edge>,
    /// Attentions whose scores grow, those that do harm first first.
    pub scores: Vec<ScoreGrowth>,
    /// The memory of weights that decay.
    pub decay: Option<Decay>,
    /// The tokens whose loss or gradient is 0.
    pub collapse: Option<Collapse>,
    /// The next update before rounding.
    pub update: NextUpdate,
}

impl Outlook {
    /// Measures what lies ahead of a run that was watched from `start` on.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn of(
        subject: &impl Subject,
        start: &State,
        recipe: &Recipe,
        found: &Diagnosis,
        known: &Background,
    ) -> Result<Self, ModelError> {
        let state = &found.last_good;
        let mut edge = vec![];
        if let Some(now) = found.stability {
            if found.history.len() >= APART {
                edge.extend(stability(subject, start, recipe)?.and_then(|s| Edge::of(&s)));
            }
            edge.extend(Edge::of(&now));
        }
        let update = NextUpdate::of(subject, state, recipe)?;
        let batch = subject.batch(state.steps * recipe.accumulate);
        let sizes = (update.decayed_ratio, update.decayed_weight);
        let pass = known.pass / recipe.accumulate.max(1) as f64;
        let kept = decay_factor(recipe, state.steps);
        let left = (known.planned > state.steps).then(|| known.planned - state.steps);
        // A run that recorded its health is longer than the watch.
        let recorded = known.scores.first().map_or(0, |s| s.sizes.len());
        let watched = found.scores.first().map_or(0, |s| s.sizes.len());
        let scores = if recorded > watched { &known.scores } else { &found.scores };
        let mut scores: Vec<ScoreGrowth> =
            scores.iter().filter_map(|s| ScoreGrowth::of(s, left)).collect();
        let soonest = |s: &ScoreGrowth| s.reached.first().map_or(f64::INFINITY, |r| r.steps);
        scores.sort_by(|a, b| soonest(a).total_cmp(&soonest(b)));
        Ok(Outlook {
            edge,
            scores,
            decay: Decay::of(recipe, update.rate, kept, sizes, (pass, known.planned as f64)),
            collapse: Collapse::of(subject, &state.parameters, &batch)?,
            update,
        })
    }

    /// Describes each part that says something in a line: its topic and the text.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![];
        let at = |e: &Edge| format!("{} at step {}", short(e.ratio), e.steps);
        match &self.edge[..] {
            [first, last] => lines.push((
                "edge",
                format!(
                    "λ_max·η over its limit of stability: {}, {}{}",
                    at(first),
                    at(last),
                    if last.ratio > 1.0 { ": beyond the edge" } else { "" }
                ),
            )),
            [only] => {
                lines.push(("edge", format!("λ_max·η over its limit of stability: {}", at(only))))
            }
            _ => {}
        }
        let near = || self.scores.iter().filter(|s| !s.reached.is_empty());
        if let Some(soonest) = near().next() {
            let others = match near().count() - 1 {
                0 => String::new(),
                n => format!("; {n} more grow like that"),
            };
            lines.push(("scores", format!("{soonest}{others}")));
        }
        lines.extend(self.decay.map(|d| ("decay", d.to_string())));
        lines.extend(self.collapse.filter(Collapse::says).map(|c| ("softmax", c.to_string())));
        if self.update.lost.iter().any(|lost| *lost > 0.0) {
            lines.push(("rounding", self.update.to_string()));
        }
        let rate = self.update.rate;
        let still = self.update.unmoved.iter();
        lines.extend(still.map(|u| ("unmoved", format!("{}: {}", u.name, u.because(rate)))));
        lines
    }
}

impl Edge {
    /// Returns the edge at a state; `None` if the loss has no minimum there.
    fn of(s: &Stability) -> Option<Self> {
        let known = s.limit.is_finite() && s.limit > 0.0;
        let (steps, eigenvalue, rate) = (s.steps, s.eigenvalue, s.rate);
        known.then(|| Edge { steps, eigenvalue, rate, ratio: s.rate / s.limit })
    }
}

/// Formats a share in percent; never 0 for a share above 0.
fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "none".to_owned(),
        p if p < 0.05 => "under 0.1 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// Formats a number of steps or passes with three digits.
fn short(x: f64) -> String {
    match x.abs() {
        size if (0.01..10.0).contains(&size) => format!("{x:.2}"),
        size if (10.0..100.0).contains(&size) => format!("{x:.1}"),
        size if (100.0..1e6).contains(&size) => format!("{x:.0}"),
        _ => format!("{x:.1e}"),
    }
}

impl std::fmt::Display for Decay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "weights forget an update after 1/(η·λ) = {} steps", short(self.steps))?;
        if let Some(passes) = self.passes {
            write!(f, ", {} passes over the text", short(passes))?;
        }
        if let Some(plan) = self.of_plan {
            write!(f, ", {} times the plan", short(plan))?;
        }
        if let (Some(ratio), Some(weight)) = (self.balance_ratio, self.balance_weight) {
            write!(
                f,
                "; under noise they settle at an update over weights of {ratio:.1e} (now {:.1e}) and a root mean square \
                 of {weight:.1e} (now {:.1e})",
                self.ratio, self.weight
            )?;
        }
        Ok(())
    }
}

impl std::fmt::Display for ScoreGrowth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ScoreGrowth { name, now: (step, size), exponential, slope, interval, .. } = self;
        write!(f, "the largest score of {name}, {} at step {step}, grows by ", short(*size))?;
        match exponential {
            true => {
                let percent = |x: f64| short(100.0 * x.exp_m1());
                let (a, b, c) = (percent(*slope), percent(interval.0), percent(interval.1));
                write!(f, "{a} % a step ({b} to {c})")?;
            }
            false => {
                write!(f, "{slope:.1e} a step ({:.1e} to {:.1e})", interval.0, interval.1)?;
            }
        }
        for (i, Reached { what, size, steps, between }) in self.reached.iter().enumerate() {
            let (low, high) = (short(between.0), short(between.1));
            let and = if i == 0 { ": if that goes on, " } else { ", " };
            write!(f, "{and}{what} ({size}) in {} steps ({low} to {high})", short(*steps))?;
        }
        Ok(())
    }
}

impl Collapse {
    /// Whether a token is lost, or would be in a shorter format.
    fn says(&self) -> bool {
        self.zero_loss + self.zero_gradient + self.rounded.iter().sum::<f64>() > 0.0
    }
}

impl std::fmt::Display for Collapse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [f32, bf16, f16] = self.rounded.map(percent);
        let [a, b, c] = self.gaps;
        write!(
            f,
            "loss exactly 0: {1} of {0} tokens; gradient exactly 0: {2}; if the loss were computed as ln Σ e^z: in f32 {f32} \
             (logits more than {a:.1} apart), in bf16 {bf16} ({b:.1}), in f16 {f16} ({c:.1}); the median gap is {3:.1}",
            self.tokens,
            percent(self.zero_loss),
            percent(self.zero_gradient),
            self.gap
        )
    }
}

impl std::fmt::Display for NextUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [f32, bf16, f16] = self.lost.map(percent);
        write!(
            f,
            "of the parameters with a gradient the next update leaves {f32} unchanged in f32, {bf16} if weights are kept in \
             bf16, {f16} in f16"
        )
    }
}

#[cfg(test)]
mod tests;
