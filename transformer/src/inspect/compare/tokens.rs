//! The tokens on which two models differ most, with the text before them.

use crate::printable::printable;
use serde::Serialize;

/// A token, or a word where tokenizers differ, and its nats under two models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Different {
    /// The nats of the first model.
    pub first: f64,
    /// The nats of the second one.
    pub second: f64,
    /// The text before it, on one line.
    pub before: String,
    /// Its text, on one line.
    pub text: String,
}

/// The number of tokens that are listed.
pub const LISTED: usize = 10;

/// Characters of text shown before a token.
const BEFORE: usize = 40;

/// Returns the places at which two lists of nats differ most, the largest difference first.
///
/// ```
/// use transformer::inspect::compare::tokens::places;
/// assert_eq!(places(&[1.0, 5.0, 2.0], &[1.1, 2.0, 4.0], 2), [1, 2]);
/// ```
pub fn places(first: &[f64], second: &[f64], count: usize) -> Vec<usize> {
    let gap = |&i: &usize| (first[i] - second[i]).abs();
    let mut all: Vec<usize> = (0..first.len().min(second.len())).collect();
    // Of equal differences the earlier place comes first.
    all.sort_by(|a, b| gap(b).total_cmp(&gap(a)).then(a.cmp(b)));
    all.truncate(count);
    all.retain(|i| gap(i) > 0.0);
    all
}

/// Lists the tokens on which two models differ most. `describe` gives one by its place; of tokens that look alike, with the
/// same text before them, one is listed.
pub fn listed(
    first: &[f64],
    second: &[f64],
    describe: impl Fn(usize) -> Different,
) -> Vec<Different> {
    let mut all: Vec<Different> = Vec::new();
    for place in places(first, second, 100 * LISTED) {
        let token = describe(place);
        let known = |d: &Different| (&d.before, &d.text) == (&token.before, &token.text);
        if !all.iter().any(known) {
            all.push(token);
        }
        if all.len() == LISTED {
            break;
        }
    }
    all
}

/// Describes a token: its nats, its text, and the end of the text before it.
pub fn described([first, second]: [f64; 2], before: &str, text: &str) -> Different {
    let skipped = before.chars().count().saturating_sub(BEFORE);
    let end: String = before.chars().skip(skipped).collect();
    let before = format!("{}{}", if skipped > 0 { "…" } else { "" }, printable(&end));
    Different { first, second, before, text: printable(text) }
}

/// Returns the words of a text as ranges of bytes: each begins with the white space before it.
///
/// ```
/// use transformer::inspect::compare::tokens::words;
/// assert_eq!(words(b"to be  or"), [0..2, 2..5, 5..9]);
/// ```
pub fn words(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut words, mut start) = (vec![], 0);
    for i in 1..text.len() {
        if text[i].is_ascii_whitespace() && !text[i - 1].is_ascii_whitespace() {
            words.push(start..i);
            start = i;
        }
    }
    if start < text.len() {
        words.push(start..text.len());
    }
    words
}

/// Returns the nats of every word: those of the tokens that begin in it. `tokens` are as in [`Losses::by_byte`](super::Losses::by_byte).
pub fn by_word(words: &[std::ops::Range<usize>], tokens: &[(usize, Option<f64>)]) -> Vec<f64> {
    let (mut nats, mut word, mut at) = (vec![0.0; words.len()], 0, 0);
    for &(bytes, own) in tokens {
        while word + 1 < words.len() && words[word].end <= at {
            word += 1;
        }
        if bytes > 0 && !words.is_empty() {
            nats[word] += own.unwrap_or(0.0);
        }
        at += bytes;
    }
    nats
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every token counts in the word in which it begins.
    #[test]
    fn words_get_the_nats_of_their_tokens() {
        let text = b"one two";
        // "o", "ne ", "t", "wo": the second begins in the first word.
        let tokens = [(1, None), (3, Some(1.0)), (1, Some(2.0)), (2, Some(4.0))];
        assert_eq!(by_word(&words(text), &tokens), [1.0, 6.0]);
        assert_eq!(by_word(&words(b""), &[]), Vec::<f64>::new());
    }

    /// Equal losses are no difference, and the sign does not matter for the order.
    #[test]
    fn the_largest_gap_comes_first() {
        assert_eq!(places(&[3.0, 0.0, 1.0, 2.0], &[1.0, 4.0, 1.0, 0.0], 10), [1, 0, 3]);
        assert!(places(&[1.0], &[1.0], 10).is_empty());
    }

    /// Tokens that look alike are listed once.
    #[test]
    fn equal_lines_are_one() {
        let nats = [9.0, 8.0, 7.0];
        let text = |i: usize| described([nats[i], 0.0], "a", ["x", "x", "y"][i]);
        let all = listed(&nats, &[0.0; 3], text);
        assert_eq!(all.iter().map(|d| d.first).collect::<Vec<_>>(), [9.0, 7.0]);
    }

    #[test]
    fn text_from_a_file_stays_on_its_line() {
        let long = format!("{}\u{1b}[2J\n", "x".repeat(100));
        let shown = described([1.0, 2.0], &long, "\r");
        assert!(shown.before.starts_with('…') && shown.before.ends_with("\\u{1b}[2J\\n"));
        assert_eq!((shown.text.as_str(), shown.first, shown.second), ("\\r", 1.0, 2.0));
    }
}
