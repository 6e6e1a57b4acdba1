use super::*;
use crate::training::preset::Preset;
use probability::Random;
use std::collections::BTreeSet;

/// A machine of 20 GFLOP/s for large models, slower for small ones, and a text whose losses follow a law.
struct Simulated {
    law: ScalingLaw,
    repetition: Repetition,
    text: f64,
    noise: f64,
    runs: u64,
}

const LAW: ScalingLaw = ScalingLaw { e: 1.4, a: 20.0, alpha: 0.35, b: 80.0, beta: 0.32 };

impl Simulated {
    fn new() -> Self {
        Simulated {
            law: LAW,
            repetition: Repetition { readings: None },
            text: 1e12,
            noise: 0.002,
            runs: 0,
        }
    }

    fn loss(&self, size: &Candidate, tokens: f64, share: f64) -> f64 {
        // Dropout of 0.1 makes repetition cheaper, and costs a little.
        let repetition = match (self.repetition.readings, size.config.dropout > 0.05) {
            (Some(r), true) => Repetition { readings: Some(4.0 * r) },
            _ => self.repetition,
        };
        let worth = repetition.worth(tokens, share * self.text);
        let loss = self.law.loss(size.parameters as f64, worth);
        loss * (1.0 + 0.02 * size.config.dropout)
    }

    fn step(size: &Candidate) -> f64 {
        size.flops * size.step_tokens() * (1.0 + 1e6 / size.flops) / 2e10
    }
}

impl Trials for Simulated {
    type Error = String;

    fn step(&mut self, config: &TrainingConfig) -> Result<f64, String> {
        Ok(Self::step(&Candidate::of(config.clone(), 65)?))
    }

    fn train(&mut self, config: &TrainingConfig, share: f64, _: usize) -> Result<Trained, String> {
        let size = Candidate::of(config.clone(), 65)?;
        let noise = self.noise * Random::new(7, 0, 0).normal(self.runs);
        self.runs += 1;
        let tokens = size.step_tokens() * config.steps as f64;
        let step = Self::step(&size);
        Ok(Trained {
            loss: self.loss(&size, tokens, share) * noise.exp(),
            seconds: step * config.steps as f64 * 1.1,
            step,
        })
    }
}

pub(in super::super) fn request() -> Request {
    Request {
        config: TrainingConfig { dropout: 0.0, ..Preset::ShakespeareCpu.config() },
        fixed: BTreeSet::new(),
        vocabulary: 65,
        text: 1_000_000_000,
        held_back: 100_000,
        seconds: 600.0,
        loading: 1.0,
        memory: 4_000_000_000,
        room: 8_000_000_000,
        resident: [30_000_000, 50_000_000],
        entropy: None,
    }
}

fn plan(request: &Request, simulated: &mut Simulated) -> Plan {
    Plan::make(request, simulated, &mut |_| {}).unwrap()
}

/// On a machine and a text that follow their models, the chosen size is about the best, its loss is in the interval, and
/// the pilots take at most a tenth of the time; also with the time that a program has in an hour, or in a day.
#[test]
fn the_best_size_is_found() {
    for seconds in [180.0, 3600.0, 86_400.0] {
        let request = Request { seconds, ..request() };
        let mut simulated = Simulated::new();
        let plan = plan(&request, &mut simulated);
        let truth = |a: &Alternative| {
            let size = Candidate::of(a.config.clone(), 65).unwrap();
            simulated.loss(&size, a.tokens, 1.0)
        };
        let best = plan.alternatives.iter().map(truth).fold(f64::INFINITY, f64::min);
        let choice = plan.choice();
        assert!(
            truth(choice) < best * 1.01,
            "{seconds}: {} {best} {:?}",
            truth(choice),
            plan.law.law
        );
        assert!(choice.interval.contains(truth(choice)), "{seconds}: {choice:?} {}", truth(choice));
        assert!(plan.spent < 0.1 * seconds, "{seconds}: {} s", plan.spent);
        assert_eq!(choice.config.validate(), Ok(()));
        let stepping = choice.step_seconds * choice.config.steps as f64;
        assert!((stepping / request.stepping() - 1.0).abs() < 0.01, "{stepping}");
        // Nothing is repeated in a long text.
        assert!(plan.prices.is_empty() && plan.free.is_none());
    }
}

