//! The surprisal of a text's letters, and the size of a file that is coded by their frequencies.
//!
//! `cargo run -p glassbox-infotheory --example 01_entropy_of_a_text -- FILE`; without FILE, this crate's README.

mod text;

use infotheory::entropy::{entropy, normalised_entropy, self_information};
use infotheory::prefix_code::{huffman, mean_length};
use infotheory::units::bits_per_byte;
use std::collections::BTreeMap;

fn main() -> std::process::ExitCode {
    text::main(run)
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let text = text::text()?;
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for letter in text.chars() {
        *counts.entry(letter).or_default() += 1;
    }
    let n: usize = counts.values().sum();
    let p: Vec<f64> = counts.values().map(|&c| c as f64 / n as f64).collect();
    let h = entropy(&p)?;
    println!("letters        {n}, {} different", counts.len());
    println!("entropy        {h:.4} = {:.4} per letter", h.to_bits());
    println!("perplexity     {:.2} equally likely letters", h.perplexity());
    println!("share of ln n  {:.1} %", 100.0 * normalised_entropy(&p)?);
    println!("per byte       {:.4}", bits_per_byte(h * n as f64, &text)?);

    let mut by_surprise: Vec<(char, f64)> = counts.keys().copied().zip(p.iter().copied()).collect();
    by_surprise.sort_by(|a, b| b.1.total_cmp(&a.1));
    println!("\nfrom the least surprising letter to the most:");
    let rare = by_surprise.len().saturating_sub(3);
    for (i, (letter, p)) in by_surprise.iter().enumerate() {
        if i < 5 || i >= rare {
            println!("  {letter:?}\t{:.5}\t{:.3}", p, self_information(*p)?.to_bits());
        }
    }

    let huffman = mean_length(&p, &huffman(&p)?)?;
    println!("\na file of the text, without the table of its letters:");
    println!("  as it is                 {:>9} bytes", text.len());
    println!("  Huffman, {:.4} a letter  {:>9.0} bytes", huffman.0, huffman.0 * n as f64 / 8.0);
    println!("  the entropy              {:>9.0} bytes", h.to_bits().0 * n as f64 / 8.0);
    Ok(())
}
