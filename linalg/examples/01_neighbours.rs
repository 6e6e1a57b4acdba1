//! Letters in similar contexts: cosine similarity finds the vowels of a text without knowing about vowels.
//!
//! `cargo run -p glassbox-linalg --example 01_neighbours -- FILE` (without FILE: this crate's documentation).

mod letters;

use linalg::similarity::{cosines, nearest};
use std::error::Error;

fn main() -> std::process::ExitCode {
    letters::main(run)
}

fn run() -> Result<(), Box<dyn Error>> {
    let (names, table) = letters::embeddings(&letters::text()?)?;
    println!("letter   nearest by cosine of what stands before and after");
    for (j, name) in names.iter().enumerate() {
        // The first is the letter itself.
        let found = nearest(table.column(j).as_slice(), &table, 5)?;
        let shown: Vec<String> =
            found[1..].iter().map(|n| format!("{} {:.3}", names[n.index], n.cosine)).collect();
        println!("{name:>6}   {}", shown.join("   "));
    }
    // The table knows that a vowel is more similar to a vowel than to a consonant.
    let vowel = |c: char| "aeiou".contains(c);
    let (mut same, mut other) = (vec![], vec![]);
    for (j, _) in names.iter().enumerate().filter(|(_, c)| vowel(**c)) {
        for (i, cosine) in cosines(table.column(j).as_slice(), &table)?.into_iter().enumerate() {
            match vowel(names[i]) {
                true if i != j => same.push(cosine),
                true => {}
                false => other.push(cosine),
            }
        }
    }
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    println!(
        "\nmean cosine of vowels with other vowels {:.3}, with consonants {:.3}",
        mean(&same),
        mean(&other)
    );
    Ok(())
}
