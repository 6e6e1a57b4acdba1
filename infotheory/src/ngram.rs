//! n-gram models: the classical baselines of a language model.
//!
//! An n-gram model predicts a token from the n − 1 tokens before it by counting. What it cannot do is
//! remember further back; how much a transformer gains over it is what the longer context is worth.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// How counts become probabilities. h is a history, w a token, c(·) a count, V the vocabulary's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smoothing {
    /// p(w|h) = c(hw)/c(h): maximum likelihood. What was never seen has probability 0.
    None,
    /// p(w|h) = (c(hw) + α)/(c(h) + αV). Source: Laplace, for α = 1.
    Additive(f64),
    /// pₙ(w|h) = (c(hw) + t(h)·pₙ₋₁(w|h′))/(c(h) + t(h)), where t(h) counts the different tokens that
    /// followed h, and h′ is h without its first token; below one token, 1/V.
    /// Source: Witten and Bell 1991; Chen and Goodman 1999.
    WittenBell,
}

/// Counts of all sequences of 1 to n tokens of a text.
///
/// ```
/// use infotheory::ngram::{NGram, Smoothing};
/// let text = [0, 1, 0, 1, 0, 2]; // a b a b a c
/// let bigram = NGram::count(2, 3, &text);
/// assert_eq!(bigram.probability(Smoothing::None, &[0], 1), 2.0 / 3.0);
/// assert_eq!(bigram.probability(Smoothing::Additive(1.0), &[0], 1), 3.0 / 6.0);
/// ```
pub struct NGram {
    order: usize,
    vocabulary: usize,
    /// A tree of histories: (node, token) → the node of the longer sequence.
    children: HashMap<u64, u32, BuildHasherDefault<Mix>>,
    /// Of every sequence: how often it occurs, …
    count: Vec<u32>,
    /// … how often something follows it, …
    followed: Vec<u32>,
    /// … and how many different tokens do.
    followers: Vec<u32>,
}

/// The empty sequence.
const ROOT: u32 = 0;

impl NGram {
    /// Counts the sequences of a text.
    ///
    /// # Panics
    /// If `order` is 0 or the text has 2³² tokens or more.
    pub fn count(order: usize, vocabulary: usize, tokens: &[u32]) -> Self {
        assert!(order > 0, "an n-gram has at least one token");
        assert!(u32::try_from(tokens.len()).is_ok(), "counts are 32 bits");
        let mut model = NGram {
            order,
            vocabulary,
            children: HashMap::default(),
            count: vec![0],
            followed: vec![0],
            followers: vec![0],
        };
        // histories[k]: the node of the last k tokens.
        let mut histories = vec![ROOT];
        for &token in tokens {
            for k in (0..histories.len()).rev() {
                let child = model.add(histories[k], token);
                match histories.get_mut(k + 1) {
                    Some(longer) => *longer = child,
                    None if k + 1 < order => histories.push(child),
                    None => {}
                }
            }
        }
        model
    }

    fn add(&mut self, history: u32, token: u32) -> u32 {
        let next = self.count.len() as u32;
        let child = *self.children.entry(key(history, token)).or_insert(next);
        if child == next {
            self.count.push(0);
            self.followed.push(0);
            self.followers.push(0);
            self.followers[history as usize] += 1;
        }
        self.count[child as usize] += 1;
        self.followed[history as usize] += 1;
        child
    }

    fn child(&self, history: u32, token: u32) -> Option<u32> {
        self.children.get(&key(history, token)).copied()
    }

    /// The longest sequence that is counted.
    pub fn order(&self) -> usize {
        self.order
    }

    /// p(token | history); of the history, the last n − 1 tokens matter.
    pub fn probability(&self, smoothing: Smoothing, history: &[u32], token: u32) -> f64 {
        let longest = history.len().min(self.order - 1);
        let node = |k: usize| {
            let tokens = history[history.len() - k..].iter();
            tokens.copied().try_fold(ROOT, |node, token| self.child(node, token))
        };
        self.after(smoothing, (0..=longest).map(node), token)
    }

