//! The tokens of data: encoded piece by piece, in memory or in a file beside a run.
//!
//! A token file has the header of llm.c's files of tokens, which also read as data, and in it what they leave out:
//!
//! | bytes | what |
//! |---|---|
//! | 0..12 | llm.c's first number, version, and number of tokens |
//! | 16..24 | `glassbox` |
//! | 24..56 | the key: SHA-256 of everything that determines the tokens ([`Split::key`]) |
//! | 56..88 | SHA-256 of the tokens |
//! | 88..112 | the number of tokens to train on, of those held back, and of the latter's characters |
//! | 1024.. | the tokens, of two bytes if all fit, else of four |
//!
//! It is written under another name and renamed when it is whole, and it is read only if its key, its length and its
//! SHA-256 are right: a process that is killed leaves nothing that could be taken for it.

use crate::disk::data::scan::{HEADER, HEADERS};
use crate::disk::data::{DataError, Documents, Extent, characters, shown};
use crate::text::tokenizer::{Tokenizer, TokenizerError};
use crate::text::tokens::{Stored, Tokens};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The documents, and the bytes of them, that are encoded side by side.
const GROUP: (usize, u64) = (1024, 4 * Documents::PIECE);
/// What distinguishes a file from one of llm.c.
const MARK: &[u8; 8] = b"glassbox";

/// The documents of a run: parts to train on, and parts that are held back.
#[derive(Debug)]
pub struct Split<'a> {
    /// Where they lie.
    pub documents: &'a Documents,
    /// What is trained on.
    pub train: Vec<Extent>,
    /// What is held back.
    pub held_back: Vec<Extent>,
}

/// The tokens of a [`Split`].
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The tokens to train on.
    pub train: Tokens,
    /// The tokens that are held back.
    pub held_back: Tokens,
    /// The characters of what is held back.
    pub characters: u64,
}

