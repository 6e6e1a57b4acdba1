//! Intervals and tests.

use crate::{EPSILON, close, numbers};
use probability::goodness::chi_squared;
use probability::interval::{bootstrap, normal, quantile, wilson};
use probability::moments::mean;
use probability::paired::{sign_flip_test, t_test};
use probability::{Categorical, Random};
use proptest::prelude::*;

proptest! {
    /// Within [0, 1], around the rate; mirrored for failures; wider for more confidence; narrower for more trials.
    #[test]
    fn wilson_intervals(
        trials in 1..500_u64,
        share in 0.0..1.0_f64,
        confidence in 0.5..0.99_f64,
    ) {
        let successes = (share * (trials + 1) as f64) as u64;
        let i = wilson(successes, trials, confidence).unwrap();
        prop_assert!(0.0 <= i.low && i.low < i.high && i.high <= 1.0);
        let rate = successes as f64 / trials as f64;
        prop_assert!(i.low <= rate + 4.0 * EPSILON && i.high >= rate - 4.0 * EPSILON);
        let mirrored = wilson(trials - successes, trials, confidence).unwrap();
        close(mirrored.low, 1.0 - i.high, 16.0 * EPSILON);
        let surer = wilson(successes, trials, confidence + 0.009).unwrap();
        prop_assert!(surer.low <= i.low && surer.high >= i.high);
        let more = wilson(4 * successes, 4 * trials, confidence).unwrap();
        prop_assert!(more.high - more.low < i.high - i.low);
    }

    /// Around the mean, symmetric, shifted and scaled with the numbers.
    #[test]
    fn normal_intervals(
        x in numbers(2..40),
        scale in 0.1..9.0_f64,
        shift in -9.0..9.0_f64,
        confidence in 0.5..0.99_f64,
    ) {
        let i = normal(&x, confidence).unwrap();
        let bound = 256.0 * EPSILON * 1e3;
        close((i.low + i.high) / 2.0, mean(&x).unwrap(), bound);
        let moved: Vec<f64> = x.iter().map(|x| scale * x + shift).collect();
        let j = normal(&moved, confidence).unwrap();
        // A spread that is all rounding does not scale.
        let bound = 10.0 * bound + 1e-7;
        close(j.low, scale * i.low + shift, bound);
        close(j.high, scale * i.high + shift, bound);
        prop_assert!(!i.contains(f64::NAN));
    }

    /// Between the smallest and the largest number, increasing with p, equal to them at the ends, for any order of the
    /// numbers.
    #[test]
    fn quantiles(x in numbers(1..40), p in 0.0..1.0_f64, q in 0.0..1.0_f64) {
        let (least, most) = (
            x.iter().copied().fold(f64::MAX, f64::min),
            x.iter().copied().fold(f64::MIN, f64::max),
        );
        let (a, b) = (quantile(&x, p.min(q)).unwrap(), quantile(&x, p.max(q)).unwrap());
        let slack = 256.0 * EPSILON * 100.0;
        prop_assert!(least - slack <= a && a <= b + slack && b <= most + slack);
        prop_assert_eq!((quantile(&x, 0.0).unwrap(), quantile(&x, 1.0).unwrap()), (least, most));
        let reversed: Vec<f64> = x.iter().rev().copied().collect();
        prop_assert_eq!(quantile(&reversed, p).unwrap(), quantile(&x, p).unwrap());
    }

    /// A bootstrap interval of the mean lies within the numbers, and shifts with them.
    #[test]
    fn bootstrap_intervals(
        x in numbers(2..20),
        seed in 0..1000_u64,
        shift in -9.0..9.0_f64,
    ) {
        let random = Random::new(seed, 0, 0);
        let of = |x: &[f64]| bootstrap(x, 0.9, 200, &random, |x| mean(x).unwrap()).unwrap();
        let (i, slack) = (of(&x), 256.0 * EPSILON * 200.0);
        let (least, most) = (
            x.iter().copied().fold(f64::MAX, f64::min),
            x.iter().copied().fold(f64::MIN, f64::max),
        );
        prop_assert!(least - slack <= i.low && i.low <= i.high && i.high <= most + slack);
        let moved = of(&x.iter().map(|x| x + shift).collect::<Vec<_>>());
        close(moved.low, i.low + shift, slack);
    }

    /// Exchanging the models changes the sign; a common term cancels; doubling the losses does not change t.
    #[test]
    fn paired_tests(
        a in numbers(3..20),
        b in numbers(20),
        common in numbers(20),
        seed in 0..100_u64,
    ) {
        let b = &b[..a.len()];
        let (ab, ba) = (t_test(&a, b, 0.95).unwrap(), t_test(b, &a, 0.95).unwrap());
        prop_assert_eq!((ab.difference, ab.t, ab.p_value), (-ba.difference, -ba.t, ba.p_value));
        prop_assert!((0.0..=1.0).contains(&ab.p_value) && ab.interval.contains(ab.difference));
        // The interval contains 0 if p is above 0.05.
        prop_assert!(
            (ab.p_value - 0.05).abs() < 1e-9 || ab.interval.contains(0.0) == (ab.p_value > 0.05)
        );
        prop_assume!(ab.standard_error > 0.1);
        let plus = |x: &[f64]| x.iter().zip(&common).map(|(x, c)| x + c).collect::<Vec<_>>();
        let both = t_test(&plus(&a), &plus(b), 0.95).unwrap();
        close(both.t, ab.t, 1e-9 * (1.0 + ab.t.abs()));
        let twice = |x: &[f64]| x.iter().map(|x| 2.0 * x).collect::<Vec<_>>();
        prop_assert_eq!(t_test(&twice(&a), &twice(b), 0.95).unwrap().t, ab.t);
        let random = Random::new(seed, 0, 0);
        let p = sign_flip_test(&a, b, 100, &random).unwrap();
        prop_assert_eq!(p, sign_flip_test(b, &a, 100, &random).unwrap());
        prop_assert!((1.0 / 101.0..=1.0).contains(&p));
    }

    /// Exact frequencies have χ² = 0; the order of outcomes does not matter; more data with the same frequencies
    /// increases χ².
    #[test]
    fn chi_squared_tests(counts in prop::collection::vec(1..100_u64, 2..10)) {
        let shares = Categorical::from_counts(&counts).unwrap();
        let exact = chi_squared(&counts, &shares).unwrap();
        prop_assert!(
            exact.statistic < 1e-18 * counts.iter().sum::<u64>() as f64
                && exact.p_value > 1.0 - 1e-6
        );
        let uniform = Categorical::uniform(counts.len()).unwrap();
        let once = chi_squared(&counts, &uniform).unwrap();
        let reversed: Vec<u64> = counts.iter().rev().copied().collect();
        close(
            chi_squared(&reversed, &uniform).unwrap().statistic,
            once.statistic,
            64.0 * EPSILON * (1.0 + once.statistic),
        );
        let ten: Vec<u64> = counts.iter().map(|n| 10 * n).collect();
        close(
            chi_squared(&ten, &uniform).unwrap().statistic,
            10.0 * once.statistic,
            1e-9 * (1.0 + once.statistic),
        );
    }
}

