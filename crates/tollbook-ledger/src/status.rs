//! Whether recording works, in figures: for metrics and readiness, cheap to ask for.

use crate::ledger::Ledger;
use crate::shared::Health;
use tollbook_types::{Seq, Timestamp};

/// How the ledger is, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether recording works.
    pub health: Health,
    /// The last position in the journal; 0 when empty.
    pub recorded: Seq,
    /// The last position that is fsynced for sure.
    pub durable: Seq,
    /// The last position that is in the store and visible to queries.
    pub applied: Seq,
    /// When a group was last applied; `None` when none was since the ledger was opened.
    pub last_applied_at: Option<Timestamp>,
    /// Records that the writer has in memory and not taken up yet.
    pub waiting: usize,
    /// Whether the writer must read records back from the journal: the store was down, or too slow.
    pub is_behind: bool,
    /// Bytes for records that are left in the journal's open segment.
    pub room_bytes: u64,
    /// Whether a whole further segment is preallocated.
    pub has_spare: bool,
    /// Calls that passed unrecorded since the ledger was opened.
    pub unrecorded_calls: u64,
    /// Those of them that no gap in the journal counts yet.
    pub unrecorded_pending: u64,
    /// Calls that were open when the ledger was opened: entries of unknown usage now.
    pub interrupted: u64,
}

impl Status {
    /// Records that the store has not applied yet.
    pub fn lag(&self) -> u64 {
        self.recorded.saturating_sub(self.applied)
    }

    /// Whether the next record finds room without a new allocation on the disk.
    pub fn has_room(&self) -> bool {
        self.room_bytes > 0 || self.has_spare
    }
}

impl Ledger {
    /// How the ledger is now. Takes the journal's lock for a moment, and reads no disk.
    pub fn status(&self) -> Status {
        let shared = self.shared();
        let applied = shared.applied();
        let state = shared.lock();
        let unrecorded = &state.unrecorded;
        Status {
            health: shared.health(),
            recorded: state.journal.next() - 1,
            durable: shared.promises.durable(),
            applied: applied.through,
            last_applied_at: applied.at_micros.and_then(|at| Timestamp::from_microsecond(at).ok()),
            waiting: state.queue.pending.len(),
            is_behind: state.queue.behind,
            room_bytes: state.journal.room_bytes(),
            has_spare: state.journal.has_spare(),
            unrecorded_calls: unrecorded.total,
            unrecorded_pending: unrecorded.gap.as_ref().map_or(0, |gap| gap.calls),
            interrupted: self.interrupted(),
        }
    }
}
