//! Training and validation data: tokens, random windows of them, and a held-out part.

use crate::model::recorded_step::IGNORED;
use crate::text::tokens::{Tokens, TokensError};
use crate::{streams, words};
use probability::permutation::Permutation;
use probability::random::Random;
use thiserror::Error;

/// A text too short to train or measure on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A text that is shorter than one window.
    #[error(
        "the {part} has {}, but a window takes {needed} (the context and the token after it): give a \
         longer text or a shorter context",
        words::of(*found, "token")
    )]
    Short {
        /// The part of the text.
        part: &'static str,
        /// Its tokens.
        found: usize,
        /// Tokens of a window.
        needed: usize,
    },
}

/// Tokens to train on and tokens to measure on, with a rule for the start of windows.
///
/// A *text* is one stream: windows begin anywhere. *Documents* are separate texts, each ended by the same token: a
/// window begins at the start of one, so that the model sees a document from its beginning or not at all, and its loss
/// can be compared with the source's entropy.
#[derive(Clone, Debug)]
pub struct Corpus {
    train: Tokens,
    validation: Tokens,
    /// The starts of documents in `train`; empty for a text.
    starts: Vec<usize>,
    /// The token that ends a document.
    end: Option<u32>,
}

/// A window: tokens, and the token that follows each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The tokens that the model reads.
    pub tokens: Vec<u32>,
    /// The tokens to predict; [`IGNORED`] if there is none.
    pub targets: Vec<u32>,
}

impl Corpus {
    /// Splits one stream; the last share `held_back` is for validation (a tenth in nanoGPT).
    ///
    /// # Errors
    /// If either part is shorter than a window of `length` tokens and the one after it.
    pub fn text(tokens: Vec<u32>, held_back: f64, length: usize) -> Result<Self, CorpusError> {
        Self::stream(tokens.into(), held_back, length)
    }

    /// Like [`Corpus::text`], for tokens in memory or in files.
    ///
    /// # Errors
    /// See [`Corpus::text`].
    pub fn stream(tokens: Tokens, held_back: f64, length: usize) -> Result<Self, CorpusError> {
        let train = (tokens.len() as f64 * (1.0 - held_back)) as usize;
        let (train, validation) = tokens.split_at(train.min(tokens.len()));
        Self::split(train, validation, length)
    }

    /// Takes one stream that is already split.
    ///
    /// # Errors
    /// If either part is shorter than a window of `length` tokens and the one after it.
    pub fn split(
        train: impl Into<Tokens>,
        validation: impl Into<Tokens>,
        length: usize,
    ) -> Result<Self, CorpusError> {
        let (train, validation) = (train.into(), validation.into());
        let corpus = Corpus { train, validation, starts: vec![], end: None };
        let needed = length.saturating_add(1);
        for (part, tokens) in
            [("training part", &corpus.train), ("validation part", &corpus.validation)]
        {
            if tokens.len() < needed {
                return Err(CorpusError::Short { part, found: tokens.len(), needed });
            }
        }
        Ok(corpus)
    }

    /// Splits documents, each ended by the token `end`, which occurs nowhere else.
    ///
    /// # Errors
    /// If there are fewer training tokens than a window of `length` takes, or none for validation.
    pub fn documents(
        train: Vec<u32>,
        validation: Vec<u32>,
        end: u32,
        length: usize,
    ) -> Result<Self, CorpusError> {
        if train.len() < length || validation.is_empty() {
            let (part, found) = if validation.is_empty() {
                ("validation part", 0)
            } else {
                ("training part", train.len())
            };
            return Err(CorpusError::Short { part, found, needed: length });
        }
        // A window takes `length` tokens after a document's end, so no window begins at the last starts.
        let after_end = |i: usize| i == 0 || train[i - 1] == end;
        let starts = (0..=train.len() - length).filter(|&i| after_end(i)).collect();
        Ok(Corpus { train: train.into(), validation: validation.into(), starts, end: Some(end) })
    }

