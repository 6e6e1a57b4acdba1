//! A training step: which windows, which mean, which rate, which rule.

use calculus::optimizer::OptimizerKind;
use calculus::{Parameter, matrices};
use linalg::{Real, Role, Shape};
use std::f64::consts::PI;
use tests::authority::table;
use tests::models::{self, distance};
use tests::{draw, tolerance};
use transformer::inspect::diagnose::{Course, Recipe, State};
use transformer::{Activation, Architecture, Biases, Norm, Positions, PositionsKind, Rotary};
use transformer::{Corpus, Evaluation, ModelStep, ScheduleKind, Step};
use transformer::{Subject, Trainer, TrainingConfig};

fn corpus(length: usize) -> Corpus {
    Corpus::text(draw::below(1, 9000, 7), 0.1, length).unwrap()
}

/// Plain gradient descent on a small model.
fn descent() -> TrainingConfig {
    TrainingConfig {
        layers: 1,
        width: 8,
        optimizer: OptimizerKind::Sgd,
        learning_rate: 0.1,
        clip: 0.0,
        weight_decay: 0.0,
        ..models::training()
    }
}

fn trainer<T: Real>(config: &TrainingConfig) -> Trainer<T> {
    config.validate().unwrap();
    Trainer::new(config.clone(), &config.model(7).unwrap()).unwrap()
}

