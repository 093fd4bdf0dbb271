//! The native event: every bad input by its code, and what counts as the same event.

use super::{ctx, now, total};
use serde_json::{Map, Value, json};
use tollbook_types::{Event, Evidence, FreeReason, Meter, Status, Timestamp};
use tollbook_usage::import::json_lines::JsonLines;
use tollbook_usage::import::{Context, FileReader, Problem, Window, code, native};

pub fn event() -> Value {
    json!({"id":"e1","occurred_at":"2026-11-22T10:30:45.123Z","provider":"openai","model":"gpt-4o-mini",
        "usage":{"input_tokens":1250,"output_tokens":150}})
}

/// The event with one member set; `null` takes it away.
fn with(name: &str, value: Value) -> Value {
    let mut event = event();
    event[name] = value;
    event
}

fn parse(value: &Value) -> Result<Event, Vec<Problem>> {
    native::parse_event(value.to_string().as_bytes(), &ctx())
}

fn refused(text: &[u8]) -> Vec<Problem> {
    native::parse_event(text, &ctx()).expect_err(&String::from_utf8_lossy(&text[..text.len().min(80)]))
}

#[test]
fn what_is_no_event_at_all_is_told_briefly() {
    let strange: Map<String, Value> = (0..10_000).map(|nth| (format!("x{nth}"), Value::from(1))).collect();
    for (what, value, most) in [
        ("members", Value::from(strange.clone()), 70),
        ("usage", with("usage", strange.clone().into()), 64),
        ("meters", with("meters", strange.clone().into()), 65),
        ("cache_hit", with("cache_hit", strange.clone().into()), 66),
        ("tags", with("tags", strange.clone().into()), 1),
        ("conditions", with("conditions", strange.into()), 1),
    ] {
        let problems = parse(&value).unwrap_err();
        assert!(problems.len() <= most, "{what}: {}", problems.len());
    }
}

