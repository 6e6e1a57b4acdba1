//! n-gram models: the classical baselines of a language model.
//!
//! An n-gram model predicts a token from counts of the n − 1 tokens before it. It cannot use an earlier context; the
//! gain of a transformer over it is the value of the longer context.
//!
//! An unseen token must not have probability 0, or one new word makes the perplexity of a text infinite: [`Smoothing`]
//! assigns it a probability. If a long history is rare, the shorter one is used. For the shorter one, Kneser and Ney
//! count not how *often* a word occurs but after how many *different* words ("Francisco" is frequent, but follows only
//! one).
//!
//! On `f64` alone: a model of counts has no parameter to differentiate.

use crate::InfoError;
use crate::units::Nats;
use linalg::accurate::Sum;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// The estimation of probabilities from counts. h is a history, w a token, c(·) a count, V the vocabulary's size.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Smoothing {
    /// <var>p(w|h) = c(hw)/c(h)</var>: maximum likelihood. Unseen tokens have probability 0.
    None,
    /// <var>p(w|h) = (c(hw) + α)/(c(h) + αV)</var>. Source: Laplace, for α = 1.
    Additive(f64),
    /// <var>pₙ(w|h) = (c(hw) + t(h)·pₙ₋₁(w|h′))/(c(h) + t(h))</var>, where t(h) counts the different
    /// tokens that followed h, and h′ is h without its first token; below one token, 1/V.
    /// Source: Witten and Bell 1991; Chen and Goodman 1999.
    WittenBell,
    /// <var>pₙ(w|h) = (max(c(hw) − D, 0) + D·t(h)·pₙ₋₁(w|h′))/c(h)</var>, interpolated Kneser–Ney. Below order n, c(·)
    /// counts the different tokens *before* a sequence, not its occurrences. <var>D = n₁/(n₁ + 2n₂)</var> for each
    /// order, if nᵣ sequences have count r; ½ if n₁ is 0.
    /// Source: Kneser and Ney 1995; Ney, Essen and Kneser 1994 (D); Chen and Goodman 1999.
    KneserNey,
    /// The same with three discounts: D₁ for sequences of count 1, D₂ for 2, D₃ for more. With N₁(h), N₂(h) and N₃(h) tokens of
    /// such counts after h, the shorter history has the weight <var>(D₁N₁ + D₂N₂ + D₃N₃)/c(h)</var>. For each order, with
    /// <var>Y = n₁/(n₁ + 2n₂)</var>: <var>D₁ = 1 − 2Y·n₂/n₁</var>, <var>D₂ = 2 − 3Y·n₃/n₂</var>,
    /// <var>D₃ = 3 − 4Y·n₄/n₃</var>; if one does not exist or is not above 0, they are ½, 1 and 1½. The best of the counted
    /// models, on large texts.
    /// Source: Chen and Goodman, *An empirical study of smoothing techniques for language modeling*, 1999; Heafield et al. 2013
    /// (the discounts of a small text).
    ModifiedKneserNey,
}

impl Smoothing {
    fn check(self) -> Result<(), InfoError> {
        match self {
            Smoothing::Additive(found) if !(found >= 0.0 && found.is_finite()) => {
                Err(InfoError::Parameter { what: "α", found, expected: "finite, 0 or more" })
            }
            _ => Ok(()),
        }
    }
}