/// Calls while tokens are made.
pub struct Watch<'a> {
    /// With the number of bytes that were encoded since the last call.
    pub progress: &'a mut dyn FnMut(u64),
    /// If another process is writing the same file: this one waits for it.
    pub waiting: &'a mut dyn FnMut(&Path),
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// Encodes parts of documents and passes the tokens on, some at a time. Several documents are each ended, by the
/// tokenizer's token for it, else by a line end. Returns the number of characters.
///
/// # Errors
/// Files that cannot be read any more; texts that the tokenizer cannot encode; errors of `pass_on`.
pub fn encode(
    documents: &Documents,
    extents: &[Extent],
    tokenizer: &Tokenizer,
    mut pass_on: impl FnMut(&[u32]) -> Result<(), DataError>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, DataError> {
    let end = tokenizer.end().or_else(|| tokenizer.token("\n")).filter(|_| extents.len() > 1);
    let end = end.as_slice();
    let (mut next, mut all) = (0, 0);
    while let Some(first) = extents.get(next) {
        if first.bytes() > GROUP.1 {
            all += long(documents, first, tokenizer, &mut pass_on, progress)?;
            pass_on(end)?;
            next += 1;
            continue;
        }
        let mut bytes = 0;
        let fits = |extent: &&Extent| {
            bytes += extent.bytes();
            bytes <= GROUP.1
        };
        let group: Vec<&Extent> = extents[next..].iter().take(GROUP.0).take_while(fits).collect();
        next += group.len();
        let read = |extent: &&Extent| documents.read(extent);
        let texts: Vec<Vec<u8>> = group.iter().map(read).collect::<Result<_, _>>()?;
        let encoded: Vec<Vec<u32>> = (&group, &texts)
            .into_par_iter()
            .map(|(extent, text)| {
                let tokens = tokenizer.encode_bytes(text);
                tokens.map_err(|source| failed(documents, extent, source, (0, 0)))
            })
            .collect::<Result<_, _>>()?;
        for (text, tokens) in texts.iter().zip(encoded) {
            all += characters(text);
            pass_on(&tokens)?;
            pass_on(end)?;
        }
        progress(texts.iter().map(|text| text.len() as u64).sum());
    }
    Ok(all)
}

/// Encodes a long document in parts. Memory holds a few pieces of it, or all of it if the tokenizer can cut it nowhere.
fn long(
    documents: &Documents,
    extent: &Extent,
    tokenizer: &Tokenizer,
    pass_on: &mut impl FnMut(&[u32]) -> Result<(), DataError>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, DataError> {
    let (mut text, mut read, mut done, mut all, mut wanted) = (Vec::new(), 0, 0, 0, GROUP.1);
    for piece in documents.pieces(extent, Documents::PIECE) {
        let piece = piece?;
        read += piece.len() as u64;
        crate::memory::afford(2 * (text.len() + piece.len()) as u128).map_err(|e| {
            DataError::Read { path: documents.path(extent).clone(), source: io::Error::other(e) }
        })?;
        text.extend(piece);
        let ends = read == extent.bytes();
        if (text.len() as u64) < wanted && !ends {
            continue;
        }
        let encoded = tokenizer.encode_begun(&text, ends, |_| ());
        let (tokens, used) = encoded.map_err(|e| failed(documents, extent, e, (all, done)))?;
        pass_on(&tokens)?;
        all += characters(&text[..used]);
        done += used as u64;
        text.drain(..used);
        progress(used as u64);
        // A text that was not cut is tried again when there is twice as much.
        wanted = GROUP.1.max(2 * text.len() as u64);
    }
    Ok(all)
}

/// Returns the error of a text. Before what was encoded lie some characters and bytes of the same document.
fn failed(
    documents: &Documents,
    extent: &Extent,
    source: TokenizerError,
    (characters, bytes): (u64, u64),
) -> DataError {
    let path = documents.path(extent).clone();
    let source = match source {
        TokenizerError::Character { character, place, vocabulary } => {
            let place = place + characters as usize;
            TokenizerError::Character { character, place, vocabulary }
        }
        TokenizerError::Utf8 { place, byte } => {
            TokenizerError::Utf8 { place: place + bytes as usize, byte }
        }
        other => other,
    };
    DataError::Encode { path, source }
}

impl Split<'_> {
    /// Encodes both parts in memory.
    ///
    /// # Errors
    /// See [`encode`].
    pub fn in_memory(
        &self,
        tokenizer: &Tokenizer,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Encoded, DataError> {
        let mut part = |extents: &[Extent]| -> Result<(Tokens, u64), DataError> {
            let mut tokens = Vec::new();
            let keep = |new: &[u32]| {
                tokens.extend(new);
                Ok(())
            };
            let characters = encode(self.documents, extents, tokenizer, keep, progress)?;
            Ok((tokens.into(), characters))
        };
        let (train, _) = part(&self.train)?;
        let (held_back, characters) = part(&self.held_back)?;
        Ok(Encoded { train, held_back, characters })
    }

    /// Returns the name of the file with these tokens, in a directory.
    pub fn file(&self, directory: &Path, key: &[u8; 32]) -> PathBuf {
        let name = crate::disk::files::hexadecimal(&key[..8]);
        directory.join(format!("tokens-{name}.bin"))
    }

    /// Returns the SHA-256 of everything that determines the tokens: the data, whose own SHA-256 is given, where documents
    /// begin and which parts of them are held back, and the tokenizer.
    pub fn key(&self, data: &str, tokenizer: &Tokenizer) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(format!("tokens 1\n{data}\n{:?}\n", tokenizer.end()));
        hash.update(tokenizer.to_json());
        for part in [&self.train, &self.held_back] {
            hash.update((part.len() as u64).to_le_bytes());
            for Extent { document, range } in part {
                let numbers = [*document as u64, range.start, range.end];
                hash.update(numbers.map(u64::to_le_bytes).concat());
            }
        }
        hash.finalize().into()
    }

    /// Opens the file with these tokens in a directory, or writes it.
    ///
    /// # Errors
    /// See [`encode`]; a file that cannot be written.
    pub fn in_file(
        &self,
        directory: &Path,
        key: &[u8; 32],
        tokenizer: &Tokenizer,
        watch: Watch<'_>,
    ) -> Result<Encoded, DataError> {
        let path = self.file(directory, key);
        if let Some(found) = open(&path, key) {
            return Ok(found);
        }
        let part = path.with_extension("part");
        let write = |source| DataError::Write { path: path.clone(), source };
        std::fs::create_dir_all(directory).map_err(write)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part);
        let file = file.map_err(write)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                (watch.waiting)(&path);
                file.lock().map_err(write)?;
            }
            // On a file system without locks, two processes must not begin at once.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(write(source)),
        }
        // The other process may have written it.
        if let Some(found) = open(&path, key) {
            return Ok(found);
        }
        let written = self.write(&file, key, tokenizer, watch.progress, &write);
        let renamed = written.and_then(|()| {
            file.sync_all().and_then(|()| std::fs::rename(&part, &path)).map_err(write)
        });
        if let Err(e) = renamed {
            let _ = std::fs::remove_file(&part);
            return Err(e);
        }
        let gone = || write(io::Error::other("it is not what was written"));
        open(&path, key).ok_or_else(gone)
    }

    fn write(
        &self,
        file: &File,
        key: &[u8; 32],
        tokenizer: &Tokenizer,
        progress: &mut dyn FnMut(u64),
        failed: &dyn Fn(io::Error) -> DataError,
    ) -> Result<(), DataError> {
        let small = tokenizer.vocabulary() <= 1 << 16;
        let (first, version, width) = if small { HEADERS[0] } else { HEADERS[1] };
        file.set_len(0).map_err(failed)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&[0; HEADER]).map_err(failed)?;
        let (mut hash, mut counts, mut all) = (Sha256::new(), [0_u64; 2], 0);
        for (extents, count) in [&self.train, &self.held_back].into_iter().zip(&mut counts) {
            let mut bytes = Vec::new();
            let keep = |new: &[u32]| {
                bytes.clear();
                new.iter().for_each(|token| bytes.extend(&token.to_le_bytes()[..width]));
                hash.update(&bytes);
                *count += new.len() as u64;
                out.write_all(&bytes).map_err(failed)
            };
            all = encode(self.documents, extents, tokenizer, keep, progress)?;
        }
        let number = u32::try_from(counts[0] + counts[1]).unwrap_or(u32::MAX);
        let mut header = [first, version, number, 0].map(u32::to_le_bytes).concat();
        header.extend(MARK);
        header.extend(key);
        header.extend(hash.finalize());
        header.extend([counts[0], counts[1], all].map(u64::to_le_bytes).concat());
        out.seek(SeekFrom::Start(0)).and_then(|_| out.write_all(&header)).map_err(failed)?;
        out.flush().map_err(failed)
    }
}

