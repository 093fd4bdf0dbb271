//! Refusals in the words of the provider that was asked, so that its SDK understands them.
//!
//! Every SDK retries what looks transient, and some sleep for days on a long `retry-after`: what
//! a retry cannot help says so. This must never repeat a secret or what a caller sent.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// Longest `retry-after` that is ever sent, in seconds.
pub const RETRY_AFTER_S_MAX: u32 = 60;

/// Why a call is refused, for people, SDKs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The request is not one that can be forwarded.
    BadRequest,
    /// No Tollbook key was sent.
    MissingKey,
    /// The key is unknown, expired or revoked.
    InvalidKey,
    /// Two different Tollbook keys were sent.
    ConflictingKeys,
    /// The key may not call models.
    KeyNotAllowed,
    /// The upstream lacks its own key or place.
    NotConfigured,
    /// No upstream has this name, or the path leaves it.
    NotFound,
    /// A method that is never forwarded.
    MethodNotAllowed,
    /// A WebSocket, which would pass unmetered.
    Upgrade,
    /// The head is longer than its bound.
    HeadTooLarge,
    /// The body is longer than its bound, or no memory is left to hold it.
    BodyTooLarge,
    /// The caller did not go on with its request.
    RequestTimeout,
    /// Too many calls in a time.
    RateLimited,
    /// A budget is spent.
    BudgetExceeded,
    /// The model has no price, which a strict budget needs.
    ModelUnpriced,
    /// The bill cannot be bounded, which a strict budget needs.
    UnboundedCall,
    /// The key or a rule does not allow this model.
    ModelNotAllowed,
    /// The call could not be recorded, which a strict budget needs.
    NotRecordable,
    /// The provider could not be reached, or broke off before it answered.
    UpstreamUnavailable,
    /// The provider did not answer in time.
    UpstreamTimeout,
    /// The gateway is ending.
    ShuttingDown,
    /// A fault of the gateway's own.
    Internal,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Reason] = &[
        Reason::BadRequest,
        Reason::MissingKey,
        Reason::InvalidKey,
        Reason::ConflictingKeys,
        Reason::KeyNotAllowed,
        Reason::NotConfigured,
        Reason::NotFound,
        Reason::MethodNotAllowed,
        Reason::Upgrade,
        Reason::HeadTooLarge,
        Reason::BodyTooLarge,
        Reason::RequestTimeout,
        Reason::RateLimited,
        Reason::BudgetExceeded,
        Reason::ModelUnpriced,
        Reason::UnboundedCall,
        Reason::ModelNotAllowed,
        Reason::NotRecordable,
        Reason::UpstreamUnavailable,
        Reason::UpstreamTimeout,
        Reason::ShuttingDown,
        Reason::Internal,
    ];

    /// The public name: a label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::BadRequest => "bad_request",
            Reason::MissingKey => "missing_key",
            Reason::InvalidKey => "invalid_key",
            Reason::ConflictingKeys => "conflicting_keys",
            Reason::KeyNotAllowed => "key_not_allowed",
            Reason::NotConfigured => "not_configured",
            Reason::NotFound => "not_found",
            Reason::MethodNotAllowed => "method_not_allowed",
            Reason::Upgrade => "upgrade",
            Reason::HeadTooLarge => "head_too_large",
            Reason::BodyTooLarge => "body_too_large",
            Reason::RequestTimeout => "request_timeout",
            Reason::RateLimited => "rate_limited",
            Reason::BudgetExceeded => "budget_exceeded",
            Reason::ModelUnpriced => "model_unpriced",
            Reason::UnboundedCall => "unbounded_call",
            Reason::ModelNotAllowed => "model_not_allowed",
            Reason::NotRecordable => "not_recordable",
            Reason::UpstreamUnavailable => "upstream_unavailable",
            Reason::UpstreamTimeout => "upstream_timeout",
            Reason::ShuttingDown => "shutting_down",
            Reason::Internal => "internal",
        }
    }

    /// The usual status.
    pub const fn status(self) -> StatusCode {
        match self {
            Reason::BadRequest | Reason::ConflictingKeys => StatusCode::BAD_REQUEST,
            Reason::MissingKey | Reason::InvalidKey => StatusCode::UNAUTHORIZED,
            Reason::BudgetExceeded => StatusCode::PAYMENT_REQUIRED,
            Reason::KeyNotAllowed
            | Reason::ModelUnpriced
            | Reason::UnboundedCall
            | Reason::ModelNotAllowed => StatusCode::FORBIDDEN,
            Reason::NotFound => StatusCode::NOT_FOUND,
            Reason::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Reason::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Reason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::Upgrade => StatusCode::UPGRADE_REQUIRED,
            Reason::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Reason::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Reason::UpstreamUnavailable => StatusCode::BAD_GATEWAY,
            Reason::NotConfigured | Reason::NotRecordable | Reason::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Reason::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether the same call may succeed a little later.
    const fn may_retry(self) -> bool {
        matches!(
            self,
            Reason::RequestTimeout
                | Reason::RateLimited
                | Reason::NotRecordable
                | Reason::UpstreamUnavailable
                | Reason::UpstreamTimeout
                | Reason::ShuttingDown
                | Reason::Internal
        )
    }

    /// `type` and `code` of OpenAI's error object.
    const fn openai(self, status: StatusCode) -> (&'static str, &'static str) {
        match self {
            Reason::MissingKey | Reason::InvalidKey => ("invalid_request_error", "invalid_api_key"),
            Reason::KeyNotAllowed
            | Reason::ModelUnpriced
            | Reason::UnboundedCall
            | Reason::ModelNotAllowed => ("permission_error", self.name()),
            Reason::RateLimited => ("requests", "rate_limit_exceeded"),
            // Frameworks know this code under 429 for a fault that no retry helps.
            Reason::BudgetExceeded if status.as_u16() == 429 => ("insufficient_quota", "insufficient_quota"),
            Reason::BudgetExceeded => ("insufficient_quota", "budget_exceeded"),
            Reason::UpstreamUnavailable | Reason::UpstreamTimeout => ("server_error", "upstream_unavailable"),
            Reason::NotConfigured | Reason::NotRecordable | Reason::ShuttingDown | Reason::Internal => {
                ("server_error", self.name())
            }
            _ => ("invalid_request_error", self.name()),
        }
    }
}

/// What a rate limit that is in the way allows, as its own fields of the answer tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// What it is called there.
    pub name: &'static str,
    /// How much.
    pub quota: u64,
    /// Of what, unless of requests.
    pub unit: Option<&'static str>,
    /// In how many seconds; absent where it is not a matter of time.
    pub window_s: Option<u32>,
}

