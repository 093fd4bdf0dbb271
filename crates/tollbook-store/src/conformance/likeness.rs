//! Topics that compare a back end with the reference over random workloads, and while it is read.

use super::questions::{assert_alike, everything, zone};
use super::workload::Workload;
use super::{Backend, Must, append, entered, fresh};
use crate::memory::MemoryStore;
use crate::query::{CallsOrder, CallsQuery, Dimension, UsageQuery, View};
use crate::store::{EventStore, Store};
use std::sync::atomic::{AtomicBool, Ordering};
use tollbook_types::{Meter, Seq, TimeRange};

/// Random batches in stores of several zones: no random question can tell them from the reference,
/// early, in the middle and at the end.
pub fn random_workloads(backend: &dyn Backend) {
    for (seed, own) in [(51, "UTC"), (52, "America/St_Johns"), (53, "Australia/Lord_Howe")] {
        let (store, reference) = (backend.open(own, &zone(own)), MemoryStore::default());
        let mut work = Workload::new(seed);
        for round in 0..3 {
            for size in [1, 3, 40, 120, 2, 60] {
                let batch = work.batch(size);
                store.append(&batch).must();
                reference.append(&batch).must();
            }
            assert_alike(&*store, &reference, seed * 10 + round, 80);
        }
        assert_eq!(store.audit().must().problems, Vec::<String>::new());
    }
}

/// Costs and quantities whose sums leave 64 bits: exact all the same, in every question.
pub fn huge_costs(backend: &dyn Backend) {
    let (store, reference) = (fresh(backend), MemoryStore::default());
    let mut work = Workload::new(54).with_huge_costs();
    for _ in 0..8 {
        let batch = work.batch(60);
        store.append(&batch).must();
        reference.append(&batch).must();
    }
    // A sum of quantities beyond 63 bits.
    for _ in 0..3 {
        let mut entry = super::reading::priced(&mut work, i128::from(i64::MAX));
        let quantity = 4_000_000_000_000_000_000;
        let meters = tollbook_types::Meters::from_pairs([(Meter::AudioMs, quantity)]);
        entry.event.usage = Some(tollbook_types::Usage::one(meters));
        let batch = work.batch_of(entry);
        store.append(&batch).must();
        reference.append(&batch).must();
    }
    let total = store.usage(&everything()).must().total;
    assert!(total.cost.picos() > i128::from(u64::MAX), "{total:?}");
    assert!(total.meters.quantity(Meter::AudioMs) > i64::MAX as u64);
    assert_alike(&*store, &reference, 55, 150);
    assert_eq!(store.audit().must().problems, Vec::<String>::new());
}

/// Calls of each batch, all with one session.
const BATCH: usize = 20;
const BATCHES: Seq = 60;

/// While batches are appended, every answer is that of a whole number of batches, and later answers
/// never know less.
pub fn readers_see_whole_batches(backend: &dyn Backend) {
    let store = fresh(backend);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (store, done) = (&*store, &done);
            scope.spawn(move || read_until(store, done, reader));
        }
        let _end = SetWhenDropped(&done);
        let mut work = Workload::new(56);
        for batch in 0..BATCHES {
            let first = batch * BATCH as Seq + 1;
            let made = |seq| {
                let mut entry = super::reading::priced(&mut work, 7);
                entry.event.attribution.session = Some(format!("batch {}", batch % 5));
                entered(seq, &entry)
            };
            let last = first + BATCH as Seq - 1;
            append(&*store, last, (first..=last).map(made).collect());
        }
    });
    assert_eq!(store.usage(&everything()).must().total.calls, BATCHES * BATCH as Seq);
}

/// Tells the readers to stop, also when the writer fails.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn read_until(store: &dyn Store, done: &AtomicBool, reader: usize) {
    let mut seen = 0;
    let by_session = UsageQuery { group_by: vec![Dimension::Session], view: View::Billed, ..everything() };
    let newest_last = CallsQuery {
        range: TimeRange::ALL,
        filters: Vec::new(),
        order: CallsOrder::Recorded,
        after: None,
        limit: 100_000,
    };
    loop {
        let last_look = done.load(Ordering::SeqCst);
        let applied = store.position().must().applied;
        let calls = match reader {
            0 => {
                let report = store.usage(&by_session).must();
                let rows: u64 = report.rows.iter().map(|row| row.measures.calls).sum();
                assert_eq!(rows, report.total.calls);
                assert!(report.rows.iter().all(|row| row.measures.calls % BATCH as u64 == 0), "{report:?}");
                assert_eq!(report.total.cost.picos(), i128::from(report.total.calls) * 7);
                store.usage(&everything()).must().total.calls.max(report.total.calls)
            }
            _ => store.calls(&newest_last).must().calls.len() as u64,
        };
        assert_eq!(calls % BATCH as u64, 0, "a part of a batch was seen");
        assert!(calls >= seen && calls >= applied, "{calls} calls after {seen} at position {applied}");
        seen = calls;
        if last_look {
            return;
        }
    }
}
