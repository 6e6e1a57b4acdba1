//! Trains a small model on a text and writes it to a directory that Hugging Face transformers opens.
//!
//! `cargo run --release -p glassbox-transformer --example 01_train -- FILE DIRECTORY`; without arguments: the embedded
//! stories, and nothing is written.

use std::error::Error;
use std::path::Path;
use transformer::disk::files;
use transformer::text::{stories, tokenizer::Tokenizer};
use transformer::{Corpus, Trainer, TrainingConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = match arguments.first() {
        Some(file) => std::fs::read_to_string(file)?,
        None => {
            let grammar = stories::grammar();
            (0..500).map(|i| stories::story(&grammar, 0, i)).collect()
        }
    };
    let tokenizer = Tokenizer::characters_of(&text);
    let config = TrainingConfig {
        layers: 2,
        width: 32,
        context: 32,
        steps: 400,
        learning_rate: 1e-2,
        ..TrainingConfig::default()
    };
    let corpus = Corpus::text(tokenizer.encode(&text)?, 0.1, config.context)?;
    let model = config.model(tokenizer.vocabulary())?;
    println!("{} characters, {} parameters", text.chars().count(), model.parameters());

    let mut trainer = Trainer::<f32>::new(config.clone(), &model)?;
    for _ in 0..config.steps {
        let step = trainer.step(&corpus)?;
        if step.number % 50 == 0 {
            println!("step {:3}: {:.4} nats per character", step.number, step.loss);
        }
    }
    println!("text that is held back: {:.4}", trainer.evaluate(&corpus)?.loss);
    if let Some(directory) = arguments.get(1).map(Path::new) {
        files::write(directory, &model, trainer.model().tape().parameters())?;
        files::write_tokenizer(directory, &tokenizer)?;
    }
    Ok(())
}
