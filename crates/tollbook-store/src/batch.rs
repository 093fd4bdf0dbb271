//! What one group of the journal changes in a store.

use std::sync::Arc;
use tollbook_types::{Adjustment, Content, Digest, Entry, Erasure, Identity, OpenCall, Seq, Timestamp};

/// Changes that are applied in one transaction, in order, together with the position they lead to.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The changes, in journal order.
    pub ops: Vec<Op>,
    /// The last position of the journal that this batch covers, whether or not each record of it
    /// changed anything. Never lower than the store's position.
    pub through: Seq,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Op {
    /// A new entry. If an open call has the same identity, this closes it.
    Entry {
        /// The position of its record, and its key.
        seq: Seq,
        /// The digest of its record.
        digest: Digest,
        /// The entry.
        entry: Arc<Entry>,
    },
    /// A further identity that resolves to an entry that is there already. If an open call has this
    /// identity, this closes it.
    Join(Join),
    /// A later state of an entry. Refused as [`crate::StoreError::Stale`] unless its version is the
    /// entry's version plus one.
    Adjust {
        /// The position of its record.
        seq: Seq,
        /// The digest of its record.
        digest: Digest,
        /// The adjustment.
        adjustment: Arc<Adjustment>,
    },
    /// A call that was let go and has not ended.
    Open {
        /// The position of its record.
        seq: Seq,
        /// The call.
        call: Arc<OpenCall>,
    },
    /// A versioned document.
    Control(Control),
    /// Calls that passed unrecorded.
    Gap(Gap),
    /// The totals of a stretch of the journal that may go.
    Seal(Seal),
    /// Takes a person out of every call of theirs that the store has, and of the rollups. What the
    /// same batch brings is erased already, but for what it adjusts. One that was applied before
    /// changes nothing.
    Erase {
        /// The position of its record.
        seq: Seq,
        /// Whose calls, and what they become.
        erasure: Arc<Erasure>,
    },
    /// Drops every call that came in from a source before this, with its adjustments and
    /// identities, out of the rollups too. What a purge left to the rollups alone stays there.
    Drop {
        /// The position of its record.
        seq: Seq,
        /// The source.
        source: String,
    },
}

/// See [`Op::Join`].
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The position of the record that brought the identity.
    pub seq: Seq,
    /// The further identity.
    pub identity: Identity,
    /// The digest of what it said.
    pub content: Content,
    /// The entry that it resolves to.
    pub entry: Seq,
}

/// A versioned document: a rate card, a key, a budget, a channel, an override.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// The position of its record.
    pub seq: Seq,
    /// Its name, such as `card/5f0c…` or `key/ab12`.
    pub key: String,
    /// Starts at 1 and goes up by one each time.
    pub version: u32,
    /// JSON text; `None` when it was deleted.
    pub body: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Calls that passed without a record, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// The position of its record.
    pub seq: Seq,
    /// When it began.
    pub from: Timestamp,
    /// When recording resumed.
    pub to: Timestamp,
    /// How many calls passed.
    pub calls: u64,
    /// Why, for people.
    pub reason: String,
}

/// The totals of the journal's positions `first..=last`, kept when the segment goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Seal {
    /// The first position.
    pub first: Seq,
    /// The last position.
    pub last: Seq,
    /// Entries among them.
    pub entries: u64,
    /// Their billed cost, in picodollars.
    pub cost_picos: i128,
    /// The wrapping sum of the short digests of the records of those entries.
    pub digest_sum: u64,
    /// Adjustments among them, with the wrapping sum of their short digests.
    pub adjustments: u64,
    /// See `adjustments`.
    pub adjustment_digest_sum: u64,
}
