//! The description of a state: its version, its steps, and what they were trained with.

use crate::printable::printable;
use crate::training::config::TrainingConfig;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// The version that is written. Version 1 had no number and no settings.
const VERSION: &str = "2";
/// The prefix of a setting's name.
const SETTING: &str = "setting.";
/// Settings that may change when a run resumes.
const FREE: [&str; 4] = ["steps", "time", "eval_every", "memory"];
/// The most steps of a run, so that steps, batches and their parts fit 64 bits.
const MOST_STEPS: u64 = 1 << 40;

/// A setting that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name in `run.toml`.
    pub setting: String,
    /// Its value when the state was saved.
    pub saved: String,
    /// Its value now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { setting, saved, now } = self;
        let said = format!("{setting} was {saved} when the state was saved, and is {now} now");
        f.write_str(&printable(&said))
    }
}

/// The header of a state besides the tensors, without the checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The number of steps taken.
    pub steps: u64,
    /// The checksum of the text.
    pub data: String,
    /// The vectors that computed it, when bits depended on them: part of the checksum of states that say them.
    vectors: Option<String>,
    /// The settings of the run except the paths of the text, of the model that it began with and of its
    /// teacher; `None` in version 1.
    settings: Option<BTreeMap<String, String>>,
}

impl About {
    /// Describes a run that this process trains.
    pub(super) fn new(config: &TrainingConfig, steps: u64, data: &str) -> Self {
        About { steps, data: data.to_owned(), vectors: None, settings: Some(settings(config)) }
    }

    /// Returns the keys and values of the header.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let settings = self.settings.iter().flatten();
        let settings = settings.map(|(name, value)| (format!("{SETTING}{name}"), value.clone()));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        [
            pair("version", VERSION),
            pair("steps", &self.steps.to_string()),
            pair("data_sha256", &self.data),
        ]
        .into_iter()
        .chain(self.vectors.iter().map(|v| pair("vectors", v)))
        .chain(settings)
        .collect()
    }

    /// Reads the keys and values of a header; returns the description and the checksum. Every key must be one of its
    /// version: a damaged key cannot make the state an earlier version, or disable its checksum.
    pub(super) fn read(written: &HashMap<String, String>) -> Result<(Self, String), String> {
        let mut left = written.clone();
        let missing = |key: &str| format!("it does not say its {key}");
        let version = left.remove("version");
        if version.as_deref().is_some_and(|v| v != VERSION) {
            let found = version.unwrap_or_default();
            return Err(format!(
                "it is of version {found}; this program reads versions 1 and {VERSION}"
            ));
        }
        let steps = left.remove("steps").ok_or_else(|| missing("steps"))?;
        let steps = match steps.parse() {
            Ok(steps) if steps <= MOST_STEPS => steps,
            _ => return Err(format!("it says that {steps} steps were taken")),
        };
        let data = left.remove("data_sha256").ok_or_else(|| missing("data_sha256"))?;
        let checksum = left.remove("sha256").ok_or_else(|| missing("sha256"))?;
        let (mut vectors, mut settings) = (None, None);
        if version.is_some() {
            vectors = left.remove("vectors");
            let named = |key: &String| key.starts_with(SETTING);
            let (own, rest): (HashMap<_, _>, _) = left.into_iter().partition(|(key, _)| named(key));
            let own = own.into_iter().map(|(key, value)| (key[SETTING.len()..].to_owned(), value));
            settings = Some(own.collect());
            left = rest;
        }
        match left.keys().min() {
            Some(key) => Err(format!("its header is damaged: it has a key \"{key}\"")),
            None => Ok((About { steps, data, vectors, settings }, checksum)),
        }
    }

    /// Returns whether its version records settings.
    pub fn knows_settings(&self) -> bool {
        self.settings.is_some()
    }

    /// Returns the settings that changed.
    pub fn differences(&self, config: &TrainingConfig) -> Vec<Difference> {
        let Some(saved) = &self.settings else { return vec![] };
        let now = settings(config);
        let names = saved.keys().chain(now.keys().filter(|name| !saved.contains_key(*name)));
        let text = |of: &BTreeMap<String, String>, name: &String| {
            of.get(name).map_or("not there".to_owned(), |value| value.trim_matches('"').to_owned())
        };
        let both = names.map(|name| (name, text(saved, name), text(&now, name)));
        both.filter(|(_, saved, now)| saved != now)
            .map(|(name, saved, now)| Difference { setting: name.clone(), saved, now })
            .collect()
    }

    /// Returns the changed settings that determine the weights, with which a run cannot resume.
    pub fn contradictions(&self, config: &TrainingConfig) -> Vec<Difference> {
        let all = self.differences(config).into_iter();
        all.filter(|d| !FREE.contains(&d.setting.as_str())).collect()
    }
}

/// Returns settings by name, in JSON: numbers have the fewest digits that round-trip.
fn settings(config: &TrainingConfig) -> BTreeMap<String, String> {
    let Ok(Value::Object(all)) = serde_json::to_value(config) else { return BTreeMap::new() };
    // The checksums of all three are kept.
    const PATHS: [&str; 3] = ["data", "from", "teacher"];
    let all = all.into_iter().filter(|(name, _)| !PATHS.contains(&&name[..]));
    all.map(|(name, value)| (name, value.to_string())).collect()
}
