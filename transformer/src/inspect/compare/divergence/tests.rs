//! Runs that differ in one setting: the step, the matrix and the cause; and runs that are equal.

use super::*;
use crate::model::architecture::{Activation, Norm, Window};
use crate::training::config::{OptimizerKind, PositionsKind};

fn corpus() -> Corpus {
    let text = (0..900_u32).map(|i| (i * i + i / 5 + i / 31) % 11).collect();
    Corpus::text(text, 0.1, 16).unwrap()
}

fn side(corpus: &Corpus) -> Side<'_> {
    let config = TrainingConfig {
        batch: 4,
        context: 16,
        width: 16,
        heads: 2,
        layers: 2,
        warmup: 4,
        steps: 40,
        learning_rate: 5e-3,
        min_learning_rate: 1e-4,
        dropout: 0.0,
        positions: PositionsKind::Rotary,
        ..TrainingConfig::default()
    };
    let model = config.model(11).unwrap();
    Side { config, model, corpus, start: None }
}

/// A change of the second run, and where it must show: the step, the part, the end of the name, the setting.
type Case = (fn(&mut Side<'_>), u64, Part, &'static str, &'static str);

const CASES: [Case; 23] = [
    (|s| s.model.norm = Norm::Rms, 1, Part::Value, "block.0.norm_1", "norm"),
    // After four steps of warm-up the fifth has the peak in any case. Adam's first step does not depend on β, but its state does.
    (|s| s.config.epsilon = Some(1e-6), 1, Part::Update, "embedding", "epsilon"),
    (|s| s.config.learning_rate *= 1.01, 1, Part::LearningRate, "learning rate", "learning_rate"),
    (|s| s.config.warmup += 1, 1, Part::LearningRate, "learning rate", "warmup"),
    (
        |s| s.config.min_learning_rate *= 2.0,
        6,
        Part::LearningRate,
        "learning rate",
        "min_learning_rate",
    ),
    (|s| s.config.steps += 1, 6, Part::LearningRate, "learning rate", "steps"),
    (|s| s.config.weight_decay = 0.0, 1, Part::Update, "embedding", "weight_decay"),
    (|s| s.config.beta1 = 0.8, 1, Part::OptimizerState, "first_moment of embedding", "beta1"),
    (|s| s.config.beta2 = 0.95, 1, Part::OptimizerState, "second_moment of embedding", "beta2"),
    (|s| s.config.clip = 1e-3, 1, Part::ClippingFactor, "clipping factor", "clip"),
    (|s| s.config.optimizer = OptimizerKind::Lion, 1, Part::OptimizerState, "", "optimizer"),
    (|s| s.config.batch = 3, 1, Part::Batch, "tokens", "batch"),
    (|s| s.config.context = 8, 1, Part::Batch, "tokens", "context"),
    (|s| s.model.dropout = 0.1, 1, Part::Value, "", "dropout"),
    (
        |s| s.model.activation = Activation::GeluTanh,
        1,
        Part::Value,
        "block.0.feed_forward.activated",
        "activation",
    ),
    (|s| s.model.score_scale = Some(0.5), 1, Part::Value, "block.0.attention.mixed", "score_scale"),
    (|s| s.model.score_cap = Some(5.0), 1, Part::Value, "block.0.attention.mixed", "score_cap"),
    (
        |s| s.model.window = Some(Window::repeating(8, vec![true]).unwrap()),
        1,
        Part::Value,
        "block.0.attention.mixed",
        "window",
    ),
    (
        |s| s.model.window = Some(Window::repeating(15, vec![true]).unwrap()),
        1,
        Part::Value,
        "block.0.attention.mixed",
        "window",
    ),
    (|s| s.model.epsilon = 1e-6, 1, Part::Value, "block.0.norm_1", "epsilon"),
    (|s| s.model.residual_scale = 0.99, 1, Part::Value, "", "residual_scale"),
    (|s| s.model.logit_divisor = 1.1, 1, Part::Value, "", "logit_divisor"),
    (|s| s.model.embedding_scale = 1.5, 1, Part::Value, "", "embedding_scale"),
];

/// Every change is found at its place, with its cause; nothing else is called one.
#[test]
fn one_change_is_found_where_it_acts() {
    let corpus = corpus();
    let a = side(&corpus);
    let mut wrong = Vec::new();
    for (i, (change, step, part, name, setting)) in CASES.iter().enumerate() {
        let mut b = a.clone();
        change(&mut b);
        let Outcome::Diverge(found) = first(&a, &b, 30).unwrap() else {
            wrong.push(format!("{i} {setting}: nothing found"));
            continue;
        };
        let settings: Vec<&str> = found.causes.iter().map(|c| c.setting.as_str()).collect();
        let right = (found.step, found.part) == (*step, *part)
            && found.name.contains(name)
            && settings == [*setting];
        if !right {
            wrong.push(format!("{i} {setting}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Other windows of text from the same start, as another seed draws them.
#[test]
fn the_order_of_batches_is_the_seed() {
    let corpus = corpus();
    let a = side(&corpus);
    let mut b = a.clone();
    b.config.seed += 1;
    let Outcome::StartsDiffer { reason } = first(&a, &b, 3).unwrap() else { panic!("one start") };
    assert!(reason.contains("the seeds are"), "{reason}");
    b.start = Some(a.model.initial_parameters(a.config.seed).unwrap());
    let Outcome::Diverge(found) = first(&a, &b, 3).unwrap() else { panic!("nothing found") };
    assert_eq!((found.step, found.part, found.name.as_str()), (1, Part::Batch, "tokens"));
    assert_eq!(found.causes[0].setting, "seed");
    assert!(found.element.is_some() && found.values[0] != found.values[1]);
}

/// Another text: the tokens differ, and the cause is the text.
#[test]
fn another_text_is_found() {
    let (one, other) =
        (corpus(), Corpus::text((0..900).map(|i| i % 11).collect(), 0.1, 16).unwrap());
    let a = side(&one);
    let b = Side { corpus: &other, ..a.clone() };
    let Outcome::Diverge(found) = first(&a, &b, 3).unwrap() else { panic!("nothing found") };
    assert_eq!((found.part, found.causes[0].setting.as_str()), (Part::Batch, "data"));
}

/// Two settings that act at one place only together are both named; of two that act apart, the first.
#[test]
fn several_changes() {
    let corpus = corpus();
    let a = side(&corpus);
    let mut b = a.clone();
    b.config.learning_rate *= 2.0;
    b.config.weight_decay = 0.0;
    let Outcome::Diverge(found) = first(&a, &b, 3).unwrap() else { panic!("nothing found") };
    let settings: Vec<&str> = found.causes.iter().map(|c| c.setting.as_str()).collect();
    assert_eq!((found.part, settings), (Part::LearningRate, vec!["learning_rate"]));
    let mut b = a.clone();
    b.model.activation = Activation::Relu;
    b.model.epsilon = 1e-3;
    let Outcome::Diverge(found) = first(&a, &b, 3).unwrap() else { panic!("nothing found") };
    assert_eq!(found.causes[0].setting, "epsilon");
    assert!(found.causes[0].alone);
}

/// Models with other parameters do not start equal.
#[test]
fn other_shapes_do_not_start_equal() {
    let corpus = corpus();
    let a = side(&corpus);
    for model in [
        Architecture { hidden: 48, ..a.model.clone() },
        Architecture { layers: 3, ..a.model.clone() },
    ] {
        let b = Side { model, ..a.clone() };
        let found = first(&a, &b, 3);
        assert!(matches!(found, Ok(Outcome::StartsDiffer { .. })), "{found:?}");
    }
}

/// The same run on another number of threads has the same bits, with dropout and in several parts too.
#[test]
fn threads_are_no_difference() {
    let corpus = corpus();
    let mut a = side(&corpus);
    (a.config.dropout, a.model.dropout, a.config.accumulate) = (0.1, 0.1, 2);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = start(&a).unwrap();
            (0..3).map(|_| observe(&mut trainer, a.corpus).unwrap()).collect::<Vec<_>>()
        })
    };
    let (one, three) = (on(1), on(3));
    for (i, (x, y)) in one.iter().zip(&three).enumerate() {
        let compared = Compared { a: &a, b: &a, number: i as u64 + 1, bounds: None, before: &[] };
        assert_eq!(compared.parting(x, y), None);
    }
}

/// A batch of eight, and four accumulated twice, are equal up to rounding; a change is still found among the rounding.
#[test]
fn accumulation_is_no_difference() {
    let corpus = corpus();
    for (context, batch) in [(16, 8), (8, 6)] {
        let mut a = side(&corpus);
        (a.config.batch, a.config.context) = (batch, context);
        let mut b = a.clone();
        (b.config.batch, b.config.accumulate) = (batch / 2, 2);
        assert_eq!(first(&a, &b, 8).unwrap(), Outcome::Same { steps: 8, bits: false });
        assert_eq!(first(&b, &a, 8).unwrap(), Outcome::Same { steps: 8, bits: false });
        for (change, part, setting) in [
            (
                (|s| s.config.learning_rate *= 1.01) as fn(&mut Side<'_>),
                Part::LearningRate,
                "learning_rate",
            ),
            (|s| s.model.activation = Activation::Relu, Part::Value, "activation"),
            (|s| s.model.epsilon = 1e-3, Part::Value, "epsilon"),
            (|s| s.model.score_scale = Some(0.3), Part::Value, "score_scale"),
            (|s| s.config.weight_decay = 0.5, Part::Update, "weight_decay"),
        ] {
            let mut changed = b.clone();
            change(&mut changed);
            let Outcome::Diverge(found) = first(&a, &changed, 8).unwrap() else {
                panic!("{setting} is not found")
            };
            assert_eq!(found.part, part, "{setting}: {found:?}");
            assert_eq!(found.bound > 0.0, part == Part::Value);
            assert_eq!(found.causes[0].setting, setting, "{found:?}");
        }
    }
}
