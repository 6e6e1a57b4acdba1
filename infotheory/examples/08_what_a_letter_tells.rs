//! The mutual information of letters at a distance, in bits, and the pairs that occur together most.
//!
//! `cargo run --release -p glassbox-infotheory --example 08_what_a_letter_tells -- FILE`; without FILE, this crate's
//! README.

mod text;

use infotheory::entropy::entropy;
use infotheory::joint::{mutual_information, pointwise_mutual_information};
use linalg::Matrix;
use probability::Joint;
use std::collections::BTreeMap;

fn main() -> std::process::ExitCode {
    text::main(run)
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let text = text::text()?;
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let mut numbers: BTreeMap<char, usize> = text.iter().map(|c| (*c, 0)).collect();
    numbers.values_mut().enumerate().for_each(|(i, number)| *number = i);
    let letters: Vec<char> = numbers.keys().copied().collect();
    let table = |distance: usize| {
        let mut counts = Matrix::<f64>::zeros(letters.len(), letters.len());
        for pair in text.windows(distance + 1) {
            counts[(numbers[&pair[0]], numbers[&pair[distance]])] += 1.0;
        }
        counts
    };

    println!("distance   mutual information, bits   of the entropy");
    for distance in [1, 2, 3, 4, 6, 8, 12, 16, 32, 64] {
        let pairs = Joint::from_weights(&table(distance))?;
        let (told, all) = (mutual_information(&pairs), entropy(pairs.y().probabilities())?);
        let share = 100.0 * told.0 / all.0;
        println!("{distance:>8}   {:>24.4}   {share:>12.1} %", told.to_bits().0);
    }

    let counts = table(1);
    let pairs = Joint::from_weights(&counts)?;
    let mut together = Vec::new();
    for x in 0..letters.len() {
        for y in 0..letters.len() {
            // Rare pairs are mostly chance.
            if counts[(x, y)] >= 20.0 {
                let bits = pointwise_mutual_information(&pairs, x, y)?.to_bits().0;
                together.push((bits, letters[x], letters[y]));
            }
        }
    }
    together.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!(
        "\npairs that belong together (pointwise mutual information, bits; at least 20 times):"
    );
    for (bits, x, y) in together.iter().take(8) {
        println!("  {x:?} {y:?}  {bits:+.3}");
    }
    println!("and that avoid each other:");
    for (bits, x, y) in together.iter().rev().take(5) {
        println!("  {x:?} {y:?}  {bits:+.3}");
    }
    Ok(())
}
