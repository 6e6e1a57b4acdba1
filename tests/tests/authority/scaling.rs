//! The scaling law of Chinchilla's points: `../shared/data/scaling`, by Besiroglu et al. 2024.

use tests::outside_data;
use transformer::inspect::plan::{Known, Point, ScalingLaw};

/// *Chinchilla Scaling: A replication attempt* (2404.10102): 240 of 245 points, without the five highest losses; objective
/// 0.00101827, A 482.01, B 2085.43, E 1.81686, α 0.347813, β 0.365854, with standard errors 124.58, 1293.23, 0.03, 0.02, 0.02.
///
/// Those numbers lie in a flat valley and are not its lowest point: SciPy's Nelder-Mead, begun there, ends where L-BFGS does.
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
    let points = &points[5..];
    let found = ScalingLaw::fit(points, Known::default(), 0).unwrap();
    println!("{found:?}");
    assert!((found.objective - 0.00101827).abs() < 5e-9, "{}", found.objective);
    let ScalingLaw { e, a, alpha, b, beta } = found.law;
    // Nelder-Mead's digits.
    let minimum = [477.8258, 2143.417, 1.8172181, 0.3473105, 0.3671724];
    for (x, expected) in [a, b, e, alpha, beta].iter().zip(minimum) {
        assert!((x / expected - 1.0).abs() < 1e-6, "{x}, not {expected}");
    }
    // The published numbers, to a tenth of their standard errors; their losses, to 0.1 %.
    let published =
        ScalingLaw { e: 1.81686, a: 482.01, alpha: 0.347813, b: 2085.43, beta: 0.365854 };
    let errors = [124.58, 1293.23, 0.03, 0.02, 0.02];
    let theirs = [published.a, published.b, published.e, published.alpha, published.beta];
    for ((x, published), error) in [a, b, e, alpha, beta].iter().zip(theirs).zip(errors) {
        assert!((x - published).abs() < 0.1 * error, "{x}, published {published} ± {error}");
    }
    for p in points {
        let ratio = found.law.loss(p.parameters, p.tokens) / published.loss(p.parameters, p.tokens);
        assert!((ratio - 1.0).abs() < 1e-3, "{p:?}: {ratio}");
    }
}
