//! The lock on a run's directory: only one process writes into it.

use super::RunError;
use super::file::remove_leftovers;
use super::run::model_directory;
use crate::disk::error::FileError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The exclusive right to write into a run's directory, until it is dropped or its process ends, however it ends.
///
/// It is an advisory lock of the operating system on `run.lock`, which holds the process's id while locked. The file
/// stays; without a process it means nothing.
///
/// ```
/// use transformer::disk::Lock;
/// let directory = tempfile::tempdir()?;
/// let lock = Lock::claim(directory.path())?;
/// let refused = Lock::claim(directory.path()).unwrap_err().to_string();
/// assert!(refused.contains(&format!("process {} trains", std::process::id())));
/// drop(lock);
/// assert!(Lock::claim(directory.path()).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the claim ends where the lock is dropped"]
pub struct Lock {
    file: File,
    leftovers: usize,
}

/// The file's name.
pub(super) const NAME: &str = "run.lock";

impl Lock {
    /// Claims a directory, and removes temporary files that a killed process left in it.
    ///
    /// # Errors
    /// If another process has claimed it, or the file cannot be opened.
    pub fn claim(directory: &Path) -> Result<Lock, RunError> {
        let path = directory.join(NAME);
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = number(&mut file);
                return Err(RunError::Locked { directory: directory.to_owned(), process });
            }
            // On a file system without locks, runs are allowed.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => {
                return Err(FileError::Write { path, source }.into());
            }
        }
        // A full disk has no room for the id. The lock holds without it.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        let places = [directory.to_owned(), model_directory(directory)];
        let leftovers = places.iter().map(|place| remove_leftovers(place)).sum();
        Ok(Lock { file, leftovers })
    }

    /// Returns the number of temporary files removed.
    pub fn leftovers(&self) -> usize {
        self.leftovers
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

/// Opens the lock file, which must be an ordinary file: a pipe would wait for its other end.
fn open(path: &PathBuf) -> Result<File, RunError> {
    if let Ok(found) = path.metadata()
        && !found.is_file()
    {
        return Err(FileError::Kind { path: path.clone(), kind: "not a file" }.into());
    }
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    options.open(path).map_err(|source| FileError::Write { path: path.clone(), source }.into())
}

/// Returns the id of the process that holds the lock, if it is already written.
fn number(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
