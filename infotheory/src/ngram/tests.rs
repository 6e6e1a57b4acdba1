//! Tests of the module.

use super::*;
use proptest::prelude::*;

const KINDS: [Smoothing; 5] = [
    Smoothing::None,
    Smoothing::Additive(0.3),
    Smoothing::WittenBell,
    Smoothing::KneserNey,
    Smoothing::ModifiedKneserNey,
];

proptest! {
    #[test]
    fn probabilities_sum_to_one(
        text in prop::collection::vec(0u32..4, 1..60),
        history in prop::collection::vec(0u32..5, 0..6),
        order in 1usize..5,
    ) {
        let model = NGram::count(order, 4, &text);
        for kind in KINDS {
            let sum: f64 = (0..4).map(|w| model.probability(kind, &history, w)).sum();
            // A history without a continuation has no maximum likelihood.
            let silent = kind == Smoothing::None && sum == 0.0;
            prop_assert!(silent || (sum - 1.0).abs() < 1e-12, "{kind:?}: {sum}");
        }
        for kind in &KINDS[2..] {
            let kind = *kind;
            prop_assert!((0..4).all(|w| model.probability(kind, &history, w) > 0.0));
        }
    }

    #[test]
    fn the_stream_and_the_single_probabilities_agree(
        text in prop::collection::vec(0u32..3, 2..40), order in 1usize..5,
    ) {
        let (train, rest) = text.split_at(text.len() / 2);
        prop_assume!(rest.len() > 1);
        let model = NGram::count(order, 3, train);
        for &kind in &KINDS[1..] {
            let p = |i: usize| model.probability(kind, &rest[..i], rest[i]);
            let slow: f64 = (1..rest.len()).map(|i| -p(i).ln()).sum();
            let mean = slow / (rest.len() - 1) as f64;
            prop_assert!((model.cross_entropy(kind, rest).unwrap().0 - mean).abs() < 1e-12);
        }
    }

    #[test]
    fn kneser_ney_is_its_formula_by_brute_force(
        text in prop::collection::vec(0u32..3, 2..40),
        history in prop::collection::vec(0u32..3, 0..4), w in 0u32..3,
    ) {
        let order = 3;
        let model = NGram::count(order, 3, &text);
        let last = &history[history.len().saturating_sub(order - 1)..];
        for kind in [Smoothing::KneserNey, Smoothing::ModifiedKneserNey] {
            let found = model.probability(kind, &history, w);
            let expected = brute(&text, order, 3, last, w, kind);
            prop_assert!((found - expected).abs() < 1e-12, "{kind:?} {} {}", found, expected);
        }
    }

    #[test]
    fn an_unknown_history_says_what_the_shorter_one_says(
        text in prop::collection::vec(0u32..3, 1..40), w in 0u32..3,
    ) {
        let model = NGram::count(3, 4, &text);
        // Token 3 never occurs.
        let p = |history: &[u32]| model.probability(Smoothing::WittenBell, history, w);
        prop_assert_eq!(p(&[0, 3]), p(&[]));
        prop_assert_eq!(p(&[3, 0]), p(&[0]));
    }
}

