//! OTLP over HTTP: what exporters send and what becomes of it. The messages are those of the
//! protocol's own types, in both of its forms.

use crate::matrix::Row;
use crate::rig::{Answer, Rig, bound, event, request};
use http::Method;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Told,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::{Value, json};
use std::io::Write;
use tollbook_types::Role;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("POST", "/v1/traces", [401, 200, 403, 403, 200, 403]),
    ("POST", "/v1/logs", [401, 200, 403, 403, 200, 403]),
    ("POST", "/v1/metrics", [401, 200, 403, 403, 200, 403]),
];

const PROTOBUF: &str = "application/x-protobuf";
/// 2026-11-22T10:30:00Z
const START: u64 = 1_795_343_400_000_000_000;

fn text(value: &str) -> Told {
    Told::StringValue(value.to_owned())
}

fn pairs(pairs: &[(&str, Told)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, Told)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(value.clone()) }),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

/// A call of 1,000 tokens in and 100 out, which costs $0.0012, with further attributes.
fn call(span: u8, parent: u8, more: &[(&str, Told)]) -> Span {
    let usual = [
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.provider.name", text("openai")),
        ("gen_ai.request.model", text("gpt-x")),
        ("gen_ai.usage.input_tokens", Told::IntValue(1_000)),
        ("gen_ai.usage.output_tokens", Told::IntValue(100)),
        ("gen_ai.input.messages", text("a prompt that nobody keeps")),
    ];
    Span {
        trace_id: vec![5; 16],
        span_id: vec![span; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: "chat gpt-x".to_owned(),
        kind: 3,
        start_time_unix_nano: START,
        end_time_unix_nano: START + 1_500_000_000,
        attributes: pairs(&[more, &usual].concat()),
        ..Span::default()
    }
}

fn export(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: pairs(&[("service.name", text("shop"))]), ..Resource::default() };
    let scope = InstrumentationScope { name: "a test".to_owned(), ..InstrumentationScope::default() };
    let scoped = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let group =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scoped], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}

fn send(rig: &Rig, path: &str, kind: &str, body: Vec<u8>) -> Answer {
    rig.send(request(Method::POST, path, &rig.keys.ingest, &[("content-type", kind)], body))
}

fn traces(rig: &Rig, spans: Vec<Span>) -> Answer {
    send(rig, "/v1/traces", PROTOBUF, export(spans).encode_to_vec())
}

