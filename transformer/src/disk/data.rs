//! Data as it lies on disk: texts, JSON lines, tokens, directories of them.
//!
//! | path | what it holds |
//! |---|---|
//! | a file | one text |
//! | `*.jsonl`, `*.ndjson` | a document a line: an object whose field `text` (or another, by name) is the document |
//! | `*.bin` | tokens, two bytes each, as nanoGPT writes them; with llm.c's header of 1024 bytes also four bytes each |
//! | a directory | all files in it and below, in the order of their paths, without hidden ones |
//! | `-` | standard input: one text |
//!
//! Conversations ([`Data::read_conversations`]) are JSON lines: an object with `messages`, or with `prompt` and
//! `completion` ([`crate::text::conversation`]). Preferences ([`Data::read_preferences`]) are JSON lines with `chosen` and
//! `rejected` ([`crate::text::preference`]).
//!
//! The byte order mark that some editors write before a text is not part of it.

mod documents;
mod lines;
pub(crate) mod scan;

use crate::disk::{read_stream, reason};
use crate::printable::printable;
use crate::text::tokenizer::TokenizerError;
use crate::text::tokens::{Stored, Tokens};
use crate::words;
pub use documents::{Documents, Extent, characters};
use lines::Line;
use scan::{Body, Found, HEADER, Hashed, Kind};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;

/// The most bytes of a stream, which stay in memory. A file may be of any size.
const LONGEST: u64 = 1 << 30;
/// The most files of a directory.
const MOST_FILES: usize = 1 << 20;
/// The deepest directory below the given one.
const DEEPEST: usize = 64;
/// Data that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or directory that cannot be read.
    #[error("cannot read {}: {}", shown(path), reason(source))]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A stream of too many bytes.
    #[error(
        "{} has more than {} MiB, and a stream stays in memory; write it to a file, which may be of any size",
        shown(path), LONGEST >> 20
    )]
    Long {
        /// The stream.
        path: PathBuf,
    },
    /// A file that is not what it was when it was read first.
    #[error("{} changed while it was read; start again when nothing writes it", shown(path))]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A text that the tokenizer cannot encode.
    #[error("{}: {source}", shown(path))]
    Encode {
        /// The file of the text.
        path: PathBuf,
        /// The reason.
        source: TokenizerError,
    },
    /// Tokens that cannot be written.
    #[error("cannot write {}: {}", shown(path), reason(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No bytes.
    #[error("{} is empty; give a file with text in it", shown(path))]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// A directory without files, or with too many, or too deep.
    #[error("{} {reason}", shown(path))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What was found and what is expected.
        reason: String,
    },
    /// A line that is not a JSON object with the field.
    #[error("{}, line {line}: {reason}", shown(path))]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line; the first is 1.
        line: usize,
        /// What was found and what is expected.
        reason: String,
    },
    /// A file that does not hold conversations or preferences.
    #[error(
        "{} is not a file of conversations or preferences: a JSON object a line is expected, in a file *.jsonl or *.ndjson",
        shown(path)
    )]
    Conversations {
        /// The file.
        path: PathBuf,
    },
    /// A file of tokens that is cut off, or lies beside texts.
    #[error("{}: {reason}", shown(path))]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What was found and what is expected.
        reason: String,
    },
}

/// Texts, or the tokens of one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Content {
    /// Documents, one after another.
    Documents(Documents),
    /// One stream of tokens.
    Tokens(Tokens),
}

/// Data that were found and read once. Their texts and tokens stay where they lie, and are read again when they are
/// needed.
#[derive(Debug)]
pub struct Data {
    /// The texts or tokens.
    pub content: Content,
    /// The SHA-256 of the bytes of all files, in hexadecimal.
    pub sha256: String,
    /// What a user may want to know: how many files were read, and which marks were dropped.
    pub remarks: Vec<String>,
}

impl Data {
    /// Reads paths, one after another; `field` names the text of a JSON line.
    ///
    /// # Errors
    /// Files that cannot be read or are broken; a stream that is too long.
    pub fn read(paths: &[String], field: &str) -> Result<Self, DataError> {
        Self::read_watched(paths, field, |_| ())
    }

