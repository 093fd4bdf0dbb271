//! Topics about sums: dimensions, intervals, zones, filters, legs, the order of rows.

use super::questions::{INTERVALS, ZONES, assert_same_sums, dimensions, everything, zone};
use super::reading::priced;
use super::workload::Workload;
use super::{Backend, Must, append, entered, fresh};
use crate::memory::MemoryStore;
use crate::query::{
    CallsOrder, CallsQuery, Dimension, Filter, Interval, Measures, UsageQuery, UsageRow, View,
};
use crate::store::{EventStore, Store};
use tollbook_types::{
    CostBasis, Entry, Leg, LegRating, Meter, Meters, Money, Seq, Status, TimeRange, Timestamp,
};

/// A store of days in UTC and the reference, with the same calls.
fn filled(backend: &dyn Backend, seed: u64) -> (Box<dyn Store>, MemoryStore) {
    let (store, reference) = (fresh(backend), MemoryStore::default());
    let mut work = Workload::new(seed);
    for _ in 0..12 {
        let batch = work.batch(50);
        store.append(&batch).must();
        reference.append(&batch).must();
    }
    (store, reference)
}

/// By every dimension alone and beside the model, in every view.
pub fn every_dimension(backend: &dyn Backend) {
    let (store, reference) = filled(backend, 21);
    for dimension in dimensions() {
        for view in [View::Corrected, View::Billed, View::AsOf(Timestamp::from_second(1_798_010_000).must())]
        {
            for group_by in [vec![dimension.clone()], vec![Dimension::Model, dimension.clone()]] {
                assert_same_sums(&*store, &reference, &UsageQuery { view, group_by, ..everything() });
            }
        }
    }
}

/// By every interval in every zone, over all time and over ranges of whole days and of odd ends.
pub fn every_interval(backend: &dyn Backend) {
    let (store, reference) = filled(backend, 22);
    let instant = |text: &str| text.parse::<Timestamp>().ok();
    let ranges = [
        TimeRange::ALL,
        TimeRange { from: instant("2026-03-01T00:00:00Z"), to: instant("2026-11-01T00:00:00Z") },
        TimeRange {
            from: instant("2026-03-28T23:10:00.000001Z"),
            to: instant("2026-10-25T21:59:59.999999Z"),
        },
        TimeRange { from: None, to: instant("2026-10-24T22:00:00Z") },
        TimeRange { from: instant("2026-10-25T00:45:00Z"), to: instant("2026-10-25T00:45:00Z") },
    ];
    for name in ZONES {
        for interval in INTERVALS {
            for range in ranges {
                let by = if interval == Interval::Hour { Dimension::Model } else { Dimension::Project };
                let query =
                    UsageQuery { range, interval, zone: zone(name), group_by: vec![by], ..everything() };
                assert_same_sums(&*store, &reference, &query);
                assert_same_sums(&*store, &reference, &UsageQuery { group_by: Vec::new(), ..query });
            }
        }
    }
}

/// Zone, first instant of a day, and the calls on it when there is one every quarter of an hour.
const DAYS: &[(&str, &str, u64)] = &[
    ("UTC", "2026-10-25T00:00:00Z", 96),
    ("Europe/Berlin", "2026-03-28T23:00:00Z", 92),
    ("Europe/Berlin", "2026-10-24T22:00:00Z", 100),
    ("America/New_York", "2026-03-08T05:00:00Z", 92),
    ("America/New_York", "2026-11-01T04:00:00Z", 100),
    ("Australia/Lord_Howe", "2026-04-04T13:00:00Z", 98),
    ("Australia/Lord_Howe", "2026-10-03T13:30:00Z", 94),
    ("Africa/Cairo", "2026-04-23T22:00:00Z", 92),
    ("Asia/Kathmandu", "2026-10-24T18:15:00Z", 96),
    ("Pacific/Kiritimati", "2026-10-24T10:00:00Z", 96),
    ("America/St_Johns", "2026-11-01T02:30:00Z", 100),
];

