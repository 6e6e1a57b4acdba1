use super::*;
use proptest::prelude::*;

fn counted(windows: &[Window]) -> Vec<u32> {
    windows.iter().flat_map(|w| &w.targets).copied().filter(|&t| t != IGNORED).collect()
}

proptest! {
    #[test]
    fn a_stream_is_predicted_once_in_order(
        stream in prop::collection::vec(0u32..9, 1..60), length in 1usize..20,
    ) {
        let w = windows(&stream, length);
        prop_assert_eq!(counted(&w), &stream[1..]);
        for w in &w {
            prop_assert_eq!(w.tokens.len(), length);
            let n = w.targets.iter().filter(|&&t| t != IGNORED).count();
            prop_assert_eq!(&w.tokens[1..n], &w.targets[..n - 1]);
        }
    }

    /// A sample consists of windows of the whole, in order, with at most the requested number of tokens, or all if
    /// they fit. The gaps between neighbours differ by at most one window.
    #[test]
    fn a_sample_comes_from_everywhere(
        stream in prop::collection::vec(0u32..9, 2..200), length in 1usize..20, tokens in 0usize..250, documents: bool,
    ) {
        let end = documents.then_some(0);
        let corpus = Corpus { end, ..Corpus::plain(vec![0].into(), stream.into()) };
        let (all, sample) = (corpus.validation_windows(length), corpus.validation_sample(length, tokens));
        let taken = all.len().min((tokens / length).max(1));
        prop_assert_eq!(sample.len(), taken);
        prop_assert!(taken == 1 || taken * length <= tokens);
        let places: Vec<usize> = spread(all.len(), tokens / length).collect();
        prop_assert!(sample.iter().zip(&places).all(|(window, i)| *window == all[*i]));
        let steps: Vec<usize> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (least, most) = (steps.iter().min(), steps.iter().max());
        prop_assert!(least.zip(most).is_none_or(|(least, most)| *least >= 1 && most - least <= 1));
    }

    #[test]
    fn documents_are_predicted_once_in_order_and_from_their_start(
        documents in prop::collection::vec(prop::collection::vec(1u32..9, 0..12), 1..9),
        length in 1usize..40,
    ) {
        let stream: Vec<u32> =
            documents.iter().flat_map(|d| d.iter().copied().chain([0])).collect();
        let w = packed(&stream, 0, length);
        prop_assert_eq!(counted(&w), stream);
        if length > 12 {
            prop_assert!(w.iter().all(|w| w.tokens[0] == 0));
        }
    }
}

/// Draws `count` windows from `first` on, as batches of one.
fn drawn(corpus: &Corpus, seed: u64, first: u64, count: u64, length: usize) -> Vec<Window> {
    let draw = |batch| {
        let (mut tokens, mut targets) = (vec![0; length], vec![0; length]);
        corpus.fill(seed, batch, length, &mut tokens, &mut targets);
        Window { tokens, targets, ..Window::default() }
    };
    (first..first + count).map(draw).collect()
}

proptest! {
    #[test]
    fn a_pass_takes_every_token_once_but_a_window_or_two(
        n in 20u32..300, length in 1usize..18, seed: u64, pass in 0u64..5,
    ) {
        let train: Vec<u32> = (0..n).collect();
        let (train, validation) = (train.into(), vec![0].into());
        let corpus =
            Corpus::plain(train, validation);
        let windows = ((n as usize - 1) / length).saturating_sub(1).max(1) as u64;
        let w = drawn(&corpus, seed, pass * windows, windows, length);
        prop_assert!(w.iter().all(|w| w.tokens.iter().zip(&w.targets).all(|(x, y)| x + 1 == *y)));
        let mut seen = counted(&w);
        seen.sort_unstable();
        prop_assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
        prop_assert!(seen.len() + 2 * length > n as usize - 1);
        prop_assert!(seen[0] >= 1 && *seen.last().unwrap() < n);
    }
}

#[test]
fn windows_are_drawn_from_everywhere_and_again() {
    let corpus = Corpus::text((0..100).collect(), 0.1, 8).unwrap();
    assert_eq!(corpus.validation().to_vec(), Vec::from_iter(90..100));
    let draw = |batch| {
        let (mut x, mut y) = (vec![0; 8 * 50], vec![0; 8 * 50]);
        corpus.fill(3, batch, 8, &mut x, &mut y);
        (x, y)
    };
    assert_eq!(draw(0), draw(0));
    assert_ne!(draw(0), draw(1));
    let seen: std::collections::HashSet<u32> = (0..40).flat_map(|b| draw(b).0).collect();
    assert_eq!(seen.len(), 89); // all of the 90 but the last, which is only a target
    // A batch of fifty windows equals fifty batches of one.
    let one_by_one = drawn(&corpus, 3, 50, 50, 8);
    assert_eq!(draw(1).1, one_by_one.into_iter().flat_map(|w| w.targets).collect::<Vec<_>>());
}

#[test]
fn document_windows_begin_with_an_end() {
    let corpus = Corpus::documents(vec![1, 2, 0, 3, 0, 4, 5, 6, 0], vec![1, 0], 0, 4).unwrap();
    let mut pass: Vec<_> = drawn(&corpus, 7, 3, 3, 4).into_iter().map(|w| w.targets).collect();
    pass.sort();
    assert_eq!(pass, [[1, 2, 0, 3], [3, 0, 4, 5], [4, 5, 6, 0]]); // each once
    let (mut x, mut y) = (vec![9; 4 * 30], vec![9; 4 * 30]);
    corpus.fill(1, 0, 4, &mut x, &mut y);
    assert!(x.chunks(4).all(|w| w[0] == 0));
    assert!(
        y.chunks(4)
            .all(|w| [[1, 2, 0, 3], [3, 0, 4, 5], [4, 5, 6, 0]].contains(w.try_into().unwrap()))
    );
}

#[test]
fn short_texts_are_refused() {
    let error = Corpus::text((0..50).collect(), 0.1, 8).unwrap_err();
    assert_eq!(error, CorpusError::Short { part: "validation part", found: 5, needed: 9 });
}