/// The calls that are recorded, oldest first.
fn calls(rig: &Rig) -> Vec<Value> {
    let list = rig.get("/api/v1/calls?limit=1000", &rig.keys.admin).json();
    let mut calls = list["data"].as_array().unwrap().clone();
    calls.sort_by_key(|call| call["id"].as_str().unwrap().to_owned());
    calls
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How often items of traces met this fate, by the metrics.
fn counted(rig: &Rig, fate: &str) -> u64 {
    let line = format!("tollbook_otlp_items_total{{signal=\"traces\",result=\"{fate}\"}} ");
    let text = rig.get("/metrics", &rig.keys.admin).text();
    text.lines().find_map(|found| found.strip_prefix(line.as_str())).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn protobuf_json_and_gzip_are_the_same_call() {
    let sent = export(vec![call(1, 0, &[("user.id", text("ann")), ("gen_ai.response.id", text("r-1"))])]);
    let (protobuf, json) = (sent.encode_to_vec(), serde_json::to_vec(&sent).unwrap());
    let cases = [
        ("protobuf", PROTOBUF, "identity", protobuf.clone()),
        ("protobuf, gzip", PROTOBUF, "gzip", gzip(&protobuf)),
        ("JSON", "application/json; charset=utf-8", "identity", json.clone()),
        ("JSON, gzip", "application/json", "gzip", gzip(&json)),
    ];
    let mut seen: Vec<Value> = Vec::new();
    for (what, kind, encoding, body) in cases {
        let rig = Rig::new();
        for _ in 0..2 {
            let headers = [("content-type", kind), ("content-encoding", encoding)];
            let answer =
                rig.send(request(Method::POST, "/v1/traces", &rig.keys.ingest, &headers, body.clone()));
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let is_json = kind != PROTOBUF;
            assert_eq!(answer.body, if is_json { b"{}".as_slice() } else { b"" }, "{what}");
            let wanted = if is_json { "application/json" } else { PROTOBUF };
            assert_eq!(answer.headers["content-type"], wanted, "{what}");
        }
        let mut found = calls(&rig);
        assert_eq!(found.len(), 1, "{what}: sent again, it counts once");
        let mut call = found.remove(0);
        assert_eq!((&call["id"], &call["cost_usd"]), (&json!("r-1"), &json!("0.0012")), "{what}");
        assert_eq!((&call["source"], &call["user"]), (&json!("otlp"), &json!("ann")), "{what}");
        assert_eq!(
            (&call["latency_ms"], &call["tags"]["service"]),
            (&json!(1_500), &json!("shop")),
            "{what}"
        );
        assert!(!call.to_string().contains("nobody keeps"));
        for own in ["key", "recorded_at"] {
            call.as_object_mut().unwrap().remove(own);
        }
        seen.push(call);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:#?}");
}

/// One bad span costs only itself, and both forms say so.
#[test]
fn a_bad_span_is_told_and_the_others_count() {
    let rig = Rig::new();
    let negative = [("gen_ai.usage.input_tokens", Told::IntValue(-5))];
    let bad_id = Span { span_id: vec![1, 2], ..call(8, 0, &[]) };
    let old = Span { start_time_unix_nano: 1_700_000_000_000_000_000, ..call(9, 0, &[]) };
    let answer = traces(&rig, vec![call(1, 0, &[]), call(2, 0, &negative), bad_id, old]);
    let told = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!((answer.status.as_u16(), told.rejected_spans), (200, 3));
    for part in ["gen_ai.usage.input_tokens is negative", "hexadecimal", "days ago"] {
        assert!(told.error_message.contains(part), "{}", told.error_message);
    }
    let body = serde_json::to_vec(&export(vec![call(3, 0, &[]), call(4, 0, &negative)])).unwrap();
    let answer = send(&rig, "/v1/traces", "application/json", body);
    let wanted = json!({"partialSuccess": {
        "rejectedSpans": "1", "errorMessage": "gen_ai.usage.input_tokens is negative",
    }});
    assert_eq!(answer.json(), wanted);
    assert_eq!(calls(&rig).len(), 2);
}

/// What exporters are known to send, and what strangers may.
#[test]
fn odd_json_costs_no_more_than_what_is_odd() {
    let span = |change: &dyn Fn(&mut Value)| {
        let mut span = json!({
            "traceId": "0102030405060708090A0B0C0D0E0F10", "spanId": "0102030405060708", "name": "chat",
            "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": START.to_string(), "endTimeUnixNano": START,
            "status": {"code": "STATUS_CODE_OK"}, "events": null, "links": null, "strange": {"a": [1]},
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.system", "value": {"stringValue": "openai"}},
                {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-x"}},
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000"}},
                {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 100}},
                {"key": "gen_ai.request.temperature", "value": {"doubleValue": "NaN"}},
                {"key": "gen_ai.request.top_p", "value": {"doubleValue": "Infinity"}},
                {"key": "odd", "value": null},
                {"key": "list", "value": {"arrayValue": {"values": null}}},
            ],
        });
        change(&mut span);
        json!({"resourceSpans": [{"resource": {"attributes": null}, "scopeSpans": [
            {"scope": null, "spans": [span, null]}, {"spans": null}, null,
        ]}, {"scopeSpans": null}]})
    };
    let same = |_: &mut Value| {};
    let set = |name: &'static str, value: Value| move |span: &mut Value| span[name] = value.clone();
    let first = |value: Value| move |span: &mut Value| span["attributes"][3]["value"] = value.clone();
    // What is sent, its answer's status, how many are rejected, how many calls there are then.
    let cases: Vec<(&str, String, u16, u64, usize)> = vec![
        ("as exporters do", span(&same).to_string(), 200, 0, 1),
        ("again", span(&same).to_string(), 200, 0, 1),
        ("no attributes", span(&set("attributes", Value::Null)).to_string(), 200, 0, 1),
        ("an id in base64", span(&set("traceId", json!("AQIDBAUGBwgJCgsMDQ4PEA=="))).to_string(), 200, 1, 1),
        ("an id of zeros", span(&set("spanId", json!("0000000000000000"))).to_string(), 200, 1, 1),
        ("no id", span(&set("spanId", Value::Null)).to_string(), 200, 1, 1),
        ("attributes that are none", span(&set("attributes", json!("x"))).to_string(), 200, 1, 1),
        ("a count that is a text", span(&first(json!({"stringValue": "ten"}))).to_string(), 200, 1, 1),
        ("a count that is NaN", span(&first(json!({"doubleValue": "NaN"}))).to_string(), 200, 1, 1),
        ("a value that is none", span(&first(json!("x"))).to_string(), 200, 1, 1),
        ("a double", span(&first(json!({"doubleValue": 1000.0}))).to_string(), 200, 0, 1),
        ("groups that are none", json!({"resourceSpans": ["x", 1]}).to_string(), 200, 2, 1),
        ("null", json!({"resourceSpans": null}).to_string(), 200, 0, 1),
        ("nothing", "{}".to_owned(), 200, 0, 1),
        ("spans that are none", json!({"resourceSpans": {}}).to_string(), 400, 0, 1),
        ("no object", "[]".to_owned(), 400, 0, 1),
        ("no JSON", "{\"resourceSpans\":[NaN]}".to_owned(), 400, 0, 1),
        ("cut", span(&same).to_string()[..200].to_owned(), 400, 0, 1),
        ("deep", format!("{{\"resourceSpans\":{}", "[".repeat(200_000)), 400, 0, 1),
    ];
    let rig = Rig::new();
    for (what, body, status, rejected, recorded) in cases {
        let answer = send(&rig, "/v1/traces", "application/json", body.into_bytes());
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let told = answer.json()["partialSuccess"]["rejectedSpans"].as_str().unwrap_or("0").to_owned();
        assert_eq!(told, rejected.to_string(), "{what}: {}", answer.text());
        assert_eq!(calls(&rig).len(), recorded, "{what}");
        assert!(answer.text().len() < 500, "{what}");
        if status == 400 {
            assert_eq!(
                (&answer.json()["code"], &answer.headers["content-type"]),
                (&json!(3), &"application/json".parse().unwrap())
            );
        }
    }
}

#[test]
fn what_cannot_be_read_is_refused_in_the_form_it_came_in() {
    let rig = Rig::new();
    let good = export(vec![call(1, 0, &[])]).encode_to_vec();
    let zeros = gzip(&vec![0; 70 * 1024 * 1024]);
    let many = export(vec![Span::default(); 65_537]).encode_to_vec();
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<u8>, u16, i64);
    let kind = ("content-type", PROTOBUF);
    let gz = ("content-encoding", "gzip");
    let cases: Vec<Case<'_>> = vec![
        ("cut", vec![kind], good[..good.len() - 3].to_vec(), 400, 3),
        ("no protobuf", vec![kind], b"hello".to_vec(), 400, 3),
        ("not gzip", vec![kind, gz], good.clone(), 400, 3),
        ("gzip that is cut", vec![kind, gz], gzip(&good)[..40].to_vec(), 400, 3),
        ("a bomb", vec![kind, gz], zeros, 413, 8),
        ("too many spans", vec![kind], many, 413, 8),
        ("encoded twice", vec![kind, gz, gz], gzip(&good), 415, 0),
        ("another encoding", vec![kind, ("content-encoding", "zstd")], good.clone(), 415, 0),
        ("no type", vec![], good.clone(), 415, 0),
        ("another type", vec![("content-type", "text/plain")], good, 415, 0),
        ("nothing", vec![kind], Vec::new(), 200, 0),
    ];
    for (what, headers, body, status, code) in cases {
        let answer = rig.send(request(Method::POST, "/v1/traces", &rig.keys.ingest, &headers, body));
        assert_eq!(answer.status, status, "{what}");
        if code > 0 {
            assert_eq!(answer.headers["content-type"], PROTOBUF, "{what}");
            // google.rpc.Status begins with its code.
            assert_eq!(answer.body[..2], [8, u8::try_from(code).unwrap()], "{what}");
        }
    }
    assert_eq!(calls(&rig).len(), 0);
}

