//! Measurements that several causes need of the same run, each made once and only on demand.

use super::background::Background;
use super::course::State;
use super::edge::{Stability, stability};
use super::evidence::Evidence;
use super::origin::{Direction, Origin, find};
use super::reduced::{loss_scale, reduced};
use super::replay::Replay;
use super::signs::{Signs, signs};
use super::stage::{Notify, Stage};
use super::watch::Watched;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::precision::Precision;
use crate::training::recipe::Recipe;
use calculus::Source;
use std::cell::{Cell, OnceCell};

/// The factor above the limit of stability from which a rate is far above it: training is stable up to 1.3 times the
/// limit near a minimum (docs/FAILURES.md has the measurements).
const FAR: f64 = 2.0;

/// When the signs of a rate far above the limit are present.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symptom {
    /// Before the watch: its rate is judged there.
    AtStart,
    /// After the watch.
    AtEnd,
}

/// A run under diagnosis.
pub(crate) struct Findings<'a, S: Subject> {
    pub(crate) subject: &'a S,
    /// The state before the watch.
    pub(crate) start: &'a State,
    pub(crate) recipe: &'a Recipe,
    /// The run's known background for judging its pace; `None` if its pace is not asked for.
    background: Option<&'a Background>,
    /// Whether the weights after these steps are known to be corrupted.
    pub(crate) spoilt: bool,
    notify: Notify<'a>,
    pub(crate) watched: Watched,
    /// The signs at the start and at the last good state; `None` if a given number is not finite.
    pub(crate) signs: Option<(Signs, Signs)>,
    /// Signs of a cause that a rate far above the limit has made, if any were found.
    pub(crate) symptom: Cell<Option<Symptom>>,
    finite_in_f32: OnceCell<bool>,
    at_start: OnceCell<Option<Stability>>,
    stability: OnceCell<Option<Stability>>,
    evidence: OnceCell<Evidence<'a>>,
}

impl<'a, S: Subject> Findings<'a, S> {
    /// Trains up to `steps` steps and watches them.
    pub(crate) fn of(
        subject: &'a S,
        start: &'a State,
        recipe: &'a Recipe,
        steps: u64,
        (background, spoilt, notify): (Option<&'a Background>, bool, Notify<'a>),
    ) -> Result<Self, ModelError> {
        let watched = Watched::of(subject, recipe, start, steps, notify)?;
        // A weight that only a 16-bit format cannot hold is finite here.
        let broken =
            |o: &Origin| !o.source.is_some_and(Source::is_weight) || watched.has_broken_weights();
        let given = watched.origin().is_some_and(|o| o.direction == Direction::Given && broken(o));
        let at = |s: &State| {
            let batch = subject.batch(s.steps * recipe.accumulate);
            notify(Stage::Measuring("signs"));
            signs(subject, &s.parameters, &batch)
        };
        let signs = match given {
            true => None,
            false => Some((at(start)?, at(&watched.last_good)?)),
        };
        Ok(Findings {
            subject,
            start,
            recipe,
            background,
            spoilt,
            notify,
            watched,
            signs,
            symptom: Cell::new(None),
            finite_in_f32: OnceCell::new(),
            at_start: OnceCell::new(),
            stability: OnceCell::new(),
            evidence: OnceCell::new(),
        })
    }

    /// Returns what is known of the run besides its next steps, if its pace is asked for.
    pub(crate) fn background(&self) -> Option<&Background> {
        self.background
    }

    /// Returns the state where replays begin: the earliest of the last healthy states, or else the start.
    pub(crate) fn well(&self) -> &State {
        let front = self.watched.well.front().filter(|s| s.steps > self.start.steps);
        front.map_or(self.start, |state| state)
    }

    /// Returns the description of the first non-finite value, if there is one and the condition holds for it.
    pub(crate) fn origin_where(&self, holds: impl FnOnce(&Origin) -> bool) -> Option<String> {
        self.watched.origin().filter(|o| holds(o)).map(Origin::to_string)
    }

    /// Checks whether the step that failed in a 16-bit format is finite in f32; false if none failed there.
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

    /// Returns the largest loss scale that the run's format has room for.
    pub(crate) fn loss_scale(&self) -> Result<f64, ModelError> {
        let (parameters, batch) = (&self.well().parameters, self.watched.batch());
        let found = reduced(self.subject, parameters, batch, Precision::F32, 1.0)?;
        Ok(loss_scale(self.recipe.precision, found.largest_gradient))
    }

