//! What clients send, and what it comes to.

use super::*;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tollbook_types::limits::{METADATA_BYTES_MAX, NAME_BYTES_MAX, TAGS_MAX};
use tollbook_types::{Digest, Role};

fn key(binding: Value) -> Key {
    Key {
        id: "key_1".to_owned(),
        name: "n".to_owned(),
        roles: vec![Role::Gateway],
        prefix: "tb_12345678".to_owned(),
        hash: Digest::of(b"x"),
        binding: serde_json::from_value(binding).unwrap(),
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires_at: None,
        revoked_at: None,
    }
}

fn read(binding: Value, headers: &[(&str, &str)], provider: &str, body: &[u8]) -> Attribution {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let request = Request::facts(provider, "POST", "/v1/chat/completions", None, Some(body));
    attribution(&key(binding), &map, Some(body), &request)
}

/// The attribution as JSON, without the key.
fn check_all(binding: Value, headers: &[(&str, &str)], provider: &str, body: &str, expected: Value) {
    let found = read(binding, headers, provider, body.as_bytes());
    assert_eq!(found.key.as_deref(), Some("key_1"));
    let mut found = serde_json::to_value(found).unwrap();
    found.as_object_mut().unwrap().remove("key");
    assert_eq!(found, expected, "{headers:?} {body}");
}

fn check_headers(headers: &[(&str, &str)], expected: Value) {
    check_all(json!({}), headers, "openai", "", expected);
}

fn check_body(provider: &str, body: &str, expected: Value) {
    check_all(json!({}), &[], provider, body, expected);
}

