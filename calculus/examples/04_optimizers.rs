//! Optimizers on functions with known minima: the height above the minimum after some numbers of steps.
//!
//!     cargo run --release -p glassbox-calculus --example 04_optimizers

use calculus::gradient;
use calculus::landscape::{Field, Himmelblau, Rosenbrock};
use calculus::line_search::Backtracking;
use calculus::optimizer::{Adam, Lion, Nesterov, Optimizer, RmsProp, Sgd};
use calculus::schedule::Schedule;

const STEPS: [u64; 4] = [10, 100, 1000, 10_000];

fn race(name: &str, f: &impl Field, start: [f64; 2], rates: [f64; 6]) {
    println!("{name}, from {start:?}\n");
    println!("{:<18} {:<8} {}", "rule", "rate", STEPS.map(|n| format!("{n:<10}")).concat());
    let rules: [(&str, Box<dyn Optimizer<f64>>); 6] = [
        ("gradient descent", Box::new(Sgd::new(2, 0.0))),
        ("momentum 0.9", Box::new(Sgd::new(2, 0.9))),
        ("Nesterov 0.9", Box::new(Nesterov::new(2, 0.9))),
        ("RMSProp", Box::new(RmsProp::new(2, 0.99, 1e-8))),
        ("Adam", Box::new(Adam::new(2, 0.9, 0.999, 1e-8))),
        ("Lion", Box::new(Lion::new(2, 0.9, 0.99))),
    ];
    for ((name, mut rule), rate) in rules.into_iter().zip(rates) {
        // The rate falls to 0 by the last step, because Lion's steps do not shrink by themselves.
        let schedule = Schedule::Cosine { peak: rate, minimum: 0.0, warmup: 0, total: STEPS[3] };
        let (mut w, mut shown) = (start, String::new());
        for step in 1..=STEPS[3] {
            let slope = gradient(|x| f.at(x), &w);
            rule.step(schedule.rate(step - 1), &mut w, &slope);
            if STEPS.contains(&step) {
                shown += &format!("{:<10.1e}", f.at(&w));
            }
        }
        println!("{name:<18} {rate:<8} {shown}");
    }
    let shown = STEPS.map(|steps| {
        let found = Backtracking::default().minimize(|x| f.at(x), &start, 1e-10, steps as u32);
        found.map_or("-".to_owned(), |found| format!("{:<10.1e}", found.value))
    });
    println!("{:<18} {:<8} {}\n", "line search", "none", shown.concat());
}

fn main() {
    race("Rosenbrock's valley", &Rosenbrock, [-1.2, 1.0], [1e-3, 5e-4, 5e-4, 1e-3, 2e-2, 1e-3]);
    race("Himmelblau's four minima", &Himmelblau, [0.0, 0.0], [1e-2, 2e-3, 2e-3, 1e-2, 5e-2, 1e-2]);
}
