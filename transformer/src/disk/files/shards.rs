//! The safetensors files of a model: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use super::{FileError, other, read_text};
use crate::disk::file;
use crate::memory;
use crate::printable::shortened;
use safetensors::tensor::Metadata;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// The longest name of a file that systems allow, in bytes.
const LONGEST_NAME: usize = 255;
/// The file with all tensors of a model.
pub(super) const SINGLE: &str = "model.safetensors";
/// The file that names a model's shards.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// The bytes that are read at once: a multiple of every number's size.
const PIECE: u64 = 1 << 20;
/// The longest header: more than a hundred thousand tensors.
const LONGEST_HEADER: u64 = 16 << 20;

/// A safetensors file, of which only the header is in memory.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    pub(super) header: Metadata,
    file: File,
    /// The place of the first tensor.
    start: u64,
    /// The length and the time of the last change when it was opened.
    opened: (u64, Option<SystemTime>),
}

/// Opens the file of a model, or its shards; returns the path that names all tensors, too.
///
/// # Errors
/// Files that are missing, in another format or damaged; an index that contradicts them.
pub(super) fn open(directory: &Path) -> Result<(PathBuf, Vec<Shard>), FileError> {
    let (single, index) = (directory.join(SINGLE), directory.join(INDEX));
    if single.exists() || !index.exists() {
        return match Shard::open(&single) {
            Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(match other::format_in(directory) {
                    Some(reason) => FileError::Other { path: directory.to_owned(), reason },
                    None => FileError::Read { path: single, source },
                })
            }
            shard => Ok((single, vec![shard?])),
        };
    }
    let mut shards: Vec<Shard> = Vec::new();
    for (name, tensors) in parse(&index, &read_text(&index)?)? {
        let shard = Shard::open(&directory.join(&name)).map_err(|error| match error {
            FileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                let (count, first) = (tensors.len(), &tensors[0]);
                FileError::tensors(&index, format!(
                    "tensor {first} and {} others are in {name}, which is missing; copy or download that file, \
                     too", count - 1
                ))
            }
            error => error,
        })?;
        let there = shard.header.tensors();
        if let Some(tensor) = tensors.iter().find(|tensor| !there.contains_key(*tensor)) {
            return Err(FileError::tensors(
                &index,
                format!(
                    "tensor {tensor} is expected in {name}, which has {}; take the index and its files from the same \
                 model",
                    listed(there.into_keys())
                ),
            ));
        }
        for earlier in &shards {
            let earlier_has = |tensor: &&String| earlier.header.info(tensor).is_some();
            if let Some(tensor) = there.keys().find(earlier_has) {
                return Err(FileError::tensors(
                    &index,
                    format!(
                        "tensor {tensor} is in {} and in {name}; one is expected: take the index and its files from \
                     the same model",
                        earlier.path.file_name().unwrap_or_default().display()
                    ),
                ));
            }
        }
        shards.push(shard);
    }
    Ok((index, shards))
}

/// Reads the files that an index names, with their tensors.
fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Vec<String>>, FileError> {
    let refused = |reason: String| FileError::tensors(path, reason);
    let json: Value =
        serde_json::from_str(text).map_err(|e| refused(format!("it is not JSON: {e}")))?;
    let Some(map) = json.get("weight_map").and_then(Value::as_object).filter(|map| !map.is_empty())
    else {
        return Err(refused(
            "it has no weight_map; an object is expected there, from each tensor's name to that of its file"
                .to_owned(),
        ));
    };
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, shard) in map {
        let Some(name) = shard.as_str() else {
            return Err(refused(format!(
                "weight_map has {shard} for tensor {tensor}; the name of a file is expected"
            )));
        };
        if name.len() > LONGEST_NAME || name.contains(char::is_control) {
            return Err(refused(format!(
                "weight_map has the name {} for tensor {tensor}; a name of at most {LONGEST_NAME} bytes without control \
                 characters is expected",
                shortened(shard)
            )));
        }
        let parts: Vec<_> = Path::new(name).components().collect();
        if !matches!(parts[..], [Component::Normal(part)] if part == name) {
            return Err(refused(format!(
                "weight_map has the path {shard} for tensor {tensor}; the name of a file beside the index is \
                 expected"
            )));
        }
        shards.entry(name.to_owned()).or_default().push(tensor.clone());
    }
    Ok(shards)
}

/// Formats the first names of a list.
pub(super) fn listed(names: impl IntoIterator<Item = String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    let more = names.len() > 3;
    names.truncate(3);
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", ") + if more { ", …" } else { "" },
    }
}

impl Shard {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let unreadable = |source| FileError::Read { path: path.to_owned(), source };
        let refused = |reason: String| Err(FileError::format(path, reason));
        let (mut file, length) = file::open(path)?;
        let mut size = [0; 8];
        if length < 8 {
            return refused(format!("it has {length} bytes; a header begins with 8"));
        }
        file.read_exact(&mut size).map_err(unreadable)?;
        if size == *b"version " {
            return refused(
                "it is a pointer of Git LFS; fetch the file itself: git lfs pull".to_owned(),
            );
        }
        let size = u64::from_le_bytes(size);
        if size > (length - 8).min(LONGEST_HEADER) {
            return refused(format!(
                "its first 8 bytes claim a header of {size} bytes, where the file has {length} and a header at \
                 most {LONGEST_HEADER}"
            ));
        }
        memory::afford(u128::from(size))
            .map_err(|source| FileError::Memory { path: path.to_owned(), source })?;
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(unreadable)?;
        // This also checks types, shapes and places of all tensors.
        let header: Metadata = match serde_json::from_slice(&header) {
            Ok(header) => header,
            Err(e) => {
                let reason = e.to_string().replace("unknown variant", "unknown type");
                return refused(format!("invalid header: {reason}"));
            }
        };
        let (start, data) = (8 + size, header.data_len() as u64);
        if data != length - start {
            let found = length - start;
            return refused(format!(
                "its tensors take {data} bytes, and {found} follow the header"
            ));
        }
        let opened = (length, file.metadata().and_then(|about| about.modified()).ok());
        Ok(Shard { path: path.to_owned(), header, file, start, opened })
    }

    /// Passes on the bytes of a tensor in pieces of whole numbers.
    pub(super) fn pieces(
        &self,
        place: &Range<usize>,
        mut take: impl FnMut(&[u8]) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let (mut at, end) = (place.start as u64, place.end as u64);
        let mut buffer = vec![0; PIECE.min(end - at) as usize];
        let mut file = &self.file;
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.changed(),
            _ => FileError::Read { path: self.path.clone(), source },
        };
        file.seek(SeekFrom::Start(self.start + at)).map_err(unreadable)?;
        while at < end {
            let piece = &mut buffer[..PIECE.min(end - at) as usize];
            file.read_exact(piece).map_err(unreadable)?;
            take(piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Checks that the file is as long and as old as when it was opened.
    pub(super) fn unchanged(&self) -> Result<(), FileError> {
        let about = self.file.metadata();
        let now = about.map(|about| (about.len(), about.modified().ok())).ok();
        if now == Some(self.opened) { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> FileError {
        FileError::format(
            &self.path,
            "it was changed while it was read; try again when it is complete",
        )
    }
}

#[cfg(test)]
mod tests;
