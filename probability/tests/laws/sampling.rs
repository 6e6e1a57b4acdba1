//! Drawing: random numbers, alias tables, the Gumbel trick, transformations of next-token
//! distributions.

use crate::{EPSILON, all_close, close, distribution, logits};
use probability::alias::AliasTable;
use probability::goodness::chi_squared;
use probability::gumbel::gumbel_max;
use probability::sample::Sampler;
use probability::transform::{
    Keep, Logits, MinP, RepetitionPenalty, Temperature, TopK, TopP, Transform, Typical,
};
use probability::{Categorical, Random};
use proptest::prelude::*;

/// Counts draws of `draw`; the χ² test gives the probability of as large a deviation.
fn p_value(p: &Categorical, draws: u64, mut draw: impl FnMut(u64) -> usize) -> f64 {
    let mut counts = vec![0; p.len()];
    (0..draws).for_each(|i| counts[draw(i)] += 1);
    chi_squared(&counts, p).unwrap().p_value
}

/// The p-value below which none of hundreds of χ² tests at fixed seeds falls by chance.
const SUSPICIOUS: f64 = 1e-6;

fn distribution_of(transform: &impl Transform, z: &[f64]) -> Vec<f64> {
    transform.apply(Logits::new(z).unwrap()).unwrap().distribution().probabilities().to_vec()
}

fn support(p: &[f64]) -> usize {
    p.iter().filter(|p| **p > 0.0).count()
}

/// Logits that differ by 0.01 or more: no ties that rounding could break.
fn distinct() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::btree_set(-1000..1000_i32, 1..30)
        .prop_map(|z| z.into_iter().map(|z| f64::from(z) / 100.0).collect::<Vec<_>>())
        .prop_shuffle()
}

/// The textbook's five tokens.
const TEXTBOOK: [f64; 5] = [2.0, 1.0, 0.5, -1.0, 0.1];

#[test]
fn three_ways_of_drawing_one_distribution() {
    let p = Categorical::from_logits(&TEXTBOOK).unwrap();
    let table = AliasTable::new(&p);
    let sampler = Sampler::default();
    for seed in 0..20 {
        let random = Random::new(seed, 0, 0);
        let draws = [
            p_value(&p, 20_000, |i| p.draw(&random, i)),
            p_value(&p, 20_000, |i| table.draw(&random, i)),
            p_value(&p, 20_000, |i| gumbel_max(&TEXTBOOK, &random, i).unwrap()),
            p_value(&p, 20_000, |i| sampler.draw(&TEXTBOOK, random.uniform(i)).unwrap()),
        ];
        assert!(draws.iter().all(|p| *p > SUSPICIOUS), "seed {seed}: {draws:?}");
    }
    // The test can fail: draws from another distribution, with one logit off by 0.1.
    let wrong = [2.1, 1.0, 0.5, -1.0, 0.1];
    let random = Random::new(0, 0, 0);
    assert!(p_value(&p, 20_000, |i| gumbel_max(&wrong, &random, i).unwrap()) < SUSPICIOUS);
}

