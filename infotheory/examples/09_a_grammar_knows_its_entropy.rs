//! A source of sentences with exactly known entropy, and estimates from samples and n-grams.
//!
//! `cargo run --release -p glassbox-infotheory --example 09_a_grammar_knows_its_entropy`

use infotheory::Nats;
use infotheory::grammar::{Grammar, Variable};
use infotheory::ngram::{NGram, Smoothing};
use probability::random::Random;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let who = Variable::new(
        "who",
        ["name", "she"],
        &[["Ann", "She"], ["Bob", "He"], ["Cleo", "She"], ["Dan", "He"]],
    );
    let grammar = Grammar::new(
        &[who],
        "<who:{who.name} [2:walked|ran] to the [3:park|lake|old mill]. {who.she} [smiled|sang|slept].\n>",
    )?;
    let (exact, rate) = (grammar.entropy(), grammar.entropy_rate()?);
    println!("a sentence has {exact:.4}, a letter {:.4} = {:.4}", rate, rate.to_bits());
    let text = |stream, n| -> String {
        (0..n).map(|i| grammar.sample(&Random::new(1, stream, i))).collect()
    };
    let sentences = text(0, 5);
    print!("\n{sentences}");

    let (train, rest) = (text(1, 20_000), text(2, 2000));
    let surprisals: Option<Vec<Nats>> =
        rest.split_inclusive('\n').map(|sentence| grammar.surprisal(sentence)).collect();
    let surprisals = surprisals.ok_or("a sentence that the grammar does not make")?;
    let drawn = Nats::mean(surprisals)?;
    println!("\nmean surprisal of 2000 sentences: {drawn:.4}");

    let tokens = |text: &str| text.bytes().map(u32::from).collect::<Vec<u32>>();
    let (train, rest) = (tokens(&train), tokens(&rest));
    println!("\n n   nats a letter, above the source");
    for order in [1, 2, 3, 5, 8, 12, 16] {
        let model = NGram::count(order, 256, &train);
        let paid = model.cross_entropy(Smoothing::KneserNey, &rest)?;
        println!("{order:>2}   {:.4}         {:+.4}", paid.0, (paid - rate).0);
    }
    println!("\nshort n-grams lose the subject: they cannot predict She or He.");
    Ok(())
}