/// An n-gram model: the counts of all sequences of 1 to n tokens of a text.
///
/// ```
/// use infotheory::ngram::{NGram, Smoothing};
/// let text = [0, 1, 0, 1, 0, 2]; // a b a b a c
/// let bigram = NGram::count(2, 3, &text);
/// assert_eq!(bigram.probability(Smoothing::None, &[0], 1), 2.0 / 3.0);
/// assert_eq!(bigram.probability(Smoothing::Additive(1.0), &[0], 1), 3.0 / 6.0);
/// ```
#[doc(alias("kneser_ney", "language_model", "kenlm"))]
pub struct NGram {
    order: usize,
    vocabulary: usize,
    /// A tree of histories: (node, token) → the node of the longer sequence.
    children: HashMap<u64, u32, BuildHasherDefault<Mix>>,
    /// The occurrences of every sequence.
    count: Vec<u32>,
    /// The occurrences of every sequence that a token follows.
    followed: Vec<u32>,
    /// The number of different tokens after every sequence.
    followers: Vec<u32>,
    /// The number of different tokens before every sequence.
    preceded: Vec<u32>,
    /// The sum of `preceded` over the sequences one token longer.
    continued: Vec<u32>,
    /// The number of the sequences one token longer whose `preceded` is not 0.
    continuations: Vec<u32>,
    /// The numbers of sequences of 1, 2, … tokens with counts 1 to 4.
    seldom: Vec<[u32; 4]>,
    /// The same for `preceded`.
    seldom_preceded: Vec<[u32; 4]>,
    /// The numbers of the sequences one token longer with counts 1 and 2.
    few: Vec<[u32; 2]>,
    /// The same for `preceded`.
    few_preceded: Vec<[u32; 2]>,
}

impl fmt::Debug for NGram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NGram")
            .field("order", &self.order)
            .field("vocabulary", &self.vocabulary)
            .field("sequences", &self.count.len())
            .finish_non_exhaustive()
    }
}

/// The empty sequence.
const ROOT: u32 = 0;

impl NGram {
    /// Counts the sequences of a text, which may be empty. Tokens are numbers below `vocabulary`.
    ///
    /// # Panics
    /// If `order` is 0, a token is not below `vocabulary`, or the text has 2³² or more tokens or different sequences.
    pub fn count(order: usize, vocabulary: usize, tokens: &[u32]) -> Self {
        assert!(order > 0, "an n-gram has at least one token");
        assert!(u32::try_from(tokens.len()).is_ok(), "counts are 32 bits");
        if let Some(token) = tokens.iter().find(|t| **t as usize >= vocabulary) {
            panic!("token {token} is not of a vocabulary of {vocabulary}");
        }
        let mut model = NGram {
            order,
            vocabulary,
            children: HashMap::default(),
            count: vec![0],
            followed: vec![0],
            followers: vec![0],
            preceded: vec![0],
            continued: vec![0],
            continuations: vec![0],
            // No sequence is longer than the text.
            seldom: vec![[0; 4]; order.min(tokens.len() + 1)],
            seldom_preceded: vec![[0; 4]; order.min(tokens.len() + 1)],
            few: vec![[0; 2]],
            few_preceded: vec![[0; 2]],
        };
        // histories[k]: the node of the last k tokens.
        let mut histories = vec![ROOT];
        for &token in tokens {
            let mut longer_is_new = false;
            for k in (0..histories.len()).rev() {
                let (child, is_new) = model.add(k, histories[k], token);
                if longer_is_new {
                    model.precede(k, histories[k], child);
                }
                longer_is_new = is_new;
                match histories.get_mut(k + 1) {
                    Some(longer) => *longer = child,
                    None if k + 1 < order => histories.push(child),
                    None => {}
                }
            }
        }
        model
    }

    /// Counts a token after a history of k tokens. Returns the node of both, and whether it is new.
    fn add(&mut self, k: usize, history: u32, token: u32) -> (u32, bool) {
        let next = u32::try_from(self.count.len()).expect("sequences are numbered in 32 bits");
        let child = *self.children.entry(key(history, token)).or_insert(next);
        let is_new = child == next;
        if is_new {
            for list in [
                &mut self.count,
                &mut self.followed,
                &mut self.followers,
                &mut self.preceded,
                &mut self.continued,
                &mut self.continuations,
            ] {
                list.push(0);
            }
            self.few.push([0; 2]);
            self.few_preceded.push([0; 2]);
            self.followers[history as usize] += 1;
        }
        let few = &mut self.few[history as usize];
        raise(&mut self.count[child as usize], &mut self.seldom[k], few);
        self.followed[history as usize] += 1;
        (child, is_new)
    }

