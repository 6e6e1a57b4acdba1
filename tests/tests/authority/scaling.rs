//! The scaling law of Chinchilla's points: `../shared/data/scaling`, by Besiroglu et al. 2024.

use tests::outside_data;
use transformer::inspect::plan::{Point, ScalingLaw};

/// "Chinchilla Scaling: A replication attempt" (2404.10102), table of its fit: 240 of 245 points, without the five
/// highest losses.
#[test]
fn the_law_of_chinchillas_points_is_the_published_one() {
    let Some(path) = outside_data("scaling/chinchilla.csv") else { return };
    let file = std::fs::read_to_string(path).unwrap();
    let numbers =
        |line: &str| line.split(',').map(|x| x.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let of = |line: &str| {
        let x = numbers(line);
        Point { parameters: x[0], tokens: x[1] / (6.0 * x[0]), loss: x[2] }
    };
    let mut points: Vec<Point> = file.lines().skip(1).map(of).collect();
    points.sort_by(|a, b| b.loss.total_cmp(&a.loss));
    assert_eq!(points.len(), 245);
    let found = ScalingLaw::fit(&points[5..], None, 0).unwrap();
    println!("{found:?}");
    let ScalingLaw { e, a, alpha, b, beta } = found.law;
    let digits = |x: f64, published: f64, digits: f64| (x - published).abs() <= digits;
    assert!(digits(e, 1.81686, 2e-5), "E {e}");
    assert!(digits(alpha, 0.347813, 2e-6) && digits(beta, 0.365854, 2e-6), "α {alpha}, β {beta}");
    assert!(digits(a, 482.01, 0.02) && digits(b, 2085.43, 0.1), "A {a}, B {b}");
    assert!(found.objective <= 0.00101864, "{}", found.objective);
}
