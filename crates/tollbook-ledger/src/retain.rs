//! What may go: old journal segments, once sealed, and old calls, once a retention is set.

use crate::audit::{Act, By};
use crate::cipher::lines::LineReader;
use crate::error::{LedgerError, at};
use crate::journal;
use crate::journal::record::{Kind, SealBody};
use crate::journal::segment::Contents;
use crate::ledger::Ledger;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use tollbook_store::{RangeSum, Seal, Store};
use tollbook_types::{Digest, Money, Seq, Timestamp, limits};

/// What a purge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Calls that went.
    pub calls: u64,
    /// What occurred before this is gone and refused from now on.
    pub cutoff: Timestamp,
}

impl Ledger {
    /// Seals and removes closed journal segments that are older than 30 days, or beyond 8 GiB in
    /// all, and that the store has on disk. Returns how many went.
    pub fn trim_journal(&self) -> Result<u64, LedgerError> {
        let shared = self.shared();
        let closed = shared.lock().journal.closed()?;
        let applied = shared.store.position()?.applied;
        let oldest_kept = shared.clock.now().as_second() - limits::SEGMENT_AGE_DAYS * 86_400;
        let sizes: Vec<u64> =
            closed.iter().map(|(_, _, path)| std::fs::metadata(path).map_or(0, |meta| meta.len())).collect();
        let mut total: u64 = sizes.iter().sum();
        let mut removed = 0;
        for ((first, last, path), size) in closed.into_iter().zip(sizes) {
            let is_old = modified_second(&path).is_some_and(|second| second < oldest_kept);
            if last > applied || !(is_old || total > limits::JOURNAL_BYTES_MAX) {
                break;
            }
            self.seal_and_remove(first, last, &path)?;
            total -= size;
            removed += 1;
        }
        Ok(removed)
    }

    /// Seals the closed segment with records `first..=last` and removes it. It is refused when the
    /// store does not hold exactly what the segment holds, or holds it in its write-ahead log only.
    pub fn seal_and_remove(&self, first: Seq, last: Seq, path: &PathBuf) -> Result<(), LedgerError> {
        let store = &self.shared().store;
        let mut stored: HashMap<Seq, Digest> = store.digests(first, last)?.into_iter().collect();
        let contents = Contents::read(path)?;
        let mut reader = LineReader::new(self.shared().dir.key(), path)?;
        contents.walk(&mut reader, |line, _| {
            if matches!(line.kind, Kind::Event | Kind::Adjust)
                && stored.remove(&line.seq).is_some_and(|digest| digest != line.digest)
            {
                return Err(LedgerError::Invalid(format!(
                    "record {} differs between journal and store: the segment is kept; run `tollbook verify`",
                    line.seq
                )));
            }
            Ok(())
        })?;
        if let Some(seq) = stored.keys().min() {
            return Err(LedgerError::Invalid(format!(
                "record {seq} is in the store and not in its segment: the segment is kept; run `tollbook verify`"
            )));
        }
        // A log can be lost or damaged: until it is empty, only the journal has what it holds.
        if !store.checkpoint()? {
            return Err(LedgerError::Invalid(format!(
                "a reader holds the log of the store: {} is kept; try again later",
                path.display()
            )));
        }
        let sum = store.range_sum(first, last)?;
        self.seal(seal_body(first, last, &sum))?;
        store.sync()?;
        std::fs::remove_file(path).map_err(at(path))
    }

    /// Seals what a restored backup has up to record `applied` and no journal has any more, as where it was put
    /// into an empty directory: from then on the seal vouches for it. Does nothing where the journal
    /// goes back far enough, or begins later than right behind the backup.
    pub fn seal_backup(&self, applied: Seq) -> Result<(), LedgerError> {
        let shared = self.shared();
        let oldest = journal::segments(shared.dir.journal())?.first().map(|(first, _)| *first);
        let sealed_to = seals_in_force(shared.store.as_ref())?.last().map_or(0, |seal| seal.last);
        if oldest != Some(applied + 1) || sealed_to >= applied {
            return Ok(());
        }
        let sum = shared.store.range_sum(sealed_to + 1, applied)?;
        self.seal(seal_body(sealed_to + 1, applied, &sum))?;
        Ok(shared.store.sync()?)
    }

    /// Drops all calls that occurred before the cut-off, which must be the start of a day of the
    /// store's zone. Seals are checked first and renewed after, so `verify` still holds.
    pub fn purge(&self, by: &By, cutoff: Timestamp) -> Result<Purged, LedgerError> {
        self.audit(by, Act::new("calls.purge").told("before", cutoff.to_string()))?;
        self.drop_before(cutoff)
    }

    pub(crate) fn drop_before(&self, cutoff: Timestamp) -> Result<Purged, LedgerError> {
        let store = &self.shared().store;
        self.flush()?;
        let seals = checked_seals(store.as_ref())?;
        // From here on nothing comes in that the purge would have to see.
        self.shared().cutoff_micros.fetch_max(cutoff.as_microsecond(), Ordering::AcqRel);
        self.flush()?;
        let calls = store.purge(cutoff)?;
        for seal in seals {
            let sum = store.range_sum(seal.first, seal.last)?;
            if sum.entries != seal.entries || sum.adjustments != seal.adjustments {
                self.seal(seal_body(seal.first, seal.last, &sum))?;
            }
        }
        store.sync()?;
        Ok(Purged { calls, cutoff })
    }
}

/// The seals in force, each of which the store agrees with. They are checked before anything is
/// dropped from their ranges.
pub(crate) fn checked_seals(store: &dyn Store) -> Result<Vec<Seal>, LedgerError> {
    let seals = seals_in_force(store)?;
    for seal in &seals {
        let sum = store.range_sum(seal.first, seal.last)?;
        if (sum.entries, sum.cost_picos, sum.digest_sum) != (seal.entries, seal.cost_picos, seal.digest_sum) {
            return Err(LedgerError::Invalid(format!(
                "records {} to {} do not agree with their seal; nothing was dropped; run `tollbook verify`",
                seal.first, seal.last
            )));
        }
    }
    Ok(seals)
}

/// The latest seal of each range, in order: a purge seals anew what it leaves.
pub(crate) fn seals_in_force(store: &dyn Store) -> Result<Vec<Seal>, LedgerError> {
    let mut latest: BTreeMap<(Seq, Seq), Seal> = BTreeMap::new();
    for seal in store.seals()? {
        latest.insert((seal.first, seal.last), seal);
    }
    Ok(latest.into_values().collect())
}

pub(crate) fn seal_body(first: Seq, last: Seq, sum: &RangeSum) -> SealBody {
    SealBody {
        first,
        last,
        entries: sum.entries,
        cost: Money::from_picos(sum.cost_picos),
        digest_sum: sum.digest_sum,
        adjustments: sum.adjustments,
        adjustment_digest_sum: sum.adjustment_digest_sum,
    }
}

fn modified_second(path: &PathBuf) -> Option<i64> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
