//! Topics about what is said of calls beyond sums: figures that were worked out by hand.

use super::questions::everything;
use super::reading::priced;
use super::workload::Workload;
use super::writing::adjustment;
use super::{Backend, Must, adjusted, append, entered, fresh};
use crate::query::{Dimension, UsageQuery, View};
use crate::stats::{Percentiles, Stats, StatsQuery};
use crate::store::Store;
use tollbook_types::{Entry, Meter, Meters, Money, Seq, Status, TimeRange, Timestamp, Usage};

fn second(n: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + n).must()
}

/// One call: user and session, latency and time to first token, cost, second, status.
type Row = (Option<&'static str>, Option<&'static str>, Option<u64>, Option<u64>, i128, i64, Status);

const ROWS: &[Row] = &[
    (Some("ann"), Some("s1"), Some(100), Some(10), 1_000, 0, Status::Ok),
    (Some("ann"), Some("s1"), Some(300), None, 3_000, 1_800, Status::Ok),
    (Some("bob"), Some("s2"), Some(200), Some(30), 2_001, 1_801, Status::Ok),
    (None, None, None, Some(20), 5, 3_600, Status::Ok),
    (Some("bob"), Some("s3"), Some(400), None, 700, 5_401, Status::UpstreamError),
];

fn entry(work: &mut Workload, row: &Row) -> Entry {
    let (user, session, latency, first, picos, at, status) = *row;
    let mut entry = priced(work, picos);
    let event = &mut entry.event;
    let meters = [(Meter::Input, 60), (Meter::CacheRead, 20), (Meter::Output, 20)];
    event.usage = Some(Usage::one(Meters::from_pairs(meters)));
    (event.latency_ms, event.time_to_first_token_ms) = (latency, first);
    (event.occurred_at, event.status) = (second(at), status);
    (event.attribution.user, event.attribution.session) =
        (user.map(str::to_owned), session.map(str::to_owned));
    entry
}

fn filled(backend: &dyn Backend) -> Box<dyn Store> {
    let store = fresh(backend);
    let mut work = Workload::new(81);
    for (seq, row) in (1..).zip(ROWS) {
        append(&*store, seq, vec![entered(seq, &entry(&mut work, row))]);
    }
    store
}

/// Everything, looked at in some second.
fn all_at(at: i64) -> StatsQuery {
    StatsQuery { usage: everything(), at: second(at), limit: None }
}

/// Percentiles, persons, averages and ratios of five calls.
pub fn stats_by_hand(backend: &dyn Backend) {
    let store = filled(backend);
    let total = store.stats(&all_at(5_400)).must().total;
    let picos = |amount: Option<Money>| amount.map(Money::picos);
    assert_eq!(
        total.latency_ms,
        Some(Percentiles { count: 4, p50: 200, p90: 400, p95: 400, p99: 400 }),
        "two of four are not above 200"
    );
    assert_eq!(total.first_token_ms, Some(Percentiles { count: 3, p50: 20, p90: 30, p95: 30, p99: 30 }));
    // The call that failed costs, but is neither a cheap nor a dear one.
    assert_eq!((total.priced_calls, total.priced_cost.picos()), (4, 6_006));
    assert_eq!((picos(total.measures.cost_min), picos(total.measures.cost_max)), (Some(5), Some(3_000)));
    assert_eq!(picos(total.cost_avg()), Some(1_502), "6,006 / 4 is 1,501.5: to even");
    assert_eq!((total.users, total.sessions, total.session_cost.picos()), (2, 3, 6_701));
    assert_eq!(picos(total.cost_per_session()), Some(2_234));
    assert_eq!((total.costed_tokens, picos(total.cost_per_1k_tokens())), (500, Some(13_412)));
    let text = |ratio: Option<tollbook_types::Ratio>| ratio.map(|ratio| ratio.to_string());
    assert_eq!(text(total.output_per_input()).as_deref(), Some("0.25"));
    assert_eq!(text(total.cache_read_rate()).as_deref(), Some("0.25"));
    assert_eq!(text(total.cache_hit_rate()).as_deref(), Some("0"));
    assert_eq!(text(total.success_rate()).as_deref(), Some("0.8"));

    let later = TimeRange { from: Some(second(9_000)), to: None };
    let nothing = UsageQuery { range: later, ..everything() };
    let empty = store.stats(&StatsQuery { usage: nothing, at: second(0), limit: None }).must();
    assert_eq!((empty.rows.len(), &empty.total), (0, &Stats::default()));
    let ratios = [empty.total.output_per_input(), empty.total.cache_hit_rate(), empty.total.success_rate()];
    assert_eq!(ratios, [None; 3], "nothing by nothing is no ratio");
    assert_eq!([empty.total.cost_avg(), empty.total.cost_per_session()], [None; 2]);
}

