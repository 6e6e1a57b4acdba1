use super::*;
use crate::inspect::diagnose::cause::specimen;
use crate::inspect::diagnose::health::{recorded_scores, silent};
use crate::inspect::diagnose::{Background, diagnose, diagnose_with, examination_of};
use crate::inspect::subject::ModelStep;
use crate::model::architecture::Architecture;
use crate::training::precision::Precision;
use calculus::optimizer::OptimizerConfig;
use std::sync::Arc;

/// The causes' specimen, of two layers.
fn step() -> ModelStep<'static> {
    let one = specimen::step();
    ModelStep { config: Architecture { layers: 2, ..one.config.clone() }, ..one }
}

fn start() -> State {
    State::start(step().config.initial_parameters(1).unwrap())
}

fn decaying(decay: f64) -> Recipe {
    let optimizer = OptimizerConfig { weight_decay: decay, ..OptimizerConfig::default() };
    Recipe { optimizer, ..Recipe::adam(3e-3) }
}

/// Every number of an outlook against a measurement of its own.
#[test]
fn an_outlook_is_what_the_run_is() {
    let (step, start, recipe) = (step(), start(), decaying(0.1));
    let known = Background { planned: 1000, pass: 50.0, ..Background::default() };
    let found = examination_of(&step, &start, &recipe, 24, &known, |_| {}).unwrap();
    let (diagnosis, outlook) = (&found.diagnosis, found.outlook.as_ref().unwrap());
    assert!(diagnosis.cause.is_none(), "{:?}", diagnosis.cause);
    // The rate does not change: 1/(3·10⁻³·0.1) = 3333 steps, of 50 steps a pass and 1000 planned.
    let decay = outlook.decay.unwrap();
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} is not {b}");
    near(decay.steps, 1.0 / 3e-4);
    near(decay.passes.unwrap(), 1.0 / 3e-4 / 50.0);
    near(decay.of_plan.unwrap(), 1.0 / 3e-4 / 1000.0);
    near(decay.balance_ratio.unwrap(), balance(3e-3, 0.1, 0.9).0);
    near(decay.balance_weight.unwrap(), balance(3e-3, 0.1, 0.9).1);
    // The next step, taken: its change of the weights that decay, in f32.
    let mut course = crate::inspect::diagnose::Course::from(&step, &recipe, &diagnosis.last_good);
    let course = course.as_mut().unwrap();
    course.step().unwrap();
    let (before, after) = (&diagnosis.last_good.parameters, course.state().parameters);
    let list = course.recording.tape.parameter_list();
    let decayed: Vec<usize> = calculus::matrices(&list).into_iter().flatten().collect();
    let norm = |of: &dyn Fn(usize) -> f32| {
        decayed.iter().map(|&i| f64::from(of(i)).powi(2)).sum::<f64>().sqrt()
    };
    let (change, size) = (norm(&|i| after[i] - before[i]), norm(&|i| before[i]));
    assert!(
        (decay.ratio / (change / size) - 1.0).abs() < 1e-4,
        "{} {}",
        decay.ratio,
        change / size
    );
    near(decay.weight, size / (decayed.len() as f64).sqrt());
    assert!(outlook.update.unmoved.is_empty() && outlook.update.lost[0] < 0.01);
    assert!(outlook.update.lost[1] > outlook.update.lost[2], "{:?}", outlook.update.lost);
    // The edge at both ends of the watch.
    let [first, last] = &outlook.edge[..] else { panic!("{:?}", outlook.edge) };
    for (edge, state) in [(first, &start), (last, &diagnosis.last_good)] {
        let own = stability(&step, state, &recipe).unwrap().unwrap();
        assert_eq!((edge.steps, edge.eigenvalue), (state.steps, own.eigenvalue));
        near(edge.ratio, 3e-3 / recipe.optimizer.limit(own.eigenvalue, state.steps).unwrap());
    }
    // Scores: of every attention, at the start, at every second step and at the end, on the first batch.
    assert_eq!(diagnosis.scores.len(), 2);
    let steps: Vec<u64> = diagnosis.scores[0].sizes.iter().map(|s| s.0).collect();
    assert_eq!(steps, (0..=24).step_by(2).collect::<Vec<u64>>());
    for (state, at) in [(&start, 0), (&diagnosis.last_good, 12)] {
        let signs =
            crate::inspect::diagnose::signs(&step, &state.parameters, &step.batch(0)).unwrap();
        for (a, scores) in signs.attention.iter().zip(&diagnosis.scores) {
            assert_eq!((&a.name, a.largest), (&scores.name, scores.sizes[at].1));
        }
    }
    let json = serde_json::to_value(outlook).unwrap();
    for key in ["edge", "scores", "decay", "collapse", "update"] {
        assert!(json.get(key).is_some(), "{key}");
    }
}

