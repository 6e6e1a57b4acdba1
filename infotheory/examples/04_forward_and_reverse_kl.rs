//! Fits one mode to a target with two: forward KL covers both modes, reverse KL seeks one.
//!
//! `cargo run --release -p glassbox-infotheory --example 04_forward_and_reverse_kl`

use infotheory::divergence::{jensen_shannon, kl, reverse_kl};
use infotheory::{InfoError, Nats};

const PLACES: usize = 41;

/// A Gaussian on −4, −3.8, …, 4, normalised.
fn bump(mean: f64, deviation: f64) -> Vec<f64> {
    let place = |i: usize| (i as f64 - 20.0) / 5.0;
    let weight = |i| (-((place(i) - mean) / deviation).powi(2) / 2.0_f64).exp().max(1e-300);
    let weights: Vec<f64> = (0..PLACES).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

type Divergence = fn(&[f64], &[f64]) -> Result<Nats, InfoError>;

fn main() -> Result<(), InfoError> {
    let (left, right) = (bump(-2.0, 0.5), bump(2.0, 0.5));
    let target: Vec<f64> = left.iter().zip(&right).map(|(a, b)| 0.45 * a + 0.55 * b).collect();
    picture("the target", &target);
    let divergences: [(&str, Divergence); 3] = [
        ("forward KL(P‖Q)", kl),
        ("reverse KL(Q‖P)", reverse_kl),
        ("Jensen–Shannon", jensen_shannon),
    ];
    for (name, divergence) in divergences {
        let mut best = (Nats(f64::INFINITY), 0.0, 0.0);
        for mean in (-40..=40).map(|m| f64::from(m) / 10.0) {
            for deviation in (3..=40).map(|d| f64::from(d) / 10.0) {
                let nats = divergence(&target, &bump(mean, deviation))?;
                if nats < best.0 {
                    best = (nats, mean, deviation);
                }
            }
        }
        let (nats, mean, deviation) = best;
        picture(
            &format!("{name}: {nats:.3} at mean {mean}, deviation {deviation}"),
            &bump(mean, deviation),
        );
    }
    Ok(())
}

fn picture(name: &str, p: &[f64]) {
    println!("\n{name}");
    let highest = p.iter().copied().fold(0.0, f64::max);
    for row in (1..=5).rev() {
        let mark = |p: &f64| if *p >= highest * (f64::from(row) - 0.5) / 5.0 { '█' } else { ' ' };
        println!("  {}", p.iter().map(mark).collect::<String>());
    }
}