/// Days of 23, 23½, 24, 24½ and 25 hours count what occurred on them, whatever the store's zone.
pub fn days_of_every_zone(backend: &dyn Backend) {
    for own in ["UTC", "Europe/Berlin", "Asia/Kathmandu"] {
        let store = backend.open(own, &zone(own));
        let mut work = Workload::new(23);
        let mut seq = 0;
        let mut days: Vec<&str> = DAYS.iter().map(|(_, day, _)| *day).collect();
        days.sort();
        let mut next = Timestamp::MIN.as_second();
        for day in days {
            // From a day before to two days after, once.
            let start = day.parse::<Timestamp>().must().as_second();
            let mut ops = Vec::new();
            for second in (start - 86_400..start + 2 * 86_400).step_by(900) {
                if second >= next {
                    let mut entry = priced(&mut work, 3);
                    entry.event.occurred_at = Timestamp::from_second(second).must();
                    seq += 1;
                    ops.push(entered(seq, &entry));
                    next = second + 900;
                }
            }
            if !ops.is_empty() {
                append(&*store, seq, ops);
            }
        }
        let all = store.usage(&everything()).must().total;
        for (name, day, calls) in DAYS {
            let by_day = UsageQuery { interval: Interval::Day, zone: zone(name), ..everything() };
            let rows = store.usage(&by_day).must().rows;
            let start = day.parse::<Timestamp>().must();
            let row = rows.iter().find(|row| row.bucket == Some(start));
            assert_eq!(row.map(|row| row.measures.calls), Some(*calls), "{name} {day} in a store of {own}");
            assert_eq!(row.map(|row| row.measures.cost.picos()), Some(i128::from(*calls) * 3));
            assert_eq!(merged(&rows), all, "the days of {name} add up in a store of {own}");
        }
    }
}

fn merged(rows: &[UsageRow]) -> Measures {
    let mut sum = Measures::default();
    for row in rows {
        assert_eq!(sum.merge(&row.measures), Some(()));
    }
    sum
}

/// However the whole is split, the parts add up to it, and the total is the whole.
pub fn splits_add_up(backend: &dyn Backend) {
    let (store, _) = filled(backend, 24);
    for view in [View::Corrected, View::Billed] {
        let whole = store.usage(&UsageQuery { view, ..everything() }).must();
        assert_eq!((whole.rows.len(), &whole.rows[0].measures), (1, &whole.total));
        assert!(whole.total.calls > 300 && whole.total.cost > Money::ZERO);
        let all = dimensions();
        for (at, dimension) in all.iter().enumerate() {
            for interval in INTERVALS {
                let zone = zone(ZONES[at % ZONES.len()]);
                let group_by = vec![dimension.clone(), all[(at + 3) % all.len()].clone()];
                let split = UsageQuery { interval, zone, group_by, view, ..everything() };
                let report = store.usage(&split).must();
                assert_eq!(report.total, whole.total, "{split:?}");
                assert_eq!(merged(&report.rows), whole.total, "{split:?}");
            }
        }
    }
}

/// A store without calls has no rows; nor have filters and ranges that nothing passes.
pub fn nothing_is_no_row(backend: &dyn Backend) {
    let store = fresh(backend);
    let ask = |store: &dyn Store, query: UsageQuery| {
        let report = store.usage(&query).must();
        assert_eq!((report.rows, report.total), (Vec::new(), Measures::default()), "{query:?}");
    };
    for interval in INTERVALS {
        ask(&*store, UsageQuery { interval, ..everything() });
    }
    let entry = priced(&mut Workload::new(25), 1);
    append(&*store, 1, vec![entered(1, &entry)]);
    let at = entry.event.occurred_at;
    let nobody = vec![Filter { dimension: Dimension::User, values: Vec::new(), negated: false }];
    ask(&*store, UsageQuery { filters: nobody, ..everything() });
    ask(&*store, UsageQuery { range: TimeRange { from: None, to: Some(at) }, ..everything() });
    ask(&*store, UsageQuery { range: TimeRange { from: Some(at), to: Some(at) }, ..everything() });
    let just_it = TimeRange { from: Some(at), to: Timestamp::from_microsecond(at.as_microsecond() + 1).ok() };
    let range = UsageQuery { range: just_it, ..everything() };
    assert_eq!(store.usage(&range).must().total.calls, 1);
}

