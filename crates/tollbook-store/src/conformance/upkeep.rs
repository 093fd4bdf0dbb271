//! Topics about what surrounds the calls: documents, seals, sums over positions, audits, retention,
//! copies.

use super::questions::{assert_alike, assert_same_sums, everything};
use super::workload::Workload;
use super::{Backend, Must, append, entered, fresh};
use crate::batch::{Control, Gap, Op, Seal};
use crate::memory::MemoryStore;
use crate::query::{Dimension, Filter, Interval, UsageQuery, View, Zone};
use crate::store::{ControlStore, EventStore, RangeSum, Store};
use tollbook_types::{Entry, Seq, TimeRange, Timestamp};

fn told(store: &dyn Store, reference: &MemoryStore, work: &mut Workload, batches: usize) {
    for _ in 0..batches {
        let batch = work.batch(40);
        store.append(&batch).must();
        reference.append(&batch).must();
    }
}

/// One act upon a store.
type Act<'a> = (&'a str, Box<dyn FnOnce(&dyn Store) + 'a>);

/// The version is another after everything that changes an answer, and the same after the rest.
pub fn versions(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(38);
    let cutoff: Timestamp = "2026-10-01T00:00:00Z".parse().must();
    let (first, second) = (work.batch(40), work.batch(40));
    let acts: Vec<Act<'_>> = vec![
        ("append", Box::new(|store| store.append(&first).must())),
        ("append again", Box::new(|store| store.append(&second).must())),
        ("strip", Box::new(|store| assert!(store.strip(cutoff, 1_000).must() > 0))),
        ("purge", Box::new(|store| assert!(store.purge(cutoff).must() > 0))),
    ];
    let mut seen = vec![store.version()];
    for (name, act) in acts {
        act(&*store);
        let version = store.version();
        assert!(version.is_some() && !seen.contains(&version), "{name}: {version:?} after {seen:?}");
        seen.push(version);
        store.usage(&everything()).must();
        store.sync().must();
        assert_eq!(store.version(), version, "{name}, then read and synced");
    }
}

/// The latest version of each document, deleted ones too, by exact prefix and in key order.
pub fn controls(backend: &dyn Backend) {
    let store = fresh(backend);
    let at = Timestamp::from_microsecond(1_790_000_000_000_001).must();
    let control = |seq: Seq, key: &str, version: u32, body: Option<&str>| Control {
        seq,
        key: key.to_owned(),
        version,
        body: body.map(str::to_owned),
        at,
    };
    let made = [
        control(1, "key/b", 1, Some("{\"n\":1}")),
        control(2, "key/a", 1, Some("{}")),
        control(3, "key/B", 1, Some("\"é\"")),
        control(4, "keys", 1, Some("1")),
        control(5, "key/b", 2, None),
        control(6, "k%", 1, Some("null")),
        control(7, "key_", 1, Some("")),
    ];
    append(&*store, 4, made[..4].iter().cloned().map(Op::Control).collect());
    append(&*store, 7, made[4..].iter().cloned().map(Op::Control).collect());
    assert_eq!(store.control("key/b").must().as_ref(), Some(&made[4]), "deleted, and known to be");
    assert_eq!(store.control("key/").must(), None);
    assert_eq!(store.control("KEY/A").must(), None);
    let keys = |prefix: &str| {
        store.controls(prefix).must().into_iter().map(|control| control.seq).collect::<Vec<Seq>>()
    };
    assert_eq!(keys("key/"), vec![3, 2, 5]);
    assert_eq!((keys("key/b"), keys("KEY/")), (vec![5], Vec::new()), "large and small letters differ");
    assert_eq!(keys("key_"), vec![7], "no sign is a wildcard");
    assert_eq!(keys("k%"), vec![6]);
    assert_eq!(keys(""), vec![6, 3, 2, 5, 7, 4]);
    assert_eq!(keys("z"), Vec::<Seq>::new());
    let before = |prefix: &str, before: &str, limit: usize| {
        let found = store.controls_before(prefix, before, limit).must();
        found.into_iter().map(|control| control.seq).collect::<Vec<Seq>>()
    };
    assert_eq!(before("key/", "z", 9), vec![5, 2, 3], "the last first, none but with the prefix");
    assert_eq!((before("key/", "z", 2), before("key/", "z", 0)), (vec![5, 2], Vec::new()));
    assert_eq!(before("key/", "key/b", 9), vec![2, 3], "what stands before it, not itself");
    assert_eq!(before("key/", "key/", 9), Vec::<Seq>::new());
    append(&*store, 9, vec![Op::Control(control(9, "key/b", 3, Some("{\"n\":3}")))]);
    assert_eq!(store.control("key/b").must().map(|control| control.version), Some(3));
}

