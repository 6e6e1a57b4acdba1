//! The effect of the learning rate: the stability limit η < 2/λmax, its best value, and momentum.
//!
//!     cargo run --release -p glassbox-calculus --example 03_learning_rates

use calculus::landscape::{Bowl, Field};
use calculus::optimizer::{Optimizer, Sgd};
use calculus::stability::{best_rate, factor, limit, sharpness};
use calculus::{Dual, Traced, gradient};

/// The textbook's parabola (2w − 3)².
fn parabola(w: &[Traced<Dual<f64>>]) -> Traced<Dual<f64>> {
    let error = 2.0 * w[0] - 3.0;
    error * error
}

fn main() {
    let curvature = sharpness(parabola, &[1.0]).expect("a parabola has a curvature");
    println!("L = (2w − 3)², curvature {curvature}, stable below {}\n", limit(curvature, 0.0));
    println!("rate     1 − ηλ   w after 1, 2, 3, … 10 steps from 1");
    for rate in [0.01, 0.1, 0.125, 0.2, 0.25, 0.3] {
        let (mut w, mut descent, mut seen) = ([1.0], Sgd::new(1, 0.0), Vec::new());
        for _ in 0..10 {
            let slope = gradient(|w| (2.0 * w[0] - 3.0) * (2.0 * w[0] - 3.0), &w);
            descent.step(rate, &mut w, &slope);
            seen.push(w[0]);
        }
        let factor = factor(rate, curvature);
        println!(
            "{rate:<8} {factor:<8.3} {:.4}  {:.4}  {:.4}  …  {:.8}",
            seen[0], seen[1], seen[2], seen[9]
        );
    }

    println!(
        "\nA valley a hundred times steeper across than along; steps until 10⁻⁶ of the bottom:"
    );
    let valley = [1.0, 100.0];
    let root = |c: f64| c.sqrt();
    let spread = (root(100.0) - 1.0) / (root(100.0) + 1.0);
    for (name, rate, momentum) in [
        ("half the limit", 0.5 * limit(100.0, 0.0), 0.0),
        ("the best rate", best_rate(1.0, 100.0), 0.0),
        ("above the limit", 1.01 * limit(100.0, 0.0), 0.0),
        ("momentum 0.9, half its limit", 0.5 * limit(100.0, 0.9), 0.9),
        ("Polyak's momentum and rate", 4.0 / (1.0 + root(100.0)).powi(2), spread * spread),
    ] {
        let (mut w, mut rule) = ([1.0_f64, 1.0], Sgd::new(2, momentum));
        let steps = (1..=5000).find(|_| {
            let slope = gradient(|w| Bowl(&valley).at(w), &w);
            rule.step(rate, &mut w, &slope);
            w[0].hypot(w[1]) < 1e-6
        });
        let steps = steps.map_or("never".to_owned(), |n| n.to_string());
        println!("{name:<30} η = {rate:.5}, µ = {momentum:.3}: {steps}");
    }
}
