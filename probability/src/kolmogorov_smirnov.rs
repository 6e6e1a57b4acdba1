//! The tests of Kolmogorov and Smirnov: do numbers come from a distribution, or two groups from one?
//!
//! The p-values of tests that should find nothing are uniform, as are the numbers behind a sampler; the losses, lengths or
//! scores of two sets of texts are the same in distribution or not. Unlike a test of means it sees any difference.
//!
//! Formula: <var>D = sup |F(x) − G(x)|</var>, with F the share of numbers up to x, and G a distribution function or the
//! share of another group. If the hypothesis is right, D does not depend on the distribution:
//!
//! * of n numbers, P(D < d) is an element of the n-th power of a matrix (Marsaglia, Tsang and Wang), for n ≤ 500; where
//!   <var>nd² ≥ 4</var> or d ≥ ½, <var>P(D ≥ d) = 2·d·Σⱼ C(n, j)·(d + j/n)^(j − 1)·(1 − d − j/n)^(n − j)</var>, which keeps the
//!   digits of small p-values; else Kolmogorov's limit <var>2·Σ (−1)^(k − 1)·e^(−2k²z²)</var> at Vrbik's
//!   <var>z = λ + 1/(6√n) + (λ − 1)/(4n)</var>, <var>λ = √n·d</var>, which is off by at most 4·10⁻⁵;
//! * of two groups every order is equally likely, and those that reach D are counted as paths in a lattice, with ties as
//!   they are, if n·m ≤ 10⁷; else by Kolmogorov's limit at <var>λ = √(nm/(n + m))·D</var>.
//!
//! Source: Kolmogorov 1933; Smirnov 1939; Marsaglia, Tsang and Wang, *Evaluating Kolmogorov's distribution*, 2003; Simard and
//! L'Ecuyer, *Computing the two-sided Kolmogorov–Smirnov distribution*, 2011; Vrbik, *Small-sample corrections to
//! Kolmogorov–Smirnov test statistic*, 2018; Schröer and Trenkler, *Exact and randomization distributions of
//! Kolmogorov–Smirnov tests*, 1995.
//!
//! On `f64` alone: ranks cannot be differentiated.

use crate::accurate;
use crate::distribution::{Binomial, Discrete};
use crate::error::{ProbabilityError, check};
use linalg::Matrix;
use std::f64::consts::{PI, TAU};

/// The most numbers for which powers of a matrix are taken.
const MATRIX: usize = 500;
/// The most numbers for which the sum of a tail is taken.
const SUMMED: usize = 100_000;
/// The most points of a lattice.
const LATTICE: u128 = 10_000_000;

/// The outcome of a test of Kolmogorov and Smirnov.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// D, the largest distance of the two shares, from 0 to 1.
    pub distance: f64,
    /// The p-value: the probability of a D at least as large if the hypothesis is right.
    pub p_value: f64,
}

/// Tests whether numbers were drawn from the distribution with this distribution function, which is continuous. On
/// `f64`: it cannot be differentiated.
///
/// # Errors
/// If there are no numbers, one is NaN, or the function is NaN or outside \[0, 1\] at one.
///
/// ```
/// use probability::{Random, kolmogorov_smirnov::one_sample};
/// let random = Random::new(1, 0, 0);
/// let drawn: Vec<f64> = (0..100).map(|i| random.uniform(i)).collect();
/// assert!(one_sample(&drawn, |x| x)?.p_value > 0.05); // uniform
/// assert!(one_sample(&drawn, |x| x * x)?.p_value < 1e-4); // and not the root of one
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("kstest", "ks.test", "ks_1samp"))]
pub fn one_sample(
    numbers: &[f64],
    distribution: impl Fn(f64) -> f64,
) -> Result<KolmogorovSmirnov, ProbabilityError> {
    let sorted = sorted("number", numbers)?;
    let shares: Vec<f64> = sorted.iter().map(|&x| distribution(x)).collect();
    let right = |p: f64| (0.0..=1.0).contains(&p);
    let what = "the distribution function at the number of rank";
    check(what, "between 0 and 1", shares.iter().copied(), right)?;
    let n = sorted.len() as f64;
    let apart = |(i, p): (usize, &f64)| ((i + 1) as f64 / n - p).max(p - i as f64 / n);
    let distance = shares.iter().enumerate().map(apart).fold(0.0, f64::max);
    Ok(KolmogorovSmirnov { distance, p_value: exceeds(sorted.len(), distance) })
}

/// Tests whether two groups of numbers were drawn from one distribution; ties are allowed. On `f64`: it cannot be
/// differentiated.
///
/// # Errors
/// If a group is empty or has a NaN.
///
/// ```
/// use probability::kolmogorov_smirnov::two_sample;
/// let test = two_sample(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0])?;
/// assert_eq!(test.distance, 1.0);
/// assert!((test.p_value - 2.0 / 35.0).abs() < 1e-15); // two of 35 orders are as far apart
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("ks_2samp", "ks.test"))]
pub fn two_sample(a: &[f64], b: &[f64]) -> Result<KolmogorovSmirnov, ProbabilityError> {
    let (a, b) =
        (sorted("number of the first group,", a)?, sorted("number of the second group,", b)?);
    let (n, m) = (a.len() as u128, b.len() as u128);
    // In units of 1/(nm): |i·m − j·n| after i numbers of the first group and j of the second.
    let (mut i, mut j, mut reached) = (0, 0, 0);
    let mut ends = vec![false; a.len() + b.len() + 1];
    while i < a.len() || j < b.len() {
        let least = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (x, y) => *x.or(y).expect("one is left"),
        };
        i += a[i..].iter().take_while(|x| **x == least).count();
        j += b[j..].iter().take_while(|x| **x == least).count();
        ends[i + j] = true;
        reached = reached.max((i as u128 * m).abs_diff(j as u128 * n));
    }
    let distance = reached as f64 / (n * m) as f64;
    let p_value = if n * m <= LATTICE {
        paths_that_reach(a.len(), b.len(), reached, &ends)
    } else {
        limit((n as f64 / (n + m) as f64 * m as f64).sqrt() * distance)
    };
    Ok(KolmogorovSmirnov { distance, p_value })
}

