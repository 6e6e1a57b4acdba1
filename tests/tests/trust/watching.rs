//! Watching changes nothing, and what is not finite is not applied. What watching costs: `glassbox bench --watch`.

use transformer::health::Watch;
use transformer::{Corpus, OptimizerKind, ScheduleKind, TokenizerKind, Trainer, TrainingConfig};

fn config(width: usize, layers: usize, heads: usize, context: usize) -> TrainingConfig {
    TrainingConfig {
        data: None,
        tokenizer: TokenizerKind::Chars,
        layers,
        heads,
        width,
        context,
        activation: transformer::config::Activation::Gelu,
        bias: false,
        tied: true,
        dropout: 0.2,
        batch: 8,
        accumulate: 1,
        steps: 100,
        optimizer: OptimizerKind::AdamW,
        momentum: 0.0,
        schedule: ScheduleKind::Constant,
        learning_rate: 1e-3,
        min_learning_rate: 1e-4,
        warmup: 0,
        weight_decay: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        clip: 1.0,
        seed: 1,
        eval_every: 0,
    }
}

fn corpus(length: usize) -> Corpus {
    Corpus::text(tests::draw::below(3, 9000, 65), 0.1, length).expect("long enough")
}

#[test]
fn a_watched_step_is_the_same_step() {
    let config = config(32, 2, 2, 16);
    let (corpus, model) = (corpus(16), config.model(65).expect("valid"));
    let trainer = || Trainer::<f32>::new(config.clone(), &model).expect("valid");
    let (mut plain, mut watched) = (trainer(), trainer());
    let mut watch = Watch::new(watched.model().tape());
    for _ in 0..3 {
        let step = plain.step(&corpus).expect("in range");
        let (same, glance) = watch.step(&mut watched, &corpus).expect("in range");
        assert_eq!(step, same);
        assert!(glance.largest > 0.0 && !glance.largest_name.is_empty());
        assert!(glance.activations.len() == 2 && glance.gradients.iter().all(|g| *g > 0.0));
    }
    assert_eq!(plain.state(), watched.state());
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let config = config(32, 2, 2, 16);
    let (corpus, model) = (corpus(16), config.model(65).expect("valid"));
    let mut trainer = Trainer::<f32>::new(config, &model).expect("valid");
    trainer.step(&corpus).expect("in range");
    // Weights that are finite and give logits that are not.
    let n = trainer.model().tape().parameters().len();
    trainer.model_mut().tape_mut().parameters_mut()[n - 1] = 3e38;
    trainer.model_mut().tape_mut().parameters_mut()[0] = 3e38;
    let before: Vec<Vec<f32>> = trainer.state().into_iter().map(|(_, x)| x.to_vec()).collect();
    let step = trainer.step(&corpus).expect("in range");
    assert!(!step.loss.is_finite() || !step.gradient_norm.is_finite());
    let after: Vec<Vec<f32>> = trainer.state().into_iter().map(|(_, x)| x.to_vec()).collect();
    assert_eq!(before, after);
    assert_eq!((step.number, trainer.steps()), (2, 1));
}