    /// p(token | …) from the nodes of the empty history, the last token, the last two, …
    fn after(
        &self,
        smoothing: Smoothing,
        histories: impl Iterator<Item = Option<u32>>,
        token: u32,
    ) -> f64 {
        let vocabulary = self.vocabulary as f64;
        let seen = |h: u32| {
            let count = self.child(h, token).map_or(0, |child| self.count[child as usize]);
            (f64::from(count), f64::from(self.followed[h as usize]))
        };
        match smoothing {
            Smoothing::WittenBell => {
                let known = histories.map_while(|h| h).filter(|&h| self.followed[h as usize] > 0);
                known.fold(1.0 / vocabulary, |shorter, h| {
                    let ((count, all), kinds) = (seen(h), f64::from(self.followers[h as usize]));
                    (count + kinds * shorter) / (all + kinds)
                })
            }
            Smoothing::None | Smoothing::Additive(_) => {
                let alpha = if let Smoothing::Additive(alpha) = smoothing { alpha } else { 0.0 };
                let (count, all) = histories.last().flatten().map_or((0.0, 0.0), seen);
                let weight = all + alpha * vocabulary;
                if weight > 0.0 { (count + alpha) / weight } else { 0.0 }
            }
        }
    }

    /// The mean of −ln p over every token of a text but the first, which has no history; in nats per
    /// token. ∞ where a token has probability 0, NaN for a text of fewer than two tokens.
    pub fn cross_entropy(&self, smoothing: Smoothing, tokens: &[u32]) -> f64 {
        let mut histories = vec![Some(ROOT)];
        let mut nats = 0.0;
        for (i, &token) in tokens.iter().enumerate() {
            if i > 0 {
                let p = self.after(smoothing, histories.iter().copied(), token);
                nats -= p.ln();
            }
            for k in (0..histories.len()).rev() {
                let child = histories[k].and_then(|h| self.child(h, token));
                match histories.get_mut(k + 1) {
                    Some(longer) => *longer = child,
                    None if k + 1 < self.order => histories.push(child),
                    None => {}
                }
            }
        }
        nats / tokens.len().saturating_sub(1) as f64
    }
}

/// The cross-entropies, in nats per token, that Witten–Bell n-gram models of orders 1 to `orders`
/// counted on `train` have on `validation`.
///
/// ```
/// let text: Vec<u32> = (0..300).map(|i| i % 3).collect();
/// let baselines = infotheory::ngram::baselines(&text, &text, 3, 2);
/// assert!((baselines[0].1 - 3.0_f64.ln()).abs() < 1e-3); // one token tells nothing,
/// assert!(baselines[1].1 < 0.05); // two tell nearly all
/// ```
pub fn baselines(
    train: &[u32],
    validation: &[u32],
    vocabulary: usize,
    orders: usize,
) -> Vec<(usize, f64)> {
    let measure = |order| {
        let model = NGram::count(order, vocabulary, train);
        (order, model.cross_entropy(Smoothing::WittenBell, validation))
    };
    (1..=orders).map(measure).collect()
}

fn key(history: u32, token: u32) -> u64 {
    u64::from(history) << 32 | u64::from(token)
}

/// A hash of one 64-bit key: the finaliser of splitmix64. Counting is mostly hashing, and nobody
/// chooses these keys to harm us beyond a slow count.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, key: u64) {
        let mut z = (self.0 ^ key).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 = z ^ z >> 31;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Smoothing; 3] =
        [Smoothing::None, Smoothing::Additive(0.3), Smoothing::WittenBell];

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
                // A history that was never followed has no maximum likelihood.
                let silent = kind == Smoothing::None && sum == 0.0;
                prop_assert!(silent || (sum - 1.0).abs() < 1e-12, "{kind:?}: {sum}");
            }
            prop_assert!((0..4).all(|w| model.probability(Smoothing::WittenBell, &history, w) > 0.0));
        }

        #[test]
        fn the_stream_and_the_single_probabilities_agree(
            text in prop::collection::vec(0u32..3, 2..40), order in 1usize..5,
        ) {
            let (train, rest) = text.split_at(text.len() / 2);
            prop_assume!(rest.len() > 1);
            let model = NGram::count(order, 3, train);
            for kind in [Smoothing::Additive(0.5), Smoothing::WittenBell] {
                let p = |i: usize| model.probability(kind, &rest[..i], rest[i]);
                let slow: f64 = (1..rest.len()).map(|i| -p(i).ln()).sum();
                let mean = slow / (rest.len() - 1) as f64;
                prop_assert!((model.cross_entropy(kind, rest) - mean).abs() < 1e-12);
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
}
