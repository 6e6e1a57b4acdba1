//! Prefix codes: a word of bits for every symbol; no word is a prefix of another.
//!
//! Formulas: words of lengths l exist if and only if <var>Σ 2^−l ≤ 1</var> (Kraft). Huffman's algorithm repeatedly
//! joins the two least probable symbols; no prefix code has a smaller mean length L, and <var>H ≤ L < H + 1</var> in
//! bits. Arithmetic coding ([`crate::arithmetic`]) avoids the excess of up to one bit. In a transformer: tokens are
//! numbered, not coded; a byte-pair vocabulary gives short names to frequent strings by the same idea.
//! Source: Kraft 1949; Huffman 1952; Cover and Thomas 2006, chapter 5.
//!
//! On `f64` alone: lengths are integers, which jump.

use crate::units::Bits;
use crate::{InfoError, distribution};
use linalg::accurate::sum;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Returns <var>Σ 2^−l</var> over code lengths: at most 1 for every prefix code, 1 for a complete one. A length of 0 is
/// a symbol without a word; 2^−l of a length above 1074 is 0.
///
/// ```
/// use infotheory::prefix_code::kraft;
/// assert_eq!(kraft(&[1, 2, 3, 3]), 1.0);
/// assert_eq!(kraft(&[1, 1, 2]), 1.25); // no such code
/// assert_eq!(kraft(&[]), 0.0);
/// ```
pub fn kraft(lengths: &[u32]) -> f64 {
    sum(lengths.iter().filter(|l| **l > 0).map(|&l| (-f64::from(l)).exp2()))
}

/// Returns the mean length of a code, <var>Σ p·l</var>.
///
/// # Errors
/// If p is not a distribution, or the numbers of symbols differ.
///
/// ```
/// use infotheory::prefix_code::mean_length;
/// assert_eq!(mean_length(&[0.5, 0.25, 0.25], &[1, 2, 2])?.0, 1.5); // bits: the entropy itself
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn mean_length(p: &[f64], lengths: &[u32]) -> Result<Bits, InfoError> {
    let total = distribution::sum::<f64>("p", p)?;
    if lengths.len() != p.len() {
        let (found, expected) = (lengths.len(), p.len());
        return Err(InfoError::Length { what: "the list of lengths", found, expected });
    }
    Ok(Bits(sum(p.iter().zip(lengths).map(|(p, &l)| p / total * f64::from(l)))))
}

/// Returns Huffman's code lengths, from probabilities or counts: the minimum mean length of words of whole bits. A
/// symbol of weight 0 gets no word (length 0); a single symbol gets one of 1 bit.
///
/// # Errors
/// If there are no weights, one is negative or not finite, or all are 0.
///
/// ```
/// use infotheory::{entropy::entropy, prefix_code::{huffman, mean_length}};
/// let p = [0.5, 0.25, 0.125, 0.125];
/// let lengths = huffman(&p)?;
/// assert_eq!(lengths, [1, 2, 3, 3]);
/// assert_eq!(mean_length(&p, &lengths)?, entropy(&p)?.to_bits()); // powers of two: not a bit is lost
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "huffman_code")]
pub fn huffman(weights: &[f64]) -> Result<Vec<u32>, InfoError> {
    let what = "the list of weights";
    if weights.is_empty() {
        return Err(InfoError::Empty { what });
    }
    if let Some(index) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        return Err(InfoError::Probability { what, index, found: weights[index] });
    }
    let used: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
    let mut lengths = vec![0; weights.len()];
    match used[..] {
        [] => return Err(InfoError::Sum { what, found: 0.0 }),
        [only] => {
            lengths[only] = 1;
            return Ok(lengths);
        }
        _ => {}
    }
    // Divided by a power of two, so that the sum of huge weights does not overflow and equal sums stay equal.
    let largest = used.iter().fold(0.0_f64, |m, &i| m.max(weights[i]));
    let power = used.len().next_power_of_two() as f64;
    let unit = if largest > f64::MAX / power { power } else { 1.0 };
    let weight = |i: usize| Ordered(weights[i] / unit);
    // Nodes: the symbols, then the joined nodes. Of equal weights the earlier node comes first.
    let mut heap: BinaryHeap<Reverse<(Ordered, usize)>> =
        used.iter().enumerate().map(|(node, &i)| Reverse((weight(i), node))).collect();
    let mut parents = vec![0; 2 * used.len() - 1];
    for joined in used.len()..parents.len() {
        let mut next = || heap.pop().map(|Reverse(least)| least).expect("two are left");
        let ((a, left), (b, right)) = (next(), next());
        (parents[left], parents[right]) = (joined, joined);
        heap.push(Reverse((Ordered(a.0 + b.0), joined)));
    }
    // The root is the last node; a child is one deeper than its parent.
    let mut depth = vec![0; parents.len()];
    for node in (0..parents.len() - 1).rev() {
        depth[node] = depth[parents[node]] + 1;
    }
    for (node, &i) in used.iter().enumerate() {
        lengths[i] = depth[node];
    }
    Ok(lengths)
}

