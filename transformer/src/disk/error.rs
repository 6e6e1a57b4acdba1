//! Failures to read or write a file.

use crate::disk::reason;
use crate::memory::MemoryError;
use crate::model::architecture::ConfigError;
use crate::printable::printable;
use crate::text::tokenizer::TokenizerError;
use crate::words;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A failure to read or write a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}: {}", path.display(), reason(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file cannot be written; the earlier file is unchanged.
    #[error("cannot write {}: {}", path.display(), reason(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The path is not an ordinary file.
    #[error("{} is {kind}, but a file is expected", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// The file does not fit the available memory.
    #[error("cannot read {}: {source}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// The memory needed and available.
        source: MemoryError,
    },
    /// The file is longer than any of its kind.
    #[error("{} has {}; at most {most} are expected", path.display(), words::count(*found, "byte"))]
    Large {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The bound in bytes.
        most: u64,
    },
    /// The configuration describes a model that this crate does not support.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ConfigError,
    },
    /// The tokenizer is not one that this crate supports.
    #[error("{}: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: TokenizerError,
    },
    /// The file is not safetensors, or is cut off.
    #[error("{} is not a whole safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        reason: String,
    },
    /// The model is in another format.
    #[error("{}: {reason}", path.display())]
    Other {
        /// The file or directory.
        path: PathBuf,
        /// What was found, what is expected, and how to convert it.
        reason: String,
    },
    /// The tensors differ from those that were saved.
    #[error("{} is damaged: its tensors have SHA-256 {found}, but were saved with {saved}; use another \
             copy or an earlier checkpoint", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The checksum of the tensors in the file.
        found: String,
        /// The checksum in the header.
        saved: String,
    },
    /// A tensor is missing, unexpected or invalid.
    #[error("{}: {reason}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The tensor, what was found, and what was expected.
        reason: String,
    },
}

impl FileError {
    /// Returns an error about the tensors of a file; `reason` may quote the file.
    pub(super) fn tensors(path: &Path, reason: impl AsRef<str>) -> Self {
        FileError::Tensors { path: path.to_owned(), reason: printable(reason.as_ref()) }
    }

    /// Returns an error about the format of a file; `reason` may quote the file.
    pub(super) fn format(path: &Path, reason: impl AsRef<str>) -> Self {
        FileError::Format { path: path.to_owned(), reason: printable(reason.as_ref()) }
    }
}
