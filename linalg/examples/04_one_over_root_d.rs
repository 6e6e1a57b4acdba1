//! Why attention divides by √d: the size of a dot product by the width of a head, and its effect on softmax.
//!
//! `cargo run -p glassbox-linalg --example 04_one_over_root_d`

use linalg::{Error, scaled_dot::scaled_dot, vector};

/// Standard normal numbers by Box and Muller, from an xorshift generator.
struct Normal(u64);

impl Normal {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn vector(&mut self, d: usize) -> Vec<f64> {
        let mut one = || {
            let (u, v) = (self.uniform(), self.uniform());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        (0..d).map(|_| one()).collect()
    }
}

/// Returns the largest softmax weight of some scores.
fn largest_weight(scores: &[f64]) -> f64 {
    let most = vector::maximum(scores);
    1.0 / scores.iter().map(|s| (s - most).exp()).sum::<f64>()
}

fn main() -> Result<(), Error> {
    let (mut normal, pairs, keys) = (Normal(42), 4000, 16);
    println!("                   deviation of          largest of {keys} weights");
    println!("   d      √d       q·k      q·k/√d       of q·k    of q·k/√d");
    for d in [1_usize, 8, 64, 512] {
        let (mut plain, mut scaled, mut sharp, mut soft) = (0.0, 0.0, 0.0, 0.0);
        let queries = pairs / keys;
        for _ in 0..queries {
            let q = normal.vector(d);
            let k: Vec<_> = (0..keys).map(|_| normal.vector(d)).collect();
            let dots: Vec<f64> = k.iter().map(|k| vector::dot(&q, k)).collect();
            let scores = k.iter().map(|k| scaled_dot(&q, k)).collect::<Result<Vec<_>, _>>()?;
            plain += vector::dot(&dots, &dots);
            scaled += vector::dot(&scores, &scores);
            sharp += largest_weight(&dots);
            soft += largest_weight(&scores);
        }
        let (n, queries) = ((queries * keys) as f64, queries as f64);
        println!(
            "{d:>4}   {:>6.2}   {:>7.2}   {:>7.3}       {:>8.4}     {:>8.4}",
            (d as f64).sqrt(),
            (plain / n).sqrt(),
            (scaled / n).sqrt(),
            sharp / queries,
            soft / queries
        );
    }
    println!(
        "\nThe deviation of q·k is √d. Where it is large one key takes all the weight and the gradient"
    );
    println!(
        "of softmax, p·(1 − p), vanishes; divided by √d the scores stay of size one at any width."
    );
    Ok(())
}
