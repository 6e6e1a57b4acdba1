//! Common functions of the examples that read a text.

use std::error::Error;
use std::process::ExitCode;

/// Reads a file, or returns what is wrong with it.
pub(crate) fn read(file: &str) -> Result<String, Box<dyn Error>> {
    let bytes = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        format!("{file}: not text in UTF-8, from byte {} on", e.utf8_error().valid_up_to())
    })?;
    if text.is_empty() {
        return Err(format!("{file}: empty; there is nothing to count").into());
    }
    Ok(text)
}

/// Reads the file named on the command line, or this crate's README.
#[allow(dead_code, reason = "not every example reads one file")]
pub(crate) fn text() -> Result<String, Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(file) => read(&file),
        None => Ok(include_str!("../../README.md").to_owned()),
    }
}

/// Runs a program and prints its error on standard error.
pub(crate) fn main(run: fn() -> Result<(), Box<dyn Error>>) -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
