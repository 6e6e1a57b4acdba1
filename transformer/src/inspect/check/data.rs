//! Certificates about the training data.
//!
//! How much of the validation part may occur in the training part? Every text repeats itself, so the answer is
//! estimated from the training part alone: its second half is searched for in its first. A validation part drawn like
//! that half has no more in common with training than the two halves have with each other, except by chance and because
//! the searched text is longer.
//!
//! * *Share of windows.* A window that occurs in n₁ tokens with probability p₁ occurs in n tokens with probability at
//!   most 1 − (1 − p₁)^(n/n₁) (common windows are common everywhere; by Jensen's inequality the average is at most
//!   that). The limit is four deviations above: of the share among the few validation windows, and of p₁ itself, which
//!   is estimated with two windows added on either side (Agresti and Coull, *The American Statistician*, 1998) and
//!   counts consecutive windows as one match.
//! * *Longest common run.* Of n·m pairs of positions, n·m·e^(−h·ℓ) begin a common run of ℓ tokens, with h the rate at
//!   which two texts of the source diverge. The longest common run ℓ₁ of the halves gives h, and h gives the length
//!   that validation and training have in common with probability 10⁻⁴: (ℓ₁ + 1)·(ln n·m + 9.2)/(ln n₁·m₁ − 2.2), with
//!   9.2 = ln 10⁴ and 2.2 = ln 9.2, since h may be overestimated with that probability, too. Source: Erdős and Rényi,
//!   *On a New Law of Large Numbers*, 1970; Arratia and Waterman, *Advances in Mathematics*, 1985.

use super::Certificate;
use crate::model::recorded_step::is_counted;
use crate::text::corpus::Corpus;
use crate::text::tokens::Tokens;
use crate::training::config::TrainingConfig;
use std::collections::HashMap;

/// Maximum number of batches to draw, and of their tokens.
const BATCHES: u64 = 16;
const DRAWN: u64 = 1 << 22;
/// Maximum number of tokens to search, and of tokens to search for.
const SEARCHED: (usize, usize) = (1 << 23, 1 << 20);
/// Tokens of the validation part whose windows are looked through: all of it, if it is not longer.
const LOOKED_THROUGH: usize = 1 << 24;
/// Number of tokens to compare; of longer windows, only the first ones are compared.
const COMPARED: usize = 64;
/// Standard deviations above the expectation.
const DEVIATIONS: f64 = 4.0;

/// Runs the certificates "data": tokens in range, targets that are the inputs shifted by one, and how much of the
/// validation part occurs in the training part.
pub fn data(corpus: &Corpus, vocabulary: usize, config: &TrainingConfig) -> Vec<Certificate> {
    let length = config.context;
    // One after another: windows are numbered through all batches. At least one is drawn.
    let most = (DRAWN / length.max(1) as u64).max(1);
    let drawn = (0..BATCHES.saturating_mul(config.batch as u64).min(most)).map(|window| {
        let (mut x, mut y) = (vec![0; length], vec![0; length]);
        corpus.fill(config.seed, window, length, &mut x, &mut y);
        (x, y)
    });
    let held_back = corpus.validation_sample(length, LOOKED_THROUGH).into_iter();
    let held_back = held_back.map(|w| (w.tokens, w.targets));
    let once = corpus.told_once();
    vec![
        in_range(corpus, vocabulary),
        shifted(drawn.chain(held_back)),
        stretch(&once),
        share(&once, length),
    ]
}

/// Returns the bytes that these certificates take: windows of the validation part, and tables of positions.
pub(super) fn bytes(corpus: &Corpus, length: usize) -> u128 {
    let validation = corpus.validation().len().min(LOOKED_THROUGH) as u128;
    let windows = validation / length.max(1) as u128 + 1;
    // Tokens, targets and two vectors' headers for each window.
    let held_back = 8 * (validation + length as u128) + 48 * windows;
    // An entry of a table at most half full holds a hash and a vector with one or two positions.
    let looked_for = (SEARCHED.1.min(corpus.train().len())) as u128;
    held_back.max(looked_for * 40 + looked_for / length.clamp(1, COMPARED) as u128 * 160)
}

