//! Random questions, and the comparison of two stores by their answers.

use super::Must;
use super::random::Random;
use super::workload::{MODELS, NAMES, PROJECTS, SESSIONS, SOURCES, TAGS};
use crate::bucket::bucket_start;
use crate::identity::{IdentityRef, ResponseRef};
use crate::query::{CallsOrder, CallsQuery, Dimension, Filter, Interval, UsageQuery, View, Zone};
use crate::stats::StatsQuery;
use crate::store::{EventStore, Store};
use tollbook_types::{Evidence, Seq, Status, TimeRange, Timestamp};

/// Zones with whole, half and quarter hours, with changes of the clocks at midnight, by half an
/// hour, and without any.
pub const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Australia/Eucla",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Antarctica/Troll",
];

/// Every interval.
pub(super) const INTERVALS: [Interval; 5] =
    [Interval::None, Interval::Hour, Interval::Day, Interval::Week, Interval::Month];

/// A zone of the list above.
pub(super) fn zone(name: &str) -> Zone {
    match Zone::get(name) {
        Ok(zone) => zone,
        Err(error) => panic!("{error}"),
    }
}

/// Every dimension, with every tag of the workload.
pub(super) fn dimensions() -> Vec<Dimension> {
    let tags = TAGS.iter().map(|key| Dimension::Tag((*key).to_owned()));
    Dimension::NAMED.iter().cloned().chain(tags).collect()
}

/// The sum of everything, split by nothing.
pub(super) fn everything() -> UsageQuery {
    UsageQuery {
        range: TimeRange::ALL,
        interval: Interval::None,
        zone: Zone::UTC,
        group_by: Vec::new(),
        filters: Vec::new(),
        view: View::Corrected,
    }
}

/// A question for sums.
pub fn usage_query(random: &mut Random) -> UsageQuery {
    let zone = zone(ZONES[random.below(ZONES.len() as u64) as usize]);
    let interval = *random.pick(&INTERVALS);
    let all = dimensions();
    let group_by = (0..random.below(4)).map(|_| random.pick(&all).clone()).collect();
    let filters = (0..random.below(3)).map(|_| filter(random)).collect();
    let view = match random.below(5) {
        0 | 1 => View::Billed,
        2 => View::AsOf(moment(random, 1_798_000_000, 1_000_000)),
        _ => View::Corrected,
    };
    UsageQuery { range: range(random, &zone), interval, zone, group_by, filters, view }
}

/// A question for more than sums, at an instant around the calls' own.
pub fn stats_query(random: &mut Random) -> StatsQuery {
    let usage = usage_query(random);
    let limit = random.chance(40).then(|| 1 + random.below(4) as usize);
    StatsQuery { usage, at: moment(random, 1_767_225_600, 365 * 86_400), limit }
}

/// A question for calls, from the start.
pub fn calls_query(random: &mut Random) -> CallsQuery {
    CallsQuery {
        range: range(random, &Zone::UTC),
        filters: (0..random.below(3)).map(|_| filter(random)).collect(),
        order: *random.pick(&[CallsOrder::Newest, CallsOrder::Costliest, CallsOrder::Recorded]),
        after: None,
        limit: 1 + random.below(60) as usize,
    }
}

fn moment(random: &mut Random, from_second: i64, seconds: u64) -> Timestamp {
    let micros = from_second * 1_000_000 + random.below(seconds * 1_000_000) as i64;
    Timestamp::from_microsecond(micros).must()
}

/// All time, a stretch of 2026 with ends anywhere, or one of whole hours, days or months of a zone.
fn range(random: &mut Random, zone: &Zone) -> TimeRange {
    let mut end = || {
        let at = moment(random, 1_767_225_600, 365 * 86_400);
        let unit = *random.pick(&INTERVALS);
        let kept = random.chance(75);
        kept.then(|| bucket_start(at, unit, zone).unwrap_or(at))
    };
    let (one, other) = (end(), end());
    match (one, other) {
        (Some(one), Some(other)) => TimeRange { from: Some(one.min(other)), to: Some(one.max(other)) },
        (from, to) => TimeRange { from, to },
    }
}

fn filter(random: &mut Random) -> Filter {
    let dimension = random.pick(&dimensions()).clone();
    let models: Vec<&str> = MODELS.iter().flat_map(|(_, models)| models.iter().copied()).collect();
    let providers: Vec<&str> = MODELS.iter().map(|(provider, _)| *provider).collect();
    let states: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
    let evidence: Vec<&str> = Evidence::ALL.iter().map(|evidence| evidence.name()).collect();
    let values: &[&str] = match dimension {
        Dimension::Project => PROJECTS,
        Dimension::Session | Dimension::OperationId => SESSIONS,
        Dimension::Provider => &providers,
        Dimension::Model => &models,
        Dimension::Status => &states,
        Dimension::Source => SOURCES,
        Dimension::Evidence => &evidence,
        _ => NAMES,
    };
    let mut value = || {
        if random.chance(15) { None } else { random.maybe(95, values).or(Some("no such value".to_owned())) }
    };
    let values = match value() {
        Some(first) => vec![Some(first), value(), value()],
        None => vec![None],
    };
    let kept = random.below(values.len() as u64 + 1) as usize;
    Filter { dimension, values: values.into_iter().take(kept).collect(), negated: random.chance(40) }
}

