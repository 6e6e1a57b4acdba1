//! The first reading of data: their hash, and where documents and tokens lie.

use super::DataError;
use super::documents::Place;
use super::lines::{self, Line};
use crate::text::tokens;
use crate::words;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Mutex;

/// The mark before a text that says that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The bytes that are read at once.
const PIECE: usize = 1 << 20;
/// The longest line, in bytes: it is in memory whole.
const LONGEST_LINE: u64 = 1 << 28;
/// The length of llm.c's header.
pub(crate) const HEADER: usize = 1024;
/// First number and version of llm.c's headers, and the bytes of a token after it: GPT-2's and Llama 3's.
pub(crate) const HEADERS: [(u32, u32, usize); 2] = [(20_240_520, 1, 2), (20_240_801, 7, 4)];

/// A stream whose bytes are hashed and counted when they are read.
pub(super) struct Hashed<'a, R> {
    pub(super) stream: R,
    pub(super) hash: &'a mut Sha256,
    pub(super) progress: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(into)?;
        self.hash.update(&into[..n]);
        (self.progress)(n as u64);
        Ok(n)
    }
}

/// What a file is, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Lines,
    Tokens,
}

impl Kind {
    pub(super) fn of(path: &Path) -> Self {
        let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match kind.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Kind::Lines,
            "bin" => Kind::Tokens,
            _ => Kind::Text,
        }
    }
}

/// A text that was read.
pub(super) struct Found {
    /// Where it lies, without a byte order mark.
    pub(super) place: Place,
    /// Whether there was a byte order mark.
    pub(super) mark: bool,
    /// The first byte that is not UTF-8: its place and value.
    pub(super) invalid: Option<(u64, u8)>,
}

/// Reads a text, which is file number `file`.
pub(super) fn text(stream: impl Read, file: u32) -> io::Result<Found> {
    let mut reader = BufReader::with_capacity(PIECE, stream);
    let (mut rest, mut at, mut start, mut invalid) = (Vec::new(), 0, 0, None);
    loop {
        let piece = reader.fill_buf()?;
        let read = piece.len();
        rest.extend(piece);
        reader.consume(read);
        if at == 0 && start == 0 {
            if rest.len() < BYTE_ORDER_MARK.len() && read > 0 {
                continue;
            }
            if rest.starts_with(BYTE_ORDER_MARK) {
                start = BYTE_ORDER_MARK.len() as u64;
            }
        }
        let valid = match std::str::from_utf8(&rest) {
            _ if invalid.is_some() => rest.len(),
            Ok(_) => rest.len(),
            // A character may be cut off here, but not at the end.
            Err(e) if e.error_len().is_none() && read > 0 => e.valid_up_to(),
            Err(e) => {
                invalid = Some((at + e.valid_up_to() as u64, rest[e.valid_up_to()]));
                rest.len()
            }
        };
        at += valid as u64;
        rest.drain(..valid);
        if read == 0 {
            let length = at - start;
            let place = Place { file, start, stored: length, text: length };
            return Ok(Found { place, mark: start > 0, invalid });
        }
    }
}

/// Reads JSON lines: appends where their documents lie; returns whether there was a byte order mark.
pub(super) fn lines(
    stream: impl Read,
    (path, file): (&Path, u32),
    form: &Line,
    places: &mut Vec<Place>,
) -> Result<bool, DataError> {
    let mut reader = BufReader::with_capacity(PIECE, stream);
    let (mut line, mut at, mut number, mut mark) = (Vec::new(), 0, 0, 0);
    loop {
        line.clear();
        number += 1;
        let fail = |reason| DataError::Line { path: path.to_owned(), line: number, reason };
        let read = (&mut reader).take(LONGEST_LINE + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        if read == 0 {
            return Ok(mark > 0);
        }
        if read as u64 > LONGEST_LINE {
            let most = LONGEST_LINE >> 20;
            return Err(fail(format!("it is longer than {most} MiB; is this a text?")));
        }
        let start = if at == 0 && line.starts_with(BYTE_ORDER_MARK) {
            mark = BYTE_ORDER_MARK.len();
            mark
        } else {
            0
        };
        let own = &line[start..];
        if !own.trim_ascii().is_empty() {
            let text = lines::document(own, form).map_err(fail)?.len() as u64;
            if text > 0 {
                let (start, stored) = (at + start as u64, own.len() as u64);
                places.push(Place { file, start, stored, text });
            }
        }
        at += read as u64;
    }
}

/// Where the tokens of a file lie: the first byte, the bytes of each, and their number.
pub(super) struct Body {
    pub(super) start: usize,
    pub(super) width: usize,
    pub(super) count: usize,
}

impl Body {
    /// Finds the tokens of a file of `length` bytes by its first bytes.
    pub(super) fn of(beginning: &[u8], length: u64) -> Result<Self, String> {
        let word = |i: usize| {
            let bytes = beginning.get(4 * i..4 * i + 4);
            bytes.and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
        };
        let is_header = |(magic, ..): &&(u32, u32, usize)| word(0) == Some(*magic);
        let header = HEADERS.iter().find(is_header).filter(|_| length >= HEADER as u64);
        let (start, width) = header.map_or((0, 2), |(.., width)| (HEADER, *width));
        let body = length - start as u64;
        if let Some((_, version, _)) = header {
            let (found, count) = (word(1).unwrap_or(0), u64::from(word(2).unwrap_or(0)));
            if found != *version {
                return Err(format!("its header has version {found}; {version} is expected"));
            }
            if count * width as u64 != body {
                let bytes = words::count(body, "byte");
                return Err(format!(
                    "its header counts {count} tokens of {width} bytes, but {bytes} follow; it may be cut off"
                ));
            }
        }
        if !body.is_multiple_of(width as u64) {
            let found = words::count(body, "byte");
            return Err(format!(
                "it has {found}, which are no tokens of two bytes; it may be cut off"
            ));
        }
        let count =
            usize::try_from(body / width as u64).map_err(|_| "it is too long".to_owned())?;
        Ok(Body { start, width, count })
    }

    /// Returns the tokens of a file.
    pub(super) fn tokens(&self, file: File, name: String) -> tokens::Stored {
        let Body { start, width, count } = *self;
        tokens::Stored { file: Mutex::new(file), name, start: start as u64, width, count }
    }
}