/// A short text is priced in miniature: dropout is taken where it pays, and the value of repetition is found.
#[test]
fn repetition_is_priced() {
    let text = 3e6;
    let mut simulated = Simulated {
        text,
        repetition: Repetition { readings: Some(3.0) },
        noise: 0.0,
        ..Simulated::new()
    };
    let request = Request { text: text as u64, held_back: 300_000, seconds: 86_400.0, ..request() };
    let plan = plan(&request, &mut simulated);
    let dropouts: Vec<f64> = plan.prices.iter().map(|price| price.dropout).collect();
    assert_eq!(dropouts[..3], [0.0, 0.1, 0.2]);
    assert_eq!(plan.choice().config.dropout, 0.1);
    assert!((plan.prices[3].weight_decay - 0.5).abs() < 1e-12);
    let found = plan.repetition.readings.unwrap();
    assert!((8.0..18.0).contains(&found), "{found}");
    assert!(plan.choice().epochs > 10.0);
    // What the user gives is not tried.
    let fixed = Request { fixed: ["dropout", "weight_decay"].map(str::to_owned).into(), ..request };
    let mut again = Simulated { runs: 0, ..simulated };
    assert_eq!(super::tests::plan(&fixed, &mut again).prices.len(), 1);
}

#[test]
fn longer_runs_have_longer_contexts() {
    let with = |seconds, request: Request| {
        plan(&Request { seconds, ..request }, &mut Simulated::new()).choice().config.context
    };
    assert!(with(180.0, request()) <= with(3600.0, request()));
    assert!(with(3600.0, request()) < with(1e6, request()));
    assert_eq!(with(1e6, Request { text: 5000, held_back: 500, ..request() }), 64);
    let mut fixed = Request { fixed: ["context".to_owned()].into(), ..request() };
    fixed.config.context = 80;
    assert_eq!(with(600.0, fixed), 80);
}

/// The entropy of a text, if it is known, is what a law without it finds, too.
#[test]
fn a_known_entropy_is_found() {
    let request = Request { entropy: Some(LAW.e), seconds: 86_400.0, ..request() };
    let plan = plan(&request, &mut Simulated { noise: 0.0, ..Simulated::new() });
    assert_eq!(plan.law.law.e, LAW.e);
    let free = plan.free.unwrap().law.e;
    assert!((free / LAW.e - 1.0).abs() < 0.2, "{free}");
}

#[test]
fn small_memories_and_short_times_are_refused_in_words() {
    let make = |request: &Request| Plan::make(request, &mut Simulated::new(), &mut |_| {});
    let error = make(&Request { seconds: 0.5, ..request() }).unwrap_err();
    assert!(matches!(error, PlanError::Time { .. }), "{error}");
    let error = make(&Request { memory: 49_000_000, ..request() }).unwrap_err();
    assert!(error.to_string().contains("--memory"), "{error}");
    // A memory for small models only: the best of these.
    let whole = make(&request()).unwrap();
    let most = whole.choice().bytes - 1;
    let small = make(&Request { memory: most, ..request() }).unwrap();
    assert!(small.choice().bytes <= most && small.choice().parameters < whole.choice().parameters);
    // A text of a few hundred tokens has a context that fits.
    let tiny = make(&Request { text: 600, held_back: 66, ..request() }).unwrap();
    assert!(tiny.choice().config.context <= 33);
}

#[test]
fn a_pilot_that_diverges_is_an_error() {
    struct Diverging;
    impl Trials for Diverging {
        type Error = String;
        fn step(&mut self, _: &TrainingConfig) -> Result<f64, String> {
            Ok(1e-3)
        }
        fn train(&mut self, _: &TrainingConfig, _: f64, _: usize) -> Result<Trained, String> {
            Ok(Trained { loss: f64::NAN, seconds: 1.0, step: 1e-3 })
        }
    }
    let error = Plan::make(&request(), &mut Diverging, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("lower --learning-rate"), "{error}");
}
