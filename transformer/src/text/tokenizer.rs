//! Text as tokens: bytes, characters, or the pieces of words of a trained tokenizer.
//!
//! Tokenizers are stored in `tokenizer.json` of Hugging Face's crate `tokenizers`, which also does the work for pieces of
//! words ([`Subwords`]). Bytes and characters are BPE models without merges there, so that both tokenise alike; one
//! difference remains: a character outside the vocabulary is an error here, and is dropped there.
//!
//! Every token stands for some bytes of text ([`Tokenizer::push_bytes`]). Everything else follows from that: decoded text is
//! the bytes of the tokens one after another, a loss per byte divides by their number, and a text that is still being
//! generated is shown up to its last whole character ([`TextStream`]).

mod plain;
mod subwords;
#[cfg(test)]
mod tests;

use crate::printable::printable;
use std::collections::BTreeSet;
pub use subwords::{END_OF_TEXT, LEAST_VOCABULARY, Subwords};
use thiserror::Error;

/// A tokenizer.
///
/// ```
/// use transformer::text::tokenizer::Tokenizer;
/// let characters = Tokenizer::characters_of("banana");
/// assert_eq!(characters.encode("nab")?, [2, 0, 1]);
/// assert_eq!(characters.decode(&[1, 0, 2]), "ban");
/// assert_eq!(
///     characters.encode("band").unwrap_err().to_string(),
///     "character 'd' (U+0064), number 4 of the text, is not in the vocabulary: abn"
/// );
/// # Ok::<(), transformer::text::tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tokenizer {
    /// Token t is byte t.
    Bytes,
    /// Token t is character t of this list, which is sorted and has no duplicates.
    Characters(Vec<char>),
    /// Tokens are pieces of words, of a trained vocabulary.
    Subwords(Subwords),
}

/// An invalid text or tokenizer file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A character outside the vocabulary.
    #[error(
        "character {character:?} (U+{:04X}), number {place} of the text, is not in the vocabulary: {vocabulary}",
        u32::from(*character)
    )]
    Character {
        /// The character.
        character: char,
        /// Its place; the first is 1.
        place: usize,
        /// The vocabulary, or its beginning.
        vocabulary: String,
    },
    /// A text that is not UTF-8, for a tokenizer that reads characters.
    #[error("byte {place} is 0x{byte:02x}, which is not UTF-8, and the tokenizer reads characters")]
    Utf8 {
        /// The place of the first invalid byte, from 0.
        place: usize,
        /// The byte.
        byte: u8,
    },
    /// A file that is not JSON.
    #[error("this is not JSON: {reason}")]
    Json {
        /// The parser's message.
        reason: String,
    },
    /// A tokenizer that is invalid or not supported.
    #[error("this tokenizer cannot be used: {reason}")]
    Unsupported {
        /// The setting or token, what was found, and what is expected.
        reason: String,
    },
    /// A text that the tokenizer cannot encode.
    #[error("the tokenizer cannot encode this text: {reason}")]
    Text {
        /// The message of the `tokenizers` crate.
        reason: String,
    },
}

impl TokenizerError {
    /// Returns the error of a file that is not JSON.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        TokenizerError::Json { reason: printable(&error.to_string()) }
    }

    fn unsupported(reason: impl AsRef<str>) -> Self {
        TokenizerError::Unsupported { reason: printable(reason.as_ref()) }
    }
}

impl Tokenizer {
    /// Returns the tokenizer with one token per byte.
    pub fn bytes() -> Self {
        Tokenizer::Bytes
    }

    /// Returns the tokenizer with one token per character that occurs in `text`, in Unicode order.
    pub fn characters_of(text: &str) -> Self {
        Self::of_characters(text.chars().collect())
    }

    /// Returns the tokenizer with these tokens, each a character.
    pub fn of_characters(used: BTreeSet<char>) -> Self {
        Tokenizer::Characters(used.into_iter().collect())
    }