fn in_range(corpus: &Corpus, vocabulary: usize) -> Certificate {
    let parts = [corpus.train(), corpus.validation()];
    let all = parts.into_iter().flat_map(Tokens::chunks).flatten();
    let mut outside = all.filter(|&t| t as usize >= vocabulary).peekable();
    let detail = match outside.peek() {
        Some(t) => {
            format!("token {t} is outside the vocabulary of {vocabulary} (0 to {})", vocabulary - 1)
        }
        None => {
            let [train, validation] = parts.map(Tokens::len);
            format!("{train} training and {validation} validation tokens below {vocabulary}")
        }
    };
    Certificate::at_most(("data", "tokens are in range"), outside.count() as f64, 0.0, detail)
}

/// Checks that the targets of windows (tokens, targets) are their tokens shifted by one, for any data loader. Ignored
/// targets are skipped, and so is the token at their position.
///
/// ```
/// use transformer::inspect::check::{shifted, Verdict};
/// let (tokens, targets) = ([5, 3, 8, 1], [3, 8, 1, 7]);
/// assert_eq!(shifted([(&tokens[..], &targets[..])]).verdict, Verdict::Pass);
/// assert_eq!(shifted([(&tokens[..], &tokens[..])]).verdict, Verdict::Fail); // copies, predicts nothing
/// ```
pub fn shifted<W: AsRef<[u32]>>(windows: impl IntoIterator<Item = (W, W)>) -> Certificate {
    let (mut count, mut wrong, mut first) = (0, 0, String::new());
    for (tokens, targets) in windows {
        let (tokens, targets) = (tokens.as_ref(), targets.as_ref());
        let predicted = |i: usize| is_counted(targets[i]);
        let places = 0..tokens.len().min(targets.len()).saturating_sub(1);
        let mut pairs = places.filter(|&i| predicted(i) && predicted(i + 1));
        if let Some(i) = pairs.find(|&i| targets[i] != tokens[i + 1]) {
            wrong += 1;
            if first.is_empty() {
                let (target, next) = (targets[i], tokens[i + 1]);
                first = format!(
                    "window {count}: token {i} is followed by {next}, but its target is {target}"
                );
            }
        }
        count += 1;
    }
    let name = ("data", "targets are the inputs shifted by one");
    let fine = if count == 1 { "1 window".to_owned() } else { format!("{count} windows") };
    let detail = if wrong == 0 { fine } else { first };
    Certificate::at_most(name, f64::from(wrong), 0.0, detail)
}

/// Searches for one half of training in the other; then for validation in training.
fn pairs(corpus: &Corpus) -> [(Vec<u32>, Vec<u32>); 2] {
    let (train, validation) = (corpus.train(), corpus.validation());
    let (a, b) = train.split_at(train.len() / 2);
    [(&a, &b), (train, validation)].map(|(a, b)| (a.beginning(SEARCHED.0), b.beginning(SEARCHED.1)))
}

fn stretch(corpus: &Corpus) -> Certificate {
    let [halves, parts] = &pairs(corpus);
    let [own, found] = [halves, parts].map(|(a, b)| longest_common(a, b));
    let [before, after] =
        [halves, parts].map(|(a, b)| (a.len().max(1) as f64 * b.len().max(1) as f64).ln());
    let limit = (own + 1) as f64 * (after + 1e4_f64.ln()) / (before - 2.2).max(1.0);
    let name = ("data", "the split does not overlap");
    let most = parts.0.len().min(parts.1.len());
    if limit.floor() >= most as f64 {
        let why = format!(
            "the text repeats itself or is short: training's halves have {own} consecutive tokens in common, so \
             all {most} of the validation part may occur in training by chance"
        );
        return Certificate::not_applicable(name, why);
    }
    let detail =
        format!("tokens in the longest run common to both parts; training's halves: {own}");
    Certificate::at_most(name, found as f64, limit.floor(), detail)
}

