//! Numbers and counts at the ends of their ranges: finite results are correct even if an intermediate step overflows.

use crate::{EPSILON, close};
use probability::alias::AliasTable;
use probability::distribution::{
    Beta, Continuous, ContinuousCDF, Distribution, Gumbel, Laplace, LogNormal, Normal, StudentsT,
    Uniform,
};
use probability::gaussian::Gaussian;
use probability::goodness::chi_squared;
use probability::gumbel::gumbel_max;
use probability::interval::{normal, quantile, wilson};
use probability::likelihood::fit_categorical;
use probability::paired::t_test;
use probability::running::Running;
use probability::softmax::tempered_softmax;
use probability::transform::{Logits, MinP, Temperature, TopK, TopP, Transform, Typical};
use probability::{Categorical, Random};
use proptest::prelude::*;

fn kept(of: &impl Transform, z: &[f64]) -> Vec<usize> {
    let left = of.apply(Logits::new(z).unwrap()).unwrap();
    (0..z.len()).filter(|&i| left.values()[i].is_finite()).collect()
}

proptest! {
    /// A common shift of logits, however large, changes no decision if it rounds nothing: integer logits stay integers.
    #[test]
    fn a_shift_of_any_size_keeps_the_same_tokens(
        z in prop::collection::vec(-4..4_i32, 1..20), power in 0..47_i32, negative: bool, goal in 0.01..1.0_f64,
    ) {
        let shift = power as f64;
        let shift = if negative { -shift.exp2() } else { shift.exp2() };
        let plain: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        let moved: Vec<f64> = plain.iter().map(|z| z + shift).collect();
        // Not next to a sum or a probability, where rounding decides.
        let p = Categorical::from_logits(&plain).unwrap();
        let mut sorted = p.probabilities().to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut sum = 0.0;
        for p in &sorted {
            sum += p;
            prop_assume!((sum - goal).abs() > 1e-6 && (p / sorted[0] - goal).abs() > 1e-6);
        }
        prop_assert_eq!(kept(&TopP(goal), &plain), kept(&TopP(goal), &moved));
        prop_assert_eq!(kept(&MinP(goal), &plain), kept(&MinP(goal), &moved));
        let random = Random::new(1, 2, 3);
        for i in 0..20 {
            // z − max is exact in both.
            prop_assert_eq!(gumbel_max(&plain, &random, i), gumbel_max(&moved, &random, i));
        }
    }

    /// Multiplying logits and their temperature, or a mean and its deviation, by a power of two changes nothing, to the
    /// ends of the range.
    #[test]
    fn one_unit_for_all_changes_nothing(
        z in prop::collection::vec(-1.0..1.0_f64, 2..9), size in 0.05..1.0_f64, power in -900..1024_i32,
    ) {
        let unit = f64::from(power).exp2().max(f64::MIN_POSITIVE);
        let large: Vec<f64> = z.iter().map(|z| z * unit).collect();
        let plain = tempered_softmax(&z, size).unwrap();
        for (a, b) in tempered_softmax(&large, size * unit).unwrap().iter().zip(&plain) {
            prop_assert!((a - b).abs() <= 64.0 * EPSILON * b / size, "{} {}", a, b);
        }
        let cooled = Temperature(size * unit).apply(Logits::new(&large).unwrap()).unwrap().distribution();
        for (a, b) in cooled.probabilities().iter().zip(&plain) {
            prop_assert!((a - b).abs() <= 64.0 * EPSILON * b / size, "{} {}", a, b);
        }
        let (x, y) = (z[0], z[1]);
        let standardised = Gaussian::new(y * unit, size * unit).unwrap().standardised(x * unit);
        let right = Gaussian::new(y, size).unwrap().standardised(x);
        prop_assert!((standardised - right).abs() <= 4.0 * EPSILON * right.abs());
        let shares = |unit: f64| {
            let at = x * unit;
            [
                Normal::new(y * unit, size * unit).unwrap().cdf(at),
                Laplace::new(y * unit, size * unit).unwrap().cdf(at),
                Gumbel::new(y * unit, size * unit).unwrap().cdf(at),
                StudentsT::new(y * unit, size * unit, 3.0).unwrap().cdf(at),
            ]
        };
        for (a, b) in shares(unit).into_iter().zip(shares(1.0)) {
            prop_assert!((a - b).abs() <= 1e-11 * b, "{} {}", a, b);
        }
        if x < y {
            let (a, b) = (Uniform::new(x * unit, y * unit).unwrap(), Uniform::new(x, y).unwrap());
            for p in [0.1, 0.5, 0.9] {
                let (a, b) = (a.inverse_cdf(p) / unit, b.inverse_cdf(p));
                prop_assert!((a - b).abs() <= 4.0 * EPSILON);
            }
            prop_assert!((a.entropy().unwrap() - b.entropy().unwrap() - unit.ln()).abs() <= 1e-12);
        }
    }

    /// An interpolated quantile lies between its neighbours, and so increases with p.
    #[test]
    fn a_quantile_rises(base in -1e3..1e3_f64, steps in prop::collection::vec(0..4_u64, 1..8), shares in prop::collection::vec(0.0..1.0_f64, 2..20)) {
        let mut x = vec![base];
        for k in &steps {
            let mut next = x[x.len() - 1];
            (0..*k).for_each(|_| next = next.next_up());
            x.push(next);
        }
        let mut shares = shares;
        shares.sort_by(f64::total_cmp);
        let found: Vec<f64> = shares.iter().map(|&p| quantile(&x, p).unwrap()).collect();
        prop_assert!(found.iter().all(|q| (x[0]..=x[x.len() - 1]).contains(q)));
    }

    /// A small confidence c gives c/2p(0) deviations on either side, where p(0) is the density in the middle.
    #[test]
    fn a_small_confidence_keeps_its_digits(power in -290.0..-6.0_f64) {
        let c = 10_f64.powf(power);
        let unit = |half: f64| half / c;
        // The density in the middle is 1/√2π, and Student's for 2 degrees of freedom 1/2√2.
        let gaussian = normal(&[-1.0, 1.0], c).unwrap();
        let right = std::f64::consts::TAU.sqrt() / 2.0; // the standard error of −1 and 1 is 1
        prop_assert!((unit(gaussian.high) / right - 1.0).abs() <= 8.0 * EPSILON + c * c);
        let paired = t_test(&[-1.0, 1.0, 0.0], &[0.0; 3], c).unwrap();
        let right = 2.0_f64.sqrt() * paired.standard_error;
        prop_assert!((unit(paired.interval.high) / right - 1.0).abs() <= 1e-12 + c * c);
        let share = wilson(1 << 40, 1 << 41, c.max(1e-9)).unwrap();
        prop_assert!(share.low <= 0.5 && 0.5 <= share.high);
    }

    /// χ² of two equally likely outcomes is (n₁ − n₂)²/(n₁ + n₂), for any counts.
    #[test]
    fn counts_of_any_size_keep_their_difference(n in 1..1_u64 << 62, d in 0..1000_u64) {
        let n = n.max(d);
        let test = chi_squared(&[n + d, n - d], &Categorical::uniform(2).unwrap()).unwrap();
        let right = 2.0 * (d as f64).powi(2) / n as f64;
        prop_assert!((test.statistic - right).abs() <= 8.0 * EPSILON * right);
    }

    /// The probability of an outcome of an alias table is the content of its columns.
    #[test]
    fn a_table_says_what_it_holds(counts in prop::collection::vec(0..1_u64 << 50, 1..30)) {
        prop_assume!(counts.iter().any(|&n| n > 0));
        let table = AliasTable::from_counts(&counts).unwrap();
        let shares = table.shares();
        let all: u128 = shares.iter().sum();
        for (i, share) in shares.iter().enumerate() {
            close(table.probability(i), *share as f64 / all as f64, 4.0 * EPSILON);
        }
        prop_assert_eq!(table.probability(counts.len()), 0.0);
    }
}

