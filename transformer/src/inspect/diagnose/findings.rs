//! What several causes ask of the same run, each measured once and only where it is asked.

use super::background::Background;
use super::course::State;
use super::edge::{Stability, stability};
use super::evidence::Evidence;
use super::origin::{Direction, Origin, find};
use super::reduced::{loss_scale, reduced};
use super::replay::Replay;
use super::signs::{Signs, signs};
use super::watch::Watched;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::precision::Precision;
use crate::training::recipe::Recipe;
use std::cell::{Cell, OnceCell};

/// How many times the limit of stability a rate is far above it: training bears up to 1.3 times near a minimum
/// (docs/FAILURES.md has the measurements).
const FAR: f64 = 2.0;

/// When signs are there that a rate far above the limit has made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symptom {
    /// Before the watch: its rate is judged there.
    AtStart,
    /// After it.
    AtEnd,
}

/// A run under diagnosis.
pub(crate) struct Findings<'a, S: Subject> {
    pub(crate) subject: &'a S,
    /// Before the watch.
    pub(crate) start: &'a State,
    pub(crate) recipe: &'a Recipe,
    /// What is known of its pace; none where that is not asked.
    background: Option<&'a Background>,
    /// Whether the weights after these steps are known to be spoilt.
    pub(crate) spoilt: bool,
    pub(crate) watched: Watched,
    /// The signs at the start and at the last good state; none where a number that was given is not finite.
    pub(crate) signs: Option<(Signs, Signs)>,
    /// Where replays begin: the last state of good health, if there is a later one, then the start.
    pub(crate) well: Vec<State>,
    /// Signs of a cause that a rate far above the limit has made, if some were found.
    pub(crate) symptom: Cell<Option<Symptom>>,
    finite_in_f32: OnceCell<bool>,
    at_start: OnceCell<Option<Stability>>,
    stability: OnceCell<Option<Stability>>,
    evidence: OnceCell<Evidence<'a>>,
}

