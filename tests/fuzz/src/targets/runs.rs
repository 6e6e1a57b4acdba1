//! Text files of a run.

use super::{Scratch, accepted, refused};
use transformer::Activation;
use transformer::disk::{Lock, Metric, Run, metrics_file};
use transformer::{Architecture, OptimizerKind, ScheduleKind, TokenizerChoice, TrainingConfig};

/// The settings of the smallest run.
pub(super) fn tiny() -> TrainingConfig {
    TrainingConfig {
        layers: 1,
        heads: 2,
        width: 4,
        context: 4,
        activation: Activation::GeluTanh,
        bias: true,
        batch: 2,
        steps: 10,
        learning_rate: 1e-2,
        warmup: 2,
        seed: 1,
        eval_every: 0,
        ..TrainingConfig::default()
    }
}

/// `run.toml`.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let config: TrainingConfig = match toml::from_str(&text) {
        Ok(config) => config,
        // It quotes the line, whose characters the program escapes.
        Err(error) => return refused(error.message().escape_debug()),
    };
    let written = toml::to_string(&config).expect("what was read can be written");
    assert_eq!(toml::from_str::<TrainingConfig>(&written).as_ref(), Ok(&config));
    if let Err(error) = config.validate() {
        return refused(error);
    }
    if let Err(error) = config.model(65) {
        return refused(error);
    }
    accepted("settings");
    let (schedule, rate) = (config.schedule(), config.learning_rate);
    for step in [0, config.warmup, config.steps / 2, config.steps - 1, config.steps, u64::MAX] {
        let now = schedule.rate(step);
        // A product and a sum of numbers at most as large as the rate.
        assert!(
            (0.0..=rate * (1.0 + 4.0 * f64::EPSILON)).contains(&now),
            "{config:?}: {now} at step {step}"
        );
    }
    assert!(config.evaluated_tokens(true) >= config.evaluated_tokens(false));
    let model = Architecture {
        vocabulary: 3,
        context: 1,
        width: 1,
        heads: 1,
        layers: 0,
        hidden: 1,
        ..Default::default()
    };
    let Ok(list) = model.parameter_list() else { return };
    let count = list.last().map_or(0, |p| p.range.end);
    config.rule().build::<f32>(&list).step(rate, &mut vec![1.0; count], &vec![0.5; count]);
}

/// The smallest run, and one of which every setting is another.
pub fn settings_seeds() -> Vec<Vec<u8>> {
    let other = TrainingConfig {
        data: Some(vec!["a \"b\".txt".to_owned()]),
        field: Some("body".to_owned()),
        tokenizer: TokenizerChoice::Bytes,
        activation: Activation::Relu,
        bias: false,
        dropout: 0.5,
        optimizer: OptimizerKind::Sgd,
        momentum: 0.9,
        schedule: ScheduleKind::Linear,
        eval_every: 5,
        ..tiny()
    };
    let written = |config| toml::to_string(&config).expect("settings").into_bytes();
    vec![written(tiny()), written(other)]
}

/// A byte is the state's step; the rest is `metrics.jsonl`.
pub fn metrics(data: &[u8]) {
    thread_local! {
        static SCRATCH: Scratch = Scratch::new();
    }
    let Some((&step, file)) = data.split_first() else { return };
    let step = u64::from(step);
    SCRATCH.with(|scratch| {
        let directory = scratch.path("");
        let path = metrics_file(&directory);
        std::fs::write(&path, file).expect("a temporary file");
        let reopen = |step| {
            let lock = Lock::claim(&directory).expect("nobody else's");
            Run::reopen(&directory, lock, &tiny(), step)
                .expect("metrics are no reason not to go on")
        };
        let (run, first) = reopen(step);
        drop(run);
        let kept = std::fs::read(&path).expect("metrics");
        assert!(first.metrics.iter().all(|metric| metric.step <= step));
        for metric in &first.metrics {
            let line = serde_json::to_string(metric).expect("a line");
            assert_eq!(&serde_json::from_str::<Metric>(&line).expect("what was written"), metric);
        }
        // What is kept is kept again, and the next line is one of its own.
        let (mut run, again) = reopen(step);
        assert_eq!(
            (&again.metrics, again.dropped, again.missing),
            (&first.metrics, 0, first.missing)
        );
        assert_eq!(std::fs::read(&path).expect("metrics"), kept);
        run.log(&line(step + 1)).expect("a line");
        drop(run);
        let (_, more) = reopen(step + 1);
        assert_eq!(more.metrics.split_last(), Some((&line(step + 1), &first.metrics[..])));
        accepted(if first.damaged.is_empty() { "whole" } else { "damaged" });
    });
}

fn line(step: u64) -> Metric {
    Metric {
        step,
        loss: Some(0.1 * step as f64),
        validation_loss: None,
        answers: None,
        preferred: None,
        teacher_divergence: None,
        learning_rate: 1e-3,
        gradient_norm: None,
        tokens_per_second: 7.5,
        seconds: None,
        noise_scale: None,
        health: None,
    }
}

/// Whole, cut off, damaged, of more steps than the state has.
pub fn metrics_seeds() -> Vec<Vec<u8>> {
    let lines: Vec<String> =
        (1..6).map(|step| serde_json::to_string(&line(step)).expect("a line") + "\n").collect();
    let seed = |step: u8, text: String| [&[step], text.as_bytes()].concat();
    let cut = lines.concat();
    let cut = cut[..cut.len() - 9].to_owned();
    let damaged = [&lines[0], "{\"step\": \n", &lines[2], "\n", &lines[3]].concat();
    vec![
        seed(5, lines.concat()),
        seed(4, cut),
        seed(4, damaged),
        seed(2, lines.concat()),
        seed(9, String::new()),
    ]
}
