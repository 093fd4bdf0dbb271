//! The reference store: everything in maps, every question answered by reading all calls.
//!
//! It has no rollups, no index worth the name and no file, so that it is easy to see that it is
//! right; other back ends are compared with it, and tests that need no disk use it. It must never
//! become clever.

mod facts;

use crate::batch::{Batch, Control, Gap, Join, Op, Seal};
use crate::bucket::bucket_start;
use crate::erase::{erased_call, stripped_call};
use crate::error::StoreError;
use crate::fold::{admits, dimension_value, filtered_measures};
use crate::identity::{IdentityRef, ResponseRef};
use crate::query::{
    CallsCursor, CallsOrder, CallsPage, CallsQuery, Dimension, Measures, UsageQuery, UsageReport, UsageRow,
    View,
};
use crate::record::entry_digest;
use crate::stats::{StatsQuery, StatsReport};
use crate::store::{Audit, ControlStore, EventStore, Known, Position, RangeSum};
use crate::stored::{State, StoredCall};
use facts::Facts;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tollbook_types::{
    Adjustment, Content, Digest, Entry, Eraser, Erasure, Identity, OpenCall, Seq, TimeRange, Timestamp,
};

/// At most so many calls are found by one id.
const CALLS_BY_ID_MAX: usize = 32;

/// The reference store, in memory.
#[derive(Debug)]
pub struct MemoryStore {
    books: RwLock<Arc<Books>>,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new("memory")
    }
}

impl MemoryStore {
    /// An empty store of a ledger with this name.
    pub fn new(ledger_id: impl Into<String>) -> MemoryStore {
        let books = Books { ledger_id: ledger_id.into(), ..Books::default() };
        MemoryStore { books: RwLock::new(Arc::new(books)) }
    }

    /// The books as they stand: what happens later does not change them.
    fn books(&self) -> Arc<Books> {
        self.books.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes a copy of the books and puts it in their place, or leaves them if that fails.
    fn change<T>(&self, change: impl FnOnce(&mut Books) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut books = self.books.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Books::clone(&books);
        let answer = change(&mut changed)?;
        changed.version += 1;
        *books = Arc::new(changed);
        Ok(answer)
    }
}

/// All that the store knows.
#[derive(Clone, Debug, Default)]
struct Books {
    ledger_id: String,
    applied: Seq,
    /// Counts changes.
    version: u64,
    cutoff: Option<Timestamp>,
    calls: BTreeMap<Seq, Arc<StoredCall>>,
    /// Calls that were dropped, of which only sums may still speak.
    purged: Vec<Arc<StoredCall>>,
    erasures: Vec<(Seq, Arc<Erasure>)>,
    /// Entries that hold less than their records say, with the digests of what they hold.
    altered: BTreeMap<Seq, Digest>,
    identities: BTreeMap<Arc<Identity>, Known>,
    open: BTreeMap<Seq, Arc<OpenCall>>,
    gaps: Vec<Gap>,
    seals: Vec<Seal>,
    controls: BTreeMap<String, Control>,
}

fn invalid<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::Invalid(why))
}

