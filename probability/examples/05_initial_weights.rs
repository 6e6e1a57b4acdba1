//! The size of a signal through fifty layers, for each rule of initialisation.
//!
//! `cargo run --release -p glassbox-probability --example 05_initial_weights`

use linalg::Matrix;
use probability::initialise::Initialiser;
use probability::{ProbabilityError, Random};

const WIDTH: usize = 128;
const TOKENS: usize = 16;

fn main() -> Result<(), ProbabilityError> {
    println!("Root mean square after so many layers of {WIDTH} features:\n");
    println!("{:<28} {:>9} {:>9} {:>9} {:>9} {:>9}", "", 1, 5, 10, 25, 50);
    let too_small = Initialiser::Normal(0.5 / (WIDTH as f64).sqrt());
    let too_large = Initialiser::Normal(2.0 / (WIDTH as f64).sqrt());
    let relu = |x: f64| x.max(0.0);
    row("half of Xavier, linear", too_small, |x| x)?;
    row("twice Xavier, linear", too_large, |x| x)?;
    row("Xavier, linear", Initialiser::XavierNormal, |x| x)?;
    row("Xavier, tanh", Initialiser::XavierUniform, f64::tanh)?;
    row("Xavier, ReLU", Initialiser::XavierNormal, relu)?;
    row("Kaiming, ReLU", Initialiser::KaimingNormal, relu)?;

    println!(
        "\nThe residual stream after so many layers of two projections each, inputs of size 1:\n"
    );
    stream("GPT-2 without 1/√2N", |_| Initialiser::RecordedStep)?;
    stream("GPT-2 with 1/√2N", |layers| Initialiser::Gpt2Residual { layers })?;
    Ok(())
}

fn row(name: &str, rule: Initialiser, f: impl Fn(f64) -> f64) -> Result<(), ProbabilityError> {
    let random = Random::new(1, 0, 0);
    let mut x: Matrix<f64> =
        Matrix::from_fn(WIDTH, TOKENS, |i, j| random.normal((i + WIDTH * j) as u64));
    print!("{name:<28}");
    for layer in 1..=50 {
        x = rule.weights::<f64>(WIDTH, WIDTH, &Random::new(2, layer, 0), 0)? * x;
        x.apply(|x| *x = f(*x));
        if [1, 5, 10, 25, 50].contains(&layer) {
            print!(" {:9.1e}", size(&x));
        }
    }
    println!();
    Ok(())
}

fn stream(name: &str, rule: impl Fn(usize) -> Initialiser) -> Result<(), ProbabilityError> {
    print!("{name:<28}");
    for layers in [1, 6, 12, 24, 48] {
        let mut x: Matrix<f64> = Matrix::zeros(WIDTH, TOKENS);
        for k in 0..2 * layers as u32 {
            let (weights, input) = (Random::new(3, k, 0), Random::new(4, k, 0));
            let read: Matrix<f64> =
                Matrix::from_fn(WIDTH, TOKENS, |i, j| input.normal((i + WIDTH * j) as u64));
            x += rule(layers).weights::<f64>(WIDTH, WIDTH, &weights, 0)? * read;
        }
        print!("  {layers:>2}: {:.3}", size(&x));
    }
    println!();
    Ok(())
}

fn size(x: &Matrix<f64>) -> f64 {
    (x.norm_squared() / x.len() as f64).sqrt()
}
