//! Lossless compression of a text to the size of a model's cross-entropy.
//!
//! A language model gives every next token a probability, and arithmetic coding turns probabilities into a file of
//! Σ −log₂ p bits: a model's loss *is* the size of a file. Compression reads the text token by token, as generation
//! would; decompression reads the same tokens as it decodes them, so both see the same predictions.
//!
//! The predictions are equal to the last bit, on any number of threads and on any machine: sums of `f32` have one order
//! on all of them, probabilities become integers by exact arithmetic
//! ([`infotheory::arithmetic::Frequencies`]), and the cut of a text depends only on its length.
//!
//! A text is cut into up to sixteen segments that are read side by side, because a product of a matrix with sixteen
//! columns takes hardly longer than with one. Every segment begins without a history, which costs a few bytes.
//!
//! # The file
//!
//! | bytes | what |
//! |---|---|
//! | 3 | `GBC` |
//! | 1 | version: 2 |
//! | 4 | checksum of all that follows |
//! | 8 | id of the model |
//! | 8 | checksum of the text |
//! | 1 – 9 | number of tokens, seven bits to a byte, low bits first |
//! | … | arithmetic code: token 0 of every segment, token 1 of every segment, … |
//!
//! Checksums are the first bytes of SHA-256. The file does not hold the model: the reader must have it.
//!
//! ```
//! use transformer::generation::compression::Compressor;
//! use transformer::{Architecture, Form, RecordedStep};
//! use transformer::text::tokenizer::Tokenizer;
//! let tokenizer = Tokenizer::characters_of("to be or not to be");
//! let config = Architecture {
//!     vocabulary: tokenizer.vocabulary(), context: 8, width: 16, heads: 2, layers: 1, ..Default::default()
//! };
//! let mut model = RecordedStep::<f32>::record(&config, 1, 8, Form::Fused, 0)?;
//! model.initialise(1);
//! let compressor = Compressor::new(&config, model.tape().parameters(), &tokenizer)?;
//! let file = compressor.compress(b"not to be", |_| ())?;
//! // A uniform prediction costs log₂ 7 bits for each of nine characters; the header has 25 bytes.
//! assert_eq!(file.bytes.len(), 29);
//! assert_eq!(compressor.decompress(&file.bytes, |_| ())?, b"not to be");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod reader;

use crate::disk::files;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::ModelError;
use crate::text::tokenizer::{Tokenizer, TokenizerError};
use crate::{memory, words};
use infotheory::arithmetic::{ArithmeticDecoder, ArithmeticEncoder, Code, Frequencies, TOTAL};
use infotheory::{Bits, InfoError, Nats};
use linalg::{Real, vector};
use reader::Reader;
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

const MAGIC: &[u8; 3] = b"GBC";
/// Version 1 predicted with other roundings.
const VERSION: u8 = 2;
/// The least length of a segment, if there are several.
const SEGMENT: usize = 2048;
/// The most segments.
const SEGMENTS: usize = 16;
/// The longest text, in tokens: 2³¹.
const LONGEST: u64 = 1 << 31;