impl Books {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.through <= self.applied {
            return invalid(format!("position {} is not above {}", batch.through, self.applied));
        }
        for op in &batch.ops {
            let seq = op_seq(op);
            if seq.is_some_and(|seq| seq <= self.applied || seq > batch.through) {
                return invalid(format!("{seq:?} is not in {}..={}", self.applied + 1, batch.through));
            }
            self.apply(op)?;
        }
        self.applied = batch.through;
        Ok(())
    }

    fn apply(&mut self, op: &Op) -> Result<(), StoreError> {
        match op {
            Op::Entry { seq, digest, entry } => self.enter(*seq, *digest, entry),
            Op::Join(join) => self.join(join),
            Op::Adjust { seq, digest, adjustment } => self.adjust(*seq, *digest, adjustment),
            Op::Open { seq, call } => self.open(*seq, call),
            Op::Control(control) => self.control(control),
            Op::Gap(gap) => {
                self.gaps.push(gap.clone());
                Ok(())
            }
            Op::Seal(seal) => {
                self.seals.push(seal.clone());
                Ok(())
            }
            Op::Erase { seq, erasure } => {
                self.erase(*seq, erasure);
                Ok(())
            }
            Op::Drop { source, .. } => {
                self.calls.retain(|_, call| call.entry.event.source != *source);
                self.forget_dropped();
                Ok(())
            }
        }
    }

    fn enter(&mut self, seq: Seq, digest: Digest, entry: &Entry) -> Result<(), StoreError> {
        self.know(entry.event.identity(), entry.event.content, seq, false)?;
        let (adjustments, joined) = (Vec::new(), Vec::new());
        let call = StoredCall { seq, digest, entry: entry.clone(), adjustments, joined };
        if entry.is_erased() {
            self.note_altered(&call);
        }
        match self.calls.insert(seq, Arc::new(call)) {
            None => Ok(()),
            Some(_) => invalid(format!("there is an entry at {seq} already")),
        }
    }

    fn join(&mut self, join: &Join) -> Result<(), StoreError> {
        self.know(join.identity.clone(), join.content, join.entry, true)?;
        let call = self.call_mut(join.entry)?;
        call.joined.push((join.identity.clone(), join.content));
        Ok(())
    }

    /// Remembers an identity, which also ends the open call that has it.
    fn know(
        &mut self,
        identity: Identity,
        content: Content,
        entry: Seq,
        joined: bool,
    ) -> Result<(), StoreError> {
        self.open.retain(|_, call| IdentityRef::from(&**call) != IdentityRef::from(&identity));
        match self.identities.insert(Arc::new(identity), Known { entry, content, joined }) {
            None => Ok(()),
            Some(known) => invalid(format!("the identity is known already, as entry {}", known.entry)),
        }
    }

    fn call_mut(&mut self, seq: Seq) -> Result<&mut StoredCall, StoreError> {
        match self.calls.get_mut(&seq) {
            Some(call) => Ok(Arc::make_mut(call)),
            None => invalid(format!("there is no entry at {seq}")),
        }
    }

    fn adjust(&mut self, seq: Seq, digest: Digest, adjustment: &Adjustment) -> Result<(), StoreError> {
        let entry = adjustment.entry;
        let call = self.call_mut(entry)?;
        let mut runs = call.adjustments.iter().filter_map(|(_, _, made)| made.run.as_ref());
        if adjustment.run.as_ref().is_some_and(|run| runs.any(|made| made == run)) {
            return invalid(format!("run {:?} has adjusted entry {entry} already", adjustment.run));
        }
        let current = call.version();
        if adjustment.version != current + 1 {
            return Err(StoreError::Stale { entry, current, offered: adjustment.version });
        }
        call.adjustments.push((seq, digest, adjustment.clone()));
        Ok(())
    }

    fn open(&mut self, seq: Seq, call: &Arc<OpenCall>) -> Result<(), StoreError> {
        let identity = IdentityRef::from(&**call);
        let is_open = self.open.values().any(|other| IdentityRef::from(&**other) == identity);
        if is_open || self.identities.contains_key(&identity.to_identity()) {
            return invalid(format!("the call {:?} is known already", call.id));
        }
        self.open.insert(seq, Arc::clone(call));
        Ok(())
    }

    fn control(&mut self, control: &Control) -> Result<(), StoreError> {
        let current = self.controls.get(&control.key).map_or(0, |known| known.version);
        if control.version != current + 1 {
            return invalid(format!("{:?} is at version {current}", control.key));
        }
        self.controls.insert(control.key.clone(), control.clone());
        Ok(())
    }

    fn note_altered(&mut self, call: &StoredCall) {
        let digest = entry_digest(call.seq, &call.entry);
        if digest != call.digest {
            self.altered.insert(call.seq, digest);
        }
    }

    fn erase(&mut self, seq: Seq, erasure: &Arc<Erasure>) {
        if self.erasures.iter().any(|(_, known)| known.id == erasure.id) {
            return;
        }
        self.erasures.push((seq, erasure.clone()));
        let ledger = self.ledger_id.clone();
        self.replace(|call| erased_call(erasure, &ledger, call), usize::MAX);
        for call in &mut self.purged {
            if let Some(erased) = erased_call(erasure, &ledger, call) {
                *call = Arc::new(erased);
            }
        }
        for call in self.open.values_mut() {
            if erasure.covers(&ledger, &call.attribution, call.occurred_at) {
                let name = call.attribution.user.clone().unwrap_or_default();
                Eraser::new(erasure, &name).open_call(Arc::make_mut(call));
            }
        }
    }

    /// Puts other forms in the place of some calls, of at most so many. Returns how many.
    fn replace(&mut self, change: impl Fn(&StoredCall) -> Option<StoredCall>, most: usize) -> u64 {
        let changed: Vec<StoredCall> =
            self.calls.values().filter_map(|call| change(call)).take(most).collect();
        let count = changed.len() as u64;
        for call in changed {
            let Some(before) = self.calls.get(&call.seq).cloned() else { continue };
            let identities = |call: &StoredCall| {
                let joined = call.joined.iter().map(|(identity, _)| identity.clone());
                std::iter::once(call.entry.event.identity()).chain(joined).collect::<Vec<Identity>>()
            };
            for (old, new) in identities(&before).into_iter().zip(identities(&call)) {
                if let Some(known) = self.identities.remove(&old) {
                    self.identities.insert(Arc::new(new), known);
                }
            }
            self.note_altered(&call);
            self.calls.insert(call.seq, Arc::new(call));
        }
        count
    }

    fn purge(&mut self, cutoff: Timestamp) -> u64 {
        let gone = |call: &StoredCall| call.entry.event.occurred_at < cutoff;
        let before = self.calls.len();
        self.purged.extend(self.calls.values().filter(|call| gone(call)).cloned());
        self.calls.retain(|_, call| !gone(call));
        self.forget_dropped();
        self.cutoff = self.cutoff.max(Some(cutoff));
        (before - self.calls.len()) as u64
    }

    /// Forgets what belonged to calls that are gone.
    fn forget_dropped(&mut self) {
        self.identities.retain(|_, known| self.calls.contains_key(&known.entry));
        self.altered.retain(|seq, _| self.calls.contains_key(seq));
    }

    fn in_range(&self, range: TimeRange) -> impl Iterator<Item = &Arc<StoredCall>> {
        self.calls.values().filter(move |call| range.contains(call.entry.event.occurred_at))
    }

    /// All calls of the range that a sum speaks of.
    fn summed(&self, query: &UsageQuery) -> impl Iterator<Item = &Arc<StoredCall>> {
        let range = query.range;
        let outlive = sums_outlive_purges(query);
        let purged =
            self.purged.iter().filter(move |call| outlive && range.contains(call.entry.event.occurred_at));
        self.in_range(range).chain(purged)
    }
}