    /// Trains byte-level byte-pair encoding (BPE) on a text, with GPT-2's way of splitting it into words, until there are
    /// `vocabulary` tokens or no pair is left: the [`END_OF_TEXT`], 256 bytes, and merged pairs, most frequent first
    /// (Sennrich et al. 2016, Radford et al. 2019). The same text gives the same tokenizer.
    ///
    /// ```
    /// use transformer::text::tokenizer::Tokenizer;
    /// let tokenizer = Tokenizer::trained_bpe("low lower lowest low low", 260)?;
    /// let tokens = tokenizer.encode("low low")?;
    /// assert_eq!(tokens.len(), 2); // three merges were learned: "lo", "low" and " low"
    /// assert_eq!(tokenizer.decode(&tokens), "low low");
    /// # Ok::<(), transformer::text::tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// A vocabulary of fewer than [`LEAST_VOCABULARY`] tokens.
    pub fn trained_bpe(text: &str, vocabulary: usize) -> Result<Self, TokenizerError> {
        Self::trained_bpe_on(std::iter::once(text), vocabulary)
    }

    /// Like [`Tokenizer::trained_bpe`], on several texts.
    ///
    /// # Errors
    /// See [`Tokenizer::trained_bpe`].
    pub fn trained_bpe_on<S: AsRef<str> + Send>(
        texts: impl Iterator<Item = S> + Send,
        vocabulary: usize,
    ) -> Result<Self, TokenizerError> {
        Subwords::trained_bpe(texts, vocabulary).map(Tokenizer::Subwords)
    }

    /// Returns the number of tokens: the highest token and one.
    pub fn vocabulary(&self) -> usize {
        match self {
            Tokenizer::Bytes => 256,
            Tokenizer::Characters(characters) => characters.len(),
            Tokenizer::Subwords(subwords) => subwords.vocabulary(),
        }
    }