/// Calls in the order of the requests; what is in the books then, as (span or answer, cost).
#[test]
fn only_the_innermost_call_counts() {
    let chain = [("openinference.span.kind", text("CHAIN"))];
    let id = |span: u8| format!("{}-{}", "05".repeat(16), format!("{span:02x}").repeat(8));
    let rig = Rig::new();
    traces(&rig, vec![call(2, 1, &[]), call(1, 0, &chain)]);
    assert_eq!(calls(&rig).iter().map(|call| call["id"].clone()).collect::<Vec<_>>(), [id(2)]);

    let rig = Rig::new();
    traces(&rig, vec![call(2, 1, &[])]);
    traces(&rig, vec![call(1, 0, &[])]);
    assert_eq!((calls(&rig).len(), counted(&rig, "repeats")), (1, 1));

    let rig = Rig::new();
    traces(&rig, vec![call(1, 0, &[])]);
    assert_eq!(calls(&rig)[0]["cost_usd"], "0.0012");
    for _ in 0..2 {
        traces(&rig, vec![call(2, 1, &[]), call(3, 1, &[])]);
        traces(&rig, vec![call(1, 0, &[])]);
        let costs: Vec<Value> = calls(&rig).iter().map(|call| call["cost_usd"].clone()).collect();
        assert_eq!(costs, ["0", "0.0012", "0.0012"], "the outer one is taken back, once");
    }
    let outer = rig.get(&format!("/api/v1/calls/{}", id(1)), &rig.keys.admin).json();
    assert_eq!(outer["adjustments"].as_array().unwrap().len(), 1);
    assert!(outer["adjustments"][0]["reason"].as_str().unwrap().contains("calls below it"), "{outer}");
}

