//! What README.md and other documents say, so that tests can hold them to it.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the workspace.
///
/// # Panics
/// If it cannot be read.
pub fn text(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// With every run of white space as one space: lines may break anywhere.
pub fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The number that a text begins with; commas may part its digits.
pub fn number(text: &str) -> Option<f64> {
    let part = |c: &char| c.is_ascii_digit() || matches!(c, '.' | ',');
    let digits: String = text.chars().take_while(part).filter(|c| *c != ',').collect();
    digits.trim_end_matches('.').parse().ok()
}

/// The number that follows these words in a file.
///
/// # Panics
/// If there is none.
pub fn stated_in(file: &str, before: &str) -> f64 {
    let text = flat(&text(file));
    let mut after = text.match_indices(before).map(|(at, _)| &text[at + before.len()..]);
    after.find_map(number).unwrap_or_else(|| panic!("{file} has no number after {before:?}"))
}

/// The whole number that follows these words in README.md.
///
/// # Panics
/// If there is none.
pub fn stated(before: &str) -> usize {
    stated_in("README.md", before) as usize
}
