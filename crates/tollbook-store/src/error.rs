//! What can go wrong in a store, in words for people; the ledger and the edges translate.

/// A store's failure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the database.
    #[error("the store is locked by another process: {0}")]
    Busy(String),
    /// No room is left on the device.
    #[error("the disk is full: {0}")]
    Full(String),
    /// What was read cannot be true: a checksum, a reference or a page is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The file was written by a newer Tollbook.
    #[error("the store has format {found}, this binary knows up to {known}: use a newer tollbook")]
    TooNew {
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The query would have to read more raw entries than the limit.
    #[error("the range is too large: {rows} calls to read one by one, at most {limit} are")]
    RangeTooLarge {
        /// Entries in the range.
        rows: u64,
        /// The limit.
        limit: u64,
    },
    /// The answer has more rows than one may.
    #[error("the answer has {rows} rows, at most {limit} are told at once")]
    TooManyRows {
        /// Its rows.
        rows: usize,
        /// The limit.
        limit: usize,
    },
    /// The query took longer than any may.
    #[error("the question takes longer to answer than any may")]
    TooLong,
    /// An adjustment names a version that is not the next one.
    #[error("entry {entry} is at version {current}; an adjustment to version {offered} is stale")]
    Stale {
        /// The entry's position.
        entry: u64,
        /// Its version now.
        current: u32,
        /// The version offered.
        offered: u32,
    },
    /// The request makes no sense, such as a position that goes back.
    #[error("{0}")]
    Invalid(String),
    /// Anything else from the driver or the file system.
    #[error("{0}")]
    Io(String),
}
