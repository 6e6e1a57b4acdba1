//! Stationary points and their kinds: all of Himmelblau's function, and how rare minima are in many dimensions.
//!
//!     cargo run --release -p glassbox-calculus --example 06_saddles

use calculus::landscape::{Field, Himmelblau};
use calculus::stationary::{Kind, classify, classify_at};
use calculus::{gradient, hessian};
use linalg::Matrix;

/// Finds stationary points of every kind by Newton's method: x ← x − H⁻¹·g.
fn newton(mut x: [f64; 2]) -> Option<[f64; 2]> {
    for _ in 0..50 {
        let slope = gradient(|x| Himmelblau.at(x), &x);
        let h = hessian(|x| Himmelblau.at(x), &x);
        let step = h.lu().solve(&nalgebra::DVector::from_vec(slope))?;
        x = [x[0] - step[0], x[1] - step[1]];
    }
    x.iter().all(|x| x.is_finite()).then_some(x)
}

fn main() {
    println!("Stationary points of (x² + y − 11)² + (x + y² − 7)²:\n");
    let mut found: Vec<[f64; 2]> = Vec::new();
    for i in 0..=20 {
        for j in 0..=20 {
            let start = [f64::from(i) * 0.5 - 5.0, f64::from(j) * 0.5 - 5.0];
            let Some(x) = newton(start) else { continue };
            let known = |y: &[f64; 2]| (x[0] - y[0]).hypot(x[1] - y[1]) < 1e-6;
            if !found.iter().any(known) {
                found.push(x);
            }
        }
    }
    found.sort_by(|a, b| Himmelblau.at(a).total_cmp(&Himmelblau.at(b)));
    for x in &found {
        match classify_at(|x| Himmelblau.at(x), x, 1e-6) {
            Ok(point) => println!(
                "({:+.4}, {:+.4})  f = {:>8.4}  curvatures {:>7.2} {:>7.2}  {:?}",
                x[0],
                x[1],
                Himmelblau.at(x),
                point.curvatures[0],
                point.curvatures[1],
                point.kind
            ),
            Err(what) => println!("({:+.4}, {:+.4})  {what}", x[0], x[1]),
        }
    }

    println!("\nSymmetric n × n Hessians of evenly spread numbers, 1000 of each:\n");
    println!("n    minima   maxima   saddles");
    let mut drawn = 0.0;
    let mut next = || {
        drawn += 1.0;
        2.0 * (drawn * drawn * 0.5 * (5.0_f64.sqrt() - 1.0)).fract() - 1.0
    };
    for n in [1, 2, 3, 4, 6, 8] {
        let mut count = [0, 0, 0];
        for _ in 0..1000 {
            let a = Matrix::from_fn(n, n, |_, _| next());
            match classify(&(&a + a.transpose())).map(|point| point.kind) {
                Ok(Kind::Minimum) => count[0] += 1,
                Ok(Kind::Maximum) => count[1] += 1,
                Ok(Kind::Saddle { .. }) => count[2] += 1,
                _ => {}
            }
        }
        println!("{n:<4} {:<8} {:<8} {}", count[0], count[1], count[2]);
    }
}
