//! Tests and intervals of evaluations: of seeds, items, clusters and answers.

use crate::{EPSILON, close, numbers};
use probability::bootstrap::{bca, clustered, paired};
use probability::calibration::measure;
use probability::dirichlet::Dirichlet;
use probability::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF, Distribution};
use probability::interval::{clopper_pearson, credible, normal, student};
use probability::kolmogorov_smirnov::{one_sample, two_sample};
use probability::mann_whitney::mann_whitney;
use probability::moments::mean;
use probability::multiple::{benjamini_hochberg, holm};
use probability::paired::mcnemar;
use probability::pass_at_k::pass_at_k;
use probability::power::{of_pairs, of_two_groups, pairs_needed};
use probability::{Categorical, Random};
use proptest::prelude::*;

/// All orders of n numbers and m others, as the places of the first.
fn orders(n: usize, m: usize) -> Vec<Vec<usize>> {
    let all = (0_u32..1 << (n + m)).filter(|bits| bits.count_ones() as usize == n);
    all.map(|bits| (0..n + m).filter(|i| bits >> i & 1 == 1).collect()).collect()
}

/// The share of orders of these numbers for which a test's statistic is at least as far.
fn counted(a: &[f64], b: &[f64], far: impl Fn(&[f64], &[f64]) -> f64) -> f64 {
    let all = [a, b].concat();
    let observed = far(a, b);
    let orders = orders(a.len(), b.len());
    let of = |places: &Vec<usize>| {
        let (first, second): (Vec<usize>, Vec<usize>) =
            (0..all.len()).partition(|i| places.contains(i));
        let of = |places: Vec<usize>| places.iter().map(|&i| all[i]).collect::<Vec<f64>>();
        far(&of(first), &of(second)) >= observed - 1e-9
    };
    orders.iter().filter(|places| of(places)).count() as f64 / orders.len() as f64
}