/// The meaning of 90 %: of 400 intervals from samples of a known mean, 360 contain it, within five standard errors.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let (experiments, n) = (400, 60);
    let error = (0.9 * 0.1 / experiments as f64).sqrt();
    let covered = |holds: &dyn Fn(u64) -> bool| {
        (0..experiments).filter(|&e| holds(e)).count() as f64 / experiments as f64
    };
    let sample =
        |e: u64| (0..n).map(|i| Random::new(e, 0, 0).normal(i) * 3.0 + 2.0).collect::<Vec<_>>();
    close(covered(&|e| normal(&sample(e), 0.9).unwrap().contains(2.0)), 0.9, 5.0 * error);
    let of = |e: u64| {
        bootstrap(&sample(e), 0.9, 300, &Random::new(e, 1, 0), |x| mean(x).unwrap()).unwrap()
    };
    close(covered(&|e| of(e).contains(2.0)), 0.9, 5.0 * error);
    let successes =
        |e: u64| (0..n).filter(|&i| Random::new(e, 2, 0).uniform(i) < 0.2).count() as u64;
    close(covered(&|e| wilson(successes(e), n, 0.9).unwrap().contains(0.2)), 0.9, 5.0 * error);
    // The p-value of a paired test of two equal models is below 0.1 in a tenth of all cases.
    let other =
        |e: u64| (0..n).map(|i| Random::new(e, 3, 0).normal(i) * 3.0 + 2.0).collect::<Vec<_>>();
    let test = |e: u64| t_test(&sample(e), &other(e), 0.9).unwrap();
    close(covered(&|e| test(e).p_value >= 0.1), 0.9, 5.0 * error);
    close(
        covered(&|e| {
            sign_flip_test(&sample(e), &other(e), 300, &Random::new(e, 4, 0)).unwrap() >= 0.1
        }),
        0.9,
        5.0 * error,
    );
}