    /// Returns the signs at the start, unless they are those of a rate far above the limit.
    pub(crate) fn start_signs(&self) -> Option<&Signs> {
        self.signs.as_ref().map(|(start, _)| start).filter(|_| self.symptom.get().is_none())
    }

    /// Returns a sign of the start, unless the rate has made it: large weights after training are a symptom if its rate
    /// is far above the limit.
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

    /// Checks whether the model was trained elsewhere and no watched step failed: the state that its training led to is then
    /// no fault of a start.
    pub(crate) fn is_trained_and_well(&self) -> bool {
        self.background.is_some_and(|known| known.finished) && !self.watched.failed()
    }

    /// Checks whether the rate of a watched step is far above the limit of stability at the start.
    pub(crate) fn is_far_above(&self) -> Result<bool, ModelError> {
        Ok(self.stability_at_start()?.is_some_and(|s| s.rate > FAR * s.limit))
    }

    /// Compares the curvature at the start with the rates of the watched steps; `None` if the model is too large.
    pub(crate) fn stability_at_start(&self) -> Result<Option<Stability>, ModelError> {
        once(&self.at_start, || self.judged(self.start)).copied()
    }

    /// Returns the state whose rate is suspected: the last healthy one, or the start if that has symptoms.
    pub(crate) fn suspected(&self) -> &State {
        match self.symptom.get() {
            Some(Symptom::AtStart) => self.start,
            _ => self.well(),
        }
    }

    /// Returns the same at the state whose rate is suspected.
    pub(crate) fn stability(&self) -> Result<Option<Stability>, ModelError> {
        let measure = || match self.suspected() {
            state if state.steps == self.start.steps => self.stability_at_start(),
            state => self.judged(state),
        };
        once(&self.stability, measure).copied()
    }

    /// Returns the result of [`Self::stability`], if a cause has asked for it.
    pub(crate) fn measured_stability(&self) -> Option<Stability> {
        self.stability.get().copied().flatten()
    }

    /// Compares the curvature at a state with the rates: of the watched steps, the one with the highest rate over the
    /// update rule's limit at that step. A schedule may be far from its peak when a run is examined, and clipped steps
    /// of gradient descent are as long as those of a smaller rate.
    fn judged(&self, state: &State) -> Result<Option<Stability>, ModelError> {
        (self.notify)(Stage::Measuring("curvature"));
        let found = stability(self.subject, state, self.recipe)?;
        Ok(found.map(|s| s.judged(self.recipe, &self.watched.history)))
    }

    /// Returns the evidence on the pace of a run that neither failed nor was corrupted; `None` if it is not asked for.
    pub(crate) fn evidence(&self) -> Result<Option<&Evidence<'a>>, ModelError> {
        let (Some((first, last)), Some(background)) = (&self.signs, self.background) else {
            return Ok(None);
        };
        if self.watched.failed() || self.symptom.get().is_some() {
            return Ok(None);
        }
        let Watched { last_good, history, .. } = &self.watched;
        let (states, signs) = ((self.start, &**last_good), (first, last));
        let measure = || {
            (self.notify)(Stage::Measuring("pace"));
            Evidence::of(self.subject, self.recipe, background, states, signs, history)
        };
        once(&self.evidence, measure).map(Some)
    }

    /// Returns the median gradient norm without the last step.
    pub(crate) fn usual_norm(&self) -> f64 {
        median(self.watched.history.iter().rev().skip(1).map(|t| t.gradient_norm))
    }

    /// Returns the usual setup of replays.
    pub(crate) fn replay(&self) -> Replay<'_, S> {
        let uniform = self.signs.as_ref().map(|(start, _)| start.uniform);
        let mut states = vec![self.well()];
        if states[0].steps > self.start.steps {
            states.push(self.start);
        }
        Replay {
            subject: self.subject,
            recipe: self.recipe,
            notify: self.notify,
            states,
            steps: (self.watched.history.len() as u64 + 10).clamp(12, 60),
            uniform: uniform.filter(|u| !u.is_nan()).unwrap_or(f64::INFINITY),
            knows_nothing: false,
            is_gone: |_| Ok(true),
        }
    }
}

/// Returns the content of a cell, measured at the first call.
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

/// Returns the median of the finite values; NaN if there is none.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = numbers.filter(|x| x.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
