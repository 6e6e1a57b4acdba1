//! A loss that becomes NaN: the operation that made the first one, why, and a change that was tried and helps.
//!
//! `cargo run --release -p glassbox-transformer --example 05_a_loss_of_nan`

use calculus::optimizer::OptimizerKind;
use std::error::Error;
use transformer::inspect::diagnose::{Recipe, State, diagnose};
use transformer::text::{stories, tokenizer::Tokenizer};
use transformer::{Corpus, ModelStep, Preset, ScheduleKind, Trainer, TrainingConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let grammar = stories::grammar();
    let text: String = (0..50).map(|i| stories::story(&grammar, 0, i)).collect();
    let tokenizer = Tokenizer::characters_of(&text);
    let config = TrainingConfig {
        layers: 2,
        heads: 2,
        width: 32,
        context: 32,
        batch: 4,
        optimizer: OptimizerKind::Sgd,
        schedule: ScheduleKind::Constant,
        learning_rate: 1e30,
        clip: 0.0,
        ..Preset::Story.config()
    };
    let corpus = Corpus::text(tokenizer.encode(&text)?, 0.1, config.context)?;
    let model = config.model(tokenizer.vocabulary())?;
    let mut trainer = Trainer::<f32>::new(config.clone(), &model)?;
    let start = State::start(trainer.model().tape().parameters().to_vec());
    let failed = loop {
        let step = trainer.step(&corpus)?;
        println!("step {}: loss {}", step.number, step.loss);
        if !step.applied {
            break step.number;
        }
    };

    let step = ModelStep::of_run(&config, &model, &corpus);
    let found = diagnose(&step, &start, &Recipe::of_run(&config), failed)?;
    if let Some(origin) = found.origin {
        println!("origin: {origin}");
    }
    if let Some((cause, evidence)) = found.cause {
        println!("cause:  {cause}: {evidence}");
    }
    for trial in found.trials {
        println!("fix:    {trial}");
    }
    Ok(())
}
