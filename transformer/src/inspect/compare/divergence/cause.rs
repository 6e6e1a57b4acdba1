//! The settings that make two runs part: each is tried.

use super::observed::{Observed, observe};
use super::{Compared, Divergence, Side, take_over};
use crate::model::recorded_step::ModelError;
use crate::printable::{decimal, printable};
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use crate::training::trainer::Trainer;
use serde::Serialize;
use serde_json::Value;

/// A setting in which two runs differ, with which they part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Its name, as in `run.toml` or as a field of the architecture.
    pub setting: String,
    /// Its value in the first and the second run.
    pub values: [String; 2],
    /// Whether the second run, with the first one's value of this setting alone, does not part at that place; otherwise
    /// only with those of all settings listed.
    pub alone: bool,
}

/// Settings that name no part of a step.
const OUTSIDE: [&str; 4] = ["eval_every", "field", "data", "memory"];

/// A change that makes the second run more like the first one.
struct Candidate<'a> {
    setting: String,
    values: [String; 2],
    apply: Box<dyn Fn(&mut Side<'a>) -> bool + 'a>,
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Number(n)) if n.is_f64() => decimal(n.as_f64().unwrap_or(f64::NAN)),
        Some(other) => printable(&other.to_string()),
    }
}

fn candidates<'a>(a: &Side<'a>, b: &Side<'a>) -> Vec<Candidate<'a>> {
    let mut all = Vec::new();
    let values = [a, b].map(|side| serde_json::to_value(&side.config).unwrap_or(Value::Null));
    let [own, other] = values.each_ref().map(|v| v.as_object());
    let keys = |map: Option<&serde_json::Map<String, Value>>| -> Vec<String> {
        map.into_iter().flat_map(|m| m.keys().cloned()).collect()
    };
    let mut names = keys(own);
    names.extend(keys(other).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    for name in names.into_iter().filter(|name| !OUTSIDE.contains(&name.as_str())) {
        let pair = [own, other].map(|map| map.and_then(|m| m.get(&name)).cloned());
        if pair[0] == pair[1] {
            continue;
        }
        let (key, wanted) = (name.clone(), pair[0].clone());
        let apply = move |side: &mut Side<'a>| {
            let Ok(Value::Object(mut map)) = serde_json::to_value(&side.config) else {
                return false;
            };
            match &wanted {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(&key),
            };
            let changed = serde_json::from_value::<TrainingConfig>(Value::Object(map));
            changed.map(|config| side.config = config).is_ok()
        };
        let values = pair.each_ref().map(|value| shown(value.as_ref()));
        all.push(Candidate { setting: name, values, apply: Box::new(apply) });
    }
    for (field, own, other) in a.model.differences(&b.model) {
        let (model, pointer) = (a.model.clone(), format!("/{}", field.replace('.', "/")));
        let apply = move |side: &mut Side<'a>| {
            let plain =
                [&model, &side.model].map(|m| serde_json::to_value(m).unwrap_or(Value::Null));
            let [from, mut to] = plain;
            let place = (from.pointer(&pointer), to.pointer_mut(&pointer));
            let (Some(from), Some(to_field)) = place else { return false };
            *to_field = from.clone();
            serde_json::from_value(to).map(|model| side.model = model).is_ok()
        };
        all.push(Candidate {
            setting: field,
            values: [printable(&own), printable(&other)],
            apply: Box::new(apply),
        });
    }
    if !std::ptr::eq(a.corpus, b.corpus) && !same_text(a.corpus, b.corpus) {
        let corpus = a.corpus;
        let apply = move |side: &mut Side<'a>| {
            side.corpus = corpus;
            true
        };
        let data = |side: &Side<'_>| match &side.config.data {
            Some(paths) => printable(&paths.join(", ")),
            None => "the embedded stories".to_owned(),
        };
        let values = [data(a), data(b)];
        all.push(Candidate { setting: "data".to_owned(), values, apply: Box::new(apply) });
    }
    all
}

/// Whether two corpora train on the same tokens.
fn same_text(a: &Corpus, b: &Corpus) -> bool {
    let (own, other) = (a.train(), b.train());
    own.len() == other.len() && own.chunks().eq(other.chunks())
}

/// Returns the settings without whose difference the runs do not part here: one that suffices alone, or all together.
pub(super) fn causes(
    compared: &Compared<'_, '_>,
    found: &Divergence,
    first: &Observed<f32>,
) -> Result<Vec<Cause>, ModelError> {
    let all = candidates(compared.a, compared.b);
    let mut alone = Vec::new();
    for candidate in &all {
        let mut side = compared.b.clone();
        if (candidate.apply)(&mut side) && heals(compared, &side, found, first) {
            alone.push(cause(candidate, true));
        }
    }
    if !alone.is_empty() {
        return Ok(alone);
    }
    let mut side = compared.b.clone();
    let applied = all.iter().filter(|candidate| (candidate.apply)(&mut side)).collect::<Vec<_>>();
    match heals(compared, &side, found, first) {
        true => Ok(applied.into_iter().map(|candidate| cause(candidate, false)).collect()),
        false => Ok(vec![]),
    }
}

fn cause(candidate: &Candidate<'_>, alone: bool) -> Cause {
    Cause { setting: candidate.setting.clone(), values: candidate.values.clone(), alone }
}

/// Whether a changed second run takes the same step as the first up to the place that was found, and at it.
fn heals(
    compared: &Compared<'_, '_>,
    side: &Side<'_>,
    found: &Divergence,
    first: &Observed<f32>,
) -> bool {
    let sizes = |trainer: &mut Trainer<f32>| -> Vec<usize> {
        trainer.state().iter().map(|(_, x)| x.len()).collect()
    };
    let Ok(mut trainer) = Trainer::<f32>::new(side.config.clone(), &side.model) else {
        return false;
    };
    // Another optimizer has another state; at the first step every state is new.
    let own = compared.before.iter().map(Vec::len).collect::<Vec<_>>();
    if sizes(&mut trainer) != own && compared.number > 1 || own[0] != sizes(&mut trainer)[0] {
        return false;
    }
    take_over(&mut trainer, compared.before, compared.number - 1, |x| x);
    let Ok(second) = observe(&mut trainer, side.corpus) else { return false };
    let with = Compared { b: side, ..*compared };
    match with.parting(first, &second) {
        None => true,
        Some(now) => later(first, &now, found),
    }
}

/// Whether one place comes after another in the order of the first run's step.
fn later(first: &Observed<f32>, now: &Divergence, found: &Divergence) -> bool {
    let place = |d: &Divergence| {
        let entries = first.entries.iter();
        let at = entries.enumerate().find(|(_, e)| e.part == d.part && e.name == d.name);
        // Numbers stand between gradients and state; what only the second run has is first of its part.
        let part = [
            super::Part::Batch,
            super::Part::Value,
            super::Part::Gradient,
            super::Part::ParameterGradient,
            super::Part::ClippingFactor,
            super::Part::LearningRate,
            super::Part::OptimizerState,
            super::Part::Update,
        ]
        .iter()
        .position(|part| *part == d.part);
        (part, at.map(|(i, _)| i))
    };
    place(now) > place(found)
}
