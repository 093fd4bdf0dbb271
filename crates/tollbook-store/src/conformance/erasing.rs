//! Topics about what goes while the sums stay: erasures of persons, raw usage past its time.

use super::questions::{assert_alike, assert_same_sums, everything};
use super::workload::Workload;
use super::{Backend, Must, append, fresh};
use crate::batch::{Join, Op};
use crate::memory::MemoryStore;
use crate::query::{Dimension, Filter, Interval, UsageQuery, View};
use crate::store::{EventStore, Store};
use crate::stored::StoredCall;
use std::sync::Arc;
use tollbook_types::{Content, Entry, Eraser, Erasure, Identity, Seq, TimeRange, Timestamp};

/// A store beside the reference, and the erasures made.
struct Pair<'a> {
    store: &'a dyn Store,
    reference: MemoryStore,
    made: u32,
}

impl Pair<'_> {
    fn both(&self, change: impl Fn(&dyn Store)) {
        change(self.store);
        change(&self.reference);
    }

    fn told(&self, work: &mut Workload, batches: usize) {
        for _ in 0..batches {
            let batch = work.batch(40);
            self.both(|store| store.append(&batch).must());
        }
    }

    fn erasure(&mut self, user: &str, project: Option<&str>, before: Timestamp) -> Arc<Erasure> {
        self.made += 1;
        Arc::new(Erasure {
            id: format!("erasure_{}", self.made),
            subject: Erasure::subject(&self.reference.position().must().ledger_id, user),
            project: project.map(str::to_owned),
            pseudonym: Erasure::pseudonym(&format!("nobody{}", self.made)),
            before,
            at: before,
            reason: "asked".to_owned(),
        })
    }

    /// Erases, and asserts that all sums but those by the person stand as before.
    fn erase(&self, work: &mut Workload, erasure: &Arc<Erasure>) -> Seq {
        let sums = |view, by: Dimension| {
            let mut report =
                self.store.usage(&UsageQuery { group_by: vec![by], view, ..everything() }).must();
            report.rows.sort_by(|a, b| a.keys.cmp(&b.keys));
            (report.rows, report.total)
        };
        let asked = [View::Corrected, View::Billed]
            .into_iter()
            .flat_map(|view| [Dimension::Model, Dimension::Project, Dimension::Key].map(|by| (view, by)));
        let asked: Vec<(View, Dimension)> = asked.collect();
        let before: Vec<_> = asked.iter().map(|(view, by)| sums(*view, by.clone())).collect();
        let seq = work.position() + 1;
        let batch =
            crate::batch::Batch { ops: vec![Op::Erase { seq, erasure: erasure.clone() }], through: seq };
        self.both(|store| store.append(&batch).must());
        work.skip(1);
        for ((view, by), before) in asked.into_iter().zip(before) {
            assert_eq!(sums(view, by.clone()), before, "{view:?} {by:?}");
        }
        seq
    }

    #[track_caller]
    fn assert_sound(&self, seed: u64) {
        assert_alike(self.store, &self.reference, seed, 60);
        self.assert_purged_sound();
    }

    /// As [`Pair::assert_sound`], when some calls are only in the sums of whole days.
    #[track_caller]
    fn assert_purged_sound(&self) {
        assert_eq!(self.store.audit().must().problems, Vec::<String>::new());
        assert_eq!(self.reference.audit().must().problems, Vec::<String>::new());
        for by in [Dimension::User, Dimension::Customer, Dimension::Agent, Dimension::Operation] {
            for view in [View::Corrected, View::Billed] {
                let group_by = vec![by.clone(), Dimension::Model];
                let query = UsageQuery { interval: Interval::Day, group_by, view, ..everything() };
                assert_same_sums(self.store, &self.reference, &query);
            }
        }
        let all = (0, u64::MAX >> 1);
        assert_eq!(self.store.altered(all.0, all.1).must(), self.reference.altered(all.0, all.1).must());
        assert_eq!(self.store.digests(all.0, all.1).must(), self.reference.digests(all.0, all.1).must());
        assert_eq!(self.store.erasures().must(), self.reference.erasures().must());
        assert_eq!(self.store.open_calls().must(), self.reference.open_calls().must());
    }
}

fn calls_of(store: &dyn Store, user: &str) -> u64 {
    let filters = vec![Filter::is(Dimension::User, user)];
    store.usage(&UsageQuery { filters, ..everything() }).must().total.calls
}

