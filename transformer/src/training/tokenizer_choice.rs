//! The setting `tokenizer` of a run.

use crate::printable::printable;
use crate::text::tokenizer::LEAST_VOCABULARY;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// How a text becomes tokens, as files and flags name it.
///
/// ```
/// use transformer::TokenizerChoice;
/// assert_eq!("bpe:4096".parse(), Ok(TokenizerChoice::Bpe(4096)));
/// assert_eq!("./gpt2".parse(), Ok(TokenizerChoice::Files("./gpt2".to_owned())));
/// assert!("words".parse::<TokenizerChoice>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum TokenizerChoice {
    /// `bytes`: one token per byte.
    Bytes,
    /// `chars`: one token per character that the text uses.
    Chars,
    /// `bpe:N`: byte-level byte-pair encoding with N tokens, trained on the text.
    Bpe(usize),
    /// A path: a `tokenizer.json`, or a directory with a tokenizer's files.
    Files(String),
}

/// The name of no tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenizerChoiceError {
    /// A vocabulary that is no number, or too small.
    #[error(
        "bpe:{found}: give the number of tokens, {LEAST_VOCABULARY} or more (256 bytes and the end of a document): \
         bpe:4096"
    )]
    Vocabulary {
        /// The text after `bpe:`.
        found: String,
    },
    /// Another name.
    #[error(
        "{found} is no tokenizer: give bytes, chars, bpe:N (N tokens, trained on the text), or the path of a \
         tokenizer.json or of a directory with one, such as ./{found}"
    )]
    Unknown {
        /// The name.
        found: String,
    },
}

impl FromStr for TokenizerChoice {
    type Err = TokenizerChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let vocabulary = |n: &str| n.parse().ok().filter(|n| *n >= LEAST_VOCABULARY);
        match (text, text.strip_prefix("bpe:")) {
            ("bytes", _) => Ok(TokenizerChoice::Bytes),
            ("chars", _) => Ok(TokenizerChoice::Chars),
            (_, Some(n)) => vocabulary(n)
                .map(TokenizerChoice::Bpe)
                .ok_or_else(|| TokenizerChoiceError::Vocabulary { found: printable(n) }),
            // A name without a separator is more likely a misspelt choice than a file.
            _ if text.contains(['/', '\\']) || text.ends_with(".json") => {
                Ok(TokenizerChoice::Files(text.to_owned()))
            }
            _ => Err(TokenizerChoiceError::Unknown { found: printable(text) }),
        }
    }
}

impl fmt::Display for TokenizerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenizerChoice::Bytes => f.write_str("bytes"),
            TokenizerChoice::Chars => f.write_str("chars"),
            TokenizerChoice::Bpe(vocabulary) => write!(f, "bpe:{vocabulary}"),
            TokenizerChoice::Files(path) => f.write_str(path),
        }
    }
}

impl TryFrom<String> for TokenizerChoice {
    type Error = TokenizerChoiceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TokenizerChoice> for String {
    fn from(choice: TokenizerChoice) -> Self {
        choice.to_string()
    }
}
