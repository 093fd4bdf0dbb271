//! The two traits.

use crate::batch::{Batch, Control, Gap, Seal};
use crate::error::StoreError;
use crate::identity::{IdentityRef, ResponseRef};
use crate::query::{CallsPage, CallsQuery, UsageQuery, UsageReport};
use crate::stats::{StatsQuery, StatsReport};
use crate::stored::StoredCall;
use std::path::Path;
use std::sync::Arc;
use tollbook_types::{Content, Erasure, OpenCall, Seq, TimeRange, Timestamp};

/// How far a store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last journal position that is in the store; 0 when empty.
    pub applied: Seq,
    /// A random name given when the data directory was made: journal and store must agree on it.
    pub ledger_id: String,
    /// Calls that occurred before this are gone (retention), and refused.
    pub cutoff: Option<Timestamp>,
}

/// What the store knows of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The entry that it resolves to.
    pub entry: Seq,
    /// The digest of what it said when it was recorded.
    pub content: Content,
    /// Whether the identity was joined to an entry of another source.
    pub joined: bool,
}

/// Sums over the entries and adjustments whose records lie in a range of positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSum {
    /// Entries.
    pub entries: u64,
    /// Their billed cost, in picodollars.
    pub cost_picos: i128,
    /// The wrapping sum of the short digests of their records.
    pub digest_sum: u64,
    /// Adjustments.
    pub adjustments: u64,
    /// The wrapping sum of the short digests of theirs.
    pub adjustment_digest_sum: u64,
}

/// What a store found when it compared itself with itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Entries read.
    pub entries: u64,
    /// Adjustments read.
    pub adjustments: u64,
    /// Rollup rows read.
    pub rollup_rows: u64,
    /// Everything that is wrong, in words; empty when all is well.
    pub problems: Vec<String>,
}

/// Entries and what follows from them. All methods may be called from any thread; there is one
/// writer (the ledger), readers see only whole batches.
pub trait EventStore: Send + Sync {
    /// How far the store has come.
    fn position(&self) -> Result<Position, StoreError>;

    /// A number that changes whenever an answer may: while it stays the same in this process, every
    /// question has the answer that it had. `None` while something is being written, and where
    /// another process may write. Cheap: it is asked before each frequent question.
    ///
    /// The position is not enough: what is dropped with time moves no position.
    fn version(&self) -> Option<u64>;

