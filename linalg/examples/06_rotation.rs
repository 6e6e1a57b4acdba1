//! A position as an angle: scores of a rotated query and rotated keys depend only on the distance.
//!
//! `cargo run -p glassbox-linalg --example 06_rotation`

use linalg::rotation::{Pairs, frequency, rotate};
use linalg::{Error, norm, vector};

const WIDTH: usize = 64;
const BASE: f64 = 1e4;

fn main() -> Result<(), Error> {
    let turn = |x: &[f64], position: f64| rotate(x, position, BASE, Pairs::Halves);
    let q: Vec<f64> = (0..WIDTH).map(|i| (i as f64 * 0.7).sin()).collect();
    let k: Vec<f64> = (0..WIDTH).map(|i| (i as f64 * 0.7 + 0.3).sin()).collect();

    println!("distance   score at 0   at 100       at 10,000    largest difference");
    for distance in [0.0, 1.0, 2.0, 5.0, 20.0, 100.0, 1000.0] {
        let score = |start: f64| -> Result<f64, Error> {
            Ok(vector::dot(&turn(&q, start + distance)?, &turn(&k, start)?))
        };
        let scores = [score(0.0)?, score(100.0)?, score(10_000.0)?];
        let spread = scores.iter().fold(0.0_f64, |most, s| most.max((s - scores[0]).abs()));
        println!(
            "{distance:>8}   {:>10.6}   {:>10.6}   {:>10.6}   {spread:.1e}",
            scores[0], scores[1], scores[2]
        );
    }
    println!(
        "\n‖q‖ = {:.12}, and rotated to position 12345 {:.12}",
        norm::l2(&q),
        norm::l2(&turn(&q, 12345.0)?)
    );
    println!("\npair   radians a token   tokens a turn");
    for i in [0, 1, 8, 16, 24, 31] {
        let frequency = frequency(i, WIDTH, BASE);
        println!("{i:>4}   {frequency:<15.3e}   {:.1}", std::f64::consts::TAU / frequency);
    }
    Ok(())
}