    /// Like [`Data::read`], but calls `progress` with the number of bytes after each piece that is read.
    ///
    /// # Errors
    /// See [`Data::read`].
    pub fn read_watched(
        paths: &[String],
        field: &str,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, DataError> {
        Self::read_lines(paths, Line::Field(field.to_owned()), &mut progress)
    }

    /// Reads conversations: JSON lines in files, directories of such files, or standard input. Every line is checked; calls
    /// `progress` like [`Data::read_watched`]. They are the documents of the result ([`Documents::example`]).
    ///
    /// # Errors
    /// Files that cannot be read or are of another kind; a line that is no conversation with an answer, by its number.
    pub fn read_conversations(
        paths: &[String],
        mut progress: impl FnMut(u64),
    ) -> Result<Self, DataError> {
        Self::read_lines(paths, Line::Conversation, &mut progress)
    }

    /// Like [`Data::read_conversations`], but reads preferences.
    ///
    /// # Errors
    /// Files that cannot be read or are of another kind; a line that is no preference, by its number.
    pub fn read_preferences(
        paths: &[String],
        mut progress: impl FnMut(u64),
    ) -> Result<Self, DataError> {
        Self::read_lines(paths, Line::Preference, &mut progress)
    }

    fn read_lines(
        paths: &[String],
        form: Line,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, DataError> {
        let mut reading = Reading {
            documents: Documents { form, ..Documents::default() },
            tokens: vec![],
            hash: Sha256::new(),
            progress,
            files: 0,
            marks: 0,
            binary: None,
        };
        for path in paths {
            reading.path(Path::new(path))?;
        }
        reading.finish(paths)
    }
}

struct Reading<'a> {
    documents: Documents,
    tokens: Vec<Stored>,
    hash: Sha256,
    progress: &'a mut dyn FnMut(u64),
    files: usize,
    marks: usize,
    /// The first file of tokens.
    binary: Option<PathBuf>,
}

impl Reading<'_> {
    fn path(&mut self, path: &Path) -> Result<(), DataError> {
        if path == Path::new("-") {
            return self.stream(path, io::stdin().lock());
        }
        if !path.is_dir() {
            return self.file(path);
        }
        let mut files = Vec::new();
        collect(path, 0, &mut files)?;
        if files.is_empty() {
            let reason = "has no files in it; give a directory of texts".to_owned();
            return Err(DataError::Directory { path: path.to_owned(), reason });
        }
        files.sort();
        files.iter().try_for_each(|file| self.file(file))
    }

    /// Returns what a file is, or an error for one that does not hold conversations where these are read.
    fn kind_of(&self, path: &Path) -> Result<Kind, DataError> {
        let chats = self.documents.form.is_example();
        match (chats, Kind::of(path)) {
            (false, kind) => Ok(kind),
            (true, Kind::Lines) => Ok(Kind::Lines),
            (true, _) if path == Path::new("-") => Ok(Kind::Lines),
            (true, Kind::Text | Kind::Tokens) => {
                Err(DataError::Conversations { path: path.to_owned() })
            }
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), DataError> {
        let kind = self.kind_of(path)?;
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            return self.stream(path, file);
        }
        if kind == Kind::Tokens {
            return self.binary(path, file, about.len());
        }
        self.found(path, Some(file), None, about.modified().ok())
    }

    /// Reads a stream, which cannot be read again, into memory.
    fn stream(&mut self, path: &Path, stream: impl io::Read) -> Result<(), DataError> {
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let bytes = read_stream(stream, LONGEST).map_err(failed)?;
        if bytes.len() as u64 > LONGEST {
            return Err(DataError::Long { path: path.to_owned() });
        }
        if self.kind_of(path)? == Kind::Tokens {
            // In a file without a name they can be read by range.
            let written = tempfile::tempfile().and_then(|mut file| {
                file.write_all(&bytes)?;
                file.rewind()?;
                Ok(file)
            });
            return self.binary(path, written.map_err(failed)?, bytes.len() as u64);
        }
        self.found(path, None, Some(bytes), None)
    }

