//! The largest eigenvalue of a closure, iteration by iteration: Lanczos against power iteration against the closed form.
//!
//! `cargo run -p glassbox-linalg --example 05_lanczos`

use linalg::Error;
use linalg::krylov::{End, Lanczos, power_iteration, start_vector};

const N: usize = 1000;

/// Computes second differences of 1000 points. The matrix is never stored: 2998 of its million elements are nonzero.
fn laplacian(x: &[f64], y: &mut [f64]) {
    for i in 0..N {
        let before = if i == 0 { 0.0 } else { x[i - 1] };
        let after = if i + 1 == N { 0.0 } else { x[i + 1] };
        y[i] = 2.0 * x[i] - before - after;
    }
}

/// Returns λₖ = 2 − 2·cos(kπ/(n + 1)).
fn exact(k: usize) -> f64 {
    2.0 - 2.0 * (k as f64 * std::f64::consts::PI / (N + 1) as f64).cos()
}

fn main() -> Result<(), Error> {
    let start = start_vector(N);
    println!("λ_max = {:.12} in closed form\n", exact(N));
    println!("applications   Lanczos          error     bound     power iteration  error");
    for iterations in [5, 10, 20, 40, 80, 160, 320] {
        let method = Lanczos { end: End::Both, iterations, tolerance: 1e-12 };
        let found = method.run(laplacian, &start)?.largest();
        let power = power_iteration(laplacian, &start, iterations, 1e-12)?;
        println!(
            "{iterations:>12}   {:.12}   {:.1e}   {:.1e}   {:.12}   {:.1e}",
            found.value,
            (found.value - exact(N)).abs(),
            found.residual,
            power.value,
            (power.value - exact(N)).abs()
        );
    }
    // A spectrum like that of a trained model's Hessian: one curvature far above the others.
    let hessian = |x: &[f64], y: &mut [f64]| {
        (0..N).for_each(|i| y[i] = x[i] / (i + 1) as f64);
    };
    let found = Lanczos::default().run(hessian, &start)?.largest();
    println!(
        "\nA spectrum 1, ½, ⅓, …, 1/1000: λ_max = {:.12} after {} applications,",
        found.value, found.iterations
    );
    println!("so gradient descent on it is stable below η = {:.6}.", 2.0 / found.value);
    Ok(())
}