    /// What is known of each identity, in order.
    fn find(&self, identities: &[IdentityRef<'_>]) -> Result<Vec<Option<Known>>, StoreError>;

    /// The first entry with each response key, in order, with the entry's source.
    fn find_responses(&self, keys: &[ResponseRef<'_>]) -> Result<Vec<Option<(Seq, String)>>, StoreError>;

    /// Applies a batch in one transaction: entries, adjustments, open calls, controls, rollups and
    /// the position, or nothing. A batch whose `through` is not above the position is refused.
    ///
    /// The ledger decides before it appends; what could not be true all the same is refused too. As
    /// [`StoreError::Stale`]: an adjustment whose version is not the next. As
    /// [`StoreError::Invalid`]: an operation at a position outside of what the batch covers; an
    /// entry, join or open call with an identity that is known; a join or adjustment of an entry
    /// that is not there; a second adjustment by one run; a control whose version is not the next.
    fn append(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes what was appended survive power loss, and trims the write-ahead log if there is one and
    /// no reader holds it. Once this has failed on the disk, it and every append fail for good.
    fn sync(&self) -> Result<(), StoreError>;

    /// As [`EventStore::sync`], and tells whether everything is out of the write-ahead log: only
    /// then may the journal forget it. False while a reader holds the log.
    fn checkpoint(&self) -> Result<bool, StoreError> {
        self.sync().map(|()| true)
    }

    /// One call with its adjustments.
    fn call(&self, seq: Seq) -> Result<Option<StoredCall>, StoreError>;

    /// Every call whose event or a joined identity has this id, whatever project and source, oldest
    /// record first; at most 32.
    fn calls_by_id(&self, id: &str) -> Result<Vec<StoredCall>, StoreError>;

    /// A page of calls.
    fn calls(&self, query: &CallsQuery) -> Result<CallsPage, StoreError>;

    /// Sums.
    fn usage(&self, query: &UsageQuery) -> Result<UsageReport, StoreError>;

    /// Percentiles, persons, sessions, and what sums are made into.
    fn stats(&self, query: &StatsQuery) -> Result<StatsReport, StoreError>;

    /// Calls that are open, with the positions of their records, oldest first.
    fn open_calls(&self) -> Result<Vec<(Seq, OpenCall)>, StoreError>;

    /// Recorded gaps.
    fn gaps(&self) -> Result<Vec<Gap>, StoreError>;

    /// Seals, in order.
    fn seals(&self) -> Result<Vec<Seal>, StoreError>;

    /// Sums over positions `first..=last`.
    fn range_sum(&self, first: Seq, last: Seq) -> Result<RangeSum, StoreError>;

    /// The digests of the records of all entries and adjustments in `first..=last`, in order of
    /// position: what `verify` compares the journal with.
    fn digests(&self, first: Seq, last: Seq) -> Result<Vec<(Seq, tollbook_types::Digest)>, StoreError>;

    /// Reads everything and compares: every row with its checksum, every entry and adjustment with
    /// the digest of its record, every rollup with a fold over the entries.
    fn audit(&self) -> Result<Audit, StoreError>;

    /// Recomputes all rollups from the entries. Returns the number of rollup rows.
    fn rebuild(&self) -> Result<u64, StoreError>;

    /// Drops the calls that occurred before the cut-off, which the caller has put at the start of a
    /// day of the store's zone, and remembers it. Returns how many went.
    ///
    /// With a call go its adjustments, identities and response key. Rollups stay: sums over ranges
    /// and intervals of whole days of the store's zone still count what went, billed and corrected,
    /// as long as they ask for no `agent_name`, `operation_id`, `session` or tag. Every other
    /// question sees only what is left. An earlier cut-off than the one before changes nothing.
    fn purge(&self, cutoff: Timestamp) -> Result<u64, StoreError>;

    /// Drops raw usage and metadata of calls that occurred before an instant, of at most `most` of
    /// them; figures and rollups stay. Returns how many calls that were: fewer than `most` when none
    /// is left.
    fn strip(&self, before: Timestamp, most: usize) -> Result<u64, StoreError>;

    /// The erasures that were applied, in order of their records.
    fn erasures(&self) -> Result<Vec<Arc<Erasure>>, StoreError>;

    /// The entries in `first..=last` that hold less than their records say, since a person was taken
    /// out of them or raw usage dropped. Each is under a digest of its own, which
    /// [`EventStore::audit`] checks.
    fn altered(&self, first: Seq, last: Seq) -> Result<Vec<Seq>, StoreError>;

    /// Overwrites what erasures took out and a file may still hold in places that are free. It takes
    /// as much room again as the store does, and writes wait meanwhile. False while a reader keeps
    /// some of it; then it is to be tried again. Nothing is done when nothing was erased since.
    fn scrub(&self) -> Result<bool, StoreError>;

    /// The first and last `occurred_at` and the number of calls in the range.
    fn extent(&self, range: TimeRange) -> Result<Option<(Timestamp, Timestamp, u64)>, StoreError>;

    /// Writes a consistent copy of the store to a new file while it is in use.
    fn backup(&self, to: &Path) -> Result<(), StoreError>;
}

/// Small versioned documents.
pub trait ControlStore: Send + Sync {
    /// The latest version of a document, also when it was deleted.
    fn control(&self, key: &str) -> Result<Option<Control>, StoreError>;

    /// The latest versions of all documents whose key starts with `prefix`, in key order.
    fn controls(&self, prefix: &str) -> Result<Vec<Control>, StoreError>;

    /// At most `limit` of the documents whose key starts with `prefix` and stands before `before`, in
    /// falling order of their keys.
    fn controls_before(&self, prefix: &str, before: &str, limit: usize) -> Result<Vec<Control>, StoreError>;
}

/// A whole back end: entries and documents in one.
pub trait Store: EventStore + ControlStore {}

impl<T: EventStore + ControlStore> Store for T {}
