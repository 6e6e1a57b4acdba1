//! Watching changes nothing, and what is not finite is not applied. What watching costs: `glassbox bench --watch`.

use calculus::optimizer::OptimizerKind;
use transformer::inspect::diagnose::health::Watch;
use transformer::{Corpus, ModelStep, Subject, Trainer, TrainingConfig};

fn config() -> TrainingConfig {
    TrainingConfig { bias: false, dropout: 0.2, batch: 8, ..tests::models::training() }
}

fn corpus(length: usize) -> Corpus {
    Corpus::text(tests::draw::below(3, 9000, 65), 0.1, length).expect("long enough")
}

#[test]
fn a_watched_step_is_the_same_step() {
    let config = config();
    let (corpus, model) = (corpus(16), config.model(65).expect("valid"));
    let trainer = || Trainer::<f32>::new(config.clone(), &model).expect("valid");
    let (mut plain, mut watched) = (trainer(), trainer());
    let mut watch = Watch::new(watched.model());
    for _ in 0..3 {
        let step = plain.step(&corpus).expect("in range");
        let (same, glance) =
            watch.step(&mut watched, &corpus, &mut ()).expect("in range").expect("whole");
        assert_eq!(step, same);
        assert!(glance.largest > 0.0 && !glance.largest_name.is_empty());
        assert!(glance.activations.len() == 2 && glance.gradients.iter().all(|g| *g > 0.0));
    }
    assert_eq!(plain.state(), watched.state());
}

/// What `--watch` sees while the step is replayed, against what the recording that shows every formula says.
#[test]
fn a_glance_sees_what_the_textbooks_recording_has() {
    glance_of(config());
    // A factor and a cap of their own.
    glance_of(TrainingConfig { score_scale: Some(0.1), score_cap: Some(20.0), ..config() });
}

fn glance_of(config: TrainingConfig) {
    let mut config = TrainingConfig {
        activation: transformer::Activation::Relu,
        dropout: 0.0,
        bias: true,
        ..config
    };
    config.clip = 0.0;
    let (corpus, model) = (corpus(16), config.model(65).expect("valid"));
    let mut trainer = Trainer::<f32>::new(config.clone(), &model).expect("valid");
    // Some attention that is sharp, and every third unit of the first block dead.
    for p in trainer.model().tape().parameter_list() {
        let weights = &mut trainer.model_mut().tape_mut().parameters_mut()[p.range.clone()];
        match p.name.as_str() {
            "block.1.attention.qkv.weight" => weights.iter_mut().for_each(|w| *w *= 40.0),
            "block.0.feed_forward.expanded.bias" => {
                weights.iter_mut().step_by(3).for_each(|b| *b = -100.0);
            }
            _ => {}
        }
    }
    let before = trainer.model().tape().parameters().to_vec();
    let mut watch = Watch::new(trainer.model());
    let (_, glance) = watch.step(&mut trainer, &corpus, &mut ()).expect("in range").expect("whole");

    let step = ModelStep::of_run(&config, &model, &corpus);
    let mut full = step.record_in_full::<f32>().expect("valid");
    full.set_parameters(&before);
    full.give(&step.batch(0));
    full.step();
    for i in 0..2 {
        let weights = full.tape.find(&format!("block.{i}.attention.weights")).expect("weights");
        // Keys × (heads of sequences, 16 queries each): the last query of each.
        let columns = full.tape.elements(weights).chunks(16);
        let last: Vec<&[f32]> = columns.skip(15).step_by(16).collect();
        assert_eq!(last.len(), 8 * 2);
        let nats = |p: &[f32]| -> f64 {
            p.iter().filter(|p| **p > 0.0).map(|&p| -f64::from(p) * f64::from(p).ln()).sum()
        };
        let entropy = last.iter().map(|p| nats(p)).sum::<f64>() / 16.0 / 16.0_f64.ln();
        let sharp = last.iter().filter(|p| p.iter().any(|p| *p > 0.99)).count() as f64 / 16.0;
        // Scores of size 100 in f32 are good to 10⁻⁵, and exponentials of them relatively so.
        let error = (glance.attention_entropy[i] - entropy).abs();
        assert!(error < 1e-4, "{} is not {entropy}", glance.attention_entropy[i]);
        assert_eq!(glance.saturated[i], sharp);
        // Scores before the mask, keys × the same columns: a last query sees every key.
        let scores = full.tape.operands(weights)[0];
        let columns = full.tape.elements(scores).chunks(16);
        let largest = columns.skip(15).step_by(16).flatten().fold(0.0, |m: f32, s| m.max(s.abs()));
        let error = (glance.largest_scores[i] / f64::from(largest) - 1.0).abs();
        assert!(error < 1e-5, "{} is not {largest}", glance.largest_scores[i]);
        let units = full.tape.find(&format!("block.{i}.feed_forward.expanded")).expect("units");
        let rows = full.tape.shape(units).rows;
        let gradient = full.tape.gradient_elements(units);
        let dead = |r: &usize| gradient.iter().skip(*r).step_by(rows).all(|g| *g == 0.0);
        let share = (0..rows).filter(dead).count() as f64 / rows as f64;
        assert_eq!(glance.dead[i], share);
    }
    assert!(glance.dead[0] > 0.33 && glance.dead[1] < 0.1, "{:?}", glance.dead);
    assert!(glance.attention_entropy[1] < glance.attention_entropy[0]);
    let after = trainer.model().tape().parameters();
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let ratio = |range: std::ops::Range<usize>| {
        let both = before[range.clone()].iter().zip(&after[range.clone()]);
        let moved = norm(&mut both.map(|(b, a)| f64::from(a - b)));
        moved / norm(&mut before[range].iter().map(|&b| f64::from(b)))
    };
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} is not {b}");
    near(glance.update_ratio, ratio(0..after.len()));
    let list = trainer.model().tape().parameter_list();
    for (i, found) in glance.update_ratios.iter().enumerate() {
        let own = list.iter().filter(|p| p.name.starts_with(&format!("block.{i}.")));
        let ends = own.map(|p| (p.range.start, p.range.end));
        let (start, end) = ends.fold((usize::MAX, 0), |(s, e), (a, b)| (s.min(a), e.max(b)));
        near(*found, ratio(start..end));
    }
}

