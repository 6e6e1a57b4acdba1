//! Shannon's series: how far a text is determined by its last letters.
//!
//! Formulas: <var>F₀ = ln V</var>, for equally likely letters; F₁ = H of single letters; F_N = H(N letters) − H(their
//! first N − 1), the entropy of a letter given the N − 1 before it. The series decreases to the entropy rate of the
//! source.
//!
//! The counts are those of a sample, and a sample looks more regular than its source: for n draws with K different
//! outcomes the plug-in entropy is too low by about (K − 1)/2n (Miller and Madow). If nearly all n-grams are different
//! the correction is insufficient, and the series falls towards 0 because the text is too short: [`Order::occurrences`]
//! shows how reliable a term is.
//!
//! ```
//! let series = infotheory::shannon::series("abracadabra abracadabra".chars(), 3)?;
//! assert!((series[0].plug_in.perplexity() - 6.0).abs() < 1e-12); // six different letters
//! assert!(series.windows(2).all(|f| f[1].plug_in <= f[0].plug_in));
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//! Source: Shannon, *Prediction and Entropy of Printed English*, 1951; Miller 1955.
//!
//! On `f64` alone: counts cannot be differentiated.

use crate::InfoError;
use crate::units::Nats;
use linalg::accurate::sum;
use std::collections::HashMap;
use std::hash::Hash;

/// One term of the series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// The order N.
    pub order: usize,
    /// F_N from relative frequencies.
    pub plug_in: Nats,
    /// F_N with Miller and Madow's correction.
    pub corrected: Nats,
    /// The number of different N-grams.
    pub different: usize,
    /// The mean number of occurrences of an N-gram. Terms with a value near 1 are unreliable.
    pub occurrences: f64,
}

/// Returns F₀, F₁, … up to order `most` of a text; fewer if the text is shorter.
///
/// F_N is taken over the places with N − 1 letters before them, so it is at least 0. A text with one distinct letter
/// has F₀ = F₁ = +0.
///
/// # Errors
/// If the text is empty.
///
/// ```
/// use infotheory::shannon::series;
/// let f = series("abababababab".chars(), 2)?;
/// assert_eq!(f[0].plug_in.to_bits().0, 1.0); // F₀: two letters
/// assert!(f[2].plug_in.0.abs() < 1e-15); // F₂: after one letter the next is known
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn series<S: Copy + Eq + Hash>(
    text: impl IntoIterator<Item = S>,
    most: usize,
) -> Result<Vec<Order>, InfoError> {
    let text: Vec<S> = text.into_iter().collect();
    let alphabet = counts(text.iter()).len();
    if alphabet == 0 {
        return Err(InfoError::Empty { what: "the text" });
    }
    let uniform = Nats((alphabet as f64).ln());
    let mut all = vec![Order {
        order: 0,
        plug_in: uniform,
        corrected: uniform,
        different: alphabet,
        occurrences: text.len() as f64 / alphabet as f64,
    }];
    for order in 1..=most.min(text.len()) {
        let places = text.len() - order + 1;
        let whole: Vec<u64> = counts(text.windows(order)).into_values().collect();
        // The first N − 1 letters of the same windows: all of the text except its last letter.
        let before: Vec<u64> = match order {
            1 => vec![places as u64],
            _ => counts(text[..text.len() - 1].windows(order - 1)).into_values().collect(),
        };
        all.push(Order {
            order,
            plug_in: plug_in(&whole)? - plug_in(&before)?,
            corrected: miller_madow(&whole)? - miller_madow(&before)?,
            different: whole.len(),
            occurrences: places as f64 / whole.len() as f64,
        });
    }
    Ok(all)
}

/// Returns the number of occurrences of each item.
fn counts<K: Eq + Hash>(all: impl Iterator<Item = K>) -> HashMap<K, u64> {
    let mut counts = HashMap::new();
    for one in all {
        *counts.entry(one).or_insert(0) += 1;
    }
    counts
}

/// Returns Σ c: 2⁶⁴ counts of 2⁶⁴ fit.
fn total(counts: &[u64]) -> u128 {
    counts.iter().map(|&c| u128::from(c)).sum()
}

/// Returns c/n.
fn ratio(c: u128, n: u128) -> f64 {
    c as f64 / n as f64
}