    /// Counts that `child`, a token after a history of k tokens, was seen after one more token.
    fn precede(&mut self, k: usize, history: u32, child: u32) {
        let before = &mut self.preceded[child as usize];
        self.continuations[history as usize] += u32::from(*before == 0);
        self.continued[history as usize] += 1;
        raise(before, &mut self.seldom_preceded[k], &mut self.few_preceded[history as usize]);
    }

    fn child(&self, history: u32, token: u32) -> Option<u32> {
        self.children.get(&key(history, token)).copied()
    }

    /// Returns the length of the longest sequence that is counted.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Returns p(token | history), which depends on the last n − 1 tokens of the history. The sum over the vocabulary
    /// is one, except for [`Smoothing::None`] (and α = 0) after a history without a continuation: all are 0. A token
    /// outside the vocabulary has probability 0. NaN if α is negative, ∞ or NaN.
    ///
    /// ```
    /// use infotheory::ngram::{NGram, Smoothing};
    /// let model = NGram::count(2, 3, &[0, 1, 0, 1, 0, 2]);
    /// let p = |w| model.probability(Smoothing::WittenBell, &[0], w);
    /// assert!((p(0) + p(1) + p(2) - 1.0).abs() < 1e-15 && p(1) > p(2) && p(3) == 0.0);
    /// ```
    pub fn probability(&self, smoothing: Smoothing, history: &[u32], token: u32) -> f64 {
        let longest = history.len().min(self.order - 1);
        let node = |k: usize| {
            let tokens = history[history.len() - k..].iter();
            tokens.copied().try_fold(ROOT, |node, token| self.child(node, token))
        };
        self.after(smoothing, (0..=longest).map(node), token)
    }

    /// Returns p(token | …) from the nodes of the empty history, the last token, the last two, …
    fn after(
        &self,
        smoothing: Smoothing,
        histories: impl Iterator<Item = Option<u32>>,
        token: u32,
    ) -> f64 {
        if smoothing.check().is_err() {
            return f64::NAN;
        }
        if token as usize >= self.vocabulary {
            return 0.0;
        }
        let vocabulary = self.vocabulary as f64;
        let seen = |h: u32| {
            let count = self.child(h, token).map_or(0, |child| self.count[child as usize]);
            (f64::from(count), f64::from(self.followed[h as usize]))
        };
        match smoothing {
            Smoothing::KneserNey | Smoothing::ModifiedKneserNey => {
                let known = histories.map_while(|h| h).enumerate();
                known.fold(1.0 / vocabulary, |shorter, (k, h)| {
                    let highest = k + 1 == self.order;
                    let (counts, all, kinds, few, seldom) = if highest {
                        (&self.count, &self.followed, &self.followers, &self.few, self.seldom[k])
                    } else {
                        let seldom = self.seldom_preceded[k];
                        let (all, kinds) = (&self.continued, &self.continuations);
                        (&self.preceded, all, kinds, &self.few_preceded, seldom)
                    };
                    let [all, kinds] = [all, kinds].map(|list| f64::from(list[h as usize]));
                    if all == 0.0 {
                        return shorter;
                    }
                    let count = self.child(h, token).map_or(0, |child| counts[child as usize]);
                    let discounts = match smoothing {
                        Smoothing::ModifiedKneserNey => discounts(seldom),
                        _ => [discount(seldom); 3],
                    };
                    let taken = |count: u32| discounts[count.clamp(1, 3) as usize - 1];
                    let kept = (f64::from(count) - taken(count)).max(0.0);
                    let [once, twice] = few[h as usize].map(f64::from);
                    let given = [once, twice, kinds - once - twice];
                    let weight: f64 = given.iter().zip(discounts).map(|(n, d)| n * d).sum();
                    (kept + weight * shorter) / all
                })
            }
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
                // The sum of α = 10³⁰⁸ over the vocabulary overflows.
                let (weight, each) = if alpha > 1.0 { (1.0 / alpha, 1.0) } else { (1.0, alpha) };
                let total = all * weight + each * vocabulary;
                if total == 0.0 { 0.0 } else { (count * weight + each) / total }
            }
        }
    }

    /// Returns the mean of −ln p over every token of a text except the first, which has no history. ∞ if a token has
    /// probability 0. Its [`Nats::perplexity`] is the model's.
    ///
    /// # Errors
    /// If the text has fewer than two tokens, or α is negative or not finite.
    ///
    /// ```
    /// use infotheory::ngram::{NGram, Smoothing};
    /// let text = [0, 1, 0, 1, 0, 2];
    /// let model = NGram::count(2, 3, &text);
    /// let likely = model.cross_entropy(Smoothing::None, &text)?;
    /// // Five steps: a→b 2/3 twice, a→c 1/3 once, b→a with probability 1 twice.
    /// assert!((likely.perplexity() - (27.0_f64 / 4.0).powf(0.2)).abs() < 1e-15);
    /// assert!(model.cross_entropy(Smoothing::KneserNey, &text)? > likely);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn cross_entropy(&self, smoothing: Smoothing, tokens: &[u32]) -> Result<Nats, InfoError> {
        smoothing.check()?;
        let mut histories = vec![Some(ROOT)];
        let mut nats = Sum::new();
        for (i, &token) in tokens.iter().enumerate() {
            if i > 0 {
                let p = self.after(smoothing, histories.iter().copied(), token);
                nats.add(-p.ln());
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
        Nats(nats.value()).per(tokens.len().saturating_sub(1))
    }
}