/// By bucket, then by cost from the highest, then by keys: absent before empty before others.
pub fn order_of_rows(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(26);
    // Hour, user, cost.
    let calls: &[(i64, Option<&str>, i128)] = &[
        (1, Some("b"), 5),
        (1, Some("a"), 5),
        (1, None, 5),
        (1, Some(""), 5),
        (1, Some("B"), 5),
        (1, Some("é"), 5),
        (1, Some("z"), 90),
        (1, Some("dear"), 9_999_999_999_999_999_999),
        (0, Some("early"), 1),
        (0, Some("zero"), 0),
        (2, Some("a"), 7),
    ];
    let mut ops = Vec::new();
    for (seq, (hour, user, cost)) in (1..).zip(calls) {
        let mut entry = priced(&mut work, *cost);
        entry.event.occurred_at = Timestamp::from_second(1_790_000_000 / 3_600 * 3_600 + hour * 3_600).must();
        entry.event.attribution.user = user.map(str::to_owned);
        ops.push(entered(seq, &entry));
    }
    append(&*store, 11, ops);
    let by_hour = UsageQuery { interval: Interval::Hour, group_by: vec![Dimension::User], ..everything() };
    let rows = store.usage(&by_hour).must().rows;
    let users: Vec<Option<&str>> = rows.iter().map(|row| row.keys[0].as_deref()).collect();
    let hour_one = [Some("dear"), Some("z"), None, Some(""), Some("B"), Some("a"), Some("b"), Some("é")];
    let expected = [&[Some("early"), Some("zero")], &hour_one[..], &[Some("a")]].concat();
    assert_eq!(users, expected);
    assert!(rows.is_sorted_by_key(|row| row.bucket));
}

/// Absent, empty and other values are told apart; several values are "one of", several filters
/// "all of"; a negated filter passes what is absent unless that is named.
pub fn filters(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(27);
    // One bit of the cost for each call, so that a sum says which calls are in it.
    let teams = [None, Some(""), Some("ops"), Some("Ops"), Some("o_s"), Some("o%")];
    let mut ops = Vec::new();
    for (at, team) in teams.iter().enumerate() {
        let mut entry = priced(&mut work, 1 << at);
        entry.event.attribution.customer = team.map(str::to_owned);
        entry.event.attribution.tags = Default::default();
        if let Some(team) = team {
            entry.event.attribution.tags.insert("team".to_owned(), (*team).to_owned());
        }
        if at == 4 {
            entry.event.status = Status::Timeout;
        }
        ops.push(entered(at as Seq + 1, &entry));
    }
    append(&*store, 6, ops);
    let cases: &[(&[Option<&str>], bool, i128)] = &[
        (&[Some("ops")], false, 0b000100),
        (&[Some("ops")], true, 0b111011),
        (&[None], false, 0b000001),
        (&[None], true, 0b111110),
        (&[Some("")], false, 0b000010),
        (&[Some("o_s"), None], false, 0b010001),
        (&[Some("o%"), Some("Ops")], false, 0b101000),
        (&[Some("ops"), None], true, 0b111010),
        (&[Some("nobody")], false, 0),
        (&[], false, 0),
        (&[], true, 0b111111),
    ];
    for dimension in [Dimension::Tag("team".to_owned()), Dimension::Customer] {
        for (values, negated, expected) in cases {
            let values = values.iter().map(|value| value.map(str::to_owned)).collect();
            let filter = Filter { dimension: dimension.clone(), values, negated: *negated };
            assert_eq!(cost_of(&*store, std::slice::from_ref(&filter)), *expected, "{filter:?}");
            let timeout = Filter::is(Dimension::Status, "timeout");
            let both = [filter, Filter { negated: true, ..timeout }];
            assert_eq!(cost_of(&*store, &both), expected & 0b101111, "{both:?}");
        }
    }
    let absent = Filter { dimension: Dimension::Tag("none".to_owned()), values: vec![None], negated: false };
    assert_eq!(cost_of(&*store, &[absent]), 0b111111);
}

/// The sum of what passes, which calls and sums must agree on.
fn cost_of(store: &dyn Store, filters: &[Filter]) -> i128 {
    let total = store.usage(&UsageQuery { filters: filters.to_vec(), ..everything() }).must().total;
    let query = CallsQuery {
        range: TimeRange::ALL,
        filters: filters.to_vec(),
        order: CallsOrder::Recorded,
        after: None,
        limit: 100,
    };
    let calls = store.calls(&query).must().calls;
    let costs = calls.iter().map(|call| call.corrected().rating.cost.unwrap_or_default().picos());
    assert_eq!(costs.sum::<i128>(), total.cost.picos(), "{filters:?}");
    total.cost.picos()
}

/// Meters, then cost by side.
fn leg(model: Option<&str>, input: u64, output: u64) -> (Leg, LegRating) {
    let meters = Meters::from_pairs([(Meter::Input, input), (Meter::Output, output)]);
    let money = |units: u64| Some(Money::from_picos(i128::from(units)));
    let rating = LegRating {
        card: None,
        cost: money(input * 10 + output * 100 + 1),
        input_cost: money(input * 10),
        output_cost: money(output * 100),
        other_cost: money(1),
    };
    (Leg { model: model.map(str::to_owned), kind: None, meters }, rating)
}

