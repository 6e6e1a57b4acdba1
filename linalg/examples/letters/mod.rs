//! Embeddings by counting: the letters before and after each letter of a text.

use linalg::Matrix;
use std::error::Error;

/// Returns the text of the file named on the command line, or this crate's own documentation.
pub(crate) fn text() -> Result<String, Box<dyn Error>> {
    match std::env::args().nth(1) {
        None => {
            Ok(concat!(include_str!("../../README.md"), include_str!("../../src/lib.rs")).into())
        }
        Some(path) => std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}").into()),
    }
}

/// Returns the letters of a text with an embedding of each, a column of 54 numbers: the square roots of the counts of
/// 26 letters, or anything else, before it and after it. Letters with fewer than 20 occurrences are left out.
pub(crate) fn embeddings(text: &str) -> Result<(Vec<char>, Matrix<f64>), Box<dyn Error>> {
    let place = |c: char| match c.to_ascii_lowercase() {
        c @ 'a'..='z' => c as usize - 'a' as usize,
        _ => 26,
    };
    let mut counts = [[0.0; 54]; 27];
    let places: Vec<usize> = text.chars().map(place).collect();
    for pair in places.windows(2) {
        counts[pair[1]][pair[0]] += 1.0;
        counts[pair[0]][27 + pair[1]] += 1.0;
    }
    let kept: Vec<usize> =
        (0..26).filter(|&i| counts[i][..27].iter().sum::<f64>() >= 20.0).collect();
    if kept.len() < 3 {
        return Err("a text with at least three letters that occur 20 times is needed".into());
    }
    let table = Matrix::from_fn(54, kept.len(), |feature, j| {
        let row = &counts[kept[j]];
        (row[feature] / row[..27].iter().sum::<f64>()).sqrt()
    });
    Ok((kept.iter().map(|&i| (b'a' + i as u8) as char).collect(), table))
}

/// Runs a program and prints its error to standard error.
pub(crate) fn main(run: fn() -> Result<(), Box<dyn Error>>) -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
