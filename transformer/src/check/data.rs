//! Is the data what a training run takes it for?

use super::Certificate;
use crate::TrainingConfig;
use crate::corpus::Corpus;
use crate::model::IGNORED;
use std::collections::HashMap;

/// Batches that are drawn to look at.
const BATCHES: u64 = 16;
/// Places of the training part that windows are looked for at.
const SEARCHED: usize = 1 << 23;
/// Tokens that are compared; longer windows are compared by their first ones.
const COMPARED: usize = 64;

/// The certificates "data": tokens in range, targets that are the inputs shifted by one, and how much
/// of the validation part can be found in the training part.
pub fn data(corpus: &Corpus, vocabulary: usize, config: &TrainingConfig) -> Vec<Certificate> {
    let (length, size) = (config.context, config.context * config.batch);
    let (mut windows, mut shifted) = (0, 0);
    let mut outside: Vec<u32> = vec![];
    let mut note = |tokens: &[u32], targets: &[u32]| {
        windows += 1;
        let n = targets.iter().filter(|&&t| t != IGNORED).count();
        shifted += u64::from(n > 0 && tokens[1..n] != targets[..n - 1]);
    };
    let (mut x, mut y) = (vec![0; size], vec![0; size]);
    for batch in 0..BATCHES {
        corpus.fill(config.seed, batch, length, &mut x, &mut y);
        x.chunks(length).zip(y.chunks(length)).for_each(|(x, y)| note(x, y));
    }
    corpus.validation_windows(length).iter().for_each(|w| note(&w.tokens, &w.targets));
    for part in [corpus.train(), corpus.validation()] {
        outside.extend(part.iter().copied().filter(|&t| t as usize >= vocabulary).take(4));
    }
    let count = (corpus.train().len(), corpus.validation().len());
    let detail = match outside.first() {
        Some(t) => format!(
            "token {t} is not one of the vocabulary's {vocabulary} (0 to {})",
            vocabulary - 1
        ),
        None => {
            format!("{} training and {} validation tokens below {vocabulary}", count.0, count.1)
        }
    };
    let (shared, run) = overlap(corpus.train(), corpus.validation(), length);
    // Short windows of a text recur by themselves: as often as training's last part recurs in its rest.
    let rest = corpus.train().len().saturating_sub(count.1);
    let (usual, _) = overlap(&corpus.train()[..rest], &corpus.train()[rest..], length);
    let windows_compared = (count.1 / length.min(COMPARED)).max(1) as f64;
    // Four deviations of the difference of two shares.
    let chance = 4.0 * (2.0 * usual * (1.0 - usual) / windows_compared).sqrt();
    vec![
        Certificate::at_most(("data", "tokens are in range"), outside.len() as f64, 0.0, detail),
        Certificate::at_most(
            ("data", "targets are the inputs shifted by one"),
            shifted as f64,
            0.0,
            format!("{windows} windows of {length} tokens"),
        ),
        Certificate::at_most(
            ("data", "the split does not overlap"),
            run as f64,
            (4 * length.min(COMPARED)).max(count.1 / 4) as f64,
            "longest stretch of validation tokens that stands in training as it is",
        ),
        Certificate::at_most(
            ("data", "validation windows that occur in training"),
            shared,
            (usual + chance).max(0.5),
            format!(
                "share, by their first {} tokens; of training's own last windows, {usual:.3} occur before",
                length.min(COMPARED)
            ),
        ),
    ]
}

/// The share of validation windows that occur in the training part, and the longest stretch of
/// validation windows that stand there one after another.
fn overlap(train: &[u32], validation: &[u32], length: usize) -> (f64, usize) {
    let length = length.min(COMPARED).min(validation.len());
    if length == 0 || train.len() < length {
        return (0.0, 0);
    }
    // A polynomial hash that rolls: h = Σ xᵢ·Bⁿ⁻¹⁻ⁱ mod 2⁶⁴, mixed when it is looked up.
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let add = |h: u64, x: u32| h.wrapping_mul(BASE).wrapping_add(u64::from(x) + 1);
    let lead = (0..length).fold(1_u64, |p, _| p.wrapping_mul(BASE));
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (w, window) in validation.chunks_exact(length).enumerate() {
        places.entry(window.iter().fold(0, |h, &x| add(h, x))).or_default().push(w);
    }
    let windows = validation.len() / length;
    // Where each window was found in training, at most so many times each: then it is looked for no more, or
    // a text that repeats itself would be compared with itself for ever.
    const MOST: usize = 64;
    let mut found: Vec<Vec<usize>> = vec![vec![]; windows];
    let searched = &train[..train.len().min(SEARCHED)];
    let mut hash = 0;
    for (i, &x) in searched.iter().enumerate() {
        hash = add(hash, x);
        if i >= length {
            hash = hash.wrapping_sub(lead.wrapping_mul(u64::from(searched[i - length]) + 1));
        }
        if i + 1 >= length
            && let Some(same) = places.get_mut(&hash)
        {
            let start = i + 1 - length;
            same.retain(|&w| {
                if searched[start..=i] == validation[w * length..(w + 1) * length] {
                    found[w].push(start);
                }
                found[w].len() < MOST
            });
        }
    }
    let shared = found.iter().filter(|f| !f.is_empty()).count();
    let mut longest = 0;
    let mut runs: HashMap<usize, usize> = HashMap::new(); // where a run would go on → its windows
    for starts in &found {
        let mut next = HashMap::new();
        for &start in starts {
            let run = runs.get(&start).copied().unwrap_or(0) + 1;
            longest = longest.max(run);
            next.insert(start + length, run);
        }
        runs = next;
    }
    (shared as f64 / windows as f64, longest * length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_both_parts_is_found() {
        let random = probability::random::Random::new(5, 0, 0);
        let train: Vec<u32> = (0..4000).map(|i| random.below(i, 50) as u32).collect();
        let fresh: Vec<u32> = (0..400).map(|i| random.below(9000 + i, 50) as u32).collect();
        assert_eq!(overlap(&train, &fresh, 8), (0.0, 0));
        let copied = &train[1003..1403];
        assert_eq!(overlap(&train, copied, 8), (1.0, 400));
        let half = [&fresh[..200], &copied[..200]].concat();
        assert_eq!(overlap(&train, &half, 8), (0.5, 200));
    }
}