    /// Returns the name of what a token is: byte, character, or token.
    pub fn unit(&self) -> &'static str {
        match self {
            Tokenizer::Bytes => "byte",
            Tokenizer::Characters(_) => "character",
            Tokenizer::Subwords(_) => "token",
        }
    }

    /// Encodes a text as tokens.
    ///
    /// # Errors
    /// The first character outside the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_bytes(text.as_bytes())
    }

    /// Encodes bytes as tokens: of any kind if tokens are bytes, else UTF-8.
    ///
    /// # Errors
    /// Bytes that are not UTF-8, and those of [`Tokenizer::encode`].
    pub fn encode_bytes(&self, text: &[u8]) -> Result<Vec<u32>, TokenizerError> {
        self.encode_watched(text, |_| ())
    }

    /// Like [`Tokenizer::encode_bytes`], but calls `progress` now and then with the number of bytes done. A long text is
    /// encoded in pieces on all threads; its tokens are the same.
    ///
    /// # Errors
    /// See [`Tokenizer::encode_bytes`].
    pub fn encode_watched(
        &self,
        text: &[u8],
        progress: impl FnMut(usize),
    ) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.encode_begun(text, true, progress)?.0)
    }

    /// Encodes the beginning of a text, of which this is all that was read so far, or all there is if `ends`. Returns the
    /// tokens, and how many bytes they are: the others, which may become other tokens with what follows, are to be given
    /// again before it. A text that is given in parts has the same tokens.
    ///
    /// # Errors
    /// See [`Tokenizer::encode_bytes`].
    pub fn encode_begun(
        &self,
        text: &[u8],
        ends: bool,
        progress: impl FnMut(usize),
    ) -> Result<(Vec<u32>, usize), TokenizerError> {
        let whole = |tokens: Result<Vec<u32>, _>| tokens.map(|tokens| (tokens, text.len()));
        match self {
            Tokenizer::Bytes => whole(Ok(text.iter().map(|&b| u32::from(b)).collect())),
            Tokenizer::Characters(characters) => {
                let token = |(i, c): (usize, char)| {
                    let found = characters.binary_search(&c).map(|t| t as u32);
                    found.map_err(|_| unknown(characters, i, c))
                };
                whole(utf8(text)?.chars().enumerate().map(token).collect())
            }
            Tokenizer::Subwords(subwords) => subwords.encode(utf8(text)?, ends, progress),
        }
    }

    /// Encodes the beginning of a text: as many tokens as it gives, but at most `most`. A later character outside the
    /// vocabulary is no error.
    ///
    /// # Errors
    /// A character outside the vocabulary.
    pub fn encode_beginning(&self, text: &str, most: usize) -> Result<Vec<u32>, TokenizerError> {
        let end = match self {
            Tokenizer::Characters(_) => {
                text.char_indices().nth(most).map_or(text.len(), |(i, _)| i)
            }
            _ => text.len(),
        };
        let mut tokens = self.encode(&text[..end])?;
        tokens.truncate(most);
        Ok(tokens)
    }

    /// Encodes a text for a model to continue: like [`Tokenizer::encode`], with the special tokens that the tokenizer
    /// puts around a text, such as Llama's beginning of a sequence.
    ///
    /// # Errors
    /// See [`Tokenizer::encode`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match self {
            Tokenizer::Subwords(subwords) => subwords.encode_prompt(text),
            _ => self.encode(text),
        }
    }

    /// Appends the bytes that a token stands for. A token outside the vocabulary has none, except that of characters
    /// (U+FFFD) and of bytes (0xff, which UTF-8 never contains).
    pub fn push_bytes(&self, token: u32, text: &mut Vec<u8>) {
        match self {
            Tokenizer::Bytes => text.push(u8::try_from(token).unwrap_or(0xff)),
            Tokenizer::Characters(characters) => {
                let character = characters.get(token as usize).copied().unwrap_or('\u{fffd}');
                text.extend(character.encode_utf8(&mut [0; 4]).bytes());
            }
            Tokenizer::Subwords(subwords) => text.extend(subwords.bytes(token)),
        }
    }

    /// Decodes tokens as bytes.
    pub fn decode_bytes(&self, tokens: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(tokens.len());
        tokens.iter().for_each(|&token| self.push_bytes(token, &mut bytes));
        if self.begins_with_space() && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
        bytes
    }

    /// Decodes tokens as text; invalid sequences become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        String::from_utf8_lossy(&self.decode_bytes(tokens)).into_owned()
    }

    /// Returns a token as text, if it is text: neither a part of a character nor a control character but line end and tab.
    /// Otherwise its bytes in hexadecimal.
    ///
    /// ```
    /// use transformer::text::tokenizer::Tokenizer;
    /// assert_eq!(Tokenizer::bytes().name(0x41), "A");
    /// assert_eq!(Tokenizer::bytes().name(0xe2), "0xe2");
    /// ```
    pub fn name(&self, token: u32) -> String {
        let mut bytes = Vec::new();
        self.push_bytes(token, &mut bytes);
        match String::from_utf8(bytes) {
            Ok(text) if !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => text,
            Ok(text) => hexadecimal(text.as_bytes()),
            Err(bytes) => hexadecimal(bytes.as_bytes()),
        }
    }

    /// Returns the token of a text that is one token, such as the special token `<|endoftext|>`.
    pub fn token(&self, text: &str) -> Option<u32> {
        match self {
            Tokenizer::Subwords(subwords) => subwords.token(text),
            _ => match self.encode(text).ok()?[..] {
                [token] => Some(token),
                _ => None,
            },
        }
    }

    /// Returns the token that ends a document: [`END_OF_TEXT`] if there is one, or that of [`Tokenizer::with_end`].
    pub fn end(&self) -> Option<u32> {
        match self {
            Tokenizer::Subwords(subwords) => subwords.end(),
            _ => None,
        }
    }

    /// Makes the token of this name the one that ends a document, if pieces of words have it.
    #[must_use]
    pub fn with_end(self, name: &str) -> Self {
        match self {
            Tokenizer::Subwords(subwords) => Tokenizer::Subwords(subwords.with_end(name)),
            other => other,
        }
    }

    /// Returns a decoder that takes tokens one at a time.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream { tokenizer: self, pending: Vec::new(), begun: false }
    }

    /// Returns Hugging Face's `tokenizer.json`; of pieces of words, the file as it was read.
    pub fn to_json(&self) -> String {
        match self {
            Tokenizer::Subwords(subwords) => subwords.json().to_owned(),
            _ => plain::to_json(self),
        }
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// A file that is not JSON, or a tokenizer that the `tokenizers` crate refuses or that chooses tokens at random.
    pub fn from_json(text: &str) -> Result<Self, TokenizerError> {
        let json = serde_json::from_str(text).map_err(|e| TokenizerError::json(&e))?;
        match plain::from_json(&json) {
            Some(plain) => Ok(plain),
            None => Subwords::from_json(text, &json).map(Tokenizer::Subwords),
        }
    }

    /// Reads GPT-2's two files: tokens with their numbers as JSON, and merges, one on a line.
    ///
    /// # Errors
    /// A file of another format.
    pub fn from_vocabulary_and_merges(
        vocabulary: &str,
        merges: &str,
    ) -> Result<Self, TokenizerError> {
        Subwords::from_vocabulary_and_merges(vocabulary, merges).map(Tokenizer::Subwords)
    }

    /// Whether the first word of a text gets a space that is not of the text.
    fn begins_with_space(&self) -> bool {
        matches!(self, Tokenizer::Subwords(subwords) if subwords.begins_with_space())
    }
}

