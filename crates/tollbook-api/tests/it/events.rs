//! `POST /api/v1/events`: what is taken, and every bad input with its answer.

use crate::matrix::Row;
use crate::rig::{NOW, Rig, bound, event, request};
use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use std::io::Write;
use tollbook_ledger::By;
use tollbook_types::{Clock, Role};

/// Who may use its routes.
pub const ROWS: &[Row] = &[("POST", "/api/v1/events", [401, 200, 403, 403, 200, 403])];

const PATH: &str = "/api/v1/events";

/// Calls that are recorded.
fn recorded(rig: &Rig) -> usize {
    rig.get("/api/v1/calls?limit=1000", &rig.keys.admin).json()["data"].as_array().unwrap().len()
}

/// An event with these members in place of the usual ones; null takes one away.
fn with(members: Value) -> String {
    let mut event: Value = serde_json::from_str(&event("e", "")).unwrap();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(event.as_object_mut().unwrap().remove(name)),
            value => event[name] = value.clone(),
        }
    }
    event.to_string()
}

#[test]
fn one_event_is_recorded_priced_and_visible_at_once() {
    let rig = Rig::new();
    let answer = rig.ingest(event("hello-1", r#","user":"123","tags":{"feature":"chat"}"#));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let wanted = json!({
        "accepted": 1, "duplicates": 0, "rejected": [], "cost_usd": "0.0012", "total_tokens": 1100,
        "unpriced": 0,
        "results": [{"id": "hello-1", "result": "accepted", "cost_usd": "0.0012", "total_tokens": 1100}],
    });
    assert_eq!(answer.json(), wanted);
    let call = rig.get("/api/v1/calls/hello-1", &rig.keys.viewer).json();
    let key = rig.ledger.keys().find(&rig.keys.ingest, rig.clock.now()).unwrap();
    assert_eq!(call["cost_usd"], "0.0012");
    assert_eq!((&call["user"], &call["tags"]["feature"]), (&json!("123"), &json!("chat")));
    assert_eq!((&call["source"], &call["key"]), (&json!("api"), &json!(key.id)));

    let again = rig.ingest(event("hello-1", r#","user":"123","tags":{"feature":"chat"}"#)).json();
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(1)));
    assert_eq!(again["results"][0]["cost_usd"], "0.0012");
    assert_eq!((&again["cost_usd"], &again["total_tokens"]), (&json!("0"), &json!(0)));
    assert_eq!(rig.ingest(event("hello-1", r#","user":"124""#)).verdict(), "409 id_conflict");
    assert_eq!(recorded(&rig), 1);
}

/// Numbers are those of the list of bad inputs that the project keeps.
#[test]
fn bad_events_are_refused_with_their_code_and_leave_nothing() {
    let rig = Rig::new();
    let usage = |usage: &str| event("e", "").replace(r#"{"input_tokens":1000,"output_tokens":100}"#, usage);
    let input = |text: &str| usage(&format!(r#"{{"input_tokens":{text},"output_tokens":1}}"#));
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let tags: Value =
        (0..65).map(|n| (format!("t{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let cases: &[(&str, String, &str)] = &[
        ("1 empty", String::new(), "400 json_invalid"),
        ("2 cut", "{".into(), "400 json_invalid"),
        ("3 null", "null".into(), "400 json_invalid"),
        ("3 a number", "7".into(), "400 json_invalid"),
        ("6 garbage behind", format!("{} x", event("e", "")), "400 json_invalid"),
        ("7 byte order mark", format!("\u{feff}{}", event("e", "")), "400 json_invalid"),
        ("8 deep arrays", "[".repeat(100_000), "400 json_too_deep"),
        ("9 deep objects", r#"{"a":"#.repeat(100_000), "400 json_too_deep"),
        ("10 deep metadata", event("e", &format!(r#","metadata":{}"#, deep(65))), "400 json_too_deep"),
        ("11 beyond a double", input("1e400"), "400 json_invalid"),
        ("12 NaN", input("NaN"), "400 json_invalid"),
        ("12 Infinity", input("Infinity"), "400 json_invalid"),
        ("13 negative", input("-1"), "422 field_invalid"),
        ("14 minus zero", input("-0"), "422 field_invalid"),
        ("15 a fraction", input("1.5"), "422 field_invalid"),
        ("16 a float", input("10.0"), "422 field_invalid"),
        ("17 an exponent", input("1e3"), "422 field_invalid"),
        ("18 a text", input("\"10\""), "422 field_invalid"),
        ("19 a truth", input("true"), "422 field_invalid"),
        ("20 null", input("null"), "422 field_invalid"),
        ("20 no usage", usage("null"), "422 field_missing"),
        ("21 i64 max", input("9223372036854775807"), "422 field_too_large"),
        ("22 more", input("9223372036854775808"), "422 field_too_large"),
        ("23 more than u64", input("18446744073709551616"), "422 field_invalid"),
        ("25 a member twice", event("e", r#","user":"a","user":"b""#), "400 json_duplicate_key"),
        ("25 in another spelling", event("e", r#","\u0075ser":"a","user":"b""#), "400 json_duplicate_key"),
        ("25 a quantity twice", usage(r#"{"input_tokens":1,"input_tokens":1}"#), "400 json_duplicate_key"),
        (
            "25 deep inside",
            event("e", r#","metadata":{"a":[{"b":{"c":1,"c":2}}]}"#),
            "400 json_duplicate_key",
        ),
        (
            "many values",
            event("e", &format!(r#","metadata":[{}0]"#, "0,".repeat(140_000))),
            "400 json_too_large",
        ),
        ("many items", format!("[{}0]", "0,".repeat(1_000_000)), "413 batch_too_large"),
        (
            "26 more cached than input",
            usage(r#"{"input_tokens":1,"output_tokens":1,"cache_read_tokens":2}"#),
            "422 usage_inconsistent",
        ),
        ("27 no id", with(json!({"id": ""})), "422 id_invalid"),
        ("28 a long id", with(json!({"id": "x".repeat(256)})), "422 id_invalid"),
        ("29 NUL in the id", with(json!({"id": "a\u{0}b"})), "422 id_invalid"),
        ("30 half a pair", event("\\ud800", ""), "400 json_invalid"),
        ("36 no zone", with(json!({"occurred_at": "2026-11-22T10:30:00"})), "422 timestamp_invalid"),
        ("37 no such day", with(json!({"occurred_at": "2026-02-30T10:30:00Z"})), "422 timestamp_invalid"),
        ("38 epoch", with(json!({"occurred_at": 1_763_800_000})), "422 timestamp_invalid"),
        ("39 ahead", with(json!({"occurred_at": "2026-11-22T10:37:00Z"})), "422 timestamp_future"),
        ("40 long ago", with(json!({"occurred_at": "2026-10-17T10:30:00Z"})), "422 timestamp_too_old"),
        ("41 leap second", with(json!({"occurred_at": "2016-12-31T23:59:60Z"})), "422 timestamp_invalid"),
        ("40 before 1970", with(json!({"occurred_at": "1969-12-31T23:59:59Z"})), "422 timestamp_too_old"),
        ("42 no model", with(json!({"model": ""})), "422 field_invalid"),
        ("43 a long model", with(json!({"model": "x".repeat(257)})), "422 field_too_large"),
        ("47 a line break", with(json!({"model": "a\r\nb"})), "422 field_invalid"),
        ("48 a negative cost", with(json!({"provider_cost_usd": "-5"})), "422 field_invalid"),
        ("49 a float", with(json!({"provider_cost_usd": 0.1})), "422 field_invalid"),
        ("50 an exponent", with(json!({"provider_cost_usd": "1e-3"})), "422 field_invalid"),
        ("53 a strange member", event("e", r#","__proto__":{"x":1}"#), "422 unknown_member"),
        ("54 65 tags", with(json!({"tags": tags})), "422 field_too_large"),
        ("55 a nested tag", with(json!({"tags": {"a": {}}})), "422 field_invalid"),
        ("a count as a float", with(json!({"latency_ms": 1.0})), "422 field_invalid"),
        ("a negative count", with(json!({"time_to_first_token_ms": -1})), "422 field_invalid"),
        ("meters and usage", with(json!({"meters": {"input": 1}})), "422 field_invalid"),
        ("an unknown meter", with(json!({"usage": null, "meters": {"inputs": 1}})), "422 unknown_member"),
        (
            "an answer of no API",
            with(json!({"usage": null, "api": "telegraph", "response": {}})),
            "422 field_invalid",
        ),
        ("an unknown status", with(json!({"status": "fine"})), "422 field_invalid"),
        ("an unknown quantity", usage(r#"{"input_token":1}"#), "422 unknown_member"),
        ("metadata too long", with(json!({"metadata": {"a": "x".repeat(5_000)}})), "422 field_too_large"),
    ];
    for (what, body, verdict) in cases {
        let answer = rig.ingest(body.clone());
        assert_eq!(answer.verdict(), *verdict, "{what}: {}", answer.text());
        assert!(answer.text().len() < 2_000, "{what}");
        if answer.status == 422 {
            let faults = answer.json()["errors"].as_array().unwrap().len();
            assert!(faults > 0, "{what}");
        }
    }
    let bytes = [event("e", "").into_bytes(), vec![0xff]].concat();
    assert_eq!(rig.ingest(bytes).verdict(), "400 not_utf8");
    assert_eq!(recorded(&rig), 0);
    assert!(rig.ingest("{\n \"id\": }").json()["detail"].as_str().unwrap().contains("2:8"));
}

#[test]
fn odd_but_good_events_are_taken() {
    let rig = Rig::new();
    let cases = [
        (
            "24 exact",
            with(json!({"id": "24", "usage": {"input_tokens": 1_000_000_000_000_u64, "output_tokens": 0}})),
            json!("1000000"),
        ),
        ("44 unpriced", with(json!({"id": "44", "model": "nobody-knows"})), Value::Null),
        ("45 markup", with(json!({"id": "45", "user": "<img src=x onerror=alert(1)>"})), json!("0.0012")),
        ("46 a formula", with(json!({"id": "46", "user": "=cmd|' /C calc'!A0"})), json!("0.0012")),
        (
            "51 13 decimals",
            with(json!({"id": "51", "provider_cost_usd": "0.000000000001"})),
            json!("0.000000000001"),
        ),
        ("no instant", with(json!({"id": "now", "occurred_at": null})), json!("0.0012")),
    ];
    for (what, body, cost) in cases {
        let answer = rig.ingest(body);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(answer.json()["results"][0]["cost_usd"], cost, "{what}");
    }
    assert_eq!(
        rig.ingest(with(json!({"id": "51b", "provider_cost_usd": "0.0000000000001"}))).verdict(),
        "422 field_invalid"
    );
    assert_eq!(rig.get("/api/v1/calls/44", &rig.keys.admin).json()["cost_usd"], Value::Null);
    let now = rig.get("/api/v1/calls/now", &rig.keys.admin).json();
    assert_eq!(now["occurred_at"], NOW);
    let old = with(json!({"id": "old", "occurred_at": "2020-01-01T00:00:00Z"}));
    assert_eq!(rig.ingest(old.clone()).verdict(), "422 timestamp_too_old");
    let by_admin = rig.call(Method::POST, PATH, &rig.keys.admin, old);
    assert_eq!(by_admin.status, 200, "40 an admin may bring in any past");
}

/// Each is sent, and the call then says the same, with what is filled in beside it.
#[test]
fn every_member_of_an_event_is_kept() {
    let answered = json!({
        "id": "chatcmpl-7", "object": "chat.completion", "model": "gpt-x", "choices": [],
        "usage": {"prompt_tokens": 900, "completion_tokens": 50, "total_tokens": 950,
            "prompt_tokens_details": {"cached_tokens": 0}},
    });
    let long = "x".repeat(4_096 - r#"{"a":""}"#.len());
    let rest = json!({
        "request_model": "gpt-x-latest", "api": "chat", "hold_id": "hold_1", "project": "web",
        "customer": "c", "user": "u", "agent": "a", "agent_name": "A", "operation": "o",
        "operation_id": "o1", "session": "s", "tags": {"k": "v"}, "metadata": {"a": long},
        "latency_ms": 2340, "time_to_first_token_ms": 120, "provider_response_id": "chatcmpl-1",
        "service_tier": "default", "http_status": 200,
    });
    let tokens = |input: u64, output: u64| json!({"input_tokens": input, "output_tokens": output});
    let cases: Vec<(&str, Value, Value)> = vec![
        ("attribution and timing", rest.clone(), rest),
        (
            "inclusive totals",
            json!({"usage": {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 300}}),
            json!({"usage": tokens(1000, 100), "cost_basis": "book"}),
        ),
        (
            "disjoint meters",
            json!({"usage": null, "meters": {"input": 700, "cache_read": 300, "output": 100}}),
            json!({"usage": tokens(1000, 100)}),
        ),
        (
            "an answer",
            json!({"usage": null, "model": null, "response": answered}),
            json!({"usage": tokens(900, 50), "model": "gpt-x", "provider_response_id": "chatcmpl-7",
                "cost_usd": "0.001"}),
        ),
        (
            "an answer as a text, of a named API",
            json!({"usage": null, "api": "chat_completions", "response": answered.to_string()}),
            json!({"usage": tokens(900, 50), "api": "chat_completions"}),
        ),
        (
            "a bill beside usage",
            json!({"provider_cost_usd": "0.5"}),
            json!({"cost_usd": "0.5", "provider_cost_usd": "0.5", "evidence": "provider_cost"}),
        ),
        (
            "an error, cut",
            json!({"usage": null, "status": "upstream_error", "http_status": 529, "error": "x".repeat(2_000)}),
            json!({"status": "upstream_error", "http_status": 529, "error": "x".repeat(1_024), "usage": null}),
        ),
        ("no error", json!({"error": null}), json!({"error": null, "status": "ok"})),
    ];
    let rig = Rig::new();
    for (nth, (what, members, wanted)) in cases.into_iter().enumerate() {
        let mut event: Value = serde_json::from_str(&with(members)).unwrap();
        event["id"] = format!("e-{nth}").into();
        let answer = rig.ingest(event.to_string());
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let call = rig.get(&format!("/api/v1/calls/e-{nth}"), &rig.keys.admin).json();
        for (member, value) in wanted.as_object().unwrap() {
            let found = &call[member];
            let is_there = match value {
                Value::Object(parts) => parts.iter().all(|(name, part)| found[name] == *part),
                value => found == value,
            };
            assert!(is_there, "{what}: {member} is {found}");
        }
    }
}

#[test]
fn what_retention_dropped_is_not_taken_again() {
    let rig = Rig::new();
    rig.ledger.purge(&By::local(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    let at = |id: &str, at: &str| with(json!({"id": id, "occurred_at": at}));
    let (before, after) = (at("a", "2026-11-19T23:59:59Z"), at("b", "2026-11-20T00:00:00Z"));
    for key in [&rig.keys.ingest, &rig.keys.admin] {
        let answer = rig.call(Method::POST, PATH, key, before.clone());
        assert_eq!(answer.verdict(), "422 before_cutoff", "{}", answer.text());
    }
    let answer = rig.ingest(format!("[{before},{after}]")).json();
    assert_eq!((&answer["accepted"], &answer["rejected"][0]["code"]), (&json!(1), &json!("before_cutoff")));
    assert_eq!(recorded(&rig), 1);
}

#[test]
fn a_batch_answers_for_each_event() {
    let rig = Rig::new();
    let answer = rig.ingest("[]");
    assert_eq!((answer.status.as_u16(), &answer.json()["accepted"]), (200, &json!(0)), "4");
    let answer = rig.ingest(r#"[1,"a",null,{}]"#);
    assert_eq!((answer.status.as_u16(), recorded(&rig)), (200, 0), "5: {}", answer.text());
    assert_eq!(answer.json()["rejected"].as_array().unwrap().len(), 4);

    let mixed = format!(
        "[{},{},{},{},{}]",
        event("a", ""),
        event("b", r#","user":"x""#),
        event("a", ""),
        event("b", r#","user":"y""#),
        event("c", r#","tags":{"a":1}"#),
    );
    let answer = rig.ingest(mixed).json();
    let results: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["accepted", "accepted", "duplicate", "rejected", "rejected"]);
    assert_eq!((&answer["cost_usd"], &answer["total_tokens"]), (&json!("0.0024"), &json!(2_200)));
    let conflict = &answer["rejected"][0];
    assert_eq!(
        (&conflict["index"], &conflict["id"], &conflict["code"]),
        (&json!(3), &json!("b"), &json!("id_conflict"))
    );
    let invalid = &answer["rejected"][1];
    assert_eq!((&invalid["index"], &invalid["pointer"]), (&json!(4), &json!("/tags/a")));
    assert_eq!(recorded(&rig), 2);

    let copies = vec![event("copy", ""); 1_000].join(",");
    let answer = rig.ingest(format!("[{copies}]")).json();
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(1), &json!(999)), "34");
    let many = vec![event("more", ""); 1_001].join(",");
    assert_eq!(rig.ingest(format!("[{many}]")).verdict(), "413 batch_too_large", "56");
    assert_eq!(recorded(&rig), 3);
}

#[test]
fn lines_are_events_and_a_bad_one_is_named() {
    let rig = Rig::new();
    let send = |text: String| {
        let headers = [("content-type", "application/x-ndjson; charset=utf-8")];
        rig.send(request(Method::POST, PATH, &rig.keys.ingest, &headers, text))
    };
    let text = format!("{}\r\n\n{{oops\n{}\n", event("a", ""), event("b", ""));
    let answer = send(text).json();
    assert_eq!(answer["accepted"], 2);
    let bad = &answer["rejected"][0];
    assert_eq!(
        (&bad["line"], &bad["index"], &bad["code"]),
        (&json!(3), &json!(1), &json!("json_invalid")),
        "68"
    );
    assert_eq!(send(String::new()).json()["accepted"], 0);
    assert_eq!(send(vec![event("a", ""); 1_001].join("\n")).verdict(), "413 batch_too_large");
    assert_eq!(recorded(&rig), 2);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bodies_are_bounded_in_every_encoding() {
    let rig = Rig::new();
    let batch = format!("[{}]", (0..500).map(|n| event(&format!("g{n}"), "")).collect::<Vec<_>>().join(","));
    let zeros = vec![b' '; 64 * 1024 * 1024];
    let cut = {
        let whole = gzip(batch.as_bytes());
        whole[..whole.len() / 2].to_vec()
    };
    let json = ("content-type", "application/json");
    let gz = ("content-encoding", "gzip");
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<u8>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("gzip", vec![json, gz], gzip(batch.as_bytes()), "200 "),
        (
            "zstd",
            vec![json, ("content-encoding", "zstd")],
            zstd::encode_all(batch.as_bytes(), 3).unwrap(),
            "200 ",
        ),
        ("identity", vec![json, ("content-encoding", "identity")], b"[]".to_vec(), "200 "),
        ("57 5 MiB", vec![json], vec![b' '; 5 * 1024 * 1024], "413 body_too_large"),
        ("58 a bomb", vec![json, gz], gzip(&zeros), "413 body_too_large"),
        (
            "58 a zstd bomb",
            vec![json, ("content-encoding", "zstd")],
            zstd::encode_all(&zeros[..], 3).unwrap(),
            "413 body_too_large",
        ),
        ("58 a small bomb", vec![json, gz], gzip(&zeros[..1024 * 1024]), "413 body_too_large"),
        ("59 twice", vec![json, ("content-encoding", "gzip,gzip")], gzip(b"[]"), "415 unsupported_encoding"),
        ("59 two headers", vec![json, gz, gz], gzip(b"[]"), "415 unsupported_encoding"),
        ("br", vec![json, ("content-encoding", "br")], b"[]".to_vec(), "415 unsupported_encoding"),
        ("60 cut", vec![json, gz], cut, "400 encoding_invalid"),
        ("60 none at all", vec![json, gz], b"[]".to_vec(), "400 encoding_invalid"),
        ("61 text", vec![("content-type", "text/plain")], b"[]".to_vec(), "415 unsupported_media_type"),
        (
            "62 a form",
            vec![("content-type", "application/x-www-form-urlencoded")],
            b"a=1".to_vec(),
            "415 unsupported_media_type",
        ),
        ("no type", vec![], b"[]".to_vec(), "200 "),
    ];
    for (what, headers, body, verdict) in cases {
        let answer = rig.send(request(Method::POST, PATH, &rig.keys.ingest, &headers, body));
        assert_eq!(answer.verdict(), verdict, "{what}: {}", answer.text());
    }
    assert_eq!(recorded(&rig), 500);
    let announced = [json, ("content-length", "99999999999")];
    let answer = rig.send(request(Method::POST, PATH, &rig.keys.ingest, &announced, Body::empty()));
    assert_eq!(answer.verdict(), "413 body_too_large", "refused before it comes");
}

#[test]
fn what_a_key_is_bound_to_wins() {
    let rig = Rig::new();
    let key = rig.key(
        &[Role::Ingest],
        bound(|binding| {
            binding.project = Some("web".into());
            binding.user = Some("ann".into());
            binding.tags.insert("team".into(), "ops".into());
        }),
    );
    let send = |body: String| rig.call(Method::POST, PATH, &key, body);
    let more = r#","user":"bob","customer":"c","key":"key_other","tags":{"team":"dev","feature":"chat"}"#;
    assert_eq!(send(event("a", more)).status, 200);
    let call = rig.get("/api/v1/calls/a", &rig.keys.admin).json();
    assert_eq!(
        (&call["project"], &call["user"], &call["customer"]),
        (&json!("web"), &json!("ann"), &json!("c"))
    );
    assert_eq!(call["tags"], json!({"team": "ops", "feature": "chat"}));
    assert_ne!(call["key"], "key_other", "nobody else's calls");
    assert_eq!(send(event("b", r#","project":"other""#)).verdict(), "403 forbidden", "52");
    let answer =
        send(format!("[{},{}]", event("b", r#","project":"other""#), event("c", r#","project":"web""#)))
            .json();
    assert_eq!((&answer["accepted"], &answer["rejected"][0]["code"]), (&json!(1), &json!("forbidden")));
    assert_eq!(answer["rejected"][0]["id"], "b");
    let by_admin = rig.call(Method::POST, PATH, &rig.keys.admin, event("d", r#","key":"key_other""#));
    assert_eq!(by_admin.status, 200);
    assert_eq!(rig.get("/api/v1/calls/d", &rig.keys.admin).json()["key"], "key_other");
}

#[test]
fn a_hundred_clients_with_the_same_event_make_one_row() {
    let rig = Rig::new();
    let (router, key) = (rig.router.clone(), rig.keys.ingest.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let accepted: u64 = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let request =
                request(Method::POST, PATH, &key, &[("content-type", "application/json")], event("e", ""));
            let router = router.clone();
            tasks.spawn(async move {
                let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
                let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
                let answer: Value = serde_json::from_slice(&body).unwrap();
                answer["accepted"].as_u64().unwrap()
            });
        }
        tasks.join_all().await.into_iter().sum()
    });
    assert_eq!((accepted, recorded(&rig)), (1, 1), "35");
}
