//! Finds why a loss is NaN: the first cause, not the symptoms.
//!
//! Frameworks report where a NaN is noticed. A recorded step keeps every value, in the order of computation, so the
//! question has an exact answer: [`find`] names the operation, the element, its operands and the arithmetic that
//! failed. [`diagnose`] runs or resumes training and watches it, stops when a step fails, names a [`Cause`] of a
//! documented list with its evidence, and tries the fix by replaying from the last good step.
//!
//! ```
//! use transformer::inspect::diagnose::{diagnose, Cause, Recipe, State};
//! use transformer::{RecordedStep, Architecture, ModelStep, Form};
//! use std::sync::Arc;
//! let config = Architecture { vocabulary: 11, context: 8, width: 16, heads: 2, layers: 1, hidden: 32, ..Default::default() };
//! let step = ModelStep {
//!     config: config.clone(), sequences: 2, length: 8, seed: 1,
//!     batches: Arc::new(|n| {
//!         let text: Vec<u32> = (0..17).map(|i| (n as u32 + 3 * i) % 11).collect();
//!         (text[..16].to_vec(), text[1..].to_vec())
//!     }),
//!     references: None,
//!     teacher: None,
//! };
//! let mut model = RecordedStep::<f32>::record(&config, 2, 8, Form::Fused, 1)?;
//! model.initialise(1);
//! let mut parameters = model.tape().parameters().to_vec();
//! parameters[5] = f32::NAN;
//! let found = diagnose(&step, &State::start(parameters), &Recipe::adam(1e-2), 10)?;
//! assert_eq!(found.cause.unwrap().0, Cause::BrokenWeights);
//! assert_eq!(found.origin.unwrap().name, "embedding.token.weight");
//! assert!(found.trials[0].cured); // with the broken weight set to 0 it learns again
//! # Ok::<(), transformer::ModelError>(())
//! ```
//!
//! The list of causes is in `docs/FAILURES.md`, each with its mathematics, its signature and an example.

mod applied;
mod background;
mod cause;
mod course;
mod cure;
mod edge;
mod evidence;
mod examination;
mod findings;
pub mod health;
mod layers;
mod origin;
mod pace;
mod picture;
mod reduced;
mod replay;
mod signs;
mod stage;
mod stepping;
mod verdict;
mod watch;

pub use crate::training::recipe::Recipe;
pub use background::{Background, Before, Remembered};
pub use cause::Cause;
pub use course::{State, Taken};
pub use cure::{Cure, Trial};
pub use edge::{Stability, stability};
pub use examination::{Examination, examination, examination_of};
pub use origin::{Direction, Operand, Origin, backward, find, forward};
pub use picture::{Growth, sparkline};
pub use reduced::{Reduced, Saved, Stored, loss_scale, reduced};
pub(crate) use signs::rms;
pub use signs::{Attention, Signs, looks_ahead, signs};
pub use stage::Stage;
pub use stepping::Course;
pub use verdict::Verdict;
pub use watch::bytes;

use crate::inspect::subject::Subject;
use crate::memory;
use crate::model::recorded_step::ModelError;
use evidence::AGAIN;
use findings::Findings;
use serde::Serialize;
use stage::{Notify, SILENT};
use std::rc::Rc;

/// The result of a diagnosis.
#[derive(Clone, Debug, Serialize)]
#[must_use]
pub struct Diagnosis {
    /// Steps taken without fault, counted from the start of training.
    pub steps: u64,
    /// The steps that were watched; the last is the one that failed, if one did.
    pub history: Vec<Taken>,
    /// The place where the first NaN or infinite number was computed, if any.
    pub origin: Option<Origin>,
    /// The cause and its evidence; `None` for a healthy run.
    pub cause: Option<(Cause, String)>,
    /// The growth of the quantity that failed, over the watched steps.
    pub growth: Growth,
    /// The largest score of every attention at some of the watched steps, on one batch.
    pub scores: Vec<Growth>,
    /// Curvature at the last good state, if it was requested.
    pub stability: Option<Stability>,
    /// The signs at the start and at the last good state.
    pub signs: Option<(Signs, Signs)>,
    /// The trials of the proposed fixes.
    pub trials: Vec<Trial>,
    /// The last good state; not part of the JSON.
    #[serde(skip)]
    pub last_good: State,
}

/// Trains up to `steps` steps, watches them, and reports what fails, why, and what helps.
///
/// # Errors
/// If the step cannot be recorded.
pub fn diagnose<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
) -> Result<Diagnosis, ModelError> {
    diagnose_with(subject, start, recipe, steps, &Background::default())
}

/// Like [`diagnose`], with the known background of the run: its plan, held-back text, baselines. Causes of a loss that
/// does not fall can be found only as far as the background is known.
///
/// # Errors
/// If the step cannot be recorded.
pub fn diagnose_with<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    background: &Background,
) -> Result<Diagnosis, ModelError> {
    diagnose_watched(subject, start, recipe, steps, background, SILENT)
}

/// Like [`diagnose_with`], and calls `notify` at every stage.
pub(crate) fn diagnose_watched<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    background: &Background,
    notify: Notify<'_>,
) -> Result<Diagnosis, ModelError> {
    examine(subject, start, recipe, steps, (Some(background), false, notify))
}

/// Like [`diagnose`], but for failures alone: a run is repeated to see what grew, not how fast it learns. Weights that
/// are known to become corrupted (`spoilt`) are a failure too, even if every loss on the way is finite.
pub(crate) fn failure<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    (spoilt, notify): (bool, Notify<'_>),
) -> Result<Diagnosis, ModelError> {
    examine(subject, start, recipe, steps, (None, spoilt, notify))
}

fn examine<S: Subject>(
    subject: &S,
    start: &State,
    recipe: &Recipe,
    steps: u64,
    known: (Option<&Background>, bool, Notify<'_>),
) -> Result<Diagnosis, ModelError> {
    memory::afford(bytes(subject, start)?)?;
    let findings = Findings::of(subject, start, recipe, steps, known)?;
    let (cause, trials) = match cause::find(&findings)? {
        Some((cause, trials)) => (Some(cause), trials),
        None => (None, vec![]),
    };
    let stability = findings.measured_stability();
    let Findings { mut watched, signs, .. } = findings;
    let origin = watched.origin().cloned();
    let taken =
        watched.history.len() - usize::from(watched.failed() && !watched.history.is_empty());
    watched.well.clear();
    let last_good = Rc::unwrap_or_clone(watched.last_good);
    Ok(Diagnosis {
        steps: start.steps + taken as u64,
        growth: Growth::of(&watched.history, &watched.names, origin.as_ref()),
        history: watched.history,
        scores: watched.scores,
        origin,
        cause,
        stability,
        signs,
        trials,
        last_good,
    })
}