proptest! {
    /// Both tests are the share of all orders, counted one by one; for Kolmogorov and Smirnov also with ties. Neither
    /// changes under an increasing function, and exchanging the groups turns U over.
    #[test]
    fn tests_of_orders(a in numbers(1..6), b in numbers(1..6), ties in any::<bool>()) {
        let round = |x: &[f64]| x.iter().map(|x| if ties { (x / 50.0).round() } else { *x }).collect::<Vec<f64>>();
        let (a, b) = (round(&a), round(&b));
        let middle = (a.len() * b.len()) as f64 / 2.0;
        let rank = |a: &[f64], b: &[f64]| (mann_whitney(a, b).unwrap().u - middle).abs();
        let found = mann_whitney(&a, &b).unwrap();
        let pairs = a.iter().flat_map(|x| b.iter().map(move |y| f64::from(u8::from(x > y)) + 0.5 * f64::from(u8::from(x == y))));
        prop_assert_eq!(found.u, pairs.sum::<f64>());
        if found.exact {
            close(found.p_value, counted(&a, &b, rank), 1e-12);
        }
        prop_assert!((0.0..=1.0).contains(&found.p_value));
        close(mann_whitney(&b, &a).unwrap().superiority, 1.0 - found.superiority, 4.0 * EPSILON);
        let apart = |a: &[f64], b: &[f64]| two_sample(a, b).unwrap().distance;
        let smirnov = two_sample(&a, &b).unwrap();
        close(smirnov.p_value, counted(&a, &b, apart), 1e-12);
        let risen = |x: &[f64]| x.iter().map(|x| (x / 50.0).exp()).collect::<Vec<f64>>();
        prop_assert_eq!(mann_whitney(&risen(&a), &risen(&b)).unwrap(), found);
        prop_assert_eq!(two_sample(&risen(&a), &risen(&b)).unwrap(), smirnov);
    }

    /// Neither adjustment makes a p-value smaller, or changes the order; Benjamini and Hochberg's is at most Holm's, which
    /// is at most m times; a single test stays as it is.
    #[test]
    fn adjusted_p_values(p in prop::collection::vec(0.0..1.0_f64, 1..20)) {
        let (h, bh, m) = (holm(&p).unwrap(), benjamini_hochberg(&p).unwrap(), p.len() as f64);
        for i in 0..p.len() {
            let tolerance = 1.0 + 4.0 * EPSILON;
            prop_assert!(p[i] <= bh[i] * tolerance && bh[i] <= h[i] * tolerance && h[i] <= (m * p[i]).min(1.0) * tolerance);
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || (h[i] <= h[j] && bh[i] <= bh[j]));
            }
        }
        prop_assert_eq!(holm(&p[..1]).unwrap()[0], p[0]);
        prop_assert_eq!(benjamini_hochberg(&p[..1]).unwrap()[0], p[0]);
    }

    /// The parts sum to Brier's score; a forecast that is right about every bin has neither error nor reliability.
    #[test]
    fn parts_of_briers_score(
        answers in prop::collection::vec((0.0..=1.0_f64, any::<bool>()), 1..60), bins in 1..20_usize,
    ) {
        let (c, y): (Vec<f64>, Vec<bool>) = answers.into_iter().unzip();
        let found = measure(&c, &y, bins).unwrap();
        let bound = 16.0 * EPSILON * c.len() as f64;
        close(found.brier, found.reliability - found.resolution + found.uncertainty + found.within, bound);
        prop_assert_eq!(found.bins.iter().map(|bin| bin.count).sum::<u64>(), c.len() as u64);
        prop_assert!(found.expected_error <= found.largest_error + bound && found.largest_error <= 1.0);
        for bin in &found.bins {
            let inside = |c: f64| bin.low <= c && (c < bin.high || bin.high == 1.0);
            // A confidence may be rounded into its neighbour.
            prop_assert!(inside(bin.confidence) || (bin.confidence * bins as f64 - (bin.low * bins as f64).round()).abs() < 1e-9);
        }
        // Every confidence the accuracy of its bin: one bin is exact.
        let share = y.iter().filter(|y| **y).count() as f64 / y.len() as f64;
        let even = measure(&vec![share; y.len()], &y, bins).unwrap();
        close(even.expected_error, 0.0, bound);
        close(even.brier, share * (1.0 - share), bound);
        close(even.within, 0.0, bound);
    }

    /// The ends are where a binomial tail has the probability of the tail; mirrored for failures.
    #[test]
    fn clopper_and_pearson(n in 1..400_u64, share in 0.0..1.0_f64, confidence in 0.5..0.999_f64) {
        let k = (share * (n + 1) as f64) as u64;
        let i = clopper_pearson(k, n, confidence).unwrap();
        let tail = (1.0 - confidence) / 2.0;
        if k > 0 {
            close(Binomial::new(i.low, n).unwrap().sf(k - 1), tail, 1e-11);
        }
        if k < n {
            close(Binomial::new(i.high, n).unwrap().cdf(k), tail, 1e-11);
        }
        let mirrored = clopper_pearson(n - k, n, confidence).unwrap();
        close(mirrored.low, 1.0 - i.high, 1e-12);
        close(mirrored.high, 1.0 - i.low, 1e-12);
    }

    /// Intervals of the bootstrap move and scale with the numbers, and hold the mean of numbers that are not lopsided.
    #[test]
    fn corrected_bootstrap(x in numbers(6..20), seed in 0..100_u64, shift in -9.0..9.0_f64) {
        let random = Random::new(seed, 0, 0);
        let zeros = vec![0.0; x.len()];
        let Ok(i) = paired(&x, &zeros, 0.9, 300, &random) else {
            return Ok(()); // all resamples on one side
        };
        let moved: Vec<f64> = x.iter().map(|x| x + shift).collect();
        let j = paired(&moved, &zeros, 0.9, 300, &random).unwrap();
        let bound = 1e-9;
        close(j.low, i.low + shift, bound);
        close(j.high, i.high + shift, bound);
        prop_assert!(i.low <= i.high && i.low <= mean(&x).unwrap() && mean(&x).unwrap() <= i.high);
        let sizes = vec![2.0; x.len()];
        let half = clustered(&x, &sizes, 0.9, 300, &random).unwrap();
        close(2.0 * half.low, i.low, bound);
    }
}

