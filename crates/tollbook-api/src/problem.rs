//! What a request is refused with: problem+json (RFC 9457) with a `code` of the closed set in [`Code`],
//! which decides the status.
//!
//! A detail names members and bounds; it never repeats what was sent, which may hold secrets.

use crate::code::Code;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tollbook_ledger::LedgerError;
use tollbook_store::StoreError;
use tollbook_usage::import;
use utoipa::ToSchema;

/// A refusal or failure. The outermost layer writes it out, with the request's id.
#[derive(Clone, Debug)]
pub struct Problem {
    /// For programs; it decides the status.
    pub code: Code,
    /// For people.
    pub detail: String,
    /// What is wrong in particular, if that is more than one thing or has a place.
    pub errors: Vec<Fault>,
    /// Seconds after which the same may go well.
    pub retry_after_s: Option<u32>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Fault {
    /// The member, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// For programs.
    pub code: Code,
    /// For people.
    pub detail: String,
}

/// A refusal as it is sent (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body<'a> {
    /// `about:blank`: the code says what it is.
    r#type: &'static str,
    /// The status in words.
    title: &'a str,
    /// The answer's status.
    status: u16,
    /// For programs.
    code: Code,
    /// For people. It never repeats what was sent.
    detail: &'a str,
    /// The request's id, as in the header `x-request-id`.
    request_id: &'a str,
    /// Everything that is wrong, each with its place.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    /// A problem without particulars.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// Something that is not there, or not for this caller: the two look the same.
    pub fn not_found(detail: &str) -> Problem {
        Problem::new(Code::NotFound, detail)
    }

    /// Somebody has failed too often to prove who they are.
    pub fn too_many_attempts(wait_s: u32) -> Problem {
        let detail = "too many failures from this address, or with this key; wait before the next try";
        Problem { retry_after_s: Some(wait_s), ..Problem::new(Code::TooManyAttempts, detail) }
    }

    /// A failure of ours. What happened stands in the log, not in the answer.
    pub fn internal() -> Problem {
        let detail = "something failed here; the log has more under the request's id";
        Problem::new(Code::Internal, detail)
    }

    /// What a reader of events found: 400 when the text cannot be read, 422 for what it says.
    pub fn of_input(problems: Vec<import::Problem>) -> Problem {
        // A text that cannot be read says nothing else.
        let decisive = problems.iter().find(|problem| problem.is_syntax()).or(problems.first()).cloned();
        let (code, detail) = decisive.map_or((Code::FieldInvalid, String::new()), |problem| {
            let place = problem.pointer.as_ref().map_or(String::new(), |pointer| format!("{pointer} "));
            let detail = format!("{place}{}", problem.detail);
            (Code::from(problem), detail)
        });
        let errors = problems.into_iter().map(Fault::from).collect();
        Problem { code, detail, errors, retry_after_s: None }
    }

    /// The first of some faults, and all of them.
    pub fn of_faults(errors: Vec<Fault>) -> Option<Problem> {
        let first = errors.first()?;
        let place = first.pointer.as_ref().map_or(String::new(), |pointer| format!("{pointer} "));
        let problem = Problem::new(first.code, format!("{place}{}", first.detail));
        Some(Problem { errors, ..problem })
    }

    /// The answer, for the request with this id.
    pub fn answer(&self, request_id: &str) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.code.status().canonical_reason().unwrap_or("Error"),
            status: self.code.status().as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id,
            errors: &self.errors,
        };
        // Texts and numbers; writing them cannot fail.
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(text.into());
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code.status() == StatusCode::UNAUTHORIZED {
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
        Fault { pointer: problem.pointer.clone(), detail: problem.detail.clone(), code: Code::from(problem) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Nothing is known of what became of it: the same may be sent again, and counts once.
fn unavailable(code: Code, detail: &str) -> Problem {
    Problem { retry_after_s: Some(2), ..Problem::new(code, detail) }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Problem {
        match error {
            LedgerError::JournalFull(_) => unavailable(
                Code::StorageFull,
                "the disk is full: nothing of this was recorded; send it again later",
            ),
            LedgerError::StoreDown(fault) if fault.is_disk_full => unavailable(
                Code::StorageFull,
                "the disk is full: whether this was recorded is not known; send the same again later, it counts once",
            ),
            LedgerError::StoreDown(fault) => {
                tracing::warn!("the store cannot be written: {fault}");
                unavailable(
                    Code::StorageUnavailable,
                    "the store cannot be written: whether this was recorded is not known; send the same again, \
                     it counts once",
                )
            }
            LedgerError::Fatal(reason) => {
                tracing::error!("the journal failed: {reason}");
                unavailable(Code::StorageUnavailable, "recording has failed and the server is about to end")
            }
            LedgerError::Store(error) => Problem::from(error),
            LedgerError::Invalid(detail) => Problem::new(Code::FieldInvalid, detail),
            LedgerError::RunInProgress(_) => Problem::new(Code::RunInProgress, error.to_string()),
            LedgerError::TooLarge { .. } => Problem::new(Code::FieldTooLarge, error.to_string()),
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
            StoreError::RangeTooLarge { .. } | StoreError::TooManyRows { .. } | StoreError::TooLong => {
                let detail = format!("{error}; choose a shorter range or fewer dimensions");
                Problem::new(Code::RangeTooLarge, detail)
            }
            StoreError::Busy(_) => unavailable(Code::StorageBusy, "the store is busy; try again"),
            StoreError::Full(_) => unavailable(Code::StorageFull, "the disk is full"),
            other => {
                tracing::error!("{other}");
                Problem::internal()
            }
        }
    }
}
