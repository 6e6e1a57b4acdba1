//! Measurements of a run whose values are all finite: how fast it learns, what does not change, how it does on
//! held-back text. Measured once; the causes of a slow loss read them.

use super::applied::peak;
use super::background::Background;
use super::course::{State, Taken};
use super::health::{NextUpdate, silent};
use super::signs::{Signs, rms, unit_sources};
use crate::inspect::adapters::AdapterSize;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Given;
use crate::training::recipe::Recipe;
use calculus::schedule::Schedule;
use calculus::{Source, Tape};
use linalg::Role;
use probability::dropout;
use std::collections::HashSet;

/// Runs of at most this many steps are trained again from their start, if that shows more.
pub(super) const AGAIN: u64 = 500;

/// Number of batches that losses are measured on.
pub(crate) const BATCHES: u64 = 8;
/// Maximum parameters × tokens × batches of a run that is trained again to try a fix: half a minute of one core.
const AFFORDED: f64 = 5e10;

/// Losses of the same batches at two states.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The mean at the first state.
    pub(crate) before: f64,
    /// The mean at the second state.
    pub(crate) after: f64,
    /// The standard error of their difference.
    pub(crate) doubt: f64,
}

impl Change {
    pub(crate) fn of(before: &[f64], after: &[f64]) -> Self {
        let gains: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
        Change { before: mean(before), after: mean(after), doubt: error(&gains) }
    }

    /// Returns by how much the loss fell.
    pub(crate) fn gain(&self) -> f64 {
        self.before - self.after
    }
}

/// The batches on which losses are measured.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    /// Batches of the training text, in the subject's numbering.
    Numbers(Vec<u64>),
    /// Held-back text.
    Given(Vec<Vec<Given>>),
}

impl Probe {
    /// Returns the losses at the given parameters, without dropout.
    pub(crate) fn losses<S: Subject>(
        &self,
        subject: &S,
        parameters: &[f32],
    ) -> Result<Vec<f64>, ModelError> {
        let mut step = subject.record::<f32>()?;
        step.set_parameters(parameters);
        let dropped = step.handles.step.map(|var| step.tape.name(var).to_owned());
        let dropped = dropped.as_deref();
        let mut loss = |batch: &[Given]| {
            step.give(batch);
            f64::from(step.forward())
        };
        Ok(match self {
            Probe::Numbers(all) => {
                let still = |n| still(subject.batch(n), dropped);
                all.iter().map(|&n| loss(&still(n))).collect()
            }
            Probe::Given(all) => all.iter().map(|batch| loss(batch)).collect(),
        })
    }
}

/// Prepares a batch for evaluation: this step number selects no dropout.
fn still(mut batch: Vec<Given>, step: Option<&str>) -> Vec<Given> {
    let steps = batch.iter_mut().filter(|g| Some(g.name) == step);
    steps.for_each(|g| g.elements = dropout::EVALUATION.into());
    batch
}

/// See the module.
pub(crate) struct Evidence<'a> {
    /// The caller's background knowledge of the run.
    pub(crate) background: &'a Background,
    /// Steps taken at the end of the watch, steps watched, steps planned in all.
    pub(crate) steps: u64,
    pub(crate) watched: u64,
    pub(crate) planned: u64,
    /// Σ η of the watched steps, of the whole plan, of its remainder, of all steps so far.
    pub(crate) path: f64,
    pub(crate) plan: f64,
    pub(crate) left: f64,
    pub(crate) gone: f64,
    /// The schedule's highest rate, and the rate of the last watched step.
    pub(crate) peak: f64,
    pub(crate) rate: f64,
    /// The step at which the schedule ends, if it does.
    pub(crate) schedule_end: Option<u64>,
    /// ln V; NaN without logits.
    pub(crate) uniform: f64,
    /// Losses of batches that the watch did not see, before and after it: of training text, of held-back text.
    pub(crate) train: Change,
    pub(crate) validation: Option<Change>,
    /// Standard errors: of the difference of the two, of the second.
    pub(crate) apart: f64,
    pub(crate) spread: f64,
    /// Passes over the text.
    pub(crate) passes: f64,
    /// The number of parameters, and of their tensors.
    pub(crate) parameters: usize,
    pub(crate) tensors: usize,
    /// Tensors whose gradient is 0 at both states; among them, matrices and gains that are all 0.
    pub(crate) unmoved: Vec<String>,
    pub(crate) zero: Vec<String>,
    /// Activations: name, share of units dead at both states, the parameters that they are computed from.
    pub(crate) dead: Vec<(String, f64, Vec<String>)>,
    /// Tensors of which no bit changed: name, root mean square of gradient and of weights.
    pub(crate) still: Vec<(String, f64, f64)>,
    /// The sizes of all adapters at the last state.
    pub(crate) adapters: Vec<AdapterSize>,
    /// The largest root mean square of a tensor's gradient.
    pub(crate) largest_gradient: f64,
    /// The next update, if a tensor did not change.
    pub(crate) next: Option<NextUpdate>,
    /// Share of tokens without a gradient before and after the watch, the smaller of the two; 0 if unknown.
    pub(crate) silent: f64,
    /// Whether the run can be trained again from its beginning to try a fix.
    pub(crate) again: bool,
    /// The batches for measuring fixes, and the losses there without a fix.
    pub(crate) probe: Probe,
    pub(crate) before: Vec<f64>,
    pub(crate) as_it_is: Vec<f64>,
}