/// A BCa interval of a lopsided mean has its 90 %, where the plain quantiles and the normal interval have fewer.
#[test]
fn intervals_hold_lopsided_means() {
    let (experiments, n) = (600_u64, 20);
    let truth = 0.5_f64.exp();
    let (mut plain, mut corrected, mut of_student) = (0, 0, 0);
    for e in 0..experiments {
        let x: Vec<f64> = (0..n).map(|i| Random::new(e, 0, 0).normal(i).exp()).collect();
        let random = Random::new(e, 1, 0);
        let of = |x: &[f64]| mean(x).unwrap();
        plain += u64::from(
            probability::interval::bootstrap(&x, 0.9, 400, &random, of).unwrap().contains(truth),
        );
        let zeros = vec![0.0; x.len()];
        corrected += u64::from(paired(&x, &zeros, 0.9, 400, &random).unwrap().contains(truth));
        of_student += u64::from(student(&x, 0.9).unwrap().contains(truth));
    }
    assert!(corrected > plain, "{corrected} {plain}");
    let share = |count: u64| count as f64 / experiments as f64;
    // A lognormal mean of 20 numbers is hard for all of them.
    assert!(share(corrected) > 0.78 && share(of_student) > 0.78, "{corrected} {of_student}");
}

/// Student's interval of three normal numbers holds their mean in 95 of 100 cases, the normal one in 81.
#[test]
fn three_seeds() {
    let (experiments, mut held, mut narrow) = (4000, 0, 0);
    for e in 0..experiments {
        let x: Vec<f64> = (0..3).map(|i| 2.0 + 0.1 * Random::new(e, 0, 0).normal(i)).collect();
        held += u64::from(student(&x, 0.95).unwrap().contains(2.0));
        narrow += u64::from(normal(&x, 0.95).unwrap().contains(2.0));
    }
    let error = |p: f64| 5.0 * (p * (1.0 - p) / experiments as f64).sqrt();
    close(held as f64 / experiments as f64, 0.95, error(0.95));
    close(narrow as f64 / experiments as f64, 0.81094, error(0.81));
}

/// P-values of samples from the distribution are uniform, for every way in which they are computed, and continuous where
/// one way meets the next.
#[test]
fn p_values_of_kolmogorov() {
    for n in [1_u64, 5, 40] {
        let p: Vec<f64> = (0..400)
            .map(|e| {
                let x: Vec<f64> = (0..n).map(|i| Random::new(e, 7, 0).uniform(i)).collect();
                one_sample(&x, |x| x).unwrap().p_value
            })
            .collect();
        let of_p = one_sample(&p, |p| p).unwrap();
        assert!(of_p.p_value > 1e-3, "{n}: {of_p:?}");
    }
    // One number: D = max(x, 1 − x), so that P(D ≥ d) = 2(1 − d).
    for x in [0.5, 0.6, 0.99, 0.2] {
        let found = one_sample(&[x], |x| x).unwrap();
        close(found.p_value, 2.0 * (1.0 - found.distance), 8.0 * EPSILON);
    }
    // Two numbers, ¼ ≤ d ≤ ½: P(D < d) = 2(2d − ½)².
    let found = one_sample(&[0.4, 0.9], |x| x).unwrap();
    close(found.distance, 0.4, 2.0 * EPSILON);
    close(found.p_value, 1.0 - 2.0 * 0.3 * 0.3, 16.0 * EPSILON);
    // A staircase whose distance is d.
    let of = |n: usize, d: f64| {
        let x: Vec<f64> = (0..n).map(|i| ((i as f64 + 1.0) / n as f64 - d).max(0.0)).collect();
        one_sample(&x, |x| x).unwrap().p_value
    };
    for n in [30, 400, 600, 2000] {
        let d = 2.0 / (n as f64).sqrt();
        let (left, right) = (of(n, d * (1.0 - 1e-9)), of(n, d * (1.0 + 1e-9)));
        close(left, right, 1e-4);
        close(left / right, 1.0, if n <= 500 { 1e-6 } else { 0.05 });
    }
    close(of(500, 0.04), of(501, 0.04), 2e-3);
}

