//! Arithmetic coding: cross-entropy as the size of a file.
//!
//! A text is a number in [0, 1). Every symbol reduces the interval to the fraction of its probability q, so the
//! interval of a text has the length Π q. A number in it takes Σ −log₂ q bits, and at most two more. On average no code
//! is shorter than the cross-entropy (Shannon): *the loss of a model is the size of a file*.
//!
//! Encoder and decoder must divide the interval at the same places, so probabilities are first converted to integers,
//! by one rule: [`Frequencies`]. The coder itself is the crate `arithmetic-coding`.
//!
//! ```
//! use infotheory::arithmetic::{ArithmeticDecoder, ArithmeticEncoder, Code, Frequencies};
//! let coin = Frequencies::of(&[0.99, 0.01])?; // a coin that nearly always shows heads
//! let mut code = Code::new();
//! let mut encoder = ArithmeticEncoder::new(&mut code);
//! (0..1000).for_each(|_| encoder.encode(&coin, 0));
//! encoder.finish();
//! let file = code.into_bytes();
//! assert_eq!(file.len(), 2); // 1000 throws in 1000·log₂(1/0.99) = 14.5 bits
//! let mut decoder = ArithmeticDecoder::new(&file);
//! assert!((0..1000).all(|_| decoder.decode(&coin) == 0));
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//! Source: Rissanen 1976; Pasco 1976; Witten, Neal and Cleary 1987.
//!
//! Costs are those of integer frequencies, on `f64` alone: rounded values have no derivative.

use crate::units::Bits;
use crate::{InfoError, distribution};
use arithmetic_coding::{Decoder, Encoder, Model, decoder, encoder};
use bitstream_io::{BigEndian, BitReader, BitWrite, BitWriter};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The exponent: integer frequencies sum to 2 to this power.
pub const PRECISION: u32 = 24;
/// The sum of integer frequencies.
pub const TOTAL: u32 = 1 << PRECISION;
/// Bits of the coder's interval: a product with a frequency fills 64.
const INTERVAL: u32 = 64 - (PRECISION + 1);

/// A distribution in positive integers that sum to 2²⁴, the same for encoder and decoder.
///
/// Formula: <var>fᵢ = 1 + ⌊pᵢ·(2²⁴ − n)⌋</var>; the most probable outcome (the first of equals) gets the rest. So
/// <var>f/2²⁴ ≥ p·(1 − n/2²⁴)</var>: a symbol costs at most <var>−log₂(1 − n·2⁻²⁴)</var> bits more than −log₂ p, 6·10⁻⁶
/// for 65 outcomes. It uses only IEEE additions, multiplications and divisions in a fixed order, so it gives the same
/// integers on every machine.
///
/// ```
/// use infotheory::arithmetic::{Frequencies, TOTAL};
/// let f = Frequencies::of(&[0.75, 0.25, 0.0])?;
/// assert_eq!(f.range(1).len(), TOTAL as usize / 4); // 0.25·2²⁴, up to rounding
/// assert_eq!(f.range(2), TOTAL - 1..TOTAL); // what cannot happen keeps one part in 2²⁴
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frequencies {
    /// The sum of the frequencies before each outcome, and 2²⁴ at the end.
    bounds: Vec<u32>,
}

impl Frequencies {
    /// Returns the frequencies of a distribution.
    ///
    /// # Errors
    /// If p is not a distribution, or has more than 2²³ outcomes.
    pub fn of(p: &[f64]) -> Result<Self, InfoError> {
        distribution::check("p", p)?;
        Self::of_weights(p)
    }