/// A person is taken out of entries, adjustments, open calls and rollups, before and after a purge,
/// and no sum changes; what occurs later stays under the name.
pub fn erasing(backend: &dyn Backend) {
    let store = fresh(backend);
    let ledger = store.position().must().ledger_id;
    let mut pair = Pair { store: &*store, reference: MemoryStore::new(ledger), made: 0 };
    let mut work = Workload::new(51);
    pair.told(&mut work, 12);
    let always: Timestamp = "2030-01-01T00:00:00Z".parse().must();
    // Within a busy day: some of its calls are before, some after.
    let within: Timestamp = "2026-10-25T00:30:00Z".parse().must();
    for (nth, (user, project, before)) in
        [("Zoë", Some("web"), always), ("Zoë", None, within), ("Zoë", None, always), ("a", None, always)]
            .into_iter()
            .enumerate()
    {
        assert!(calls_of(&*store, user) > 0, "{user}");
        let erasure = pair.erasure(user, project, before);
        pair.erase(&mut work, &erasure);
        let left = calls_of(&*store, user);
        assert_eq!(left > 0, project.is_some() || before == within, "{user} {left}");
        assert!(calls_of(&*store, &erasure.pseudonym) > 0);
        pair.assert_sound(nth as u64);
        // The same again changes nothing.
        let known = store.erasures().must();
        pair.erase(&mut work, &erasure);
        assert_eq!(store.erasures().must(), known);
        pair.told(&mut work, 2);
    }
    let cutoff: Timestamp = "2026-10-01T00:00:00Z".parse().must();
    pair.both(|store| assert!(store.purge(cutoff).must() > 0));
    let erasure = pair.erasure("日本", None, always);
    assert!(calls_of(&*store, "日本") > 0);
    pair.erase(&mut work, &erasure);
    assert_eq!(calls_of(&*store, "日本"), 0, "also of the days that were purged");
    pair.assert_purged_sound();
    store.rebuild().must();
    pair.assert_purged_sound();
    assert!(store.scrub().must());
    let mut entry = work.entry();
    entry.event.occurred_at = always;
    let batch = work.batch_of(entry);
    pair.both(|store| store.append(&batch).must());
    pair.assert_purged_sound();
}

/// An id that names the person gives way, and the same event that comes once more is still known.
pub fn erased_ids(backend: &dyn Backend) {
    let store = fresh(backend);
    let ledger = store.position().must().ledger_id;
    let mut pair = Pair { store: &*store, reference: MemoryStore::new(ledger), made: 0 };
    let mut work = Workload::new(52);
    let mut entry: Entry = work.entry();
    entry.event.id = "call-of-Zoë-1".to_owned();
    entry.event.attribution.user = Some("Zoë".to_owned());
    entry.event.attribution.key = None;
    let batch = work.batch_of(entry.clone());
    pair.both(|store| store.append(&batch).must());
    let (kept, seq) = (work.position(), work.position() + 1);
    let identity = Identity { project: None, source: "otlp".to_owned(), id: "span-zoë".to_owned() };
    let join = Join { seq, identity, content: Content::of(b"span"), entry: kept };
    pair.both(|store| append(store, seq, vec![Op::Join(join.clone())]));
    work.skip(1);
    let erasure = pair.erasure("Zoë", None, "2030-01-01T00:00:00Z".parse().must());
    pair.erase(&mut work, &erasure);
    pair.assert_sound(52);
    let call: StoredCall = store.call(kept).must().unwrap_or_else(|| panic!("the call is there"));
    assert!(!format!("{call:?}").to_lowercase().contains("zoë"), "{call:?}");
    assert_eq!(store.calls_by_id("call-of-Zoë-1").must(), Vec::new());
    let mut again = entry.event.clone();
    Eraser::new(&erasure, "Zoë").event(&mut again);
    let known = store.find(&[(&again).into(), (&call.joined[0].0).into()]).must();
    let found: Vec<_> = known.into_iter().flatten().map(|known| (known.entry, known.joined)).collect();
    assert_eq!(found, [(kept, false), (kept, true)]);
}

/// Raw usage and metadata go from old calls and from them alone, in as many steps as it takes.
pub fn stripping(backend: &dyn Backend) {
    let store = fresh(backend);
    let ledger = store.position().must().ledger_id;
    let pair = Pair { store: &*store, reference: MemoryStore::new(ledger), made: 0 };
    let mut work = Workload::new(53);
    pair.told(&mut work, 10);
    let before: Timestamp = "2026-10-01T00:00:00Z".parse().must();
    let total = store.usage(&everything()).must().total;
    let mut stripped = 0;
    loop {
        let step = store.strip(before, 7).must();
        stripped += step;
        if step < 7 {
            break;
        }
    }
    assert!(stripped > 20);
    assert_eq!(pair.reference.strip(before, usize::MAX).must(), stripped);
    assert_eq!(store.strip(before, 7).must(), 0);
    pair.assert_sound(53);
    assert_eq!(store.usage(&everything()).must().total, total);
    let raw = |call: &StoredCall| {
        let states = [call.billed(), call.corrected()];
        states.iter().any(|state| state.raw_usage.is_some() || state.attribution.metadata.is_some())
    };
    for made in work.made() {
        let call = store.call(made.seq).must().unwrap_or_else(|| panic!("entry {}", made.seq));
        if made.entry.event.occurred_at < before {
            assert!(!raw(&call), "{}", made.seq);
        }
    }
    let range = TimeRange { from: Some(before), to: None };
    let later: Vec<_> =
        work.made().iter().filter(|made| range.contains(made.entry.event.occurred_at)).collect();
    assert!(later.iter().any(|made| made.entry.event.raw_usage.is_some()));
}