/// A finite weight.
#[derive(Clone, Copy, PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The maximum number of bits of all words of a code.
const MOST_BITS: usize = 1 << 27;

/// The canonical words of given lengths: in the order of length, then of the symbol, each the next number.
///
/// ```
/// use infotheory::prefix_code::{PrefixCode, huffman};
/// let text = [0, 1, 0, 2, 0, 1];
/// let code = PrefixCode::new(&huffman(&[3.0, 2.0, 1.0])?)?;
/// let bits = code.encode(&text)?;
/// assert_eq!(bits.len(), 9); // 3·1 + 2·2 + 1·2
/// assert_eq!(code.decode(&bits)?, text);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixCode {
    /// The word of every symbol, first bit first; empty for length 0.
    words: Vec<Vec<bool>>,
}

impl PrefixCode {
    /// Creates the words.
    ///
    /// # Errors
    /// If the Kraft sum is above 1 (no such code exists), or the sum of the lengths is above 2²⁷ bits.
    pub fn new(lengths: &[u32]) -> Result<Self, InfoError> {
        let found = kraft(lengths);
        if found > 1.0 {
            return Err(InfoError::Kraft { found });
        }
        let bits: u64 = lengths.iter().map(|&l| u64::from(l)).sum();
        if bits > MOST_BITS as u64 {
            let found = usize::try_from(bits).unwrap_or(usize::MAX);
            return Err(InfoError::TooMany { what: "bits of all words", found, most: MOST_BITS });
        }
        let mut order: Vec<usize> = (0..lengths.len()).filter(|&i| lengths[i] > 0).collect();
        order.sort_by_key(|&i| lengths[i]);
        let mut words = vec![Vec::new(); lengths.len()];
        let mut word: Vec<bool> = Vec::new();
        for &i in &order {
            // The next number of as many bits, then extended by zeros. If there is none, the sum exceeded 1 by less
            // than a float shows.
            if !word.is_empty() && !increment(&mut word) {
                return Err(InfoError::Kraft { found });
            }
            word.resize(lengths[i] as usize, false);
            words[i] = word.clone();
        }
        Ok(PrefixCode { words })
    }

    /// Returns a symbol's word; empty if it has none.
    ///
    /// # Panics
    /// If there is no such symbol.
    pub fn word(&self, symbol: usize) -> &[bool] {
        &self.words[symbol]
    }

    /// Returns the concatenated words of a text.
    ///
    /// # Errors
    /// If a symbol is beyond the last, or has no word.
    pub fn encode(&self, text: &[usize]) -> Result<Vec<bool>, InfoError> {
        let mut bits = Vec::new();
        for (place, &symbol) in text.iter().enumerate() {
            match self.words.get(symbol) {
                Some(word) if !word.is_empty() => bits.extend(word),
                Some(_) => return Err(InfoError::NoWord { place, symbol }),
                None => {
                    let classes = self.words.len();
                    return Err(InfoError::Target { place, found: symbol, classes });
                }
            }
        }
        Ok(bits)
    }

    /// Returns the text of these bits.
    ///
    /// # Errors
    /// If the bits end within a word, or no word matches them.
    pub fn decode(&self, bits: &[bool]) -> Result<Vec<usize>, InfoError> {
        let (mut text, mut rest) = (Vec::new(), bits);
        while !rest.is_empty() {
            let next = |word: &&Vec<bool>| !word.is_empty() && rest.starts_with(word);
            let Some(symbol) = self.words.iter().position(|word| next(&word)) else {
                return Err(InfoError::Code { read: text.len() });
            };
            text.push(symbol);
            rest = &rest[self.words[symbol].len()..];
        }
        Ok(text)
    }
}

