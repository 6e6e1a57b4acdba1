//! Moments of samples, at once and in one pass.

use crate::{EPSILON, close, numbers};
use probability::moments::{
    correlation, covariance, covariance_matrix, mean, population_variance, sample_variance,
};
use probability::running::Running;
use proptest::prelude::*;

/// One rounding for each number, of squares of size up to 4·10⁴.
fn bound(n: usize) -> f64 {
    (2 * n + 16) as f64 * EPSILON * 4e4
}

fn running(x: &[f64]) -> Running<f64> {
    x.iter().copied().collect()
}

proptest! {
    /// Welford's one pass equals two passes.
    #[test]
    fn one_pass_is_two(x in numbers(2..60)) {
        let one = running(&x);
        close(one.mean().unwrap(), mean(&x).unwrap(), bound(x.len()));
        close(one.population_variance().unwrap(), population_variance(&x).unwrap(), bound(x.len()));
        close(one.sample_variance().unwrap(), sample_variance(&x).unwrap(), 2.0 * bound(x.len()));
        prop_assert_eq!(one.count(), x.len() as u64);
    }

    /// Merging is associative and commutative, has a neutral element, and equals the whole.
    #[test]
    fn merging_in_any_order(
        x in numbers(0..30),
        y in numbers(0..30),
        z in numbers(1..30),
    ) {
        let [a, b, c] = [running(&x), running(&y), running(&z)];
        let whole = running(&[x.clone(), y, z].concat());
        let bound = bound(90);
        for merged in [a.merge(&b).merge(&c), a.merge(&b.merge(&c)), c.merge(&a).merge(&b)] {
            prop_assert_eq!(merged.count(), whole.count());
            close(merged.mean().unwrap(), whole.mean().unwrap(), bound);
            close(
                merged.population_variance().unwrap(),
                whole.population_variance().unwrap(),
                2.0 * bound,
            );
        }
        prop_assert_eq!(a.merge(&Running::new()), a);
        prop_assert_eq!(Running::new().merge(&a), a);
    }

    /// Cov is bilinear and symmetric; a shift changes nothing.
    #[test]
    fn covariance_is_bilinear(
        x in numbers(12),
        y in numbers(12),
        z in numbers(12),
        a in -3.0..3.0_f64,
        b in -9.0..9.0_f64,
    ) {
        let mixed: Vec<f64> = x.iter().zip(&y).map(|(x, y)| a * x + y + b).collect();
        let bound = 10.0 * bound(12);
        close(
            covariance(&mixed, &z).unwrap(),
            a * covariance(&x, &z).unwrap() + covariance(&y, &z).unwrap(),
            bound,
        );
        prop_assert_eq!(covariance(&x, &y).unwrap(), covariance(&y, &x).unwrap());
    }

    /// Within [−1, 1], 1 with itself, unchanged by any positive scale, −1 with the negative.
    #[test]
    fn correlation_has_no_unit(x in numbers(3..20), scale in -200..200_i32) {
        prop_assume!(population_variance(&x).unwrap() > 1.0);
        let scaled: Vec<f64> = x.iter().map(|x| x * 10.0_f64.powi(scale)).collect();
        let bound = 64.0 * EPSILON * 1e2;
        close(correlation(&x, &scaled).unwrap(), 1.0, bound);
        let negative: Vec<f64> = x.iter().map(|x| 3.0 - x).collect();
        close(correlation(&x, &negative).unwrap(), -1.0, bound);
        let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
        prop_assert!(correlation(&x, &squares).map_or(true, |r| r.abs() <= 1.0));
    }

    /// aᵀ·C·a is the variance of a·x, and so never negative.
    #[test]
    fn a_covariance_matrix_is_positive(
        x in numbers(18),
        a in prop::collection::vec(-2.0..2.0_f64, 3),
    ) {
        let x = linalg::matrix(3, 6, &x);
        let c = covariance_matrix(&x).unwrap();
        let a = linalg::matrix(3, 1, &a);
        let along: Vec<f64> = (a.transpose() * &x).iter().copied().collect();
        close((a.transpose() * &c * &a)[0], sample_variance(&along).unwrap(), 36.0 * bound(6));
        prop_assert_eq!(c.transpose(), c);
    }
}
