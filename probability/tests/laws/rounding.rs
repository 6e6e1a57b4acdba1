//! Accuracy of sums of many terms in `f32`, of moments of close or extreme numbers, and of limits that a sum reaches.

use crate::EPSILON;
use probability::interval::{normal, quantile};
use probability::log_sum_exp::{StreamingLogSumExp, log_sum_exp};
use probability::moments::{correlation, covariance, mean, population_variance, sample_variance};
use probability::paired::{sign_flip_test, t_test};
use probability::running::Running;
use probability::transform::{Logits, MinP, TopP, Transform, Typical};
use probability::{Categorical, MultivariateGaussian, Random, alias::AliasTable, layer_norm};
use proptest::prelude::*;

#[track_caller]
fn near(found: f64, right: f64, bound: f64) {
    assert!(
        (found - right).abs() <= bound * right.abs(),
        "{found:e} is not {right:e} within {bound:e}"
    );
}

/// n·Σk² − (Σk)², exactly: n² times the population variance of integers.
fn spread(k: &[i64]) -> f64 {
    let (n, sum) = (k.len() as i128, k.iter().map(|&k| i128::from(k)).sum::<i128>());
    (n * k.iter().map(|&k| i128::from(k).pow(2)).sum::<i128>() - sum * sum) as f64
}

fn running<T: linalg::Real>(x: &[T]) -> Running<T> {
    x.iter().copied().collect()
}

proptest! {
    /// The numbers b + k·u with integer k are floats; their variance is u² times that of the k, which integers give
    /// exactly. The error is a few units in the last place for any b, at any scale, in one pass and in parts.
    #[test]
    fn a_variance_does_not_see_the_mean(
        k in prop::collection::vec(-1000..1000_i64, 2..60),
        base in 0..1_i64 << 40,
        scale in -900..900_i32,
        cut in 0..60_usize,
    ) {
        let unit = 2.0_f64.powi(scale);
        let x: Vec<f64> = k.iter().map(|k| (base + k) as f64 * unit).collect();
        let n = k.len() as f64;
        let right = |divisor: f64| spread(&k) / n / divisor * unit * unit;
        // Roundings of a square and of a deviation from the mean: 3ε for each term, then those of the result.
        let bound = 16.0 * EPSILON;
        let fits = |found: f64, right: f64| found == right || (found / right - 1.0).abs() <= bound;
        let in_range = right(n) == 0.0 || right(n) > 1e-290;
        if in_range {
            prop_assert!(fits(population_variance(&x).unwrap(), right(n)));
            prop_assert!(fits(sample_variance(&x).unwrap(), right(n - 1.0)));
        }
        let (cut, all) = (cut.min(k.len()), running(&x));
        for one in [all, running(&x[..cut]).merge(&running(&x[cut..]))] {
            let error = (spread(&k) / n / (n - 1.0) / n).sqrt() * unit;
            prop_assert!((one.standard_error().unwrap() / error - 1.0).abs() <= bound || error == 0.0);
            prop_assert!(!in_range || fits(one.population_variance().unwrap(), right(n)));
        }
        // None of the standardised numbers is off, so that their mean is 0.
        if spread(&k) > 0.0 {
            let y = layer_norm::standardise(&x, 0.0).unwrap();
            let root = spread(&k).sqrt();
            let sum: i64 = k.iter().sum();
            for (y, k) in y.iter().zip(&k) {
                let right = (*k as f64 * n - sum as f64) / root;
                prop_assert!((y - right).abs() <= bound * right.abs());
            }
        }
    }

    /// Of n equal logits, the nucleus and the typical tokens of k/n are k; and a step's own end selects its outcome.
    #[test]
    fn limits_are_reached(n in 1..200_usize, share in 0.0..1.0_f64, level in -30.0..30.0_f64) {
        let k = (1 + (share * n as f64) as usize).min(n);
        let (goal, z) = (k as f64 / n as f64, vec![level; n]);
        let kept = |of: &dyn Fn(Logits) -> Logits| {
            of(Logits::new(&z).unwrap()).values().iter().filter(|z| z.is_finite()).count()
        };
        prop_assert_eq!(kept(&|z| TopP(goal).apply(z).unwrap()), k);
        prop_assert_eq!(kept(&|z| Typical(goal).apply(z).unwrap()), k);
        let equal = Categorical::<f64>::uniform(n).unwrap();
        prop_assert_eq!(equal.quantile((k - 1) as f64 / n as f64), k - 1);
    }

    /// Of weights in tenths, the fewest that reach a number of tenths, in integers.
    #[test]
    fn limits_in_tenths(w in prop::collection::vec(1..50_u32, 1..12), goal in 1..100_u32) {
        let total: u32 = w.iter().sum();
        let z: Vec<f64> = w.iter().map(|&w| (f64::from(w) / f64::from(total)).ln()).collect();
        let kept = TopP(f64::from(goal) / 100.0).apply(Logits::new(&z).unwrap()).unwrap();
        let mut sorted = w.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum = 0;
        let needed = sorted.iter().position(|w| { sum += w; 100 * sum >= goal * total }).unwrap() + 1;
        prop_assert_eq!(kept.values().iter().filter(|z| z.is_finite()).count(), needed);
        // At least a fraction m/w of the best, where m is one of the weights.
        let least = f64::from(w[0]) / f64::from(sorted[0]);
        let kept = MinP(least).apply(Logits::new(&z).unwrap()).unwrap();
        for (z, v) in kept.values().iter().zip(&w) {
            prop_assert_eq!(z.is_finite(), *v >= w[0]);
        }
    }
}