/// Increments a count; `seldom` and `few` hold how many counts of their kind are 1, 2, …
fn raise(count: &mut u32, seldom: &mut [u32], few: &mut [u32]) {
    *count += 1;
    let place = *count as usize - 1;
    for numbers in [seldom, few] {
        if let Some(n) = numbers.get_mut(place) {
            *n += 1;
        }
        if let Some(n) = place.checked_sub(1).and_then(|before| numbers.get_mut(before)) {
            *n -= 1;
        }
    }
}

/// Returns <var>n₁/(n₁ + 2n₂)</var>; ½ if n₁ is 0.
fn discount([once, twice, ..]: [u32; 4]) -> f64 {
    if once == 0 { 0.5 } else { f64::from(once) / (f64::from(once) + 2.0 * f64::from(twice)) }
}

/// Returns D₁, D₂ and D₃.
fn discounts(seldom: [u32; 4]) -> [f64; 3] {
    let (n, y) = (seldom.map(f64::from), discount(seldom));
    // NaN or ±∞ without sequences of a count.
    let of = |k: usize| (k + 1) as f64 - (k + 2) as f64 * y * (n[k + 1] / n[k]);
    let all = [of(0), of(1), of(2)];
    if all.iter().all(|d| *d > 0.0) { all } else { [0.5, 1.0, 1.5] }
}

/// Returns the cross-entropies per token on `validation` of Witten–Bell n-gram models of orders 1 to `orders` counted
/// on `train`; NaN if `validation` has fewer than two tokens.
///
/// # Panics
/// Like [`NGram::count`].
///
/// ```
/// use infotheory::{Bits, ngram::baselines};
/// let text: Vec<u32> = (0..300).map(|i| i % 4).collect();
/// let [one, two] = baselines(&text, &text, 4, 2)[..] else { unreachable!() };
/// assert!((one.1.to_bits() - Bits(2.0)).0.abs() < 1e-3); // one token tells nothing,
/// assert!(two.1.to_bits() < Bits(0.1)); // two tell nearly all
/// ```
pub fn baselines(
    train: &[u32],
    validation: &[u32],
    vocabulary: usize,
    orders: usize,
) -> Vec<(usize, Nats)> {
    let measure = |order| {
        let model = NGram::count(order, vocabulary, train);
        let measured = model.cross_entropy(Smoothing::WittenBell, validation);
        (order, measured.unwrap_or(Nats(f64::NAN)))
    };
    (1..=orders).map(measure).collect()
}

fn key(history: u32, token: u32) -> u64 {
    u64::from(history) << 32 | u64::from(token)
}

/// A hash of one 64-bit key: the finaliser of splitmix64. Counting is mostly hashing; hostile keys could only make it
/// slow.
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
mod tests;