fn share(corpus: &Corpus, length: usize) -> Certificate {
    let length = length.min(COMPARED);
    let [(half, other), (train, validation)] = &pairs(corpus);
    let (usual, seen) = (occur(half, other, length), occur(train, validation, length));
    let count = |x: &[bool]| x.iter().filter(|x| **x).count() as f64;
    let runs = (0..usual.len()).filter(|&i| usual[i] && (i == 0 || !usual[i - 1])).count();
    let clump = count(&usual) / runs.max(1) as f64;
    let (n, own) = (seen.len().max(1) as f64, usual.len() as f64 + 4.0);
    let p = (count(&usual) + 2.0) / own;
    let room = train.len() as f64 / half.len().max(1) as f64;
    let expected = 1.0 - (1.0 - p).powf(room);
    let variance = |p: f64, n: f64| clump.max(1.0) * p * (1.0 - p) / n;
    let spread = (variance(expected, n) + room * room * variance(p, own)).sqrt();
    let name = ("data", "validation windows that occur in training");
    let limit = expected + DEVIATIONS * spread;
    let often = count(&usual) / (own - 4.0).max(1.0);
    // Below one window, every count passes.
    if limit >= 1.0 {
        let why = format!(
            "{:.0} of {:.0} windows of training's second half occur in the first, so chance allows all \
             {n:.0} of the validation part: the text repeats itself, or is too short",
            count(&usual),
            own - 4.0
        );
        return Certificate::not_applicable(name, why);
    }
    let detail = format!(
        "share, by their first {length} tokens; in training, {often:.4} of the second half occur in the first"
    );
    Certificate::at_most(name, count(&seen) / n, limit, detail)
}

/// Computes windows by a rolling polynomial hash, h = Σ xᵢ·Bⁿ⁻¹⁻ⁱ mod 2⁶⁴, each with its end position.
fn hashes(x: &[u32], length: usize) -> impl Iterator<Item = (usize, u64)> {
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let lead = (0..length).fold(1_u64, |p, _| p.wrapping_mul(BASE));
    let mut hash = 0_u64;
    x.iter().enumerate().filter_map(move |(i, &token)| {
        hash = hash.wrapping_mul(BASE).wrapping_add(u64::from(token) + 1);
        if i >= length {
            hash = hash.wrapping_sub(lead.wrapping_mul(u64::from(x[i - length]) + 1));
        }
        (i + 1 >= length).then_some((i + 1, hash))
    })
}

/// Returns which of the windows of `b`, one after another, occur in `a`.
fn occur(a: &[u32], b: &[u32], length: usize) -> Vec<bool> {
    let length = length.min(b.len()).max(1);
    let windows: Vec<&[u32]> = b.chunks_exact(length).collect();
    let mut found = vec![false; windows.len()];
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (w, window) in windows.iter().enumerate() {
        let hash = hashes(window, length).next().map_or(0, |(_, hash)| hash);
        places.entry(hash).or_default().push(w);
    }
    for (end, hash) in hashes(a, length) {
        if let Some(same) = places.get_mut(&hash) {
            // A window that was found is not searched for again.
            same.retain(|&w| {
                found[w] = windows[w] == &a[end - length..end];
                !found[w]
            });
        }
    }
    found
}

