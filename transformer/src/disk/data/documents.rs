//! Documents that lie in files: their places, and their texts by part.

use super::DataError;
use super::lines::{self, Line};
use crate::text::preference::Example;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Documents, one after another. Their texts are read when they are needed.
#[derive(Debug, Default)]
pub struct Documents {
    pub(super) files: Vec<Stored>,
    pub(super) places: Vec<Place>,
    /// What a JSON line holds.
    pub(super) form: Line,
    /// The file that was read last, and its number.
    pub(super) open: Mutex<Option<(u32, File)>>,
}

/// The bytes of a file, or of a stream that was read.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    /// The bytes, if they cannot be read again.
    pub(super) memory: Option<Vec<u8>>,
    /// When it was changed last.
    pub(super) modified: Option<SystemTime>,
    /// Whether a document is a JSON line.
    pub(super) lines: bool,
    /// The first byte that is not UTF-8: its place and value.
    pub(super) invalid: Option<(u64, u8)>,
}

/// Where a document lies: a file, the range in it, and the bytes of its text.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: u32,
    pub(super) start: u64,
    pub(super) stored: u64,
    pub(super) text: u64,
}

/// A part of a document: its number, and a range of its text's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The document's number.
    pub document: usize,
    /// The range.
    pub range: Range<u64>,
}

impl Extent {
    /// Returns the number of bytes.
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Documents {
    /// The bytes of a document that are read at once.
    pub const PIECE: u64 = 1 << 20;

    /// Returns the number of documents.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the whole of a document.
    pub fn extent(&self, document: usize) -> Extent {
        Extent { document, range: 0..self.places[document].text }
    }

    /// Returns all documents, whole.
    pub fn extents(&self) -> Vec<Extent> {
        (0..self.len()).map(|i| self.extent(i)).collect()
    }

    /// Returns the bytes of all texts.
    pub fn bytes(&self) -> u64 {
        self.places.iter().map(|place| place.text).sum()
    }

    /// Returns the first byte that is not UTF-8: its file, its place there, and its value.
    pub fn not_utf8(&self) -> Option<(&PathBuf, u64, u8)> {
        let invalid = |file: &&Stored| file.invalid.is_some();
        let file = self.files.iter().find(invalid)?;
        file.invalid.map(|(at, byte)| (&file.path, at, byte))
    }

    /// Returns the path of a document's file.
    pub fn path(&self, extent: &Extent) -> &PathBuf {
        &self.files[self.places[extent.document].file as usize].path
    }

    /// Reads a part of a document.
    ///
    /// # Errors
    /// A file that cannot be read any more, or changed since.
    pub fn read(&self, extent: &Extent) -> Result<Vec<u8>, DataError> {
        let place = &self.places[extent.document];
        let stored = &self.files[place.file as usize];
        if !stored.lines {
            let start = place.start + extent.range.start;
            return self.bytes_of(place.file, start, extent.bytes());
        }
        let line = self.bytes_of(place.file, place.start, place.stored)?;
        let changed = |_| self.changed(place.file);
        let text = lines::document(&line, &self.form).map_err(changed)?.into_bytes();
        let range = extent.range.start as usize..extent.range.end as usize;
        text.get(range).map(<[u8]>::to_vec).ok_or_else(|| self.changed(place.file))
    }

    /// Reads a conversation or a preference, if these are what the documents are ([`super::Data::read_conversations`],
    /// [`super::Data::read_preferences`]).
    ///
    /// # Errors
    /// See [`Documents::read`].
    pub fn example(&self, document: usize) -> Result<Example, DataError> {
        let line = self.read(&self.extent(document))?;
        lines::example(&line, &self.form).map_err(|reason| self.error_of(document, &reason))
    }

    /// Returns the error of a document with its reason, and with the number of its line if it is one.
    pub fn error_of(&self, document: usize, reason: &str) -> DataError {
        let place = &self.places[document];
        let (path, reason) = (self.path(&self.extent(document)).clone(), reason.to_owned());
        let (mut line, mut at) = (1, 0);
        while at < place.start {
            let length = Self::PIECE.min(place.start - at);
            match self.bytes_of(place.file, at, length) {
                Ok(bytes) => line += bytes.iter().filter(|b| **b == b'\n').count(),
                Err(e) => return e,
            }
            at += length;
        }
        DataError::Line { path, line, reason }
    }

    fn bytes_of(&self, number: u32, start: u64, length: u64) -> Result<Vec<u8>, DataError> {
        let stored = &self.files[number as usize];
        if let Some(memory) = &stored.memory {
            return Ok(memory[start as usize..(start + length) as usize].to_vec());
        }
        let fail = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.changed(number),
            _ => DataError::Read { path: stored.path.clone(), source },
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|(own, _)| *own != number) {
            let file = File::open(&stored.path).map_err(fail)?;
            if file.metadata().and_then(|m| m.modified()).ok() != stored.modified {
                return Err(self.changed(number));
            }
            *open = Some((number, file));
        }
        let Some((_, file)) = open.as_mut() else { unreachable!("the file was opened") };
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(fail)?;
        Ok(bytes)
    }

    fn changed(&self, file: u32) -> DataError {
        DataError::Changed { path: self.files[file as usize].path.clone() }
    }

