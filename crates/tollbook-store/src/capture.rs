//! Where captured words are kept: apart from the books, so that no figure depends on them.

use crate::error::StoreError;
use tollbook_types::{Capture, Timestamp};

/// Keeps captures. One process writes, others may read beside it.
pub trait Captures: Send + Sync + std::fmt::Debug {
    /// Keeps them, all or none; one of an id that is there stays as it is.
    fn put(&self, captures: &[Capture]) -> Result<(), StoreError>;

    /// The capture of a call.
    fn get(&self, id: &str) -> Result<Option<Capture>, StoreError>;

    /// Every user that captures are of, once.
    fn users(&self) -> Result<Vec<String>, StoreError>;

    /// Drops those of a user, of one project or of all, that occurred before an instant. Returns how many.
    fn forget(&self, user: &str, project: Option<&str>, before: Timestamp) -> Result<u64, StoreError>;

    /// Drops those of calls with these ids. Returns how many.
    fn forget_calls(&self, ids: &[String]) -> Result<u64, StoreError>;

    /// Drops those that occurred before an instant. Returns how many.
    fn drop_before(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Bytes that are in use.
    fn bytes(&self) -> Result<u64, StoreError>;
}
