//! Intervals and tests.

use crate::{EPSILON, close, numbers};
use probability::goodness::chi_squared;
use probability::interval::{bootstrap, normal, quantile, wilson};
use probability::moments::mean;
use probability::paired::{clustered, sign_flip_test, t_test};
use probability::power::{of_two_groups, samples_needed};
use probability::welch;
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

    /// Of clusters of one size it is the test of their means. Exchanging the models changes the sign, and the order of
    /// clusters does not matter.
    #[test]
    fn clustered_tests(d in numbers(2..20), sizes in prop::collection::vec(1..30_u32, 20), size in 1..30_u32) {
        let (none, n) = (vec![0.0; d.len()], vec![f64::from(size); d.len()]);
        let means: Vec<f64> = d.iter().map(|d| d / f64::from(size)).collect();
        let (plain, own) = (t_test(&means, &none, 0.9).unwrap(), clustered(&d, &n, 0.9).unwrap());
        prop_assume!(plain.standard_error * f64::from(size) > 0.1);
        close(own.difference, plain.difference, 1e-12 * 100.0);
        close(own.standard_error, plain.standard_error, 1e-12 * plain.standard_error);
        close(own.p_value, plain.p_value, 1e-10);
        prop_assert_eq!(own.degrees, plain.degrees);
        let sizes: Vec<f64> = sizes[..d.len()].iter().map(|n| f64::from(*n)).collect();
        let test = clustered(&d, &sizes, 0.9).unwrap();
        let negative: Vec<f64> = d.iter().map(|d| -d).collect();
        let other = clustered(&negative, &sizes, 0.9).unwrap();
        prop_assert_eq!((test.difference, test.p_value), (-other.difference, other.p_value));
        let (back, counts): (Vec<f64>, Vec<f64>) = d.iter().zip(&sizes).rev().unzip();
        close(clustered(&back, &counts, 0.9).unwrap().p_value, test.p_value, 1e-9);
    }

    /// Exchanging the groups changes the sign; a shift of both cancels; the degrees of freedom are within their bounds; for
    /// groups of one size t is that of Student's test with a common spread.
    #[test]
    fn welchs_tests(a in numbers(2..9), b in numbers(2..9), shift in -9.0..9.0_f64) {
        let (ab, ba) =
            (welch::t_test(&a, &b, 0.95).unwrap(), welch::t_test(&b, &a, 0.95).unwrap());
        prop_assert_eq!((ab.difference, ab.t, ab.p_value), (-ba.difference, -ba.t, ba.p_value));
        prop_assume!(ab.standard_error > 0.1);
        let (n, m) = ((a.len() - 1) as f64, (b.len() - 1) as f64);
        prop_assert!(n.min(m) * (1.0 - 1e-12) <= ab.degrees && ab.degrees <= n + m);
        let moved = |x: &[f64]| x.iter().map(|x| x + shift).collect::<Vec<_>>();
        let both = welch::t_test(&moved(&a), &moved(&b), 0.95).unwrap();
        close(both.t, ab.t, 1e-9 * (1.0 + ab.t.abs()));
        prop_assert!(
            (ab.p_value - 0.05).abs() < 1e-9 || ab.interval.contains(0.0) == (ab.p_value > 0.05)
        );
    }

    /// The power increases with the samples, the effect and the significance, and begins at the significance.
    #[test]
    fn power_increases(n in 2..200_u64, effect in 0.001..4.0_f64, alpha in 1e-4..0.5_f64) {
        let power = of_two_groups(n, effect, alpha).unwrap();
        prop_assert!(alpha * (1.0 - 1e-9) <= power && power <= 1.0);
        for more in [(n + 1, effect, alpha), (n, 1.1 * effect, alpha), (n, effect, 1.1 * alpha)] {
            prop_assert!(of_two_groups(more.0, more.1, more.2).unwrap() >= power * (1.0 - 1e-12));
        }
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

/// Tokens of a cluster that share a part of their difference: of 1,000 pairs of equal models a twentieth is called
/// different, while the test of single tokens calls most of them different.
#[test]
fn tokens_of_a_cluster_are_not_independent() {
    let (experiments, clusters) = (1000, 20_u64);
    let (mut wrong, mut naive) = (0, 0);
    for e in 0..experiments {
        let (common, own) = (Random::new(e, 5, 0), Random::new(e, 6, 0));
        let (mut sums, mut sizes, mut tokens) = (vec![], vec![], vec![]);
        for c in 0..clusters {
            let n = 30 + c % 3;
            let of: Vec<f64> = (0..n).map(|i| common.normal(c) + own.normal(100 * c + i)).collect();
            sums.push(of.iter().sum());
            sizes.push(n as f64);
            tokens.extend(of);
        }
        wrong += u64::from(clustered(&sums, &sizes, 0.95).unwrap().p_value < 0.05);
        let zeros = vec![0.0; tokens.len()];
        naive += u64::from(t_test(&tokens, &zeros, 0.95).unwrap().p_value < 0.05);
    }
    let error = (0.05 * 0.95 / experiments as f64).sqrt();
    close(wrong as f64 / experiments as f64, 0.05, 5.0 * error);
    assert!(naive > experiments / 2, "{naive}");
}

/// With the number of samples that was said, Welch's test finds the difference in 80 of 100 cases, and calls equal groups
/// different in 5 of 100, within five standard errors.
#[test]
fn as_many_samples_as_were_said() {
    let (experiments, effect) = (2000, 1.5);
    let n = samples_needed(effect, 0.05, 0.8).unwrap();
    let found = |effect: f64| {
        let differs = |e: &u64| {
            let group = |stream, mean| {
                let random = Random::new(*e, stream, 0);
                (0..n).map(|i| mean + 0.01 * random.normal(i)).collect::<Vec<f64>>()
            };
            let (a, b) = (group(7, 1.0), group(8, 1.0 + 0.01 * effect));
            welch::t_test(&a, &b, 0.95).unwrap().p_value < 0.05
        };
        (0..experiments).filter(differs).count() as f64 / experiments as f64
    };
    let power = of_two_groups(n, effect, 0.05).unwrap();
    let error = |p: f64| 5.0 * (p * (1.0 - p) / experiments as f64).sqrt();
    // Welch's degrees of freedom are fewer than those of a common spread, which costs a little power.
    let rate = found(effect);
    assert!(rate > power - error(power) - 0.02 && rate < power + error(power), "{rate}, {power}");
    assert!(found(0.0) < 0.05 + error(0.05));
}