/// Gaps and seals come back as they were told, with sums beyond 64 bits and negative ones.
pub fn gaps_and_seals(backend: &dyn Backend) {
    let store = fresh(backend);
    let at = |micros| Timestamp::from_microsecond(micros).must();
    let gap = |seq, calls| Gap {
        seq,
        from: at(-1),
        to: at(1_790_000_000_000_001),
        calls,
        reason: "full: é".into(),
    };
    let seal = |first, last, cost_picos, digest_sum| Seal {
        first,
        last,
        entries: last - first,
        cost_picos,
        digest_sum,
        adjustments: 1,
        adjustment_digest_sum: u64::MAX - first,
    };
    assert_eq!((store.gaps().must(), store.seals().must()), (Vec::new(), Vec::new()));
    let gaps = [gap(3, 0), gap(7, 1_000_000)];
    let seals = [seal(1, 4, i128::MAX / 3, u64::MAX), seal(5, 9, -7, 0), seal(10, 10, 0, 1 << 63)];
    append(&*store, 5, vec![Op::Gap(gaps[0].clone()), Op::Seal(seals[0].clone())]);
    append(
        &*store,
        9,
        vec![Op::Gap(gaps[1].clone()), Op::Seal(seals[1].clone()), Op::Seal(seals[2].clone())],
    );
    assert_eq!(store.gaps().must(), gaps);
    assert_eq!(store.seals().must(), seals);
}

/// Sums and digests over any range of positions, ends included.
pub fn range_sums_and_digests(backend: &dyn Backend) {
    let store = fresh(backend);
    assert_eq!(store.range_sum(0, 9).must(), RangeSum::default());
    assert_eq!(store.digests(0, 9).must(), Vec::new());
    let reference = MemoryStore::default();
    let mut work = Workload::new(33).with_huge_costs();
    told(&*store, &reference, &mut work, 10);
    let made = work.made();
    let whole = store.range_sum(1, work.position()).must();
    assert_eq!(whole.entries, made.len() as u64);
    let costs = made.iter().map(|made| made.entry.rating.cost.unwrap_or_default().picos());
    assert_eq!(whole.cost_picos, costs.sum::<i128>());
    assert!(whole.cost_picos > i128::from(u64::MAX), "the sum leaves 64 bits");
    let digests = made.iter().map(|made| crate::entry_digest(made.seq, &made.entry).short());
    assert_eq!(whole.digest_sum, digests.fold(0, u64::wrapping_add));
    for made in made.iter().step_by(37) {
        let one = store.range_sum(made.seq, made.seq).must();
        assert_eq!((one.entries, one.cost_picos), (1, made.entry.rating.cost.unwrap_or_default().picos()));
        let digest = crate::entry_digest(made.seq, &made.entry);
        assert_eq!(store.digests(made.seq, made.seq).must(), vec![(made.seq, digest)]);
        let (first, last) = (made.seq, made.seq + 100);
        assert_eq!(store.range_sum(first, last).must(), reference.range_sum(first, last).must());
        assert_eq!(store.digests(first, last).must(), reference.digests(first, last).must());
    }
    assert_eq!(store.range_sum(9, 8).must(), RangeSum::default(), "an empty range");
}

/// A sound store has no problems, before and after its rollups are made again; a record whose digest
/// is not that of its entry is found.
pub fn audit_and_rebuild(backend: &dyn Backend) {
    let (store, reference) = (fresh(backend), MemoryStore::default());
    let mut work = Workload::new(34).with_huge_costs();
    assert_eq!(store.audit().must().problems, Vec::<String>::new());
    told(&*store, &reference, &mut work, 10);
    let sound = store.audit().must();
    assert_eq!(sound.problems, Vec::<String>::new());
    let expected = reference.audit().must();
    assert_eq!((sound.entries, sound.adjustments), (expected.entries, expected.adjustments));
    assert_eq!(store.rebuild().must(), sound.rollup_rows, "as many rollup rows as before");
    assert_eq!(store.audit().must(), sound);
    assert_alike(&*store, &reference, 34, 60);
    told(&*store, &reference, &mut work, 3);
    assert_alike(&*store, &reference, 35, 60);
    // Written as told; whether it is true is what the audit says.
    let (seq, entry) = (work.position() + 1, work.entry());
    let Op::Entry { entry: other, .. } = entered(seq + 1, &entry) else { return };
    append(&*store, seq, vec![Op::Entry { seq, digest: tollbook_types::Digest::of(b"other"), entry: other }]);
    let problems = store.audit().must().problems;
    assert!(problems.len() == 1 && problems[0].contains(&seq.to_string()), "{problems:?}");
}