#[test]
fn headers_of_each_gateway_are_understood() {
    check_headers(
        &[
            ("x-tollbook-project", "p"),
            ("x-tollbook-customer", "c"),
            ("x-tollbook-user", "Zoë"),
            ("x-tollbook-agent", "a"),
            ("x-tollbook-agent-name", "The agent"),
            ("x-tollbook-operation", "o"),
            ("x-tollbook-operation-id", "i"),
            ("x-tollbook-session", "s"),
            ("x-tollbook-tags", "team=ops, feature:chat,,beta, =x, y="),
            ("x-tollbook-metadata", r#"{"n":1,"deep":{"a":[1.5]}}"#),
        ],
        json!({"project": "p", "customer": "c", "user": "Zoë", "agent": "a", "agent_name": "The agent",
            "operation": "o", "operation_id": "i", "session": "s",
            "tags": {"team": "ops", "feature": "chat", "beta": "true"},
            "metadata": {"n": 1, "deep": {"a": [1.5]}}}),
    );
    check_headers(
        &[
            ("x-litellm-end-user-id", "u"),
            ("x-litellm-tags", "[\"a\",\"b:c\"]"),
            ("x-litellm-spend-logs-metadata", r#"{"k":"v"}"#),
            ("x-litellm-trace-id", "trace"),
            ("x-litellm-agent-id", "a"),
            ("x-litellm-timeout", "9"),
        ],
        json!({"user": "u", "session": "trace", "agent": "a", "tags": {"a": "true", "b": "c"},
            "metadata": {"k": "v"}}),
    );
    check_headers(&[("x-litellm-trace-id", "trace"), ("x-litellm-session-id", "s")], json!({"session": "s"}));
    check_headers(
        &[
            ("Helicone-Auth", "Bearer tb_secret"),
            ("Helicone-User-Id", "u"),
            ("Helicone-Session-Id", "s"),
            ("Helicone-Session-Name", "n"),
            ("Helicone-Property-Plan", "free"),
        ],
        json!({"user": "u", "session": "s", "metadata": {"plan": "free", "session_name": "n"}}),
    );
    check_headers(
        &[("x-portkey-metadata", r#"{"_user":"u1","environment":"prod"}"#), ("x-portkey-trace-id", "t")],
        json!({"user": "u1", "session": "t", "metadata": {"environment": "prod"}}),
    );
    check_headers(&[("cf-aig-metadata", r#"{"team":"x"}"#)], json!({"metadata": {"team": "x"}}));
    check_headers(
        &[("baggage", "user.id=Zo%C3%AB;p=1, session.id = s%2C1 ,tenant.id=t,other=x,user.id")],
        json!({"user": "Zoë", "session": "s,1", "customer": "t"}),
    );
}

#[test]
fn sessions_of_agents_need_no_header_of_ours() {
    let id = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
    for name in
        ["x-claude-code-session-id", "x-any-session-id", "session-id", "session_id", "conversation_id"]
    {
        check_headers(&[(name, id)], json!({"session": id}));
    }
    for value in ["short", "has blank in it", "semi;colon"] {
        check_headers(&[("x-any-session-id", value)], json!({}));
    }
}

#[test]
fn clients_are_known_by_their_names() {
    for (agent, client) in [
        ("claude-cli/1.0.83 (external, cli)", "claude-cli"),
        ("codex_cli_rs/0.20.0 (Debian 12; x86_64) unknown", "codex_cli_rs"),
        ("OpenAI/Python 1.54.0", "OpenAI/Python"),
        ("ai-sdk/openai/2.0.1 ai/5.0", "ai-sdk/openai"),
        ("tool/v1.2", "tool"),
        ("curl", "curl"),
    ] {
        check_headers(&[("user-agent", agent)], json!({"tags": {"client": client}}));
    }
    check_headers(&[("user-agent", " (x)")], json!({}));
    let both = [("user-agent", "curl/8"), ("x-litellm-tags", "client=mine")];
    check_headers(&both, json!({"tags": {"client": "mine"}}));
}

#[test]
fn bodies_say_it_in_their_providers_words() {
    let old = "user_12ab_account_0199-a_session_0199-s";
    let new = r#"{\"device_id\":\"d\",\"account_uuid\":\"a\",\"session_id\":\"s\"}"#;
    let cases: &[(&str, String, Value)] = &[
        ("openai", r#"{"user":"u","messages":[{"user":"no"}]}"#.into(), json!({"user": "u"})),
        ("openai", r#"{"user":"u","safety_identifier":"s"}"#.into(), json!({"user": "s"})),
        ("openai", r#"{"user":17}"#.into(), json!({"user": "17"})),
        ("openai", r#"{"user":null,"metadata":null,"labels":{"a":"b"}}"#.into(), json!({})),
        ("openai", r#"{"prompt_cache_key":"conv-1"}"#.into(), json!({"session": "conv-1"})),
        ("openai", r#"{"metadata":{"k":"v"}}"#.into(), json!({"metadata": {"k": "v"}})),
        (
            "openai",
            r#"{"metadata":{"tags":["x","team:ops",1],"session_id":"s"},"litellm_metadata":{"tags":["y"]}}"#
                .into(),
            json!({"session": "s", "tags": {"x": "true", "team": "ops", "y": "true"}}),
        ),
        ("anthropic", r#"{"metadata":{"user_id":"plain"}}"#.into(), json!({"user": "plain"})),
        (
            "anthropic",
            format!(r#"{{"metadata":{{"user_id":"{old}"}}}}"#),
            json!({"user": "0199-a", "session": "0199-s"}),
        ),
        (
            "anthropic",
            r#"{"metadata":{"user_id":"user_12ab_account__session_s"}}"#.into(),
            json!({"user": "12ab", "session": "s"}),
        ),
        (
            "anthropic",
            format!(r#"{{"metadata":{{"user_id":"{new}"}}}}"#),
            json!({"user": "a", "session": "s"}),
        ),
        ("google", r#"{"labels":{"team":"x","n":1}}"#.into(), json!({"tags": {"team": "x"}})),
        ("bedrock", r#"{"requestMetadata":{"team":"x"}}"#.into(), json!({"tags": {"team": "x"}})),
    ];
    for (provider, body, expected) in cases {
        check_body(provider, body, expected.clone());
    }
}

#[test]
fn the_strongest_source_counts() {
    let headers = [
        ("baggage", "user.id=baggage,session.id=baggage"),
        ("x-portkey-metadata", r#"{"_user":"portkey","k":"portkey"}"#),
        ("helicone-user-id", "helicone"),
        ("x-litellm-customer-id", "litellm"),
        ("x-tollbook-user", "own"),
        ("x-tollbook-metadata", r#"{"k":"own"}"#),
        ("x-tollbook-tags", "team=own,free=own"),
    ];
    let body =
        r#"{"safety_identifier":"safety","user":"body","prompt_cache_key":"cache","metadata":{"k":"body"}}"#;
    for (from, user) in [(0, "own"), (5, "safety")] {
        let headers = if from == 0 { &headers[..] } else { &headers[..1] };
        let found = read(json!({}), headers, "openai", body.as_bytes());
        assert_eq!(found.user.as_deref(), Some(user));
        assert_eq!(found.session.as_deref(), Some("baggage"));
    }
    for (count, user) in [(1, "baggage"), (2, "portkey"), (3, "helicone"), (4, "litellm"), (5, "own")] {
        assert_eq!(read(json!({}), &headers[..count], "openai", b"").user.as_deref(), Some(user));
    }
    let binding =
        json!({"user": "bound", "project": "bound", "tags": {"team": "bound"}, "metadata": {"k": "bound"}});
    check_all(
        binding,
        &headers,
        "openai",
        body,
        json!({"user": "bound", "project": "bound", "session": "baggage",
            "tags": {"team": "bound", "free": "own"}, "metadata": {"k": "bound"}}),
    );
}

#[test]
fn nothing_is_too_long_and_nothing_fails() {
    let long = "é".repeat(9_000);
    let many: String = (0..500).map(|n| format!("t{n}=v,")).collect();
    let big = format!(r#"{{"k":"{}"}}"#, "x".repeat(METADATA_BYTES_MAX));
    let headers = [
        ("x-tollbook-user", long.as_str()),
        ("x-tollbook-session", "a\tb"),
        ("x-tollbook-tags", &many),
        ("x-tollbook-metadata", &big),
        ("x-litellm-spend-logs-metadata", "{\"k\":"),
        ("x-litellm-tags", "[1"),
        ("x-portkey-metadata", "[]"),
        ("baggage", "user.id=%,session.id=%zz,tenant.id=%ff=;=,"),
    ];
    let found = read(json!({}), &headers, "openai", b"{\"user\":");
    assert_eq!(found.user.map(|user| user.len()), Some(NAME_BYTES_MAX));
    assert_eq!(found.session.as_deref(), Some("ab"));
    assert_eq!(found.customer.as_deref(), Some("\u{fffd}="));
    assert_eq!((found.tags.len(), found.metadata), (TAGS_MAX, None));

    // A cut may fall into any escape.
    for blanks in 0..14 {
        let value = format!("{}{}", "x".repeat(blanks), "\\ud83d\\ude00".repeat(1_000));
        let body = format!(r#"{{"user":"{value}"}}"#);
        let user = read(json!({}), &[], "openai", body.as_bytes()).user.unwrap();
        assert!(user.ends_with('\u{1f600}') && user.len() <= NAME_BYTES_MAX, "{blanks}");
    }
    let notes: Vec<(String, String)> =
        (0..40).map(|n| (format!("helicone-property-p{n}"), "\"".repeat(200))).collect();
    let notes: Vec<(&str, &str)> =
        notes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let metadata = read(json!({}), &notes, "openai", b"").metadata.unwrap().to_string();
    assert!((METADATA_BYTES_MAX - 500..=METADATA_BYTES_MAX).contains(&metadata.len()), "{}", metadata.len());
}

#[test]
fn headers_for_gateways_are_known() {
    for (name, is_ours) in [
        ("x-tollbook-key", true),
        ("X-LiteLLM-Tags", true),
        ("helicone-auth", true),
        ("x-portkey-config", true),
        ("cf-aig-authorization", true),
        ("x-api-key", false),
        ("cookie", false),
        ("host", false),
        ("x-request-id", false),
    ] {
        assert_eq!(is_gateway_header(&name.parse().unwrap()), is_ours, "{name}");
    }
}
