//! Three ways to compute one derivative: differences, dual numbers, reverse mode; their errors and costs.
//!
//!     cargo run --release -p glassbox-calculus --example 02_routes_to_a_derivative

use calculus::check::difference_step;
use calculus::landscape::{Field, Rosenbrock};
use calculus::{derivative, gradient, jacobian, trace};
use linalg::Real;

fn wave<T: Real>(x: T) -> T {
    x.sin() * x.exp() // derivative (sin x + cos x)·eˣ
}

fn main() {
    let x = 1.0_f64;
    let exact = (x.sin() + x.cos()) * x.exp();
    println!("d/dx sin x·eˣ at 1 = {exact:.15}\n");
    println!("step h     forward difference   central difference    (off by)");
    for exponent in (0..=14).step_by(2) {
        let h = 10.0_f64.powi(-exponent);
        let forward = (wave(x + h) - wave(x)) / h - exact;
        let central = (wave(x + h) - wave(x - h)) / (2.0 * h) - exact;
        println!("1e-{exponent:<6}   {:<18.1e}   {:.1e}", forward.abs(), central.abs());
    }
    let h = difference_step(x);
    let best = (wave(x + h) - wave(x - h)) / (2.0 * h) - exact;
    println!("{h:.1e}    {:<18}   {:.1e}   (the step that balances both errors)", "", best.abs());
    let dual = derivative(wave, x) - exact;
    let reverse = gradient(|v| wave(v[0]), &[x])[0] - exact;
    println!("\nno step: dual numbers {:.1e}, reverse mode {:.1e}\n", dual.abs(), reverse.abs());

    println!("The list that reverse mode reads from below:\n{}", trace(|v| wave(v[0]), &[x]));

    println!("n      runs of f, forward   reverse   operations recorded   gradients differ by");
    for n in [2, 8, 32, 128] {
        let x: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
        let list = trace(|v| Rosenbrock.at(v), &x);
        let forward = jacobian(|v| vec![Rosenbrock.at(v)], &x);
        let reverse = list.gradient(&[1.0]);
        let off = forward.iter().zip(&reverse).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
        println!("{n:<6} {n:<20} {:<9} {:<21} {off:.1e}", 1, list.len() - n);
    }
}