proptest! {
    /// Built from integers, the table is exact.
    #[test]
    fn alias_tables_are_exact(counts in prop::collection::vec(0..1_u64 << 50, 1..50)) {
        prop_assume!(counts.iter().any(|&n| n > 0));
        let table = AliasTable::from_counts(&counts).unwrap();
        let expected: Vec<u128> =
            counts.iter().map(|&c| u128::from(c) * counts.len() as u128).collect();
        prop_assert_eq!(table.shares(), expected);
    }

    /// Built from probabilities, it is within the rounding to 2⁻⁶²; an impossible outcome stays impossible.
    ///
    /// The error of a weight is 2⁻⁶²; that of their sum is n of these plus the error of Σp: ε, from dividing each by
    /// the sum (ε/2 of Σp) and from that sum (ε/2). `probability` rounds four times, ε/2 each: share, height, their
    /// product with n, quotient. All but the first are relative to p; squares of all these are added.
    #[test]
    fn alias_tables_of_distributions(p in distribution(1..40)) {
        let (table, unit) = (AliasTable::new(&p), (-62.0_f64).exp2());
        for i in 0..p.len() {
            close(
                table.probability(i),
                p.probability(i),
                p.probability(i) * (3.0 * EPSILON + (p.len() + 1) as f64 * unit) + unit,
            );
            prop_assert_eq!(table.probability(i) == 0.0, p.probability(i) == 0.0);
        }
        prop_assert_eq!(table.len(), p.len());
    }

    /// Frequencies of the Gumbel trick, for any distribution.
    #[test]
    fn gumbel_frequencies(
        z in prop::collection::vec(-2.0..2.0_f64, 2..8),
        seed in 0..1000_u64,
    ) {
        let (p, random) = (Categorical::from_logits(&z).unwrap(), Random::new(seed, 0, 0));
        prop_assert!(p_value(&p, 2000, |i| gumbel_max(&z, &random, i).unwrap()) > SUSPICIOUS);
    }

    /// A shift of all logits changes no draw, and −∞ is never drawn.
    #[test]
    fn gumbel_laws(
        z in logits(20),
        seed in 0..1000_u64,
        shift in -64..64_i32,
    ) {
        let random = Random::new(seed, 0, 0);
        let i = gumbel_max(&z, &random, 3).unwrap();
        prop_assert!(z[i] > f64::NEG_INFINITY);
        let rounded: Vec<f64> = z.iter().map(|z| (z * 1024.0).round() / 1024.0).collect();
        let shifted: Vec<f64> = rounded.iter().map(|z| z + f64::from(shift)).collect();
        prop_assert_eq!(gumbel_max(&rounded, &random, 3), gumbel_max(&shifted, &random, 3));
    }

    /// Numbers are in their range, for any seed and index.
    #[test]
    fn ranges_of_random_numbers(
        seed: u64,
        stream: u32,
        step: u32,
        index: u64,
        n in 1..u64::MAX,
    ) {
        let random = Random::new(seed, stream, step);
        prop_assert!((0.0..1.0).contains(&random.uniform(index)));
        let open = random.open_uniform(index);
        prop_assert!(0.0 < open && open < 1.0);
        prop_assert!(random.below(index, n) < n);
        prop_assert!(random.normal(index).abs() < 8.6);
    }

    /// At most k are left, the k best, with their ratios unchanged; applying it twice is applying it once.
    #[test]
    fn top_k(z in distinct(), k in 1..40_usize) {
        let (all, p) = (distribution_of(&Keep, &z), distribution_of(&TopK(k), &z));
        prop_assert_eq!(support(&p), k.min(z.len()));
        let kept: f64 = (0..z.len()).filter(|&i| p[i] > 0.0).map(|i| all[i]).sum();
        for i in 0..z.len() {
            prop_assert!(p[i] == 0.0 || (p[i] - all[i] / kept).abs() <= 16.0 * EPSILON);
            for j in 0..z.len() {
                prop_assert!(!(p[i] == 0.0 && p[j] > 0.0) || z[i] <= z[j]);
            }
        }
        prop_assert_eq!(distribution_of(&TopK(k).then(TopK(k)), &z), p);
    }

    /// The kept tokens reach P, and without the least likely one they would not.
    #[test]
    fn top_p(z in distinct(), goal in 0.01..1.0_f64) {
        let (all, p) = (distribution_of(&Keep, &z), distribution_of(&TopP(goal), &z));
        let kept: Vec<f64> = (0..z.len()).filter(|&i| p[i] > 0.0).map(|i| all[i]).collect();
        let (sum, least) = (kept.iter().sum::<f64>(), kept.iter().copied().fold(1.0, f64::min));
        prop_assert!(sum >= goal - 64.0 * EPSILON);
        prop_assert!(sum - least < goal + 64.0 * EPSILON);
        prop_assert_eq!(distribution_of(&TopP(1.0), &z), all);
    }

    /// All tokens at least P times as probable as the best are kept, and no others.
    #[test]
    fn min_p(z in distinct(), share in 0.0..1.0_f64) {
        let (all, p) = (distribution_of(&Keep, &z), distribution_of(&MinP(share), &z));
        let best = all.iter().copied().fold(0.0, f64::max);
        for i in 0..z.len() {
            let ratio = all[i] / best;
            prop_assert!((ratio - share).abs() < 1e-12 || (p[i] > 0.0) == (ratio >= share));
        }
        prop_assert_eq!(distribution_of(&MinP(0.0), &z), all);
        prop_assert_eq!(support(&distribution_of(&MinP(1.0), &z)), 1);
    }

    /// The kept tokens are nearer to the entropy than the others; they reach P; of equal probabilities none is more
    /// typical.
    #[test]
    fn typical(z in distinct(), goal in 0.01..1.0_f64) {
        let (all, p) = (distribution_of(&Keep, &z), distribution_of(&Typical(goal), &z));
        let entropy: f64 = all.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        let strange = |i: usize| (-all[i].ln() - entropy).abs();
        let kept: f64 = (0..z.len()).filter(|&i| p[i] > 0.0).map(|i| all[i]).sum();
        prop_assert!(kept >= goal - 64.0 * EPSILON);
        // No more tokens are kept than necessary.
        let left = (0..z.len()).filter(|&i| p[i] > 0.0);
        let last = left.max_by(|&i, &j| strange(i).total_cmp(&strange(j))).unwrap();
        prop_assert!(kept - all[last] < goal + 64.0 * EPSILON);
        for i in 0..z.len() {
            for j in 0..z.len() {
                prop_assert!(!(p[i] > 0.0 && p[j] == 0.0) || strange(i) <= strange(j) + 1e-12);
            }
        }
        prop_assert_eq!(distribution_of(&Typical(1.0), &z), all);
    }

    /// Temperature keeps the order, and so the k best: the two commute.
    #[test]
    fn top_k_and_temperature_commute(
        z in distinct(),
        k in 1..40_usize,
        t in 0.1..3.0_f64,
    ) {
        let a = distribution_of(&TopK(k).then(Temperature(t)), &z);
        all_close(&a, &distribution_of(&Temperature(t).then(TopK(k)), &z), 4.0 * EPSILON);
        prop_assert_eq!(distribution_of(&Temperature(1.0), &z), distribution_of(&Keep, &z));
    }

    /// Composition is associative and has a neutral element, and at least one token is left.
    #[test]
    fn composition(
        z in logits(30),
        t in 0.0..2.0_f64,
        k in 1..20_usize,
        p in 0.05..1.0_f64,
        m in 0.0..1.0_f64,
    ) {
        let (a, b, c) = (Temperature(t), TopK(k).then(Typical(p)), TopP(p).then(MinP(m)));
        let left = distribution_of(&a.then(b).then(c), &z);
        prop_assert_eq!(&left, &distribution_of(&a.then(b.then(c)), &z));
        prop_assert_eq!(&left, &distribution_of(&Keep.then(a).then(b).then(c).then(Keep), &z));
        close(left.iter().sum(), 1.0, 30.0 * EPSILON);
        prop_assert!(z.iter().zip(&left).all(|(z, p)| *z > f64::NEG_INFINITY || *p == 0.0));
    }

    /// A penalty above 1 makes earlier tokens less likely and the others more likely; 1 changes nothing.
    #[test]
    fn penalty(
        z in distinct(),
        penalty in 1.0..3.0_f64,
        token in 0..30_usize,
    ) {
        let token = token % z.len();
        let history = [token as u32, token as u32, 99];
        let (all, p) = (
            distribution_of(&Keep, &z),
            distribution_of(&RepetitionPenalty { penalty, history: &history }, &z),
        );
        // Applied once, for any number of occurrences: divided if positive, multiplied otherwise.
        let mut by_hand = z.clone();
        by_hand[token] = if z[token] > 0.0 { z[token] / penalty } else { z[token] * penalty };
        all_close(&p, &distribution_of(&Keep, &by_hand), 64.0 * EPSILON);
        prop_assert!(p[token] <= all[token] + 4.0 * EPSILON);
        prop_assert!((0..z.len()).all(|i| i == token || p[i] >= all[i] - 4.0 * EPSILON));
        prop_assert_eq!(
            distribution_of(&RepetitionPenalty { penalty: 1.0, history: &history }, &z),
            all
        );
    }

    /// The sampler's settings are the composition in its order.
    #[test]
    fn a_sampler_is_a_composition(
        z in logits(30),
        t in 0.0..2.0_f64,
        k in 1..20_usize,
        p in 0.05..1.0_f64,
        m in 0.0..1.0_f64,
        penalty in 0.5..2.0_f64,
    ) {
        let history = [0_u32, 3, 3];
        let sampler = Sampler {
            temperature: t,
            top_k: Some(k),
            top_p: Some(p),
            min_p: Some(m),
            typical: Some(p),
            repetition_penalty: penalty,
        };
        let composed = RepetitionPenalty { penalty, history: &history }
            .then(Temperature(t))
            .then(TopK(k))
            .then(Typical(p))
            .then(TopP(p))
            .then(MinP(m));
        prop_assert_eq!(
            sampler.distribution_after(&history, &z).unwrap(),
            distribution_of(&composed, &z)
        );
    }
}
