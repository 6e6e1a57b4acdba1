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
//! The byte order mark that some editors write before a text is not part of it.

use crate::disk::{read_stream, reason};
use crate::memory::{self, MemoryError};
use crate::printable::{printable, shortened};
use crate::words;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The longest data, in bytes: their tokens take four times as much memory.
const LONGEST: u64 = 1 << 30;
/// The most files of a directory.
const MOST_FILES: usize = 1 << 20;
/// The deepest directory below the given one.
const DEEPEST: usize = 64;
/// The mark before a text that says that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The length of llm.c's header.
const HEADER: usize = 1024;
/// First number and version of llm.c's headers, and the bytes of a token after it: GPT-2's and Llama 3's.
const HEADERS: [(u32, u32, usize); 2] = [(20_240_520, 1, 2), (20_240_801, 7, 4)];

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
    /// Data that do not fit the memory.
    #[error("{}: {source}; give a part of it", shown(path))]
    Memory {
        /// The path.
        path: PathBuf,
        /// The memory needed and available.
        source: MemoryError,
    },
    /// Too many bytes.
    #[error("{} has more than {} MiB; give a part of it", shown(path), LONGEST >> 20)]
    Long {
        /// The path at which the data became too long.
        path: PathBuf,
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Documents, one after another.
    Documents {
        /// The bytes of all.
        bytes: Vec<u8>,
        /// The end of each.
        ends: Vec<usize>,
    },
    /// One stream of tokens.
    Tokens(Vec<u32>),
}

impl Content {
    /// Returns the documents; tokens have none.
    pub fn documents(&self) -> Vec<&[u8]> {
        let Content::Documents { bytes, ends } = self else { return vec![] };
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(|(start, end)| &bytes[start..*end]).collect()
    }
}

/// Data that were read.
#[derive(Clone, Debug)]
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
    /// Files that cannot be read, are broken, or are too long together.
    pub fn read(paths: &[String], field: &str) -> Result<Self, DataError> {
        let mut reading = Reading { field, ..Reading::default() };
        for path in paths {
            reading.path(Path::new(path))?;
        }
        reading.finish(paths)
    }
}

#[derive(Default)]
struct Reading<'a> {
    field: &'a str,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    tokens: Vec<u32>,
    hash: Sha256,
    read: u64,
    files: usize,
    marks: usize,
    /// The first file of tokens.
    binary: Option<PathBuf>,
}

