//! `/v1/traces`, `/v1/logs`, `/v1/metrics`: OTLP over HTTP. Spans and log records that are calls to
//! models become events; metrics are taken, counted, and never billed, since spans and records tell the
//! same again.
//!
//! What a span means is for `tollbook_usage::otel`; here is how it comes and what becomes of it.

mod answer;
pub mod items;
pub mod json;
pub mod protobuf;
mod receive;
mod record;

use crate::access::{Caller, SENDERS};
use crate::body::Encoding;
use crate::code::Code;
use crate::doc::{Content, Doc, Tag};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use answer::{ExportedView, Format, PROTOBUF, RpcStatus, Signal};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method};
use items::Unreadable;
use receive::Room;
use record::Sum;
use std::sync::{Arc, Mutex};
use tollbook_types::limits::TELEMETRY_ITEMS_MAX;
use tollbook_usage::otel::Lineage;

pub(crate) use record::Fate;

/// What is kept between requests.
#[derive(Default)]
pub(crate) struct Telemetry {
    room: Room,
    lineage: Mutex<Lineage>,
}

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "telemetry", about: "Calls told by OpenTelemetry, as OTLP over HTTP." };

/// Its routes.
pub(crate) fn routes() -> Vec<Route> {
    let traces_doc =
        doc("Take spans", "Spans that are calls to models are recorded, but for calls above calls.");
    let logs_doc = doc("Take log records", "Records of coding agents that tell of calls are recorded.");
    let metrics_doc =
        doc("Take metrics", "They are counted and not billed: spans and records tell the same.");
    vec![
        route(Method::POST, "/v1/traces", SENDERS, traces, traces_doc),
        route(Method::POST, "/v1/logs", SENDERS, logs, logs_doc),
        route(Method::POST, "/v1/metrics", SENDERS, metrics, metrics_doc),
    ]
}

/// The three differ in what they are about only.
fn doc(summary: &'static str, about: &'static str) -> Doc {
    let refusal = || [Content::any(PROTOBUF), Content::json::<RpcStatus>()];
    Doc::new(TAG, summary)
        .about(about)
        .takes([
            Content::any(PROTOBUF),
            Content::any("application/protobuf"),
            Content::any("application/json"),
        ])
        .gives(200, "Taken and durable.", [Content::any(PROTOBUF), Content::json::<ExportedView>()])
        .gives(400, "It cannot be read; the same will not do another time.", refusal())
        .gives(413, "It is too large; send less at once.", refusal())
        .gives(503, "Nothing is known of what was recorded; send the same again, it counts once.", refusal())
        .refuses(&[Code::UnsupportedMediaType, Code::UnsupportedEncoding])
}

/// Records the calls among spans.
pub(crate) async fn traces(
    state: State<Arc<Shared>>,
    caller: Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    export(Signal::Traces, state.0, caller.0, headers, body).await
}

/// Records the calls among log records.
pub(crate) async fn logs(
    state: State<Arc<Shared>>,
    caller: Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    export(Signal::Logs, state.0, caller.0, headers, body).await
}

/// Counts data points.
pub(crate) async fn metrics(
    state: State<Arc<Shared>>,
    caller: Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    export(Signal::Metrics, state.0, caller.0, headers, body).await
}

async fn export(
    signal: Signal,
    shared: Arc<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (format, encoding) = match (receive::format(&headers), receive::encoding(&headers)) {
        (Ok(format), Ok(encoding)) => (format, encoding),
        (Err(problem), _) | (_, Err(problem)) => return problem.into_response(),
    };
    match take(signal, (format, encoding), &shared, caller, body).await {
        Ok(sum) => {
            shared.counts.telemetry(signal.name(), &sum.fates);
            format.taken(signal, sum.rejected(), &sum.message())
        }
        Err(problem) => {
            tracing::warn!(signal = signal.name(), code = problem.code.name(), "telemetry was refused");
            format.refused(&problem)
        }
    }
}

async fn take(
    signal: Signal,
    (format, encoding): (Format, Encoding),
    shared: &Arc<Shared>,
    caller: Caller,
    body: Body,
) -> Result<Sum, Problem> {
    let bytes = receive::read(&shared.telemetry.room, encoding, body).await?;
    let now = shared.clock.now();
    let all = shared.clone();
    shared
        .write(move |ledger| {
            let body = bytes.as_slice();
            let recorder = record::Recorder { ledger, lineage: &all.telemetry.lineage, key: &caller.0, now };
            match (signal, format) {
                (Signal::Traces, Format::Protobuf) => recorder.spans(protobuf::spans(body)?),
                (Signal::Traces, Format::Json) => recorder.spans(json::spans(body)?),
                (Signal::Logs, Format::Protobuf) => recorder.logs(protobuf::logs(body)?),
                (Signal::Logs, Format::Json) => recorder.logs(json::logs(body)?),
                (Signal::Metrics, Format::Protobuf) => Ok(Sum::of_points(protobuf::points(body)?)),
                (Signal::Metrics, Format::Json) => Ok(Sum::of_points(json::points(body)?)),
            }
        })
        .await
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Problem {
        match unreadable {
            Unreadable::Protobuf => {
                Problem::new(Code::ProtobufInvalid, "the body is no protobuf message of this kind")
            }
            Unreadable::Json => Problem::new(Code::JsonInvalid, "the body is no OTLP request in JSON"),
            Unreadable::TooMany => {
                let detail = format!("a request has at most {TELEMETRY_ITEMS_MAX} spans or records");
                Problem::new(Code::BatchTooLarge, detail)
            }
        }
    }
}
