//! makemore's bigram: how well a letter is predicted from the one before it.
//!
//! Karpathy, *makemore*, 2022 (github.com/karpathy/makemore): 32,033 names, a letter a token; the count bigram's loss is
//! 2.454 nats. Shannon, *A Mathematical Theory of Communication*, 1948, for counts of two symbols as a source.

use super::page::{Lab, Origin, Page, Picture, Result};
use infotheory::ngram::{NGram, Smoothing};

const FROM: &str = "https://github.com/karpathy/makemore (names.txt)";

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "makemore: the bigram",
        "Karpathy, *makemore*, 2022",
        "A table of counts of letter pairs predicts names with 2.454 nats a letter, and no gradient descent on a table of \
         the same size does better: maximum likelihood is counting.",
    );
    page.formulas = vec![
        ["p(b | a) = count(a, b)/Σ_b count(a, b)", "`NGram::count(2, 27, …)`, `Smoothing::None`"],
        ["loss = −(1/n)·Σ ln p(x_i | x_{i−1})", "`NGram::cross_entropy`"],
        ["add one: p(b | a) = (count(a, b) + 1)/(count(a) + 27)", "`Smoothing::Additive(1.0)`"],
    ];
    let names = lab.text("text/names.txt", FROM)?;
    // Every name ends in '.', which is also where the next one begins: 27 symbols.
    let symbol = |c: char| if c.is_ascii_lowercase() { c as u32 - 'a' as u32 + 1 } else { 0 };
    let letters = names.lines().flat_map(|name| name.chars().chain(['.']).map(symbol));
    let text: Vec<u32> = std::iter::once(0).chain(letters).collect();
    let bigram = NGram::count(2, 27, &text);
    let likelihood = bigram.cross_entropy(Smoothing::None, &text)?.0;
    let smoothed = bigram.cross_entropy(Smoothing::Additive(1.0), &text)?.0;
    page.row("loss, nats a letter", Origin::Published, [2.454, likelihood], 5e-4, 6);
    page.row("with one added to every count", Origin::Published, [2.4544, smoothed], 5e-4, 6);

    // The same by its definition: the mean of −ln p(b | a) over the pairs is their conditional entropy.
    let mut pairs = [[0_u64; 27]; 27];
    text.windows(2).for_each(|w| pairs[w[0] as usize][w[1] as usize] += 1);
    let surprisal = |row: &[u64; 27]| {
        let all = row.iter().sum::<u64>() as f64;
        let some = row.iter().filter(|n| **n > 0).map(|&n| n as f64);
        some.map(|n| -n * (n / all).ln()).sum::<f64>()
    };
    let entropy = pairs.iter().map(surprisal).sum::<f64>() / (text.len() - 1) as f64;
    page.row("conditional entropy of the pairs", Origin::Derived, [entropy, likelihood], 1e-12, 6);

    // More context on the letters that are left for it: what a table cannot do.
    let held_back = text.len() * 9 / 10;
    let (train, held) = text.split_at(held_back);
    let of = |n: usize, text: &[u32]| -> Result<f64> {
        Ok(NGram::count(n, 27, train).cross_entropy(Smoothing::Additive(0.1), text)?.0)
    };
    let mut curves = [vec![], vec![]];
    for n in 1..=6 {
        (lab.progress)(n as f64 / 6.0, "counting n letters");
        curves[0].push([n as f64, of(n, train)?]);
        curves[1].push([n as f64, of(n, held)?]);
    }
    let best = curves[1].iter().map(|p| p[1]).fold(f64::INFINITY, f64::min);
    let last = curves[1].last().map_or(f64::NAN, |p| p[1]);
    page.seen = format!(
        "Counts of longer contexts memorise: on names held back, tables of n letters are best with {best:.3} nats and \
         at six letters are back at {last:.3}."
    );
    let [own, others] = curves;
    page.pictures.push(
        Picture::new("Tables of n letters", ["letters", "loss, nats a letter"])
            .line("names that were counted", own)
            .line("names held back", others),
    );
    page.to_break = "Leave out the '.' between names (`chain(['.'])`): the table then predicts the first letter of a name \
                     from the last of another, and the loss is another number.";
    Ok(page)
}
