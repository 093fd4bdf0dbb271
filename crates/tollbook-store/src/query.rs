//! The questions that reports, the API and the command line ask, as types: no text of a query
//! language is ever built outside a back end.

use crate::error::StoreError;
use crate::stored::StoredCall;
pub use tollbook_types::{Dimension, Zone};
use tollbook_types::{Meters, Money, Seq, TimeRange, Timestamp};

/// A condition on a dimension. Several filters must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What is looked at.
    pub dimension: Dimension,
    /// The values; `None` stands for "absent".
    pub values: Vec<Option<String>>,
    /// False: the value is one of `values`. True: it is none of them.
    pub negated: bool,
}

impl Filter {
    /// `dimension` is `value`.
    pub fn is(dimension: Dimension, value: impl Into<String>) -> Filter {
        Filter { dimension, values: vec![Some(value.into())], negated: false }
    }

    /// Whether a value passes.
    pub fn admits(&self, value: Option<&str>) -> bool {
        self.values.iter().any(|wanted| wanted.as_deref() == value) != self.negated
    }
}

/// The size of a time bucket, in the query's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interval {
    /// No buckets.
    None,
    /// Whole hours.
    Hour,
    /// Calendar days.
    Day,
    /// Weeks from Monday.
    Week,
    /// Calendar months.
    Month,
}

/// Which state of a call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// With all adjustments.
    Corrected,
    /// As it was recorded.
    Billed,
    /// With the adjustments made at or before an instant.
    AsOf(Timestamp),
}

/// "How much, by what, over time." Attribution and evidence are those of the state that counts.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// Which calls, by `occurred_at`.
    pub range: TimeRange,
    /// Bucket size.
    pub interval: Interval,
    /// The zone of the buckets.
    pub zone: Zone,
    /// What to split by, in order.
    pub group_by: Vec<Dimension>,
    /// Which calls.
    pub filters: Vec<Filter>,
    /// Which state counts.
    pub view: View,
}

/// Sums over a set of calls. A call counts once, at its event's model; further legs add meters and
/// cost to their own model with 0 calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Calls.
    pub calls: u64,
    /// Calls whose status is not `ok`.
    pub errors: u64,
    /// Quantities.
    pub meters: Meters,
    /// Cost over the calls that have one.
    pub cost: Money,
    /// Its input side.
    pub input_cost: Money,
    /// Its output side.
    pub output_cost: Money,
    /// Its fees.
    pub other_cost: Money,
    /// Calls with usage but no price (and no other cost), or with contradictory figures.
    pub unpriced_calls: u64,
    /// Calls whose usage is `estimated` or `partial`.
    pub estimated_calls: u64,
    /// Calls whose evidence is `unknown`.
    pub unknown_calls: u64,
    /// Calls answered by the response cache.
    pub cache_hits: u64,
    /// What those saved.
    pub saved: Money,
    /// The cheapest call that has a cost and no error.
    pub cost_min: Option<Money>,
    /// The dearest call that has a cost and no error.
    pub cost_max: Option<Money>,
    /// Sum of the known latencies.
    pub latency_sum_ms: u64,
    /// Calls with a known latency.
    pub latency_count: u64,
}

impl Measures {
    /// Adds another set of disjoint calls. `None` if a sum does not fit, which no real ledger reaches.
    pub fn merge(&mut self, other: &Measures) -> Option<()> {
        self.calls = self.calls.checked_add(other.calls)?;
        self.errors = self.errors.checked_add(other.errors)?;
        self.meters.add_all(&other.meters);
        self.cost = self.cost.checked_add(other.cost)?;
        self.input_cost = self.input_cost.checked_add(other.input_cost)?;
        self.output_cost = self.output_cost.checked_add(other.output_cost)?;
        self.other_cost = self.other_cost.checked_add(other.other_cost)?;
        self.unpriced_calls += other.unpriced_calls;
        self.estimated_calls += other.estimated_calls;
        self.unknown_calls += other.unknown_calls;
        self.cache_hits += other.cache_hits;
        self.saved = self.saved.checked_add(other.saved)?;
        self.cost_min = [self.cost_min, other.cost_min].into_iter().flatten().min();
        self.cost_max = [self.cost_max, other.cost_max].into_iter().flatten().max();
        self.latency_sum_ms = self.latency_sum_ms.checked_add(other.latency_sum_ms)?;
        self.latency_count += other.latency_count;
        Some(())
    }
}

/// One row of a usage report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The first instant of the bucket; absent without an interval.
    pub bucket: Option<Timestamp>,
    /// The values of the `group_by` dimensions, in their order; `None` where absent.
    pub keys: Vec<Option<String>>,
    /// 0 in a row of its own; else it is what so many rows of the bucket come to, and has no keys.
    pub rest: u64,
    /// The sums.
    pub measures: Measures,
}

/// The answer to a [`UsageQuery`]: rows by bucket, then by cost (highest first), then by keys
/// (absent first, then by bytes). There is a row where there is a call or a leg, and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReport {
    /// The rows.
    pub rows: Vec<UsageRow>,
    /// The sums over all rows: each call once, whatever it is split by.
    pub total: Measures,
    /// True when rollups answered, false when entries were read one by one.
    pub from_rollups: bool,
}

impl UsageReport {
    /// Keeps the first `limit` rows of each bucket, which are its dearest; what the others of a bucket
    /// come to is one row behind them, so that rows still add up to the total.
    pub fn top(self, limit: usize) -> Result<UsageReport, StoreError> {
        let mut rows: Vec<UsageRow> = Vec::new();
        let mut kept = 0;
        for row in self.rows {
            match rows.last_mut().filter(|last| last.bucket == row.bucket) {
                None => {
                    kept = 1;
                    rows.push(row);
                }
                Some(_) if kept < limit => {
                    kept += 1;
                    rows.push(row);
                }
                Some(rest) if rest.rest > 0 => {
                    rest.rest += 1;
                    let sum = rest.measures.merge(&row.measures);
                    sum.ok_or_else(|| StoreError::Invalid("a sum does not fit".to_owned()))?;
                }
                Some(_) => rows.push(UsageRow { keys: vec![None; row.keys.len()], rest: 1, ..row }),
            }
        }
        Ok(UsageReport { rows, ..self })
    }
}

/// The order of a list of calls. Among calls with equal sort values the last recorded comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallsOrder {
    /// Latest `occurred_at` first.
    Newest,
    /// Highest cost first; calls without a cost last.
    Costliest,
    /// Position in the journal, oldest first: what `--follow` and exports read.
    Recorded,
}

/// Where the next page starts: after this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallsCursor {
    /// The sort value: `occurred_at` in microseconds; cost in picodollars, `i128::MIN` without one; 0
    /// in the order of recording.
    pub key: i128,
    /// The call.
    pub seq: Seq,
}

/// "Which calls." Filters and costs look at the corrected state. A condition on the model holds if
/// the event's model or that of any leg passes.
#[derive(Clone, Debug)]
pub struct CallsQuery {
    /// Which calls, by `occurred_at`.
    pub range: TimeRange,
    /// Which calls.
    pub filters: Vec<Filter>,
    /// In which order.
    pub order: CallsOrder,
    /// Where to go on.
    pub after: Option<CallsCursor>,
    /// At most how many.
    pub limit: usize,
}

/// One page of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct CallsPage {
    /// The calls.
    pub calls: Vec<StoredCall>,
    /// Where the next page starts, if there is more.
    pub next: Option<CallsCursor>,
}