    /// Returns the frequencies of weights, which need not sum to one.
    ///
    /// # Errors
    /// If there are no weights or more than 2²³, one is negative or not finite, or the sum is 0 or not finite.
    pub fn of_weights(weights: &[f64]) -> Result<Self, InfoError> {
        const MOST: usize = TOTAL as usize / 2;
        let (what, n) = ("the list of weights", weights.len());
        if n == 0 {
            return Err(InfoError::Empty { what });
        }
        if n > MOST {
            return Err(InfoError::TooMany { what: "outcomes", found: n, most: MOST });
        }
        if let Some(index) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(InfoError::Probability { what, index, found: weights[index] });
        }
        // A plain sum: existing files depend on its bits.
        let sum: f64 = weights.iter().sum();
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(InfoError::Sum { what, found: sum });
        }
        let shared = f64::from(TOTAL - n as u32);
        let mut frequencies: Vec<u32> =
            weights.iter().map(|w| 1 + (w / sum * shared) as u32).collect();
        let best = (0..n).fold(0, |best, i| if weights[i] > weights[best] { i } else { best });
        // By rounding, Σ w/sum exceeds 1 by at most n·ε, which is less than one part in 2²⁴; so Σ f, an integer, is at
        // most 2²⁴.
        frequencies[best] += TOTAL - frequencies.iter().sum::<u32>();
        let mut bounds = vec![0];
        bounds.extend(frequencies.iter().scan(0, |before, f| {
            *before += f;
            Some(*before)
        }));
        Ok(Frequencies { bounds })
    }

    /// Returns the number of outcomes.
    pub fn outcomes(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Returns the part of 0 .. 2²⁴ that belongs to an outcome.
    ///
    /// # Panics
    /// If there is no such outcome.
    pub fn range(&self, outcome: usize) -> Range<u32> {
        let outcomes = self.outcomes();
        assert!(outcome < outcomes, "outcome {outcome}: there are {outcomes}, from 0");
        self.bounds[outcome]..self.bounds[outcome + 1]
    }

    /// Returns the ideal code length of an outcome: <var>−log₂(f/2²⁴)</var>.
    ///
    /// # Panics
    /// If there is no such outcome.
    ///
    /// ```
    /// use infotheory::arithmetic::Frequencies;
    /// assert_eq!(Frequencies::of(&[0.5, 0.5])?.cost(0).0, 1.0);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn cost(&self, outcome: usize) -> Bits {
        // From the quotient, which is exact: the difference of two logarithms has their rounding errors.
        Bits(0.0 - (self.range(outcome).len() as f64 / f64::from(TOTAL)).log2())
    }

    fn outcome(&self, place: u32) -> usize {
        self.bounds.partition_point(|&bound| bound <= place) - 1
    }
}

/// The distribution of one symbol, in the coder's interface. There is no symbol for the end of a text: a file stores
/// its length.
struct Next<'a>(&'a Frequencies);

impl Model for Next<'_> {
    type Symbol = usize;
    type ValueError = Infallible;
    type B = u64;

    fn probability(&self, symbol: Option<&usize>) -> Result<Range<u64>, Infallible> {
        let range = self.0.range(*symbol.expect("no end among the symbols"));
        Ok(range.start.into()..range.end.into())
    }

    fn max_denominator(&self) -> u64 {
        TOTAL.into()
    }

    fn symbol(&self, value: u64) -> Option<usize> {
        Some(self.0.outcome(value as u32))
    }
}

/// The output of an [`ArithmeticEncoder`].
pub struct Code(BitWriter<Vec<u8>, BigEndian>);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").finish_non_exhaustive()
    }
}

impl Code {
    /// Creates an empty code.
    pub fn new() -> Self {
        Code(BitWriter::new(Vec::new()))
    }

    /// Returns the bytes written; the last byte is padded with zeros.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.0.byte_align().expect(IN_MEMORY);
        self.0.into_writer()
    }
}

impl Default for Code {
    fn default() -> Self {
        Code::new()
    }
}

const IN_MEMORY: &str = "memory can be written and read";

/// An encoder that writes symbols, each with its own distribution.
#[must_use = "the last bits are written by `finish`"]
#[doc(alias("range_coder", "entropy_coder"))]
pub struct ArithmeticEncoder<'a> {
    /// `None` only while a symbol is written.
    state: Option<encoder::State<u64, &'a mut BitWriter<Vec<u8>, BigEndian>>>,
}

impl fmt::Debug for ArithmeticEncoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArithmeticEncoder").finish_non_exhaustive()
    }
}

impl<'a> ArithmeticEncoder<'a> {
    /// Creates an encoder that has written nothing.
    pub fn new(code: &'a mut Code) -> Self {
        ArithmeticEncoder { state: Some(encoder::State::new(INTERVAL, &mut code.0)) }
    }

    /// Writes a symbol with the frequencies of its prediction. It takes [`Frequencies::cost`].
    ///
    /// # Panics
    /// If there is no such outcome.
    pub fn encode(&mut self, expected: &Frequencies, symbol: usize) {
        let state = self.state.take().expect("put back below");
        let mut encoder = Encoder::with_state(state, Next(expected));
        encoder.encode(Some(&symbol)).expect(IN_MEMORY);
        self.state = Some(encoder.into_inner().1);
    }