    /// Returns the corpus with the first `share` of the tokens to train on, at least two windows of `length` tokens, and
    /// all tokens to measure on.
    ///
    /// ```
    /// let corpus = transformer::Corpus::text((0..100).collect(), 0.1, 8)?;
    /// assert_eq!(corpus.with_less(0.5, 8).train().len(), 45);
    /// assert_eq!(corpus.with_less(0.01, 8).train().len(), 18);
    /// # Ok::<(), transformer::text::corpus::CorpusError>(())
    /// ```
    #[must_use]
    pub fn with_less(&self, share: f64, length: usize) -> Self {
        let all = self.train.len();
        let kept = ((share * all as f64) as usize).max(2 * (length + 1)).min(all);
        let starts =
            self.starts.iter().copied().filter(|start| start + length <= kept).collect::<Vec<_>>();
        // A document that is longer than what is kept is kept whole.
        match (self.end, starts.is_empty()) {
            (Some(_), true) => self.clone(),
            _ => Corpus { train: self.train.split_at(kept).0, starts, ..self.clone() },
        }
    }

    /// Returns the tokens to train on.
    pub fn train(&self) -> &Tokens {
        &self.train
    }

    /// Returns the tokens to measure on.
    pub fn validation(&self) -> &Tokens {
        &self.validation
    }

    /// Checks that all tokens that were read so far could be read ([`Tokens::check_read`]).
    ///
    /// # Errors
    /// The first failure.
    pub fn check_read(&self) -> Result<(), TokensError> {
        self.train.check_read().and_then(|()| self.validation.check_read())
    }

    /// Writes batch number `batch` of a seed: windows of `length` tokens, one after another. They depend only on these
    /// numbers, not on earlier draws.
    ///
    /// Windows are drawn without replacement. A pass over a text cuts it into windows, from a random start, and takes
    /// each once, in random order; a pass over documents begins one window at each. Drawing with replacement, as
    /// nanoGPT does, has the same mean, but leaves out a share of 1/e of the tokens in the time of one pass.
    ///
    /// # Panics
    /// If the two slices differ in length, or `length` does not divide it or exceeds the corpus's window length.
    pub fn fill(
        &self,
        seed: u64,
        batch: u64,
        length: usize,
        tokens: &mut [u32],
        targets: &mut [u32],
    ) {
        assert!(tokens.len() == targets.len() && tokens.len().is_multiple_of(length));
        let windows = tokens.chunks_exact_mut(length).zip(targets.chunks_exact_mut(length));
        let batch_size = windows.len() as u64;
        for (i, (tokens, targets)) in windows.enumerate() {
            let start = self.start(seed, batch * batch_size + i as u64, length);
            self.train.read_into(start, targets);
            match self.end {
                Some(end) => tokens[0] = end,
                None => self.train.read_into(start - 1, &mut tokens[..1]),
            }
            tokens[1..].copy_from_slice(&targets[..length - 1]);
        }
    }

    /// Returns the number of windows of `length` tokens in a pass.
    ///
    /// ```
    /// let corpus = transformer::Corpus::text((0..100).collect(), 0.1, 8)?;
    /// assert_eq!(corpus.windows_of_a_pass(8), 10); // of 89 targets, and one window's worth is left out
    /// # Ok::<(), transformer::text::corpus::CorpusError>(())
    /// ```
    pub fn windows_of_a_pass(&self, length: usize) -> usize {
        match self.end {
            Some(_) => self.starts.len(),
            None => ((self.train.len() - 1) / length).saturating_sub(1).max(1),
        }
    }

    /// Returns the start of the targets of window number `window`.
    fn start(&self, seed: u64, window: u64, length: usize) -> usize {
        if self.end.is_some() {
            let documents = self.starts.len() as u64;
            let random = Random::new(seed, streams::WINDOWS, (window / documents) as u32);
            return self.starts
                [Permutation::new(documents, random).at(window % documents) as usize];
        }
        // The first token is never a target. A pass leaves out one window's worth of tokens, or the remainder if there
        // is only one window, so that it can begin at any of that many places.
        let targets = self.train.len() - 1;
        let windows = self.windows_of_a_pass(length);
        let slack = targets - windows * length;
        let random = Random::new(seed, streams::WINDOWS, (window / windows as u64) as u32);
        let order = Permutation::new(windows as u64, random);
        let place = order.at(window % windows as u64) as usize;
        1 + random.below(0, slack as u64 + 1) as usize + length * place
    }

