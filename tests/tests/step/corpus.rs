//! What is trained on and what is held back: nothing is in both, every pass has its own order, every token counts once.

use std::collections::HashSet;
use tests::{draw, models};
use transformer::inspect::check::{self, Verdict};
use transformer::text::stories;
use transformer::{Corpus, IGNORED, TrainingConfig};

/// Windows of a run, a batch of one each: what is read, what is to be predicted.
fn drawn(
    corpus: &Corpus,
    seed: u64,
    first: u64,
    count: usize,
    length: usize,
) -> Vec<[Vec<u32>; 2]> {
    let window = |i: usize| {
        let (mut x, mut y) = (vec![0; length], vec![0; length]);
        corpus.fill(seed, first + i as u64, length, &mut x, &mut y);
        [x, y]
    };
    (0..count).map(window).collect()
}

#[test]
fn what_is_held_back_is_never_trained_on() {
    for (n, share, length) in [(200, 0.1, 8), (200, 0.5, 8), (1000, 0.25, 33), (90, 0.3, 7)] {
        let text: Vec<u32> = (0..n).collect();
        let corpus = Corpus::text(text.clone(), share, length).unwrap();
        assert_eq!([corpus.train().to_vec(), corpus.validation().to_vec()].concat(), text);
        let held_back = corpus.validation().len() as f64;
        assert!((held_back - share * f64::from(n)).abs() <= 1.0, "{held_back} of {n}");
        let known: HashSet<u32> = corpus.validation().to_vec().into_iter().collect();
        for [x, y] in (0..5).flat_map(|seed| drawn(&corpus, seed, 0, 200, length)) {
            assert!(x.iter().chain(&y).all(|t| !known.contains(t)));
        }
        for w in corpus.validation_windows(length) {
            let counted = w.targets.iter().filter(|t| **t != IGNORED);
            assert!(w.tokens.iter().chain(counted).all(|t| known.contains(t)));
        }
    }
}

/// Passes in the order of their windows: the first target of each.
fn passes(corpus: &Corpus, seed: u64, count: u64, windows: usize, length: usize) -> Vec<Vec<u32>> {
    let pass = |p: u64| drawn(corpus, seed, p * windows as u64, windows, length);
    (0..count).map(|p| pass(p).into_iter().map(|[_, y]| y[0]).collect()).collect()
}

/// No two orders of n things agree in more places than chance allows: 1 is expected, 9 have a chance of 10⁻⁶.
fn orders_differ(orders: &[Vec<usize>]) {
    let sorted: Vec<usize> = (0..orders[0].len()).collect();
    for (i, order) in orders.iter().enumerate() {
        for other in orders[..i].iter().chain([&sorted]) {
            let same = order.iter().zip(other).filter(|(a, b)| a == b).count();
            assert!(same < 9, "{same} of {} windows come at the same time", order.len());
            // Not turned round either, nor shifted.
            let turned = order.iter().zip(other.iter().rev()).filter(|(a, b)| a == b).count();
            let shifted = order.iter().zip(&other[1..]).filter(|(a, b)| a == b).count();
            assert!(turned < 9 && shifted < 9);
        }
    }
}

/// The places of a pass's windows among each other.
fn ranks(pass: &[u32]) -> Vec<usize> {
    let mut sorted = pass.to_vec();
    sorted.sort_unstable();
    pass.iter().map(|x| sorted.binary_search(x).unwrap()).collect()
}

#[test]
fn every_pass_over_a_text_has_its_own_order_and_its_own_cut() {
    let (n, length) = (1000, 12);
    let corpus = Corpus::text((0..n).collect(), 0.1, length).unwrap();
    let windows = (corpus.train().len() - 1) / length - 1;
    let mut orders = Vec::new();
    let mut cuts = HashSet::new();
    for seed in [1, 2, 1 << 33] {
        for pass in passes(&corpus, seed, 4, windows, length) {
            let phase: HashSet<u32> = pass.iter().map(|x| x % length as u32).collect();
            assert_eq!(phase.len(), 1, "a pass cuts at one distance");
            cuts.extend(phase);
            orders.push(ranks(&pass));
        }
    }
    orders_differ(&orders);
    // Twelve cuts at one of twelve phases: that fewer than four differ has a chance below 10⁻⁴.
    assert!(cuts.len() >= 4, "{cuts:?}");
}

/// Documents of 3 to 7 tokens of their own, each ended by 0.
fn documents(count: u32) -> (Vec<u32>, Vec<u32>) {
    let (mut text, mut starts) = (Vec::new(), Vec::new());
    for d in 0..count {
        starts.push(1 + 10 * d);
        text.extend((0..2 + d % 5).map(|i| 1 + 10 * d + i));
        text.push(0);
    }
    (text, starts)
}