    /// Returns a part of a document in pieces of at most `most` bytes, which end where characters do.
    pub fn pieces(
        &self,
        extent: &Extent,
        most: u64,
    ) -> impl Iterator<Item = Result<Vec<u8>, DataError>> + '_ {
        let (document, mut rest) = (extent.document, extent.range.clone());
        // A JSON line is read whole in any case.
        let lines = self.files[self.places[document].file as usize].lines;
        let most = if lines { u64::MAX } else { most };
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = rest.end.min(rest.start.saturating_add(most));
            let mut piece = match self.read(&Extent { document, range: rest.start..end }) {
                Ok(piece) => piece,
                Err(e) => {
                    rest = rest.end..rest.end;
                    return Some(Err(e));
                }
            };
            if end < rest.end {
                piece.truncate(whole(&piece));
            }
            rest.start += piece.len() as u64;
            Some(Ok(piece))
        })
    }

    /// Returns the byte at which character number `character` of a document begins; its end if there are fewer.
    ///
    /// # Errors
    /// See [`Documents::read`].
    pub fn place_of(&self, document: usize, character: u64) -> Result<u64, DataError> {
        let (mut left, mut at) = (character, 0);
        for piece in self.pieces(&self.extent(document), Self::PIECE) {
            let piece = piece?;
            let here = characters(&piece);
            if here > left {
                let starts = piece.iter().enumerate().filter(|(_, b)| begins(**b));
                let place = starts.map(|(i, _)| i).nth(left as usize).unwrap_or(piece.len());
                return Ok(at + place as u64);
            }
            (left, at) = (left - here, at + piece.len() as u64);
        }
        Ok(at)
    }

    /// Returns the number of characters of a document.
    ///
    /// # Errors
    /// See [`Documents::read`].
    pub fn characters(&self, document: usize) -> Result<u64, DataError> {
        self.pieces(&self.extent(document), Self::PIECE).map(|piece| Ok(characters(&piece?))).sum()
    }
}

/// Returns whether a byte of UTF-8 is the first of its character.
fn begins(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// Returns the number of characters of UTF-8: of bytes that do not continue a character.
pub fn characters(text: &[u8]) -> u64 {
    text.iter().filter(|b| begins(**b)).count() as u64
}

/// Returns the length of a piece of UTF-8 without a character that is cut off; all of it if it is of other bytes.
fn whole(piece: &[u8]) -> usize {
    let last = (1..=piece.len().min(4)).find(|n| begins(piece[piece.len() - n]));
    match last {
        Some(n) if n < piece.len() => {
            let first = piece[piece.len() - n];
            let length = (first.leading_ones() as usize).max(1);
            if length > n { piece.len() - n } else { piece.len() }
        }
        _ => piece.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_characters() {
        let text = "aé€😀".repeat(50);
        let stored = Stored {
            path: "it".into(),
            memory: Some(text.clone().into_bytes()),
            modified: None,
            lines: false,
            invalid: None,
        };
        let length = text.len() as u64;
        let place = Place { file: 0, start: 0, stored: length, text: length };
        let documents =
            Documents { files: vec![stored], places: vec![place], ..Documents::default() };
        for most in 4..40 {
            let pieces: Vec<Vec<u8>> =
                documents.pieces(&documents.extent(0), most).map(Result::unwrap).collect();
            assert_eq!(pieces.concat(), text.as_bytes());
            assert!(
                pieces.iter().all(|p| std::str::from_utf8(p).is_ok() && p.len() as u64 <= most)
            );
        }
        assert_eq!(documents.characters(0).unwrap(), 200);
        for (i, (at, _)) in text.char_indices().enumerate() {
            assert_eq!(documents.place_of(0, i as u64).unwrap(), at as u64);
        }
        assert_eq!(documents.place_of(0, 200).unwrap(), length);
    }

    #[test]
    fn other_bytes_are_cut_anywhere() {
        assert_eq!([&[0x80; 9][..], &[0xff; 3], b"ab", &[0xc3]].map(whole), [9, 2, 2, 1]);
    }

    /// An error names the line of its conversation, past empty lines and marks, and in the right file.
    #[test]
    fn errors_of_conversations_name_their_lines() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let line = |n: usize| format!("{{\"prompt\": \"{n}\", \"completion\": \"x\"}}\n");
        let [one, two] = [line(1), line(2)];
        let a = write("a.jsonl", &format!("\u{feff}{one}\n{two}"));
        let b = write("b.jsonl", &format!("\n\r\n{two}{one}"));
        let data = super::super::Data::read_conversations(&[a, b], |_| ()).unwrap();
        let super::super::Content::Documents(documents) = data.content else { panic!("texts") };
        let said = (0..4).map(|i| documents.error_of(i, "why").to_string());
        let said: Vec<String> = said.map(|s| s.rsplit('/').next().unwrap().to_owned()).collect();
        let expected = ["a.jsonl, line 1", "a.jsonl, line 3", "b.jsonl, line 3", "b.jsonl, line 4"];
        assert_eq!(said, expected.map(|s| format!("{s}: why")));
        let text = |i| documents.example(i).unwrap().text();
        assert_eq!([0, 1, 2, 3].map(text), ["1x\n", "2x\n", "2x\n", "1x\n"]);
    }
}
