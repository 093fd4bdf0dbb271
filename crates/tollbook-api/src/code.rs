//! The closed set of codes that a request, or a part of one, can be refused with: each with its status
//! and its meaning, once. The document at `/openapi.json`, the answers and `docs/reference/errors.md`
//! follow from this table.

use http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! codes {
    ($($code:ident $name:literal $status:ident $meaning:literal,)*) => {
        /// Why a request is refused, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $code,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$code,)*];

            /// The public name.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$code => $name,)* }
            }

            /// The status of an answer with this code.
            pub const fn status(self) -> StatusCode {
                match self { $(Code::$code => StatusCode::$status,)* }
            }

            /// What it means and what to do next, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$code => $meaning,)* }
            }
        }
    };
}

codes! {
    JsonInvalid "json_invalid" BAD_REQUEST "not JSON, or cut short; the detail names line and column",
    ProtobufInvalid "protobuf_invalid" BAD_REQUEST "not a protobuf message of the kind, or cut short",
    JsonTooDeep "json_too_deep" BAD_REQUEST "nested beyond 64 levels: flatten it",
    JsonTooLarge "json_too_large" BAD_REQUEST
        "more values than are held in memory (some 130,000 in one event): send a long response as a text",
    JsonDuplicateKey "json_duplicate_key" BAD_REQUEST "a member stands twice in an object: send it once",
    NotUtf8 "not_utf8" BAD_REQUEST "bytes that are no UTF-8 text; the detail names the byte",
    LineTooLong "line_too_long" BAD_REQUEST "a line beyond 64 MiB, which is not held in memory: split it",
    BodyIncomplete "body_incomplete" BAD_REQUEST "the body did not come to its end",
    EncodingInvalid "encoding_invalid" BAD_REQUEST "the body is not what its content-encoding says",
    ParameterInvalid "parameter_invalid" BAD_REQUEST "the query or a header makes no sense; the detail says which",
    CursorInvalid "cursor_invalid" BAD_REQUEST "a cursor of another question: leave it out to begin anew",
    WebsocketExpected "websocket_expected" BAD_REQUEST "a web socket is here: ask for it with an HTTP/1.1 upgrade",
    TwoKeys "two_keys" BAD_REQUEST "two different keys came with one request: send one",
    KeyMissing "key_missing" UNAUTHORIZED "no key came with the request",
    InvalidKey "invalid_key" UNAUTHORIZED "the key is unknown, revoked or expired",
    SessionEnded "session_ended" UNAUTHORIZED "the session has ended: sign in again",
    LinkInvalid "link_invalid" UNAUTHORIZED "the sign-in link is unknown, was used, or has ended: ask for another",
    CsrfInvalid "csrf_invalid" FORBIDDEN "a session's request that changes something lacks its token, or comes from another site",
    TooManyAttempts "too_many_attempts" TOO_MANY_REQUESTS "too many failures to prove who asks: wait as told, then send a good key",
    Forbidden "forbidden" FORBIDDEN "the key's role, or what it is bound to, does not allow it",
    NotFound "not_found" NOT_FOUND "not there, or not for this caller",
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "the path knows other methods; the header allow names them",
    IdConflict "id_conflict" CONFLICT "the id is recorded already and says something else: the first is kept, send the other under its own id",
    CommandRunning "command_running" CONFLICT "the same command is being done: send the same again",
    CommandUnknown "command_unknown" CONFLICT
        "the same command was interrupted: look whether it was done, and use another idempotency-key if it was not",
    AmbiguousId "ambiguous_id" CONFLICT "several calls have the id: add source= and project=",
    FormatUnavailable "format_unavailable" NOT_ACCEPTABLE "the build cannot write the format: ask for another",
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE "a body above 4 MiB (telemetry: 64 MiB), as it came or decoded: send less at once",
    BatchTooLarge "batch_too_large" PAYLOAD_TOO_LARGE "more than 1,000 events (spans or log records: 65,536) in one request: send fewer at once",
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "a content-type that is not taken here",
    UnsupportedEncoding "unsupported_encoding" UNSUPPORTED_MEDIA_TYPE "a content-encoding other than gzip and zstd",
    FieldMissing "field_missing" UNPROCESSABLE_ENTITY "a member that has to be there: add it",
    FieldInvalid "field_invalid" UNPROCESSABLE_ENTITY "a member of the wrong type or form: counts are whole numbers, amounts decimal text",
    FieldTooLarge "field_too_large" UNPROCESSABLE_ENTITY "a member beyond its bound",
    UnknownMember "unknown_member" UNPROCESSABLE_ENTITY "a member that is not known; the detail says what was probably meant",
    IdInvalid "id_invalid" UNPROCESSABLE_ENTITY "an id that is empty, longer than 255 bytes, or has control characters: choose another",
    UsageInconsistent "usage_inconsistent" UNPROCESSABLE_ENTITY "a part above its whole, such as more cached than input tokens: send totals that include their parts",
    TimestampInvalid "timestamp_invalid" UNPROCESSABLE_ENTITY "not an instant with a zone, such as 2026-11-22T10:30:45Z",
    TimestampFuture "timestamp_future" UNPROCESSABLE_ENTITY "more than five minutes ahead: set the sender's clock",
    TimestampTooOld "timestamp_too_old" UNPROCESSABLE_ENTITY "longer ago than this key may report; an admin's may",
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY
        "the idempotency-key came before with another body: choose another",
    BeforeCutoff "before_cutoff" UNPROCESSABLE_ENTITY "the call is of a day that retention has dropped",
    BudgetExceeded "budget_exceeded" PAYMENT_REQUIRED "a budget is spent: the detail says which, and when it begins anew",
    ModelUnpriced "model_unpriced" FORBIDDEN "the model has no price, which a strict budget needs: give it one",
    UnboundedCall "unbounded_call" FORBIDDEN "nothing bounds what the call can cost, which a strict budget needs: say max_output_tokens",
    RateLimited "rate_limited" TOO_MANY_REQUESTS "too soon: wait as long as the header retry-after says",
    BudgetConfigured "budget_configured" CONFLICT "the budget stands in the configuration: change it there",
    ChannelExists "channel_exists" CONFLICT "there is a channel with this name: choose another, or take that one away",
    ChannelConfigured "channel_configured" CONFLICT "the channel stands in the configuration: change it there",
    RunInProgress "run_in_progress" CONFLICT "calls are being rated again: wait for the end of that run",
    PreconditionFailed "precondition_failed" PRECONDITION_FAILED "somebody else changed it meanwhile: read it and try again",
    RangeTooLarge "range_too_large" UNPROCESSABLE_ENTITY "more than one question may read, or longer than it may take: choose a shorter range or fewer dimensions",
    Internal "internal" INTERNAL_SERVER_ERROR "something failed here; the log has more under the request's id",
    Busy "busy" SERVICE_UNAVAILABLE "too much to do at once: send the same again",
    StorageBusy "storage_busy" SERVICE_UNAVAILABLE "the store is busy: send the same again",
    StorageFull "storage_full" SERVICE_UNAVAILABLE "the disk is full: send the same again later, it counts once",
    StorageUnavailable "storage_unavailable" SERVICE_UNAVAILABLE "whether it was recorded is not known: send the same again, it counts once",
}

