//! No false alarm: twenty runs that are slow, early, at the end of what can be learned, or learn by heart on purpose.

use calculus::optimizer::OptimizerKind;
use probability::random::Random;
use tests::models::training;
use transformer::inspect::diagnose::{Background, Recipe, State, Verdict, examination_of};
use transformer::{Corpus, ModelStep, ScheduleKind, Trainer, TrainingConfig};

/// A chain of five words: each is followed by the next with 0.7, by any of the five with 0.06.
const WORDS: u32 = 5;
const LIKELY: f64 = 0.7;

fn chain(n: usize, seed: u64) -> Vec<u32> {
    let random = Random::new(seed, 0, 0);
    let mut word = 0;
    (0..n as u64)
        .map(|i| {
            word = match random.uniform(2 * i) < LIKELY {
                true => (word + 1) % WORDS,
                false => random.below(2 * i + 1_000_000_001, u64::from(WORDS)) as u32,
            };
            word
        })
        .collect()
}

fn entropy() -> f64 {
    let other = (1.0 - LIKELY) / f64::from(WORDS);
    let likely = LIKELY + other;
    -(likely * likely.ln() + f64::from(WORDS - 1) * other * other.ln())
}

/// A run of so many planned steps, looked at after some of them.
struct Healthy {
    what: &'static str,
    config: TrainingConfig,
    /// Steps that were taken.
    taken: u64,
    /// Tokens of its text.
    text: usize,
}

fn runs() -> Vec<Healthy> {
    let tiny = || TrainingConfig {
        layers: 1,
        heads: 2,
        width: 16,
        context: 8,
        batch: 8,
        steps: 2000,
        learning_rate: 3e-3,
        eval_every: 50,
        schedule: ScheduleKind::Cosine,
        ..training()
    };
    let run = |what, taken, config: TrainingConfig| Healthy { what, config, taken, text: 20_000 };
    let slow = |rate, steps| TrainingConfig { learning_rate: rate, steps, ..tiny() };
    let large = |batch, accumulate| TrainingConfig { batch, accumulate, ..tiny() };
    let rises = |warmup, rate| TrainingConfig { warmup, learning_rate: rate, ..tiny() };
    let descends = |rate, momentum| TrainingConfig {
        optimizer: OptimizerKind::Sgd,
        learning_rate: rate,
        momentum,
        ..tiny()
    };
    let ends = |steps, schedule| TrainingConfig { steps, schedule, learning_rate: 1e-2, ..tiny() };
    let by_heart = |steps| TrainingConfig {
        steps,
        learning_rate: 1e-2,
        eval_every: 0,
        schedule: ScheduleKind::Constant,
        ..tiny()
    };
    let short = |run: Healthy| Healthy { text: 60, ..run };
    vec![
        run("a small rate", 0, slow(1e-4, 5000)),
        run("a small rate", 120, slow(1e-4, 5000)),
        run("a small rate", 200, slow(3e-4, 3000)),
        run(
            "a small constant rate",
            150,
            TrainingConfig { schedule: ScheduleKind::Constant, ..slow(2e-4, 4000) },
        ),
        run("early", 0, tiny()),
        run("early", 10, tiny()),
        run("early", 60, tiny()),
        run("early, and short", 12, TrainingConfig { steps: 12, ..tiny() }),
        run("a large batch", 0, large(64, 1)),
        run("batches added up", 30, large(16, 4)),
        run("a long rise", 0, rises(1000, 3e-3)),
        run("a long rise", 120, rises(1000, 3e-3)),
        run("a rise to a small rate", 20, rises(500, 1e-3)),
        run("descent", 0, descends(0.05, 0.0)),
        run("descent with momentum", 100, descends(0.02, 0.9)),
        run("at the source's entropy", 400, ends(400, ScheduleKind::Cosine)),
        run("at the source's entropy", 300, ends(300, ScheduleKind::Linear)),
        run("near its end", 350, ends(400, ScheduleKind::Cosine)),
        short(run("learned by heart on purpose", 200, by_heart(200))),
        short(run("learned by heart on purpose", 150, by_heart(1000))),
    ]
}

#[test]
fn twenty_slow_but_healthy_runs_without_a_false_alarm() {
    let mut alarms = vec![];
    let all = runs();
    assert_eq!(all.len(), 20);
    for (i, Healthy { what, config, taken, text }) in all.into_iter().enumerate() {
        // The part that is held back, a tenth, must hold a window of a short text too.
        let held_back = if text < 1000 { 0.2 } else { 0.1 };
        let corpus = Corpus::text(chain(text, i as u64), held_back, config.context);
        let corpus = corpus.expect("long enough");
        let config = TrainingConfig { seed: 700_000 + 13 * i as u64, ..config };
        let model = config.model(WORDS as usize).expect("valid sizes");
        let mut trainer = Trainer::<f32>::new(config.clone(), &model).expect("valid sizes");
        for _ in 0..taken {
            trainer.step(&corpus).expect("tokens in range");
        }
        let mut saved = trainer.state().into_iter().map(|(_, x)| x.to_vec());
        let parameters = saved.next().expect("parameters");
        let start = State { steps: taken, memory: saved.collect(), ..State::start(parameters) };
        let (step, recipe) = (ModelStep::of_run(&config, &model, &corpus), Recipe::of_run(&config));
        let known = Background::of_run(&config, &step, &corpus, taken > 0).expect("valid sizes");
        let known = Background { entropy: Some(entropy()), ..known };
        let found =
            examination_of(&step, &start, &recipe, 25, &known, |_| {}).expect("valid sizes");
        let (first, last) = (&found.diagnosis.history[0], found.diagnosis.history.last());
        println!("{i:>2} {what:<32} {:.3} to {:.3}", first.loss, last.map_or(0.0, |t| t.loss));
        if found.verdict(0) != Verdict::NothingWrong {
            let unusual = found.health.iter().flat_map(|h| &h.measures).filter(|m| !m.is_usual());
            let unusual: Vec<_> = unusual.map(|m| format!("{} {:.2e}", m.name, m.value)).collect();
            let (cause, trials) = (&found.diagnosis.cause, &found.diagnosis.trials);
            alarms.push(format!("{i} {what}: {cause:?} {unusual:?} {trials:?}"));
        }
    }
    assert!(alarms.is_empty(), "{} false alarms:\n{}", alarms.len(), alarms.join("\n"));
}