#[test]
fn every_pass_over_documents_has_its_own_order_and_begins_once_at_each() {
    let (text, starts) = documents(60);
    let length = 5;
    let corpus = Corpus::documents(text.clone(), vec![1, 0], 0, length).unwrap();
    // The last documents that leave no room for a window are read by those before.
    let usable: Vec<u32> = starts
        .iter()
        .copied()
        .filter(|s| text.iter().position(|t| t == s).unwrap() + length <= text.len())
        .collect();
    let mut orders = Vec::new();
    for seed in [1, 2, 1 << 33] {
        for pass in passes(&corpus, seed, 4, usable.len(), length) {
            let mut sorted = pass.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, usable, "one window at each document");
            orders.push(ranks(&pass));
        }
    }
    orders_differ(&orders);
    for [x, y] in drawn(&corpus, 3, 0, 100, length) {
        assert_eq!((x[0], &x[1..]), (0, &y[..length - 1]));
        let at = text.windows(length).position(|w| w == y).expect("a stretch of the text");
        assert!(at == 0 || text[at - 1] == 0);
    }
}

#[test]
fn validation_windows_predict_every_token_once_from_what_precedes_it() {
    let (text, _) = documents(20);
    for length in 1..40 {
        let stream = Corpus::text(draw::below(4, 700, 9), 0.1, length).unwrap();
        let several = Corpus::documents(text.clone(), text.clone(), 0, length).unwrap();
        for (corpus, first) in [(&stream, 1), (&several, 0)] {
            let windows = corpus.validation_windows(length);
            let mut counted: Vec<u32> = Vec::new();
            for w in &windows {
                assert_eq!((w.tokens.len(), w.targets.len()), (length, length));
                let n = w.targets.iter().take_while(|t| **t != IGNORED).count();
                assert!(n > 0 && w.targets[n..].iter().all(|t| *t == IGNORED));
                assert_eq!(w.tokens[1..n], w.targets[..n - 1]);
                // Before the first target: the token before it, or the end of a document.
                let before = counted.len() + first;
                let known =
                    if before == 0 { 0 } else { corpus.validation().read(before - 1..before)[0] };
                assert!(w.tokens[0] == known || (first == 0 && w.tokens[0] == 0));
                counted.extend(&w.targets[..n]);
            }
            assert_eq!(counted, corpus.validation().to_vec()[first..]);
        }
    }
}

#[test]
fn series_of_stories_are_independent() {
    let grammar = stories::grammar();
    let series = |s: u64| (0..400).map(|i| stories::story(&grammar, s, i)).collect::<Vec<_>>();
    let all = [0, 1, 2, 1 << 40].map(series);
    for (i, own) in all.iter().enumerate() {
        assert_eq!(*own, series([0, 1, 2, 1 << 40][i]));
        // Two of 1,600 stories of 22 nats are the same with a chance below 10⁻³.
        let mut seen = HashSet::new();
        let again = all[..=i].iter().flatten().filter(|s| !seen.insert(*s)).count();
        assert!(again <= 2, "{again} stories come twice");
    }
}

fn failures(corpus: &Corpus, vocabulary: usize) -> Vec<&'static str> {
    let config = TrainingConfig { context: 16, ..models::training() };
    let found = check::data(corpus, vocabulary, &config).into_iter();
    found.filter(|c| c.verdict == Verdict::Fail).map(|c| c.name).collect()
}

#[test]
fn certificates_of_data_notice_what_is_wrong() {
    let text = draw::below(5, 10_000, 50);
    let sound = Corpus::text(text.clone(), 0.1, 16).unwrap();
    assert!(failures(&sound, 50).is_empty());
    // The held-back part was copied into training, whole or in a stretch of 100.
    for stretch in [1000, 100] {
        let mut leaky = text.clone();
        leaky.copy_within(9000..9000 + stretch, 3000);
        let leaky = Corpus::text(leaky, 0.1, 16).unwrap();
        assert!(failures(&leaky, 50).contains(&"the split does not overlap"), "{stretch}");
    }
    // One token outside the vocabulary, in either part.
    for at in [100, 9500] {
        let mut strange = text.clone();
        strange[at] = 50;
        let strange = Corpus::text(strange, 0.1, 16).unwrap();
        assert!(failures(&strange, 51).is_empty());
        assert_eq!(failures(&strange, 50), ["tokens are in range"]);
    }
    let shifted = |by: usize| check::shifted([(&text[..90], &text[by..90 + by])]).verdict;
    assert_eq!(
        [0, 1, 2, 3].map(shifted),
        [Verdict::Fail, Verdict::Pass, Verdict::Fail, Verdict::Fail]
    );
}