/// One step: what it says, and the change of the parameters.
fn stepped(config: &TrainingConfig, first: u64, corpus: &Corpus) -> (Step, Vec<f64>) {
    let mut trainer = trainer::<f64>(config);
    trainer.set_steps(first);
    let before = trainer.model().tape().parameters().to_vec();
    let step = trainer.step(corpus).unwrap();
    let after = trainer.model().tape().parameters();
    (step, after.iter().zip(&before).map(|(a, b)| a - b).collect())
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// `Debug` of a model in training tells settings, names and shapes: a model of 1000 times the parameters prints as much,
/// up to the digits of its sizes.
#[test]
fn debug_does_not_print_the_parameters() {
    let said = |width| format!("{:?}", trainer::<f32>(&TrainingConfig { width, ..descent() }));
    let (small, large) = (said(8), said(256));
    assert!(small.contains("block.0.norm_1") && small.contains("width: 8"), "{small}");
    assert!(large.len() < small.len() + small.len() / 5, "{} and {}", small.len(), large.len());
}

/// 48 windows are one step, however they are cut into batches and into parts that are replayed at once.
#[test]
fn a_mean_over_tokens_does_not_depend_on_the_cut() {
    let corpus = corpus(64);
    let cut = |batch, accumulate| TrainingConfig { context: 64, batch, accumulate, ..descent() };
    assert_eq!([48, 24, 16, 1].map(|batch| cut(batch, 48 / batch).parts()), [3, 2, 1, 1]);
    for first in [0, 5] {
        let whole = stepped(&cut(16, 3), first, &corpus);
        for batch in [48, 24, 12, 8, 3, 1] {
            let (step, change) = stepped(&cut(batch, 48 / batch), first, &corpus);
            let error = distance(&whole.1, &change).max(distance(
                &[whole.0.loss, whole.0.gradient_norm],
                &[step.loss, step.gradient_norm],
            ));
            assert!(error <= tolerance::sum(48 * 64), "{batch} at once: {error:.1e}");
            assert_eq!(step.number, first + 1);
        }
    }
}

/// Several steps: gradients of one do not stay for the next.
#[test]
fn steps_do_not_leave_gradients_behind() {
    let corpus = corpus(16);
    let mut one = trainer::<f64>(&descent());
    (0..3).for_each(|_| assert!(one.step(&corpus).unwrap().applied));
    let mut fresh = trainer::<f64>(&descent());
    fresh.state()[0].1.copy_from_slice(one.model().tape().parameters());
    fresh.set_steps(3);
    assert_eq!(fresh.step(&corpus).unwrap(), one.step(&corpus).unwrap());
    assert_eq!(fresh.model().tape().parameters(), one.model().tape().parameters());
}

#[test]
fn a_step_of_descent_is_as_long_as_rate_and_clipped_gradient_say() {
    let corpus = corpus(16);
    let (plain, change) = stepped(&descent(), 0, &corpus);
    assert!(plain.gradient_norm > 0.01);
    assert!((norm(&change) / (0.1 * plain.gradient_norm) - 1.0).abs() < 1e-9);
    for clip in [1e-4, 1e-2, 1e3] {
        let (step, clipped) = stepped(&TrainingConfig { clip, ..descent() }, 0, &corpus);
        assert_eq!(step.gradient_norm, plain.gradient_norm, "the norm before clipping");
        let size = norm(&clipped) / 0.1;
        // PyTorch's 10⁻⁶ in the denominator.
        let expected = plain.gradient_norm * (clip / (plain.gradient_norm + 1e-6)).min(1.0);
        assert!((size / expected - 1.0).abs() < 1e-9, "clip {clip}: {size}, {expected}");
        let along: f64 = clipped.iter().zip(&change).map(|(a, b)| a * b).sum();
        assert!((along / norm(&clipped) / norm(&change) - 1.0).abs() < 1e-9, "the direction stays");
    }
}

/// The curves as their authors write them: warm-up of nanoGPT, half a cosine of SGDR, a line.
#[test]
fn a_step_takes_the_rate_of_its_schedule() {
    let (peak, least, warmup, steps) = (0.8, 0.2, 10_u64, 110_u64);
    let corpus = corpus(16);
    let (falls, every, factor) = (30, 40, 0.5);
    for &kind in ScheduleKind::ALL {
        let rates = TrainingConfig {
            learning_rate: peak,
            min_learning_rate: least,
            decay_steps: Some(falls),
            decay_every: Some(every),
            decay_factor: Some(factor),
            ..descent()
        };
        let config = TrainingConfig { schedule: kind, warmup, steps, ..rates };
        let expected = |t: u64| {
            let progress = (t as f64 - warmup as f64) / (steps - warmup) as f64;
            let share = match kind {
                ScheduleKind::Constant => return peak,
                ScheduleKind::Step => return peak * factor.powi((t / every) as i32),
                _ if t < warmup => return peak * (t + 1) as f64 / (warmup + 1) as f64,
                _ if t >= steps => 0.0,
                ScheduleKind::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
                ScheduleKind::Linear => 1.0 - progress,
                ScheduleKind::WarmupStableDecay => ((steps - t) as f64 / falls as f64).min(1.0),
                _ => panic!("a schedule without its curve: {kind:?}"),
            };
            least + share * (peak - least)
        };
        let schedule = config.schedule();
        for t in 0..130 {
            assert!((schedule.rate(t) - expected(t)).abs() < 1e-12, "{kind:?} at {t}");
        }
        for t in [0, 3, 9, 10, 60, 109] {
            let (step, change) = stepped(&config, t, &corpus);
            assert_eq!(step.learning_rate, schedule.rate(t));
            let size = norm(&change) / (step.learning_rate * step.gradient_norm);
            assert!((size - 1.0).abs() < 1e-9, "{kind:?} at {t}");
        }
    }
}

#[test]
fn optimisers_do_as_pytorch_does() {
    let mut rows = 0;
    for entry in table("transformer") {
        let [settings, start, gradients @ ..] = &entry.inputs[..] else { continue };
        let config = match entry.function.as_str() {
            "adamw" => TrainingConfig {
                optimizer: OptimizerKind::Adam,
                beta1: settings[1],
                beta2: settings[2],
                weight_decay: settings[3],
                momentum: 0.9,
                ..descent()
            },
            "sgd" => TrainingConfig { momentum: settings[1], weight_decay: 0.5, ..descent() },
            _ => continue,
        };
        // All three parameters decay.
        let (name, uses) = ("w".to_owned(), vec![(Role::Linear, 0)]);
        let list = [Parameter { name, shape: Shape::new(3, 1), range: 0..3, uses, output: false }];
        let mut rule = config.rule().build::<f64>(&list);
        let mut p = start.clone();
        gradients.iter().for_each(|g| rule.step(settings[0], &mut p, g));
        for (found, expected) in p.iter().zip(&entry.expected) {
            let error = (found - expected).abs();
            assert!(
                error <= tolerance::sum(40) * expected.abs(),
                "{}: {found}, {expected}",
                entry.source
            );
        }
        rows += 1;
    }
    assert_eq!(rows, 5);
}

/// What decays are weights of maps and tables; gains and biases do not: nanoGPT, after Brown et al. 2020.
#[test]
fn matrices_decay_and_vectors_do_not() {
    let gpt2 = |bias, tied| TrainingConfig { bias, tied, ..models::training() };
    for config in [gpt2(true, true), gpt2(false, false), llama()] {
        let mut trainer = trainer::<f64>(&config);
        let list = trainer.model().tape().parameter_list();
        let ranges = matrices(&list);
        for p in &list {
            let decays = !p.name.ends_with(".bias") && !p.name.contains("norm");
            assert_eq!(ranges.contains(&p.range), decays, "{}", p.name);
        }
        // A decay of 1/2 a step, of a rule that knows no gradient.
        let decay = TrainingConfig { weight_decay: 5.0, ..config };
        let parameters = trainer.state().remove(0).1;
        let mut moved = parameters.to_vec();
        let nothing = vec![0.0; moved.len()];
        decay.rule().build::<f64>(&list).step(0.1, &mut moved, &nothing);
        for (i, (after, before)) in moved.iter().zip(&*parameters).enumerate() {
            let decays = ranges.iter().any(|r| r.contains(&i));
            assert_eq!(*after, if decays { 0.5 * before } else { *before });
        }
    }
}

#[test]
fn a_runs_model_has_the_sizes_of_its_settings() {
    let epsilon =
        table("transformer").into_iter().find(|e| e.function == "absent layer_norm_epsilon");
    for (bias, tied, dropout) in [(true, false, 0.25), (false, true, 0.0), (true, true, 0.5)] {
        let sizes =
            TrainingConfig { layers: 3, heads: 5, width: 15, context: 9, ..models::training() };
        let config = TrainingConfig { bias, tied, dropout, ..sizes };
        let meant = Architecture {
            vocabulary: 23,
            context: 9,
            width: 15,
            heads: 5,
            layers: 3,
            hidden: 60,
            epsilon: epsilon.as_ref().unwrap().expected[0],
            activation: config.activation,
            biases: Biases::everywhere(bias),
            tied,
            dropout,
            ..Architecture::default()
        };
        assert_eq!(config.model(23), Ok(meant));
    }
}

/// A run of a Llama, none of whose settings is a default.
fn llama() -> TrainingConfig {
    TrainingConfig {
        heads: 4,
        positions: PositionsKind::Rotary,
        rotary_base: Some(77.0),
        norm: Norm::Rms,
        key_value_heads: Some(2),
        hidden: Some(20),
        gated: true,
        activation: Activation::Silu,
        bias: false,
        tied: false,
        ..models::training()
    }
}

/// As `run.toml` has them.
#[test]
fn a_runs_llama_has_the_parts_of_its_settings() {
    let kept = toml::to_string(&llama()).unwrap();
    let read: TrainingConfig = toml::from_str(&kept).unwrap();
    assert_eq!(read, llama());
    let meant = Architecture {
        vocabulary: 23,
        context: 16,
        width: 32,
        layers: 2,
        positions: Positions::Rotary(Rotary { base: 77.0, ..Rotary::default() }),
        norm: Norm::Rms,
        heads: 4,
        key_value_heads: Some(2),
        hidden: 20,
        activation: Activation::Silu,
        gated: true,
        biases: Biases::NONE,
        tied: false,
        ..Architecture::default()
    };
    assert_eq!(read.model(23), Ok(meant));
}

/// Three matrices of 8/3·width take what two of 4·width do; up to a multiple of 8, as Llama's own code has it.
#[test]
fn a_gated_part_is_as_large_as_one_that_is_not() {
    for width in [8, 32, 48, 104, 512] {
        let sizes = TrainingConfig { width, hidden: None, ..llama() };
        let hidden = sizes.model(23).unwrap().hidden;
        assert!(
            hidden.is_multiple_of(8) && 3 * hidden >= 8 * width && 3 * (hidden - 8) < 8 * width
        );
    }
}

/// At the end of each range, and just outside.
#[test]
fn settings_outside_their_range_are_refused_by_name() {
    type Change = fn(&mut TrainingConfig, f64);
    let below = |x: f64| x.next_down();
    let cases: [(&str, Change, &[f64], &[f64]); 16] = [
        ("batch", |c, x| c.batch = x as usize, &[1.0], &[0.0, 1e9]),
        ("accumulate", |c, x| c.accumulate = x as usize, &[1.0, 9.0], &[0.0]),
        ("steps", |c, x| c.steps = x as u64, &[1.0, 1e5], &[0.0]),
        (
            "learning_rate",
            |c, x| c.learning_rate = x,
            &[1e-9, 9.9],
            &[0.0, -1.0, f64::NAN, f64::INFINITY],
        ),
        (
            "min_learning_rate",
            |c, x| c.min_learning_rate = x,
            &[0.0, 1e-4],
            &[-1e-9, 1.0, f64::NAN],
        ),
        ("warmup", |c, x| c.warmup = x as u64, &[0.0, 100.0], &[101.0]),
        ("weight_decay", |c, x| c.weight_decay = x, &[0.0, 2.0], &[-1e-9, f64::NAN, f64::INFINITY]),
        ("learning_rate", |c, x| c.learning_rate = x, &[9.99], &[10.0, 11.0]),
        ("beta1", |c, x| c.beta1 = x, &[0.0, below(1.0)], &[1.0, -1e-9, f64::NAN]),
        ("beta2", |c, x| c.beta2 = x, &[0.0, below(1.0)], &[1.0, -1e-9, f64::NAN]),
        ("momentum", |c, x| c.momentum = x, &[0.0, below(1.0)], &[1.0, -1e-9, f64::NAN]),
        ("epsilon", |c, x| c.epsilon = Some(x), &[0.0, 1.0], &[-1e-9, f64::NAN, f64::INFINITY]),
        ("decay_steps", |c, x| c.decay_steps = Some(x as u64), &[1.0, 100.0], &[0.0, 101.0]),
        ("decay_every", |c, x| c.decay_every = Some(x as u64), &[1.0, 1e9], &[0.0]),
        ("decay_factor", |c, x| c.decay_factor = Some(x), &[1e-9, 1.0], &[0.0, 1.1, f64::NAN]),
        ("clip", |c, x| c.clip = x, &[0.0, 1e9], &[-1e-9, f64::NAN, f64::INFINITY]),
    ];
    for (name, change, fine, wrong) in cases {
        let with = |x: &f64| {
            let mut config = TrainingConfig { min_learning_rate: 0.0, ..models::training() };
            change(&mut config, *x);
            config.validate()
        };
        for x in fine {
            assert_eq!(with(x), Ok(()), "{name} {x}");
        }
        for x in wrong {
            let error = with(x).expect_err(&format!("{name} {x}")).to_string();
            assert!(error.starts_with(name), "{name} {x}: {error}");
        }
    }
}

#[test]
fn the_seed_chooses_the_windows() {
    let corpus = corpus(16);
    let loss = |seed: u64, weights: &[f64]| {
        let mut trainer = trainer::<f64>(&TrainingConfig { seed, ..descent() });
        trainer.state()[0].1.copy_from_slice(weights);
        trainer.step(&corpus).unwrap().loss
    };
    let weights = trainer::<f64>(&descent()).model().tape().parameters().to_vec();
    assert_eq!(loss(1, &weights), loss(1, &weights));
    let different: std::collections::HashSet<u64> =
        [1, 2, 3, 1 << 32 | 1].map(|seed| loss(seed, &weights).to_bits()).into();
    assert_eq!(different.len(), 4);
}

/// What `check` and `diagnose` examine are the run's own parts: batch n of the step is part n mod p of batch n div p.
#[test]
fn an_examined_step_is_the_runs() {
    let corpus = corpus(64);
    for (batch, accumulate, dropout) in [(48, 1, 0.0), (24, 2, 0.2), (5, 3, 0.2)] {
        let config = TrainingConfig { context: 64, batch, accumulate, dropout, ..descent() };
        let model = config.model(7).unwrap();
        let mut run = trainer::<f64>(&config);
        run.set_steps(2);
        let step = ModelStep::of_run(&config, &model, &corpus);
        let mut recording = step.record::<f64>().unwrap();
        recording.set_parameters(run.model().tape().parameters());
        let count = config.parts() * accumulate as u64;
        let losses = (2 * count..3 * count).map(|number| {
            recording.give(&step.batch(number));
            recording.forward()
        });
        let mean = losses.sum::<f64>() / count as f64;
        let found = run.step(&corpus).unwrap().loss;
        assert!((found / mean - 1.0).abs() <= tolerance::sum(4000), "{found}, {mean}");
    }
}

/// A trainer that goes on is measured as one that was made from its weights.
#[test]
fn measuring_does_not_depend_on_the_batch() {
    let corpus = corpus(16);
    let losses = [1, 3, 4, 7].map(|batch| {
        let mut trainer = trainer::<f64>(&TrainingConfig { batch, ..descent() });
        trainer.evaluate(&corpus).unwrap()
    });
    for Evaluation { loss, tokens, .. } in losses {
        assert_eq!(tokens, corpus.validation().len() - 1);
        assert!((loss / losses[0].loss - 1.0).abs() <= tolerance::sum(1000));
    }
}

/// The loop that `diagnose` watches takes the run's steps, to the bit: every rule, schedule, clip and cut.
#[test]
fn the_examined_loop_is_the_runs() {
    let corpus = corpus(64);
    for (kind, batch, accumulate, clip, dropout) in [
        (ScheduleKind::Cosine, 6, 1, 0.0, 0.0),
        (ScheduleKind::Linear, 4, 3, 0.05, 0.2),
        (ScheduleKind::Constant, 48, 1, 1.0, 0.1),
    ] {
        for &optimizer in OptimizerKind::ALL {
            let cut = TrainingConfig { context: 64, batch, accumulate, clip, dropout, ..descent() };
            let rates =
                TrainingConfig { warmup: 4, steps: 9, weight_decay: 0.5, momentum: 0.9, ..cut };
            let config = TrainingConfig { optimizer, schedule: kind, ..rates };
            let model = config.model(7).unwrap();
            let mut run = trainer::<f32>(&config);
            let step = ModelStep::of_run(&config, &model, &corpus);
            let recipe = Recipe::of_run(&config);
            let start = State::start(run.model().tape().parameters().to_vec());
            let mut course = Course::from(&step, &recipe, &start).unwrap();
            for _ in 0..3 {
                let (taken, expected) = (course.step().unwrap(), run.step(&corpus).unwrap());
                assert_eq!((taken.number, taken.rate), (expected.number, expected.learning_rate));
                assert!((taken.loss / expected.loss - 1.0).abs() <= tolerance::sum_32(4000));
                assert_eq!(taken.gradient_norm, expected.gradient_norm);
                assert_eq!(course.state().parameters, run.model().tape().parameters());
            }
        }
    }
}
