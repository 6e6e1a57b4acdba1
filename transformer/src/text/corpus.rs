//! Training and validation data: tokens, random windows of them, and a held-out part.

use crate::model::recorded_step::IGNORED;
use crate::text::conversation::Marked;
use crate::text::packing::{Counts, Packing};
use crate::text::teacher::Teacher;
use crate::text::tokens::{Tokens, TokensError};
use crate::{streams, words};
use probability::permutation::Permutation;
use probability::random::Random;
use std::sync::Arc;
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
    /// Conversations without an answer that a window holds.
    #[error(
        "the {part}: no answer of {found} conversations or preferences is within a window of {} (each side of a preference \
         has half of one, and the sides must differ there): give others, or a longer context",
        words::of(*length, "token")
    )]
    NoAnswer {
        /// The part of the conversations.
        part: &'static str,
        /// Its conversations.
        found: usize,
        /// Tokens of a window.
        length: usize,
    },
}

/// Tokens to train on and tokens to measure on, with a rule for the start of windows.
///
/// A *text* is one stream: windows begin anywhere. *Documents* are separate texts, each ended by the same token: a
/// window begins at the start of one, so that the model sees a document from its beginning or not at all, and its loss
/// can be compared with the source's entropy. *Conversations* are packed into windows ([`crate::text::packing`]), and only
/// their answers are predicted.
#[derive(Clone, Debug)]
pub struct Corpus {
    train: Tokens,
    validation: Tokens,
    /// The starts of documents in `train`; empty for a text.
    starts: Vec<usize>,
    /// The token that ends a document.
    end: Option<u32>,
    /// Conversations to train on and to measure on, if the corpus is of them.
    pub(super) conversations: Option<[Packing; 2]>,
    /// The model whose predictions are learned beside the text.
    pub(super) teacher: Option<Arc<dyn Teacher>>,
}

/// A window: tokens, and the token that follows each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// The tokens that the model reads.
    pub tokens: Vec<u32>,
    /// The tokens to predict; [`IGNORED`] if there is none.
    pub targets: Vec<u32>,
    /// The nats of each target under the reference, if the window holds preferences and they are known.
    pub reference: Vec<f32>,
}