/// A run without decay has no memory, and one of descent no balance.
#[test]
fn an_outlook_leaves_out_what_it_does_not_know() {
    let (step, start) = (step(), start());
    let outlook = |recipe: &Recipe| {
        let found = diagnose(&step, &start, recipe, 12).unwrap();
        Outlook::of(&step, &start, recipe, &found, &Background::default()).unwrap()
    };
    let none = outlook(&Recipe::adam(3e-3));
    assert_eq!(none.decay, None);
    assert!(none.lines().iter().all(|(topic, _)| *topic != "decay"));
    let lion: OptimizerConfig = OptimizerConfig {
        kind: "lion".parse().unwrap(),
        weight_decay: 0.1,
        ..OptimizerConfig::default()
    };
    let lion = outlook(&Recipe { optimizer: lion, ..Recipe::adam(1e-3) }).decay.unwrap();
    assert!((lion.steps / 1e4 - 1.0).abs() < 1e-9);
    assert_eq!((lion.passes, lion.of_plan, lion.balance_ratio), (None, None, None));
}

/// The lines of an outlook, from numbers that are given.
#[test]
fn the_lines_say_what_the_numbers_are() {
    let edge = |steps, ratio| Edge { steps, eigenvalue: 1.0, rate: 1.0, ratio };
    let reached =
        |what, size, steps| Reached { what, size, steps, between: (0.5 * steps, 2.0 * steps) };
    let score = |name: &str, reached: Vec<Reached>| ScoreGrowth {
        name: name.into(),
        now: (40, 12.0),
        exponential: false,
        slope: 0.1,
        interval: (0.05, 0.2),
        reached,
    };
    let outlook = Outlook {
        edge: vec![edge(0, 0.25), edge(30, 1.5)],
        scores: vec![
            score("a", vec![reached("saturated attention", 30.0, 180.0)]),
            score("b", vec![]),
        ],
        decay: Decay::of(&decaying(0.1), 3e-3, 1.0 - 3e-4, (4e-3, 0.05), (50.0, 0.0)),
        collapse: Some(Collapse {
            tokens: 16,
            classes: 11,
            gap: 9.0,
            zero_loss: 0.0,
            zero_gradient: 0.0,
            rounded: [0.0, 0.5, 0.25],
            gaps: [Precision::F32, Precision::Bf16, Precision::F16].map(|f| collapse_gap(f, 11)),
        }),
        update: NextUpdate {
            lost: [0.0, 0.4, 0.1],
            unmoved: vec![Unmoved {
                name: "token.table".into(),
                reason: Reason::RoundedAway,
                share: 1.0,
                gradient: 1e-3,
                update: 3e-3,
                weight: 1e6,
            }],
            decayed_ratio: 4e-3,
            decayed_weight: 0.05,
            rate: 3e-3,
        },
    };
    let lines = outlook.lines();
    let topics: Vec<&str> = lines.iter().map(|l| l.0).collect();
    assert_eq!(topics, ["edge", "scores", "decay", "softmax", "rounding", "unmoved"]);
    assert_eq!(
        lines[0].1,
        "λ_max·η over its limit of stability: 0.25 at step 0, 1.50 at step 30: beyond the edge"
    );
    assert_eq!(
        lines[1].1,
        "the largest score of a, 12.0 at step 40, grows by 1.0e-1 a step (5.0e-2 to 2.0e-1): if that goes on, \
         saturated attention (30) in 180 steps (90.0 to 360)"
    );
    assert_eq!(
        lines[2].1,
        "weights forget an update after 1/(η·λ) = 3333 steps, 66.7 passes over the text; under noise they settle at an \
         update over weights of 5.6e-3 (now 4.0e-3) and a root mean square of 1.2e-1 (now 5.0e-2)"
    );
    assert!(lines[3].1.contains("loss exactly 0: none of 16 tokens; gradient exactly 0: none;"));
    assert!(
        lines[3].1.contains("in f32 none (logits more than 18.9 apart), in bf16 50.0 % (7.8)"),
        "{}",
        lines[3].1
    );
    assert!(
        lines[4]
            .1
            .contains("none unchanged in f32, 40.0 % if weights are kept in bf16, 10.0 % in f16")
    );
    assert!(lines[5].1.starts_with("token.table: an update of 3.0e-3, at the rate 3.0e-3"));
    // Nothing to say.
    let silent = Outlook {
        edge: vec![],
        scores: vec![score("b", vec![])],
        decay: None,
        collapse: outlook.collapse.map(|c| Collapse { rounded: [0.0; 3], ..c }),
        update: NextUpdate { lost: [0.0; 3], unmoved: vec![], ..outlook.update },
    };
    assert!(silent.lines().is_empty());
}

