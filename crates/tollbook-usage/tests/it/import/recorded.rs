//! Recorded answers: everything that decides decides, nothing else does.

use super::{now, total};
use serde_json::{Value, json};
use std::path::PathBuf;
use tollbook_types::{Event, Evidence, FreeReason, Meter, Status};
use tollbook_usage::import::{Context, Problem, code, recorded};

/// A recorded chat completion.
pub fn chat() -> Value {
    let body = json!({"id":"chatcmpl-1","model":"gpt-4o-mini-2024-07-18","choices":[{"message":{"content":"Hi"}}],
        "usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}});
    json!({"id":"case-1","provider":"openai","api":"chat","streaming":false,"status":200,"method":"POST",
        "request_model":"gpt-4o-mini","url_path":"/v1/chat/completions",
        "request_body":{"model":"gpt-4o-mini","service_tier":"flex","messages":[{"role":"user","content":"Hello"}]},
        "response_content_type":"application/json","response_body":body.to_string(),
        "recorded_at":"Wed, 19 Aug 2026 14:47:10 GMT","origin":"somewhere","source_repo":"a/b"})
}

fn parse(line: &Value) -> Result<Event, Vec<Problem>> {
    recorded::parse_line(line.to_string().as_bytes(), &Context::new(recorded::SOURCE, now()))
}

fn with(name: &str, value: Value) -> Value {
    let mut line = chat();
    line[name] = value;
    line
}

#[test]
fn a_recorded_answer_becomes_an_event() {
    let event = parse(&with("tags", json!({"team":"ops"}))).unwrap();
    assert_eq!(
        (event.id.as_str(), event.source.as_str(), event.provider.as_str()),
        ("case-1", "responses", "openai")
    );
    assert_eq!(
        (event.model.as_str(), event.request_model.as_deref()),
        ("gpt-4o-mini-2024-07-18", Some("gpt-4o-mini"))
    );
    assert_eq!(
        (event.api.as_deref(), event.http_status, event.status),
        (Some("chat"), Some(200), Status::Ok)
    );
    assert_eq!((total(&event, Meter::Input), total(&event, Meter::Output)), (12, 3));
    assert_eq!(event.occurred_at.to_string(), "2026-08-19T14:47:10Z");
    assert_eq!(event.provider_response_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(event.conditions["service_tier"], "flex");
    assert_eq!(event.attribution.tags["team"], "ops");
    assert_eq!(event.evidence, Evidence::ProviderUsage);
}

#[test]
fn the_instant_is_at_then_occurred_then_recorded_then_now() {
    let ctx = Context::new(recorded::SOURCE, now());
    let at = |line: &Value, ctx: &Context<'_>| {
        recorded::parse_line(line.to_string().as_bytes(), ctx).unwrap().occurred_at.to_string()
    };
    let both = with("occurred_at", json!("2026-08-20T01:00:00+02:00"));
    let fixed = Context { at: Some("2026-11-15T12:00:00Z".parse().unwrap()), ..ctx };
    assert_eq!(at(&both, &fixed), "2026-11-15T12:00:00Z");
    assert_eq!(at(&both, &ctx), "2026-08-19T23:00:00Z");
    assert_eq!(at(&with("recorded_at", Value::Null), &ctx), now().to_string());
}

#[test]
fn bodies_come_in_several_forms() {
    let whole = parse(&chat()).unwrap();
    let text = chat()["response_body"].as_str().unwrap().to_owned();
    let object: Value = serde_json::from_str(&text).unwrap();
    let mut encoded = with("response_body", json!(data_encoding::BASE64.encode(text.as_bytes())));
    encoded["response_body_encoding"] = json!("base64");
    for line in [with("response_body", object), encoded] {
        assert_eq!(parse(&line).unwrap().usage, whole.usage);
    }
    let stream = format!("data: {text}\n\ndata: [DONE]\n\n");
    let mut streamed = with("response_body", json!(stream));
    streamed["response_content_type"] = Value::Null;
    streamed["response_headers"] = json!({"Content-Type":["text/event-stream"]});
    assert_eq!(parse(&streamed).unwrap().usage, whole.usage);
    let mut by_api = chat();
    by_api.as_object_mut().unwrap().remove("url_path");
    assert_eq!(parse(&by_api).unwrap().usage, whole.usage);
}

#[test]
fn errors_counts_and_other_hosts() {
    let mut failed = with("status", json!(429));
    failed["response_body"] = json!(r#"{"error":{"message":"slow down","type":"rate_limit"}}"#);
    let event = parse(&failed).unwrap();
    assert_eq!((event.status, event.free), (Status::UpstreamError, Some(FreeReason::HttpError)));
    assert_eq!(
        (event.http_status, event.usage, event.error.as_deref()),
        (Some(429), None, Some("slow down"))
    );

    let mut counted = with("url_path", json!("/v1/messages/count_tokens"));
    counted["provider"] = json!("anthropic");
    counted["response_body"] = json!(r#"{"input_tokens":9}"#);
    assert_eq!(parse(&counted).unwrap().free, Some(FreeReason::CountTokens));

    let event = parse(&with("provider", json!("other:localhost:5002"))).unwrap();
    assert_eq!(event.provider, "other:localhost:5002");
    let mut bedrock = with("provider", json!("aws"));
    bedrock["url_path"] = json!("/model/us.anthropic.claude-x%3A0/converse");
    for name in ["request_model", "request_body"] {
        bedrock[name] = Value::Null;
    }
    bedrock["response_body"] = json!(r#"{"usage":{"inputTokens":5,"outputTokens":2,"totalTokens":7}}"#);
    let event = parse(&bedrock).unwrap();
    assert_eq!((event.provider.as_str(), event.model.as_str()), ("bedrock", "us.anthropic.claude-x:0"));
}

#[test]
fn bad_lines_are_told_by_member() {
    let cases = [
        (with("id", json!("")), code::ID_INVALID, "/id"),
        (with("provider", Value::Null), code::FIELD_MISSING, "/provider"),
        (with("status", json!("200")), code::FIELD_INVALID, "/status"),
        (with("recorded_at", json!("long ago")), code::TIMESTAMP_INVALID, "/recorded_at"),
        (with("occurred_at", json!("2027-01-01T00:00:00Z")), code::TIMESTAMP_FUTURE, "/occurred_at"),
        (with("response_body_encoding", json!("rot13")), code::FIELD_INVALID, "/response_body_encoding"),
        (with("tags", json!({"a":1})), code::FIELD_INVALID, "/tags/a"),
        (with("url_path", json!(1)), code::FIELD_INVALID, "/url_path"),
    ];
    for (line, code, pointer) in cases {
        let problems = parse(&line).unwrap_err();
        assert_eq!((problems[0].code, problems[0].pointer.as_deref()), (code, Some(pointer)), "{problems:?}");
    }
    let ctx = Context::new(recorded::SOURCE, now());
    let code_of = |text: &[u8]| recorded::parse_line(text, &ctx).unwrap_err()[0].code;
    assert_eq!(code_of(b"{"), code::JSON_INVALID);
    assert_eq!(code_of(br#"{"id":"a","id":"b"}"#), code::JSON_DUPLICATE_KEY);
    assert_eq!(code_of(b"[]"), code::FIELD_INVALID);
    assert_eq!(code_of(b"{\"id\":\"\xff\"}"), code::NOT_UTF8);
}

#[test]
fn content_covers_what_decides_and_nothing_else() {
    let one = parse(&chat()).unwrap().content;
    let mut other = with("origin", json!("elsewhere"));
    other["note"] = json!([1, 2]);
    other["user"] = Value::Null;
    other["recorded_at"] = json!("2026-08-19T16:47:10+02:00");
    assert_eq!(parse(&other).unwrap().content, one);
    let fixed = Context { at: Some(now()), ..Context::new(recorded::SOURCE, now()) };
    let timed = recorded::parse_line(chat().to_string().as_bytes(), &fixed).unwrap();
    assert_eq!(timed.content, one);
    let changes = [
        ("user", json!("u")),
        ("status", json!(201)),
        ("request_body", json!({})),
        ("response_body", json!("{}")),
    ];
    for (name, value) in changes {
        assert_ne!(parse(&with(name, value)).unwrap().content, one, "{name}");
    }
}

#[test]
fn every_recorded_case_becomes_an_event() {
    let folder = std::env::var_os("TOLLBOOK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/responses"),
        PathBuf::from,
    );
    let (Ok(cases), Ok(expected)) = (
        std::fs::read_to_string(folder.join("cases.jsonl")),
        std::fs::read_to_string(folder.join("expected.jsonl")),
    ) else {
        println!("SKIPPED: no recorded answers at {}; set TOLLBOOK_CORPUS", folder.display());
        return;
    };
    let ctx = Context::new(recorded::SOURCE, now());
    let mut ids = std::collections::BTreeSet::new();
    for (line, expected) in cases.lines().zip(expected.lines()) {
        let event = recorded::parse_line(line.as_bytes(), &ctx).unwrap();
        let expected: Value = serde_json::from_str(expected).unwrap();
        let case: Value = serde_json::from_str(line).unwrap();
        assert_eq!(expected["id"], event.id.as_str());
        assert!(ids.insert(event.identity()), "{}", event.id);
        let status = case["status"].as_u64().unwrap();
        if status >= 400 {
            assert_eq!(
                (event.status, event.free),
                (Status::UpstreamError, Some(FreeReason::HttpError)),
                "{}",
                event.id
            );
        }
        if event.status == Status::UpstreamError && status < 400 {
            println!("{}: {:?} with HTTP {status}", event.id, event.error);
        }
        if !expected["usage"].is_null()
            && expected["agreeing_tools"].as_array().is_some_and(|tools| tools.len() > 1)
        {
            let usage = event.usage.as_ref().unwrap();
            assert!(!usage.legs.is_empty() && event.evidence >= Evidence::Partial, "{}", event.id);
        }
        if event.model.is_empty() && event.usage.is_some() {
            println!("{}: no model at {}", event.id, case["url_path"]);
        }
        let again = recorded::parse_line(line.as_bytes(), &ctx).unwrap();
        assert_eq!(event, again);
    }
    assert!(ids.len() > 900);
}
