//! `GET /metrics`: figures for Prometheus, as text.
//!
//! The text is written here, without a float: counts are whole numbers and durations are decimal
//! text, so what is shown is what was counted. Money is for the books, not for graphs.

use crate::access::Access;
use crate::doc::{Content, Doc};
use crate::otlp::Fate;
use crate::probes::TAG;
use crate::routes::{Route, route};
use crate::shared::Shared;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{Method, StatusCode, header};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tollbook_ledger::{Health, Status};

/// What the text is.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Its routes.
pub(crate) fn routes() -> Vec<Route> {
    let showing = Doc::new(TAG, "Figures for Prometheus")
        .about("Without a key from this machine, if `[server] open_metrics` is set.")
        .gives(200, "The figures, in the text format.", [Content::text("text/plain")]);
    vec![route(Method::GET, "/metrics", Access::Metrics, show, showing)]
}

/// Somebody else's figures, shown beside the API's own.
pub trait Figures: Send + Sync {
    /// The figures now. Names are unique and begin with `tollbook_`.
    fn families(&self) -> Vec<Family>;
}

/// What kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A figure with its labelled values.
#[derive(Clone, Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// Suffix of the name, labels as text, value.
    lines: Vec<(&'static str, String, String)>,
}

impl Family {
    /// A number that only goes up; its name ends in `_total`.
    pub fn counter(name: &'static str, help: &'static str) -> Family {
        Family { name, help, kind: Kind::Counter, lines: Vec::new() }
    }

    /// A number that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str) -> Family {
        Family { name, help, kind: Kind::Gauge, lines: Vec::new() }
    }

    /// Durations by how long they are; its name ends in `_seconds`.
    pub fn histogram(name: &'static str, help: &'static str) -> Family {
        Family { name, help, kind: Kind::Histogram, lines: Vec::new() }
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, labels: &[(&str, &str)], value: u64) -> Family {
        self.lines.push(("", labels_text(labels, None), value.to_string()));
        self
    }

    /// Adds what was observed: how many fell into each bucket alone (one more than there are bounds:
    /// the last is without an end), and the sum of all.
    #[must_use]
    pub fn observed(
        mut self,
        labels: &[(&str, &str)],
        bounds_micros: &[u64],
        counts: &[u64],
        sum_micros: u64,
    ) -> Family {
        let ends = bounds_micros.iter().map(|micros| seconds(*micros)).chain(["+Inf".to_owned()]);
        let mut below = 0_u64;
        for (end, count) in ends.zip(counts) {
            below = below.saturating_add(*count);
            self.lines.push(("_bucket", labels_text(labels, Some(&end)), below.to_string()));
        }
        self.lines.push(("_sum", labels_text(labels, None), seconds(sum_micros)));
        self.lines.push(("_count", labels_text(labels, None), below.to_string()));
        self
    }

    fn write(&self, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into a text cannot fail.
        let _ = writeln!(text, "# HELP {0} {1}\n# TYPE {0} {kind}", self.name, self.help);
        for (suffix, labels, value) in &self.lines {
            let _ = writeln!(text, "{}{suffix}{labels} {value}", self.name);
        }
    }
}

fn labels_text(labels: &[(&str, &str)], end: Option<&str>) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let end = end.map(|end| ("le", end));
    let parts: Vec<String> = labels
        .iter()
        .copied()
        .chain(end)
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    if parts.is_empty() { String::new() } else { format!("{{{}}}", parts.join(",")) }
}

/// Microseconds as seconds, in decimal.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What becomes of an event that is sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ingest {
    New,
    Duplicate,
    Rejected,
}

impl Ingest {
    const ALL: [Ingest; 3] = [Ingest::New, Ingest::Duplicate, Ingest::Rejected];

    const fn name(self) -> &'static str {
        match self {
            Ingest::New => "new",
            Ingest::Duplicate => "duplicate",
            Ingest::Rejected => "rejected",
        }
    }
}

/// What the API counts itself.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    events: [AtomicU64; 3],
    /// By signal and what became of it.
    telemetry: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// By method, route and status: there are only so many of each.
    answers: Mutex<BTreeMap<(String, String, u16), u64>>,
}

impl Counts {
    pub fn ingested(&self, what: Ingest, events: u64) {
        self.events[what as usize].fetch_add(events, Ordering::Relaxed);
    }

