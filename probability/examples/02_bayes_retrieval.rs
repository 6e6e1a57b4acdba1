//! Which document answers the query? Naive Bayes over a few documents, word by word.
//!
//! `cargo run -p glassbox-probability --example 02_bayes_retrieval -- gradient of the loss`
//!
//! P(document | words) ∝ P(document)·Π P(word | document): each document is a smoothed distribution over words, and
//! each word of the query changes the posterior. A retriever does this without a network.

use probability::{Categorical, bayes, likelihood::fit_categorical};
use std::collections::BTreeSet;
use std::process::ExitCode;

const DOCUMENTS: [(&str, &str); 4] = [
    (
        "softmax",
        "softmax turns scores into probabilities the largest score gets the largest probability and all sum to one",
    ),
    (
        "gradient",
        "the gradient of the loss points uphill descent goes the other way and the loss falls",
    ),
    (
        "entropy",
        "entropy is the mean surprise of a source no code spends less than the entropy of the source",
    ),
    (
        "attention",
        "attention weights are probabilities each query reads the values of the keys it scores highest",
    ),
];

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
    let given: Vec<String> = std::env::args().skip(1).map(|w| w.to_lowercase()).collect();
    let query: Vec<&str> = match given.is_empty() {
        true => vec!["the", "loss", "of", "a", "source"],
        false => given.iter().flat_map(|w| w.split_whitespace()).collect(),
    };
    let vocabulary: BTreeSet<&str> =
        DOCUMENTS.iter().flat_map(|(_, text)| text.split(' ')).collect();
    let vocabulary: Vec<&str> = vocabulary.into_iter().collect();
    // A distribution over words for each document; a pseudocount of ½ for every word, so that none is impossible.
    let models = DOCUMENTS.map(|(_, text)| {
        let count = |word: &&str| text.split(' ').filter(|w| w == word).count() as u64;
        let counts: Vec<u64> = vocabulary.iter().map(count).collect();
        fit_categorical::<f64>(&counts, 0.5)
    });
    let models = models.into_iter().collect::<Result<Vec<_>, _>>()?;

    let mut belief = Categorical::uniform(DOCUMENTS.len())?;
    println!("{:>16} {}", "", DOCUMENTS.map(|(name, _)| format!("{name:>10}")).concat());
    show("before", &belief);
    for word in &query {
        let Some(i) = vocabulary.iter().position(|w| w == word) else {
            println!("{word:>16}   (in no document: no evidence)");
            continue;
        };
        let likelihood: Vec<f64> = models.iter().map(|m| m.probability(i)).collect();
        belief = bayes::posterior(&belief, &likelihood)?;
        show(word, &belief);
    }
    println!(
        "\nbest: {:?}, with probability {:.3}",
        DOCUMENTS[belief.mode()].0,
        belief.probability(belief.mode())
    );

    let flagged = bayes::posterior(&Categorical::from_probabilities(&[0.01, 0.99])?, &[0.9, 0.05])?;
    println!(
        "\nA caution: if 1 document in 100 is relevant, and a retriever flags 90 % of those and 5 % of the rest, then\n\
         only {:.1} % of what it flags is relevant.",
        100.0 * flagged.probability(0)
    );
    Ok(())
}

fn show(word: &str, belief: &Categorical) {
    let cells: String = belief.probabilities().iter().map(|p| format!("{p:10.4}")).collect();
    println!("{word:>16} {cells}");
}
