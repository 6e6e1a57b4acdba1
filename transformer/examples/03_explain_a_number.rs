//! One number of a training step with its arithmetic: a weight of attention, the gradient that reaches it, and what
//! the update expects to gain.
//!
//! `cargo run --release -p glassbox-transformer --example 03_explain_a_number -- ADDRESS`; without ADDRESS
//! `block.0.attention.weights[1,4,3]`: head 1, query 4, key 3.

mod small;

use std::error::Error;
use transformer::inspect::explain::{Descent, Explanation, Quantity, Subject};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("block.0.attention.weights[1,4,3]");
    let (trainer, tokenizer, _) = small::trained()?;
    let tokens = tokenizer.encode("shells she")?;
    let step = Explanation::of(Subject {
        title: "shells she".to_owned(),
        config: trainer.model().config().clone(),
        parameters: trainer.model().tape().parameters().to_vec(),
        tokens: tokens[..tokens.len() - 1].to_vec(),
        targets: tokens[1..].to_vec(),
        names: (0..tokenizer.vocabulary() as u32).map(|t| tokenizer.decode(&[t])).collect(),
        descent: Descent::of_run(trainer.config(), trainer.steps()),
        unigram: None,
        teacher: vec![],
        remarks: vec![],
        seed: 0,
    })?;
    let place = step.place(address)?;
    println!("{}", step.text(&step.derive(&place)));
    println!("{}", step.text(&step.derive(&place.of(Quantity::Gradient))));

    let ledger = step.ledger()?;
    println!("the update changes the loss by {:.2e};", ledger.measured());
    println!("the gradient alone, g·Δθ, predicts {:.2e}", ledger.first);
    Ok(())
}