/// Text that is shown while its tokens arrive, up to its last whole character.
///
/// ```
/// use transformer::text::tokenizer::Tokenizer;
/// let bytes = Tokenizer::bytes();
/// let mut stream = bytes.stream();
/// assert_eq!(stream.push(0x61), "a");
/// assert_eq!(stream.push(0xe2), ""); // "€" has three bytes
/// assert_eq!(stream.push(0x82), "");
/// assert_eq!(stream.push(0xac), "€");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// Bytes that begin an incomplete character.
    pending: Vec<u8>,
    /// Whether a byte was seen.
    begun: bool,
}

impl TextStream<'_> {
    /// Adds a token; returns the text that is complete with it.
    pub fn push(&mut self, token: u32) -> String {
        self.tokenizer.push_bytes(token, &mut self.pending);
        if !self.begun && !self.pending.is_empty() {
            self.begun = true;
            if self.tokenizer.begins_with_space() && self.pending[0] == b' ' {
                self.pending.remove(0);
            }
        }
        let begins = |n: &usize| {
            let error = std::str::from_utf8(&self.pending[self.pending.len() - n..]).err();
            error.is_some_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
        };
        let incomplete = (1..=self.pending.len().min(3)).find(begins).unwrap_or(0);
        let rest = self.pending.split_off(self.pending.len() - incomplete);
        String::from_utf8_lossy(&std::mem::replace(&mut self.pending, rest)).into_owned()
    }

    /// Returns what is left: nothing, or U+FFFD for an incomplete character.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Returns bytes as UTF-8.
fn utf8(text: &[u8]) -> Result<&str, TokenizerError> {
    std::str::from_utf8(text).map_err(|e| {
        let place = e.valid_up_to();
        TokenizerError::Utf8 { place, byte: text[place] }
    })
}

/// Returns the error of character number `i`, which `characters` lack.
fn unknown(characters: &[char], i: usize, character: char) -> TokenizerError {
    let shown: String = characters.iter().filter(|c| !c.is_control()).take(80).collect();
    let more = if characters.len() > 80 { " …" } else { "" };
    TokenizerError::Character { character, place: i + 1, vocabulary: shown + more }
}

fn hexadecimal(bytes: &[u8]) -> String {
    "0x".to_owned() + &bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
}