impl<'a> Evidence<'a> {
    /// Measures a run; `start` and `end` are the states before and after the watch.
    pub(crate) fn of<S: Subject>(
        subject: &S,
        recipe: &Recipe,
        background: &'a Background,
        (start, end): (&State, &State),
        (first, last): (&Signs, &Signs),
        history: &[Taken],
    ) -> Result<Self, ModelError> {
        let (steps, watched) = (end.steps, history.len() as u64);
        let schedule = recipe.schedule;
        let schedule_end = schedule_end(schedule);
        let known = if background.planned > 0 { Some(background.planned) } else { schedule_end };
        let planned = known.unwrap_or(0).max(steps);
        // Beyond all batches of the watch, or of a fix's replay of the same length.
        let unseen = recipe.accumulate * (start.steps + 2 * watched.max(BATCHES));
        let probe = Probe::Numbers((unseen..unseen + BATCHES).collect());
        let losses = |probe: &Probe| -> Result<[Vec<f64>; 2], ModelError> {
            Ok([probe.losses(subject, &start.parameters)?, probe.losses(subject, &end.parameters)?])
        };
        let seen = losses(&probe)?;
        let given = Probe::Given(background.held_out.clone());
        let held_out = match background.held_out.is_empty() {
            true => None,
            false => Some(losses(&given)?),
        };
        let of = |[before, after]: &[Vec<f64>; 2]| Change::of(before, after);
        let spread = held_out.as_ref().map_or(0.0, |[_, after]| error(after));
        let (probe, [before, as_it_is]) = match held_out.clone() {
            Some(losses) => (given, losses),
            None => (probe, seen.clone()),
        };
        let mut step = subject.record::<f32>()?;
        let mut silent_at = |state: &State| {
            step.set_parameters(&state.parameters);
            step.give(&subject.batch(state.steps * recipe.accumulate));
            step.step();
            silent(&step).unwrap_or(0.0)
        };
        let silent = silent_at(start).min(silent_at(end));
        let tape = &step.tape;
        let tensors = tape.parameter_list();
        let gradient = |r: &std::ops::Range<usize>| rms(&tape.gradients()[r.clone()]);
        let largest_gradient = tensors.iter().map(|p| gradient(&p.range)).fold(0.0, f64::max);
        let same = |r: &std::ops::Range<usize>| {
            let bits = |s: &State| s.parameters[r.clone()].iter().map(|p| p.to_bits()).collect();
            let (a, b): (Vec<u32>, Vec<u32>) = (bits(start), bits(end));
            a == b
        };
        let stays = tensors.iter().filter(|p| watched > 0 && same(&p.range));
        let of_tensor = |p: &calculus::Parameter| {
            (p.name.clone(), gradient(&p.range), rms(&end.parameters[p.range.clone()]))
        };
        let columns = tape.vars().filter(|v| tape.source(*v) == Source::Input);
        let tokens = columns.map(|v| tape.shape(v).columns).max().unwrap_or(1);
        let unmoved: Vec<String> =
            last.unmoved.iter().filter(|name| first.unmoved.contains(name)).cloned().collect();
        let gains = gains(tape);
        let zero = |name: &&String| {
            let own = tensors.iter().find(|p| p.name == **name);
            own.is_some_and(|p| {
                let carries = p.shape.columns > 1 && p.shape.rows > 1 || gains.contains(&p.name);
                carries && end.parameters[p.range.clone()].iter().all(|&w| w == 0.0)
            })
        };
        let work = end.parameters.len() as f64 * tokens as f64 * (steps * recipe.accumulate) as f64;
        let still: Vec<_> =
            stays.map(of_tensor).filter(|(_, gradient, _)| *gradient > 0.0).collect();
        step.set_parameters(&end.parameters);
        let sizes = step.handles.adapters.iter().map(|own| AdapterSize::of(&step.tape, own));
        let adapters = sizes.collect();
        let next = match still.is_empty() {
            true => None,
            false => Some(NextUpdate::of(subject, end, recipe)?),
        };
        Ok(Evidence {
            background,
            steps,
            watched,
            planned,
            path: path(schedule, start.steps, steps),
            plan: path(schedule, 0, planned),
            left: if known.is_some() { path(schedule, steps, planned) } else { 0.0 },
            gone: path(schedule, 0, steps),
            peak: peak(schedule),
            rate: history.last().map_or(0.0, |t| t.rate),
            schedule_end,
            uniform: last.uniform,
            train: of(&seen),
            apart: error(&seen[1]).hypot(spread),
            spread,
            validation: held_out.as_ref().map(of),
            passes: match background.pass {
                pass if pass > 0.0 => (steps * recipe.accumulate) as f64 / pass,
                _ => 0.0,
            },
            parameters: end.parameters.len(),
            tensors: tensors.len(),
            zero: unmoved.iter().filter(zero).cloned().collect(),
            unmoved,
            dead: dead(subject, first, last)?,
            still,
            next,
            silent,
            largest_gradient,
            adapters,
            again: background.initial.is_some() && steps <= AGAIN && work <= AFFORDED,
            probe,
            before,
            as_it_is,
        })
    }