impl Reading<'_> {
    fn path(&mut self, path: &Path) -> Result<(), DataError> {
        if path == Path::new("-") {
            let text = self.bounded(path, io::stdin().lock())?;
            return self.text(path, text);
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

    fn file(&mut self, path: &Path) -> Result<(), DataError> {
        let open = File::open(path);
        let file = open.map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let bytes = self.bounded(path, file)?;
        let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match kind.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => self.lines(path, &bytes),
            "bin" => self.binary(path, &bytes),
            _ => self.text(path, bytes),
        }
    }

    /// Reads a stream whole, if it and all before it are not too long.
    fn bounded(&mut self, path: &Path, stream: impl io::Read) -> Result<Vec<u8>, DataError> {
        let room = LONGEST - self.read;
        let read = read_stream(stream, room);
        let bytes = read.map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        if bytes.len() as u64 > room {
            return Err(DataError::Long { path: path.to_owned() });
        }
        self.read += bytes.len() as u64;
        self.files += 1;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn text(&mut self, path: &Path, mut text: Vec<u8>) -> Result<(), DataError> {
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
            self.marks += 1;
        }
        if self.bytes.is_empty() {
            // The usual case, one text, is not copied.
            self.bytes = text;
        } else {
            self.afford(path, text.len())?;
            self.bytes.extend(text);
        }
        if self.ends.last().copied().unwrap_or(0) < self.bytes.len() {
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    fn lines(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DataError> {
        self.afford(path, bytes.len())?;
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        self.marks += usize::from(text.len() < bytes.len());
        for (i, line) in text.split(|&b| b == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let fail = |reason| DataError::Line { path: path.to_owned(), line: i + 1, reason };
            let document = document(line, self.field).map_err(fail)?;
            if !document.is_empty() {
                self.bytes.extend(document.bytes());
                self.ends.push(self.bytes.len());
            }
        }
        Ok(())
    }

    fn binary(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DataError> {
        let fail = |reason| DataError::Tokens { path: path.to_owned(), reason };
        let word = |i: usize| {
            bytes.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
        };
        let header =
            HEADERS.iter().find(|(magic, ..)| word(0) == Some(*magic) && bytes.len() >= HEADER);
        let (body, width) = match header {
            None => (bytes, 2),
            Some((_, version, width)) => {
                let body = &bytes[HEADER..];
                let (found, count) = (word(1).unwrap_or(0), word(2).unwrap_or(0) as usize);
                if found != *version {
                    return Err(fail(format!(
                        "its header has version {found}; {version} is expected"
                    )));
                }
                if count.checked_mul(*width) != Some(body.len()) {
                    let bytes = words::count(body.len() as u64, "byte");
                    return Err(fail(format!(
                        "its header counts {count} tokens of {width} bytes, but {bytes} follow; it may be cut off"
                    )));
                }
                (body, *width)
            }
        };
        if !body.len().is_multiple_of(width) {
            let found = words::count(body.len() as u64, "byte");
            return Err(fail(format!(
                "it has {found}, which are no tokens of two bytes; it may be cut off"
            )));
        }
        let needed = 4 * (body.len() / width) as u128;
        memory::afford(needed)
            .map_err(|source| DataError::Memory { path: path.to_owned(), source })?;
        self.tokens.extend(body.chunks_exact(width).map(|t| match *t {
            [a, b] => u32::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => unreachable!("a token has two or four bytes"),
        }));
        self.binary.get_or_insert_with(|| path.to_owned());
        Ok(())
    }

    /// Checks that so many more bytes of text fit the memory; a growing list exists twice.
    fn afford(&self, path: &Path, more: usize) -> Result<(), DataError> {
        memory::afford(2 * (self.bytes.len() + more) as u128)
            .map_err(|source| DataError::Memory { path: path.to_owned(), source })
    }

    fn finish(self, paths: &[String]) -> Result<Data, DataError> {
        let first = || PathBuf::from(paths.first().map_or("", String::as_str));
        let Reading { bytes, ends, tokens, binary, files, marks, .. } = self;
        let content = match binary {
            Some(path) if !bytes.is_empty() => {
                let reason = "tokens cannot be mixed with texts: give only one kind".to_owned();
                return Err(DataError::Tokens { path, reason });
            }
            Some(path) if tokens.is_empty() => return Err(DataError::Empty { path }),
            Some(_) => Content::Tokens(tokens),
            None if bytes.is_empty() => return Err(DataError::Empty { path: first() }),
            None => Content::Documents { bytes, ends },
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

/// Returns the document of a JSON line.
fn document(line: &[u8], field: &str) -> Result<String, String> {
    let json: serde_json::Value = serde_json::from_slice(line).map_err(|e| {
        // Its own line number is that of a file of one line.
        let message = e.to_string().replace(" at line 1 column", ", at column");
        format!("this is not JSON: {}", printable(&message))
    })?;
    let Some(object) = json.as_object() else {
        return Err(format!(
            "this is {}; an object with the field {field:?} is expected",
            shortened(&json)
        ));
    };
    match object.get(field) {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(other) => {
            Err(format!("its field {field:?} is {}; text is expected", shortened(other)))
        }
        None => {
            let fields = object.keys().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", ");
            let fields = printable(&fields);
            Err(format!(
                "it has no field {field:?}, but {fields}; --field names the one with the text"
            ))
        }
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

fn shown(path: &Path) -> String {
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
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let path = |p: &&str| directory.path().join(p).display().to_string();
        let paths: Vec<String> = paths.iter().map(path).collect();
        Data::read(&paths, "text").map_err(|e| e.to_string())
    }

    fn documents(files: &[(&str, &[u8])], paths: &[&str]) -> Vec<String> {
        let content = read(files, paths).unwrap().content;
        let text = |document: &&[u8]| String::from_utf8_lossy(document).into_owned();
        content.documents().iter().map(text).collect()
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
        let tokens =
            |files: &[(&str, &[u8])], paths: &[&str]| read(files, paths).map(|data| data.content);
        let plain = [1, 0, 0xff, 0xff, 7, 1];
        assert_eq!(
            tokens(&[("a.bin", &plain)], &["a.bin"]),
            Ok(Content::Tokens(vec![1, 65535, 263]))
        );
        let with = |magic: u32, version: u32, count: u32, body: &[u8]| {
            let mut file = [magic, version, count].map(u32::to_le_bytes).concat();
            file.resize(HEADER, 0);
            [file, body.to_vec()].concat()
        };
        let two = with(20_240_520, 1, 3, &plain);
        assert_eq!(
            tokens(&[("a.bin", &two)], &["a.bin", "a.bin"]),
            Ok(Content::Tokens(vec![1, 65535, 263, 1, 65535, 263]))
        );
        let four = with(20_240_801, 7, 1, &[1, 2, 3, 0]);
        assert_eq!(tokens(&[("a.bin", &four)], &["a.bin"]), Ok(Content::Tokens(vec![0x3_0201])));
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
