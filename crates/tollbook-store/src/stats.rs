//! The question for more than sums: how fast, how dear a call, for how many persons, how well.
//!
//! Whatever stands once for a whole call (its times, its person, its session, its cost as one of the
//! dear or cheap ones) stands at its event's model, as the call itself does; see [`crate::fold`].

use crate::query::{Measures, UsageQuery};
use std::time::Duration;
use tollbook_types::{Money, Ratio, TimeRange, Timestamp};

/// A session is active for so long after a call.
const ACTIVE: Duration = Duration::from_secs(30 * 60);

/// "How well, by what, over time": of the calls that a usage query sums up, read one by one. Calls
/// that a purge dropped are not among them.
#[derive(Clone, Debug)]
pub struct StatsQuery {
    /// Which calls, split by what.
    pub usage: UsageQuery,
    /// When sessions are looked at: those with a call in the 30 minutes before are active.
    pub at: Timestamp,
    /// How many rows of a bucket, the dearest, stand alone; all unless said. What the others come to
    /// is one row behind them.
    pub limit: Option<usize>,
}

impl StatsQuery {
    /// When a call makes its session an active one.
    pub fn active(&self) -> TimeRange {
        TimeRange { from: self.at.checked_sub(ACTIVE).ok(), to: Some(self.at) }
    }
}

/// Percentiles by nearest rank: of each, the least value that so many of a hundred values are not
/// above. Always one of the values, never something between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Values.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// Nine of ten are not above it.
    pub p90: u64,
    /// 95 of 100 are not above it.
    pub p95: u64,
    /// 99 of 100 are not above it.
    pub p99: u64,
}

impl Percentiles {
    /// Those of some values, whose order is lost; `None` without a value.
    pub fn of(values: &mut [u64]) -> Option<Percentiles> {
        // The rank from 1 is the share of all, rounded up.
        let place = |percent: usize| (values.len() * percent).div_ceil(100).checked_sub(1);
        let places = [place(50)?, place(90)?, place(95)?, place(99)?];
        let [p50, p90, p95, p99] = places.map(|place| *values.select_nth_unstable(place).1);
        Some(Percentiles { count: values.len() as u64, p50, p90, p95, p99 })
    }
}

/// What there is to say of a set of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Their sums.
    pub measures: Measures,
    /// How long answers took, of the calls with a known latency, in milliseconds.
    pub latency_ms: Option<Percentiles>,
    /// How long the first token took, of the calls that know, in milliseconds.
    pub first_token_ms: Option<Percentiles>,
    /// Calls that have a cost and no error: the cheapest and the dearest are of these.
    pub priced_calls: u64,
    /// What those cost, with all their legs.
    pub priced_cost: Money,
    /// Tokens of calls that have a cost.
    pub costed_tokens: u64,
    /// Different users.
    pub users: u64,
    /// Different sessions.
    pub sessions: u64,
    /// Sessions that are active.
    pub active_sessions: u64,
    /// What calls cost that belong to a session.
    pub session_cost: Money,
}

impl Stats {
    /// What a call costs on average, of those that have a cost and no error.
    pub fn cost_avg(&self) -> Option<Money> {
        self.priced_cost.per(1, self.priced_calls)
    }

    /// What a session costs on average.
    pub fn cost_per_session(&self) -> Option<Money> {
        self.session_cost.per(1, self.sessions)
    }

    /// What a thousand tokens cost on average, in and out, of calls that have a cost.
    pub fn cost_per_1k_tokens(&self) -> Option<Money> {
        self.measures.cost.per(1_000, self.costed_tokens)
    }

    /// Output tokens for each input token.
    pub fn output_per_input(&self) -> Option<Ratio> {
        Ratio::of(self.measures.meters.output_tokens(), self.measures.meters.input_tokens())
    }

    /// The part of the input tokens that the provider read from its cache.
    pub fn cache_read_rate(&self) -> Option<Ratio> {
        Ratio::of(self.measures.meters.cache_read_tokens(), self.measures.meters.input_tokens())
    }

    /// The part of the calls that the response cache answered.
    pub fn cache_hit_rate(&self) -> Option<Ratio> {
        Ratio::of(self.measures.cache_hits, self.measures.calls)
    }

    /// The part of the calls that ended without an error.
    pub fn success_rate(&self) -> Option<Ratio> {
        Ratio::of(self.measures.calls.checked_sub(self.measures.errors)?, self.measures.calls)
    }
}

/// One row of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsRow {
    /// The first instant of the bucket; absent without an interval.
    pub bucket: Option<Timestamp>,
    /// The values of the `group_by` dimensions, in their order; `None` where absent.
    pub keys: Vec<Option<String>>,
    /// 0 in a row of its own; else it is of the calls of so many rows of the bucket, and has no keys.
    pub rest: u64,
    /// What there is to say.
    pub stats: Stats,
}

/// The answer to a [`StatsQuery`]. Rows stand in the order of a [`crate::UsageReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsReport {
    /// The rows.
    pub rows: Vec<StatsRow>,
    /// Of all the calls: a user or a session of several rows counts once.
    pub total: Stats,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Random;

    /// By the definition, without a rank.
    fn least_that_is_not_passed_by(percent: usize, values: &[u64]) -> u64 {
        let covers = |limit: u64| values.iter().filter(|value| **value <= limit).count() * 100;
        let enough = values.iter().copied().filter(|limit| covers(*limit) >= percent * values.len());
        enough.min().unwrap()
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        assert_eq!(Percentiles::of(&mut []), None);
        let mut random = Random::new(71);
        for size in (1..130).chain([1_000]) {
            let spread = 1 + random.below(2_000);
            let values: Vec<u64> = (0..size).map(|_| random.below(spread)).collect();
            let found = Percentiles::of(&mut values.clone()).unwrap();
            let [p50, p90, p95, p99] =
                [50, 90, 95, 99].map(|percent| least_that_is_not_passed_by(percent, &values));
            assert_eq!(found, Percentiles { count: size, p50, p90, p95, p99 }, "{values:?}");
        }
    }
}