    /// Returns an upper bound of the gain of steps with this Σ η at the watched steps' pace: losses fall more and more
    /// slowly.
    pub(crate) fn projected(&self, path: f64) -> f64 {
        if self.path > 0.0 { self.train.gain().max(0.0) * path / self.path } else { 0.0 }
    }

    /// Returns ln V, or the loss if that is unknown: the scale for judging a gain.
    pub(crate) fn scale(&self) -> f64 {
        if self.uniform.is_finite() { self.uniform } else { self.train.before }
    }

    /// Returns the lowest loss on held-back text so far, and its step.
    pub(crate) fn lowest_validation(&self) -> Option<(u64, f64)> {
        let all = self.background.validation.iter().filter(|(_, nats)| nats.is_finite());
        all.min_by(|a, b| a.1.total_cmp(&b.1)).copied()
    }
}

/// Lists the first names, and the number of the others.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [a, b, c, rest @ ..] if !rest.is_empty() => {
            format!("{a}, {b}, {c} and {} others", rest.len())
        }
        names => names.join(", "),
    }
}

/// Returns Σ η over steps; for many steps, from every n-th.
fn path(schedule: Schedule, from: u64, to: u64) -> f64 {
    let stride = ((to - from.min(to)) / 10_000).max(1);
    let all = (from..to).step_by(stride as usize);
    all.map(|s| schedule.rate(s) * stride.min(to - s) as f64).sum()
}

/// Returns the step from which a schedule stays at its minimum.
fn schedule_end(schedule: Schedule) -> Option<u64> {
    match schedule {
        Schedule::Cosine { warmup, total, .. }
        | Schedule::Linear { warmup, total, .. }
        | Schedule::OneCycle { rise: warmup, total, .. }
        | Schedule::WarmupStableDecay { warmup, total, .. } => Some(total.max(warmup)),
        Schedule::Constant { .. } | Schedule::CosineRestarts { .. } | Schedule::Step { .. } => None,
    }
    // A warm-up to a constant peak has no end.
    .filter(|end| *end < u64::MAX)
}

/// Returns the vectors that normalised values are multiplied by.
pub(crate) fn gains(tape: &Tape<f32>) -> HashSet<String> {
    let norms = tape.vars().filter(|v| tape.role(*v) == Some(Role::Norm));
    let second = norms.filter_map(|v| tape.operands(v).get(1).copied());
    second.map(|v| tape.name(v).to_owned()).collect()
}

fn dead<S: Subject>(
    subject: &S,
    first: &Signs,
    last: &Signs,
) -> Result<Vec<(String, f64, Vec<String>)>, ModelError> {
    let mut found = vec![];
    for (name, share) in &last.dead {
        let before = first.dead.iter().find(|(n, _)| n == name).map_or(0.0, |(_, s)| *s);
        if before.min(*share) > 0.0 {
            found.push((name.clone(), before.min(*share), unit_sources(subject, name)?));
        }
    }
    Ok(found)
}

pub(crate) fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Returns the standard error of a mean; 0 for a single number.
fn error(x: &[f64]) -> f64 {
    if x.len() < 2 {
        return 0.0;
    }
    let (mean, n) = (mean(x), x.len() as f64);
    (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}