/// Sessions are active by the half hour before an instant; a user of several rows is one in the
/// total; corrections move a call from one person to another.
pub fn stats_by_sessions(backend: &dyn Backend) {
    let store = filled(backend);
    // From the very half hour before on, and not at the instant itself.
    for (at, active) in
        [(0, 0), (1, 1), (1_800, 1), (1_801, 1), (1_802, 2), (3_600, 2), (3_601, 1), (5_402, 1)]
    {
        let total = store.stats(&all_at(at)).must().total;
        assert_eq!(total.active_sessions, active, "at {at}");
    }
    let by_session = |view| {
        let usage = UsageQuery { group_by: vec![Dimension::Session], view, ..everything() };
        let report = store.stats(&StatsQuery { usage, at: second(5_400), limit: None }).must();
        let row = |row: &crate::StatsRow| (row.keys[0].clone(), row.stats.users, row.stats.sessions);
        (report.rows.iter().map(row).collect::<Vec<_>>(), report.total.users, report.total.sessions)
    };
    let named = |name: &str| Some(name.to_owned());
    let rows = vec![(named("s1"), 1, 1), (named("s2"), 1, 1), (named("s3"), 1, 1), (None, 0, 0)];
    assert_eq!(by_session(View::Corrected), (rows.clone(), 2, 3));

    let second_call = entry(&mut Workload::new(82), &ROWS[1]);
    let mut state = adjustment(2, &second_call, 1, None, second(9_000));
    (state.attribution.user, state.attribution.session) = (named("eve"), named("s1"));
    let seq: Seq = ROWS.len() as Seq + 1;
    append(&*store, seq, vec![adjusted(seq, &state)]);
    assert_eq!(by_session(View::Billed), (rows.clone(), 2, 3));
    assert_eq!(by_session(View::AsOf(second(8_999))), (rows, 2, 3));
    let corrected = by_session(View::Corrected);
    assert_eq!((corrected.0[0].1, corrected.1, corrected.2), (2, 3, 3), "ann and eve");
}

/// The dearest stand alone, the rest in one row, which adds up and counts a user once.
pub fn stats_of_the_dearest(backend: &dyn Backend) {
    let store = filled(backend);
    let usage = UsageQuery { group_by: vec![Dimension::Session], ..everything() };
    let sums = store.usage(&usage).must();
    for limit in 1..6 {
        let query = StatsQuery { usage: usage.clone(), at: second(5_400), limit: Some(limit) };
        let report = store.stats(&query).must();
        let top = sums.clone().top(limit).must();
        let rows = |row: &crate::StatsRow| (row.keys.clone(), row.rest, row.stats.measures.clone());
        let expected: Vec<_> =
            top.rows.iter().map(|row| (row.keys.clone(), row.rest, row.measures.clone())).collect();
        assert_eq!(report.rows.iter().map(rows).collect::<Vec<_>>(), expected, "{limit}");
        let left = 4_usize.saturating_sub(limit) as u64;
        assert_eq!(report.rows.last().map(|row| row.rest), Some(left), "{limit}");
        let together = Money::checked_sum(report.rows.iter().map(|row| row.stats.measures.cost));
        assert_eq!(together, Some(report.total.measures.cost));
    }
    let query = StatsQuery { usage, at: second(5_400), limit: Some(1) };
    let rest = store.stats(&query).must().rows.remove(1).stats;
    assert_eq!((rest.users, rest.sessions, rest.latency_ms.map(|of| of.p50)), (1, 2, Some(200)), "bob twice");
}