    /// Writes a number in the final interval: at most two bits.
    pub fn finish(self) {
        self.state.expect("put back above").flush().expect(IN_MEMORY);
    }
}

/// A decoder that reads the output of an [`ArithmeticEncoder`], given the same distributions in the same order.
///
/// Every sequence of bytes is the code of some text and of its continuations: zeros follow the last byte, and they
/// decode to symbols. So decoding never fails and never ends. The caller must store the length of the text, or a symbol
/// that ends it; a caller without either uses [`ArithmeticDecoder::has_ended`]. Only a checksum shows whether the text
/// is the original.
///
/// ```
/// use infotheory::arithmetic::{ArithmeticDecoder, Frequencies};
/// let coin = Frequencies::of(&[0.5, 0.5])?;
/// let mut decoder = ArithmeticDecoder::new(&[]); // no byte: no text, or one of very few bits
/// let symbols = std::iter::from_fn(|| (!decoder.has_ended()).then(|| decoder.decode(&coin)));
/// assert!(symbols.count() <= 2);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub struct ArithmeticDecoder<'a> {
    /// `None` only while a symbol is read.
    state: Option<decoder::State<u64, BitReader<Counted<'a>, BigEndian>>>,
    /// The number of bits requested after the last one.
    missing: Arc<AtomicU32>,
}

impl fmt::Debug for ArithmeticDecoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArithmeticDecoder").field("missing", &self.missing).finish_non_exhaustive()
    }
}

/// The bytes, and the number of requests after the last byte.
struct Counted<'a> {
    bytes: &'a [u8],
    missing: Arc<AtomicU32>,
}

impl io::Read for Counted<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            let more = |missing: u32| Some(missing.saturating_add(1));
            self.missing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok();
        }
        self.bytes.read(to)
    }
}

impl<'a> ArithmeticDecoder<'a> {
    /// Creates a decoder at the start of a code.
    pub fn new(code: &'a [u8]) -> Self {
        let missing = Arc::new(AtomicU32::new(0));
        let bytes = Counted { bytes: code, missing: missing.clone() };
        let state = Some(decoder::State::new(INTERVAL, BitReader::new(bytes)));
        ArithmeticDecoder { state, missing }
    }

    /// Returns whether more was read than the code holds: no text with this code is longer.
    ///
    /// A decoder looks 39 bits ahead, so after the last symbol of a text at most 39 bits are missing. The answer comes
    /// late if symbols are nearly certain: they take almost no bits, also after the end.
    pub fn has_ended(&self) -> bool {
        self.missing.load(Ordering::Relaxed) > INTERVAL
    }

