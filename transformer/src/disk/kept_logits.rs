//! The largest logits of a teacher for the windows of a run, in a file, so that each window is predicted once.
//!
//! The file begins with eight bytes, `GBTEACH1`, the length of a header in four bytes, and the header, JSON: [`KeptFor`]. Records
//! follow, of one window each: its number (eight bytes); for every token of it, and for each of its largest logits, the number of
//! the word (four bytes; 2³² − 1 if the teacher has fewer words); the logits in the same order (`f32`); and the first eight bytes of
//! the SHA-256 of all that. Numbers are little-endian. A record that a stop cut off is written again.

use crate::disk::error::FileError;
use crate::disk::file;
use crate::memory;
use crate::model::recorded_step::ModelError;
use crate::text::teacher::{Teacher, Windows};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const MAGIC: &[u8; 8] = b"GBTEACH1";
/// The most bytes of a header.
const LONGEST: u32 = 1 << 12;
/// The word of a logit that is not there.
const NONE: u32 = u32::MAX;
/// The bytes of a word and its logit.
const LOGIT: u64 = 8;

/// What a file of logits is for: a run's own file says the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptFor {
    /// The words of the student.
    pub vocabulary: usize,
    /// The tokens of a window.
    pub length: usize,
    /// The logits of a token.
    pub top: usize,
    /// The SHA-256 of the teacher's weights.
    pub teacher: String,
    /// The SHA-256 of the data.
    pub data: String,
}

impl KeptFor {
    /// Returns the bytes of a window; `None` if no file can hold it.
    fn record(&self) -> Option<u64> {
        let [length, top] = [self.length, self.top].map(|n| n as u64);
        length.checked_mul(top)?.checked_mul(LOGIT)?.checked_add(16)
    }
}

/// The largest logits of a teacher, by the numbers of windows, in a file.
#[derive(Debug)]
pub struct KeptLogits {
    path: PathBuf,
    about: KeptFor,
    file: Mutex<File>,
    /// The byte at which the first record begins.
    start: u64,
    /// The bytes of a record.
    record: u64,
    /// The place of each window's record.
    places: HashMap<u64, u64>,
}

impl KeptLogits {
    /// Opens a file for reading and for more windows, or begins it.
    ///
    /// # Errors
    /// A file that cannot be read or written, is of another kind or for another run.
    pub fn open(path: &Path, about: KeptFor) -> Result<Self, FileError> {
        file::ordinary(path)?;
        let other = |reason: String| {
            let remedy =
                "delete it, and resume the run with its teacher: its logits are then found again";
            FileError::Other { path: path.to_owned(), reason: format!("{reason}; {remedy}") }
        };
        let unreadable = |source| FileError::Read { path: path.to_owned(), source };
        let record =
            about.record().ok_or_else(|| other("no file holds so many logits".to_owned()))?;
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(|source| FileError::Write { path: path.to_owned(), source })?;
        let found = file.metadata().map_err(unreadable)?.len();
        let header = serde_json::to_vec(&about).expect("numbers and hashes");
        let start = (MAGIC.len() + 4 + header.len()) as u64;
        if found == 0 {
            let length = (header.len() as u32).to_le_bytes();
            let written = file.write_all(&[&MAGIC[..], &length, &header].concat());
            written.map_err(|source| FileError::Write { path: path.to_owned(), source })?;
            let (places, file) = (HashMap::new(), Mutex::new(file));
            return Ok(KeptLogits { path: path.to_owned(), about, file, start, record, places });
        }
        let mut beginning = [0; 12];
        let whole = file.read_exact(&mut beginning);
        if whole.is_err() || beginning[..8] != MAGIC[..] {
            return Err(other("it is no file of a teacher's logits".to_owned()));
        }
        let length = u32::from_le_bytes(beginning[8..].try_into().expect("four bytes"));
        if length > LONGEST || u64::from(length) + 12 > found {
            return Err(other(format!(
                "its header should have {length} bytes, and is cut off or too long"
            )));
        }
        let mut own = vec![0; length as usize];
        file.read_exact(&mut own).map_err(unreadable)?;
        let said: KeptFor = serde_json::from_slice(&own)
            .map_err(|e| other(format!("its header is damaged ({e})")))?;
        if said != about {
            return Err(other(format!("it is for {said:?}, and the run needs {about:?}")));
        }
        let start = 12 + u64::from(length);
        let mut kept = KeptLogits {
            path: path.to_owned(),
            about,
            file: Mutex::new(file),
            start,
            record,
            places: HashMap::new(),
        };
        for place in 0..(found - start) / record {
            let mut number = [0; 8];
            kept.read_at(place, &mut number).map_err(unreadable)?;
            kept.places.insert(u64::from_le_bytes(number), place);
        }
        Ok(kept)
    }