impl Quota {
    /// `RateLimit-Policy`, a structured field.
    fn policy(self) -> String {
        let Quota { name, quota, unit, window_s } = self;
        let window = window_s.map_or(String::new(), |seconds| format!(";w={seconds}"));
        let unit = unit.map_or(String::new(), |unit| format!(";qu=\"{unit}\""));
        format!("\"{name}\";q={quota}{window}{unit}")
    }
}

/// A refusal: nothing was forwarded, or nothing came back.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The answer's status.
    pub status: StatusCode,
    /// Why.
    pub reason: Reason,
    /// What to tell the caller; never a secret.
    pub message: String,
    /// Seconds to wait; only heard of with a rate limit, and at most [`RETRY_AFTER_S_MAX`].
    pub retry_after_s: Option<u32>,
    /// The rate limit that is in the way.
    pub quota: Option<Quota>,
}

impl Refusal {
    /// A refusal with its usual status.
    pub fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal { status: reason.status(), reason, message: message.into(), retry_after_s: None, quota: None }
    }
}

/// The families of error shapes, as the providers' own references and SDKs have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// `{"error":{"message","type","param","code"}}`
    OpenAi,
    /// `{"type":"error","error":{"type","message"}}`
    Anthropic,
    /// `{"error":{"code","message","status","details"}}`
    Google,
    /// `{"object":"error","message","type","param","code"}`
    Mistral,
    /// `{"id","message"}`
    Cohere,
    /// `{"error":"…"}`
    Ollama,
    /// `{"message"}`, and what it is in the header `x-amzn-errortype`
    Bedrock,
}

