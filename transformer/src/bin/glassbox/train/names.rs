//! The names of a run: its directory's, and its files' from everywhere.

use crate::settings::Settings;
use std::path::Path;
use transformer::{TokenizerChoice, TrainingConfig};

/// Returns settings whose paths are valid from other directories too.
pub(crate) fn findable_from_everywhere(config: &TrainingConfig) -> TrainingConfig {
    let tokenizer = match &config.tokenizer {
        TokenizerChoice::Files(path) => TokenizerChoice::Files(findable(path)),
        choice => choice.clone(),
    };
    let data = config.data.as_ref().map(|paths| paths.iter().map(|p| findable(p)).collect());
    let [from, teacher] = [&config.from, &config.teacher].map(|path| path.as_deref().map(findable));
    TrainingConfig { data, tokenizer, from, teacher, ..config.clone() }
}

/// Returns a path so that it is valid from other directories too.
fn findable(path: &str) -> String {
    let absolute = (path != "-").then(|| std::path::absolute(path).ok()).flatten();
    absolute.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or(path.to_owned())
}

/// Returns the name of a run's directory, after its training data.
pub(super) fn run_name(settings: &Settings) -> String {
    match (settings.data.as_deref(), settings.preset) {
        (Some([data, ..]), None) if data != "-" => {
            let stem = Path::new(data).file_stem().unwrap_or_default().to_string_lossy();
            stem.chars()
                .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
                .collect()
        }
        _ => settings.preset().key().to_owned(),
    }
}
