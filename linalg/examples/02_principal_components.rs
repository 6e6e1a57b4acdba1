//! The letters of a text on their two principal axes: a picture of embeddings, and its share of their variance.
//!
//! `cargo run -p glassbox-linalg --example 02_principal_components -- FILE` (without FILE: this crate's documentation).

mod letters;

use linalg::principal::PrincipalComponents;
use linalg::spectrum;
use std::error::Error;

const WIDTH: usize = 72;
const HEIGHT: usize = 24;

fn main() -> std::process::ExitCode {
    letters::main(run)
}

fn run() -> Result<(), Box<dyn Error>> {
    let (names, table) = letters::embeddings(&letters::text()?)?;
    let pca = PrincipalComponents::of(&table)?;
    let points = pca.coordinates(&table, 2)?;

    let mut picture = [[' '; WIDTH]; HEIGHT];
    let place = |axis: usize, j: usize, cells: usize| {
        let row = points.row(axis);
        let share = (row[j] - row.min()) / (row.max() - row.min()).max(f64::MIN_POSITIVE);
        (share * (cells - 1) as f64).round() as usize
    };
    for (j, &name) in names.iter().enumerate() {
        // Vowels are printed as capitals, to be found easily.
        let shown = if "aeiou".contains(name) { name.to_ascii_uppercase() } else { name };
        picture[HEIGHT - 1 - place(1, j, HEIGHT)][place(0, j, WIDTH)] = shown;
    }
    println!("┌{}┐", "─".repeat(WIDTH));
    for line in picture {
        println!("│{}│", line.iter().collect::<String>());
    }
    println!("└{}┘", "─".repeat(WIDTH));

    println!("\naxes   share of all variance");
    for k in [1, 2, 3, 5, 10, pca.variances.len()] {
        if k <= pca.variances.len() {
            println!("{k:>4}   {:.3}", pca.explained(k));
        }
    }
    let deviations: Vec<f64> = pca.variances.iter().map(|v| v.sqrt()).collect();
    println!(
        "\n{} letters in {} dimensions; effective rank {:.1}, stable rank {:.1}",
        names.len(),
        table.nrows(),
        spectrum::effective_rank(&deviations)?,
        spectrum::stable_rank(&deviations)?
    );
    Ok(())
}