/// All calls of a source go, those of the same batch too, and everything that they counted in is as
/// if they had never been told; calls of other sources that joined them go with them.
pub fn dropping(backend: &dyn Backend) {
    let (store, reference) = (fresh(backend), MemoryStore::default());
    let mut work = Workload::new(39);
    told(&*store, &reference, &mut work, 12);
    for (round, source) in ["api", "nowhere", "gateway", "api"].into_iter().enumerate() {
        let filters = vec![Filter::is(Dimension::Source, source)];
        let of_source = UsageQuery { filters, ..everything() };
        let before = store.usage(&everything()).must().total.calls;
        let theirs = store.usage(&of_source).must().total.calls;
        assert_eq!(theirs > 40, source != "nowhere", "{source} {theirs}");
        let mut entry = work.entry();
        entry.event.source = source.to_owned();
        let mut batch = work.batch_of(entry);
        batch.through += 1;
        batch.ops.push(Op::Drop { seq: batch.through, source: source.to_owned() });
        work.skip(1);
        for store in [&*store as &dyn Store, &reference] {
            store.append(&batch).must();
        }
        assert_eq!(store.usage(&of_source).must().total.calls, 0, "{source}");
        assert_eq!(store.usage(&everything()).must().total.calls, before - theirs, "{source}");
        assert_alike(&*store, &reference, round as u64, 60);
        let all = (0, u64::MAX >> 1);
        assert_eq!(store.digests(all.0, all.1).must(), reference.digests(all.0, all.1).must());
        assert_eq!(store.range_sum(all.0, all.1).must(), reference.range_sum(all.0, all.1).must());
        assert_eq!(store.audit().must().problems, Vec::<String>::new(), "{source}");
        for made in work.made().iter().filter(|made| made.entry.event.source == source) {
            assert_eq!(store.call(made.seq).must(), None);
        }
        // A part of what is told later corrects calls that are gone; nothing of that is told here.
        let fresh_ones: Vec<Entry> = (0..60).map(|_| work.entry()).collect();
        for entry in fresh_ones {
            let batch = work.batch_of(entry);
            store.append(&batch).must();
            reference.append(&batch).must();
        }
    }
    assert_alike(&*store, &reference, 9, 60);
}

/// A purge drops the calls before its cut-off with all that is known of them; sums over whole days
/// stay, also after a rebuild.
pub fn purge(backend: &dyn Backend) {
    let (store, reference) = (fresh(backend), MemoryStore::default());
    let mut work = Workload::new(36);
    told(&*store, &reference, &mut work, 12);
    let cutoff: Timestamp = "2026-10-01T00:00:00Z".parse().must();
    for micros in [-1, 0] {
        let mut entry = work.entry();
        entry.event.occurred_at = Timestamp::from_microsecond(cutoff.as_microsecond() + micros).must();
        let batch = work.batch_of(entry);
        store.append(&batch).must();
        reference.append(&batch).must();
    }
    let day = |view, by: Dimension| UsageQuery {
        interval: Interval::Day,
        group_by: vec![by],
        view,
        ..everything()
    };
    let questions: Vec<UsageQuery> = [View::Billed, View::Corrected]
        .into_iter()
        .flat_map(|view| [Dimension::Model, Dimension::Customer, Dimension::Evidence].map(|by| day(view, by)))
        .chain([everything(), UsageQuery { view: View::Billed, ..everything() }])
        .collect();
    let before: Vec<_> = questions.iter().map(|query| store.usage(query).must()).collect();
    let gone: Vec<_> =
        work.made().iter().filter(|made| made.entry.event.occurred_at < cutoff).cloned().collect();
    assert!(gone.len() > 50);
    assert_eq!(store.purge(cutoff).must(), gone.len() as u64);
    assert_eq!(reference.purge(cutoff).must(), gone.len() as u64);
    assert_eq!(store.position().must().cutoff, Some(cutoff));
    for made in &gone {
        assert_eq!(store.call(made.seq).must(), None);
        assert_eq!(store.find(&[(&made.entry.event).into()]).must(), vec![None]);
    }
    // An earlier cut-off changes nothing.
    assert_eq!(store.purge("2026-05-01T00:00:00Z".parse().must()).must(), 0);
    assert_eq!(store.position().must().cutoff, Some(cutoff));
    for round in 0..2 {
        for (query, before) in questions.iter().zip(&before) {
            let after = store.usage(query).must();
            assert_eq!((&after.rows, &after.total), (&before.rows, &before.total), "{round} {query:?}");
        }
        // What only single calls can tell is told of those that are left.
        let range = TimeRange { from: Some(cutoff), to: None };
        for by in [Dimension::Session, Dimension::Tag("team".into()), Dimension::Project] {
            assert_same_sums(&*store, &reference, &UsageQuery { range, group_by: vec![by], ..everything() });
        }
        let by_session = UsageQuery { group_by: vec![Dimension::Session], ..everything() };
        assert_same_sums(&*store, &reference, &by_session);
        assert_eq!(store.extent(TimeRange::ALL).must(), reference.extent(TimeRange::ALL).must());
        let sum = store.range_sum(0, work.position()).must();
        assert_eq!(sum, reference.range_sum(0, work.position()).must());
        assert_eq!(store.audit().must().problems, Vec::<String>::new());
        store.rebuild().must();
    }
}