/// Returns the length of the longest run of tokens common to both, by bisection: a common run without its last token is
/// a common run.
fn longest_common(a: &[u32], b: &[u32]) -> usize {
    let common = |length: usize| {
        let places: HashMap<u64, usize> =
            hashes(b, length).map(|(end, hash)| (hash, end)).collect();
        hashes(a, length).any(|(end, hash)| {
            let same = |&other: &usize| a[end - length..end] == b[other - length..other];
            places.get(&hash).is_some_and(same)
        })
    };
    let most = a.len().min(b.len());
    let (mut low, mut high) = (0, 1);
    while high <= most && common(high) {
        (low, high) = (high, 2 * high);
    }
    // The longest is in low..high.
    high = high.min(most + 1);
    while low + 1 < high {
        let middle = (low + high) / 2;
        if common(middle) { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::check::Verdict;
    use probability::random::Random;

    fn random(stream: u32, n: u64, vocabulary: u64) -> Vec<u32> {
        let random = Random::new(5, stream, 0);
        (0..n).map(|i| random.below(i, vocabulary) as u32).collect()
    }

    #[test]
    fn what_stands_in_both_parts_is_found() {
        let (train, fresh) = (random(0, 4000, 50), random(1, 400, 50));
        let count = |b: &[u32]| occur(&train, b, 8).iter().filter(|x| **x).count();
        assert_eq!((count(&fresh), fresh.len() / 8), (0, 50));
        let copied = &train[1003..1403];
        assert_eq!((count(copied), longest_common(&train, copied)), (50, 400));
        let half = [&fresh[..200], &copied[..200]].concat();
        assert_eq!(count(&half), 25);
        // The token before or after may be the same by chance.
        assert!((200..203).contains(&longest_common(&train, &half)));
        assert_eq!(longest_common(&[1, 2, 3], &[4, 5]), 0);
        assert_eq!(longest_common(&[1, 2, 3], &[9, 2, 3, 1]), 2);
        assert_eq!(longest_common(&[], &[1]), 0);
    }

    /// A limit that nothing can exceed certifies nothing, and the certificate reports it.
    #[test]
    fn limits_that_cannot_fail_are_not_applied() {
        for tokens in [vec![0; 2000], [0, 1, 2].repeat(700), (0..12).collect(), vec![3; 12]] {
            let corpus = Corpus::text(tokens, 0.25, 2).unwrap();
            for c in [stretch(&corpus), share(&corpus, 2)] {
                let able = c.limits.1 < corpus.validation().len() as f64 && c.limits.1 != 1.0;
                assert!(able || c.verdict == Verdict::NotApplicable, "{c:?}");
                assert_ne!(c.verdict, Verdict::Fail, "{c:?}");
            }
        }
        let corpus = Corpus::text([0, 1, 2].repeat(700), 0.25, 2).unwrap();
        assert!(share(&corpus, 2).detail.contains("repeats itself"));
        assert!(stretch(&corpus).detail.contains("repeats itself"));
    }

    /// Sizes that a run may have, for which this machine cannot allocate sixteen times the memory: none is allocated.
    #[test]
    fn large_batches_are_drawn_window_by_window() {
        let (context, batch) = (256, 65536);
        let config = TrainingConfig { batch, context, ..crate::training::config::tests::tiny() };
        let corpus = Corpus::text(random(3, 9000, 30), 0.1, context).unwrap();
        let all = data(&corpus, 30, &config);
        let windows = 16384 + corpus.validation_windows(context).len();
        assert_eq!(all[1].detail, format!("{windows} windows"));
        // These windows are the same as a batch's.
        let mut whole = [vec![0; 4 * context], vec![0; 4 * context]];
        let [x, y] = &mut whole;
        corpus.fill(7, 5, context, x, y);
        let mut parts = [vec![0; context], vec![0; context]];
        for i in 0..4 {
            let [x, y] = &mut parts;
            corpus.fill(7, 4 * 5 + i, context, x, y);
            let range = i as usize * context..(i as usize + 1) * context;
            assert!(parts[0] == whole[0][range.clone()] && parts[1] == whole[1][range]);
        }
        assert!(bytes(&corpus, context) < 1 << 20);
    }

    /// None of twelve random texts of each kind fails, although words recur; with a tenth of the validation part copied
    /// from training all fail.
    #[test]
    fn texts_are_not_accused_and_copies_are() {
        let text = |seed: u32, n: usize| -> Vec<u32> {
            // Words of 3 to 6 letters, the k-th with probability about 1/k, as in natural language.
            let (words, random) = (random(99, 600, 20), Random::new(8, seed, 0));
            let mut letters = vec![];
            for i in 0.. {
                let k = (200.0_f64.powf(random.uniform(i)) - 1.0) as usize;
                letters.extend(words[3 * k..].iter().take(3 + k % 4).chain([&20]));
                if letters.len() >= n {
                    letters.truncate(n);
                    return letters;
                }
            }
            unreachable!("a text is long enough at some time")
        };
        for seed in 0..12 {
            for length in [8, 64] {
                for mut tokens in [text(seed, 6000), random(seed, 6000, 30)] {
                    let judge = |tokens: &[u32]| {
                        let corpus = Corpus::text(tokens.to_vec(), 0.1, length).unwrap();
                        [stretch(&corpus), share(&corpus, length)]
                    };
                    for c in judge(&tokens) {
                        assert_ne!(c.verdict, Verdict::Fail, "text {seed}, {length}: {c:?}");
                    }
                    tokens.copy_within(1000..1192, 5402);
                    let [long, often] = judge(&tokens);
                    assert_eq!(long.verdict, Verdict::Fail, "text {seed}: {long:?}");
                    // A third of 600 tokens; if most windows recur anyway, a share shows nothing.
                    let shows = often.limits.1 < 0.25;
                    assert!(!shows || often.verdict == Verdict::Fail, "text {seed}: {often:?}");
                    assert!(often.limits.1.is_nan() || often.limits.1 < 1.0, "no way to fail");
                }
            }
        }
    }
}
