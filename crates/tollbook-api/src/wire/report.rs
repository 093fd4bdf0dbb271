//! A usage report: the question, rows, and their total.

use super::quantity::token_members;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tollbook_store::{Interval, Measures, UsageQuery, UsageReport, UsageRow, View, Zone};
use tollbook_types::Timestamp;

/// A report with its question.
pub struct ReportView<'a> {
    /// The question.
    pub query: &'a UsageQuery,
    /// The zone's name.
    pub zone: &'a str,
    /// The run that changes costs meanwhile, if one is under way.
    pub run_in_progress: Option<&'a str>,
    /// The answer.
    pub report: &'a UsageReport,
}

impl Serialize for ReportView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let query = self.query;
        let mut map = serializer.serialize_map(None)?;
        question(&mut map, query, self.zone)?;
        under_way(&mut map, self.run_in_progress)?;
        let row = |row| RowView { row, query };
        map.serialize_entry("rows", &self.report.rows.iter().map(row).collect::<Vec<_>>())?;
        map.serialize_entry("total", &MeasuresView(&self.report.total))?;
        map.end()
    }
}

/// What was asked, as the answer says it again.
pub(super) fn question<M: SerializeMap>(map: &mut M, query: &UsageQuery, zone: &str) -> Result<(), M::Error> {
    map.serialize_entry("from", &query.range.from)?;
    map.serialize_entry("to", &query.range.to)?;
    map.serialize_entry("tz", zone)?;
    map.serialize_entry("interval", interval_name(query.interval))?;
    let names: Vec<String> = query.group_by.iter().map(ToString::to_string).collect();
    map.serialize_entry("group_by", &names)?;
    match query.view {
        View::Corrected => map.serialize_entry("as", "corrected"),
        View::Billed => map.serialize_entry("as", "billed"),
        View::AsOf(at) => map.serialize_entry("as_of", &at),
    }
}

/// That figures are changing, where they are.
pub(super) fn under_way<M: SerializeMap>(map: &mut M, run: Option<&str>) -> Result<(), M::Error> {
    run.map_or(Ok(()), |run| map.serialize_entry("run_in_progress", run))
}

/// The public name of an interval.
fn interval_name(interval: Interval) -> &'static str {
    match interval {
        Interval::None => "none",
        Interval::Hour => "hour",
        Interval::Day => "day",
        Interval::Week => "week",
        Interval::Month => "month",
    }
}

struct RowView<'a> {
    row: &'a UsageRow,
    query: &'a UsageQuery,
}

impl Serialize for RowView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        row_keys(&mut map, self.query, self.row.bucket, &self.row.keys, self.row.rest)?;
        entries(&mut map, &self.row.measures)?;
        map.end()
    }
}

/// What a row is about: its bucket and its value of each dimension, or how many rows it sums up.
pub(super) fn row_keys<M: SerializeMap>(
    map: &mut M,
    query: &UsageQuery,
    bucket: Option<Timestamp>,
    keys: &[Option<String>],
    rest: u64,
) -> Result<(), M::Error> {
    if let Some(bucket) = bucket {
        map.serialize_entry("bucket", &instant_in(bucket, &query.zone))?;
    }
    for (dimension, key) in query.group_by.iter().zip(keys) {
        map.serialize_entry(&dimension.to_string(), key)?;
    }
    if rest > 0 {
        map.serialize_entry("rest", &rest)?;
    }
    Ok(())
}

/// An instant with the offset that the zone has then: `2026-11-22T00:00:00+01:00`.
fn instant_in(at: Timestamp, zone: &Zone) -> String {
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// Sums, as the total of a report shows them.
pub struct MeasuresView<'a>(pub &'a Measures);

impl Serialize for MeasuresView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entries(&mut map, self.0)?;
        map.end()
    }
}

/// The members of sums.
pub(super) fn entries<M: SerializeMap>(map: &mut M, measures: &Measures) -> Result<(), M::Error> {
    map.serialize_entry("calls", &measures.calls)?;
    map.serialize_entry("errors", &measures.errors)?;
    for (name, quantity) in token_members(&measures.meters) {
        map.serialize_entry(&name, &quantity)?;
    }
    map.serialize_entry("meters", &measures.meters)?;
    map.serialize_entry("cost_usd", &measures.cost)?;
    map.serialize_entry("input_cost_usd", &measures.input_cost)?;
    map.serialize_entry("output_cost_usd", &measures.output_cost)?;
    map.serialize_entry("other_cost_usd", &measures.other_cost)?;
    map.serialize_entry("unpriced_calls", &measures.unpriced_calls)?;
    map.serialize_entry("estimated_calls", &measures.estimated_calls)?;
    map.serialize_entry("unknown_calls", &measures.unknown_calls)?;
    map.serialize_entry("cache_hits", &measures.cache_hits)?;
    map.serialize_entry("saved_usd", &measures.saved)?;
    map.serialize_entry("cost_min_usd", &measures.cost_min)?;
    map.serialize_entry("cost_max_usd", &measures.cost_max)?;
    map.serialize_entry("latency_ms_avg", &measures.latency_sum_ms.checked_div(measures.latency_count))
}

/// Whether any call has a cost: where none has, the sum is no amount, and is never shown as one.
pub fn has_amount(measures: &Measures) -> bool {
    let without = measures.unpriced_calls.saturating_add(measures.unknown_calls);
    measures.calls == 0 || without < measures.calls || measures.cost.picos() != 0
}
