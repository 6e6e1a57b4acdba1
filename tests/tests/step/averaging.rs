//! Averaged weights: training does not see them, evaluation and files see nothing else, and a state restores both.

use calculus::optimizer::OptimizerKind;
use tests::{draw, models};
use transformer::disk::checkpoint;
use transformer::inspect::check::{self, Verdict};
use transformer::{AVERAGED, Corpus, Evaluation, Trainer, TrainingConfig};

fn corpus() -> Corpus {
    Corpus::text(draw::below(1, 3000, 7), 0.1, 16).unwrap()
}

fn config(average: Option<f64>) -> TrainingConfig {
    let config = TrainingConfig { layers: 1, width: 8, average, ..models::training() };
    config.validate().unwrap();
    config
}

fn trainer(config: &TrainingConfig) -> Trainer<f32> {
    Trainer::new(config.clone(), &config.model(7).unwrap()).unwrap()
}

#[test]
fn training_does_not_see_the_average_and_evaluation_nothing_else() {
    let (corpus, beta) = (corpus(), 0.8);
    let (mut plain, mut averaged) = (trainer(&config(None)), trainer(&config(Some(beta))));
    assert!(plain.state().iter().all(|(name, _)| *name != AVERAGED));
    assert_eq!(plain.evaluated(), plain.model().tape().parameters());
    assert_eq!(averaged.evaluated(), averaged.model().tape().parameters(), "before the first step");
    let (mut sums, mut shares) = (vec![0.0_f64; plain.evaluated().len()], 0.0);
    for _ in 0..6 {
        assert_eq!(plain.step(&corpus).unwrap(), averaged.step(&corpus).unwrap());
        let weights = plain.model().tape().parameters();
        assert_eq!(weights, averaged.model().tape().parameters());
        sums.iter_mut().zip(weights).for_each(|(sum, &w)| *sum = beta * *sum + f64::from(w));
        shares = beta * shares + 1.0;
    }
    let largest = sums.iter().fold(0.0, |m: f64, s| m.max((s / shares).abs()));
    for (&found, sum) in averaged.evaluated().iter().zip(&sums) {
        let error = (f64::from(found) - sum / shares).abs();
        assert!(error <= 6.0 * 4.0 * f64::from(f32::EPSILON) * 2.0 * largest, "{found}: {error:e}");
    }
    // The evaluation is that of a model with these weights, and leaves the last step's where they were.
    let before = averaged.model().tape().parameters().to_vec();
    let found = averaged.evaluate(&corpus).unwrap();
    assert_eq!(averaged.model().tape().parameters(), before);
    let mean = averaged.evaluated().to_vec();
    assert_ne!(mean, before);
    let windows = corpus.validation_windows(16);
    plain.model_mut().copy_parameters(&mean);
    assert_eq!(Evaluation::of(plain.model_mut(), &windows).unwrap(), found);
    let sample = |t: &mut Trainer<f32>| {
        t.evaluate_sample(&corpus, 64, |_, _| std::ops::ControlFlow::Continue(())).unwrap()
    };
    assert_eq!(sample(&mut averaged), sample(&mut plain));
    // An interrupted evaluation leaves them too.
    let stop = |_, _| std::ops::ControlFlow::Break(());
    assert_eq!(averaged.evaluate_sample(&corpus, 64, stop).unwrap(), None);
    assert_eq!(
        (averaged.model().tape().parameters(), averaged.evaluated()),
        (&before[..], &mean[..])
    );
}

