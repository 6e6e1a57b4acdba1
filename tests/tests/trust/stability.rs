//! The limit of stability against training itself: the learning rate at which the loss really rises,
//! beside 2/λ_max of the Hessian, and beside its preconditioned form under Adam.
//!
//! The limit is a statement about one point: on the quadratic that touches the loss there, descent along the
//! sharpest direction grows above it and shrinks below it. It says nothing of a start far from any minimum, from
//! which training may jump to a flatter place and go on (a *catapult*: Lewkowycz et al., *The Large Learning Rate
//! Phase of Deep Learning*, 2020). So this is measured:
//!
//! 1. One batch for ever, so that the loss is one function. Every context in it has every token as a target
//!    once and one of them more often, so that the loss has a minimum at finite weights.
//! 2. *Settle.* Plain descent at a quarter of the limit, which is measured anew every 400 of 4000 steps; Adam
//!    (β₂ = 0.999, so that 100 steps leave the preconditioner nearly as it is) at a rate of 10⁻³ for 2000 steps.
//!    What the limit still changes over the last tenth of that is printed.
//! 3. The limit there, by [`stability`], as `diagnose` and the health report state it.
//! 4. From that state training goes on at another rate, 200 steps (Adam: 100). It *diverges* if the loss ever
//!    rises more than 0.1 % above its lowest so far: below the limit descent never climbs. The lowest such rate
//!    is bisected to 2 %.
//!
//! An earlier criterion, 1 % above the value at step 3, was given up: where training has not settled to the
//! last digit the loss still falls, and hides what climbs. `docs/FAILURES.md` has what both, and others before, measured.

use calculus::optimizer::OptimizerConfig;
use std::sync::Arc;
use tests::draw;
use transformer::inspect::diagnose::{Course, Recipe, State, stability};
use transformer::{Architecture, Form, ModelStep, RecordedStep};

/// Tokens of a sequence.
const LENGTH: usize = 8;
/// Rates are sought up to this many limits.
const MOST: f64 = 16.0;

/// Sizes and a seed.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    layers: usize,
    width: usize,
    heads: usize,
    contexts: usize,
    vocabulary: usize,
    seed: u64,
}

const fn sizes(
    layers: usize,
    width: usize,
    heads: usize,
    contexts: usize,
    vocabulary: usize,
    seed: u64,
) -> Sizes {
    Sizes { layers, width, heads, contexts, vocabulary, seed }
}

const CASES: [Sizes; 6] = [
    sizes(1, 8, 1, 2, 4, 1),
    sizes(1, 16, 2, 2, 5, 2),
    sizes(2, 8, 2, 3, 3, 3),
    sizes(2, 16, 4, 2, 6, 4),
    sizes(1, 12, 3, 3, 4, 5),
    sizes(3, 8, 1, 2, 5, 6),
];

impl Sizes {
    /// The step on its one batch, and fresh weights.
    fn step(self) -> (ModelStep<'static>, State) {
        let Sizes { layers, width, heads, contexts, vocabulary, seed } = self;
        let hidden = 4 * width;
        let config = Architecture {
            vocabulary,
            context: LENGTH,
            width,
            heads,
            layers,
            hidden,
            ..Architecture::default()
        };
        // Every sequence once for each token as its target, and as often with targets of its own.
        let copies = 2 * vocabulary;
        let n = contexts * LENGTH;
        let tokens = draw::below(seed, n, vocabulary).repeat(copies);
        let mut targets: Vec<u32> =
            (0..vocabulary as u32).flat_map(|token| vec![token; n]).collect();
        targets.extend(draw::below(seed + 50, n, vocabulary).repeat(vocabulary));
        let batches = Arc::new(move |_| (tokens.clone(), targets.clone()));
        let mut model =
            RecordedStep::<f32>::record_forward_only(&config, 1, 1, Form::Fused).expect("valid");
        model.initialise(seed);
        // Larger than GPT-2's deviation: models this narrow learn nothing from 0.02.
        let large = |p: &f32| if *p == 1.0 { 1.0 } else { 10.0 * p };
        let start = State::start(model.tape().parameters().iter().map(large).collect());
        let sequences = copies * contexts;
        let references = None;
        (
            ModelStep {
                config,
                sequences,
                length: LENGTH,
                seed,
                batches,
                references,
                teacher: None,
            },
            start,
        )
    }
}

