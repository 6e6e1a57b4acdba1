//! Tokens in memory or in files: a text of any size takes the memory of the windows that are read.

use crate::model::recorded_step::ModelError;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// Tokens that are read by range. A clone, or a part, shares them.
///
/// ```
/// use transformer::Tokens;
/// let (train, held_back) = Tokens::from(vec![3, 1, 4, 1, 5]).split_at(3);
/// assert_eq!((train.len(), held_back.to_vec()), (3, vec![1, 5]));
/// assert_eq!(train.read(1..3), [1, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct Tokens {
    parts: Arc<Vec<Part>>,
    range: Range<usize>,
    failure: Arc<Mutex<Option<TokensError>>>,
}

/// Tokens that could not be read from their file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot read {name}: {reason}")]
pub struct TokensError {
    /// The file's name.
    pub name: String,
    /// The system's reason.
    pub reason: String,
}

impl From<TokensError> for ModelError {
    fn from(error: TokensError) -> Self {
        ModelError::Data { reason: error.to_string() }
    }
}

/// Consecutive tokens: in memory, or in a file.
#[derive(Debug)]
enum Part {
    Memory(Vec<u32>),
    File(Stored),
}

/// Tokens in a file: little-endian numbers, one after another.
#[derive(Debug)]
pub struct Stored {
    /// The file.
    pub file: Mutex<File>,
    /// The name for messages.
    pub name: String,
    /// The byte at which the first token begins.
    pub start: u64,
    /// The bytes of a token: 2 or 4.
    pub width: usize,
    /// The number of tokens.
    pub count: usize,
}

impl Stored {
    fn read(&self, first: usize, into: &mut [u32]) -> io::Result<()> {
        let mut bytes = vec![0; into.len() * self.width];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.start + (first * self.width) as u64))?;
        file.read_exact(&mut bytes)?;
        let number = |token: &[u8]| token.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b));
        into.iter_mut().zip(bytes.chunks_exact(self.width)).for_each(|(t, b)| *t = number(b));
        Ok(())
    }
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Memory(tokens) => tokens.len(),
            Part::File(stored) => stored.count,
        }
    }
}

impl From<Vec<u32>> for Tokens {
    fn from(tokens: Vec<u32>) -> Self {
        Self::of(vec![Part::Memory(tokens)])
    }
}

impl Tokens {
    /// The tokens that [`Tokens::chunks`] reads at once.
    const CHUNK: usize = 1 << 18;

    fn of(parts: Vec<Part>) -> Self {
        let range = 0..parts.iter().map(Part::len).sum();
        Tokens { parts: Arc::new(parts), range, failure: Arc::default() }
    }

    /// Returns the tokens of files, one after another.
    pub fn stored(files: Vec<Stored>) -> Self {
        Self::of(files.into_iter().map(Part::File).collect())
    }

    /// Returns the number of tokens.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Returns the first `at` tokens, and the others.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn split_at(&self, at: usize) -> (Tokens, Tokens) {
        assert!(at <= self.len(), "{at} of {} tokens", self.len());
        let middle = self.range.start + at;
        let part = |range| Tokens { range, ..self.clone() };
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    /// Returns the first tokens, at most `most`.
    #[must_use]
    pub fn beginning(&self, most: usize) -> Vec<u32> {
        self.read(0..most.min(self.len()))
    }

    /// Returns all tokens.
    pub fn to_vec(&self) -> Vec<u32> {
        self.read(0..self.len())
    }

    /// Reads the tokens of a range. Those of a file that cannot be read are 0, and [`Tokens::check_read`] says why.
    ///
    /// # Panics
    /// If the range is not within the tokens.
    pub fn read(&self, range: Range<usize>) -> Vec<u32> {
        let mut tokens = vec![0; range.len()];
        self.read_into(range.start, &mut tokens);
        tokens
    }

    /// Reads tokens from `start` on, like [`Tokens::read`].
    ///
    /// # Panics
    /// If there are fewer.
    pub fn read_into(&self, start: usize, mut into: &mut [u32]) {
        let (from, len) = (start, self.len());
        assert!(from + into.len() <= len, "{from} and {} of {len} tokens", into.len());
        let mut skip = self.range.start + start;
        for part in self.parts.iter() {
            let there = part.len();
            if skip >= there {
                skip -= there;
                continue;
            }
            let (own, rest) = into.split_at_mut(into.len().min(there - skip));
            match part {
                Part::Memory(tokens) => own.copy_from_slice(&tokens[skip..skip + own.len()]),
                Part::File(stored) => {
                    if let Err(e) = stored.read(skip, own) {
                        own.fill(0);
                        let (name, reason) = (stored.name.clone(), e.to_string());
                        self.failed(TokensError { name, reason });
                    }
                }
            }
            (into, skip) = (rest, 0);
            if into.is_empty() {
                return;
            }
        }
    }

    /// Returns all tokens in order, some at a time.
    pub fn chunks(&self) -> impl Iterator<Item = Vec<u32>> + '_ {
        let len = self.len();
        (0..len).step_by(Self::CHUNK).map(move |i| self.read(i..len.min(i + Self::CHUNK)))
    }

    fn failed(&self, error: TokensError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Checks that all tokens that were read so far, here, in a clone or in another part, could be read.
    ///
    /// # Errors
    /// The first failure.
    pub fn check_read(&self) -> Result<(), TokensError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Writes tokens after three other bytes.
    fn stored(tokens: &[u32], width: usize) -> Stored {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        for token in tokens {
            file.write_all(&token.to_le_bytes()[..width]).unwrap();
        }
        let (name, count) = ("it".to_owned(), tokens.len());
        Stored { file: Mutex::new(file), name, start: 3, width, count }
    }

    #[test]
    fn files_and_memory_hold_the_same_tokens() {
        let own = [5, 65_535, 0, 258, 7, 1, 2];
        let split = |at: usize| {
            let (a, b) = own.split_at(at);
            Tokens::stored(vec![stored(a, 2), stored(&[], 4), stored(b, 4)])
        };
        for tokens in [Tokens::from(own.to_vec()), split(0), split(3), split(7)] {
            assert_eq!(tokens.to_vec(), own);
            assert_eq!(tokens.chunks().flatten().collect::<Vec<_>>(), own);
            for (i, j) in (0..=7).flat_map(|i| (i..=7).map(move |j| (i, j))) {
                assert_eq!(tokens.read(i..j), own[i..j]);
                let (left, right) = tokens.split_at(i);
                assert_eq!((left.to_vec(), right.to_vec()), (own[..i].to_vec(), own[i..].to_vec()));
                assert_eq!(right.beginning(j - i), own[i..j]);
            }
            assert_eq!(tokens.check_read(), Ok(()));
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_reported() {
        let file = stored(&[1, 2, 3], 4);
        file.file.lock().unwrap().set_len(7).unwrap();
        let tokens = Tokens::stored(vec![file]);
        assert_eq!(tokens.read(0..1), [1]);
        let (train, other) = tokens.split_at(2);
        assert_eq!((train.read(1..2), other.check_read()), (vec![0], tokens.check_read()));
        let error = tokens.check_read().unwrap_err();
        assert!(error.to_string().starts_with("cannot read it: "));
    }
}
