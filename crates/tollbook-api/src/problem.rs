//! What a request is refused with: problem+json (RFC 9457) with a stable `code`.
//!
//! A detail names members and bounds; it never repeats what was sent, which may hold secrets.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tollbook_ledger::LedgerError;
use tollbook_store::StoreError;
use tollbook_usage::import;

/// A refusal or failure. The outermost layer writes it out, with the request's id.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The answer's status.
    pub status: StatusCode,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// What is wrong in particular, if that is more than one thing or has a place.
    pub errors: Vec<Fault>,
    /// Seconds after which the same may go well.
    pub retry_after_s: Option<u32>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// The member, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// As it is sent.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    /// A problem without particulars.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// A request that makes no sense.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Something that is not there, or not for this caller: the two look the same.
    pub fn not_found(detail: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A failure of ours. What happened stands in the log, not in the answer.
    pub fn internal() -> Problem {
        let detail = "something failed here; the log has more under the request's id";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// What a reader of events found: 400 when the text cannot be read, 422 for what it says.
    pub fn of_input(problems: Vec<import::Problem>) -> Problem {
        let is_syntax = problems.iter().any(import::Problem::is_syntax);
        let status = if is_syntax { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
        let errors: Vec<Fault> = problems.into_iter().map(Fault::from).collect();
        let (code, detail) = errors.first().map_or((import::code::FIELD_INVALID, String::new()), |first| {
            let place = first.pointer.as_ref().map_or(String::new(), |pointer| format!("{pointer} "));
            (first.code, format!("{place}{}", first.detail))
        });
        Problem { status, code, detail, errors, retry_after_s: None }
    }

    /// The answer, for the request with this id.
    pub fn answer(&self, request_id: &str) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id,
            errors: &self.errors,
        };
        // Texts and numbers; writing them cannot fail.
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(text.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<import::Problem> for Fault {
    fn from(problem: import::Problem) -> Fault {
        Fault { pointer: problem.pointer, code: problem.code, detail: problem.detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Nothing is known of what became of it: the same may be sent again, and counts once.
fn unavailable(code: &'static str, detail: &str) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    Problem { retry_after_s: Some(2), ..problem }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Problem {
        match error {
            LedgerError::JournalFull(_) => unavailable(
                "storage_full",
                "the disk is full: nothing of this was recorded; send it again later",
            ),
            LedgerError::StoreDown(reason) => {
                tracing::warn!("the store cannot be written: {reason}");
                unavailable(
                    "storage_unavailable",
                    "the store cannot be written: whether this was recorded is not known; send the same again, \
                     it counts once",
                )
            }
            LedgerError::Fatal(reason) => {
                tracing::error!("the journal failed: {reason}");
                unavailable("storage_unavailable", "recording has failed and the server is about to end")
            }
            LedgerError::Store(error) => Problem::from(error),
            LedgerError::Invalid(detail) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, import::code::FIELD_INVALID, detail)
            }
            LedgerError::TooLarge { .. } => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                import::code::FIELD_TOO_LARGE,
                error.to_string(),
            ),
            other => {
                tracing::error!("{other}");
                Problem::internal()
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::RangeTooLarge { .. } => {
                let detail = format!("{error}; choose a shorter range or fewer dimensions");
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "range_too_large", detail)
            }
            StoreError::Busy(_) => unavailable("storage_busy", "the store is busy; try again"),
            StoreError::Full(_) => unavailable("storage_full", "the disk is full"),
            other => {
                tracing::error!("{other}");
                Problem::internal()
            }
        }
    }
}