/// Asserts that both give the same sums.
#[track_caller]
pub fn assert_same_sums(store: &dyn EventStore, reference: &dyn EventStore, query: &UsageQuery) {
    let (answer, expected) = (store.usage(query).must(), reference.usage(query).must());
    assert_eq!(answer.total, expected.total, "the total of {query:?}");
    assert_eq!(answer.rows, expected.rows, "the rows of {query:?}");
}

/// Asserts that both say the same beyond sums.
#[track_caller]
pub fn assert_same_stats(store: &dyn EventStore, reference: &dyn EventStore, query: &StatsQuery) {
    let (answer, expected) = (store.stats(query).must(), reference.stats(query).must());
    assert_eq!(answer.total, expected.total, "the total of {query:?}");
    assert_eq!(answer.rows, expected.rows, "the rows of {query:?}");
}

/// Asserts that two stores that were told the same cannot be told apart by so many random
/// questions, nor by any single call.
#[track_caller]
pub fn assert_alike(store: &dyn Store, reference: &dyn Store, seed: u64, questions: usize) {
    let mut random = Random::new(seed);
    for _ in 0..questions {
        assert_same_sums(store, reference, &usage_query(&mut random));
    }
    for _ in 0..questions / 2 {
        assert_same_stats(store, reference, &stats_query(&mut random));
    }
    for _ in 0..questions / 4 {
        same_pages(store, reference, calls_query(&mut random));
    }
    same_calls(store, reference);
    for _ in 0..20 {
        let range = range(&mut random, &Zone::UTC);
        assert_eq!(store.extent(range).must(), reference.extent(range).must(), "{range:?}");
        let applied = reference.position().must().applied;
        let first = random.below(applied + 2);
        let last = first + random.below(applied + 2);
        same_records(store, reference, first, last);
    }
    same_records(store, reference, 0, Seq::MAX >> 1);
    assert_eq!(store.position().must().applied, reference.position().must().applied);
    assert_eq!(store.position().must().cutoff, reference.position().must().cutoff);
    assert_eq!(store.open_calls().must(), reference.open_calls().must());
    assert_eq!(store.gaps().must(), reference.gaps().must());
    assert_eq!(store.seals().must(), reference.seals().must());
    for prefix in ["", "card/", "key/ab1", "budget/team_", "budget/team%", "none"] {
        assert_eq!(store.controls(prefix).must(), reference.controls(prefix).must(), "{prefix}");
    }
}

#[track_caller]
fn same_records(store: &dyn Store, reference: &dyn Store, first: Seq, last: Seq) {
    assert_eq!(
        store.range_sum(first, last).must(),
        reference.range_sum(first, last).must(),
        "the sums of {first}..={last}"
    );
    assert_eq!(
        store.digests(first, last).must(),
        reference.digests(first, last).must(),
        "the digests of {first}..={last}"
    );
}

/// Follows the cursors to the end.
#[track_caller]
fn same_pages(store: &dyn Store, reference: &dyn Store, mut query: CallsQuery) {
    loop {
        let (answer, expected) = (store.calls(&query).must(), reference.calls(&query).must());
        let seqs = |page: &crate::CallsPage| page.calls.iter().map(|call| call.seq).collect::<Vec<Seq>>();
        assert_eq!(seqs(&answer), seqs(&expected), "the calls of {query:?}");
        assert_eq!(answer, expected, "{query:?}");
        if expected.next.is_none() {
            return;
        }
        query.after = expected.next;
    }
}

#[track_caller]
fn same_calls(store: &dyn Store, reference: &dyn Store) {
    let query = CallsQuery {
        range: TimeRange::ALL,
        filters: Vec::new(),
        order: CallsOrder::Recorded,
        after: None,
        limit: 1_000_000,
    };
    for call in reference.calls(&query).must().calls {
        assert_eq!(store.call(call.seq).must().as_ref(), Some(&call));
        let event = &call.entry.event;
        let own = event.identity();
        let identities: Vec<_> = call.joined.iter().map(|(joined, _)| joined.clone()).chain([own]).collect();
        let asked: Vec<IdentityRef<'_>> = identities.iter().map(IdentityRef::from).collect();
        assert_eq!(store.find(&asked).must(), reference.find(&asked).must());
        for identity in &identities {
            let (found, expected) = (store.calls_by_id(&identity.id), reference.calls_by_id(&identity.id));
            assert_eq!(found.must(), expected.must(), "calls by the id {:?}", identity.id);
        }
        let keys: Vec<_> = ResponseRef::of(event).into_iter().collect();
        assert_eq!(store.find_responses(&keys).must(), reference.find_responses(&keys).must());
    }
}