/// The position of the record that an operation comes from, if it is the record of one.
fn op_seq(op: &Op) -> Option<Seq> {
    match op {
        Op::Entry { seq, .. }
        | Op::Adjust { seq, .. }
        | Op::Open { seq, .. }
        | Op::Erase { seq, .. }
        | Op::Drop { seq, .. } => Some(*seq),
        Op::Join(join) => Some(join.seq),
        Op::Control(control) => Some(control.seq),
        Op::Gap(gap) => Some(gap.seq),
        Op::Seal(_) => None,
    }
}

/// Whether rollups can answer, which a purge leaves alone.
fn sums_outlive_purges(query: &UsageQuery) -> bool {
    let kept = |dimension: &Dimension| {
        !matches!(
            dimension,
            Dimension::AgentName | Dimension::OperationId | Dimension::Session | Dimension::Tag(_)
        )
    };
    let filtered = query.filters.iter().map(|filter| &filter.dimension);
    !matches!(query.view, View::AsOf(_)) && query.group_by.iter().chain(filtered).all(kept)
}

fn state_in(view: View, call: &StoredCall) -> State {
    match view {
        View::Corrected => call.corrected(),
        View::Billed => call.billed(),
        View::AsOf(at) => call.as_of(Some(at)),
    }
}

fn merge(sum: &mut Measures, more: &Measures) -> Result<(), StoreError> {
    sum.merge(more).ok_or_else(|| StoreError::Invalid("a sum does not fit".to_owned()))
}

/// The sort value of a call, as it stands in cursors.
fn order_key(order: CallsOrder, call: &StoredCall) -> i128 {
    match order {
        CallsOrder::Newest => i128::from(call.entry.event.occurred_at.as_microsecond()),
        CallsOrder::Costliest => call.corrected().rating.cost.map_or(i128::MIN, |cost| cost.picos()),
        CallsOrder::Recorded => 0,
    }
}

fn sort_calls(order: CallsOrder, calls: &mut [(CallsCursor, &Arc<StoredCall>)]) {
    match order {
        CallsOrder::Newest | CallsOrder::Costliest => {
            calls.sort_by_key(|(at, _)| Reverse((at.key, at.seq)));
        }
        CallsOrder::Recorded => calls.sort_by_key(|(at, _)| at.seq),
    }
}

fn is_after(order: CallsOrder, at: CallsCursor, after: CallsCursor) -> bool {
    match order {
        CallsOrder::Newest | CallsOrder::Costliest => (at.key, at.seq) < (after.key, after.seq),
        CallsOrder::Recorded => at.seq > after.seq,
    }
}

