//! The data directory: where things are, and who owns it.
//!
//! ```text
//! tollbook-data/
//!   lock            held by the one writing process, with its pid
//!   journal/        00000000000000000001.jsonl …, spare
//!   store.db        the store
//!   erasures.jsonl  persons who were erased; never purged
//! ```

use crate::error::{LedgerError, at};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The paths of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// A data directory at this path, whether or not it is there.
    pub fn new(path: impl Into<PathBuf>) -> DataDir {
        DataDir(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The journal's directory.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.0.join("store.db")
    }

    /// The file of the persons who were erased.
    pub fn erasures(&self) -> PathBuf {
        self.0.join("erasures.jsonl")
    }

    /// Makes the directory, for its owner's eyes only, and takes the right to write in it. It is
    /// given back when the lock is dropped or the process ends, however it ends.
    pub fn lock(&self) -> Result<DirLock, LedgerError> {
        if !self.0.exists() {
            create_private(&self.0)?;
        }
        let path = self.0.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = match pid.trim() {
                    "" => "unknown".to_owned(),
                    pid => pid.chars().filter(char::is_ascii_digit).take(12).collect(),
                };
                return Err(LedgerError::Locked { dir: self.0.clone(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        // On a full disk the lock holds all the same; only its owner's number is missing.
        let _ = written;
        Ok(DirLock { _file: file })
    }
}

/// The right to write in a data directory.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

fn create_private(path: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}
