//! Logits to a distribution, at several temperatures: a table, and bars.
//!
//! `cargo run -p glassbox-probability --example 01_temperature` shows the textbook's five tokens, whose
//! printed probabilities sum to 0.7993; `-- 5 3.5 2 1 0.5 0.1 -1 -2` shows the logits given.

use probability::softmax::{log_softmax, tempered_softmax};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let (logits, names): (Vec<f64>, Vec<String>) = if given.is_empty() {
        (vec![2.0, 1.0, 0.5, -1.0, 0.1], ["the", "a", "my", "of", "to"].map(String::from).into())
    } else {
        let parse = |text: &String| text.parse().map_err(|e| format!("logit {text:?}: {e}"));
        (given.iter().map(parse).collect::<Result<_, _>>()?, given.clone())
    };
    // Checks the logits, and names a wrong one.
    probability::Categorical::from_logits(&logits)?;
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>8} {:>8}   T = 1",
        "token", "T = 0", "T = ½", "T = 1", "T = 2", "T = ∞"
    );
    let columns = [0.0, 0.5, 1.0, 2.0, f64::INFINITY].map(|t| tempered_softmax(&logits, t));
    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
    for (i, name) in names.iter().enumerate() {
        let cells: String = columns.iter().map(|p| format!(" {:8.6}", p[i])).collect();
        println!("{name:>8}{cells}   {}", "█".repeat((columns[2][i] * 40.0).round() as usize));
    }
    let entropies: String = columns.iter().map(|p| format!(" {:8.6}", entropy(p))).collect();
    println!(
        "{:>8}{entropies}   entropy in nats: rises with the temperature, to ln {}",
        "H",
        logits.len()
    );
    println!(
        "\nSurprise at {:?}: {:.6} nats = {:.6} bits",
        names[0],
        -log_softmax(&logits)[0],
        -log_softmax(&logits)[0] / std::f64::consts::LN_2
    );
    Ok(())
}

/// Returns −Σ p·ln p, with 0·ln 0 = 0.
fn entropy(p: &[f64]) -> f64 {
    p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum::<f64>() + 0.0 // not −0
}
