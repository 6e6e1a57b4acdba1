//! A rate that is too high is the cause under every schedule: constant, falling, rising, with and without clipping
//! and momentum; where the run is watched from its start, and where it is looked at after its schedule has ended.

use crate::zoo::plain::Run;
use crate::zoo::tiny::{Beast, Tiny};
use calculus::optimizer::OptimizerConfig;
use calculus::schedule::Schedule;
use tests::models::training;
use transformer::inspect::diagnose::{
    Cause, Cure, Diagnosis, Recipe, State, diagnose, examination,
};
use transformer::text::stories;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, ModelStep, ScheduleKind, Trainer, TrainingConfig};

const STEPS: u64 = 60;

fn schedules(peak: f64) -> [(&'static str, Schedule); 4] {
    let (minimum, total) = (1e-4 * peak, STEPS);
    [
        ("constant", Schedule::Constant { rate: peak }),
        ("cosine", Schedule::Cosine { peak, minimum, warmup: 0, total }),
        ("linear", Schedule::Linear { peak, minimum, warmup: 0, total }),
        ("cosine after a rise", Schedule::Cosine { peak, minimum, warmup: 20, total }),
    ]
}

/// The cause is the rate, the evidence names the peak of a schedule that has one, and a lower rate was tried and helps:
/// `least` to `most` times the peak.
fn is_the_rate(name: &str, found: &Diagnosis, peak: f64, range: (f64, f64)) -> Result<(), String> {
    let shown = format!("{name}: {:?} {:?}", found.cause, found.trials);
    let Some((cause, why)) = &found.cause else { return Err(shown) };
    let cure = found.trials.iter().find(|t| t.cured);
    let rate = cure.and_then(|t| if let Cure::Rate(f) = t.change { Some(f * peak) } else { None });
    let fine = rate.is_some_and(|r| (range.0..=range.1).contains(&r));
    let told = why.contains("the rate is") && (name.contains("constant") || why.contains("peak"));
    if *cause == Cause::RateTooHigh && fine && told { Ok(()) } else { Err(shown) }
}

#[test]
fn a_rate_that_is_too_high_is_found_under_every_schedule() {
    let sgd = OptimizerConfig::sgd;
    let adam = OptimizerConfig::default();
    let tiny = Tiny::default();
    let (beast, start) = (Beast::from(&tiny), State::start(tiny.parameters(1)));
    let mut wrong = vec![];
    let mut tried = 0;
    // Healthy: 0.3 for descent, 3e-3 for Adam.
    for (optimizer, peak, range) in [
        (sgd(0.0), 300.0, (1e-3, 3.0)),
        (sgd(0.9), 300.0, (1e-3, 3.0)),
        (adam, 2.0, (1e-4, 5e-2)),
        (adam, 50.0, (1e-4, 5e-2)),
    ] {
        for (schedule_name, schedule) in schedules(peak) {
            for clip in [0.0, 1.0] {
                let recipe = Recipe { optimizer, schedule, clip, ..Recipe::sgd(peak) };
                let name = format!("{optimizer:?} at {peak}, {schedule_name}, clip {clip}");
                let found = diagnose(&beast, &start, &recipe, STEPS).expect("a valid model");
                if let Err(what) = is_the_rate(&name, &found, peak, range) {
                    wrong.push(what);
                    continue;
                }
                tried += 1;
                // And applied by a loop of its own.
                let run = Run { beast: beast.clone(), start: start.clone(), recipe };
                let trial = found.trials.iter().find(|t| t.cured).expect("a cure");
                let loss = run.cured(trial).train(150);
                if loss.is_nan() || loss > 0.99 * run.healthy().uniform() {
                    wrong.push(format!("{name}: {} ends at {loss}", trial.cure));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), wrong.len() + tried, wrong.join("\n"));
}

/// What `train --learning-rate 2` leaves behind: weights that its schedule's last, small rate did not make.
#[test]
fn a_finished_run_is_judged_at_the_rate_that_did_it() {
    let grammar = stories::grammar();
    let text: String = (0..200).map(|i| stories::story(&grammar, 0, i)).collect();
    let tokenizer = Tokenizer::characters_of(&text);
    let tokens = tokenizer.encode(&text).expect("its own characters");
    let mut wrong = vec![];
    for (schedule, warmup, clip, rate) in [
        (ScheduleKind::Cosine, 0, 1.0, 2.0),
        (ScheduleKind::Linear, 20, 1.0, 2.0),
        (ScheduleKind::Cosine, 20, 0.0, 5.0),
    ] {
        let config = TrainingConfig {
            layers: 1,
            width: 16,
            context: 8,
            steps: 120,
            schedule,
            warmup,
            clip,
            learning_rate: rate,
            ..training()
        };
        let corpus = Corpus::text(tokens.clone(), 0.1, config.context).expect("long enough");
        let model = config.model(tokenizer.vocabulary()).expect("valid sizes");
        let mut trainer = Trainer::<f32>::new(config.clone(), &model).expect("valid sizes");
        for _ in 0..config.steps {
            trainer.step(&corpus).expect("tokens in range");
        }
        let steps = trainer.steps();
        let mut saved = trainer.state().into_iter().map(|(_, x)| x.to_vec());
        let parameters = saved.next().expect("parameters");
        let start = State { steps, memory: saved.collect(), ..State::start(parameters) };
        assert_ne!(start.parameters, model.initial_parameters(config.seed).expect("valid sizes"));
        let step = ModelStep::of_run(&config, &model, &corpus);
        let recipe = Recipe::of_run(&config);
        let found = examination(&step, &start, &recipe, 30, |_| {}).expect("valid sizes");
        let name = format!("{schedule:?}, a rise of {warmup}, clip {clip}");
        wrong.extend(is_the_rate(&name, &found.diagnosis, rate, (1e-4, 5e-2)).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