/// Kneser–Ney by its definition, with sets and loops.
fn brute(
    text: &[u32],
    order: usize,
    vocabulary: u32,
    history: &[u32],
    w: u32,
    kind: Smoothing,
) -> f64 {
    use std::collections::BTreeSet;
    let count = |s: &[u32]| text.windows(s.len()).filter(|t| *t == s).count() as f64;
    let before = |s: &[u32]| {
        let places = text.windows(s.len() + 1).filter(|t| &t[1..] == s);
        places.map(|t| t[0]).collect::<BTreeSet<_>>().len() as f64
    };
    let mut p = 1.0 / f64::from(vocabulary);
    for k in 0..=history.len() {
        let value = |s: &[u32]| if k + 1 == order { count(s) } else { before(s) };
        let h = &history[history.len() - k..];
        let values: Vec<f64> = (0..vocabulary).map(|w| value(&[h, &[w]].concat())).collect();
        let all = values.iter().sum::<f64>();
        if all == 0.0 {
            // A history without a continuation; longer ones have none either.
            if count(h) == 0.0 || h.is_empty() { break } else { continue }
        }
        let kinds_of: BTreeSet<&[u32]> = text.windows(k + 1).collect();
        let with = |r: f64| kinds_of.iter().filter(|s| value(s) == r).count() as f64;
        let y = if with(1.0) == 0.0 { 0.5 } else { with(1.0) / (with(1.0) + 2.0 * with(2.0)) };
        let mut d = [y; 3];
        if kind == Smoothing::ModifiedKneserNey {
            let n = [1.0, 2.0, 3.0, 4.0].map(with);
            d = [
                1.0 - 2.0 * y * n[1] / n[0],
                2.0 - 3.0 * y * n[2] / n[1],
                3.0 - 4.0 * y * n[3] / n[2],
            ];
            if n[..3].contains(&0.0) || d.iter().any(|d| *d <= 0.0) {
                d = [0.5, 1.0, 1.5];
            }
        }
        let of = |count: f64| if count == 0.0 { 0.0 } else { d[count.min(3.0) as usize - 1] };
        let weight: f64 = values.iter().map(|&v| of(v).min(v)).sum();
        let own = values[w as usize];
        p = ((own - of(own)).max(0.0) + weight * p) / all;
    }
    p
}

#[test]
fn what_follows_one_word_only_is_not_expected_elsewhere() {
    // 5 follows 4 only ("San Francisco"), 0 follows everything; both occur equally often.
    let text = [4, 5, 0, 4, 5, 1, 0, 4, 5, 2, 0, 3, 0, 1, 2, 3];
    let model = NGram::count(2, 7, &text);
    let after_something_new = |w| model.probability(Smoothing::KneserNey, &[6], w);
    assert!(after_something_new(0) > 2.0 * after_something_new(5));
    let by_frequency = |w| model.probability(Smoothing::WittenBell, &[6], w);
    assert!(by_frequency(0) < 1.5 * by_frequency(5));
}

#[test]
fn settings_and_texts_that_have_no_mean_are_refused() {
    let model = NGram::count(2, 3, &[0, 1, 2]);
    for text in [&[][..], &[0]] {
        let none = model.cross_entropy(Smoothing::WittenBell, text);
        assert_eq!(none, Err(InfoError::NoMean { what: "outcomes" }));
    }
    assert_eq!(model.cross_entropy(Smoothing::None, &[1, 0]).unwrap().0, f64::INFINITY);
    assert!(baselines(&[0, 1], &[0], 2, 1)[0].1.0.is_nan());
    assert_eq!(NGram::count(2, 3, &[]).probability(Smoothing::KneserNey, &[0], 1), 1.0 / 3.0);
}

/// On a text of a grammar-like source the three discounts are better than the one.
#[test]
fn three_discounts_are_better_than_one() {
    let random = probability::Random::new(21, 0, 0);
    // A word of 200 by Zipf's law, drawn from a list of 20 that the last word has.
    let mut text = vec![0_u32];
    for i in 0..20_000 {
        let rank = (20.0_f64.powf(random.uniform(2 * i)) - 1.0) as u32;
        let word = text[text.len() - 1] * 7 + rank * rank;
        let own = random.uniform(2 * i + 1) < 0.1;
        text.push(if own { random.below(60_000 + i, 200) as u32 } else { word % 200 });
    }
    let (train, rest) = text.split_at(15_000);
    let model = NGram::count(3, 200, train);
    let [one, three] = [Smoothing::KneserNey, Smoothing::ModifiedKneserNey]
        .map(|kind| model.cross_entropy(kind, rest).unwrap().0);
    assert!(three < one, "{three} {one}");
}

const ALL: [Smoothing; 6] = [
    Smoothing::None,
    Smoothing::Additive(0.0),
    Smoothing::Additive(1.0),
    Smoothing::WittenBell,
    Smoothing::KneserNey,
    Smoothing::ModifiedKneserNey,
];