    /// Returns windows of [`Corpus::validation_windows`] with at most `tokens` tokens together (at least one window),
    /// spread over the validation part: all of it if it is not longer.
    ///
    /// ```
    /// let corpus = transformer::Corpus::text((0..1000).collect(), 0.5, 10)?;
    /// let sample = corpus.validation_sample(10, 50);
    /// let first: Vec<u32> = sample.iter().map(|window| window.tokens[0]).collect();
    /// assert_eq!(first, [500, 600, 700, 800, 900]);
    /// assert_eq!(corpus.validation_sample(10, 1000), corpus.validation_windows(10));
    /// # Ok::<(), transformer::text::corpus::CorpusError>(())
    /// ```
    pub fn validation_sample(&self, length: usize, tokens: usize) -> Vec<Window> {
        let most = tokens / length;
        match self.end {
            None => {
                let count = self.validation.len().saturating_sub(1).div_ceil(length);
                spread(count, most).map(|i| window(&self.validation, i * length, length)).collect()
            }
            Some(end) => {
                let mut all = packed(&self.validation.to_vec(), end, length);
                let (count, empty) = (all.len(), || Window { tokens: vec![], targets: vec![] });
                spread(count, most).map(|i| std::mem::replace(&mut all[i], empty())).collect()
            }
        }
    }

    /// Returns the whole validation part in windows of `length` tokens. Every token is predicted once, except the first
    /// of a text, which has no predecessor. Documents stay whole if they fit.
    pub fn validation_windows(&self, length: usize) -> Vec<Window> {
        match self.end {
            None => windows_of(&self.validation, length).collect(),
            Some(end) => packed(&self.validation.to_vec(), end, length),
        }
    }
}

/// Picks at most `most`, but at least one, of `all` windows, as far apart as possible.
fn spread(all: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = all.min(most.max(1));
    (0..taken).map(move |i| (i as u128 * all as u128 / taken as u128) as usize)
}

/// Cuts a stream into windows that overlap by the one token between input and target; the last is filled up with
/// ignored targets.
///
/// ```
/// let w = transformer::text::corpus::windows(&[7, 8, 9, 5], 2);
/// assert_eq!((&w[0].tokens[..], &w[0].targets[..]), (&[7, 8][..], &[8, 9][..]));
/// assert_eq!(w[1].targets[0], 5);
/// assert_eq!(w[1].targets[1], transformer::IGNORED);
/// ```
pub fn windows(stream: &[u32], length: usize) -> Vec<Window> {
    windows_of(&stream.to_vec().into(), length).collect()
}

fn windows_of(stream: &Tokens, length: usize) -> impl Iterator<Item = Window> + '_ {
    let last = stream.len().saturating_sub(1);
    (0..last).step_by(length).map(move |start| window(stream, start, length))
}

/// Returns the window of a stream that begins at `start`, which must not be the last token.
fn window(stream: &Tokens, start: usize, length: usize) -> Window {
    let end = (start + length).min(stream.len() - 1);
    let own = stream.read(start..end + 1);
    padded(own[..own.len() - 1].to_vec(), own[1..].to_vec(), length)
}

/// Packs documents into windows that begin with a document's start.
fn packed(stream: &[u32], end: u32, length: usize) -> Vec<Window> {
    let mut packed: Vec<Window> = Vec::new();
    let mut targets: Vec<u32> = Vec::new();
    let mut close = |targets: &mut Vec<u32>| {
        // A document longer than a window continues in the next one.
        for part in targets.chunks(length) {
            let before = match packed.last() {
                Some(w) if part.as_ptr() != targets.as_ptr() => w.targets[length - 1],
                _ => end,
            };
            let tokens = std::iter::once(before).chain(part.iter().copied()).take(part.len());
            packed.push(padded(tokens.collect(), part.to_vec(), length));
        }
        targets.clear();
    };
    for document in stream.split_inclusive(|&t| t == end) {
        if targets.len() + document.len() > length {
            close(&mut targets);
        }
        targets.extend(document);
    }
    close(&mut targets);
    packed
}

fn padded(mut tokens: Vec<u32>, mut targets: Vec<u32>, length: usize) -> Window {
    tokens.resize(length, tokens[0]);
    targets.resize(length, IGNORED);
    Window { tokens, targets }
}

#[cfg(test)]
mod tests {
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
            let corpus = Corpus { train: vec![0].into(), validation: stream.into(), starts: vec![], end };
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
            Window { tokens, targets }
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
            let corpus = Corpus { train, validation, starts: vec![], end: None };
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
        assert!(y.chunks(4).all(|w| [[1, 2, 0, 3], [3, 0, 4, 5], [4, 5, 6, 0]].contains(w.try_into().unwrap())));
    }

    #[test]
    fn short_texts_are_refused() {
        let error = Corpus::text((0..50).collect(), 0.1, 8).unwrap_err();
        assert_eq!(error, CorpusError::Short { part: "validation part", found: 5, needed: 9 });
    }
}
