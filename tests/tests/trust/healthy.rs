//! No false alarm: twenty healthy runs of different sizes and seeds pass every certificate, and `diagnose`
//! finds nothing.

use calculus::optimizer::OptimizerKind;
use tests::models::training;
use tests::readme::stated;
use transformer::Activation;
use transformer::inspect::check;
use transformer::inspect::diagnose::{Recipe, State, examination};
use transformer::text::stories;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, ModelStep, ScheduleKind, TrainingConfig};

/// Settings of run number i.
fn config(i: usize) -> TrainingConfig {
    let activations = [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu];
    let descends = i % 5 == 4;
    TrainingConfig {
        layers: 1 + i % 3,
        heads: [1, 2, 4][i / 3 % 3],
        width: [16, 24, 32, 48][i % 4],
        context: [8, 12, 16][i % 3],
        activation: activations[i / 2 % 4],
        bias: i.is_multiple_of(2),
        tied: i % 3 != 1,
        dropout: if i % 7 == 3 { 0.1 } else { 0.0 },
        batch: [2, 4, 8][i / 2 % 3],
        accumulate: 1 + i % 4 / 3,
        optimizer: if descends { OptimizerKind::Sgd } else { OptimizerKind::Adam },
        momentum: if i == 9 { 0.5 } else { 0.0 },
        schedule: [ScheduleKind::Cosine, ScheduleKind::Constant][i % 2],
        learning_rate: if descends { 0.1 } else { [1e-3, 3e-3][i % 2] },
        min_learning_rate: 1e-4,
        warmup: [0, 10][i % 2],
        beta2: [0.99, 0.95][i % 2],
        clip: [1.0, 0.0][i / 2 % 2],
        // Bands were set while looking at seeds 0 to 19, and one, of the rate over the limit of stability, at seeds
        // 1000 + 37·i. None was set while looking at these.
        seed: 500_000 + 101 * i as u64,
        ..training()
    }
}

fn corpus(length: usize) -> (Corpus, usize) {
    let grammar = stories::grammar();
    let text: String = (0..300).map(|i| stories::story(&grammar, 0, i)).collect();
    let tokenizer = Tokenizer::characters_of(&text);
    let tokens = tokenizer.encode(&text).expect("its own characters");
    (Corpus::text(tokens, 0.1, length).expect("long enough"), tokenizer.vocabulary())
}

#[test]
fn twenty_healthy_runs_without_a_false_alarm() {
    let mut alarms = vec![];
    for i in 0..stated("accuses | none of ") {
        let config = config(i);
        let (corpus, vocabulary) = corpus(config.context);
        let model = config.model(vocabulary).expect("valid sizes");
        let certificates = check::model(&config, &model, None, &corpus).expect("valid sizes");
        for c in certificates.iter().filter(|c| c.verdict == check::Verdict::Fail) {
            alarms.push(format!(
                "run {i}: {} {}: {} {:?} {}",
                c.group, c.name, c.measured, c.limits, c.detail
            ));
        }
        // As the verb does it.
        let start = State::start(model.initial_parameters(config.seed).expect("valid sizes"));
        let step = ModelStep::of_run(&config, &model, &corpus);
        let recipe = Recipe::of_run(&config);
        let found = examination(&step, &start, &recipe, 25, |_| {}).expect("valid sizes");
        let (found, health) = (found.diagnosis, found.health);
        if let Some((cause, why)) = &found.cause {
            alarms.push(format!("run {i}: {cause}: {why}"));
        }
        let Some(health) = health else { continue };
        for m in health.measures.iter().filter(|m| !m.is_usual()) {
            let (name, place) = (m.name, &m.place);
            alarms.push(format!("run {i}: {name} {place}: {:.3e}, not {:?}", m.value, m.band));
        }
        let losses = (found.history[0].loss, found.history.last().map_or(f64::NAN, |t| t.loss));
        println!(
            "run {i:>2}: {} layers, width {}, loss {:.3} to {:.3}, noise scale {:.1} batches, {} certificates",
            config.layers,
            config.width,
            losses.0,
            losses.1,
            health.noise_scale,
            certificates.len()
        );
    }
    assert!(alarms.is_empty(), "{} false alarms:\n{}", alarms.len(), alarms.join("\n"));
}

#[test]
fn a_trained_model_is_not_asked_how_it_starts() {
    let config = config(0);
    let (corpus, vocabulary) = corpus(config.context);
    let model = config.model(vocabulary).expect("valid sizes");
    let mut trainer =
        transformer::Trainer::<f32>::new(config.clone(), &model).expect("valid sizes");
    for _ in 0..5 {
        trainer.step(&corpus).expect("tokens in range");
    }
    let parameters = trainer.model().tape().parameters().to_vec();
    let certificates =
        check::model(&config, &model, Some(&parameters), &corpus).expect("valid sizes");
    assert!(check::passed(&certificates));
    let start = certificates.iter().filter(|c| c.group == "start");
    assert!(start.clone().count() == 4);
    assert!(start.into_iter().all(|c| c.verdict == check::Verdict::NotApplicable));
}