#[test]
fn equal_logits_are_equal_whatever_their_size_and_sign() {
    for size in [1e15, 1e17, 1e300, f64::MAX, -1e17, -f64::MAX] {
        assert_eq!(kept(&TopP(0.6), &[size; 2]), [0, 1], "{size:e}");
        assert_eq!(kept(&Typical(0.6), &[size; 2]), [0, 1], "{size:e}");
        let first =
            (0..1000).filter(|&i| gumbel_max(&[size; 2], &Random::new(7, 0, 0), i) == Ok(0));
        // 500 ± 16.
        assert!((400..600).contains(&first.count()), "{size:e}");
    }
    assert_eq!(kept(&MinP(0.5), &[1e17, 0.0]), [0]);
    assert_eq!(kept(&MinP(0.5), &[f64::MAX, -f64::MAX]), [0]);
    // −0 is 0, and the first of equals is the first.
    for z in [[-0.0, 0.0], [0.0, -0.0]] {
        assert_eq!(kept(&TopK(1), &z), [0]);
        assert_eq!(kept(&Temperature(0.0), &z), [0]);
    }
    // An infinite temperature makes all possible outcomes equally likely.
    let p = tempered_softmax(&[f64::MAX, -f64::MAX, f64::NEG_INFINITY], f64::INFINITY).unwrap();
    assert_eq!(p, [0.5, 0.5, 0.0]);
    // Two different temperatures, in either scalar.
    let right = 1.0 / (1.0 + (-2.0_f64).exp());
    close(tempered_softmax(&[1e308, -1e308], 1e308).unwrap()[0], right, 4.0 * EPSILON);
    let single = tempered_softmax(&[3e38_f32, -3e38], 3e38).unwrap();
    close(single[0].into(), right, 1e-6);
}

