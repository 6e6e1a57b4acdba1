//! The limit of stability against training itself: the learning rate at which the loss really rises,
//! beside 2/λ_max of the Hessian, and beside its preconditioned form under Adam.
//!
//! One batch for ever, so that the loss is one function. A model is trained at a low rate until it moves
//! slowly; its curvature gives the limit; from the same state training goes on at rates of a geometric
//! grid, and the lowest at which the loss does not keep what it had won, but rises above its lowest so far,
//! is where it really diverges.

use std::sync::Arc;
use tests::draw;
use transformer::diagnose::{Course, Descent, Recipe, State, stability};
use transformer::{Form, Gpt2, Gpt2Config, GptStep};

/// Layers, width, heads, sequences, vocabulary, seed.
const CASES: [(usize, usize, usize, usize, usize, u64); 6] = [
    (1, 8, 1, 2, 7, 1),
    (1, 16, 2, 2, 11, 2),
    (2, 8, 2, 3, 5, 3),
    (2, 16, 4, 2, 13, 4),
    (1, 12, 3, 4, 9, 5),
    (3, 8, 1, 2, 6, 6),
];

fn step(case: (usize, usize, usize, usize, usize, u64)) -> (GptStep<'static>, State) {
    let (layers, width, heads, sequences, vocabulary, seed) = case;
    let length = 8;
    let config = Gpt2Config {
        vocabulary,
        context: length,
        width,
        heads,
        layers,
        hidden: 4 * width,
        ..Gpt2Config::default()
    };
    let n = sequences * length;
    let (tokens, targets) =
        (draw::below(seed, n, vocabulary), draw::below(seed + 50, n, vocabulary));
    let batches = Arc::new(move |_| (tokens.clone(), targets.clone()));
    let mut model = Gpt2::<f32>::record_forward_only(&config, 1, 1, Form::Fused).expect("valid");
    model.initialise(seed);
    // Larger than GPT-2's deviation: models this narrow learn nothing from 0.02.
    let large = |p: &f32| if *p == 1.0 { 1.0 } else { 10.0 * p };
    let start = State::start(model.tape().parameters().iter().map(large).collect());
    (GptStep { config, sequences, length, seed, batches }, start)
}

/// Whether the loss rises by more than 2 % above its lowest so far within so many steps at this rate.
fn rises(step: &GptStep<'_>, state: &State, recipe: &Recipe, steps: usize) -> bool {
    let mut course = Course::from(step, recipe, state).expect("valid");
    let mut lowest = f64::INFINITY;
    (0..steps).any(|_| {
        let loss = course.step().expect("valid").loss;
        lowest = lowest.min(loss);
        loss.is_nan() || loss > 1.02 * lowest
    })
}

fn at(recipe: &Recipe, rate: f64) -> Recipe {
    Recipe { schedule: Recipe::sgd(rate).schedule, ..recipe.clone() }
}

/// The predicted limit over the rate at which the loss really rises.
fn compare(
    case: (usize, usize, usize, usize, usize, u64),
    recipe: &Recipe,
    calm: u64,
) -> (f64, f64) {
    let (step, start) = step(case);
    let mut course = Course::from(&step, recipe, &start).expect("valid");
    for _ in 0..calm {
        course.step().expect("valid");
    }
    let state = course.state();
    let limit = stability(&step, &state, recipe).expect("valid").expect("small").limit;
    let mut rate = limit / 6.0;
    while !rises(&step, &state, &at(recipe, rate), 120) && rate < 8.0 * limit {
        rate *= 1.1;
    }
    (limit, rate)
}

#[test]
#[ignore = "unproved: not yet run with this criterion of divergence"]
fn plain_descent_diverges_at_two_over_the_largest_eigenvalue() {
    let mut misses = vec![];
    for case in CASES {
        let (limit, rate) = compare(case, &Recipe::sgd(0.02), 200);
        println!("{case:?}: 2/λ = {limit:.4}, diverges at {rate:.4}, ratio {:.3}", rate / limit);
        if !(limit / 1.5..limit * 1.5).contains(&rate) {
            misses.push(case);
        }
    }
    assert!(misses.is_empty(), "misses: {misses:?}");
}

#[test]
#[ignore = "unproved: not yet run with this criterion of divergence"]
fn adam_diverges_at_its_preconditioned_limit() {
    let recipe = Recipe {
        descent: Descent::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0 },
        ..Recipe::adam(1e-3)
    };
    let mut misses = vec![];
    for case in CASES {
        let (limit, rate) = compare(case, &recipe, 150);
        println!("{case:?}: limit {limit:.5}, diverges at {rate:.5}, ratio {:.3}", rate / limit);
        if !(limit / 2.0..limit * 2.0).contains(&rate) {
            misses.push(case);
        }
    }
    assert!(misses.is_empty(), "misses: {misses:?}");
}
