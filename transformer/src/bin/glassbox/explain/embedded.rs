//! The model that is explained if none is given: trained for some seconds on the embedded stories.

use super::{Model, beginning};
use crate::settings::Settings;
use crate::source::Source;
use crate::{Result, remark};
use transformer::inspect::explain::{Descent, Subject};
use transformer::text::tokenizer::Tokenizer;
use transformer::{Tokens, Trainer};

/// The number of updates of the embedded model, which take a few seconds.
const STEPS: u64 = 400;

/// Trains a small model on the embedded stories.
pub(super) fn embedded() -> Result<Model> {
    let settings = Settings {
        layers: Some(2),
        heads: Some(2),
        width: Some(32),
        context: Some(32),
        batch: Some(16),
        steps: Some(STEPS),
        learning_rate: Some(4e-3),
        ..Settings::default()
    };
    let mut config = settings.complete()?;
    config.warmup = STEPS / 10;
    let source = Source::load(&config, None, None)?;
    let model = config.model(source.tokenizer.vocabulary())?;
    let mut trainer = Trainer::<f32>::new(config.clone(), &model)?;
    remark(format!("training a small model on the embedded stories, {STEPS} steps …"));
    // Stop before the schedule's end, while steps still change the model.
    while trainer.steps() < STEPS * 3 / 4 {
        trainer.step(&source.corpus)?;
    }
    let steps = trainer.steps();
    let state: Vec<_> = trainer.state().into_iter().map(|(n, x)| (n, x.to_vec())).collect();
    let tokens = beginning(&source, model.context);
    Ok(Model {
        subject: Subject {
            title: "A training step of a small transformer".to_owned(),
            names: names(Some(&source.tokenizer)),
            parameters: trainer.model().tape().parameters().to_vec(),
            config: model,
            tokens: Vec::new(),
            targets: Vec::new(),
            descent: Descent { state, ..Descent::of_run(&config, steps) },
            unigram: Some(frequencies(source.corpus.train(), source.tokenizer.vocabulary())),
            teacher: vec![],
            remarks: vec![format!(
                "The model was trained for {steps} steps on the embedded stories, just now; this is the \
                 next one. Explain your own: glassbox explain RUN --text \"…\"."
            )],
            seed: config.seed,
        },
        own: Some(tokens),
        tokenizer: Some(source.tokenizer),
        teacher: None,
    })
}

/// Counts each token's occurrences, plus one.
pub(super) fn frequencies(tokens: &Tokens, vocabulary: usize) -> Vec<f64> {
    let mut counts = vec![1.0; vocabulary];
    for token in tokens.chunks().flatten() {
        if let Some(count) = counts.get_mut(token as usize) {
            *count += 1.0;
        }
    }
    let total: f64 = counts.iter().sum();
    counts.into_iter().map(|c| c / total).collect()
}

/// Returns the names of the tokens.
pub(super) fn names(tokenizer: Option<&Tokenizer>) -> Vec<String> {
    tokenizer.map_or(Vec::new(), |t| (0..t.vocabulary() as u32).map(|i| t.name(i)).collect())
}
