//! Prediction by counting: n-gram models of the first nine tenths of a text, on the last.
//!
//! `cargo run --release -p glassbox-infotheory --example 05_ngram_models -- FILE`; without FILE, this crate's README.

mod text;

use infotheory::ngram::{NGram, Smoothing};
use std::collections::BTreeMap;

fn main() -> std::process::ExitCode {
    text::main(run)
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let text = text::text()?;
    let mut letters = BTreeMap::new();
    text.chars().for_each(|c| {
        letters.insert(c, 0);
    });
    letters.values_mut().enumerate().for_each(|(i, number)| *number = i as u32);
    let tokens: Vec<u32> = text.chars().map(|c| letters[&c]).collect();
    let (train, rest) = tokens.split_at(tokens.len() * 9 / 10);
    println!(
        "{} letters to count, {} to predict, {} different\n",
        train.len(),
        rest.len(),
        letters.len()
    );
    println!("nats per letter (perplexity)");
    println!("  n   add one          Witten–Bell      Kneser–Ney       modified");
    for order in 1..=8 {
        let model = NGram::count(order, letters.len(), train);
        print!("{order:>3}");
        for smoothing in [
            Smoothing::Additive(1.0),
            Smoothing::WittenBell,
            Smoothing::KneserNey,
            Smoothing::ModifiedKneserNey,
        ] {
            let nats = model.cross_entropy(smoothing, rest)?;
            print!("   {:>6.4} ({:>5.2})", nats.0, nats.perplexity());
        }
        println!();
    }
    println!(
        "\nadd-one smoothing drowns in what it never saw; the others fall back on shorter histories."
    );
    Ok(())
}