impl ErrorShape {
    /// The shape that callers of a path expect: of the provider where it has its own API there, else of
    /// the dialect that it speaks.
    pub fn of(provider: &str, dialect: &str, path: &str) -> ErrorShape {
        match provider {
            "mistral" => ErrorShape::Mistral,
            "cohere" if !path.starts_with("/compatibility/") => ErrorShape::Cohere,
            "ollama" if path.starts_with("/api/") => ErrorShape::Ollama,
            "bedrock" if !path.starts_with("/openai/") => ErrorShape::Bedrock,
            _ => match dialect {
                "anthropic" => ErrorShape::Anthropic,
                "google" | "vertex" | "gemini" => ErrorShape::Google,
                _ => ErrorShape::OpenAi,
            },
        }
    }

    /// The header in which the provider's SDK looks for the request's id.
    fn id_header(self) -> HeaderName {
        HeaderName::from_static(match self {
            ErrorShape::Anthropic => "request-id",
            ErrorShape::Bedrock => "x-amzn-requestid",
            _ => "x-request-id",
        })
    }
}

/// The whole answer of a refusal.
pub fn answer(shape: ErrorShape, refusal: &Refusal, call_id: &str) -> Response<Bytes> {
    let (kind, code) = refusal.reason.openai(refusal.status);
    let is_of_tokens = refusal.quota.is_some_and(|quota| quota.unit == Some("tokens"));
    let kind = if is_of_tokens { "tokens" } else { kind };
    let body = match shape {
        ErrorShape::OpenAi => {
            json!({"error": {"message": refusal.message, "type": kind, "param": null, "code": code}})
        }
        ErrorShape::Mistral => {
            json!({"object": "error", "message": refusal.message, "type": kind, "param": null, "code": code})
        }
        ErrorShape::Cohere => json!({"id": call_id, "message": refusal.message}),
        ErrorShape::Ollama => json!({"error": refusal.message}),
        ErrorShape::Bedrock => json!({"message": refusal.message}),
        ErrorShape::Anthropic => json!({
            "type": "error",
            "error": {"type": anthropic_type(refusal.status), "message": refusal.message},
            "request_id": call_id,
        }),
        ErrorShape::Google => json!({"error": {
            "code": refusal.status.as_u16(),
            "message": refusal.message,
            "status": google_status(refusal.status),
            "details": [],
        }}),
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(call_id) {
        headers.insert(shape.id_header(), id);
    }
    if shape == ErrorShape::Bedrock {
        let name = HeaderValue::from_static(bedrock_type(refusal.status));
        headers.insert(HeaderName::from_static("x-amzn-errortype"), name);
    }
    if !refusal.reason.may_retry() {
        headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    }
    if refusal.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let (Reason::RateLimited, Some(seconds)) = (refusal.reason, refusal.retry_after_s) {
        let seconds = seconds.min(RETRY_AFTER_S_MAX);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        if let Some(quota) = refusal.quota {
            let fields = [
                ("ratelimit-policy", quota.policy()),
                ("ratelimit", format!("\"{}\";r=0;t={seconds}", quota.name)),
            ];
            for (name, text) in fields {
                // Numbers and words of our own.
                let Ok(value) = HeaderValue::try_from(text) else { continue };
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    response
}

/// An event that ends a running stream with an error, in its shape.
pub fn stream_error(shape: ErrorShape, message: &str) -> Bytes {
    let event = |data: Value| format!("data: {data}\n\n");
    let text = match shape {
        ErrorShape::Anthropic => {
            let error = json!({"type": "error", "error": {"type": "api_error", "message": message}});
            format!("event: error\n{}", event(error))
        }
        ErrorShape::Google => event(json!({"error": {
            "code": 503, "message": message, "status": "UNAVAILABLE", "details": [],
        }})),
        // Of the others, those that stream such events at all have OpenAI's.
        _ => {
            let (kind, code) = Reason::UpstreamUnavailable.openai(StatusCode::BAD_GATEWAY);
            event(json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
        }
    };
    // The stream may have ended inside of an event: a blank line ends that one first.
    Bytes::from(format!("\n\n{text}"))
}

const fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

/// Exceptions of the Converse API.
const fn bedrock_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "AccessDeniedException",
        402 => "ServiceQuotaExceededException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        429 => "ThrottlingException",
        502 | 503 => "ServiceUnavailableException",
        500..=599 => "InternalServerException",
        _ => "ValidationException",
    }
}

const fn google_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        402 | 429 => "RESOURCE_EXHAUSTED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 | 426 => "UNIMPLEMENTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        502 | 503 => "UNAVAILABLE",
        500..=599 => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: &str, refusal: &Refusal, body: Value, headers: &[(&str, Option<&str>)]) {
        let answer = answer(ErrorShape::of(dialect, dialect, "/"), refusal, "0199-call");
        assert_eq!(answer.status(), refusal.status);
        let found: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(found, body, "{dialect} {:?}", refusal.reason);
        for (name, value) in headers {
            let found = answer.headers().get(*name).map(|value| value.to_str().unwrap());
            assert_eq!(found, *value, "{dialect} {:?} {name}", refusal.reason);
        }
        assert_eq!(answer.headers()["content-type"], "application/json");
    }

    fn openai(kind: &str, code: &str) -> Value {
        json!({"error": {"message": "m", "type": kind, "param": null, "code": code}})
    }

    fn anthropic(kind: &str) -> Value {
        json!({"type": "error", "error": {"type": kind, "message": "m"}, "request_id": "0199-call"})
    }

    fn google(code: u16, status: &str) -> Value {
        json!({"error": {"code": code, "message": "m", "status": status, "details": []}})
    }

    #[test]
    fn each_dialect_has_its_own_shape() {
        let refusal = |reason| Refusal::new(reason, "m");
        let fatal = ("x-should-retry", Some("false"));
        let id = ("x-request-id", Some("0199-call"));
        let cases = [
            (
                Reason::InvalidKey,
                openai("invalid_request_error", "invalid_api_key"),
                anthropic("authentication_error"),
                google(401, "UNAUTHENTICATED"),
            ),
            (
                Reason::BudgetExceeded,
                openai("insufficient_quota", "budget_exceeded"),
                anthropic("billing_error"),
                google(402, "RESOURCE_EXHAUSTED"),
            ),
            (
                Reason::ModelUnpriced,
                openai("permission_error", "model_unpriced"),
                anthropic("permission_error"),
                google(403, "PERMISSION_DENIED"),
            ),
            (
                Reason::ConflictingKeys,
                openai("invalid_request_error", "conflicting_keys"),
                anthropic("invalid_request_error"),
                google(400, "INVALID_ARGUMENT"),
            ),
            (
                Reason::NotConfigured,
                openai("server_error", "not_configured"),
                anthropic("api_error"),
                google(503, "UNAVAILABLE"),
            ),
        ];
        for (reason, as_openai, as_anthropic, as_google) in cases {
            check("openai", &refusal(reason), as_openai.clone(), &[fatal, id, ("retry-after", None)]);
            check("groq", &refusal(reason), as_openai.clone(), &[fatal, id]);
            let mut as_mistral = as_openai["error"].clone();
            as_mistral["object"] = json!("error");
            check("mistral", &refusal(reason), as_mistral, &[fatal, id]);
            check("cohere", &refusal(reason), json!({"id": "0199-call", "message": "m"}), &[fatal, id]);
            check("google", &refusal(reason), as_google, &[fatal, id]);
            let headers = [fatal, ("request-id", Some("0199-call")), ("x-request-id", None)];
            check("anthropic", &refusal(reason), as_anthropic, &headers);
        }
    }

    #[test]
    fn a_path_has_the_shape_of_the_api_that_is_there() {
        for (provider, dialect, path, shape) in [
            ("ollama", "openai", "/api/chat", ErrorShape::Ollama),
            ("ollama", "openai", "/v1/chat/completions", ErrorShape::OpenAi),
            ("cohere", "openai", "/v2/chat", ErrorShape::Cohere),
            ("cohere", "openai", "/compatibility/v1/chat/completions", ErrorShape::OpenAi),
            ("bedrock", "openai", "/model/m/converse", ErrorShape::Bedrock),
            ("bedrock", "openai", "/openai/v1/chat/completions", ErrorShape::OpenAi),
            ("anthropic", "anthropic", "/v1/messages", ErrorShape::Anthropic),
            ("vertex", "google", "/v1/projects", ErrorShape::Google),
            ("house", "anthropic", "/v1/messages", ErrorShape::Anthropic),
        ] {
            assert_eq!(ErrorShape::of(provider, dialect, path), shape, "{provider} {path}");
        }
        let spent = Refusal::new(Reason::BudgetExceeded, "m");
        let of = |shape| answer(shape, &spent, "0199-call");
        assert_eq!(of(ErrorShape::Ollama).into_body(), r#"{"error":"m"}"#);
        let bedrock = of(ErrorShape::Bedrock);
        assert_eq!(bedrock.headers()["x-amzn-errortype"], "ServiceQuotaExceededException");
        assert_eq!(bedrock.headers()["x-amzn-requestid"], "0199-call");
        assert_eq!(bedrock.into_body(), r#"{"message":"m"}"#);
    }

    #[test]
    fn only_what_a_retry_helps_is_retried() {
        let retry = ("x-should-retry", None);
        let fatal = ("x-should-retry", Some("false"));
        let bearer = ("www-authenticate", Some("Bearer"));
        let wait = |reason, seconds| Refusal { retry_after_s: Some(seconds), ..Refusal::new(reason, "m") };
        let limited = openai("requests", "rate_limit_exceeded");
        check("openai", &wait(Reason::RateLimited, 7), limited.clone(), &[retry, ("retry-after", Some("7"))]);
        let tokens = Quota { name: "tokens", quota: 1_000, unit: Some("tokens"), window_s: Some(60) };
        let by_rate = Refusal { quota: Some(tokens), ..wait(Reason::RateLimited, 7) };
        let fields = [
            ("retry-after", Some("7")),
            ("ratelimit-policy", Some("\"tokens\";q=1000;w=60;qu=\"tokens\"")),
            ("ratelimit", Some("\"tokens\";r=0;t=7")),
        ];
        check("openai", &by_rate, openai("tokens", "rate_limit_exceeded"), &fields);
        check("anthropic", &by_rate, anthropic("rate_limit_error"), &fields);
        check("google", &by_rate, google(429, "RESOURCE_EXHAUSTED"), &fields);
        check("openai", &wait(Reason::RateLimited, 9_999), limited, &[retry, ("retry-after", Some("60"))]);
        let spent = Refusal { status: StatusCode::TOO_MANY_REQUESTS, ..wait(Reason::BudgetExceeded, 30) };
        let quota = openai("insufficient_quota", "insufficient_quota");
        check("openai", &spent, quota, &[fatal, ("retry-after", None)]);
        let down = Refusal::new(Reason::UpstreamTimeout, "m");
        check("openai", &down, openai("server_error", "upstream_unavailable"), &[retry]);
        let missing = Refusal::new(Reason::MissingKey, "m");
        check("openai", &missing, openai("invalid_request_error", "invalid_api_key"), &[fatal, bearer]);
        for reason in Reason::ALL {
            let fatal = (400..=404).contains(&reason.status().as_u16());
            assert!(!(fatal && reason.may_retry()), "{}", reason.name());
        }
    }

    #[test]
    fn names_of_reasons_are_unique() {
        let mut names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn a_stream_ends_with_an_error_that_is_read_alone() {
        let hostile = "a\n\ndata: {}\"";
        for dialect in ["openai", "anthropic", "google", "ollama"] {
            let event = stream_error(ErrorShape::of(dialect, dialect, "/"), hostile);
            let text = std::str::from_utf8(&event).unwrap();
            let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            let [data] = data[..] else { panic!("{dialect}: one event in {text}") };
            let value: Value = serde_json::from_str(data).unwrap();
            assert_eq!(value["error"]["message"], hostile, "{dialect}");
            assert!(text.starts_with("\n\n") && text.ends_with("\n\n"));
            assert_eq!(text.contains("event: error\n"), dialect == "anthropic");
        }
    }
}
