//! What a gateway counts, for whoever watches it. Token counts and money are the ledger's.

use crate::capture::CaptureCounts;
use crate::refusal::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the overhead histogram's buckets, in microseconds; one more is without an end.
pub const OVERHEAD_MICROS: [u64; 10] = [25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 25_000, 100_000];

/// A number that only goes up.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted for one upstream.
#[derive(Debug, Default)]
pub struct UpstreamCounters {
    /// The upstream's name.
    pub name: String,
    /// Answers by the class of their status, `1xx` to `5xx`.
    pub answers: [Count; 5],
    /// Requests without an answer: refused, reset, not understood.
    pub failed: Count,
    /// Requests whose answer did not come in time.
    pub timeouts: Count,
}

impl UpstreamCounters {
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from((status / 100).clamp(1, 5)) - 1;
        if let Some(count) = self.answers.get(class) {
            count.add(1);
        }
    }
}

/// How long requests were kept by the gateway itself.
#[derive(Debug, Default)]
pub struct Overhead {
    /// Requests by bucket of [`OVERHEAD_MICROS`], each on its own, and the one without an end.
    pub buckets: [Count; 11],
    /// All of it, in microseconds.
    pub sum_micros: Count,
}

impl Overhead {
    pub(crate) fn observe(&self, spent: Duration) {
        let micros = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        let bucket = OVERHEAD_MICROS.partition_point(|end| *end < micros);
        self.buckets[bucket.min(OVERHEAD_MICROS.len())].add(1);
        self.sum_micros.add(micros);
    }
}

/// What a gateway counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// By upstream.
    pub upstreams: Vec<UpstreamCounters>,
    /// Refusals by reason; the reason's place is its place in [`Reason::ALL`].
    pub refusals: Vec<Count>,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were closed at once because there were too many.
    pub connections_refused: Count,
    /// Connections that a time limit closed.
    pub connections_timed_out: Count,
    /// Calls under way.
    pub in_flight: Gauge,
    /// Answers that are read on after their callers left.
    pub draining: Gauge,
    /// Callers that left before their answer's end.
    pub clients_gone: Count,
    /// Answers that were let go unread because too many were being drained.
    pub drains_refused: Count,
    /// Calls that passed without a record.
    pub unrecorded: Count,
    /// Bytes of requests.
    pub bytes_in: Count,
    /// Bytes of answers.
    pub bytes_out: Count,
    /// Answers that came from the cache.
    pub cache_hits: Count,
    /// Cachable requests whose answer was not there.
    pub cache_misses: Count,
    /// Requests that a panic ended.
    pub panics: Count,
    /// How long requests were kept by the gateway itself.
    pub overhead: Overhead,
    /// What became of captured words.
    pub captures: Arc<CaptureCounts>,
}

impl Counters {
    pub(crate) fn new<'a>(upstreams: impl Iterator<Item = &'a str>) -> Counters {
        Counters {
            upstreams: upstreams
                .map(|name| UpstreamCounters { name: name.to_owned(), ..UpstreamCounters::default() })
                .collect(),
            refusals: Reason::ALL.iter().map(|_| Count::default()).collect(),
            ..Counters::default()
        }
    }

    pub(crate) fn refused(&self, reason: Reason) {
        let place = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(count) = place.and_then(|place| self.refusals.get(place)) {
            count.add(1);
        }
    }
}
