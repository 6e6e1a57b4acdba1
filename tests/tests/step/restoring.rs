//! What brings a run back: a refused update changes nothing, a saved state holds everything.

use calculus::optimizer::OptimizerKind;
use std::path::PathBuf;
use tests::{draw, models};
use transformer::disk::checkpoint;
use transformer::{Corpus, Trainer, TrainingConfig};

fn corpus() -> Corpus {
    Corpus::text(draw::below(1, 900, 7), 0.1, 16).unwrap()
}

/// AdamW, and gradient descent with momentum.
fn rules() -> [TrainingConfig; 2] {
    let small = TrainingConfig {
        layers: 1,
        width: 8,
        dropout: 0.2,
        weight_decay: 0.0,
        clip: 0.0,
        ..models::training()
    };
    let descent = TrainingConfig { optimizer: OptimizerKind::Sgd, momentum: 0.9, ..small.clone() };
    [small, descent]
}

fn trainer(config: &TrainingConfig) -> Trainer<f32> {
    Trainer::new(config.clone(), &config.model(7).unwrap()).unwrap()
}

/// Everything that a run goes on from, bit by bit.
fn bits(trainer: &mut Trainer<f32>) -> (u64, Vec<(&'static str, Vec<u32>)>) {
    let steps = trainer.steps();
    let bits = |x: &mut [f32]| x.iter().map(|x| x.to_bits()).collect();
    (steps, trainer.state().into_iter().map(|(name, x)| (name, bits(x))).collect())
}

fn copy(from: &mut Trainer<f32>, to: &mut Trainer<f32>) {
    for ((name, own), (other, theirs)) in to.state().into_iter().zip(from.state()) {
        assert_eq!(name, other);
        own.copy_from_slice(theirs);
    }
    to.set_steps(from.steps());
}

#[test]
fn a_refused_update_changes_nothing() {
    let corpus = corpus();
    for config in rules() {
        let mut sound = trainer(&config);
        (0..3).for_each(|_| assert!(sound.step(&corpus).unwrap().applied));
        // The same state under a rate that overflows: of gradient descent, one parameter alone, whose velocity is 10.
        let far = TrainingConfig { learning_rate: 3e38, min_learning_rate: 0.0, ..config.clone() };
        let mut wild = trainer(&far);
        copy(&mut sound, &mut wild);
        for (name, x) in wild.state() {
            if name == "velocity" {
                x[5] = 10.0;
            }
        }
        let before = bits(&mut wild);
        for _ in 0..3 {
            let step = wild.step(&corpus).unwrap();
            assert!(!step.applied && step.number == 4 && step.loss.is_finite());
            assert!(bits(&mut wild) == before, "{:?} after a refused update", config.optimizer);
        }
        // With its old rate it goes on as if nothing had been tried.
        let (mut one, mut other) = (trainer(&config), trainer(&config));
        let mut never = trainer(&far);
        copy(&mut sound, &mut never);
        for (name, x) in never.state() {
            if name == "velocity" {
                x[5] = 10.0;
            }
        }
        copy(&mut wild, &mut one);
        copy(&mut never, &mut other);
        (0..2).for_each(|_| assert_eq!(one.step(&corpus).unwrap(), other.step(&corpus).unwrap()));
        assert!(bits(&mut one) == bits(&mut other));
    }
}

#[test]
fn a_loss_or_gradient_that_is_none_changes_nothing() {
    let corpus = corpus();
    for config in rules() {
        for value in [f32::NAN, f32::INFINITY, 1e30] {
            let mut broken = trainer(&config);
            (0..2).for_each(|_| assert!(broken.step(&corpus).unwrap().applied));
            // The map of the first block's attention: every gradient depends on it.
            let list = broken.model().tape().parameter_list();
            let at =
                list.iter().find(|p| p.name.ends_with("projection.weight")).unwrap().range.start;
            broken.state()[0].1[at..at + 8].fill(value);
            let before = bits(&mut broken);
            let step = broken.step(&corpus).unwrap();
            // A large number is no fault: the norm after it brings it back to size.
            let sound = step.loss.is_finite() && step.gradient_norm.is_finite();
            assert_eq!(step.applied, sound, "{value}");
            assert_eq!(bits(&mut broken) == before, !step.applied, "{value}");
            assert!(value.is_finite() || !step.applied, "{value}");
        }
    }
}

struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_state_brings_everything_back() {
    let corpus = corpus();
    for &optimizer in OptimizerKind::ALL {
        let config = TrainingConfig { optimizer, momentum: 0.9, ..rules()[0].clone() };
        let path = std::env::temp_dir().join(format!(
            "restoring-{:?}-{}",
            config.optimizer,
            std::process::id()
        ));
        let file = File(path);
        let mut first = trainer(&config);
        (0..3).for_each(|_| assert!(first.step(&corpus).unwrap().applied));
        checkpoint::save(&file.0, &mut first, "text").unwrap();
        let saved = bits(&mut first);
        assert!(saved.1[0].0 == "parameters" && saved.1.len() > 1, "{optimizer}");
        // Nothing of what is remembered is 0 after three steps, nor the same as something else.
        for (i, (name, own)) in saved.1.iter().enumerate() {
            let some = own.iter().filter(|b| f32::from_bits(**b) != 0.0).count();
            // Hidden matrices have no second moment if they are orthogonalised.
            let partly = optimizer.by_matrix() && *name == "second_moment";
            assert!(2 * some > own.len() || partly && some > 0, "{optimizer}: {name}");
            assert!(saved.1[..i].iter().all(|(_, other)| other != own));
        }
        let mut second = trainer(&config);
        // What it did before does not matter.
        assert!(second.step(&corpus).unwrap().applied);
        checkpoint::load(&file.0, &mut second, "text").unwrap();
        assert!(bits(&mut second) == saved);
        // And without a trainer.
        let list = first.model().tape().parameter_list();
        let (own, _) = checkpoint::parameters::<f32>(&file.0, &list).unwrap();
        assert_eq!(own, first.model().tape().parameters());
        let (steps, memory) = checkpoint::remembered::<f32>(&file.0, &config, own.len()).unwrap();
        let memory = memory.into_iter().map(|(n, x)| (n, x.iter().map(|x| x.to_bits()).collect()));
        assert_eq!((steps, memory.collect::<Vec<_>>()), (3, saved.1[1..].to_vec()));
        for _ in 0..3 {
            assert_eq!(first.step(&corpus).unwrap(), second.step(&corpus).unwrap());
        }
        assert!(bits(&mut first) == bits(&mut second));
    }
}