/// Returns the numbers in order, with −0 as 0.
fn sorted(what: &'static str, numbers: &[f64]) -> Result<Vec<f64>, ProbabilityError> {
    check(what, "a number, and not NaN", numbers.iter().copied(), |x| !x.is_nan())?;
    if numbers.is_empty() {
        return Err(ProbabilityError::at_least(1, "numbers to test", 0));
    }
    let mut sorted: Vec<f64> = numbers.iter().map(|x| x + 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted)
}

/// Returns the share of paths from (0, 0) to (n, m), all equally likely, on which <var>|i·m − j·n|</var> reaches a limit at a
/// place where a group of ties `ends`. No term is negative: small shares keep their digits.
fn paths_that_reach(n: usize, m: usize, limit: u128, ends: &[bool]) -> f64 {
    let hits = |i: usize, j: usize| {
        ends[i + j] && (i as u128 * m as u128).abs_diff(j as u128 * n as u128) >= limit
    };
    let mut reached = vec![0.0_f64; m + 1];
    for i in 0..=n {
        for j in 0..=m {
            // The last step to (i, j) comes from (i − 1, j) with probability i/(i + j).
            let (from_left, from_below) = (reached[j], if j == 0 { 0.0 } else { reached[j - 1] });
            let total = (i + j).max(1) as f64;
            reached[j] = match hits(i, j) {
                true => 1.0,
                false => i as f64 / total * from_left + j as f64 / total * from_below,
            };
        }
    }
    reached[m].min(1.0)
}

/// Returns P(D ≥ d) of n numbers.
fn exceeds(n: usize, d: f64) -> f64 {
    let count = n as f64;
    if d <= 0.5 / count {
        return 1.0;
    }
    let far = count * d * d >= 4.0 || d >= 0.5;
    if far && n <= SUMMED {
        return (2.0 * above(n, d)).min(1.0);
    }
    if n <= MATRIX {
        return (1.0 - within(n, d)).clamp(0.0, 1.0);
    }
    let z = count.sqrt() * d;
    limit(z + 1.0 / (6.0 * count.sqrt()) + (z - 1.0) / (4.0 * count))
}

/// Returns the probability that the share of numbers exceeds the distribution function by d somewhere: a sum of binomial
/// probabilities. For d ≥ ½ it cannot do so on both sides; for nd² ≥ 4 it does with less than 10⁻¹⁰ of the probability.
fn above(n: usize, d: f64) -> f64 {
    let count = n as f64;
    let last = (count * (1.0 - d)).floor() as usize;
    accurate::sum((0..=last).map(|j| {
        let p = (d + j as f64 / count).min(1.0);
        d / p * Binomial::new(p, n as u64).expect("a probability").pmf(j as u64)
    }))
}

/// Returns P(D < d) by Marsaglia, Tsang and Wang.
fn within(n: usize, d: f64) -> f64 {
    let scaled = n as f64 * d;
    let k = scaled.ceil() as usize;
    let (size, h) = (2 * k - 1, k as f64 - scaled);
    let mut matrix = Matrix::from_fn(size, size, |i, j| if i + 1 >= j { 1.0 } else { 0.0 });
    let powers: Vec<f64> = (1..=size as i32).map(|p| h.powi(p)).collect();
    for i in 0..size {
        matrix[(i, 0)] -= powers[i];
        matrix[(size - 1, i)] -= powers[size - 1 - i];
    }
    matrix[(size - 1, 0)] += (2.0 * h - 1.0).max(0.0).powi(size as i32);
    for i in 0..size {
        for j in 0..=i {
            (1..=i + 1 - j).for_each(|factor| matrix[(i, j)] /= factor as f64);
        }
    }
    // The n-th power by squaring, as a matrix of size 1 and an exponent of two.
    let (mut power, mut exponent) = (Matrix::<f64>::identity(size, size), 0);
    for bit in (0..usize::BITS - n.leading_zeros()).rev() {
        power = &power * &power;
        exponent *= 2;
        if n >> bit & 1 == 1 {
            power = &power * &matrix;
        }
        let shift = power[(k - 1, k - 1)].log2().floor();
        power *= (-shift).exp2();
        exponent += shift as i64;
    }
    // Times n!/nⁿ.
    let mut share = power[(k - 1, k - 1)];
    for i in 1..=n {
        share *= i as f64 / n as f64;
        if share < 1e-200 {
            share *= 512_f64.exp2();
            exponent -= 512;
        }
    }
    share * (exponent as f64).exp2()
}

/// Returns Kolmogorov's limit of P(√n·D ≥ z), by the series that needs few terms.
fn limit(z: f64) -> f64 {
    if z <= 0.0 {
        return 1.0;
    }
    if z < 1.0 {
        let term = |k: i32| (-f64::from(2 * k - 1).powi(2) * PI * PI / (8.0 * z * z)).exp();
        return 1.0 - TAU.sqrt() / z * (1..=4).map(term).sum::<f64>();
    }
    let term =
        |k: i32| 2.0 * f64::from(1 - 2 * ((k + 1) % 2)) * (-2.0 * f64::from(k * k) * z * z).exp();
    (1..=6).map(term).sum()
}