/// The first and last instant and the number of calls, in any range.
pub fn extent(backend: &dyn Backend) {
    let store = fresh(backend);
    assert_eq!(store.extent(TimeRange::ALL).must(), None);
    let mut work = Workload::new(37);
    let micros = [5_i64, 1_790_000_000_000_000, 1_790_000_000_000_001, -3];
    let at = |micros| Timestamp::from_microsecond(micros).must();
    let mut ops = Vec::new();
    for (seq, micros) in (1..).zip(micros) {
        let mut entry = work.entry();
        entry.event.occurred_at = at(micros);
        ops.push(entered(seq, &entry));
    }
    append(&*store, 4, ops);
    let range = |from: Option<i64>, to: Option<i64>| TimeRange { from: from.map(at), to: to.map(at) };
    let cases = [
        (range(None, None), Some((-3, micros[2], 4))),
        (range(Some(5), Some(micros[2])), Some((5, micros[1], 2))),
        (range(Some(6), Some(micros[1])), None),
        (range(Some(micros[2]), None), Some((micros[2], micros[2], 1))),
        (range(None, Some(-3)), None),
    ];
    for (range, expected) in cases {
        let expected = expected.map(|(first, last, calls)| (at(first), at(last), calls));
        assert_eq!(store.extent(range).must(), expected, "{range:?}");
    }
}

/// A store that is closed and opened again is the same store.
pub fn reopening(backend: &dyn Backend) {
    let (store, reference) = (fresh(backend), MemoryStore::default());
    if backend.path("fresh").is_none() {
        return;
    }
    let mut work = Workload::new(38);
    let mut store = store;
    for round in 0..3 {
        told(&*store, &reference, &mut work, 4);
        let before = store.position().must();
        if round % 2 == 0 {
            store.sync().must();
        }
        drop(store);
        store = fresh(backend);
        assert_eq!(store.position().must(), before);
        assert_alike(&*store, &reference, 38 + round, 40);
    }
}

/// A copy has what the store had, and goes its own way afterwards.
pub fn backup(backend: &dyn Backend) {
    let (store, reference) = (fresh(backend), MemoryStore::default());
    let Some(path) = backend.path("copy") else { return };
    let mut work = Workload::new(41);
    told(&*store, &reference, &mut work, 8);
    store.backup(&path).must();
    let later = work.batch(30);
    store.append(&later).must();
    let copy = backend.open("copy", &Zone::UTC);
    assert_eq!(copy.position().must().ledger_id, store.position().must().ledger_id);
    assert_alike(&*copy, &reference, 42, 60);
    assert_eq!(copy.audit().must().problems, Vec::<String>::new());
    copy.append(&later).must();
    reference.append(&later).must();
    assert_alike(&*copy, &reference, 43, 60);
    assert_alike(&*store, &reference, 44, 60);
    assert!(store.backup(&path).is_err(), "a backup replaces no file");
    let documents: &dyn ControlStore = &reference;
    assert_eq!(copy.controls("").must(), documents.controls("").must());
}