/// Moments in closed form, for parameters whose squares and products overflow or underflow.
#[test]
fn moments_of_distributions_at_the_ends() {
    let near = |found: Option<f64>, right: f64| {
        let found = found.unwrap();
        assert!((found - right).abs() <= 1e-12 * right.abs(), "{found:e} is not {right:e}");
    };
    // 2(b − a)/(a + b + 2)·√((a + b + 1)/ab).
    let beta = |a, b| Beta::new(a, b).unwrap();
    near(beta(1e-200, 1e-200).skewness(), 0.0);
    near(beta(1e-300, 1e-250).skewness(), 1e25);
    near(beta(1e300, 1e300).skewness(), 0.0);
    // ν/(ν − 2), for ν − 2 of 2⁻⁴⁰ and larger.
    let t = |freedom| StudentsT::new(0.0, 1.0, freedom).unwrap();
    near(t(2.0 + (-40.0_f64).exp2()).variance(), 41.0_f64.exp2() + 1.0);
    near(t(4.0).variance(), 2.0);
    near(t(f64::INFINITY).variance(), 1.0);
    // (e^σ² − 1)·e^(2µ + σ²) and 3σ, if σ² underflows.
    let log_normal = LogNormal::new(300.0, 1e-200).unwrap();
    near(log_normal.variance(), (600.0 - 400.0 * std::f64::consts::LN_10).exp());
    near(log_normal.skewness(), 3e-200);
    near(LogNormal::new(0.0, 1e-10).unwrap().variance(), 1e-20);
    // The differences of the smallest floats are exact.
    let narrow = Uniform::new(0.0, 3.0 * 5e-324).unwrap();
    near(Some(narrow.cdf(5e-324)), 1.0 / 3.0);
    near(Some(narrow.inverse_cdf(0.99)), 3.0 * 5e-324);
    near(narrow.entropy(), (3.0_f64).ln() - 1074.0 * std::f64::consts::LN_2);
    let wide = Uniform::new(-f64::MAX, f64::MAX).unwrap();
    near(Some(wide.inverse_cdf(0.75)), f64::MAX / 2.0);
    near(Some(wide.ln_pdf(0.0)), -1025.0 * std::f64::consts::LN_2);
}

/// Counts beyond 64 bits, and block numbers.
#[test]
fn counts_end_without_a_panic() {
    let mut running: Running<f64> = [1.0, 2.0].into_iter().collect();
    for _ in 0..70 {
        running = running.merge(&running.clone());
    }
    assert_eq!((running.count(), running.mean()), (u64::MAX, Ok(1.5)));
    close(running.population_variance().unwrap(), 0.25, 1e-12);
    // A group is sixteen blocks, whose numbers wrap around after the last.
    let random = Random::new(1, 2, 3);
    assert_eq!(random.group(u64::MAX)[15], random.block(u64::MAX)[0]);
    // A pseudocount that overflows an f32.
    let q = fit_categorical::<f32>(&[1, u64::MAX], 1e300).unwrap();
    assert_eq!(q.probabilities(), [0.5, 0.5]);
}

#[test]
fn messages_show_numbers_by_their_exponent() {
    let long = Gaussian::new(0.0, -1e308).unwrap_err().to_string();
    assert!(long.contains(" is -1e308;"), "{long}");
    let tiny = Categorical::from_weights(&[-1e-300]).unwrap_err().to_string();
    assert!(tiny.contains(" is -1e-300;"), "{tiny}");
    let sum = Categorical::from_probabilities(&[1e300]).unwrap_err().to_string();
    assert!(sum.contains("sum to 1e300,"), "{sum}");
}
