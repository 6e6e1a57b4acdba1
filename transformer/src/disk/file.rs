//! Bounded reads and atomic writes of files.

use crate::disk::error::FileError;
use crate::memory;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// A file that cannot be read, is longer, or takes more memory than is available; a device or a pipe.
pub fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let (file, found) = open(path)?;
    let unreadable = |source| FileError::Read { path: path.to_owned(), source };
    if found > most {
        return Err(FileError::Large { path: path.to_owned(), found, most });
    }
    memory::afford(u128::from(found))
        .map_err(|source| FileError::Memory { path: path.to_owned(), source })?;
    let mut bytes = Vec::new();
    let room = usize::try_from(found).ok().and_then(|n| bytes.try_reserve_exact(n).ok());
    room.ok_or(io::ErrorKind::OutOfMemory.into()).map_err(unreadable)?;
    // It may grow during the read.
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Opens a file for reading; returns it and its length. Devices and pipes, which may have no end, are refused before
/// they are opened.
pub(super) fn open(path: &Path) -> Result<(File, u64), FileError> {
    let unreadable = |source| FileError::Read { path: path.to_owned(), source };
    let found = path.metadata().map_err(unreadable)?;
    if !found.is_file() {
        let kind = if found.is_dir() { "a directory" } else { "a device or a pipe" };
        return Err(FileError::Kind { path: path.to_owned(), kind });
    }
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    Ok((file, length))
}

/// Refuses a path that exists but is not an ordinary file, before it is written: a pipe would wait for a reader, and a
/// device keeps nothing.
///
/// # Errors
/// A directory, a device or a pipe.
pub fn ordinary(path: &Path) -> Result<(), FileError> {
    match path.metadata() {
        Ok(found) if !found.is_file() => {
            let kind = if found.is_dir() { "a directory" } else { "a device or a pipe" };
            Err(FileError::Kind { path: path.to_owned(), kind })
        }
        _ => Ok(()),
    }
}

/// Reads a stream, which may be an endless device or pipe, up to `most` bytes and one more; memory is checked before it
/// is allocated.
///
/// # Errors
/// A stream that cannot be read, or that takes more memory than is available.
pub fn read_stream(mut stream: impl Read, most: u64) -> io::Result<Vec<u8>> {
    /// Bytes per read.
    const PIECE: u64 = 1 << 24;
    let mut bytes = Vec::new();
    loop {
        let left = (most + 1).saturating_sub(bytes.len() as u64);
        let piece = PIECE.min(left);
        if bytes.capacity() - bytes.len() < piece as usize && bytes.len() as u64 >= PIECE {
            // A growing vector is copied: both copies exist for a moment.
            memory::afford(2 * bytes.len() as u128).map_err(io::Error::other)?;
            bytes.try_reserve(bytes.len()).map_err(io::Error::other)?;
        }
        let read = stream.by_ref().take(piece).read_to_end(&mut bytes)?;
        if (read as u64) < piece || read == 0 {
            return Ok(bytes);
        }
    }
}

/// Writes a file under a temporary name beside it, then renames it: a reader never sees half a file, and a full disk
/// leaves the earlier file unchanged. Symbolic links are followed. Devices and pipes are written directly.
///
/// # Errors
/// If it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_with(path, |out| out.write_all(bytes))
}