/// A state restores both, so that a resumed run has the same bits; without averages it is the same file as before.
#[test]
fn a_state_keeps_both() {
    let (corpus, place) = (corpus(), tempfile::tempdir().unwrap());
    for kind in [OptimizerKind::Adam, OptimizerKind::Muon] {
        let config = TrainingConfig { optimizer: kind, ..config(Some(0.9)) };
        let model = config.model(7).unwrap();
        let start = model.initial_parameters(config.seed).unwrap();
        let resumed = check::resume(&config, &model, &start, &corpus).unwrap();
        assert_eq!(resumed.verdict, Verdict::Pass, "{resumed:?}");
        let numbers = format!("numbers that differ, of {}", 4 * start.len());
        assert_eq!(resumed.detail, numbers, "weights, two moments, the average");
        let path = place.path().join(kind.key());
        let mut trainer = trainer(&config);
        (0..3).for_each(|_| assert!(trainer.step(&corpus).unwrap().applied));
        checkpoint::save(&path, &mut trainer, "text").unwrap();
        let list = trainer.model().tape().parameter_list();
        let (raw, _) = checkpoint::parameters::<f32>(&path, &list).unwrap();
        let (mean, _) = checkpoint::evaluated::<f32>(&path, &list).unwrap();
        assert_eq!(raw, trainer.model().tape().parameters());
        assert_eq!(mean, trainer.evaluated());
        assert_ne!(raw, mean);
        let (steps, memory) = checkpoint::remembered::<f32>(&path, &config, raw.len()).unwrap();
        let names: Vec<_> = memory.iter().map(|(name, _)| *name).collect();
        assert_eq!((steps, names), (3, vec!["first_moment", "second_moment"]));
        // A run without averages, or with others, does not resume from it.
        for average in [None, Some(0.5)] {
            let mut other = self::trainer(&TrainingConfig { average, ..config.clone() });
            let refused = checkpoint::load(&path, &mut other, "text").unwrap_err().to_string();
            assert!(refused.contains("average was 0.9"), "{refused}");
        }
    }
    let mut plain = trainer(&config(None));
    plain.step(&corpus).unwrap();
    let path = place.path().join("plain");
    checkpoint::save(&path, &mut plain, "text").unwrap();
    let list = plain.model().tape().parameter_list();
    let both = [
        checkpoint::parameters::<f32>(&path, &list).unwrap(),
        checkpoint::evaluated::<f32>(&path, &list).unwrap(),
    ];
    assert_eq!(both[0], both[1]);
    let written = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    assert!(!written.contains("average"), "no tensor and no setting");
}

/// Schedule-free descent takes gradients at its parameters, and evaluation and files see the mean of its iterates.
#[test]
fn a_mean_of_iterates_is_what_is_evaluated() {
    let (corpus, place) = (corpus(), tempfile::tempdir().unwrap());
    let config = TrainingConfig { optimizer: OptimizerKind::ScheduleFree, ..config(None) };
    let mut own = trainer(&config);
    assert_eq!(own.evaluated(), own.model().tape().parameters(), "before the first step");
    own.evaluate(&corpus).unwrap();
    (0..4).for_each(|_| assert!(own.step(&corpus).unwrap().applied));
    let before = own.model().tape().parameters().to_vec();
    let mean = own.evaluated().to_vec();
    assert_ne!(mean, before);
    let found = own.evaluate(&corpus).unwrap();
    assert_eq!((own.model().tape().parameters(), own.evaluated()), (&before[..], &mean[..]));
    let mut plain = trainer(&TrainingConfig { optimizer: OptimizerKind::Adam, ..config.clone() });
    plain.model_mut().copy_parameters(&mean);
    let windows = corpus.validation_windows(16);
    assert_eq!(Evaluation::of(plain.model_mut(), &windows).unwrap(), found);
    let model = config.model(7).unwrap();
    let start = model.initial_parameters(config.seed).unwrap();
    let resumed = check::resume(&config, &model, &start, &corpus).unwrap();
    assert_eq!(resumed.verdict, Verdict::Pass, "{resumed:?}");
    let path = place.path().join("state");
    checkpoint::save(&path, &mut own, "text").unwrap();
    let list = own.model().tape().parameter_list();
    assert_eq!(checkpoint::parameters::<f32>(&path, &list).unwrap().0, before);
    assert_eq!(checkpoint::evaluated::<f32>(&path, &list).unwrap().0, mean);
    let (_, memory) = checkpoint::remembered::<f32>(&path, &config, before.len()).unwrap();
    assert_eq!(memory[1].1, mean);
    let refused = TrainingConfig { average: Some(0.9), ..config }.validate().unwrap_err();
    assert!(refused.to_string().contains("schedule_free"), "{refused}");
}

#[test]
fn a_smoothing_outside_its_range_is_refused() {
    for average in [0.0, 1.0, -0.5, f64::NAN] {
        let config = TrainingConfig { average: Some(average), ..config(None) };
        let refused = config.validate().unwrap_err().to_string();
        assert!(refused.starts_with("average is ") && refused.contains("below 1"), "{refused}");
    }
}
