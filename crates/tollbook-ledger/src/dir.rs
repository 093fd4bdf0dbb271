//! The data directory: where things are, and who owns it.
//!
//! ```text
//! tollbook-data/
//!   lock            held by the one writing process, with its pid
//!   journal/        00000000000000000001.jsonl …, spare
//!   store.db        the store
//!   captures.db     words of prompts and answers, only where capture was switched on
//!   erasures.jsonl  persons who were erased; never purged
//!   encryption.json where the rest is encrypted: its key, wrapped under a secret that is not here
//! ```

use crate::cipher::{DataKey, Secret, keyfile, lines};
use crate::error::{LedgerError, at};
use crate::journal::{self, Place};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The paths of a data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    /// What everything in it is encrypted with, if it is.
    key: Option<DataKey>,
}

impl DataDir {
    /// A data directory at this path that is not encrypted, whether or not it is there.
    pub fn new(path: impl Into<PathBuf>) -> DataDir {
        DataDir { path: path.into(), key: None }
    }

    /// The data directory at this path, opened with the secret if there is one. Nothing is changed.
    /// Encrypted books without a secret, plain ones with a secret and those of another secret are
    /// refused. Where there is nothing yet, the directory is a plain one until it is
    /// [made encrypted](DataDir::encrypted).
    pub fn open(path: impl Into<PathBuf>, secret: Option<&Secret>) -> Result<DataDir, LedgerError> {
        let mut dir = DataDir::new(path);
        let is_encrypted = dir.keyfile().try_exists().map_err(at(&dir.path))?;
        match secret {
            None if is_encrypted => Err(LedgerError::Encrypted(dir.path)),
            None if dir.has()? == Has::Sealed => Err(LedgerError::KeyFile(dir.keyfile())),
            None => Ok(dir),
            Some(secret) if is_encrypted => {
                dir.key = Some(keyfile::unwrap(&dir.keyfile(), secret)?);
                Ok(dir)
            }
            Some(_) => match dir.has()? {
                Has::Nothing => Ok(dir),
                Has::Plain => Err(LedgerError::NotEncrypted(dir.path)),
                Has::Sealed => Err(LedgerError::KeyFile(dir.keyfile())),
            },
        }
    }

    /// A data directory at this path that is encrypted with this key.
    pub fn sealed(path: impl Into<PathBuf>, key: DataKey) -> DataDir {
        DataDir { path: path.into(), key: Some(key) }
    }

    /// The same directory, encrypted from now on with a key that the secret opens: the one of a
    /// backup that is about to be restored, if it has one, else a new one. Only where there is
    /// nothing yet, and only who holds the lock may.
    pub fn encrypted(
        self,
        _lock: &DirLock,
        secret: &Secret,
        backup: Option<&Path>,
    ) -> Result<DataDir, LedgerError> {
        // Another process may have begun the books before the lock was taken.
        let dir = DataDir::open(self.path, Some(secret))?;
        if dir.key.is_some() {
            return Ok(dir);
        }
        let known = backup.map(|backup| DataDir::key_of_backup(backup, secret)).transpose()?;
        let key = known.flatten().map_or_else(DataKey::random, Ok)?;
        keyfile::wrap(&dir.keyfile(), &key, secret)?;
        Ok(DataDir { key: Some(key), ..dir })
    }

    /// Has another secret open the books from now on; the one before does not any more. A process
    /// that is killed meanwhile leaves the one or the other.
    pub fn rekey(&self, _lock: &DirLock, secret: &Secret) -> Result<(), LedgerError> {
        match &self.key {
            None => Err(LedgerError::Invalid(format!("{} is not encrypted", self.path.display()))),
            Some(key) => keyfile::wrap(&self.keyfile(), key, secret),
        }
    }

    /// Writes the file that a backup needs beside it to be opened elsewhere: its name with `.key`.
    pub fn write_key_beside(&self, backup: &Path) -> Result<Option<PathBuf>, LedgerError> {
        if self.key.is_none() {
            return Ok(None);
        }
        let beside = key_beside(backup);
        std::fs::copy(self.keyfile(), &beside).map_err(at(&beside))?;
        std::fs::File::open(&beside).and_then(|file| file.sync_all()).map_err(at(&beside))?;
        Ok(Some(beside))
    }

    /// Whether the file is there that an encrypted backup has beside it.
    pub fn has_key_beside(backup: &Path) -> bool {
        key_beside(backup).exists()
    }

    /// The key in the file beside a backup, if there is one.
    pub fn key_of_backup(backup: &Path, secret: &Secret) -> Result<Option<DataKey>, LedgerError> {
        let beside = key_beside(backup);
        if !beside.try_exists().map_err(at(&beside))? {
            return Ok(None);
        }
        keyfile::unwrap(&beside, secret).map(Some)
    }

    /// What everything in it is encrypted with, if it is.
    pub fn key(&self) -> Option<&DataKey> {
        self.key.as_ref()
    }

    /// The file that holds the wrapped key.
    pub fn keyfile(&self) -> PathBuf {
        self.path.join("encryption.json")
    }

    /// What is there, whatever opens it.
    fn has(&self) -> Result<Has, LedgerError> {
        let store = self.store();
        let segments = journal::segments(self.journal())?;
        for (_, path) in &segments {
            if lines::is_sealed(path)? {
                return Ok(Has::Sealed);
            }
        }
        let is_begun = !segments.is_empty() || store.try_exists().map_err(at(&store))?;
        Ok(if is_begun { Has::Plain } else { Has::Nothing })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal's directory, and what opens it.
    pub fn journal(&self) -> Place {
        Place::new(self.path.join("journal"), self.key.clone())
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.path.join("store.db")
    }

    /// The file of captured words.
    pub fn captures(&self) -> PathBuf {
        self.path.join("captures.db")
    }

    /// The file of the persons who were erased.
    pub fn erasures(&self) -> PathBuf {
        self.path.join("erasures.jsonl")
    }

    /// Makes the directory, for its owner's eyes only, and takes the right to write in it. It is
    /// given back when the lock is dropped or the process ends, however it ends.
    pub fn lock(&self) -> Result<DirLock, LedgerError> {
        if !self.path.exists() {
            create_private(&self.path)?;
        }
        let path = self.path.join("lock");
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
                return Err(LedgerError::Locked { dir: self.path.clone(), pid });
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

/// What a data directory has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    Nothing,
    Plain,
    Sealed,
}

fn key_beside(backup: &Path) -> PathBuf {
    let mut name = backup.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

fn create_private(path: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}
