//! Two models, one text: is the difference of their perplexities more than chance?
//!
//! `cargo run -p glassbox-probability --example 06_which_model_is_better -- A.txt B.txt` compares two files of losses
//! in nats, one number per line (per document, or per token), in the same order. Without files, losses are simulated.

use probability::interval::{bootstrap, normal};
use probability::moments::{correlation, mean};
use probability::paired::{sign_flip_test, t_test};
use probability::{ProbabilityError, Random};
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
    let files: Vec<String> = std::env::args().skip(1).collect();
    let (a, b) = match &files[..] {
        [] => made_up(),
        [a, b] => (read(a)?, read(b)?),
        _ => return Err("give two files of losses, or none".into()),
    };
    println!("{} documents", a.len());
    for (name, losses) in [("A", &a), ("B", &b)] {
        let perplexity = normal(losses, 0.95)?.map(f64::exp);
        println!(
            "model {name}: perplexity {:6.3}, 95 % between {:6.3} and {:6.3}",
            mean(losses)?.exp(),
            perplexity.low,
            perplexity.high
        );
    }
    let test = t_test(&a, &b, 0.95)?;
    let ratio = test.interval.map(f64::exp);
    println!(
        "\npaired: A's perplexity is {:.4} of B's, 95 % between {:.4} and {:.4}",
        test.difference.exp(),
        ratio.low,
        ratio.high
    );
    println!(
        "        t = {:.3} with {} degrees of freedom, p = {:.2e}",
        test.t, test.degrees, test.p_value
    );
    let random = Random::new(1, 0, 0);
    let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let straps = bootstrap(&differences, 0.95, 2000, &random, |d| mean(d).unwrap_or(f64::NAN))?
        .map(f64::exp);
    println!("        bootstrap: between {:.4} and {:.4}", straps.low, straps.high);
    println!(
        "        signs flipped at random: p = {:.2e}",
        sign_flip_test(&a, &b, 10_000, &random)?
    );
    match correlation(&a, &b) {
        Ok(r) => println!("        correlation of the losses {r:.3}: what pairing takes out"),
        Err(ProbabilityError::Setting { .. }) => {
            println!("        a model's losses are all the same")
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}

/// Documents of widely different difficulty; A is 2 % better on each, ± 5 %.
fn made_up() -> (Vec<f64>, Vec<f64>) {
    let random = Random::new(42, 0, 0);
    let b: Vec<f64> = (0..80).map(|i| (3.0 + 0.8 * random.normal(i)).max(0.5)).collect();
    let a = b
        .iter()
        .enumerate()
        .map(|(i, b)| b - 0.02 + 0.05 * random.normal(1000 + i as u64))
        .collect();
    (a, b)
}

fn read(path: &str) -> Result<Vec<f64>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            line.trim()
                .parse()
                .map_err(|e| format!("{path}, line {}: {line:?} is no number: {e}", n + 1))
        })
        .collect()
}
