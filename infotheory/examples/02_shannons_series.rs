//! Shannon's series F₀, F₁, F₂, …: the entropy of a letter given the letters before it.
//!
//! `cargo run --release -p glassbox-infotheory --example 02_shannons_series -- FILE…`; without FILE, this crate's
//! README. The series falls to the entropy rate of the language, and then below it, because the text is finite: if an
//! N-gram occurs about once its count is unreliable.

mod text;

use infotheory::shannon::series;

fn main() -> std::process::ExitCode {
    text::main(run)
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        return report("README.md", include_str!("../README.md"));
    }
    for file in files {
        report(&file, &text::read(&file)?)?;
    }
    Ok(())
}

fn report(name: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    println!("{name}: {} letters", text.chars().count());
    println!("  N   F_N, bits   corrected   different N-grams   each occurs");
    for f in series(text.chars(), 8).map_err(|e| format!("{name}: {e}"))? {
        println!(
            "{:>3}   {:>9.4}   {:>9.4}   {:>17}   {:>8.1}×{}",
            f.order,
            f.plug_in.to_bits().0,
            f.corrected.to_bits().0,
            f.different,
            f.occurrences,
            if f.occurrences < 10.0 { "  too few to trust" } else { "" }
        );
    }
    Ok(())
}
