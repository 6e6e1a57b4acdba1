//! Gaussians of one and of several variables, and noise.

use crate::{EPSILON, all_close, close, numbers};
use linalg::Matrix;
use probability::gaussian::Gaussian;
use probability::{MultivariateGaussian, Random, diffusion::diffuse};
use proptest::prelude::*;

/// A Gaussian in four dimensions whose covariance has eigenvalues from 0.5 to about 100.
fn four() -> impl Strategy<Value = MultivariateGaussian> {
    (prop::collection::vec(-2.0..2.0_f64, 16), numbers(4)).prop_map(|(a, mean)| {
        let a = linalg::matrix(4, 4, &a);
        let covariance = &a * a.transpose() + Matrix::identity(4, 4) * 0.5;
        MultivariateGaussian::new(&mean, &covariance).expect("a positive definite covariance")
    })
}

/// A few hundred operations, a condition number of at most 200, values of size up to 10⁵.
const BOUND: f64 = 500.0 * 200.0 * EPSILON;

proptest! {
    /// The chain rule: p(x, y) = p(y)·p(x|y).
    #[test]
    fn a_density_and_its_factors(
        g in four(),
        w in prop::collection::vec(-2.0..2.0_f64, 4),
    ) {
        // A point that is not extremely improbable.
        let x: Vec<f64> = (g.factor() * linalg::matrix(4, 1, &w))
            .iter()
            .zip(g.mean())
            .map(|(d, m)| d + m)
            .collect();
        let (seen, values) = ([3, 1], [x[3], x[1]]);
        let marginal = g.marginal(&seen).unwrap().ln_density(&values).unwrap();
        let conditional = g.given(&seen, &values).unwrap().ln_density(&[x[0], x[2]]).unwrap();
        close(g.ln_density(&x).unwrap(), marginal + conditional, 100.0 * BOUND);
    }

    /// Units of the variables, over 270 decades: to the bit, but for the logarithm of the determinant.
    #[test]
    fn units_of_the_variables(
        g in four(),
        w in prop::collection::vec(-2.0..2.0_f64, 4),
        powers in prop::collection::vec(-450..450_i32, 4),
        index in 0..99_u64,
    ) {
        let d: Vec<f64> = powers.iter().map(|&k| 2.0_f64.powi(k)).collect();
        let of = |x: &[f64], variables: &[usize]| -> Vec<f64> {
            x.iter().zip(variables).map(|(x, &i)| x * d[i]).collect()
        };
        let scaled = |a: &Matrix<f64>, variables: &[usize]| {
            let n = a.nrows();
            Matrix::from_fn(n, n, |i, j| a[(i, j)] * d[variables[i]] * d[variables[j]])
        };
        let all = [0, 1, 2, 3];
        let other =
            MultivariateGaussian::new(&of(g.mean(), &all), &scaled(g.covariance(), &all)).unwrap();
        prop_assert_eq!(g.squared_distance(&w), other.squared_distance(&of(&w, &all)));
        let random = Random::new(1, 0, 0);
        prop_assert_eq!(of(&g.draw(&random, index), &all), other.draw(&random, index));
        let (one, two) = (
            g.given(&[3, 1], &w[..2]).unwrap(),
            other.given(&[3, 1], &of(&w[..2], &[3, 1])).unwrap(),
        );
        prop_assert_eq!(of(one.mean(), &[0, 2]), two.mean());
        prop_assert_eq!(&scaled(one.covariance(), &[0, 2]), two.covariance());
        let ln = 2.0 * std::f64::consts::LN_2 * f64::from(powers.iter().sum::<i32>());
        // Eight logarithms of at most 450·ln 2 + 5, each rounded twice.
        let bound = 8.0 * 2.0 * 320.0 * EPSILON;
        prop_assert!((g.log_determinant() + ln - other.log_determinant()).abs() <= bound);
    }

    /// Seeing one thing and then another is seeing both at once.
    #[test]
    fn conditioning_in_two_steps(g in four(), y in numbers(2)) {
        let twice = g.given(&[3], &y[..1]).unwrap().given(&[1], &y[1..]).unwrap();
        let once = g.given(&[1, 3], &[y[1], y[0]]).unwrap();
        all_close(twice.mean(), once.mean(), 1e3 * BOUND);
        all_close(twice.covariance().as_slice(), once.covariance().as_slice(), 10.0 * BOUND);
    }

    /// The Schur complement is at most the prior in any direction, and does not depend on the observed values.
    #[test]
    fn seeing_never_widens(
        g in four(),
        y in numbers(2),
        z in numbers(2),
        a in prop::collection::vec(-2.0..2.0_f64, 2),
    ) {
        let (after, prior) = (g.given(&[1, 3], &y).unwrap(), g.marginal(&[0, 2]).unwrap());
        let a = linalg::matrix(2, 1, &a);
        let along = |c: &Matrix<f64>| (a.transpose() * c * &a)[0];
        prop_assert!(along(after.covariance()) <= along(prior.covariance()) + 10.0 * BOUND);
        let other = g.given(&[1, 3], &z).unwrap();
        prop_assert_eq!(other.covariance(), after.covariance());
    }

    /// Observing exactly the mean moves no mean.
    #[test]
    fn no_surprise_no_change(g in four()) {
        let after = g.given(&[0, 3], &[g.mean()[0], g.mean()[3]]).unwrap();
        all_close(after.mean(), &[g.mean()[1], g.mean()[2]], 0.0);
    }

    /// A·Aᵀ = Σ, ln |Σ| = Σ ln of eigenvalues, and the distance of A·w + µ is |w|.
    #[test]
    fn factor_determinant_distance(
        g in four(),
        w in prop::collection::vec(-3.0..3.0_f64, 4),
    ) {
        let a = g.factor();
        all_close((&a * a.transpose()).as_slice(), g.covariance().as_slice(), BOUND);
        let eigenvalues = g.covariance().clone().symmetric_eigenvalues();
        close(g.log_determinant(), eigenvalues.iter().map(|l| l.ln()).sum(), BOUND);
        let x: Vec<f64> =
            (a * linalg::matrix(4, 1, &w)).iter().zip(g.mean()).map(|(d, m)| d + m).collect();
        close(g.squared_distance(&x).unwrap(), w.iter().map(|w| w * w).sum(), 100.0 * BOUND);
    }

    /// The univariate Gaussian is the case of one dimension.
    #[test]
    fn one_dimension(
        mean in -9.0..9.0_f64,
        deviation in 0.1..9.0_f64,
        x in -20.0..20.0_f64,
    ) {
        let one = Gaussian::new(mean, deviation).unwrap();
        let many =
            MultivariateGaussian::new(&[mean], &linalg::matrix(1, 1, &[deviation * deviation]))
                .unwrap();
        let expected = one.ln_density(x);
        close(many.ln_density(&[x]).unwrap(), expected, 16.0 * EPSILON * expected.abs().max(4.0));
        close(
            one.density(x),
            expected.exp(),
            16.0 * EPSILON * expected.abs().max(4.0) * one.density(x),
        );
    }

    /// The quantile is the inverse of the distribution function, which is symmetric and increasing.
    #[test]
    fn quantile_and_distribution_function(
        mean in -9.0..9.0_f64,
        deviation in 0.1..9.0_f64,
        p in 1e-9..1.0_f64,
    ) {
        let g = Gaussian::new(mean, deviation).unwrap();
        let x = g.quantile(p).unwrap();
        // The error of x is ε of its size, that of p this times the density.
        let slope = g.density(x) * (x.abs() + mean.abs() + deviation);
        close(g.below(x), p, 64.0 * EPSILON * (slope + p));
        let mirrored = 2.0 * mean - x;
        close(g.below(mirrored), 1.0 - g.below(x), 64.0 * EPSILON * (slope + 1.0));
        prop_assert!(g.below(x) <= g.below(x + deviation * 0.1));
    }

    /// keep² + add² = 1: noise and signal of the same variance keep it.
    #[test]
    fn diffusion_keeps_variances(seed in 0..500_u64, alpha_bar in 0.0..1.0_f64) {
        let (random, n) = (Random::new(seed, 0, 0), 400);
        let draw = |first: u64| (first..first + n).map(|i| random.normal(i)).collect::<Vec<f64>>();
        let noisy = diffuse(&draw(0), alpha_bar, &draw(n)).unwrap();
        let square = noisy.iter().map(|x| x * x).sum::<f64>() / n as f64;
        // Six standard errors of a mean of squares, √(2/n).
        close(square, 1.0, 6.0 * (2.0 / n as f64).sqrt());
    }
}

