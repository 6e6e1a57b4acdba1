//! A model that is trained in a moment.

use std::error::Error;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, Trainer, TrainingConfig};

const TEXT: &str = "she sells sea shells by the sea shore; the shells she sells are sea shells; ";

/// A model of one block after 150 steps on one sentence, its tokenizer, and the sentence over and over.
pub(crate) fn trained() -> Result<(Trainer<f32>, Tokenizer, Corpus), Box<dyn Error>> {
    let text = TEXT.repeat(20);
    let tokenizer = Tokenizer::characters_of(&text);
    let config = TrainingConfig {
        layers: 1,
        width: 32,
        context: 32,
        steps: 150,
        learning_rate: 1e-2,
        warmup: 10,
        ..TrainingConfig::default()
    };
    let corpus = Corpus::text(tokenizer.encode(&text)?, 0.1, config.context)?;
    let model = config.model(tokenizer.vocabulary())?;
    let mut trainer = Trainer::new(config.clone(), &model)?;
    for _ in 0..config.steps {
        trainer.step(&corpus)?;
    }
    Ok((trainer, tokenizer, corpus))
}