#[test]
fn broken_texts_are_told_by_their_code() {
    let deep_lists = "[".repeat(100_000);
    let deep_objects = r#"{"a":"#.repeat(100_000);
    let deep_metadata = format!(r#"{{"id":"x","metadata":{}1{}}}"#, r#"{"a":"#.repeat(65), "}".repeat(65));
    let cases: &[(&[u8], &str)] = &[
        (b"", code::JSON_INVALID),
        (b"{", code::JSON_INVALID),
        (b"null", code::FIELD_INVALID),
        (b"[]", code::FIELD_INVALID),
        (b"\"a\"", code::FIELD_INVALID),
        (b"{} garbage", code::JSON_INVALID),
        (b"\xef\xbb\xbf{}", code::JSON_INVALID),
        (deep_lists.as_bytes(), code::JSON_TOO_DEEP),
        (deep_objects.as_bytes(), code::JSON_TOO_DEEP),
        (deep_metadata.as_bytes(), code::JSON_TOO_DEEP),
        (br#"{"id":"x","usage":{"input_tokens":1e400}}"#, code::JSON_INVALID),
        (br#"{"id":"x","usage":{"input_tokens":NaN}}"#, code::JSON_INVALID),
        (br#"{"id":"x","usage":{"input_tokens":Infinity}}"#, code::JSON_INVALID),
        (br#"{"id":"x","id":"y"}"#, code::JSON_DUPLICATE_KEY),
        (br#"{"id":"x","usage":{"input_tokens":1,"input\u005ftokens":2}}"#, code::JSON_DUPLICATE_KEY),
        (br#"{"id":"\ud800"}"#, code::JSON_INVALID),
        (b"{\"id\":\"\xff\"}", code::NOT_UTF8),
    ];
    for (text, expected) in cases {
        let problems = refused(text);
        assert_eq!(problems[0].code, *expected, "{:?}", String::from_utf8_lossy(&text[..text.len().min(60)]));
        let syntax = !matches!(problems[0].code, code::FIELD_INVALID);
        assert_eq!(problems[0].is_syntax(), syntax);
    }
    assert!(refused(b"{\n  \"id\": x}")[0].detail.ends_with("at 2:9"), "{:?}", refused(b"{\n  \"id\": x}"));
}

#[test]
fn counts_are_whole_numbers_and_nothing_else() {
    let cases = [
        ("-1", code::FIELD_INVALID),
        ("-0", code::FIELD_INVALID),
        ("1.5", code::FIELD_INVALID),
        ("10.0", code::FIELD_INVALID),
        ("1e3", code::FIELD_INVALID),
        ("\"10\"", code::FIELD_INVALID),
        ("true", code::FIELD_INVALID),
        ("null", code::FIELD_INVALID),
        ("[1]", code::FIELD_INVALID),
        ("9223372036854775807", code::FIELD_TOO_LARGE),
        ("9223372036854775808", code::FIELD_TOO_LARGE),
        ("18446744073709551616", code::FIELD_INVALID),
    ];
    for (number, expected) in cases {
        for member in ["usage", "meters"] {
            let name = if member == "usage" { "input_tokens" } else { "input" };
            let text =
                format!(r#"{{"id":"x","provider":"openai","model":"m","{member}":{{"{name}":{number}}}}}"#);
            let problems = refused(text.as_bytes());
            assert_eq!(problems[0].code, expected, "{text}");
            assert_eq!(problems[0].pointer.as_deref(), Some(format!("/{member}/{name}").as_str()));
        }
    }
    let exact = parse(&with("usage", json!({"input_tokens": 1_000_000_000_000u64}))).unwrap();
    assert_eq!(total(&exact, Meter::Input), 1_000_000_000_000);
}

#[test]
fn bad_members_are_told_with_pointer_and_code() {
    let long = "x".repeat(257);
    let tags: Map<String, Value> = (0..65).map(|n| (format!("t{n}"), json!("v"))).collect();
    let cases: Vec<(Value, &str, &str)> = vec![
        (with("id", json!("")), code::ID_INVALID, "/id"),
        (with("id", json!("x".repeat(256))), code::ID_INVALID, "/id"),
        (with("id", json!("a\u{0}b")), code::ID_INVALID, "/id"),
        (with("id", json!(7)), code::ID_INVALID, "/id"),
        (with("id", Value::Null), code::FIELD_MISSING, "/id"),
        (with("provider", Value::Null), code::FIELD_MISSING, "/provider"),
        (with("model", Value::Null), code::FIELD_MISSING, "/model"),
        (with("model", json!("")), code::FIELD_INVALID, "/model"),
        (with("model", json!(long)), code::FIELD_TOO_LARGE, "/model"),
        (with("model", json!("a\r\nb")), code::FIELD_INVALID, "/model"),
        (with("user", json!(5)), code::FIELD_INVALID, "/user"),
        (with("usage", Value::Null), code::FIELD_MISSING, "/usage"),
        (with("usage", json!([])), code::FIELD_INVALID, "/usage"),
        (with("usage", json!({"input_tokens":1,"color":2})), code::UNKNOWN_MEMBER, "/usage/color"),
        (with("meters", json!({"input":1})), code::FIELD_INVALID, ""),
        (
            with("usage", json!({"input_tokens":10,"cache_read_tokens":11})),
            code::USAGE_INCONSISTENT,
            "/usage/cache_read_tokens",
        ),
        (with("occurred_at", json!("2026-11-22T10:30:45")), code::TIMESTAMP_INVALID, "/occurred_at"),
        (with("occurred_at", json!("2026-02-30T00:00:00Z")), code::TIMESTAMP_INVALID, "/occurred_at"),
        (with("occurred_at", json!(1_790_000_000)), code::TIMESTAMP_INVALID, "/occurred_at"),
        (with("occurred_at", json!("2026-11-22T11:59:60Z")), code::TIMESTAMP_INVALID, "/occurred_at"),
        (with("occurred_at", json!("2026-11-22T12:06:00Z")), code::TIMESTAMP_FUTURE, "/occurred_at"),
        (with("occurred_at", json!("1969-12-31T00:00:00Z")), code::TIMESTAMP_TOO_OLD, "/occurred_at"),
        (with("provider_cost_usd", json!("-5")), code::FIELD_INVALID, "/provider_cost_usd"),
        (with("provider_cost_usd", json!(0.1)), code::FIELD_INVALID, "/provider_cost_usd"),
        (with("provider_cost_usd", json!("1e-3")), code::FIELD_INVALID, "/provider_cost_usd"),
        (with("provider_cost_usd", json!("0.0000000000001")), code::FIELD_INVALID, "/provider_cost_usd"),
        (with("provider_cost_usd", json!("9".repeat(30))), code::FIELD_INVALID, "/provider_cost_usd"),
        (with("provider_cost_usd", json!("2000000000")), code::FIELD_TOO_LARGE, "/provider_cost_usd"),
        (with("tags", Value::Object(tags)), code::FIELD_TOO_LARGE, "/tags"),
        (with("tags", json!({"a":{"b":"c"}})), code::FIELD_INVALID, "/tags/a"),
        (with("tags", json!(["a"])), code::FIELD_INVALID, "/tags"),
        (with("metadata", json!({"a":"x".repeat(5_000)})), code::FIELD_TOO_LARGE, "/metadata"),
        (with("metadata", json!("x")), code::FIELD_INVALID, "/metadata"),
        (with("status", json!("fine")), code::FIELD_INVALID, "/status"),
        (with("http_status", json!(99)), code::FIELD_INVALID, "/http_status"),
        (with("latency_ms", json!(1.5)), code::FIELD_INVALID, "/latency_ms"),
        (with("cache_hit", json!(true)), code::FIELD_INVALID, "/cache_hit"),
        (with("__proto__", json!({"x":1})), code::UNKNOWN_MEMBER, "/__proto__"),
        (with("timestamp", json!("2026-11-22T10:30:45Z")), code::UNKNOWN_MEMBER, "/timestamp"),
    ];
    for (value, code, pointer) in cases {
        let problems = parse(&value).expect_err(&value.to_string());
        assert_eq!(problems[0].code, code, "{value}: {problems:?}");
        assert_eq!(problems[0].pointer.as_deref().unwrap_or_default(), pointer, "{value}");
        for problem in &problems {
            assert!(code::ALL.contains(&problem.code) && problem.detail.len() < 200, "{problem}");
        }
    }
    let float = parse(&with("provider_cost_usd", json!(0.1))).unwrap_err();
    assert!(float[0].detail.contains("use \"0.1\""), "{float:?}");
}

#[test]
fn all_problems_are_told_at_once() {
    let problems =
        parse(&json!({"id":"","model":"","usage":{"input_tokens":-1,"output":"x"},"colour":1})).unwrap_err();
    let mut pointers: Vec<&str> = problems.iter().filter_map(|problem| problem.pointer.as_deref()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/colour", "/id", "/model", "/provider", "/usage/input_tokens", "/usage/output"]);
}

#[test]
fn strange_but_valid_texts_pass() {
    for model in ["<img src=x onerror=alert(1)>", "=cmd|' /C calc'!A0", "no-such-model", "模型"] {
        assert_eq!(parse(&with("model", json!(model))).unwrap().model, model);
    }
    let event = parse(&with("provider", json!("gcp.gemini"))).unwrap();
    assert_eq!(event.provider, "google");
    let event = parse(&with("error", json!(format!("line\n{}", "x".repeat(5_000))))).unwrap();
    assert_eq!(event.error.unwrap().len(), 1_024);
}

#[test]
fn every_member_lands_in_the_event() {
    let event = parse(&json!({
        "id":"hello-1","occurred_at":"2026-11-22T10:30:45.123456789Z","provider":"openai","model":"gpt-4o-mini",
        "request_model":"gpt-4o","api":"chat","usage":{"input_tokens":10,"output_tokens":5,"reasoning_tokens":2},
        "user":"123","agent":"support_pro","agent_name":"Support","operation":"rag_answer","operation_id":"p4",
        "session":"s1","customer":"example.com","project":"web","key":"k1","tags":{"feature":"chat"},
        "service_tier":"Flex","conditions":{"region":"EU"},"latency_ms":2340,"time_to_first_token_ms":200,
        "status":"client_closed","http_status":200,"error":null,"provider_response_id":"chatcmpl-1",
        "provider_cost_usd":"0.0123","hold_id":"h1","metadata":{"n":1.25}}))
    .unwrap();
    assert_eq!(event.occurred_at.to_string(), "2026-11-22T10:30:45.123456Z");
    assert_eq!(
        (event.conditions["service_tier"].as_str(), event.conditions["region"].as_str()),
        ("flex", "eu")
    );
    assert_eq!(event.attribution.tags["feature"], "chat");
    assert_eq!(event.attribution.project.as_deref(), Some("web"));
    assert_eq!((event.status, event.evidence), (Status::ClientClosed, Evidence::ProviderCost));
    assert_eq!(event.provider_cost.unwrap().total.to_string(), "0.0123");
    assert_eq!(event.hold_id.as_deref(), Some("h1"));
    assert_eq!(event.attribution.metadata.unwrap()["n"].to_string(), "1.25");
}

#[test]
fn calls_without_usage_say_why() {
    let failed = parse(&json!({"id":"a","provider":"openai","model":"m","status":"upstream_error"})).unwrap();
    assert_eq!((failed.free, failed.usage), (Some(FreeReason::HttpError), None));
    let cut = parse(&json!({"id":"a","provider":"openai","model":"m","status":"timeout"})).unwrap();
    assert_eq!((cut.free, cut.evidence), (None, Evidence::Unknown));
    let hit =
        json!({"id":"a","provider":"openai","model":"m","cache_hit":{"saved_usd":"0.5","saved_tokens":9}});
    let hit = parse(&hit).unwrap();
    assert_eq!((hit.free, hit.cache_hit.unwrap().saved_tokens), (Some(FreeReason::CacheHit), 9));
    let bill = parse(&json!({"id":"a","provider":"openai","model":"m","provider_cost_usd":"0.5"})).unwrap();
    assert_eq!((bill.evidence, bill.usage), (Evidence::ProviderCost, None));
}

#[test]
fn the_instant_follows_the_context() {
    let untimed = with("occurred_at", Value::Null).to_string();
    let parse = |text: &str, ctx: &Context<'_>| native::parse_event(text.as_bytes(), ctx);
    assert_eq!(parse(&untimed, &ctx()).unwrap().occurred_at, now());
    let at: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let fixed = Context { at: Some(at), ..ctx() };
    assert_eq!(parse(&event().to_string(), &fixed).unwrap().occurred_at, at);
    let window = Window { past_seconds: 35 * 86_400, future_seconds: 300 };
    let ingest = Context { window: Some(window), ..ctx() };
    let old = with("occurred_at", json!("2026-10-17T11:00:00Z")).to_string();
    assert_eq!(parse(&old, &ingest).unwrap_err()[0].code, code::TIMESTAMP_TOO_OLD);
    assert!(parse(&old, &ctx()).is_ok());
    assert!(parse(&event().to_string(), &ingest).is_ok());
}

#[test]
fn content_depends_on_what_was_sent_and_nothing_else() {
    let digest = |text: &str, ctx: &Context<'_>| native::parse_event(text.as_bytes(), ctx).unwrap().content;
    let one = digest(&event().to_string(), &ctx());
    let same = r#"{"usage":{"output_tokens":150,"input_tokens":1250},"error":null,"model":"gpt-4o-mini","user":null,
        "provider":"OpenAI","occurred_at":"2026-11-22T11:30:45.123+01:00","id":"e1"}"#;
    assert_eq!(one, digest(same, &ctx()));
    let later = Context { at: Some(now()), now: "2026-11-23T00:00:00Z".parse().unwrap(), ..ctx() };
    assert_eq!(one, digest(same, &later), "what the receiver fills in is no content");
    let untimed = with("occurred_at", Value::Null).to_string();
    assert_eq!(digest(&untimed, &ctx()), digest(&untimed, &later));
    for other in [with("user", json!("u")), with("usage", json!({"input_tokens":1250,"output_tokens":151}))] {
        assert_ne!(one, digest(&other.to_string(), &ctx()));
    }
    assert_ne!(one, digest(&untimed, &ctx()));
}

#[test]
fn a_file_of_events_keeps_its_good_lines() {
    let mut reader = JsonLines::new(Context::new("jsonl", now()), native::parse_event);
    reader.read("a.jsonl", format!("{}\n\n{{bad\n{}", event(), with("id", json!("e2"))).as_bytes());
    assert_eq!(reader.drain().len(), 2);
    let import = reader.finish();
    assert_eq!((import.counts.lines, import.counts.usages, import.counts.bad), (3, 2, 1));
    let problem = &import.problems[0];
    assert_eq!(
        (problem.file.as_str(), problem.line, problem.problem.code),
        ("a.jsonl", 3, code::JSON_INVALID)
    );
}

#[test]
fn a_raw_answer_is_read_by_its_dialect() {
    let answer = json!({"id":"msg_1","type":"message","model":"claude-sonnet-4-5",
        "usage":{"input_tokens":3,"cache_read_input_tokens":7,"output_tokens":5,"service_tier":"standard"}});
    let sent = json!({"id":"r1","provider":"anthropic","response":answer});
    let event = parse(&sent).unwrap();
    assert_eq!(
        (event.model.as_str(), event.provider_response_id.as_deref()),
        ("claude-sonnet-4-5", Some("msg_1"))
    );
    assert_eq!((total(&event, Meter::Input), total(&event, Meter::CacheRead)), (3, 7));
    assert_eq!(event.evidence, Evidence::ProviderUsage);
    assert!(event.raw_usage.is_some());

    let stream = "data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\
        \"completion_tokens\":4,\"total_tokens\":13}}\n\ndata: [DONE]\n\n";
    let sent = json!({"id":"r2","provider":"openai","api":"chat","model":"mine","response":stream});
    let event = parse(&sent).unwrap();
    assert_eq!(
        (event.model.as_str(), total(&event, Meter::Input), total(&event, Meter::Output)),
        ("mine", 9, 4)
    );

    let twisted = json!({"id":"r3","provider":"openai","model":"m","response":{"usage":{"prompt_tokens":1,
        "completion_tokens":1,"prompt_tokens_details":{"cached_tokens":5}}}});
    assert!(parse(&twisted).unwrap().inconsistent, "a provider's own contradiction is kept and told");
    for (name, value) in
        [("response", json!(7)), ("api", json!("soap")), ("usage", json!({"input_tokens":1}))]
    {
        let mut bad = sent.clone();
        bad[name] = value;
        assert_eq!(parse(&bad).unwrap_err()[0].code, code::FIELD_INVALID, "{name}");
    }
}
