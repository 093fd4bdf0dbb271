//! `GET /metrics`: figures for Prometheus, as text.
//!
//! Counters begin at 0 when the server starts; what happened before is in the books.

mod calls;
mod family;
mod histogram;
mod labels;
mod limits;
mod seeds;

pub(crate) use calls::Calls;
pub use family::Family;
pub(crate) use seeds::Seeds;

use crate::access::{Access, Caller, Scope};
use crate::code::{self, Code};
use crate::doc::{Content, Doc};
use crate::otlp::Fate;
use crate::probes::TAG;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::seeds as systems;
use crate::shared::Shared;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode, header};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tollbook_ledger::{Health, Status};
use tollbook_pricing::Book;

/// What the text is.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Its routes.
pub(crate) fn routes() -> Vec<Route> {
    let showing = Doc::new(TAG, "Figures for Prometheus")
        .about("Without a key from this machine, if `[server] open_metrics` is set.")
        .gives(
            200,
            "The figures, in the text format.",
            [Content::text("text/plain"), Content::json::<systems::Overview>()],
        )
        .refuses(&[Code::KeyMissing, Code::RangeTooLarge])
        .refuses(code::READ);
    vec![route(Method::GET, "/metrics", Access::Metrics, show, showing)]
}

/// Somebody else's figures, shown beside the API's own.
pub trait Figures: Send + Sync {
    /// The figures now. Names are unique and begin with `tollbook_`.
    fn families(&self) -> Vec<Family>;
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
        gauge(
            "tollbook_interrupted_calls",
            "Calls that were open when the last process ended.",
            now.interrupted,
        ),
        now.last_applied_at.iter().fold(
            Family::gauge("tollbook_store_applied_timestamp_seconds", "When the store was written last."),
            |family, at| family.with_seconds(&[], u64::try_from(at.as_microsecond()).unwrap_or_default()),
        ),
    ]
}

/// What prices there are, and when they were last compared with their sources.
fn of_book(book: &Book) -> Vec<Family> {
    let models: usize = book.providers().iter().map(|provider| provider.models.len()).sum();
    let dates = book.providers().iter().filter_map(|provider| provider.checked.parse::<Date>().ok());
    let checked = dates.max().and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let age = Family::gauge(
        "tollbook_price_book_checked_timestamp_seconds",
        "The last day on which prices were compared with their source.",
    );
    vec![
        Family::gauge("tollbook_price_book_models", "Models that have a price.").with(&[], models as u64),
        checked.iter().fold(age, |age, day| {
            age.with_seconds(&[], u64::try_from(day.timestamp().as_microsecond()).unwrap_or_default())
        }),
    ]
}

/// Everything that is counted, as text; to who asks for JSON, sums of the books.
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if wants_json(&headers) {
        // Figures may be open to this machine; sums by agent never are.
        let missing = || Problem::new(Code::KeyMissing, "sums as JSON need a key");
        let Extension(caller) = caller.ok_or_else(missing)?;
        return Ok(Json(systems::overview(&shared, &caller.scope()).await?).into_response());
    }
    if caller.is_some_and(|Extension(caller)| caller.scope() != Scope::default()) {
        let detail = "these figures are of everybody's calls, and the key is bound to a project or user";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let mut families = of_ledger(&shared.ledger.status());
    families.extend(of_book(&shared.ledger.book()));
    families.extend(limits::families(&shared.ledger));
    families.extend(shared.counts.families());
    families.extend(shared.sent.families(&shared.ledger));
    families.extend(shared.calls.families());
    families.extend(shared.seeds.iter().flat_map(|seeds| seeds.families()));
    families.extend(shared.figures.iter().flat_map(|figures| figures.families()));
    let mut text = String::new();
    for family in &families {
        family.write(&mut text);
    }
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Whether JSON is asked for before text. Prometheus asks for text.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.trim_start().starts_with("application/json"))
}