impl EventStore for MemoryStore {
    fn position(&self) -> Result<Position, StoreError> {
        let books = self.books();
        Ok(Position { applied: books.applied, ledger_id: books.ledger_id.clone(), cutoff: books.cutoff })
    }

    fn version(&self) -> Option<u64> {
        Some(self.books().version)
    }

    fn find(&self, identities: &[IdentityRef<'_>]) -> Result<Vec<Option<Known>>, StoreError> {
        let books = self.books();
        Ok(identities.iter().map(|identity| books.identities.get(&identity.to_identity()).cloned()).collect())
    }

    fn find_responses(&self, keys: &[ResponseRef<'_>]) -> Result<Vec<Option<(Seq, String)>>, StoreError> {
        let books = self.books();
        let mut first = HashMap::new();
        for call in books.calls.values() {
            if let Some(key) = ResponseRef::of(&call.entry.event) {
                first.entry(key).or_insert((call.seq, &call.entry.event.source));
            }
        }
        let found = |key| first.get(key).map(|(seq, source)| (*seq, String::clone(source)));
        Ok(keys.iter().map(found).collect())
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.change(|books| books.append(batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn call(&self, seq: Seq) -> Result<Option<StoredCall>, StoreError> {
        Ok(self.books().calls.get(&seq).map(|call| StoredCall::clone(call)))
    }

    fn calls_by_id(&self, id: &str) -> Result<Vec<StoredCall>, StoreError> {
        let named = |call: &&Arc<StoredCall>| {
            call.entry.event.id == id || call.joined.iter().any(|(identity, _)| identity.id == id)
        };
        let books = self.books();
        let found = books.calls.values().filter(named).take(CALLS_BY_ID_MAX);
        Ok(found.map(|call| StoredCall::clone(call)).collect())
    }

    fn calls(&self, query: &CallsQuery) -> Result<CallsPage, StoreError> {
        let books = self.books();
        let mut found = Vec::new();
        for call in books.in_range(query.range) {
            if admits(&call.entry.event, &call.corrected(), &query.filters) {
                found.push((CallsCursor { key: order_key(query.order, call), seq: call.seq }, call));
            }
        }
        sort_calls(query.order, &mut found);
        if let Some(after) = query.after {
            found.retain(|(at, _)| is_after(query.order, *at, after));
        }
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().filter(|_| more).map(|(at, _)| *at);
        Ok(CallsPage { calls: found.into_iter().map(|(_, call)| StoredCall::clone(call)).collect(), next })
    }

    fn usage(&self, query: &UsageQuery) -> Result<UsageReport, StoreError> {
        let books = self.books();
        let mut sums: BTreeMap<(Option<Timestamp>, Vec<Option<String>>), Measures> = BTreeMap::new();
        let mut total = Measures::default();
        for call in books.summed(query) {
            let event = &call.entry.event;
            let state = state_in(query.view, call);
            let bucket = bucket_start(event.occurred_at, query.interval, &query.zone);
            for (model, measures) in filtered_measures(event, &state, &query.filters) {
                let value = |dimension| dimension_value(dimension, event, &state, model).map(str::to_owned);
                let keys = query.group_by.iter().map(value).collect();
                merge(sums.entry((bucket, keys)).or_default(), &measures)?;
                merge(&mut total, &measures)?;
            }
        }
        let row = |((bucket, keys), measures)| UsageRow { bucket, keys, rest: 0, measures };
        let mut rows: Vec<UsageRow> = sums.into_iter().map(row).collect();
        // The sort is stable and the rows come by bucket and keys.
        rows.sort_by_key(|row| (row.bucket, Reverse(row.measures.cost)));
        Ok(UsageReport { rows, total, from_rollups: false })
    }

    fn stats(&self, query: &StatsQuery) -> Result<StatsReport, StoreError> {
        let books = self.books();
        let usage = &query.usage;
        let mut groups = facts::Groups::new();
        let mut total = Facts::default();
        for call in books.in_range(usage.range) {
            let event = &call.entry.event;
            let state = state_in(usage.view, call);
            let bucket = bucket_start(event.occurred_at, usage.interval, &usage.zone);
            let is_active = query.active().contains(event.occurred_at);
            for (model, measures) in filtered_measures(event, &state, &usage.filters) {
                let value = |dimension| dimension_value(dimension, event, &state, model).map(str::to_owned);
                let keys = usage.group_by.iter().map(value).collect();
                for facts in [groups.entry((bucket, keys)).or_default(), &mut total] {
                    facts.add(event, &state, &measures, is_active)?;
                }
            }
        }
        Ok(StatsReport { rows: facts::rows(query, groups)?, total: total.stats()? })
    }

    fn open_calls(&self) -> Result<Vec<(Seq, OpenCall)>, StoreError> {
        Ok(self.books().open.iter().map(|(seq, call)| (*seq, OpenCall::clone(call))).collect())
    }

    fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        Ok(self.books().gaps.clone())
    }

    fn seals(&self) -> Result<Vec<Seal>, StoreError> {
        Ok(self.books().seals.clone())
    }

    fn range_sum(&self, first: Seq, last: Seq) -> Result<RangeSum, StoreError> {
        let books = self.books();
        let mut sum = RangeSum::default();
        for call in books.calls.values() {
            if (first..=last).contains(&call.seq) {
                let cost = call.entry.rating.cost.unwrap_or_default();
                sum.entries += 1;
                sum.cost_picos += cost.picos();
                sum.digest_sum = sum.digest_sum.wrapping_add(call.digest.short());
            }
            for (seq, digest, _) in &call.adjustments {
                if (first..=last).contains(seq) {
                    sum.adjustments += 1;
                    sum.adjustment_digest_sum = sum.adjustment_digest_sum.wrapping_add(digest.short());
                }
            }
        }
        Ok(sum)
    }

    fn digests(&self, first: Seq, last: Seq) -> Result<Vec<(Seq, Digest)>, StoreError> {
        let books = self.books();
        let mut digests = Vec::new();
        for call in books.calls.values() {
            digests.push((call.seq, call.digest));
            digests.extend(call.adjustments.iter().map(|(seq, digest, _)| (*seq, *digest)));
        }
        digests.retain(|(seq, _)| (first..=last).contains(seq));
        digests.sort();
        Ok(digests)
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        let books = self.books();
        let mut audit = Audit::default();
        for call in books.calls.values() {
            audit.entries += 1;
            audit.adjustments += call.adjustments.len() as u64;
            let expected = books.altered.get(&call.seq).unwrap_or(&call.digest);
            if entry_digest(call.seq, &call.entry) != *expected {
                audit.problems.push(format!("entry {}: it is not what its record's digest says", call.seq));
            }
        }
        Ok(audit)
    }

    fn rebuild(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn purge(&self, cutoff: Timestamp) -> Result<u64, StoreError> {
        self.change(|books| Ok(books.purge(cutoff)))
    }

    fn strip(&self, before: Timestamp, most: usize) -> Result<u64, StoreError> {
        let old = |call: &StoredCall| call.entry.event.occurred_at < before;
        self.change(|books| Ok(books.replace(|call| old(call).then(|| stripped_call(call)).flatten(), most)))
    }

    fn erasures(&self) -> Result<Vec<Arc<Erasure>>, StoreError> {
        Ok(self.books().erasures.iter().map(|(_, erasure)| erasure.clone()).collect())
    }

    fn altered(&self, first: Seq, last: Seq) -> Result<Vec<Seq>, StoreError> {
        Ok(self.books().altered.range(first..=last.max(first)).map(|(seq, _)| *seq).collect())
    }

    fn scrub(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn extent(&self, range: TimeRange) -> Result<Option<(Timestamp, Timestamp, u64)>, StoreError> {
        let books = self.books();
        let times: Vec<Timestamp> = books.in_range(range).map(|call| call.entry.event.occurred_at).collect();
        let (first, last) = (times.iter().min(), times.iter().max());
        Ok(first.zip(last).map(|(first, last)| (*first, *last, times.len() as u64)))
    }

    fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        invalid("a store in memory has no file to copy".to_owned())
    }
}

impl ControlStore for MemoryStore {
    fn control(&self, key: &str) -> Result<Option<Control>, StoreError> {
        Ok(self.books().controls.get(key).cloned())
    }

    fn controls(&self, prefix: &str) -> Result<Vec<Control>, StoreError> {
        let books = self.books();
        Ok(books.controls.values().filter(|control| control.key.starts_with(prefix)).cloned().collect())
    }

    fn controls_before(&self, prefix: &str, before: &str, limit: usize) -> Result<Vec<Control>, StoreError> {
        let mut found = self.controls(prefix)?;
        found.retain(|control| control.key.as_str() < before);
        found.reverse();
        found.truncate(limit);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Backend;
    use crate::query::Zone;
    use crate::store::Store;

    struct InMemory;

    impl Backend for InMemory {
        fn open(&self, _name: &str, _zone: &Zone) -> Box<dyn Store> {
            Box::new(MemoryStore::default())
        }
    }

    crate::conformance!(InMemory);
}