/// Opens a token file, if it is whole and has this key.
fn open(path: &Path, key: &[u8; 32]) -> Option<Encoded> {
    let mut file = File::open(path).ok().filter(|f| f.metadata().is_ok_and(|m| m.is_file()))?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    let word = |i: usize| u32::from_le_bytes([0, 1, 2, 3].map(|k| header[4 * i + k]));
    let (.., width) =
        HEADERS.iter().find(|(first, version, _)| [word(0), word(1)] == [*first, *version])?;
    let number = |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|k| header[at + k]));
    let [train, held_back, characters] = [88, 96, 104].map(number);
    let count = train.checked_add(held_back)?;
    let length = count.checked_mul(*width as u64)?.checked_add(HEADER as u64)?;
    if header[16..24] != *MARK || header[24..56] != *key || file.metadata().ok()?.len() != length {
        return None;
    }
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece).ok()? {
            0 => break,
            n => hash.update(&piece[..n]),
        }
    }
    if header[56..88] != hash.finalize()[..] {
        return None;
    }
    let (count, train) = (usize::try_from(count).ok()?, usize::try_from(train).ok()?);
    let (name, start, width) = (shown(path), HEADER as u64, *width);
    let stored = Stored { file: Mutex::new(file), name, start, width, count };
    let (train, held_back) = Tokens::stored(vec![stored]).split_at(train);
    Some(Encoded { train, held_back, characters })
}

#[cfg(test)]
mod tests;
