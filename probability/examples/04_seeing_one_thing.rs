//! Gaussian conditioning three times: regression with error bars, the posterior of a diffusion step, a filter.
//!
//! `cargo run -p glassbox-probability --example 04_seeing_one_thing`
//!
//! One formula gives all three: E[X | y] = µ + Σ_XY·Σ_Y⁻¹·(y − µ_Y), and a covariance that never grows.

use linalg::Matrix;
use probability::{MultivariateGaussian, ProbabilityError};

fn main() -> Result<(), ProbabilityError> {
    println!("1. The textbook's pair: Σ = [[2, 1.2], [1.2, 1.5]], the second is seen to be 1.");
    let pair =
        MultivariateGaussian::new(&[0.0, 0.0], &linalg::matrix(2, 2, &[2.0, 1.2, 1.2, 1.5]))?;
    let first = pair.given(&[1], &[1.0])?;
    println!("   mean {:.3}, variance {:.3} (was 2)\n", first.mean()[0], first.covariance()[0]);

    println!(
        "2. A Gaussian process: sin x seen at five places, believed everywhere; ± two deviations."
    );
    let places: Vec<f64> = (0..=24).map(|i| f64::from(i) * 0.25).collect();
    // Close places have similar values: covariance e^(−d²/2), plus a small measurement noise.
    let kernel = |i: usize, j: usize| {
        (-(places[i] - places[j]).powi(2) / 2.0).exp() + if i == j { 1e-4 } else { 0.0 }
    };
    let n = places.len();
    let prior = MultivariateGaussian::new(&vec![0.0; n], &Matrix::from_fn(n, n, kernel))?;
    let seen = [2, 7, 10, 18, 20];
    let values: Vec<f64> = seen.iter().map(|&i| places[i].sin()).collect();
    let posterior = prior.given(&seen, &values)?;
    let hidden: Vec<usize> = (0..n).filter(|i| !seen.contains(i)).collect();
    for i in (0..n).step_by(2) {
        let x = places[i];
        match hidden.iter().position(|&h| h == i) {
            Some(k) => {
                let (mean, error) =
                    (posterior.mean()[k], 2.0 * posterior.covariance()[(k, k)].sqrt());
                println!("   x = {x:4.2}: {mean:6.3} ± {error:5.3}   sin x = {:6.3}", x.sin());
            }
            None => println!("   x = {x:4.2}: seen"),
        }
    }

    println!(
        "\n3. Diffusion: x_t = √ᾱ·x₀ + √(1 − ᾱ)·ε. What does x_t = 1.5 say about x₀ ~ N(0, 1)?"
    );
    for alpha_bar in [0.99_f64, 0.5, 0.1] {
        let cross = alpha_bar.sqrt(); // Cov(x₀, x_t); x_t has variance 1
        let both = MultivariateGaussian::new(
            &[0.0, 0.0],
            &linalg::matrix(2, 2, &[1.0, cross, cross, 1.0]),
        )?;
        let start = both.given(&[1], &[1.5])?;
        println!(
            "   ᾱ = {alpha_bar:4.2}: x₀ ~ N({:.3}, {:.3})",
            start.mean()[0],
            start.covariance()[0]
        );
    }

    println!(
        "\n4. Kalman's filter: a place that drifts (variance 0.1 a step) is measured (variance 0.5)."
    );
    let (mut mean, mut variance) = (0.0, 1.0);
    for measured in [0.9, 1.3, 0.8, 1.1, 1.0] {
        variance += 0.1;
        let covariance = linalg::matrix(2, 2, &[variance, variance, variance, variance + 0.5]);
        let place =
            MultivariateGaussian::new(&[mean, mean], &covariance)?.given(&[1], &[measured])?;
        (mean, variance) = (place.mean()[0], place.covariance()[0]);
        println!("   measured {measured:4.1}: believed {mean:5.3} ± {:.3}", variance.sqrt());
    }
    Ok(())
}