/// A failure to compress or decompress.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// A model that cannot be recorded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A tokenizer with more tokens than the model predicts.
    #[error("the tokenizer has {}, but the model predicts one of {model}", words::of(*tokenizer, "token"))]
    Vocabulary {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Tokens of the model.
        model: usize,
    },
    /// A text that the tokenizer cannot encode.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A text that is not what its tokens decode to.
    #[error(
        "the tokenizer changes this text: byte {place} is not what it decodes to; only a text that tokens give back \
         can be compressed without loss"
    )]
    Changed {
        /// The place of the first byte that differs, from 0.
        place: usize,
    },
    /// A text that is too long.
    #[error("the text has {}; at most {LONGEST} are compressed at once", words::count(*found, "token"))]
    Long {
        /// Its number of tokens.
        found: u64,
    },
    /// A prediction that is not a distribution.
    #[error("at token {place} of the text the model has no valid prediction: {reason}")]
    Prediction {
        /// The token's place.
        place: usize,
        /// The cause.
        reason: InfoError,
    },
    /// A file in another format.
    #[error(
        "it is not a text that glassbox compressed: it begins with {found:?} and not with \"GBC\""
    )]
    Magic {
        /// Its first bytes.
        found: String,
    },
    /// A file of another version of the format.
    #[error("it is of version {found} of the format; this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
    /// A file that ends within its header.
    #[error("it is cut off: it has {}, and the header alone has more", words::of(*found, "byte"))]
    Short {
        /// Its bytes.
        found: usize,
    },
    /// A damaged file.
    #[error(
        "it was altered or cut off: its checksum is {found}, and was {expected} when it was written"
    )]
    Altered {
        /// The checksum of the file as it is.
        found: String,
        /// The checksum in the file.
        expected: String,
    },
    /// A code that is too short for its text, so that the header is invalid.
    #[error("its code of {} cannot hold {}", words::of(*bytes, "byte"), words::of(*tokens, "token"))]
    Code {
        /// Bytes of the code.
        bytes: usize,
        /// Tokens according to the header.
        tokens: usize,
    },
    /// A file that another model compressed.
    #[error("it was compressed with the model {expected}, and this is the model {found}")]
    OtherModel {
        /// This model.
        found: String,
        /// The model that the file names.
        expected: String,
    },
    /// A decompressed text that differs from the original.
    #[error(
        "the decompressed text has the checksum {found}, but the original had {expected}: the file or \
         this program was changed"
    )]
    Text {
        /// The checksum of the decompressed text.
        found: String,
        /// The checksum of the original text.
        expected: String,
    },
}

/// A compressed text and its ideal size.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Compressed {
    /// The file.
    pub bytes: Vec<u8>,
    /// The bytes of the header.
    pub header: usize,
    /// The text's number of tokens.
    pub tokens: usize,
    /// Σ −log₂ p of the text's tokens, before probabilities were rounded to integers.
    pub cross_entropy: Bits,
}

/// A model that compresses and decompresses.
pub struct Compressor<'a> {
    config: &'a Architecture,
    parameters: &'a [f32],
    tokenizer: &'a Tokenizer,
    model: [u8; 8],
}

impl fmt::Debug for Compressor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("config", self.config)
            .field("tokenizer", self.tokenizer)
            .finish_non_exhaustive()
    }
}

impl<'a> Compressor<'a> {
    /// Prepares a model with parameters in the order of [`crate::RecordedStep`].
    ///
    /// # Errors
    /// An invalid configuration, or a tokenizer with more tokens than the model predicts.
    ///
    /// # Panics
    /// If the number of parameters is not the configuration's.
    pub fn new(
        config: &'a Architecture,
        parameters: &'a [f32],
        tokenizer: &'a Tokenizer,
    ) -> Result<Self, CompressionError> {
        config.validate().map_err(ModelError::from)?;
        assert_eq!(parameters.len(), config.parameters(), "parameters of another model");
        let (model, own) = (config.vocabulary, tokenizer.vocabulary());
        if model < own {
            return Err(CompressionError::Vocabulary { tokenizer: own, model });
        }
        let description = config.to_json();
        let identity = [files::sha256(parameters), description, tokenizer.to_json()].concat();
        Ok(Compressor { config, parameters, tokenizer, model: checksum(identity.as_bytes()) })
    }

    /// Returns the model's id in a file: eight bytes of a hash of its weights, sizes and vocabulary, in hexadecimal.
    pub fn model(&self) -> String {
        hex(&self.model)
    }