/// Small cases of each kind, with values from exact arithmetic.
#[test]
fn close_together_and_far_out() {
    assert_eq!(population_variance(&[1.5e308; 2]), Ok(0.0));
    assert_eq!(covariance(&[1.7e308; 2], &[1.0, 2.0]), Ok(0.0));
    assert_eq!(mean(&[1.5e308, 1.5e308, -1.5e308]), Ok(0.5e308));
    let four = [16_777_212.0_f32, 16_777_213.0, 16_777_214.0, 16_777_215.0];
    assert_eq!(population_variance(&four), Ok(1.25));
    assert_eq!(running(&four).population_variance(), Ok(1.25));
    assert_eq!(Categorical::uniform(4).unwrap().variance(|i| four[i]), 1.25);
    let ramp: Vec<f32> = (0..1000).map(|i| 10_000.0 + i as f32 * 1e-3).collect();
    let standard = layer_norm::standardise(&ramp, 0.0).unwrap();
    let sum: f64 = standard.iter().map(|&y| f64::from(y)).sum();
    // Each is rounded by 2⁻²⁴ of its size, at most 1.8.
    assert!((sum / 1000.0).abs() < 1.8 * f64::from(f32::EPSILON));
    let wide = running(&[1e308, -1e308, 1e308]);
    near(wide.mean().unwrap(), 1e308 / 3.0, 4.0 * EPSILON);
    assert_eq!(wide.population_variance(), Ok(f64::INFINITY));
    near(wide.standard_error().unwrap(), 1e308 * 2.0 / 3.0, 4.0 * EPSILON); // √(8/3·10⁶¹⁶/2/3)
    near(running(&[1e-200, 3e-200]).standard_error().unwrap(), 1e-200, 4.0 * EPSILON);
    // Many numbers: the variance is in range, the sum of squares is not.
    let many =
        running(&(0..64).map(|i| if i % 2 == 0 { 1e154 } else { -1e154 }).collect::<Vec<_>>());
    near(many.population_variance().unwrap(), 1e308, 8.0 * EPSILON);
    assert_eq!(correlation(&[1e308, -1e308], &[-1e308, 1e308]), Ok(-1.0));
    let flat = Categorical::<f64>::uniform(2).unwrap();
    assert_eq!(flat.variance(|i| if i == 0 { 1e308 } else { -1e308 }), f64::INFINITY);
    near(
        flat.variance(|i| 1e9 + i as f64 * 1e-3),
        0.25 * (1e9_f64 + 1e-3 - 1e9).powi(2),
        8.0 * EPSILON,
    );
    // Interpolation at an integer place, within rounding, does not touch the infinite neighbour.
    let mut ends: Vec<f64> = (0..=100).map(f64::from).collect();
    ends[30] = f64::INFINITY;
    ends.sort_by(f64::total_cmp);
    for i in 0..100 {
        assert!(quantile(&ends, f64::from(i) / 100.0).unwrap().is_finite(), "{i}");
    }
    let ends = normal(&[1.7e308, 1.6e308], 0.5).unwrap();
    assert!(ends.low > 1.5e308 && ends.high < f64::INFINITY);
}

/// A million terms in `f32`: each is rounded once, and their sum once.
#[test]
fn many_terms_in_single_precision() {
    let unit = f64::from(f32::EPSILON);
    for n in [32_000, 1_000_000] {
        let c = Categorical::<f32>::uniform(n).unwrap().cumulative();
        // ε/2 of every term, of the division and of the sum.
        for (i, &c) in c.iter().enumerate().step_by(997).chain([(n - 1, &c[n - 1])]) {
            near(f64::from(c), (i + 1) as f64 / n as f64, 1.5 * unit);
        }
        assert!(c.windows(2).all(|w| w[0] <= w[1]));
        let z: Vec<f32> = (0..n).map(|i| 0.3 * (i % 7) as f32).collect();
        let right = z.iter().map(|&z| f64::from(z).exp()).sum::<f64>().ln();
        near(f64::from(log_sum_exp(&z)), right, 4.0 * unit);
        let streamed: StreamingLogSumExp<f32> = z.iter().copied().collect();
        near(f64::from(streamed.value()), right, 4.0 * unit);
        let x: Vec<f32> = (0..n).map(|i| 1e4 + (i % 5) as f32).collect();
        near(f64::from(mean(&x).unwrap()), 10_002.0, unit);
        near(f64::from(running(&x).population_variance().unwrap()), 2.0, 16.0 * unit);
    }
}

