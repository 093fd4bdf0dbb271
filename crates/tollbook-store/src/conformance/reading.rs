//! Topics about single calls: their members, their adjustments, their order in pages.

use super::workload::Workload;
use super::writing::adjustment;
use super::{Backend, Must, adjusted, append, entered, fresh};
use crate::query::{CallsCursor, CallsOrder, CallsQuery, UsageQuery, View};
use crate::store::Store;
use tollbook_types::{Entry, Evidence, Meter, Money, Seq, TimeRange, Timestamp};

/// Every member of every entry and adjustment comes back; as JSON, byte by byte.
pub fn round_trip(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(11).with_huge_costs();
    let mut adjustments = Vec::new();
    for _ in 0..20 {
        let batch = work.batch(30);
        for op in &batch.ops {
            if let crate::Op::Adjust { seq, digest, adjustment } = op {
                adjustments.push((adjustment.entry, *seq, *digest, adjustment.clone()));
            }
        }
        store.append(&batch).must();
    }
    let mut read = 0;
    for made in work.made() {
        let Some(call) = store.call(made.seq).must() else { panic!("entry {} is not there", made.seq) };
        let json = |entry: &Entry| serde_json::to_string(entry).must();
        assert_eq!(json(&call.entry), json(&made.entry), "entry {}", made.seq);
        assert_eq!(call.entry, *made.entry);
        assert_eq!(call.digest, crate::entry_digest(made.seq, &made.entry));
        assert_eq!(call.corrected(), made.state);
        let mine = adjustments.iter().filter(|(entry, ..)| *entry == made.seq);
        let expected: Vec<_> = mine.map(|(_, seq, digest, adjustment)| (*seq, *digest, adjustment)).collect();
        let kept: Vec<_> = call.adjustments.iter().map(|(seq, digest, made)| (*seq, *digest, made)).collect();
        assert_eq!(kept.len(), expected.len(), "adjustments of entry {}", made.seq);
        for (kept, expected) in kept.iter().zip(&expected) {
            assert_eq!((kept.0, kept.1), (expected.0, expected.1));
            let (kept, expected) = (serde_json::to_string(kept.2), serde_json::to_string(&**expected.2));
            assert_eq!(kept.must(), expected.must());
            read += 1;
        }
    }
    assert!(read > 30 && work.made().len() > 300, "the workload has enough of all: {read}");
}

/// Adjustments are whole later states: billed stays, corrected is the last, and as of an instant
/// is the last one made up to then.
pub fn adjustments_and_views(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(12);
    let mut entry = priced(&mut work, 100);
    entry.event.evidence = Evidence::Partial;
    entry.event.attribution.customer = None;
    let second = |n: i64| Timestamp::from_second(1_800_000_000 + n).must();
    let costs = [Some(70), None, Some(250)];
    append(&*store, 1, vec![entered(1, &entry)]);
    for (version, cost) in (1..).zip(costs) {
        let mut state = adjustment(1, &entry, version, None, second(i64::from(version) * 10));
        state.rating.cost = cost.map(Money::from_picos);
        state.rating.input_cost = state.rating.cost;
        state.rating.output_cost = state.rating.cost.map(|_| Money::ZERO);
        state.rating.other_cost = state.rating.output_cost;
        state.rating.legs.clear();
        state.evidence = if cost.is_none() { Evidence::Unknown } else { Evidence::ProviderUsage };
        state.attribution.customer = (version == 3).then(|| "acme".to_owned());
        append(&*store, Seq::from(version) + 1, vec![adjusted(Seq::from(version) + 1, &state)]);
    }
    let expected = [
        (View::Billed, 100, 1, 0),
        (View::AsOf(second(9)), 100, 1, 0),
        (View::AsOf(second(10)), 70, 0, 0),
        (View::AsOf(second(19)), 70, 0, 0),
        (View::AsOf(second(20)), 0, 0, 1),
        (View::AsOf(second(30)), 250, 0, 0),
        (View::AsOf(second(9_999)), 250, 0, 0),
        (View::Corrected, 250, 0, 0),
    ];
    for (view, cost, estimated, unknown) in expected {
        let total = store.usage(&UsageQuery { view, ..super::questions::everything() }).must().total;
        let found = (total.cost.picos(), total.estimated_calls, total.unknown_calls, total.calls);
        assert_eq!(found, (cost, estimated, unknown, 1), "{view:?}");
    }
    let customer = crate::Dimension::Customer;
    for (view, value) in [(View::Billed, None), (View::Corrected, Some("acme".to_owned()))] {
        let group_by = vec![customer.clone()];
        let rows = store.usage(&UsageQuery { view, group_by, ..super::questions::everything() }).must().rows;
        assert_eq!(rows.iter().map(|row| row.keys[0].clone()).collect::<Vec<_>>(), vec![value]);
    }
    let versions = store.call(1).must().map(|call| call.adjustments.len());
    assert_eq!(versions, Some(3));
}