    /// Compresses a text. Calls `progress` now and then with the number of tokens done.
    ///
    /// # Errors
    /// A text with a character outside the vocabulary, or weights whose predictions are not finite.
    pub fn compress(
        &self,
        text: &[u8],
        progress: impl FnMut(u64),
    ) -> Result<Compressed, CompressionError> {
        let tokens = self.encode(text)?;
        let (mut code, mut nats) = (Code::new(), Nats(0.0));
        let mut encoder = ArithmeticEncoder::new(&mut code);
        self.each(tokens.len(), progress, |place, predicted| {
            let token = tokens[place] as usize;
            encoder.encode(&predicted.frequencies, token);
            nats += predicted.surprisal(token);
            tokens[place]
        })?;
        encoder.finish();

        let mut body = [self.model, checksum(text)].concat();
        write_length(&mut body, tokens.len() as u64);
        let header = MAGIC.len() + 1 + 4 + body.len();
        if !tokens.is_empty() {
            body.extend(code.into_bytes());
        }
        let whole = &checksum::<4>(&body)[..];
        let bytes = [&MAGIC[..], &[VERSION], whole, &body].concat();
        Ok(Compressed { bytes, header, tokens: tokens.len(), cross_entropy: nats.to_bits() })
    }

    /// Returns the number of tokens of a compressed text, read from its header. Decompression time is proportional to
    /// it.
    ///
    /// # Errors
    /// A file in another format, cut off or damaged.
    pub fn tokens(file: &[u8]) -> Result<usize, CompressionError> {
        Ok(Header::read(file)?.tokens)
    }

    /// Decompresses a text. Calls `progress` now and then with the number of tokens done.
    ///
    /// # Errors
    /// A file in another format, cut off, damaged, or of another model. All of this is checked before decompression.
    pub fn decompress(
        &self,
        file: &[u8],
        progress: impl FnMut(u64),
    ) -> Result<Vec<u8>, CompressionError> {
        let header = Header::read(file)?;
        if header.model != self.model {
            let (found, expected) = (hex(&self.model), hex(&header.model));
            return Err(CompressionError::OtherModel { found, expected });
        }
        // No token is free, because an outcome leaves 2⁻²⁴ for each of the others. This bounds the memory that a short
        // file can demand.
        let others = (self.config.vocabulary - 1) as f64;
        let least = -(-others / f64::from(TOTAL)).ln_1p() / std::f64::consts::LN_2;
        let (bits, bytes) = (8.0 * header.code.len() as f64 + 64.0, header.code.len());
        if 0.99 * least * header.tokens as f64 > bits {
            return Err(CompressionError::Code { bytes, tokens: header.tokens });
        }
        memory::afford(8 * header.tokens as u128).map_err(ModelError::from)?;
        let mut tokens = vec![0; header.tokens];
        let mut decoder = ArithmeticDecoder::new(header.code);
        self.each(header.tokens, progress, |place, predicted| {
            tokens[place] = decoder.decode(&predicted.frequencies) as u32;
            tokens[place]
        })?;
        let text = self.tokenizer.decode_bytes(&tokens);
        let found: [u8; 8] = checksum(&text);
        if found != header.text {
            let (found, expected) = (hex(&found), hex(&header.text));
            return Err(CompressionError::Text { found, expected });
        }
        Ok(text)
    }

    /// Calls `visit` for every place of a text of `length` tokens, in the order of the file, with the model's
    /// prediction; `visit` returns the token at that place.
    fn each(
        &self,
        length: usize,
        mut progress: impl FnMut(u64),
        mut visit: impl FnMut(usize, Predicted) -> u32,
    ) -> Result<(), CompressionError> {
        let segments = Segments::of(length);
        let mut reader = Reader::new(self.config, self.parameters, segments.count)?;
        let mut done = 0;
        for t in 0..segments.longest() {
            let mut tokens = vec![0; segments.count];
            for (segment, token) in tokens.iter_mut().enumerate() {
                // A segment that has ended reads token 0 from there on; its predictions are not used.
                let Some(place) = segments.place(segment, t) else { continue };
                let logits = if t == 0 {
                    vec![0.0; self.config.vocabulary]
                } else {
                    reader.logits(segment).collect()
                };
                let predicted = Predicted::of(logits)
                    .map_err(|reason| CompressionError::Prediction { place, reason })?;
                *token = visit(place, predicted);
                done += 1;
            }
            progress(done);
            if t + 1 < segments.longest() {
                reader.read(&tokens);
            }
        }
        Ok(())
    }