    /// Finds the documents of a file, or of a stream that is in memory.
    fn found(
        &mut self,
        path: &Path,
        file: Option<File>,
        memory: Option<Vec<u8>>,
        modified: Option<SystemTime>,
    ) -> Result<(), DataError> {
        let lines = self.kind_of(path)? == Kind::Lines;
        let Documents { files, places, form, .. } = &mut self.documents;
        let number = files.len() as u32;
        let stream: Box<dyn io::Read + '_> = match (file, &memory) {
            (Some(file), _) => Box::new(file),
            (None, memory) => Box::new(memory.as_deref().unwrap_or_default()),
        };
        let hashed = Hashed { stream, hash: &mut self.hash, progress: self.progress };
        let (mark, invalid) = if lines {
            (scan::lines(hashed, (path, number), form, places)?, None)
        } else {
            let failed = |source| DataError::Read { path: path.to_owned(), source };
            let Found { place, mark, invalid } = scan::text(hashed, number).map_err(failed)?;
            if place.text > 0 {
                places.push(place);
            }
            (mark, invalid)
        };
        let path = path.to_owned();
        files.push(documents::Stored { path, memory, modified, lines, invalid });
        self.marks += usize::from(mark);
        self.files += 1;
        Ok(())
    }

    fn binary(&mut self, path: &Path, mut file: File, length: u64) -> Result<(), DataError> {
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let wrong = |reason| DataError::Tokens { path: path.to_owned(), reason };
        let mut hashed =
            Hashed { stream: &mut file, hash: &mut self.hash, progress: self.progress };
        let mut beginning = Vec::new();
        hashed.by_ref().take(HEADER as u64).read_to_end(&mut beginning).map_err(failed)?;
        let body = Body::of(&beginning, length).map_err(wrong)?;
        io::copy(&mut BufReader::with_capacity(1 << 20, hashed), &mut io::sink())
            .map_err(failed)?;
        self.tokens.push(body.tokens(file, shown(path)));
        self.binary.get_or_insert_with(|| path.to_owned());
        self.files += 1;
        Ok(())
    }

    fn finish(self, paths: &[String]) -> Result<Data, DataError> {
        let first = || PathBuf::from(paths.first().map_or("", String::as_str));
        let Reading { documents, tokens, binary, files, marks, .. } = self;
        let content = match binary {
            Some(path) if !documents.is_empty() => {
                let reason = "tokens cannot be mixed with texts: give only one kind".to_owned();
                return Err(DataError::Tokens { path, reason });
            }
            Some(path) => match Tokens::stored(tokens) {
                none if none.is_empty() => return Err(DataError::Empty { path }),
                tokens => Content::Tokens(tokens),
            },
            None if documents.is_empty() => return Err(DataError::Empty { path: first() }),
            None => Content::Documents(documents),
        };
        let mut remarks = Vec::new();
        if files > 1 {
            remarks.push(format!("read {}", words::of(files, "file")));
        }
        if marks > 0 {
            remarks
                .push(format!("dropped the byte order mark before {}", words::of(marks, "text")));
        }
        let sha256 = crate::disk::files::hexadecimal(&self.hash.finalize());
        Ok(Data { content, sha256, remarks })
    }
}

/// Collects the files of a directory and those below it; hidden ones are left out.
fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let wrong = |reason: String| DataError::Directory { path: directory.to_owned(), reason };
    if depth > DEEPEST {
        return Err(wrong(format!("lies more than {DEEPEST} directories deep")));
    }
    let failed = |source| DataError::Read { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if path.is_file() {
            files.push(path);
        }
        if files.len() > MOST_FILES {
            return Err(wrong(format!("has more than {MOST_FILES} files")));
        }
    }
    Ok(())
}

pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        printable(&path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &[u8])], paths: &[&str]) -> Result<Data, String> {
        with(files, paths, |data| data)
    }

    fn with<R>(
        files: &[(&str, &[u8])],
        paths: &[&str],
        of: impl FnOnce(Result<Data, String>) -> R,
    ) -> R {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let path = |p: &&str| directory.path().join(p).display().to_string();
        let paths: Vec<String> = paths.iter().map(path).collect();
        of(Data::read(&paths, "text").map_err(|e| e.to_string()))
    }

    fn documents(files: &[(&str, &[u8])], paths: &[&str]) -> Vec<String> {
        with(files, paths, |data| match data.unwrap().content {
            Content::Documents(documents) => {
                let extents = documents.extents();
                let text = |extent| String::from_utf8(documents.read(extent).unwrap()).unwrap();
                extents.iter().map(text).collect()
            }
            Content::Tokens(_) => panic!("these are texts"),
        })
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(documents(&[("a.txt", b"one\ntwo")], &["a.txt"]), ["one\ntwo"]);
        let lines = b"\xef\xbb\xbf{\"text\": \"a\\nb\", \"id\": 1}\r\n\n{\"id\": 2, \"text\": \"\"}\n{\"text\":\"c\"}";
        assert_eq!(documents(&[("a.jsonl", lines)], &["a.jsonl"]), ["a\nb", "c"]);
        let tree: [(&str, &[u8]); 5] = [
            ("d/b.txt", b"2"),
            ("d/a/z.md", b"\xef\xbb\xbf1"),
            ("d/.hidden", b"x"),
            ("d/.git/y", b"x"),
            ("d/c.ndjson", lines),
        ];
        assert_eq!(documents(&tree, &["d"]), ["1", "2", "a\nb", "c"]);
        assert_eq!(documents(&tree, &["d/b.txt", "d/a"]), ["2", "1"]);
        let remarks = read(&tree, &["d"]).unwrap().remarks;
        assert_eq!(remarks, ["read 3 files", "dropped the byte order mark before 2 texts"]);
    }

    #[test]
    fn tokens_are_read_with_and_without_a_header() {
        let tokens = |files: &[(&str, &[u8])], paths: &[&str]| {
            read(files, paths).map(|data| match data.content {
                Content::Tokens(tokens) => tokens.to_vec(),
                Content::Documents(_) => panic!("these are tokens"),
            })
        };
        let plain = [1, 0, 0xff, 0xff, 7, 1];
        assert_eq!(tokens(&[("a.bin", &plain)], &["a.bin"]), Ok(vec![1, 65535, 263]));
        let with = |magic: u32, version: u32, count: u32, body: &[u8]| {
            let mut file = [magic, version, count].map(u32::to_le_bytes).concat();
            file.resize(HEADER, 0);
            [file, body.to_vec()].concat()
        };
        let two = with(20_240_520, 1, 3, &plain);
        assert_eq!(
            tokens(&[("a.bin", &two)], &["a.bin", "a.bin"]),
            Ok(vec![1, 65535, 263, 1, 65535, 263])
        );
        let four = with(20_240_801, 7, 1, &[1, 2, 3, 0]);
        assert_eq!(tokens(&[("a.bin", &four)], &["a.bin"]), Ok(vec![0x3_0201]));
        let message = |bytes: &[u8]| read(&[("a.bin", bytes)], &["a.bin"]).unwrap_err();
        assert!(message(&plain[..5]).contains("5 bytes"));
        assert!(message(&with(20_240_520, 2, 3, &plain)).contains("version 2; 1 is expected"));
        assert!(
            message(&with(20_240_520, 1, 4, &plain))
                .contains("counts 4 tokens of 2 bytes, but 6 bytes follow")
        );
        assert!(message(b"").contains("is empty"));
        let mixed = read(&[("a.bin", &plain), ("b", b"text")], &["a.bin", "b"]).unwrap_err();
        assert!(mixed.contains("a.bin") && mixed.contains("mixed with texts"), "{mixed}");
    }

    #[test]
    fn broken_data_are_named() {
        let message = |line: &str| {
            let file = format!("{{\"text\": \"fine\"}}\n\n{line}\n");
            read(&[("a.jsonl", file.as_bytes())], &["a.jsonl"]).unwrap_err()
        };
        for (line, parts) in [
            ("{\"text\": ", ["line 3", "not JSON"]),
            ("[1]", ["line 3", "this is [1]; an object with the field \"text\""]),
            (
                "{\"body\": \"x\", \"id\": 1}",
                ["no field \"text\", but \"body\", \"id\"", "--field"],
            ),
            ("{\"text\": 3}", ["line 3", "its field \"text\" is 3; text is expected"]),
        ] {
            let message = message(line);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let none = |files: &[(&str, &[u8])], path| read(files, &[path]).unwrap_err();
        assert!(none(&[], "absent").contains("cannot read"));
        assert!(none(&[("a", b"")], "a").contains("is empty"));
        assert!(none(&[("a", b"\xef\xbb\xbf")], "a").contains("is empty"));
        assert!(none(&[("d/.x", b"")], "d").contains("no files in it"));
    }
}
