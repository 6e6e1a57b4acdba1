//! The settings in which runs differ, and the runs that differ in the seed alone.

use crate::printable::{decimal, printable};
use crate::training::config::TrainingConfig;
use serde::Serialize;
use serde_json::{Map, Value};

/// A setting, with its value in each run; `None` for a setting that a run does not state, and for a model that is no run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name in `run.toml`.
    pub key: String,
    /// Its values.
    pub values: Vec<Option<String>>,
}

/// Returns the settings that are not the same in all runs, in the order of `run.toml`. Models that are no run take no part.
///
/// ```
/// use transformer::{TrainingConfig, inspect::compare::settings::differing};
/// let a = TrainingConfig { seed: 1, ..Default::default() };
/// let b = TrainingConfig { seed: 2, learning_rate: 0.01, ..Default::default() };
/// let rows = differing(&[Some(&a), None, Some(&b)]);
/// assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["learning_rate", "seed"]);
/// assert_eq!(rows[1].values, [Some("1".to_owned()), None, Some("2".to_owned())]);
/// ```
pub fn differing(runs: &[Option<&TrainingConfig>]) -> Vec<Setting> {
    let known: Vec<Option<Map<String, Value>>> =
        runs.iter().map(|run| run.map(settings_of)).collect();
    // The order of `run.toml`: that of the fields of the first run, then names that only later runs have.
    let mut keys: Vec<String> = Vec::new();
    for run in runs.iter().flatten() {
        for key in ordered_keys(run) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    let rows = keys.into_iter().map(|key| {
        let values = known.iter().map(|run| run.as_ref()?.get(&key).map(shown)).collect();
        Setting { key, values }
    });
    rows.filter(|row| {
        let mut own = row.values.iter().zip(runs).filter(|(_, run)| run.is_some());
        let first = own.next().map(|(value, _)| value);
        own.any(|(value, _)| Some(value) != first)
    })
    .collect()
}

fn settings_of(config: &TrainingConfig) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(all)) => all,
        _ => Map::new(),
    }
}

/// Returns the names of a run's settings in the order of `run.toml`.
fn ordered_keys(config: &TrainingConfig) -> Vec<String> {
    let file = toml::to_string(config).unwrap_or_default();
    let keys = file.lines().filter_map(|line| line.split_once(" = "));
    keys.map(|(key, _)| key.trim().to_owned()).collect()
}

/// Formats a value on one line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Number(number) if number.is_f64() => decimal(number.as_f64().unwrap_or(f64::NAN)),
        other => printable(&other.to_string()),
    }
}

/// Returns the number of each run's group: runs with the same settings except the seed are one group; so are runs of the
/// same time, whatever number of steps the machine's speed gave them. A model that is no run is a group of its own.
///
/// ```
/// use transformer::{TrainingConfig, inspect::compare::settings::groups};
/// let of = |seed, steps| TrainingConfig { seed, steps, ..Default::default() };
/// let runs = [of(1, 100), of(2, 100), of(1, 200)];
/// assert_eq!(groups(&[Some(&runs[0]), Some(&runs[1]), Some(&runs[2]), None]), [0, 0, 1, 2]);
/// ```
pub fn groups(runs: &[Option<&TrainingConfig>]) -> Vec<usize> {
    let without_seed = |run: &TrainingConfig| {
        let steps = if run.time.is_some() { 0 } else { run.steps };
        settings_of(&TrainingConfig { seed: 0, steps, ..run.clone() })
    };
    let mut known: Vec<Option<Map<String, Value>>> = Vec::new();
    let group = |run: &Option<&TrainingConfig>| {
        let own = run.map(without_seed);
        let place = own.as_ref().and_then(|own| known.iter().position(|k| k.as_ref() == Some(own)));
        place.unwrap_or_else(|| {
            known.push(own);
            known.len() - 1
        })
    };
    runs.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::time::Time;

    /// Only the seed may differ in a group, whatever else changes.
    #[test]
    fn every_other_setting_makes_another_group() {
        let base = TrainingConfig::default();
        let others = [
            TrainingConfig { learning_rate: 1.01 * base.learning_rate, ..base.clone() },
            TrainingConfig { steps: base.steps + 1, ..base.clone() },
            TrainingConfig { data: Some(vec!["other.txt".into()]), ..base.clone() },
            TrainingConfig { epsilon: Some(1e-6), ..base.clone() },
            TrainingConfig { dropout: 0.1, ..base.clone() },
            TrainingConfig { accumulate: base.accumulate + 1, ..base.clone() },
        ];
        let seeds: Vec<_> = (0..3).map(|seed| TrainingConfig { seed, ..base.clone() }).collect();
        for other in &others {
            let all = [&seeds[0], other, &seeds[1], &seeds[2]].map(Some);
            assert_eq!(groups(&all), [0, 1, 0, 0], "{other:?}");
        }
        let timed = |seed, steps, seconds| {
            let time = Some(Time::of(seconds));
            TrainingConfig { seed, steps, time, ..base.clone() }
        };
        let all = [timed(1, 700, 60), timed(2, 800, 60), timed(3, 700, 70)];
        assert_eq!(groups(&all.each_ref().map(Some)), [0, 0, 1]);
    }

    /// Equal runs differ in nothing, and text from a file cannot control a terminal.
    #[test]
    fn only_what_differs_is_listed() {
        let base = TrainingConfig::default();
        assert!(differing(&[Some(&base), Some(&base), None]).is_empty());
        let hostile = TrainingConfig { data: Some(vec!["\u{1b}[2J".into()]), ..base.clone() };
        let rows = differing(&[Some(&base), Some(&hostile)]);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].key.as_str(), &rows[0].values[0]), ("data", &None));
        assert!(!rows[0].values[1].as_ref().unwrap().contains('\u{1b}'));
    }
}