/// The sample mean and covariance of draws are the distribution's, within five standard errors.
#[test]
fn draws_have_the_covariance() {
    let covariance = linalg::matrix(3, 3, &[2.0, 1.2, -0.5, 1.2, 1.5, 0.3, -0.5, 0.3, 1.0]);
    let mean = [1.0, -2.0, 0.5];
    let g = MultivariateGaussian::new(&mean, &covariance).unwrap();
    let (random, n) = (Random::new(7, 0, 0), 20_000);
    let draws: Vec<Vec<f64>> = (0..n).map(|i| g.draw(&random, i)).collect();
    for i in 0..3 {
        let found = draws.iter().map(|x| x[i]).sum::<f64>() / n as f64;
        close(found, mean[i], 5.0 * (covariance[(i, i)] / n as f64).sqrt());
        for j in 0..3 {
            let found =
                draws.iter().map(|x| (x[i] - mean[i]) * (x[j] - mean[j])).sum::<f64>() / n as f64;
            // Var of a product of Gaussians: Σᵢᵢ·Σⱼⱼ + Σᵢⱼ².
            let spread = covariance[(i, i)] * covariance[(j, j)] + covariance[(i, j)].powi(2);
            close(found, covariance[(i, j)], 5.0 * (spread / n as f64).sqrt());
        }
    }
    // Squared Mahalanobis distances follow a χ² distribution: mean n, variance 2n.
    let distances = draws.iter().map(|x| g.squared_distance(x).unwrap()).sum::<f64>() / n as f64;
    close(distances, 3.0, 5.0 * (6.0 / n as f64).sqrt());
    // A·w + µ by a factor that is not triangular.
    let a = linalg::matrix(2, 3, &[1.0, 0.5, -1.0, 2.0, 0.3, 0.1]);
    let from = MultivariateGaussian::from_factor(&[0.0, 0.0], &a).unwrap();
    all_close(from.covariance().as_slice(), (&a * a.transpose()).as_slice(), 4.0 * EPSILON);
}