/// Loss and gradients are finite, the update is not: nothing of it is kept, to the bit.
#[test]
fn an_update_that_overflows_changes_nothing() {
    for (optimizer, momentum, rate) in
        [(OptimizerKind::Adam, 0.0, 1e38), (OptimizerKind::Sgd, 0.9, 1e39)]
    {
        let calm = TrainingConfig { optimizer, momentum, ..config() };
        let (corpus, model) = (corpus(16), calm.model(65).expect("valid"));
        let mut trainer = Trainer::<f32>::new(calm.clone(), &model).expect("valid");
        for _ in 0..2 {
            assert!(trainer.step(&corpus).expect("in range").applied);
        }
        // The same state under a rate that no f32 bears.
        let fast = TrainingConfig { learning_rate: rate, weight_decay: 0.0, ..calm };
        let mut fast = Trainer::<f32>::new(fast, &model).expect("valid");
        for ((_, to), (_, from)) in fast.state().into_iter().zip(trainer.state()) {
            to.copy_from_slice(from);
        }
        fast.set_steps(2);
        let step = fast.step(&corpus).expect("in range");
        assert!(step.loss.is_finite() && step.gradient_norm.is_finite(), "{step:?}");
        assert!(!step.applied && step.number == 3 && fast.steps() == 2);
        let (mut kept, mut before) = (fast.state(), trainer.state());
        for ((name, a), (_, b)) in kept.iter_mut().zip(before.iter_mut()) {
            let same = a.iter().zip(b.iter()).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{optimizer:?}: {name} was changed");
        }
    }
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let config = config();
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
    assert!(!step.applied);
    let after: Vec<Vec<f32>> = trainer.state().into_iter().map(|(_, x)| x.to_vec()).collect();
    assert_eq!(before, after);
    assert_eq!((step.number, trainer.steps()), (2, 1));
}