/// An entry of one leg, in 2026, that is priced on its input side only.
pub(super) fn priced(work: &mut Workload, picos: i128) -> Entry {
    let mut entry = work.entry();
    let event = &mut entry.event;
    event.usage = Some(tollbook_types::Usage::one(tollbook_types::Meters::from_pairs([(Meter::Input, 10)])));
    (event.evidence, event.free, event.provider_cost) = (Evidence::ProviderUsage, None, None);
    (event.status, event.inconsistent, event.cache_hit) = (Default::default(), false, None);
    let rating = &mut entry.rating;
    rating.basis = tollbook_types::CostBasis::Book;
    rating.cost = Some(Money::from_picos(picos));
    (rating.input_cost, rating.output_cost) = (rating.cost, Some(Money::ZERO));
    rating.other_cost = rating.output_cost;
    rating.legs.clear();
    entry
}

/// Pages follow one another without gap or overlap in every order, at every size; ties and calls
/// without a cost have their place.
pub fn pages_of_calls(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(13);
    // Cost in picodollars and second of each call, by position from 1.
    let calls: &[(Option<i128>, i64)] = &[
        (Some(5), 10),
        (None, 30),
        (Some(0), 20),
        (Some(5), 20),
        (Some(20_000_000_000_000_000_000), 0),
        (None, 20),
        (Some(19_999_999_999_999_999_999), 40),
    ];
    let mut ops = Vec::new();
    for (seq, (cost, second)) in (1..).zip(calls) {
        let mut entry = priced(&mut work, cost.unwrap_or(0));
        entry.event.occurred_at = Timestamp::from_second(1_790_000_000 + second).must();
        if cost.is_none() {
            let rating = &mut entry.rating;
            rating.basis = tollbook_types::CostBasis::Unpriced;
            (rating.cost, rating.input_cost, rating.output_cost, rating.other_cost) =
                (None, None, None, None);
        }
        ops.push(entered(seq, &entry));
    }
    append(&*store, 7, ops);
    let orders: [(CallsOrder, [Seq; 7]); 3] = [
        (CallsOrder::Newest, [7, 2, 6, 4, 3, 1, 5]),
        (CallsOrder::Costliest, [5, 7, 4, 1, 3, 6, 2]),
        (CallsOrder::Recorded, [1, 2, 3, 4, 5, 6, 7]),
    ];
    for (order, expected) in orders {
        for limit in 1..=8 {
            assert_eq!(all_pages(&*store, order, limit), expected, "{order:?} by {limit}");
        }
    }
    let costliest = CallsQuery {
        range: TimeRange::ALL,
        filters: Vec::new(),
        order: CallsOrder::Costliest,
        after: None,
        limit: 6,
    };
    let next = store.calls(&costliest).must().next;
    assert_eq!(next, Some(CallsCursor { key: i128::MIN, seq: 6 }), "the cursor of a call without a cost");
    let second = |n: i64| Timestamp::from_second(1_790_000_000 + n).must();
    let range = TimeRange { from: Some(second(10)), to: Some(second(30)) };
    let page = store.calls(&CallsQuery { range, order: CallsOrder::Recorded, ..costliest }).must();
    let seqs: Vec<Seq> = page.calls.iter().map(|call| call.seq).collect();
    assert_eq!((seqs, page.next), (vec![1, 3, 4, 6], None), "from is in the range, to is not");
}

fn all_pages(store: &dyn Store, order: CallsOrder, limit: usize) -> Vec<Seq> {
    let mut query = CallsQuery { range: TimeRange::ALL, filters: Vec::new(), order, after: None, limit };
    let mut seqs = Vec::new();
    loop {
        let page = store.calls(&query).must();
        assert!(page.calls.len() <= limit);
        seqs.extend(page.calls.iter().map(|call| call.seq));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return seqs,
        }
    }
}