/// The least number of pairs reaches the power, one less does not; a difference without noise is found with certainty, and
/// at once.
#[test]
fn pairs_and_groups() {
    for (effect, wanted) in [(0.3, 0.8), (1.0, 0.9), (4.0, 0.5)] {
        let n = pairs_needed(effect, 0.05, wanted).unwrap();
        assert!(of_pairs(n, effect, 0.05).unwrap() >= wanted);
        assert!(n == 2 || of_pairs(n - 1, effect, 0.05).unwrap() < wanted);
    }
    close(of_pairs(10, 1e-6, 0.05).unwrap(), 0.05, 1e-9);
    assert_eq!(of_pairs(1 << 53, 1000.0, 1e-9).unwrap(), 1.0);
    assert_eq!(of_two_groups(1 << 53, 1000.0, 1e-9).unwrap(), 1.0);
    assert_eq!(of_two_groups(1 << 40, 0.01, 0.05).unwrap(), 1.0);
    // As often as is said.
    let (experiments, n, effect) = (2000, 6, 1.5);
    let found = (0..experiments).filter(|&e| {
        let a: Vec<f64> = (0..n).map(|i| effect + Random::new(e, 9, 0).normal(i)).collect();
        probability::paired::t_test(&a, &vec![0.0; a.len()], 0.95).unwrap().p_value < 0.05
    });
    let power = of_pairs(n, effect, 0.05).unwrap();
    let error = (power * (1.0 - power) / experiments as f64).sqrt();
    close(found.count() as f64 / experiments as f64, power, 5.0 * error);
}

/// The mean over all sets of k of n samples; its mean over draws is 1 − (1 − p)ᵏ.
#[test]
fn any_of_k() {
    for (n, c) in [(5, 0), (5, 2), (6, 5), (7, 7)] {
        for k in 1..=n {
            let sets = orders(k, n - k);
            let passing = sets.iter().filter(|set| set.iter().any(|&i| i < c)).count();
            let share = passing as f64 / sets.len() as f64;
            close(pass_at_k(n as u64, c as u64, k as u64).unwrap(), share, 8.0 * EPSILON);
        }
    }
    let (n, k, p) = (12, 4, 0.3);
    let binomial = Binomial::new(p, n).unwrap();
    let mass = |c: u64| probability::distribution::Discrete::pmf(&binomial, c);
    let mean: f64 = (0..=n).map(|c| mass(c) * pass_at_k(n, c, k).unwrap()).sum();
    close(mean, 1.0 - (1.0 - p).powi(4), 1e-13);
}

/// Draws have the mean and the marginals of the distribution; they and the density integrate to 1.
#[test]
fn what_counts_tell() {
    let prior = Dirichlet::new(&[0.5, 2.0, 0.02]).unwrap();
    let n = 4000;
    let draws: Vec<Categorical> = (0..n).map(|i| prior.draw(&Random::new(3, 0, 0), i)).collect();
    for i in 0..3 {
        let x: Vec<f64> = draws.iter().map(|p| p.probability(i)).collect();
        let marginal = prior.marginal(i).unwrap();
        let error = (marginal.variance().unwrap() / n as f64).sqrt();
        close(mean(&x).unwrap(), prior.mean().probability(i), 5.0 * error);
        assert!(one_sample(&x, |x| marginal.cdf(x)).unwrap().p_value > 1e-3);
    }
    // Of two outcomes it is Beta.
    let two = Dirichlet::new(&[3.0, 0.7]).unwrap();
    let beta = Beta::new(3.0, 0.7).unwrap();
    for x in [1e-3, 0.2, 0.9] {
        let at = Categorical::from_weights(&[x, 1.0 - x]).unwrap();
        let ln = probability::distribution::Continuous::ln_pdf(&beta, x);
        close(two.ln_density(&at).unwrap(), ln, 1e-12);
    }
    let edge = |i: usize| Categorical::certain(i, 3).unwrap();
    let of = |a: [f64; 3], i: usize| Dirichlet::new(&a).unwrap().ln_density(&edge(i)).unwrap();
    assert_eq!(of([1.0, 2.0, 1.0], 0), f64::NEG_INFINITY);
    assert_eq!(of([1.0, 0.5, 1.0], 0), f64::INFINITY);
    close(of([1.0; 3], 1), 2_f64.ln(), 8.0 * EPSILON);
    let interval = credible(&beta, 0.9).unwrap();
    close(beta.cdf(interval.high) - beta.cdf(interval.low), 0.9, 1e-12);
}