/// Returns the entropy of relative frequencies: <var>ln n − Σ c ln c/n</var>. Its mean is below the entropy of the
/// source. +0 if one outcome has all counts; counts up to 2⁶⁴ − 1 are taken to 16 digits.
///
/// # Errors
/// If there are no counts, or all are 0.
///
/// ```
/// use infotheory::shannon::plug_in;
/// assert_eq!(plug_in(&[5, 5])?.to_bits().0, 1.0);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("entropy_of_counts", "maximum_likelihood"))]
pub fn plug_in(counts: &[u64]) -> Result<Nats, InfoError> {
    let n = total(counts);
    if n == 0 {
        return Err(InfoError::NoMean { what: "counts" });
    }
    // Sorted by size: the order of hash maps is not fixed.
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let terms = sorted.iter().filter(|c| **c > 0).map(|&c| {
        let share = ratio(c.into(), n);
        // A share near 1 is rounded; the rest is counted exactly.
        share * if share > 0.5 { -(-ratio(n - u128::from(c), n)).ln_1p() } else { -share.ln() }
    });
    Ok(Nats(sum(terms).max(0.0)))
}

/// Returns the plug-in entropy plus (K − 1)/2n, for K different outcomes in n draws: its bias is of order
/// <var>1/n²</var>.
///
/// # Errors
/// Like [`plug_in`].
///
/// ```
/// use infotheory::shannon::{miller_madow, plug_in};
/// let more = miller_madow(&[5, 5, 0])? - plug_in(&[5, 5, 0])?;
/// assert!((more.0 - 1.0 / 20.0).abs() < 1e-15);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("bias_correction", "entropy.MillerMadow"))]
pub fn miller_madow(counts: &[u64]) -> Result<Nats, InfoError> {
    let different = counts.iter().filter(|c| **c > 0).count() as f64;
    Ok(plug_in(counts)? + Nats((different - 1.0) / (2.0 * total(counts) as f64)))
}

/// Returns the entropy of Chao and Shen, which corrects for outcomes that were not seen: with n draws, f₁ outcomes seen
/// once and the coverage <var>C = 1 − f₁/n</var> of Good and Turing, <var>−Σ C·p ln(C·p)/(1 − (1 − C·p)ⁿ)</var> over the
/// relative frequencies p.
///
/// If most draws are different (n-grams of a short text, samples of a model) its bias is far below that of
/// [`miller_madow`], at a larger variance. If all are, f₁ = n − 1 is taken, for C = 0 has no logarithm.
/// Source: Chao and Shen, *Nonparametric estimation of Shannon's index of diversity when there are unseen species*, 2003.
///
/// # Errors
/// Like [`plug_in`].
///
/// ```
/// use infotheory::shannon::{chao_shen, plug_in};
/// let counts = [4, 2, 1, 1, 1, 1]; // of ten draws four were new and came alone
/// let (seen, all) = (plug_in(&counts)?, chao_shen(&counts)?);
/// assert!((seen.0 - 1.609438).abs() < 1e-6 && (all.0 - 2.182144).abs() < 1e-6, "{seen:?} {all:?}");
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("entropy.ChaoShen", "good_turing"))]
pub fn chao_shen(counts: &[u64]) -> Result<Nats, InfoError> {
    plug_in(counts)?;
    let n = total(counts);
    let once = counts.iter().filter(|c| **c == 1).count() as u128;
    let coverage = 1.0 - ratio(once.min(n - 1), n);
    // Sorted by size: the order of hash maps is not fixed.
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let terms = sorted.iter().filter(|c| **c > 0).map(|&c| {
        let p = coverage * ratio(c.into(), n);
        let seen = -(n as f64 * (-p).ln_1p()).exp_m1();
        -p * p.ln() / seen
    });
    Ok(Nats(sum(terms).max(0.0)))
}