fn legged(work: &mut Workload, bill: Option<i128>) -> Entry {
    let mut entry = priced(work, 0);
    entry.event.model = "main".to_owned();
    let parts = [leg(None, 1, 2), leg(Some("side"), 3, 4), leg(Some("main"), 5, 6), leg(Some("third"), 7, 8)];
    let (legs, ratings): (Vec<Leg>, Vec<LegRating>) = parts.into_iter().unzip();
    entry.event.usage = Some(tollbook_types::Usage::of(legs));
    let rating = &mut entry.rating;
    rating.legs = ratings;
    let (input, output, other) = if let Some(bill) = bill {
        rating.basis = CostBasis::Provider;
        (bill, 0, 0)
    } else {
        (160, 2_000, 4)
    };
    rating.cost = Some(Money::from_picos(input + output + other));
    rating.input_cost = Some(Money::from_picos(input));
    rating.output_cost = Some(Money::from_picos(output));
    rating.other_cost = Some(Money::from_picos(other));
    entry
}

/// A call counts once, at its event's model; the legs of other models add their meters, and their
/// money where it is known whose it is.
pub fn legs(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(28);
    append(&*store, 1, vec![entered(1, &legged(&mut work, None))]);
    let by_model = UsageQuery { group_by: vec![Dimension::Model], ..everything() };
    let row = |row: &UsageRow| {
        let m = &row.measures;
        let sides = [m.input_cost, m.output_cost, m.other_cost].map(Money::picos);
        let tokens = (m.meters.input_tokens(), m.meters.output_tokens());
        (row.keys[0].clone().unwrap_or_default(), m.calls, tokens, m.cost.picos(), sides)
    };
    let rows = |query: &UsageQuery| store.usage(query).must().rows.iter().map(row).collect::<Vec<_>>();
    let third = ("third".to_owned(), 0, (7, 8), 871, [70, 800, 1]);
    let main = ("main".to_owned(), 1, (6, 8), 862, [60, 800, 2]);
    let side = ("side".to_owned(), 0, (3, 4), 431, [30, 400, 1]);
    assert_eq!(rows(&by_model), vec![third.clone(), main.clone(), side.clone()]);

    let only = |model: &str, negated| UsageQuery {
        filters: vec![Filter { negated, ..Filter::is(Dimension::Model, model) }],
        ..by_model.clone()
    };
    assert_eq!(rows(&only("side", false)), vec![side.clone()]);
    assert_eq!(rows(&only("side", true)), vec![third.clone(), main.clone()]);
    assert_eq!(rows(&only("main", true)), vec![third, side]);
    // Without grouping by model, the filter still sees legs.
    let side_total = store.usage(&UsageQuery { group_by: Vec::new(), ..only("side", false) }).must().total;
    assert_eq!((side_total.calls, side_total.cost.picos(), side_total.cost_min), (0, 431, None));
    let total = store.usage(&everything()).must().total;
    let whole = Some(Money::from_picos(2_164));
    assert_eq!((total.calls, total.cost.picos(), total.cost_min, total.cost_max), (1, 2_164, whole, whole));

    // A provider's bill says nothing of legs: the money stays at the event's model.
    append(&*store, 2, vec![entered(2, &legged(&mut work, Some(50_000)))]);
    let expected = vec![
        ("main".to_owned(), 2, (12, 16), 50_862, [50_060, 800, 2]),
        ("third".to_owned(), 0, (14, 16), 871, [70, 800, 1]),
        ("side".to_owned(), 0, (6, 8), 431, [30, 400, 1]),
    ];
    assert_eq!(rows(&by_model), expected);
    let listed = |model: &str| {
        let filters = vec![Filter::is(Dimension::Model, model)];
        cost_free_count(&*store, filters)
    };
    assert_eq!((listed("main"), listed("side"), listed("none")), (2, 2, 0), "calls are listed by their legs");
}

fn cost_free_count(store: &dyn EventStore, filters: Vec<Filter>) -> usize {
    let (range, order) = (TimeRange::ALL, CallsOrder::Newest);
    store.calls(&CallsQuery { range, filters, order, after: None, limit: 10 }).must().calls.len()
}