/// What cannot be computed is an error that names the number; the ends of a range are not.
#[test]
fn bad_input() {
    let (nan, random) = (f64::NAN, Random::new(1, 0, 0));
    let said = |error: probability::ProbabilityError| error.to_string();
    assert!(student(&[1.0], 0.95).is_err() && student(&[1.0, nan], 0.95).is_err());
    assert!(student(&[1.0, 2.0], 1.0).is_err());
    assert_eq!(student(&[f64::MAX, -f64::MAX], 0.95).unwrap().high, f64::INFINITY);
    assert!(
        said(clopper_pearson(3, 2, 0.95).unwrap_err()).contains("at most the number of trials")
    );
    assert!(clopper_pearson(0, 0, 0.95).is_err());
    assert!(mcnemar(&[true], &[]).is_err() && mcnemar(&[], &[]).is_err());
    assert_eq!(mcnemar(&[true], &[true]).unwrap().p_value, 1.0);
    assert!(
        said(mann_whitney(&[1.0, nan], &[1.0]).unwrap_err())
            .contains("number of the first group, 1 is NaN")
    );
    assert!(mann_whitney(&[], &[1.0]).is_err());
    assert_eq!(mann_whitney(&[0.0; 60], &[-0.0; 70]).unwrap().p_value, 1.0);
    let infinite = mann_whitney(&[f64::INFINITY; 2], &[f64::NEG_INFINITY, 1.0]).unwrap();
    assert_eq!(infinite.superiority, 1.0);
    assert!(one_sample(&[], |x| x).is_err() && one_sample(&[2.0], |x| x).is_err());
    assert!(two_sample(&[1.0], &[]).is_err() && two_sample(&[nan], &[1.0]).is_err());
    assert_eq!(two_sample(&[0.0], &[-0.0]).unwrap().distance, 0.0);
    assert_eq!(two_sample(&[0.0], &[-0.0]).unwrap().p_value, 1.0);
    assert!(said(holm(&[0.5, 1.5]).unwrap_err()).contains("p-value 1 is 1.5"));
    assert_eq!(benjamini_hochberg(&[]).unwrap(), []);
    assert!(measure(&[0.5], &[], 10).is_err() && measure(&[], &[], 10).is_err());
    assert!(measure(&[0.5], &[true], 0).is_err() && measure(&[1.5], &[true], 3).is_err());
    assert!(measure(&[0.5], &[true], usize::MAX).is_err());
    assert!(
        pass_at_k(3, 1, 4).is_err() && pass_at_k(3, 1, 0).is_err() && pass_at_k(3, 4, 1).is_err()
    );
    assert!(said(pass_at_k(u64::MAX, 1, 1).unwrap_err()).contains("at most 10000000"));
    assert!(Dirichlet::new(&[1.0]).is_err() && Dirichlet::new(&[1.0, 0.0]).is_err());
    assert!(Dirichlet::new(&[f64::MAX; 2]).is_err());
    let two = Dirichlet::new(&[1.0, 1.0]).unwrap();
    assert!(two.marginal(2).is_err() && two.posterior(&[1]).is_err());
    assert!(two.ln_density(&Categorical::uniform(3).unwrap()).is_err());
    let thin = Dirichlet::new(&[1e-300; 3]).unwrap();
    assert!((0..50).all(|i| thin.draw(&random, i).probabilities().contains(&1.0)));
    let one = |_: &[usize]| 1.0;
    assert!(bca(1, 0.9, 10, &random, one).is_err() && bca(3, 0.9, 1, &random, one).is_err());
    assert!(
        said(bca(3, 0.9, usize::MAX, &random, one).unwrap_err()).contains("from 2 to 10000000")
    );
    assert!(bca(3, 0.9, 10, &random, |_| nan).is_err());
    // A constant: an interval without width.
    assert_eq!(bca(3, 0.9, 10, &random, one).unwrap().low, 1.0);
    // The number of different units: fewer in every resample than in all.
    let different =
        |drawn: &[usize]| drawn.iter().collect::<std::collections::BTreeSet<_>>().len() as f64;
    let refused = said(bca(300, 0.9, 50, &random, different).unwrap_err());
    assert!(
        refused.contains("is 1; it must be above 0 and below 1")
            && refused.contains("interval::bootstrap")
    );
    assert!(clustered(&[1.0, 2.0], &[1.0, 0.0], 0.9, 10, &random).is_err());
    assert!(paired(&[1.0], &[1.0, 2.0], 0.9, 10, &random).is_err());
}