/// The loss before each of so many steps at a constant rate; it ends where one is not finite.
fn losses(step: &ModelStep<'_>, state: &State, recipe: &Recipe, steps: usize) -> Vec<f64> {
    let mut course = Course::from(step, recipe, state).expect("valid");
    let mut losses = vec![];
    for _ in 0..steps {
        let taken = course.step().expect("valid");
        losses.push(if taken.origin.is_some() { f64::NAN } else { taken.loss });
        if losses.last().is_some_and(|l| l.is_nan()) {
            break;
        }
    }
    losses
}

fn at(recipe: &Recipe, rate: f64) -> Recipe {
    Recipe { schedule: Recipe::sgd(rate).schedule, ..recipe.clone() }
}

fn rises(losses: &[f64]) -> bool {
    let mut lowest = f64::INFINITY;
    losses.iter().any(|l| {
        lowest = lowest.min(*l);
        l.is_nan() || *l > 1.001 * lowest
    })
}

/// The lowest rate at which the loss rises, over the limit, to 2 %; ∞ where it does not up to [`MOST`].
fn lowest(
    step: &ModelStep<'_>,
    state: &State,
    recipe: &Recipe,
    (limit, steps): (f64, usize),
) -> f64 {
    let is_bad = |ratio: f64| rises(&losses(step, state, &at(recipe, ratio * limit), steps));
    // Up by a quarter from far below, so that an island of calm above is not mistaken for the coast.
    let mut high = 0.25;
    while !is_bad(high) {
        high *= 1.25;
        if high > MOST {
            return f64::INFINITY;
        }
    }
    let mut low = high / 1.25;
    while high / low > 1.02 {
        let middle = (low * high).sqrt();
        if is_bad(middle) { high = middle } else { low = middle }
    }
    high
}

fn limit(step: &ModelStep<'_>, state: &State, recipe: &Recipe) -> f64 {
    stability(step, state, recipe).expect("valid").expect("small enough").limit
}

/// Trains until it has settled; the state, and the change of the limit over the last tenth.
fn settle(step: &ModelStep<'_>, start: &State, recipe: &Recipe) -> (State, f64) {
    let (mut state, mut change) = (start.clone(), f64::NAN);
    let descends = !recipe.optimizer.kind.normalises();
    let mut before = limit(step, &state, recipe);
    for _ in 0..10 {
        let rate = if descends { before / 4.0 } else { 1e-3 };
        let mut course = Course::from(step, &at(recipe, rate), &state).expect("valid");
        for _ in 0..if descends { 400 } else { 200 } {
            course.step().expect("valid");
        }
        state = course.state();
        let now = limit(step, &state, recipe);
        (change, before) = (now / before - 1.0, now);
    }
    (state, change)
}

/// Measures all cases and prints the table; those outside the factor.
fn sweep(recipe: &Recipe, steps: usize, factor: f64) -> Vec<String> {
    let mut misses = vec![];
    println!("{:<36} {:>9} {:>9} {:>9}", "sizes", "limit", "settled", "ratio");
    for case in CASES {
        let (step, start) = case.step();
        let (state, change) = settle(&step, &start, recipe);
        let bound = limit(&step, &state, recipe);
        let ratio = lowest(&step, &state, recipe, (bound, steps));
        let Sizes { layers, width, heads, contexts, vocabulary, .. } = case;
        let name =
            format!("{layers} layers, width {width}, {heads} heads, {contexts}×{vocabulary}");
        println!("{name:<36} {bound:>9.4} {:>+8.1}% {ratio:>9.3}", 100.0 * change);
        if !(1.0 / factor..factor).contains(&ratio) {
            misses.push(format!("{name}: {ratio:.3}"));
        }
    }
    misses
}

/// `cargo test -p tests --test trust stability -- --ignored --nocapture --test-threads 1`
#[test]
#[ignore = "slow: some hundred short trainings"]
fn plain_descent_diverges_at_two_over_the_largest_eigenvalue() {
    let misses = sweep(&Recipe::sgd(0.0), 200, 1.5);
    assert!(CASES.len() - misses.len() >= 5 && misses.is_empty(), "misses: {misses:?}");
}

#[test]
#[ignore = "slow: some hundred short trainings"]
fn adam_diverges_at_its_preconditioned_limit() {
    let optimizer = OptimizerConfig { beta2: 0.999, ..OptimizerConfig::default() };
    let misses = sweep(&Recipe { optimizer, ..Recipe::adam(0.0) }, 100, 2.0);
    assert!(misses.is_empty(), "misses: {misses:?}");
}