/// Like [`write_atomically`], but `contents` writes the bytes.
pub(super) fn write_with(
    path: &Path,
    contents: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    let write = || -> io::Result<()> {
        let target = target_of(path)?;
        if target.metadata().is_ok_and(|known| !known.is_file() && !known.is_dir()) {
            return contents(&mut OpenOptions::new().write(true).open(&target)?);
        }
        let directory = target.parent().filter(|d| !d.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        // The permissions of an ordinary new file; those of tempfile are for the owner only.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(directory.unwrap_or(Path::new(".")))?;
        contents(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&target)?;
        Ok(())
    };
    write().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Follows a symbolic link, also to a file that does not exist yet.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    // Linux follows forty.
    for _ in 0..40 {
        match target.read_link() {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// The prefix of temporary names; six letters or digits follow.
const PREFIX: &str = ".tmp";

/// Returns whether a file's name is a temporary one.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    random.is_some_and(|r| r.len() == 6 && r.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Removes temporary files that a killed process left in a directory; returns their number. Only the process that holds
/// the lock may call it.
pub(super) fn remove_leftovers(directory: &Path) -> usize {
    let Ok(entries) = directory.read_dir() else { return 0 };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|t| t.is_file()));
    files
        .filter(|entry| is_temporary(&entry.file_name()))
        .filter(|entry| std::fs::remove_file(entry.path()).is_ok())
        .count()
}

/// Returns the system's description of a failure, without the temporary name and the error number.
pub fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|e| e.source());
    let code = inner.and_then(|e| e.downcast_ref::<io::Error>()).and_then(|e| e.raw_os_error());
    let plain = match code {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.to_string(),
    };
    plain.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_earlier_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write_atomically(&path, b"first").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        let error = write_atomically(&path.join("below a file"), b"x").unwrap_err().to_string();
        assert!(error.ends_with("below a file: Not a directory"), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_on_and_devices_stay() {
        use std::os::unix::fs::FileTypeExt;
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(link.is_symlink() && std::fs::read(&file).unwrap() == b"new");
        // Links to each other end; a link to a file that is not there yet stays, and makes the file.
        let (early, other) = (directory.path().join("early"), directory.path().join("other"));
        std::os::unix::fs::symlink("later", &early).unwrap();
        write_atomically(&early, b"new").unwrap();
        assert!(
            early.is_symlink() && std::fs::read(directory.path().join("later")).unwrap() == b"new"
        );
        std::fs::remove_file(directory.path().join("later")).unwrap();
        std::os::unix::fs::symlink("other", directory.path().join("later")).unwrap();
        std::os::unix::fs::symlink("early", &other).unwrap();
        let error = write_atomically(&early, b"new").unwrap_err().to_string();
        assert!(
            error.contains("early: too many levels of symbolic links") && early.is_symlink(),
            "{error}"
        );
        let null = Path::new("/dev/null");
        write_atomically(null, b"nothing").unwrap();
        assert!(null.metadata().unwrap().file_type().is_char_device());
    }

    #[test]
    fn what_may_have_no_end_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |path: &Path| read_bounded(path, 100).unwrap_err().to_string();
        assert!(refused(directory.path()).contains("is a directory"));
        let file = directory.path().join("file");
        std::fs::write(&file, [0; 101]).unwrap();
        assert!(refused(&file).contains("101 bytes; at most 100"));
        #[cfg(unix)]
        {
            let zero = directory.path().join("zero");
            std::os::unix::fs::symlink("/dev/zero", &zero).unwrap();
            assert!(refused(&zero).contains("zero is a device or a pipe"));
        }
    }

    /// A stream is read to its end or to one byte more than the bound, whatever the size of its pieces.
    #[test]
    fn streams_are_read_to_their_bound() {
        for (length, most) in
            [(0, 5), (5, 5), (6, 5), (40_000_000, 50_000_000), (40_000_000, 17_000_000)]
        {
            let stream = io::repeat(7).take(length);
            let read = read_stream(stream, most).unwrap();
            assert_eq!(read.len() as u64, length.min(most + 1), "{length} {most}");
            assert!(read.iter().all(|b| *b == 7));
        }
    }

    #[test]
    fn only_what_was_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in [".tmpAb3xyZ", ".tmpabcdef", ".tmp", ".tmpabcdefg", ".tmpabc-ef", "run.toml"] {
            std::fs::write(path(name), b"x").unwrap();
        }
        std::fs::create_dir(path(".tmpdirect")).unwrap();
        assert_eq!(remove_leftovers(directory.path()), 2);
        assert!(path("run.toml").exists() && path(".tmpabcdefg").exists());
        assert_eq!(remove_leftovers(&path("none")), 0);
        // The removed names are those that are created.
        let made = tempfile::Builder::new().prefix(PREFIX).tempfile_in(directory.path()).unwrap();
        let (_, kept) = made.keep().unwrap();
        assert_eq!((remove_leftovers(directory.path()), kept.exists()), (1, false));
    }
}