/// Returns the bounds of Shannon's guessing game: a subject guesses the next letter until it is right, and a fraction
/// q_k of the letters takes k guesses. The entropy lies between <var>Σ k(q_k − q_{k+1}) ln k</var> and
/// <var>−Σ q_k ln q_k</var>.
///
/// `guesses[k]` counts letters that took k + 1 guesses. The lower bound holds for an ideal guesser, whose q_k decrease;
/// others are sorted first.
///
/// # Errors
/// If there are no counts, or all are 0.
///
/// ```
/// use infotheory::shannon::guessing_bounds;
/// // Shannon's subject, with the 100 letters before: 80 right at once, 7 at the second guess, …
/// let (low, high) = guessing_bounds(&[80, 7, 0, 3, 4, 2, 1, 0, 1, 0, 0, 1, 1])?;
/// assert!((low.to_bits().0 - 0.589).abs() < 1e-3); // he prints 0.6 and 1.3, from smoothed counts
/// assert!((high.to_bits().0 - 1.242).abs() < 1e-3);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
/// Source: Shannon 1951, sections 3 to 5: English takes between 0.6 and 1.3 bits per letter.
pub fn guessing_bounds(guesses: &[u64]) -> Result<(Nats, Nats), InfoError> {
    let high = plug_in(guesses)?;
    let n = total(guesses);
    let mut sorted = guesses.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.push(0);
    let low = sorted.windows(2).enumerate().map(|(i, c)| {
        let k = (i + 1) as f64;
        k * ratio(u128::from(c[0] - c[1]), n) * k.ln()
    });
    Ok((Nats(sum(low)), high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy;
    use probability::random::Random;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_series_is_conditional_entropy(
            text in prop::collection::vec(0u8..4, 1..200), most in 0usize..5,
        ) {
            let all = series(text.iter().copied(), most).unwrap();
            prop_assert_eq!(all.len(), most.min(text.len()) + 1);
            for f in &all[1..] {
                // For every place: the number of places with the same letters before, and how many of those have the
                // same letter, by a search of all places. H(next | N − 1 letters before) is the mean of −ln of their
                // quotient; no table of N-grams is made.
                let places: Vec<&[u8]> = text.windows(f.order).collect();
                let n = places.len() as f64;
                let ends = |all: &[u8]| *all.last().expect("a letter");
                let before = |all: &[u8]| all[..all.len() - 1].to_vec();
                let (mut conditional, mut whole, mut contexts) = (0.0, 0.0, 0.0);
                for &place in &places {
                    let alike = places.iter().filter(|other| before(other) == before(place));
                    let (alike, same) = alike.fold((0.0, 0.0), |(alike, same), other| {
                        (alike + 1.0, same + f64::from(u8::from(ends(other) == ends(place))))
                    });
                    conditional -= f64::ln(same / alike) / n;
                    // An N-gram with k occurrences counts 1/k at each of its places.
                    whole += 1.0 / same;
                    contexts += 1.0 / alike;
                }
                // Three sums of at most 200 terms, each below ln 200 = 5.3.
                let slack = 3.0 * 208.0 * 5.3 * f64::EPSILON;
                prop_assert!((f.plug_in.0 - conditional).abs() <= slack, "{f:?} {conditional}");
                // Miller and Madow: plus (K − 1)/2n for the whole windows, minus that of the letters before.
                let correction = (whole - contexts) / (2.0 * n);
                let found = f.corrected.0 - f.plug_in.0;
                prop_assert!((found - correction).abs() <= slack, "{f:?} {correction}");
                prop_assert!((f.different as f64 - whole).abs() <= 200.0 * f64::EPSILON * whole);
                prop_assert_eq!(f.occurrences, n / f.different as f64);
            }
            let letters: std::collections::BTreeSet<_> = text.iter().collect();
            prop_assert_eq!(all[0].plug_in.0, (letters.len() as f64).ln());
        }

        #[test]
        fn guesses_bound_the_entropy_of_what_is_guessed(
            weights in prop::collection::vec(1u64..1000, 1..20),
        ) {
            // A subject that knows the distribution guesses in its order, and the bounds contain its entropy.
            let (low, high) = guessing_bounds(&weights).unwrap();
            let h = plug_in(&weights).unwrap();
            prop_assert!(low.0 <= h.0 + 1e-12 && h.0 <= high.0 + 1e-12);
            // After another letter the order is another: the bounds of all ranks together contain the conditional
            // entropy given the letter before.
            let turned: Vec<u64> = weights.iter().map(|w| 1000 - w).collect();
            let total = |w: &[u64]| w.iter().sum::<u64>() as f64;
            prop_assume!(total(&turned) > 0.0);
            let (a, b) = (total(&weights), total(&turned));
            let known =
                (a * plug_in(&weights).unwrap().0 + b * plug_in(&turned).unwrap().0) / (a + b);
            let ranked = |w: &[u64]| {
                let mut w = w.to_vec();
                w.sort_unstable_by(|a, b| b.cmp(a));
                w
            };
            let ranks = ranked(&weights).into_iter().zip(ranked(&turned)).map(|(a, b)| a + b);
            let (low, high) = guessing_bounds(&ranks.collect::<Vec<_>>()).unwrap();
            prop_assert!(low.0 <= known + 1e-12 && known <= high.0 + 1e-12);
            // Uniform: both are ln n.
            let (low, high) = guessing_bounds(&vec![7; weights.len()]).unwrap();
            let ln_n = (weights.len() as f64).ln();
            prop_assert!((low.0 - ln_n).abs() < 1e-12 && (high.0 - ln_n).abs() < 1e-12);
        }

        #[test]
        fn entropy_of_counts_is_that_of_shares(counts in prop::collection::vec(0u64..50, 1..20)) {
            prop_assume!(counts.iter().any(|c| *c > 0));
            let n: u64 = counts.iter().sum();
            let p: Vec<f64> = counts.iter().map(|&c| c as f64 / n as f64).collect();
            let h = entropy::entropy(&p).unwrap().0;
            prop_assert!((plug_in(&counts).unwrap().0 - h).abs() <= 64.0 * f64::EPSILON);
        }
    }

    #[test]
    fn the_correction_takes_away_most_of_the_bias() {
        // Samples of 50 from a uniform source of 8: the mean of many estimates against ln 8.
        let (n, samples) = (50, 4000);
        let (mut plain, mut corrected) = (0.0, 0.0);
        for s in 0..samples {
            let random = Random::new(11, 0, s);
            let mut counts = [0; 8];
            (0..n).for_each(|i| counts[random.below(i, 8) as usize] += 1);
            plain += plug_in(&counts).unwrap().0 / f64::from(samples);
            corrected += miller_madow(&counts).unwrap().0 / f64::from(samples);
        }
        let exact = 8.0_f64.ln();
        // The bias is 7/100; an estimate deviates by some 0.04, their mean by 0.04/√4000.
        assert!(exact - plain > 0.065);
        assert!((exact - corrected).abs() < 0.005, "{}", exact - corrected);
    }

    /// Of 100 draws from 200 equally likely outcomes the estimate sees most of what the others miss.
    #[test]
    fn what_was_not_seen_is_counted() {
        let (n, samples) = (100, 400);
        let mut means = [0.0; 3];
        for s in 0..samples {
            let random = Random::new(12, 0, s);
            let mut counts = [0; 200];
            (0..n).for_each(|i| counts[random.below(i, 200) as usize] += 1);
            let all = [plug_in, miller_madow, chao_shen].map(|of| of(&counts).unwrap().0);
            means.iter_mut().zip(all).for_each(|(m, h)| *m += h / f64::from(samples));
        }
        let exact = 200_f64.ln();
        assert!(exact - means[0] > 0.8 && exact - means[1] > 0.4, "{means:?}");
        assert!((exact - means[2]).abs() < 0.1, "{means:?}");
        // Without singletons nothing is missing but what chance left out.
        let often = [500, 300, 200];
        assert!((chao_shen(&often).unwrap() - plug_in(&often).unwrap()).0.abs() < 1e-15);
        assert_eq!(chao_shen(&[7]).unwrap().0.to_bits(), 0);
        assert!(chao_shen(&[1]).unwrap().0 == 0.0 && chao_shen(&[0]).is_err());
        assert!(chao_shen(&[1, 1, 1]).unwrap().0.is_finite());
        assert!((chao_shen(&[u64::MAX; 2]).unwrap().to_bits().0 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn a_text_of_period_two_is_known_after_one_letter() {
        let all = series("abababababab".chars(), 4).unwrap();
        assert!((all[1].plug_in.to_bits().0 - 1.0).abs() < 1e-15);
        assert!(all[2..].iter().all(|f| f.plug_in.0.abs() < 1e-15));
        assert_eq!((all[2].different, all[2].occurrences), (2, 5.5));
    }

    #[test]
    fn hard_floats() {
        assert!(series::<char>([], 3).is_err());
        assert!(plug_in(&[]).is_err() && miller_madow(&[0, 0]).is_err());
        assert!(guessing_bounds(&[]).is_err() && guessing_bounds(&[0]).is_err());
        let one = series(['x'], 9).unwrap();
        assert_eq!(one.len(), 2);
        assert!(one.iter().all(|f| f.plug_in.0.to_bits() == 0 && f.corrected.0.to_bits() == 0));
        assert_eq!(plug_in(&[7]).unwrap().0.to_bits(), 0);
        // Counts beyond the precision of a float.
        for all in [plug_in, miller_madow] {
            assert!((all(&[u64::MAX, u64::MAX]).unwrap().to_bits().0 - 1.0).abs() < 1e-15);
        }
        // One of 1.8·10¹⁹: −p ln p − (1 − p) ln(1 − p) = p(1 − ln p), though 1 − p is 1 in f64.
        let p = 1.0 / u64::MAX as f64;
        let rare = plug_in(&[1, u64::MAX]).unwrap().0;
        assert!((rare / (p * (1.0 - p.ln())) - 1.0).abs() < 1e-14);
        assert_eq!(plug_in(&[0, 0, 1, 0]).unwrap().0.to_bits(), 0); // certain: +0
        // K = n: the correction is (n − 1)/2n.
        assert_eq!((miller_madow(&[1, 1]).unwrap() - plug_in(&[1, 1]).unwrap()).0, 0.25);
        let (low, high) = guessing_bounds(&[3]).unwrap();
        assert_eq!([low.0.to_bits(), high.0.to_bits()], [0, 0]);
        let (low, high) = guessing_bounds(&[u64::MAX; 3]).unwrap();
        assert!((low.0 - 3.0_f64.ln()).abs() < 1e-15 && (high.0 - 3.0_f64.ln()).abs() < 1e-15);
        // Orders beyond the text, and only F₀.
        assert_eq!(series(['x', 'y'], usize::MAX).unwrap().len(), 3);
        assert_eq!(series(['x', 'y'], 0).unwrap().len(), 1);
    }
}