/// The series of `--watch`: by step, before its update; blocks apart.
#[test]
fn recorded_scores_are_read() {
    let line = |step: u64, health: &str| {
        let text = format!(
            r#"{{"step":{step},"loss":1.0,"learning_rate":1e-3,"gradient_norm":1.0,"tokens_per_second":1.0{health}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let metrics = [
        line(1, ""),
        line(2, r#","health":{"largest_scores":[1.5,2.5]}"#),
        line(4, r#","health":{"largest_scores":[2.0,3.0]}"#),
        line(6, r#","health":{}"#),
        line(8, r#","health":{"largest_scores":[null,3.0]}"#),
    ];
    let found = recorded_scores(&metrics);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].sizes, [(1, 2.5), (3, 3.0)]);
    assert!(recorded_scores(&metrics[..1]).is_empty());
}

/// A recorded series that is longer than the watch is the one that is fitted.
#[test]
fn a_recorded_series_is_longer_than_the_watch() {
    let (step, start, recipe) = (step(), start(), Recipe::adam(3e-3));
    let sizes = (0..20).map(|i| (50 * i, 5.0 + 0.01 * (50 * i) as f64)).collect();
    let scores = vec![crate::inspect::diagnose::Growth { name: "recorded".into(), sizes }];
    let known = Background { scores, planned: 3000, ..Background::default() };
    let found = diagnose_with(&step, &start, &recipe, 5, &known).unwrap();
    let outlook = Outlook::of(&step, &start, &recipe, &found, &known).unwrap();
    // 5 + 0.01·t is 30 at t = 2500, 1550 after the last.
    assert_eq!(outlook.scores.len(), 1);
    assert!((outlook.scores[0].reached[0].steps - 1550.0).abs() < 1e-6);
}

/// Tokens without a gradient, in the form that trains a model: its logits never exist.
#[test]
fn silent_tokens_of_a_fused_step() {
    let (step, state) = (step(), start());
    let share = |scale: f32| {
        let mut recording = step.record::<f32>().unwrap();
        assert!(recording.handles.logits.is_none() && recording.handles.last.is_some());
        let mut parameters = state.parameters.clone();
        for p in recording.tape.parameter_list() {
            if p.name == "head.weight" || p.name == "embedding.token.weight" {
                parameters[p.range].iter_mut().for_each(|w| *w *= scale);
            }
        }
        recording.set_parameters(&parameters);
        recording.give(&step.batch(0));
        recording.step();
        (
            silent(&recording).unwrap(),
            Collapse::of(&step, &parameters, &step.batch(0)).unwrap().unwrap(),
        )
    };
    // Targets that are the model's own tokens: at this scale all are learned beyond any gradient.
    let batches = Arc::clone(&step.batches);
    let own_tokens = move |n: u64| (batches(n).0, batches(n).0);
    let step = ModelStep { batches: Arc::new(own_tokens), ..step.clone() };
    let mut recording = step.record::<f32>().unwrap();
    let mut parameters = state.parameters.clone();
    for p in
        recording.tape.parameter_list().into_iter().filter(|p| p.name == "embedding.token.weight")
    {
        parameters[p.range].iter_mut().for_each(|w| *w *= 1e4);
    }
    recording.set_parameters(&parameters);
    recording.give(&step.batch(0));
    recording.step();
    assert_eq!(silent(&recording), Some(1.0));
    let told = Collapse::of(&step, &parameters, &step.batch(0)).unwrap().unwrap();
    assert_eq!((told.zero_gradient, told.zero_loss), (1.0, 1.0));
    let (none, told) = share(1.0);
    assert_eq!((none, told.zero_gradient, told.zero_loss), (0.0, 0.0, 0.0));
    // Tied to the embedding: a token's own logit is by far the largest, and it never follows itself, so that every loss is large.
    let (wrong, told) = share(1e4);
    assert_eq!((wrong, told.zero_loss), (0.0, 0.0));
    assert!(told.gap < -100.0, "{}", told.gap);
}