#[test]
fn hard_floats() {
    let model = NGram::count(2, 3, &[0, 1, 0, 1, 0, 2]);
    let p = |alpha: f64, token: u32| model.probability(Smoothing::Additive(alpha), &[0], token);
    // An invalid α gives NaN, or an error that names it.
    for alpha in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -5e-324] {
        assert!(p(alpha, 1).is_nan() && p(alpha, 9).is_nan());
        let found = model.cross_entropy(Smoothing::Additive(alpha), &[0, 1]).unwrap_err();
        assert!(matches!(found, InfoError::Parameter { what: "α", .. }), "{found}");
    }
    // 0 and −0 are pure counting; the smallest and the largest α are counting and the uniform distribution.
    for nothing in [0.0, -0.0, 5e-324, 1e-310] {
        assert_eq!([0, 1, 2].map(|w| p(nothing, w) > 0.1), [false, true, true]);
        assert_eq!([p(nothing, 1), p(nothing, 2)], [2.0 / 3.0, 1.0 / 3.0]);
    }
    for much in [1e17, 1e300, f64::MAX] {
        for w in 0..3 {
            assert!((p(much, w) - 1.0 / 3.0).abs() < 1e-15, "{much:e}");
        }
    }
    // After an unseen token: uniform, even for α = 10⁻³²⁴; zero for α = 0.
    for (alpha, expected) in [(5e-324, 1.0 / 3.0), (f64::MAX, 1.0 / 3.0), (0.0, 0.0)] {
        let found = model.probability(Smoothing::Additive(alpha), &[2], 1);
        assert!((found - expected).abs() < 1e-15, "{alpha:e}: {found}");
    }
    // Nothing counted; one token; a vocabulary of one, and of none.
    for smoothing in ALL {
        let uniform = match smoothing {
            Smoothing::None | Smoothing::Additive(0.0) => 0.0,
            _ => 0.25,
        };
        let (nothing, one) = (NGram::count(3, 4, &[]), NGram::count(1, 1, &[0]));
        assert_eq!(nothing.probability(smoothing, &[1, 2], 3), uniform);
        assert_eq!(nothing.probability(smoothing, &[], 3), uniform);
        assert_eq!(one.probability(smoothing, &[], 0), 1.0);
        assert_eq!(one.cross_entropy(smoothing, &[0, 0]).unwrap(), Nats(0.0));
        assert!(one.cross_entropy(smoothing, &[0]).is_err());
        assert_eq!(NGram::count(1, 0, &[]).probability(smoothing, &[], 0), 0.0);
        // A token outside the vocabulary has probability 0, and its loss is ∞.
        for stranger in [3, u32::MAX] {
            assert_eq!(model.probability(smoothing, &[0], stranger), 0.0);
            let nats = model.cross_entropy(smoothing, &[0, stranger]).unwrap();
            assert_eq!(nats, Nats(f64::INFINITY));
        }
    }
    assert!(baselines(&[], &[], 0, 2).iter().all(|(_, nats)| nats.0.is_nan()));
    assert!(baselines(&[0], &[0, 0], 1, 0).is_empty());
    assert_eq!(model.order(), 2);
}

#[test]
#[should_panic(expected = "token 7 is not of a vocabulary of 7")]
fn a_token_outside_of_the_vocabulary() {
    NGram::count(2, 7, &[6, 7]);
}

#[test]
#[should_panic(expected = "an n-gram has at least one token")]
fn an_order_of_nothing() {
    NGram::count(0, 7, &[6]);
}

#[test]
fn much_smoothing_is_uniform_and_little_is_counting() {
    let model = NGram::count(2, 5, &[0, 1, 2, 0, 1, 3]);
    assert!((model.probability(Smoothing::Additive(1e12), &[0], 1) - 0.2).abs() < 1e-9);
    assert!((model.probability(Smoothing::Additive(1e-12), &[0], 1) - 1.0).abs() < 1e-9);
}

#[test]
fn witten_bell_by_hand() {
    // a b a b a c: after a: b twice, c once. p₁(b) = (2 + 3/3)/(6 + 3) = 1/3.
    let model = NGram::count(2, 3, &[0, 1, 0, 1, 0, 2]);
    let p = model.probability(Smoothing::WittenBell, &[0], 1);
    assert!((p - (2.0 + 2.0 / 3.0) / (3.0 + 2.0)).abs() < 1e-15);
}