/// What can be wrong with a body, whatever it holds.
pub const BODY: &[Code] =
    &[Code::BodyIncomplete, Code::EncodingInvalid, Code::BodyTooLarge, Code::UnsupportedEncoding];
/// What can be wrong with the text of a JSON body.
pub const JSON: &[Code] =
    &[Code::JsonInvalid, Code::JsonTooDeep, Code::JsonTooLarge, Code::JsonDuplicateKey, Code::NotUtf8];
/// What can be wrong with the members of an object.
pub const MEMBERS: &[Code] = &[
    Code::FieldMissing,
    Code::FieldInvalid,
    Code::FieldTooLarge,
    Code::UnknownMember,
    Code::TimestampInvalid,
];
/// Why the store may not answer now.
pub const READ: &[Code] = &[Code::Busy, Code::StorageBusy, Code::StorageFull];
/// Why the ledger may not record now.
pub const WRITE: &[Code] = &[Code::Busy, Code::StorageBusy, Code::StorageFull, Code::StorageUnavailable];

impl Code {
    /// The code with this public name.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.name() == name)
    }
}

/// What a reader of events found. Its codes are among these, which a test holds.
impl From<tollbook_usage::import::Problem> for Code {
    fn from(problem: tollbook_usage::import::Problem) -> Code {
        Code::from_name(problem.code).unwrap_or(Code::FieldInvalid)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let names = Code::ALL.iter().map(|code| code.name());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Why it was refused, for programs."))
            .enum_values(Some(names))
            .into()
    }
}

impl ToSchema for Code {}

#[cfg(test)]
mod tests {
    use super::*;
    use tollbook_usage::import;

    #[test]
    fn every_code_of_an_import_is_one_here() {
        for name in import::code::ALL {
            let code = Code::from_name(name).unwrap_or_else(|| panic!("{name} has no row"));
            let is_syntax = import::Problem::new(name, "").is_syntax();
            assert_eq!(code.status() == StatusCode::BAD_REQUEST, is_syntax, "{name}");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
