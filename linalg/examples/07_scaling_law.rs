//! A scaling law as a straight line: ln L = a + b·ln N through the losses of seven models, with standard errors, and what it
//! predicts for a model ten times as large.
//!
//! `cargo run -p glassbox-linalg --example 07_scaling_law`
//!
//! SciPy 1.17.1's `linregress` on the same logarithms says: intercept 2.7075 ± 0.0071, slope −0.0764 ± 0.0004, and 2.32 nats
//! at 4e10.

use linalg::{from_rows, least_squares::LeastSquares};

/// Parameters (without embeddings) and losses in nats per token.
const MODELS: [(f64, f64); 7] = [
    (1e6, 5.20),
    (4e6, 4.71),
    (1.6e7, 4.23),
    (6.4e7, 3.80),
    (2.6e8, 3.40),
    (1e9, 3.08),
    (4e9, 2.77),
];

fn main() -> Result<(), linalg::Error> {
    let a = from_rows(&MODELS.map(|(size, _)| [1.0, size.ln()]));
    let fit = LeastSquares::of(&a, &MODELS.map(|(_, loss)| loss.ln()))?;
    let errors = fit.standard_errors()?;
    println!("       N    loss   fitted   {:32}", "too high by");
    for ((size, loss), residual) in MODELS.iter().zip(&fit.residuals) {
        let fitted = loss * (-residual).exp();
        let bar = "#".repeat((2000.0 * residual.abs()) as usize);
        println!(
            "{size:8.1e}  {loss:6.2}  {fitted:7.3}   {:+.2} %  {bar}",
            100.0 * (residual.exp() - 1.0)
        );
    }
    let names = ["intercept", "exponent"];
    for ((name, x), error) in names.iter().zip(&fit.coefficients).zip(&errors) {
        println!("{name:>9}: {x:8.4} ± {error:.4}");
    }
    let predicted = (fit.coefficients[0] + fit.coefficients[1] * 4e10_f64.ln()).exp();
    println!("a model of 4e10: {predicted:.2} nats ({} degrees of freedom)", fit.freedom());
    Ok(())
}
