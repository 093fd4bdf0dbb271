//! What exporters are answered: in the form that they sent, as OTLP has it.

use crate::problem::Problem;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use prost::Message;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// Seconds after which an exporter tries again, where nothing else is told.
const RETRY_AFTER_S: u32 = 5;

/// The media type of protobuf.
pub const PROTOBUF: &str = "application/x-protobuf";

/// The form of a request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// What is sent: each signal has its own word for what was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Data points.
    Metrics,
}

/// The three kinds of `Export…ServiceResponse`, which look alike in protobuf.
#[derive(Clone, PartialEq, Message)]
struct Exported {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// Why nothing was taken, as gRPC has it: `google.rpc.Status`.
#[derive(Clone, PartialEq, Message, Serialize, ToSchema)]
pub struct RpcStatus {
    /// Of `google.rpc.Code`.
    #[prost(int32, tag = "1")]
    code: i32,
    /// A code of ours, and for people what happened.
    #[prost(string, tag = "2")]
    message: String,
}

/// What became of telemetry; without members all was taken.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "it tells the shape of the JSON that is written below")]
pub struct ExportedView {
    /// Set when not all was taken.
    #[schema(required = false)]
    partial_success: Option<PartialView>,
}

/// What was not taken. Sending it again does not help.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "it tells the shape of the JSON that is written below")]
pub struct PartialView {
    /// How many spans, of traces.
    #[schema(required = false)]
    rejected_spans: Option<String>,
    /// How many records, of logs.
    #[schema(required = false)]
    rejected_log_records: Option<String>,
    /// How many points, of metrics.
    #[schema(required = false)]
    rejected_data_points: Option<String>,
    /// What was wrong with them.
    error_message: String,
}

impl Signal {
    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }

    /// The member that counts what was rejected.
    const fn rejected(self) -> &'static str {
        match self {
            Signal::Traces => "rejectedSpans",
            Signal::Logs => "rejectedLogRecords",
            Signal::Metrics => "rejectedDataPoints",
        }
    }
}

impl Format {
    /// All was taken but for so many, with what was wrong with them.
    pub fn taken(self, signal: Signal, rejected: u64, message: &str) -> Response {
        let count = i64::try_from(rejected).unwrap_or(i64::MAX);
        let partial =
            (rejected > 0).then(|| PartialSuccess { rejected: count, error_message: message.to_owned() });
        let json = match &partial {
            None => json!({}),
            Some(_) => {
                let told = json!({signal.rejected(): rejected.to_string(), "errorMessage": message});
                json!({"partialSuccess": told})
            }
        };
        self.write(StatusCode::OK, &Exported { partial_success: partial }, &json)
    }

    /// Nothing was taken. What may go well another time is a 503, whatever it is to others: exporters
    /// drop what gets a 500.
    pub fn refused(self, problem: &Problem) -> Response {
        let is_ours = problem.code.status().is_server_error();
        let status = if is_ours { StatusCode::SERVICE_UNAVAILABLE } else { problem.code.status() };
        // Codes of google.rpc: UNAVAILABLE, RESOURCE_EXHAUSTED, INVALID_ARGUMENT.
        let code = match status {
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::PAYLOAD_TOO_LARGE => 8,
            _ => 3,
        };
        let told = RpcStatus { code, message: format!("{}: {}", problem.code.name(), problem.detail) };
        let json = json!(told);
        let mut response = self.write(status, &told, &json);
        if is_ours {
            let seconds = problem.retry_after_s.unwrap_or(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn write(self, status: StatusCode, message: &impl Message, json: &serde_json::Value) -> Response {
        let (kind, body) = match self {
            Format::Protobuf => (PROTOBUF, message.encode_to_vec()),
            Format::Json => ("application/json", json.to_string().into_bytes()),
        };
        (status, [(header::CONTENT_TYPE, kind)], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    /// Exporters try again after a 503, and drop what gets a 500 or a 400.
    #[test]
    fn what_may_go_well_another_time_is_a_503() {
        let full = Problem { retry_after_s: Some(2), ..Problem::new(Code::StorageFull, "") };
        for (problem, status, after) in [
            (Problem::internal(), 503, Some("5")),
            (full, 503, Some("2")),
            (Problem::new(Code::ProtobufInvalid, ""), 400, None),
        ] {
            for format in [Format::Protobuf, Format::Json] {
                let response = format.refused(&problem);
                let told = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
                assert_eq!((response.status().as_u16(), told), (status, after));
            }
        }
    }
}
