//! What there is to say of calls beyond sums: the question, rows, and the same of all.

use super::report::{entries, question, row_keys, under_way};
use serde::ser::{Serialize, SerializeMap, Serializer};
use tollbook_store::{Percentiles, Stats, StatsQuery, StatsReport, StatsRow, UsageQuery};

/// An answer with its question.
pub struct StatsView<'a> {
    /// The question.
    pub query: &'a StatsQuery,
    /// The zone's name.
    pub zone: &'a str,
    /// The run that changes costs meanwhile, if one is under way.
    pub run_in_progress: Option<&'a str>,
    /// The answer.
    pub report: &'a StatsReport,
}

impl Serialize for StatsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let query = &self.query.usage;
        let mut map = serializer.serialize_map(None)?;
        question(&mut map, query, self.zone)?;
        under_way(&mut map, self.run_in_progress)?;
        map.serialize_entry("at", &self.query.at)?;
        let row = |row| RowView { row, query };
        map.serialize_entry("rows", &self.report.rows.iter().map(row).collect::<Vec<_>>())?;
        map.serialize_entry("total", &FiguresView(&self.report.total))?;
        map.end()
    }
}

struct RowView<'a> {
    row: &'a StatsRow,
    query: &'a UsageQuery,
}

impl Serialize for RowView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        row_keys(&mut map, self.query, self.row.bucket, &self.row.keys, self.row.rest)?;
        figures(&mut map, &self.row.stats)?;
        map.end()
    }
}

struct FiguresView<'a>(&'a Stats);

impl Serialize for FiguresView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        figures(&mut map, self.0)?;
        map.end()
    }
}

fn figures<M: SerializeMap>(map: &mut M, stats: &Stats) -> Result<(), M::Error> {
    entries(map, &stats.measures)?;
    map.serialize_entry("latency_ms", &stats.latency_ms.map(PercentilesView))?;
    map.serialize_entry("time_to_first_token_ms", &stats.first_token_ms.map(PercentilesView))?;
    map.serialize_entry("priced_calls", &stats.priced_calls)?;
    map.serialize_entry("cost_avg_usd", &stats.cost_avg())?;
    map.serialize_entry("cost_per_1k_tokens_usd", &stats.cost_per_1k_tokens())?;
    map.serialize_entry("users", &stats.users)?;
    map.serialize_entry("sessions", &stats.sessions)?;
    map.serialize_entry("active_sessions", &stats.active_sessions)?;
    map.serialize_entry("cost_per_session_usd", &stats.cost_per_session())?;
    map.serialize_entry("output_per_input", &stats.output_per_input())?;
    map.serialize_entry("cache_read_rate", &stats.cache_read_rate())?;
    map.serialize_entry("cache_hit_rate", &stats.cache_hit_rate())?;
    map.serialize_entry("success_rate", &stats.success_rate())
}

struct PercentilesView(Percentiles);

impl Serialize for PercentilesView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Percentiles { count, p50, p90, p95, p99 } = self.0;
        let mut map = serializer.serialize_map(Some(5))?;
        for (name, value) in [("count", count), ("p50", p50), ("p90", p90), ("p95", p95), ("p99", p99)] {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}
