//! No false alarm: twenty healthy runs of GPT-2's parts, of different sizes and seeds, and twenty runs over all families
//! pass every certificate, `diagnose` finds nothing, and health is usual.

use calculus::optimizer::OptimizerKind;
use tests::models::training;
use tests::readme::stated;
use transformer::Activation;
use transformer::inspect::check;
use transformer::inspect::diagnose::{Recipe, State, examination};
use transformer::model::family;
use transformer::text::stories;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Architecture, Corpus, ModelStep, ScheduleKind, TrainingConfig};

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

/// Certificates that fail, a cause, and unusual measures of a run. Prints the run in a line.
fn alarms(
    run: &str,
    config: &TrainingConfig,
    model: &Architecture,
    corpus: &Corpus,
) -> Vec<String> {
    let mut alarms = vec![];
    let certificates = check::model(config, model, None, corpus).expect("valid sizes");
    for c in certificates.iter().filter(|c| c.verdict == check::Verdict::Fail) {
        let (group, name, measured, limits) = (c.group, c.name, c.measured, c.limits);
        alarms.push(format!("{run}: {group} {name}: {measured} {limits:?} {}", c.detail));
    }
    // As the verb does it.
    let start = State::start(model.initial_parameters(config.seed).expect("valid sizes"));
    let step = ModelStep::of_run(config, model, corpus);
    let recipe = Recipe::of_run(config);
    let found = examination(&step, &start, &recipe, 25, |_| {}).expect("valid sizes");
    let (found, health) = (found.diagnosis, found.health);
    if let Some((cause, why)) = &found.cause {
        alarms.push(format!("{run}: {cause}: {why}"));
    }
    let Some(health) = health else { return alarms };
    for m in health.measures.iter().filter(|m| !m.is_usual()) {
        let (name, place) = (m.name, &m.place);
        alarms.push(format!("{run}: {name} {place}: {:.3e}, not {:?}", m.value, m.band));
    }
    println!(
        "{run}: {} layers, width {}, loss {:.3} to {:.3}, noise scale {:.1} batches, {} certificates",
        config.layers,
        config.width,
        found.history[0].loss,
        found.history.last().map_or(f64::NAN, |t| t.loss),
        health.noise_scale,
        certificates.len()
    );
    alarms
}

#[test]
fn twenty_healthy_runs_without_a_false_alarm() {
    let mut all = vec![];
    for i in 0..stated("accuses | none of ") {
        let config = config(i);
        let (corpus, vocabulary) = corpus(config.context);
        let model = config.model(vocabulary).expect("valid sizes");
        all.extend(alarms(&format!("run {i}"), &config, &model, &corpus));
    }
    assert!(all.is_empty(), "{} false alarms:\n{}", all.len(), all.join("\n"));
}

/// Settings of run number i over the families: sizes, rate and schedule of a run of AdamW.
fn family_config(i: usize, family: &str) -> TrainingConfig {
    let kinds = [
        ScheduleKind::Cosine,
        ScheduleKind::Constant,
        ScheduleKind::Linear,
        ScheduleKind::WarmupStableDecay,
        ScheduleKind::Step,
    ];
    let (heads, width) = [(2, 16), (4, 32), (1, 24), (2, 32), (2, 48)][i / 2 % 5];
    let config = TrainingConfig {
        layers: [2, 3, 1][i % 3],
        heads,
        width,
        context: [8, 12, 16][i / 4 % 3],
        batch: [2, 4, 8][i / 3 % 3],
        accumulate: 1 + i % 4 / 3,
        schedule: kinds[i % 5],
        learning_rate: [1e-3, 3e-3][i / 5 % 2],
        min_learning_rate: 1e-4,
        warmup: [10, 0][i % 2],
        beta2: [0.99, 0.95][i % 2],
        clip: [1.0, 0.0][i / 2 % 2],
        // Mistakes of `check` were found and mended at seeds from 700,000, 5,000,000 on; nothing was set while looking at these.
        seed: 910_000_000 + 137 * i as u64,
        ..training()
    };
    let divisor = family::usual(family).expect("a family").logit_divisor;
    match family {
        // Norms after the sums need their paper's warm-up. Source: Xiong et al., On Layer Normalization in the Transformer
        // Architecture, 2020.
        "transformer2017" => TrainingConfig {
            schedule: ScheduleKind::Linear,
            learning_rate: 1e-3,
            warmup: 40,
            ..config
        },
        // A logit that is divided by 8 moves an eighth as far in a step.
        _ => TrainingConfig { learning_rate: config.learning_rate * divisor, ..config },
    }
}

/// A model of a family at a run's sizes; heads share keys where published ones do, and are wider than width/heads where
/// published ones are.
fn family_model(name: &str, config: &TrainingConfig, vocabulary: usize) -> Architecture {
    let published = family::usual(name).expect("a family");
    let shares = published.key_value_heads() < published.heads && config.heads > 1;
    let wide = published.head_width() * published.heads > published.width;
    let sizes = Architecture {
        vocabulary,
        context: config.context,
        width: config.width,
        layers: config.layers,
        heads: config.heads,
        key_value_heads: shares.then_some(config.heads / 2),
        head_width: wide.then_some(16),
        hidden: 2 * config.width,
        ..Architecture::default()
    };
    tests::models::family(name, &sizes)
}

#[test]
fn twenty_healthy_runs_over_families_without_a_false_alarm() {
    let families: Vec<_> = family::architectures().filter(|name| *name != "glassbox").collect();
    assert_eq!(families.len(), stated("healthy runs over all "));
    let mut all = vec![];
    for i in 0..stated("sizes and schedules) that `check` or `diagnose` accuses | none of ") {
        let name = families[i % families.len()];
        let config = family_config(i, name);
        let (corpus, vocabulary) = corpus(config.context);
        let model = family_model(name, &config, vocabulary);
        all.extend(alarms(&format!("run {i}, {name}"), &config, &model, &corpus));
    }
    assert!(all.is_empty(), "{} false alarms:\n{}", all.len(), all.join("\n"));
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