/// The half-width of the interval is the quantile, for any number of pairs and losses of any size.
#[test]
fn a_paired_test_of_any_number_and_size() {
    use probability::distribution::{ContinuousCDF, StudentsT};
    for n in [2_usize, 10_001, 300_000] {
        let a: Vec<f64> = (0..n).map(|i| (i % 3) as f64).collect();
        let test = t_test(&a, &vec![0.5; n], 0.8).unwrap();
        let half = (test.interval.high - test.interval.low) / 2.0 / test.standard_error;
        let student = StudentsT::new(0.0, 1.0, (n - 1) as f64).unwrap();
        near(half, -student.inverse_cdf(0.1), 64.0 * EPSILON);
    }
    let wide = t_test(&[1e308, 0.0], &[-1e308, 0.0], 0.95).unwrap();
    assert_eq!(wide.t, 1.0);
    near(wide.p_value, 0.5, 4.0 * EPSILON); // one degree of freedom: half lies within ±1
    assert_eq!((wide.difference, wide.standard_error), (1e308, 1e308));
    assert_eq!((wide.interval.low, wide.interval.high), (f64::NEG_INFINITY, f64::INFINITY));
    let same = t_test(&[1e308, 1e308], &[-1e308, -1e308], 0.95).unwrap();
    assert_eq!((same.t, same.p_value, same.difference), (f64::INFINITY, 0.0, f64::INFINITY));
    let random = Random::new(1, 0, 0);
    assert!(sign_flip_test(&[1e308, 1e308], &[-1e308, -1e308], 10, &random).unwrap() > 0.0);
}

/// The observed signs count among the choices: with forty differences of one sign no other of a thousand choices is as
/// far, and p is 1/1001, not 0.
#[test]
fn the_observed_signs_count() {
    let a: Vec<f64> = (0..40).map(|i| 1.0 + f64::from(i)).collect();
    let p = sign_flip_test(&a, &[0.0; 40], 1000, &Random::new(3, 0, 0)).unwrap();
    assert_eq!(p, 1.0 / 1001.0);
}

/// A pivot within rounding is rejected: of the covariance ((1, 1), (1, 1 + d)) the second is d, and n·ε = 2ε may be
/// rounding. Cholesky's algorithm itself accepts any above 0.
#[test]
fn a_pivot_of_rounding_is_refused() {
    let of = |d: f64| {
        MultivariateGaussian::new(&[0.0; 2], &linalg::matrix(2, 2, &[1.0, 1.0, 1.0, 1.0 + d]))
    };
    assert!(of(EPSILON).is_err() && of(2.0 * EPSILON).is_err());
    assert!(of(4.0 * EPSILON).is_ok());
    // An asymmetry within another program's rounding is removed, as in `linalg::symmetric`.
    let single = linalg::matrix(2, 2, &[2.0, 1.0 + 1e-12, 1.0, 2.0]);
    let g = MultivariateGaussian::new(&[0.0; 2], &single).unwrap();
    assert_eq!(g.covariance()[(0, 1)], g.covariance()[(1, 0)]);
}

/// The numbers behind a normal one are as documented; nothing else uses those of an alias table.
#[test]
fn numbers_that_are_shared_and_numbers_that_are_not() {
    let random = Random::new(5, 6, 7);
    for i in 0..100 {
        let (u, v) = (random.uniform(2 * i), random.uniform(2 * i + 1));
        assert_eq!(
            random.normal(i),
            (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        );
    }
    let table = AliasTable::from_counts(&[1, 1]).unwrap();
    let n = 50_000;
    // Correlations of independent numbers: within five of their standard errors 1/√n.
    let drawn: Vec<f64> = (0..n).map(|i| table.draw(&random, i) as f64).collect();
    for other in [
        |r: &Random, i| r.uniform(i),
        |r: &Random, i| r.uniform(2 * i),
        |r: &Random, i| r.uniform(2 * i + 1),
        |r: &Random, i| r.normal(i),
    ] {
        let x: Vec<f64> = (0..n).map(|i| other(&random, i)).collect();
        assert!(correlation(&drawn, &x).unwrap().abs() < 5.0 / (n as f64).sqrt());
    }
}

/// The message says "at least" if more are accepted.
#[test]
fn messages_say_at_least() {
    let message = running(&[1.0]).sample_variance().unwrap_err().to_string();
    assert_eq!(message, "numbers to take moments of: 1 where at least 2 are needed");
    let none = running::<f64>(&[]).mean().unwrap_err().to_string();
    assert_eq!(none, "numbers to take moments of: 0 where at least 1 is needed");
    let message = covariance(&[1.0, 2.0], &[1.0]).unwrap_err().to_string();
    assert_eq!(message, "numbers of the second list: 1 where 2 are needed");
    let pair =
        MultivariateGaussian::new(&[0.0; 2], &linalg::matrix(2, 2, &[1.0, 0.0, 0.0, 1.0])).unwrap();
    let message = pair.marginal(&[7]).unwrap_err().to_string();
    assert!(
        message.starts_with("the list of variables: number 0 is 7; it must be below"),
        "{message}"
    );
}