impl<'a, S: Subject> Findings<'a, S> {
    /// Trains up to `steps` steps under watch.
    pub(crate) fn of(
        subject: &'a S,
        start: &'a State,
        recipe: &'a Recipe,
        steps: u64,
        (background, spoilt): (Option<&'a Background>, bool),
    ) -> Result<Self, ModelError> {
        let watched = Watched::of(subject, recipe, start, steps)?;
        let given = watched.origin().is_some_and(|o| o.direction == Direction::Given);
        let at = |s: &State| {
            let batch = subject.batch(s.steps * recipe.accumulate);
            signs(subject, &s.parameters, &batch)
        };
        let signs = match given {
            true => None,
            false => Some((at(start)?, at(&watched.last_good)?)),
        };
        let front = watched.well.front().filter(|s| s.steps > start.steps);
        let well = front.into_iter().chain([start]).cloned().collect();
        Ok(Findings {
            subject,
            start,
            recipe,
            background,
            spoilt,
            watched,
            signs,
            well,
            symptom: Cell::new(None),
            finite_in_f32: OnceCell::new(),
            at_start: OnceCell::new(),
            stability: OnceCell::new(),
            evidence: OnceCell::new(),
        })
    }

    /// The first value that is not finite, in words, if there is one and this holds of it.
    pub(crate) fn origin_where(&self, holds: impl FnOnce(&Origin) -> bool) -> Option<String> {
        self.watched.origin().filter(|o| holds(o)).map(Origin::to_string)
    }

    /// The step that failed in a 16-bit format: whether it is finite in f32. False where none failed there.
    pub(crate) fn finite_in_f32(&self) -> Result<bool, ModelError> {
        if self.recipe.precision == Precision::F32 || self.watched.origin().is_none() {
            return Ok(false);
        }
        let measure = || {
            let batch = self.subject.batch(self.watched.batch());
            let parameters = &self.watched.last_good.parameters;
            Ok(find(self.subject, parameters, &batch, Precision::F32, 1.0)?.is_none())
        };
        once(&self.finite_in_f32, measure).copied()
    }

    /// The loss scale that the format of the run has room for.
    pub(crate) fn loss_scale(&self) -> Result<f64, ModelError> {
        let (parameters, batch) = (&self.well[0].parameters, self.watched.batch());
        let found = reduced(self.subject, parameters, batch, Precision::F32, 1.0)?;
        Ok(loss_scale(self.recipe.precision, found.largest_gradient))
    }

    /// The signs at the start, where they are not those of a rate far above the limit.
    pub(crate) fn start_signs(&self) -> Option<&Signs> {
        self.signs.as_ref().map(|(start, _)| start).filter(|_| self.symptom.get().is_none())
    }

    /// A sign of the start, unless the rate has made it: sizes that training has made are a symptom, where its rate is
    /// far above the limit.
    pub(crate) fn unless_symptom(
        &self,
        sign: Option<String>,
    ) -> Result<Option<String>, ModelError> {
        let symptom = sign.is_some() && self.start.steps > 0 && self.is_far_above()?;
        if symptom {
            self.symptom.set(Some(Symptom::AtStart));
        }
        Ok(sign.filter(|_| !symptom))
    }

    /// Whether the rate of a watched step is far above the limit of stability at the start.
    pub(crate) fn is_far_above(&self) -> Result<bool, ModelError> {
        Ok(self.stability_at_start()?.is_some_and(|s| s.rate > FAR * s.limit))
    }

    /// The curvature at the start against the rates of the watched steps; none of a model that is too large for it.
    pub(crate) fn stability_at_start(&self) -> Result<Option<Stability>, ModelError> {
        once(&self.at_start, || self.judged(self.start)).copied()
    }

    /// The state whose rate is suspected: where health was good last; the start, where that has symptoms.
    pub(crate) fn suspected(&self) -> &State {
        match self.symptom.get() {
            Some(Symptom::AtStart) => self.start,
            _ => &self.well[0],
        }
    }

    /// The same at the state whose rate is suspected.
    pub(crate) fn stability(&self) -> Result<Option<Stability>, ModelError> {
        let measure = || match self.suspected() {
            state if state.steps == self.start.steps => self.stability_at_start(),
            state => self.judged(state),
        };
        once(&self.stability, measure).copied()
    }

    /// What [`Self::stability`] found, if a cause has asked.
    pub(crate) fn measured_stability(&self) -> Option<Stability> {
        self.stability.get().copied().flatten()
    }

    /// The curvature at a state, against the rate that did it: of the steps that were watched, the one whose rate is
    /// highest over the limit as the update rule has it at that step. A schedule may be far from its peak where a run
    /// is looked at; and steps of descent that are clipped are as long as those of a smaller rate.
    fn judged(&self, state: &State) -> Result<Option<Stability>, ModelError> {
        let found = stability(self.subject, state, self.recipe)?;
        Ok(found.map(|s| s.judged(self.recipe, &self.watched.history)))
    }

    /// What is known of the pace of a run that neither failed nor was spoilt; none where that is not asked.
    pub(crate) fn evidence(&self) -> Result<Option<&Evidence<'a>>, ModelError> {
        let (Some((first, last)), Some(background)) = (&self.signs, self.background) else {
            return Ok(None);
        };
        if self.watched.failed() || self.symptom.get().is_some() {
            return Ok(None);
        }
        let Watched { last_good, history, .. } = &self.watched;
        let (states, signs) = ((self.start, last_good), (first, last));
        let measure =
            || Evidence::of(self.subject, self.recipe, background, states, signs, history);
        once(&self.evidence, measure).map(Some)
    }

    /// The usual gradient norm, the last step not counted.
    pub(crate) fn usual_norm(&self) -> f64 {
        median(self.watched.history.iter().rev().skip(1).map(|t| t.gradient_norm))
    }

    /// Replays as they are usual.
    pub(crate) fn replay(&self) -> Replay<'_, S> {
        let uniform = self.signs.as_ref().map(|(start, _)| start.uniform);
        Replay {
            subject: self.subject,
            recipe: self.recipe,
            states: &self.well,
            steps: (self.watched.history.len() as u64 + 10).clamp(12, 60),
            uniform: uniform.filter(|u| !u.is_nan()).unwrap_or(f64::INFINITY),
            knows_nothing: false,
            is_gone: |_| Ok(true),
        }
    }
}

/// What a cell holds, measured at the first call.
fn once<T>(
    cell: &OnceCell<T>,
    measure: impl FnOnce() -> Result<T, ModelError>,
) -> Result<&T, ModelError> {
    match cell.get() {
        Some(found) => Ok(found),
        None => {
            let found = measure()?;
            Ok(cell.get_or_init(|| found))
        }
    }
}

/// The median of what is finite; NaN of nothing.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = numbers.filter(|x| x.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