#[test]
fn a_call_that_several_tell_of_is_one_entry() {
    let rig = Rig::new();
    let answer = [("gen_ai.response.id", text("r-1")), ("user.id", text("ann"))];
    let api = r#","provider_response_id":"r-1""#;
    // Another source first, whichever provider the SDK is named after.
    let groq = event("e-1", api).replace("openai", "groq").replace("gpt-x", "free");
    assert_eq!(rig.ingest(groq).status, 200);
    traces(&rig, vec![call(1, 0, &answer), call(2, 0, &answer)]);
    let found = calls(&rig);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((&found[0]["source"], &found[0]["user"]), (&json!("api"), &json!("ann")));
    assert!(found[0]["flags"].is_null(), "it used the same: {found:#?}");
    assert_eq!((counted(&rig, "joined"), counted(&rig, "duplicate")), (1, 1));

    // A further layer, later; and another source, later.
    let rig = Rig::new();
    traces(&rig, vec![call(1, 0, &answer)]);
    traces(&rig, vec![call(2, 0, &answer)]);
    assert_eq!(rig.ingest(event("e-1", api)).status, 200);
    assert_eq!(calls(&rig).len(), 1);
}

#[test]
fn a_provider_that_nobody_knows_is_kept_and_has_no_price() {
    let rig = Rig::new();
    let mut span = call(1, 0, &[]);
    span.attributes.retain(|pair| pair.key != "gen_ai.provider.name");
    span.attributes.extend(pairs(&[("gen_ai.provider.name", text("house.llm"))]));
    traces(&rig, vec![span]);
    let found = calls(&rig);
    assert_eq!((&found[0]["provider"], &found[0]["cost_usd"]), (&json!("house.llm"), &Value::Null));
}