impl Corpus {
    fn plain(train: Tokens, validation: Tokens) -> Self {
        let (starts, end, conversations, teacher) = (vec![], None, None, None);
        Corpus { train, validation, starts, end, conversations, teacher }
    }

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
        let corpus = Corpus::plain(train, validation);
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
        Ok(Corpus { starts, end: Some(end), ..Corpus::plain(train.into(), validation.into()) })
    }

    /// Packs conversations, or preferences of a chosen and a rejected one ([`crate::text::preference::Example::mark`]), into
    /// windows of `length` tokens, which `filler` fills up. Only answers are predicted. Training and measuring on
    /// preferences needs the reference's nats ([`crate::refer`]).
    ///
    /// # Errors
    /// If a part has no answer, or none that a window holds.
    pub fn conversations(
        train: Vec<Vec<Marked>>,
        validation: Vec<Vec<Marked>>,
        filler: u32,
        length: usize,
    ) -> Result<Self, CorpusError> {
        let found = [train.len(), validation.len()];
        let packed = [train, validation].map(|part| Packing::new(part.into(), filler, length));
        let parts = ["training part", "validation part"];
        for ((packing, part), found) in packed.iter().zip(parts).zip(found) {
            if packing.len() == 0 {
                return Err(CorpusError::NoAnswer { part, found, length });
            }
        }
        let [train, validation] = packed.each_ref().map(|packing| packing.tokens().into());
        Ok(Corpus { conversations: Some(packed), ..Corpus::plain(train, validation) })
    }

    /// Returns the number of tokens to measure on: of conversations those of answers, else all of the validation part (the
    /// first of a text is not predicted).
    pub fn measured(&self) -> usize {
        self.counts().map_or(self.validation.len(), |[_, held_back]| held_back.counted)
    }

    /// Returns the numbers of conversations to train on and to measure on, if the corpus is of conversations.
    pub fn counts(&self) -> Option<[Counts; 2]> {
        self.conversations.as_ref().map(|parts| parts.each_ref().map(|part| part.counts))
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
        if let Some([train, validation]) = &self.conversations {
            let train = train.of_length(length).with_less(share);
            let tokens = train.tokens().into();
            let conversations = Some([train, validation.clone()]);
            return Corpus { train: tokens, conversations, ..self.clone() };
        }
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
        if let Some([train, _]) = &self.conversations {
            let packing = train.of_length(length);
            for (i, (tokens, targets)) in windows.enumerate() {
                let window = place(&packing, seed, batch * batch_size + i as u64);
                packing.write(window, tokens, targets);
            }
            return;
        }
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

    /// Returns at most `most` windows of conversations, as far apart as possible: of those to train on, then of those to
    /// measure on.
    pub fn conversation_sample(&self, most: usize) -> Vec<Window> {
        let parts = self.conversations.iter().flatten();
        let all: Vec<_> = parts.flat_map(|part| (0..part.len()).map(move |i| (part, i))).collect();
        spread(all.len(), most).map(|i| all[i].0.window(all[i].1)).collect()
    }

    /// Returns the corpus with the tokens of the chosen sides of preferences only, for questions about its text.
    pub(crate) fn told_once(&self) -> Self {
        match &self.conversations {
            None => self.clone(),
            Some(parts) => {
                let [train, validation] = parts.each_ref().map(|part| part.tokens_once().into());
                Corpus { train, validation, ..self.clone() }
            }
        }
    }

    /// Returns the first conversation to train on, or the two of a preference, as far as a window holds them.
    pub fn example(&self) -> Option<Vec<Marked>> {
        self.conversations.as_ref().and_then(|[train, _]| train.example())
    }

    /// Returns the number over which the mean of batch number `batch` of a seed is taken, with `windows` windows of `length`
    /// tokens: of the predicted tokens, or pairs, of those that [`Corpus::fill`] writes.
    pub fn counted(&self, seed: u64, batch: u64, length: usize, windows: usize) -> usize {
        let Some([train, _]) = &self.conversations else { return windows * length };
        let packing = train.of_length(length);
        let first = batch * windows as u64;
        let of_window = |i| packing.counted(place(&packing, seed, first + i));
        (0..windows as u64).map(of_window).sum()
    }

    /// Returns the number of windows of `length` tokens in a pass.
    ///
    /// ```
    /// let corpus = transformer::Corpus::text((0..100).collect(), 0.1, 8)?;
    /// assert_eq!(corpus.windows_of_a_pass(8), 10); // of 89 targets, and one window's worth is left out
    /// # Ok::<(), transformer::text::corpus::CorpusError>(())
    /// ```
    pub fn windows_of_a_pass(&self, length: usize) -> usize {
        match (&self.conversations, self.end) {
            (Some([train, _]), _) => train.of_length(length).len(),
            (None, Some(_)) => self.starts.len(),
            (None, None) => ((self.train.len() - 1) / length).saturating_sub(1).max(1),
        }
    }

    /// Returns the start of the targets of window number `window`.
    pub(super) fn start(&self, seed: u64, window: u64, length: usize) -> usize {
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
        if let Some([_, validation]) = &self.conversations {
            let packing = validation.of_length(length);
            return spread(packing.len(), most).map(|i| packing.window(i)).collect();
        }
        match self.end {
            None => {
                let count = self.validation.len().saturating_sub(1).div_ceil(length);
                spread(count, most).map(|i| window(&self.validation, i * length, length)).collect()
            }
            Some(end) => {
                let mut all = packed(&self.validation.to_vec(), end, length);
                let (count, empty) = (all.len(), Window::default);
                spread(count, most).map(|i| std::mem::replace(&mut all[i], empty())).collect()
            }
        }
    }

    /// Returns the whole validation part in windows of `length` tokens. Every token is predicted once, except the first
    /// of a text, which has no predecessor; of conversations, only the answers' tokens are. Documents stay whole if they
    /// fit.
    pub fn validation_windows(&self, length: usize) -> Vec<Window> {
        match (&self.conversations, self.end) {
            (Some([_, validation]), _) => {
                let packing = validation.of_length(length);
                (0..packing.len()).map(|i| packing.window(i)).collect()
            }
            (None, None) => windows_of(&self.validation, length).collect(),
            (None, Some(end)) => packed(&self.validation.to_vec(), end, length),
        }
    }
}

/// Returns the place in a packing of window number `window` of a seed: a pass takes each once, in an order of its own.
pub(super) fn place(packing: &Packing, seed: u64, window: u64) -> usize {
    let windows = packing.len() as u64;
    let random = Random::new(seed, streams::WINDOWS, (window / windows) as u32);
    Permutation::new(windows, random).at(window % windows) as usize
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
    Window { tokens, targets, ..Window::default() }
}

#[cfg(test)]
mod tests;