    fn encode(&self, text: &[u8]) -> Result<Vec<u32>, CompressionError> {
        let tokens = self.tokenizer.encode_bytes(text)?;
        let found = tokens.len() as u64;
        if found > LONGEST {
            return Err(CompressionError::Long { found });
        }
        // A tokenizer may change a text: to lower case, to composed characters, without unknown ones.
        let decoded = self.tokenizer.decode_bytes(&tokens);
        if decoded != text {
            let differs = decoded.iter().zip(text).position(|(found, byte)| found != byte);
            let place = differs.unwrap_or(decoded.len().min(text.len()));
            return Err(CompressionError::Changed { place });
        }
        Ok(tokens)
    }
}

/// The predicted distribution of one token.
struct Predicted {
    logits: Vec<f32>,
    frequencies: Frequencies,
}

impl Predicted {
    /// Computes e^(z − max) with the exponential of `linalg`, which has one result on every machine, and the rest in
    /// IEEE arithmetic.
    fn of(logits: Vec<f32>) -> Result<Self, InfoError> {
        let maximum = vector::maximum(&logits);
        let weights: Vec<f64> = logits.iter().map(|&z| f64::from(Real::exp(z - maximum))).collect();
        Ok(Predicted { frequencies: Frequencies::of_weights(&weights)?, logits })
    }

    /// Returns −ln p of a token, before probabilities are rounded to integers.
    fn surprisal(&self, token: usize) -> Nats {
        let logits: Vec<f64> = self.logits.iter().map(|&z| f64::from(z)).collect();
        infotheory::cross_entropy::of_logits(&logits, token).unwrap_or(Nats(f64::NAN))
    }
}

/// The segments of a text: of equal length, the first ones longer by one.
struct Segments {
    length: usize,
    count: usize,
}

impl Segments {
    fn of(length: usize) -> Self {
        Segments { length, count: (length / SEGMENT).clamp(1, SEGMENTS) }
    }

    fn longest(&self) -> usize {
        self.length.div_ceil(self.count)
    }

    /// Returns the place in the text of token t of a segment, if the segment is that long.
    fn place(&self, segment: usize, t: usize) -> Option<usize> {
        let (short, longer) = (self.length / self.count, self.length % self.count);
        let length = short + usize::from(segment < longer);
        (t < length).then_some(segment * short + segment.min(longer) + t)
    }
}

/// The header of an intact file, and its code.
struct Header<'a> {
    model: [u8; 8],
    text: [u8; 8],
    tokens: usize,
    code: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(file: &'a [u8]) -> Result<Self, CompressionError> {
        let short = || CompressionError::Short { found: file.len() };
        let Some((magic, rest)) = file.split_first_chunk::<3>() else { return Err(short()) };
        if magic != MAGIC {
            let found = magic.escape_ascii().to_string();
            return Err(CompressionError::Magic { found });
        }
        let (&version, rest) = rest.split_first().ok_or_else(short)?;
        if version != VERSION {
            return Err(CompressionError::Version { found: version });
        }
        let (whole, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let found: [u8; 4] = checksum(rest);
        if found != *whole {
            let (found, expected) = (hex(&found), hex(whole));
            return Err(CompressionError::Altered { found, expected });
        }
        let (&model, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (&text, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (tokens, code) = read_length(rest).ok_or_else(short)?;
        if tokens > LONGEST {
            return Err(CompressionError::Long { found: tokens });
        }
        Ok(Header { model, text, tokens: tokens as usize, code })
    }
}

fn write_length(bytes: &mut Vec<u8>, mut length: u64) {
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

fn read_length(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut length = 0;
    for (i, &byte) in bytes.iter().take(9).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((length, &bytes[i + 1..]));
        }
    }
    None
}

/// Returns the first N bytes of SHA-256.
fn checksum<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let whole = Sha256::digest(bytes);
    std::array::from_fn(|i| whole[i])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