    /// What became of the items of a request with telemetry.
    pub fn telemetry(&self, signal: &'static str, fates: &BTreeMap<Fate, u64>) {
        let mut counts = self.telemetry.lock().unwrap_or_else(PoisonError::into_inner);
        for (fate, items) in fates {
            *counts.entry((signal, fate.name())).or_default() += items;
        }
    }

    pub fn answered(&self, method: &Method, path: &str, status: StatusCode) {
        let known = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
        let method = if known.contains(method) { method.as_str() } else { "other" };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((method.to_owned(), path.to_owned(), status.as_u16())).or_default() += 1;
    }

    fn families(&self) -> Vec<Family> {
        let mut events = Family::counter(
            "tollbook_ingest_events_total",
            "Events sent to the API, by what became of them.",
        );
        for what in Ingest::ALL {
            let count = self.events[what as usize].load(Ordering::Relaxed);
            events = events.with(&[("result", what.name())], count);
        }
        let mut telemetry = Family::counter(
            "tollbook_otlp_items_total",
            "Spans, log records and data points, by what became of them.",
        );
        for ((signal, fate), items) in &*self.telemetry.lock().unwrap_or_else(PoisonError::into_inner) {
            telemetry = telemetry.with(&[("signal", signal), ("result", fate)], *items);
        }
        let mut answers =
            Family::counter("tollbook_api_requests_total", "Requests to the API that were answered.");
        for ((method, route, status), count) in &*self.answers.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let status = status.to_string();
            answers = answers.with(&[("method", method), ("route", route), ("status", &status)], *count);
        }
        vec![events, telemetry, answers]
    }
}

/// How recording is.
fn of_ledger(now: &Status) -> Vec<Family> {
    let gauge = |name, help, value| Family::gauge(name, help).with(&[], value);
    vec![
        Family::gauge("tollbook_build_info", "The version that runs; always 1.")
            .with(&[("version", env!("CARGO_PKG_VERSION"))], 1),
        gauge(
            "tollbook_ledger_up",
            "1 while journal and store can be written.",
            u64::from(now.health == Health::Ok && now.has_room()),
        ),
        gauge("tollbook_journal_recorded", "The last record in the journal.", now.recorded),
        gauge("tollbook_journal_durable", "The last record that is surely fsynced.", now.durable),
        gauge("tollbook_journal_room_bytes", "Room in the journal's open segment.", now.room_bytes),
        gauge(
            "tollbook_journal_has_spare",
            "1 while a further segment is preallocated.",
            u64::from(now.has_spare),
        ),
        gauge("tollbook_store_applied", "The last record that is in the store.", now.applied),
        gauge("tollbook_store_behind_records", "Records that the store does not have yet.", now.lag()),
        gauge("tollbook_writer_waiting_records", "Records in memory for the writer.", now.waiting as u64),
        Family::counter("tollbook_unrecorded_calls_total", "Calls that passed without a record.")
            .with(&[], now.unrecorded_calls),
    ]
}

/// Everything that is counted, as text.
pub(crate) async fn show(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let mut families = of_ledger(&shared.ledger.status());
    families.extend(shared.counts.families());
    families.extend(shared.figures.iter().flat_map(|figures| figures.families()));
    let mut text = String::new();
    for family in &families {
        family.write(&mut text);
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut text = String::new();
        Family::counter("tollbook_x_total", "X.").with(&[("a", "1\"\\\n")], 7).with(&[], 8).write(&mut text);
        Family::histogram("tollbook_y_seconds", "Y.")
            .observed(&[("b", "c")], &[25, 1_000_000], &[1, 2, 3], 1_500_001)
            .write(&mut text);
        let wanted = "# HELP tollbook_x_total X.\n# TYPE tollbook_x_total counter\n\
            tollbook_x_total{a=\"1\\\"\\\\\\n\"} 7\ntollbook_x_total 8\n\
            # HELP tollbook_y_seconds Y.\n# TYPE tollbook_y_seconds histogram\n\
            tollbook_y_seconds_bucket{b=\"c\",le=\"0.000025\"} 1\n\
            tollbook_y_seconds_bucket{b=\"c\",le=\"1\"} 3\n\
            tollbook_y_seconds_bucket{b=\"c\",le=\"+Inf\"} 6\n\
            tollbook_y_seconds_sum{b=\"c\"} 1.500001\ntollbook_y_seconds_count{b=\"c\"} 6\n";
        assert_eq!(text, wanted);
        assert_eq!((seconds(0), seconds(10_000_000)), ("0".to_owned(), "10".to_owned()));
    }
}