/// Adds one to a number of bits, the highest first; false if all were ones.
fn increment(word: &mut [bool]) -> bool {
    word.iter_mut().rev().any(|bit| {
        *bit = !*bit;
        *bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use crate::entropy::entropy;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn huffman_is_within_one_bit_of_the_entropy(p in draw::distribution()) {
            let lengths = huffman(&p).unwrap();
            let (mean, h) = (mean_length(&p, &lengths).unwrap().0, entropy(&p).unwrap().to_bits().0);
            prop_assert!(mean >= h - 1e-12 && mean < h + 1.0 + 1e-12);
            // The code is complete, except for a single symbol.
            let used = p.iter().filter(|p| **p > 0.0).count();
            prop_assert_eq!(kraft(&lengths), if used == 1 { 0.5 } else { 1.0 });
        }

        #[test]
        fn no_other_lengths_are_better(
            weights in prop::collection::vec(1u32..100, 2..8), other in prop::collection::vec(1u32..7, 8),
        ) {
            let n = weights.len();
            prop_assume!(kraft(&other[..n]) <= 1.0);
            let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
            let total = |lengths: &[u32]| -> f64 {
                weights.iter().zip(lengths).map(|(w, &l)| w * f64::from(l)).sum()
            };
            prop_assert!(total(&huffman(&weights).unwrap()) <= total(&other[..n]));
        }

        #[test]
        fn lengths_that_kraft_allows_have_words_and_no_word_begins_another(
            lengths in prop::collection::vec(0u32..9, 0..24),
        ) {
            match PrefixCode::new(&lengths) {
                Err(error) => {
                    prop_assert!(kraft(&lengths) > 1.0);
                    prop_assert_eq!(error, InfoError::Kraft { found: kraft(&lengths) });
                }
                Ok(code) => {
                    prop_assert!(kraft(&lengths) <= 1.0);
                    for i in 0..lengths.len() {
                        prop_assert_eq!(code.word(i).len(), lengths[i] as usize);
                        for j in (0..lengths.len()).filter(|&j| j != i && lengths[i] > 0) {
                            prop_assert!(!code.word(j).starts_with(code.word(i)));
                        }
                    }
                }
            }
        }

        #[test]
        fn texts_come_back(
            weights in prop::collection::vec(1e-3f64..1.0, 1..12),
            text in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let code = PrefixCode::new(&huffman(&weights).unwrap()).unwrap();
            let text: Vec<usize> = text.iter().map(|i| i.index(weights.len())).collect();
            let bits = code.encode(&text).unwrap();
            prop_assert_eq!(code.decode(&bits).unwrap(), text);
        }
    }

    #[test]
    fn hard_floats() {
        for bad in [&[][..], &[0.0], &[-0.0, 0.0], &[f64::NAN], &[f64::INFINITY], &[1.0, -1.0]] {
            assert!(huffman(bad).is_err());
        }
        assert_eq!(huffman(&[5e-324]).unwrap(), [1]);
        assert_eq!(huffman(&[0.0, 7.0]).unwrap(), [0, 1]);
        assert_eq!(huffman(&[1e308, 1e308, 1e308, 1e308]).unwrap(), [2; 4]);
        assert_eq!(huffman(&[5e-324, 1.0, 1e308]).unwrap(), [2, 2, 1]);
        assert!(mean_length(&[1.0], &[1, 2]).is_err() && mean_length(&[f64::NAN], &[1]).is_err());
        assert_eq!(mean_length(&[1.0, 5e-324, -0.0], &[0, 1, u32::MAX]).unwrap().0, 5e-324);
        assert_eq!([kraft(&[0]), kraft(&[1074]), kraft(&[1075, u32::MAX])], [0.0, 5e-324, 0.0]);
    }

    #[test]
    fn a_sum_above_one_by_less_than_a_float_shows_is_refused() {
        let lengths: Vec<u32> = (1..=60).chain([60]).collect();
        assert!(PrefixCode::new(&lengths).is_ok());
        let lengths = [&lengths[..], &[60]].concat();
        assert_eq!(PrefixCode::new(&lengths), Err(InfoError::Kraft { found: 1.0 }));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let code = PrefixCode::new(&[2, 2, 2, 0]).unwrap();
        assert_eq!(code.decode(&[false, false, true]), Err(InfoError::Code { read: 1 }));
        assert_eq!(code.decode(&[true, true]), Err(InfoError::Code { read: 0 }));
        assert_eq!(code.encode(&[0, 3]), Err(InfoError::NoWord { place: 1, symbol: 3 }));
        let beyond = InfoError::Target { place: 1, found: 9, classes: 4 };
        assert_eq!(code.encode(&[0, 9]), Err(beyond));
        // Words that would not fit in memory are counted first.
        for lengths in [vec![u32::MAX], vec![1 << 20; 129], vec![u32::MAX; 9]] {
            assert!(matches!(PrefixCode::new(&lengths), Err(InfoError::TooMany { .. })));
        }
    }
}