    /// Returns the next symbol.
    pub fn decode(&mut self, expected: &Frequencies) -> usize {
        let state = self.state.take().expect("put back below");
        let mut decoder = Decoder::with_state(state, Next(expected));
        let symbol = decoder.decode().expect(IN_MEMORY).expect("no end among the symbols");
        self.state = Some(decoder.into_inner().1);
        symbol
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use crate::entropy::entropy;
    use proptest::prelude::*;

    /// Returns the code of symbols and its ideal length.
    fn encoded(symbols: &[(Frequencies, usize)]) -> (Vec<u8>, f64) {
        let (mut code, mut ideal) = (Code::new(), 0.0);
        let mut encoder = ArithmeticEncoder::new(&mut code);
        for (frequencies, symbol) in symbols {
            encoder.encode(frequencies, *symbol);
            ideal += frequencies.cost(*symbol).0;
        }
        encoder.finish();
        (code.into_bytes(), ideal)
    }

    /// The maximum length of a code of n symbols: the ideal length, two bits at the end, seven to fill a byte, and the
    /// rounding of the interval for each symbol. The interval is longer than 2³⁷, so a frequency of 1 keeps more than
    /// 1 − 2⁻¹³ of its part.
    fn bound(ideal: f64, n: usize) -> f64 {
        ideal + 9.0 + n as f64 * -(-(-13_f64).exp2()).ln_1p() / std::f64::consts::LN_2
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_and_take_no_more_than_their_cross_entropy(
            bytes in prop::collection::vec(any::<u8>(), 0..400), skew in 0.0f64..1.0,
        ) {
            // An adaptive model: the frequency of each byte is its count so far.
            let mut seen = vec![skew + 1e-3; 256];
            let mut symbols = Vec::new();
            for &byte in &bytes {
                symbols.push((Frequencies::of_weights(&seen).unwrap(), usize::from(byte)));
                seen[usize::from(byte)] += 1.0;
            }
            let (file, ideal) = encoded(&symbols);
            let mut decoder = ArithmeticDecoder::new(&file);
            for (frequencies, symbol) in &symbols {
                prop_assert_eq!(decoder.decode(frequencies), *symbol);
            }
            prop_assert!(file.len() as f64 * 8.0 <= bound(ideal, bytes.len()));
        }

        #[test]
        fn any_distributions_and_any_symbols_come_back(
            drawn in prop::collection::vec((draw::distribution(), any::<prop::sample::Index>()), 0..60),
        ) {
            let symbols: Vec<_> =
                drawn.iter().map(|(p, i)| (Frequencies::of(p).unwrap(), i.index(p.len()))).collect();
            let (file, ideal) = encoded(&symbols);
            let mut decoder = ArithmeticDecoder::new(&file);
            for (frequencies, symbol) in &symbols {
                prop_assert_eq!(decoder.decode(frequencies), *symbol);
            }
            prop_assert!(file.len() as f64 * 8.0 <= bound(ideal, symbols.len()));
            // A lower bound: a code cannot name a number in a shorter interval.
            prop_assert!(file.len() as f64 * 8.0 >= ideal - 1e-6);
        }

        #[test]
        fn frequencies_are_a_distribution_close_to_theirs(p in draw::distribution()) {
            let f = Frequencies::of(&p).unwrap();
            let n = p.len();
            let parts: Vec<f64> = (0..n).map(|i| f.range(i).len() as f64).collect();
            prop_assert_eq!(f.outcomes(), n);
            prop_assert_eq!(parts.iter().sum::<f64>(), f64::from(TOTAL));
            let least = 1.0 - n as f64 / f64::from(TOTAL);
            for (i, (p, part)) in p.iter().zip(&parts).enumerate() {
                prop_assert!(*part >= 1.0 && part / f64::from(TOTAL) >= p * least * (1.0 - 1e-15));
                prop_assert!(f.cost(i).0 >= 0.0);
                prop_assert_eq!(f.outcome(f.range(i).start), i);
                prop_assert_eq!(f.outcome(f.range(i).end - 1), i);
            }
            // Σ p·cost is a cross-entropy: at least the entropy, and close to it.
            let expected: f64 = (0..n).map(|i| p[i] * f.cost(i).0).sum();
            let h = entropy(&p).unwrap().to_bits().0;
            prop_assert!(expected >= h - 1e-12 && expected <= h - least.log2() + 1e-12);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let f = Frequencies::of(&[0.9, 0.1, 0.0]).unwrap();
            let mut decoder = ArithmeticDecoder::new(&bytes);
            prop_assert!((0..200).all(|_| decoder.decode(&f) < 3));
        }
    }

    #[test]
    fn hard_floats() {
        assert_eq!(Frequencies::of(&[1.0]).unwrap().cost(0).0, 0.0);
        let tiny = Frequencies::of_weights(&[5e-324, 5e-324]).unwrap();
        assert_eq!(tiny.range(0).len() + tiny.range(1).len(), TOTAL as usize);
        assert!(tiny.range(0).len().abs_diff(tiny.range(1).len()) <= 1);
        let zero = Frequencies::of_weights(&[-0.0, 1e308]).unwrap();
        assert_eq!(zero.cost(0).0, 24.0);
        for bad in [&[][..], &[0.0], &[f64::NAN], &[f64::INFINITY], &[-1.0, 2.0], &[1e308, 1e308]] {
            assert!(Frequencies::of_weights(bad).is_err() && Frequencies::of(bad).is_err());
        }
        assert!(Frequencies::of_weights(&vec![1.0; TOTAL as usize / 2 + 1]).is_err());
        let many = Frequencies::of_weights(&vec![1.0; 100_000]).unwrap();
        assert_eq!(many.range(99_999).end, TOTAL);
        assert_eq!(Code::default().into_bytes(), []);
    }
}
