//! The pairs of a step on preferences, as its batches state them.

use super::{Findings, Subject};

/// The most pairs that are read, and the most batches.
const PAIRS: usize = 64;
const BATCHES: u64 = 64;

/// One side of a pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Side {
    /// The predicted tokens.
    pub(super) targets: Vec<f64>,
    /// Their nats under the reference, all together.
    pub(super) nats: f64,
}

impl Side {
    /// Returns the mean nats of a token under the reference.
    pub(super) fn surprisal(&self) -> f64 {
        self.nats / self.targets.len() as f64
    }
}

/// A preference.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    pub(super) chosen: Side,
    pub(super) rejected: Side,
}

impl Pair {
    /// Whether both sides are the same tokens.
    pub(super) fn is_equal(&self) -> bool {
        self.chosen.targets == self.rejected.targets
    }
}

/// Returns the pairs of the first watched batches; none if the step is on no preferences.
pub(super) fn of<S: Subject>(f: &Findings<'_, S>) -> Vec<Pair> {
    let watched = &f.watched;
    let Some(handles) = watched.handles.pairs else { return vec![] };
    let mut all: Vec<Pair> = vec![];
    let first = f.start.steps * f.recipe.accumulate;
    for number in first..first + BATCHES {
        let batch = f.subject.batch(number);
        let given = |var| watched.given(Some(var), &batch);
        let (Some(pairs), Some(sides), Some(reference), Some(targets)) = (
            given(handles.pairs),
            given(handles.sides),
            given(handles.reference),
            watched.given(watched.handles.targets, &batch),
        ) else {
            return vec![];
        };
        let before = all.len();
        for (i, &target) in targets.iter().enumerate() {
            if sides[i] == 0.0 || target < 0.0 {
                continue;
            }
            let place = before + pairs[i] as usize;
            if all.len() <= place {
                all.resize(place + 1, Pair::default());
            }
            let pair = &mut all[place];
            let side = if sides[i] > 0.0 { &mut pair.chosen } else { &mut pair.rejected };
            side.targets.push(target);
            side.nats += reference[i];
        }
        if all.len() >= PAIRS {
            break;
        }
    }
    all
}