    /// Returns the bytes that these windows take in a file.
    pub fn bytes(about: &KeptFor, windows: u64) -> u128 {
        u128::from(about.record().unwrap_or(u64::MAX)) * u128::from(windows)
    }

    /// Returns whether a window's logits are there.
    pub fn has(&self, number: u64) -> bool {
        self.places.contains_key(&number)
    }

    /// Adds a window: the logits of its tokens (vocabulary × length, token by token), −∞ for words that do not count.
    ///
    /// # Errors
    /// A file that cannot be written.
    ///
    /// # Panics
    /// If the number of logits is another, or more than `top` of a token are above −∞.
    pub fn push(&mut self, number: u64, logits: &[f32]) -> Result<(), FileError> {
        let KeptFor { vocabulary, length, top, .. } = self.about;
        assert_eq!(logits.len(), vocabulary * length, "logits of a window");
        let count = length * top;
        let (mut words, mut values) = (vec![NONE; count], vec![f32::NEG_INFINITY; count]);
        for (token, logits) in logits.chunks(vocabulary).enumerate() {
            // A token without a target has no largest logits.
            let counting = |&(_, z): &(usize, &f32)| *z != f32::NEG_INFINITY;
            let most = logits.iter().enumerate().filter(counting).take(top + 1);
            let any = logits.iter().all(|z| *z == 0.0);
            for (i, (word, &z)) in most.take(if any { 0 } else { top + 1 }).enumerate() {
                assert!(i < top, "at most {top} logits of a token");
                (words[token * top + i], values[token * top + i]) = (word as u32, z);
            }
        }
        let mut bytes = Vec::with_capacity(self.record as usize);
        bytes.extend(number.to_le_bytes());
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        values.iter().for_each(|z| bytes.extend(z.to_le_bytes()));
        let checksum = Sha256::digest(&bytes);
        bytes.extend(&checksum[..8]);
        let place = self.places.len() as u64;
        let at = self.start + place * self.record;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&bytes));
        written.map_err(|source| FileError::Write { path: self.path.clone(), source })?;
        drop(file);
        self.places.insert(number, place);
        Ok(())
    }

    /// Waits until all windows are on the disk.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn sync(&self) -> Result<(), FileError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_all().map_err(|source| FileError::Write { path: self.path.clone(), source })
    }

    /// Reads the beginning of a record.
    fn read_at(&self, place: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.start + place * self.record))?;
        file.read_exact(bytes)
    }

    /// Writes the logits of a window.
    fn read(&self, number: u64, place: u64, logits: &mut [f32]) -> Result<(), String> {
        let KeptFor { vocabulary, length, top, .. } = self.about;
        // The file has this record, so that it is no larger than the file.
        memory::afford(u128::from(self.record)).map_err(|e| e.to_string())?;
        let mut bytes = vec![0; self.record as usize];
        self.read_at(place, &mut bytes).map_err(|e| file::reason(&e))?;
        let (said, checksum) = bytes.split_at(bytes.len() - 8);
        if Sha256::digest(said)[..8] != *checksum || said[..8] != number.to_le_bytes() {
            return Err("its checksum is another".to_owned());
        }
        let (words, values) = said[8..].split_at(4 * length * top);
        let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).expect("four bytes");
        logits.fill(f32::NEG_INFINITY);
        let tokens = words.chunks(4 * top).zip(values.chunks(4 * top));
        for ((words, values), logits) in tokens.zip(logits.chunks_mut(vocabulary)) {
            for (word, value) in words.chunks(4).zip(values.chunks(4)) {
                let (word, value) =
                    (u32::from_le_bytes(four(word)), f32::from_le_bytes(four(value)));
                match logits.get_mut(word as usize) {
                    Some(logit) if value.is_finite() => *logit = value,
                    None if word == NONE => {}
                    _ => return Err(format!("it has the logit {value} of word {word}")),
                }
            }
            if words.starts_with(&NONE.to_le_bytes()) {
                logits.fill(0.0); // of no target
            }
        }
        Ok(())
    }
}

impl Teacher for KeptLogits {
    fn logits(&self, windows: Windows<'_>, logits: &mut [f32]) -> Result<(), ModelError> {
        let Windows { numbers: Some(numbers), length, .. } = windows else {
            return Err(ModelError::NoTeacher);
        };
        if length != self.about.length {
            return Err(ModelError::NoTeacher);
        }
        for (&number, logits) in
            numbers.iter().zip(logits.chunks_mut(self.about.vocabulary * length))
        {
            let place = *self.places.get(&number).ok_or(ModelError::NoTeacher)?;
            self.read(number, place, logits).map_err(|reason| ModelError::Data {
                reason: format!(
                    "{} is damaged at its window {}: {reason}; delete it, and resume the run with its teacher",
                    self.path.display(),
                    place + 1
                ),
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
