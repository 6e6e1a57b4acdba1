//! The count bigram of makemore's names: an n-gram model against an outside figure.

use infotheory::ngram::{NGram, Smoothing};
use tests::outside_data;

#[test]
fn the_bigram_of_names() {
    let Some(path) = outside_data("text/names.txt") else { return };
    let names = std::fs::read_to_string(path).unwrap();
    // Every name ends in '.', which is also where the next one begins: 27 symbols.
    let symbol = |c: char| if c.is_ascii_lowercase() { c as u32 - 'a' as u32 + 1 } else { 0 };
    let text: Vec<u32> = std::iter::once(0)
        .chain(names.lines().flat_map(|name| name.chars().chain(['.']).map(symbol)))
        .collect();
    let bigram = NGram::count(2, 27, &text);
    let likelihood = bigram.cross_entropy(Smoothing::None, &text).unwrap().0;
    let smoothed = bigram.cross_entropy(Smoothing::Additive(1.0), &text).unwrap().0;
    assert!((likelihood - 2.454014).abs() < 5e-7, "{likelihood}");
    assert!((smoothed - 2.454577).abs() < 5e-7, "{smoothed}");
}