#[test]
fn what_a_key_is_bound_to_wins() {
    let rig = Rig::new();
    let key = rig.key(
        &[Role::Ingest],
        bound(|binding| {
            binding.project = Some("web".into());
            binding.user = Some("bob".into());
        }),
    );
    let spans = vec![
        call(1, 0, &[("user.id", text("ann")), ("tollbook.customer", text("c"))]),
        call(2, 0, &[("tollbook.project", text("another"))]),
    ];
    let body = export(spans).encode_to_vec();
    let answer = rig.send(request(Method::POST, "/v1/traces", &key, &[("content-type", PROTOBUF)], body));
    let told = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!(
        (told.rejected_spans, told.error_message.as_str()),
        (1, "the key is bound to another project")
    );
    let found = calls(&rig);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["project"], &found[0]["user"], &found[0]["customer"]),
        (&json!("web"), &json!("bob"), &json!("c"))
    );
}

#[test]
fn records_of_coding_agents_are_billed_and_their_metrics_are_not() {
    let rig = Rig::new();
    let resource =
        Resource { attributes: pairs(&[("service.name", text("claude-code"))]), ..Resource::default() };
    let record = LogRecord {
        time_unix_nano: START,
        body: Some(AnyValue { value: Some(text("claude_code.api_request")) }),
        attributes: pairs(&[
            ("event.name", text("api_request")),
            ("model", text("claude-sonnet-4-5")),
            ("input_tokens", text("10")),
            ("output_tokens", text("7")),
            ("cache_read_tokens", Told::DoubleValue(2_000.0)),
            ("cost_usd", Told::DoubleValue(0.0123)),
            ("session.id", text("s")),
        ]),
        ..LogRecord::default()
    };
    let scoped = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let group = ResourceLogs {
        resource: Some(resource.clone()),
        scope_logs: vec![scoped],
        ..ResourceLogs::default()
    };
    let logs = ExportLogsServiceRequest { resource_logs: vec![group] };
    for (kind, body) in
        [(PROTOBUF, logs.encode_to_vec()), ("application/json", serde_json::to_vec(&logs).unwrap())]
    {
        assert_eq!(send(&rig, "/v1/logs", kind, body).status, 200);
    }
    let point = NumberDataPoint::default();
    let sum = Sum { data_points: vec![point.clone(), point], ..Sum::default() };
    let metric = Metric {
        name: "claude_code.token.usage".to_owned(),
        data: Some(Data::Sum(sum)),
        ..Metric::default()
    };
    let scoped = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let group = ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scoped],
        ..ResourceMetrics::default()
    };
    let metrics = ExportMetricsServiceRequest { resource_metrics: vec![group] };
    for (kind, body) in
        [(PROTOBUF, metrics.encode_to_vec()), ("application/json", serde_json::to_vec(&metrics).unwrap())]
    {
        assert_eq!(send(&rig, "/v1/metrics", kind, body).status, 200);
    }
    let found = calls(&rig);
    assert_eq!(found.len(), 1, "{found:#?}");
    let usage = &found[0]["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cache_read_tokens"]), (&json!(2_010), &json!(2_000)));
    assert_eq!((&found[0]["agent"], &found[0]["session"]), (&json!("claude-code"), &json!("s")));
    let text = rig.get("/metrics", &rig.keys.admin).text();
    let wanted = "tollbook_otlp_items_total{signal=\"metrics\",result=\"not_billed\"} 4";
    assert!(text.lines().any(|line| line == wanted), "{text}");
}

#[test]
fn a_thousand_and_more_calls_at_once() {
    let rig = Rig::new();
    let spans: Vec<Span> =
        (1..=2_500_u64).map(|nth| Span { span_id: nth.to_be_bytes().to_vec(), ..call(1, 0, &[]) }).collect();
    assert_eq!(traces(&rig, spans).body, b"");
    assert_eq!(counted(&rig, "new"), 2_500);
}
