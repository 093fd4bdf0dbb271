//! What can go wrong on the write path, in words that say what to do next.

use std::path::{Path, PathBuf};
use tollbook_store::StoreError;
use tollbook_types::Seq;

/// A ledger's failure.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process writes this data directory.
    #[error("{dir} is in use by process {pid}")]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it.
        pid: String,
    },
    /// There is a journal but no store.
    #[error(
        "the store {store} is missing, but the journal beside it holds records {first} to {last}; \
         put a backup in place with `tollbook restore BACKUP`{}",
        if *.first == 1 { ", or rebuild the store from the whole journal with `tollbook restore --from-journal`" } else { "" }
    )]
    StoreMissing {
        /// Where the store should be.
        store: PathBuf,
        /// The oldest record in the journal.
        first: Seq,
        /// The newest.
        last: Seq,
    },
    /// The store ends before the oldest record that the journal still has.
    #[error(
        "the store ends at record {applied}, but the journal's oldest is {oldest}: records {} to {} are \
         missing; use `tollbook restore BACKUP` with a later backup",
        .applied + 1, .oldest - 1
    )]
    StoreBehind {
        /// The last record in the store.
        applied: Seq,
        /// The oldest record in the journal.
        oldest: Seq,
    },
    /// The journal belongs to another store.
    #[error(
        "the journal belongs to ledger {journal}, the store to ledger {store}: they are not of one data directory"
    )]
    Foreign {
        /// The journal's ledger.
        journal: String,
        /// The store's ledger.
        store: String,
    },
    /// The books are encrypted, and no key was given.
    #[error("{} holds encrypted books, and no key is given", .0.display())]
    Encrypted(PathBuf),
    /// A key was given for books that are not encrypted.
    #[error("{} holds books that are not encrypted, and a key is given", .0.display())]
    NotEncrypted(PathBuf),
    /// The key does not open the books.
    #[error("the key does not open {}: nothing was read or written", .0.display())]
    WrongKey(PathBuf),
    /// The file that holds the wrapped key is damaged or gone.
    #[error("{} is damaged or missing, and without it nothing here can be read", .0.display())]
    KeyFile(PathBuf),
    /// No room is left for the journal.
    #[error("no room is left on the disk for the journal in {0}: free some space and send the same again")]
    JournalFull(PathBuf),
    /// The store cannot be written; what was sent may or may not be recorded.
    #[error(
        "the store cannot be written ({0}): whether this was recorded is not known; send the same again later"
    )]
    StoreDown(StoreFault),
    /// A write or fsync of the journal failed, and nothing can be promised any more.
    #[error(
        "writing the journal failed ({0}); it is not tried again: this process must end and be started anew"
    )]
    Fatal(String),
    /// An event cannot be recorded as it is.
    #[error("record too large: {bytes} bytes, at most {max} fit the journal")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// There is one at a time.
    #[error("run {0} is under way: wait for its end")]
    RunInProgress(String),
    /// The store failed on a read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The failure.
        source: std::io::Error,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
}

/// Why the store cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFault {
    /// In words.
    pub reason: String,
    /// Room on the disk is what is missing.
    pub is_disk_full: bool,
}

impl StoreFault {
    pub(crate) fn new(reason: impl Into<String>) -> StoreFault {
        StoreFault { reason: reason.into(), is_disk_full: false }
    }

    pub(crate) fn of(error: &LedgerError) -> StoreFault {
        let is_disk_full = match error {
            LedgerError::JournalFull(_) | LedgerError::Store(StoreError::Full(_)) => true,
            LedgerError::StoreDown(fault) => fault.is_disk_full,
            _ => false,
        };
        StoreFault { is_disk_full, ..StoreFault::new(error.to_string()) }
    }
}

impl std::fmt::Display for StoreFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl LedgerError {
    /// Whether nothing but room is missing: a call may pass unrecorded and be counted as such.
    pub fn is_no_room(&self) -> bool {
        matches!(self, LedgerError::JournalFull(_))
    }
}

/// Puts the path beside an I/O error.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> LedgerError + '_ {
    move |source| LedgerError::Io { path: path.to_owned(), source }
}
