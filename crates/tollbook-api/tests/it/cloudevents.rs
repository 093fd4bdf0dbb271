//! CloudEvents at `POST /api/v1/events`: their three forms, what becomes of each part, and refusals.

use crate::rig::{NOW, Rig, event, request};
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/events";
const ONE: &str = "application/cloudevents+json";
type Headers<'a> = &'a [(&'a str, &'a str)];
/// Codes and pointers.
type Faults<'a> = &'a [(&'a str, &'a str)];

const BATCH: &str = "application/cloudevents-batch+json";

/// A CloudEvent of a call that costs $0.0012, with these members in place of the usual ones; null
/// takes one away, and members of `data` go into data.
fn envelope(members: Value) -> Value {
    let mut envelope = json!({
        "specversion": "1.0", "id": "ce-1", "source": "svc/chat", "type": "llm.usage",
        "time": "2026-11-22T10:30:00Z", "subject": "customer-42",
        "data": {"provider": "openai", "model": "gpt-x", "input_tokens": 1000, "output_tokens": 100},
    });
    put(&mut envelope, members);
    envelope
}

fn put(into: &mut Value, members: Value) {
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(into.as_object_mut().unwrap().remove(name)),
            Value::Object(_) if into[name].is_object() => put(&mut into[name], value.clone()),
            value => into[name] = value.clone(),
        }
    }
}

fn send(rig: &Rig, headers: Headers<'_>, body: impl ToString) -> crate::rig::Answer {
    rig.send(request(Method::POST, PATH, &rig.keys.ingest, headers, body.to_string()))
}

#[test]
fn every_form_leads_to_the_same_event() {
    let data = envelope(json!({}))["data"].to_string();
    let attributes = [
        ("ce-specversion", "1.0"),
        ("ce-id", "ce-1"),
        ("ce-source", "svc/chat"),
        ("ce-type", "llm.usage"),
        ("ce-time", "2026-11-22T10:30:00Z"),
        ("ce-subject", "customer%2D42"),
        ("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let binary = |content_type| [&[("content-type", content_type)], &attributes[..]].concat();
    let one = envelope(json!({})).to_string();
    let usage = json!({"input_tokens": null, "output_tokens": null,
        "usage": {"output_tokens": 100, "input_tokens": 1000}});
    let (json, lines) = ([("content-type", "application/json")], [("content-type", "application/x-ndjson")]);
    let (structured, batch) = ([("content-type", ONE)], [("content-type", BATCH)]);
    let (of_json, of_other) =
        (binary("application/json"), binary("application/vnd.usage+json; charset=utf-8"));
    let cases: Vec<(&str, Headers<'_>, String)> = vec![
        ("structured", &structured, one.clone()),
        ("a batch", &batch, format!("[{one}]")),
        ("binary", &of_json, data.clone()),
        ("binary, of another JSON", &of_other, data.clone()),
        ("binary without a type", &attributes, data),
        ("as plain JSON", &json, one.clone()),
        ("as a line", &lines, one),
        (
            "with extensions",
            &structured,
            envelope(json!({"datacontenttype": "application/json", "dataschema": "/s", "mine": 1}))
                .to_string(),
        ),
        ("in another zone", &structured, {
            envelope(json!({"time": "2026-11-22T11:30:00+01:00"})).to_string()
        }),
        ("with usage as it is here", &structured, envelope(json!({"data": usage})).to_string()),
    ];
    let rig = Rig::new();
    for (nth, (what, headers, body)) in cases.into_iter().enumerate() {
        let answer = send(&rig, headers, body);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let result = if nth == 0 { "accepted" } else { "duplicate" };
        let wanted = json!({"id": "ce-1", "result": result, "cost_usd": "0.0012", "total_tokens": 1100});
        assert_eq!(answer.json()["results"][0], wanted, "{what}");
    }
    let call = rig.get("/api/v1/calls/ce-1", &rig.keys.viewer).json();
    for (member, value) in [
        ("source", "ce:svc/chat"),
        ("customer", "customer-42"),
        ("occurred_at", "2026-11-22T10:30:00Z"),
        ("cost_usd", "0.0012"),
    ] {
        assert_eq!(call[member], value);
    }
}

#[test]
fn source_and_id_are_the_identity() {
    let rig = Rig::new();
    let batch = json!([
        envelope(json!({})),
        envelope(json!({"source": "svc/other"})),
        envelope(json!({"id": "ce-2"})),
        envelope(json!({})),
        envelope(json!({"data": {"model": "gpt-y"}})),
    ]);
    let answer = send(&rig, &[("content-type", BATCH)], batch).json();
    let results: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["accepted", "accepted", "accepted", "duplicate", "rejected"]);
    assert_eq!(answer["rejected"][0]["code"], "id_conflict");
    // Neither meets what is told by a source of ours, whatever it calls itself.
    assert_eq!(rig.ingest(event("ce-1", "")).json()["accepted"], 1);
    for source in ["api", "gateway"] {
        let answer = send(&rig, &[("content-type", ONE)], envelope(json!({"source": source})));
        assert_eq!(answer.json()["accepted"], 1, "{source}");
    }
}

#[test]
fn members_of_data_are_those_of_an_event() {
    let rig = Rig::new();
    let prompt = |more: Value| {
        let mut data = json!({"tokens": 1000, "type": "input", "input_tokens": null, "output_tokens": null});
        // A null stays one, which takes away the usual member.
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "data": data })
    };
    let cases: Vec<(&str, Value, Value)> = vec![
        ("data's customer wins", json!({"data": {"customer": "c"}}), json!({"customer": "c"})),
        ("no subject", json!({"subject": null}), json!({"customer": null})),
        ("no time", json!({"time": null}), json!({"occurred_at": NOW})),
        (
            "attribution",
            json!({"data": {"user": "u1", "session": "s1", "tags": {"a": "b"}, "metadata": {"feature": "chat"}}}),
            json!({"user": "u1", "session": "s1", "tags": {"a": "b"}, "metadata": {"feature": "chat"}}),
        ),
        ("a prompt", prompt(json!({})), json!({"cost_usd": "0.001", "provider": "openai"})),
        ("what came of it", prompt(json!({"type": "output"})), json!({"cost_usd": "0.002"})),
        (
            "digits as a text",
            prompt(json!({"tokens": "123456", "type": "system"})),
            json!({"cost_usd": "0.123456"}),
        ),
        (
            "a prompt of nobody knows whom",
            prompt(json!({"provider": null})),
            json!({"cost_usd": null, "provider": "unknown"}),
        ),
    ];
    for (nth, (what, members, wanted)) in cases.into_iter().enumerate() {
        let mut envelope = envelope(members);
        envelope["id"] = format!("ce-{nth}").into();
        let answer = send(&rig, &[("content-type", ONE)], &envelope);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let call = rig.get(&format!("/api/v1/calls/ce-{nth}"), &rig.keys.admin).json();
        for (member, value) in wanted.as_object().unwrap() {
            assert_eq!(&call[member], value, "{what}: {member}");
        }
    }
}

#[test]
fn problems_are_pointed_at_what_was_sent() {
    let rig = Rig::new();
    let cases: Vec<(&str, Value, Faults<'_>)> = vec![
        (
            "nothing but a version",
            json!({"id": null, "source": null, "type": null, "data": null}),
            &[("field_missing", "/source"), ("field_missing", "/type"), ("field_missing", "/data")],
        ),
        ("another version", json!({"specversion": "0.3"}), &[("field_invalid", "/specversion")]),
        ("no id", json!({"id": null}), &[("field_missing", "/id")]),
        ("a bad id", json!({"id": "a\u{0}"}), &[("id_invalid", "/id")]),
        ("an empty source", json!({"source": ""}), &[("field_invalid", "/source")]),
        ("a long source", json!({"source": "x".repeat(254)}), &[("field_too_large", "/source")]),
        ("a line break", json!({"source": "a\r\nb"}), &[("field_invalid", "/source")]),
        ("a source that is none", json!({"source": 7}), &[("field_invalid", "/source")]),
        ("long ago", json!({"time": "2026-10-17T10:30:00Z"}), &[("timestamp_too_old", "/time")]),
        ("ahead", json!({"time": "2026-11-22T10:37:00Z"}), &[("timestamp_future", "/time")]),
        ("a bad subject", json!({"subject": 7}), &[("field_invalid", "/subject")]),
        ("a bad customer", json!({"data": {"customer": 7}}), &[("field_invalid", "/data/customer")]),
        ("XML", json!({"datacontenttype": "text/xml"}), &[("field_invalid", "/datacontenttype")]),
        (
            "bytes",
            json!({"data": null, "data_base64": "e30="}),
            &[("field_invalid", "/data_base64"), ("field_missing", "/data")],
        ),
        ("data that is none", json!({"data": "x"}), &[("field_invalid", "/data")]),
        ("another id", json!({"data": {"id": "x"}}), &[("unknown_member", "/data/id")]),
        ("another time", json!({"data": {"occurred_at": "x"}}), &[("unknown_member", "/data/occurred_at")]),
        ("an unknown member", json!({"data": {"colour": 1}}), &[("unknown_member", "/data/colour")]),
        (
            "a bad quantity",
            json!({"data": {"input_tokens": "5"}}),
            &[("field_invalid", "/data/input_tokens")],
        ),
        (
            "more cached than there is",
            json!({"data": {"cache_read_tokens": 2000}}),
            &[("usage_inconsistent", "/data/cache_read_tokens")],
        ),
        (
            "usage in two places",
            json!({"data": {"usage": {"input_tokens": 1}}}),
            &[("unknown_member", "/data/input_tokens"), ("unknown_member", "/data/output_tokens")],
        ),
        ("a bad model", json!({"data": {"model": ""}}), &[("field_invalid", "/data/model")]),
        (
            "a prompt of some type",
            json!({"data": {"tokens": 1, "type": "other", "input_tokens": null, "output_tokens": null}}),
            &[("field_invalid", "/data/type")],
        ),
        (
            "a prompt of a strange number",
            json!({"data": {"tokens": "+5", "type": "input", "input_tokens": null, "output_tokens": null}}),
            &[("field_invalid", "/data/tokens")],
        ),
    ];
    for (what, members, wanted) in cases {
        let answer = send(&rig, &[("content-type", ONE)], envelope(members));
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        let found: Vec<(&str, &str)> = errors
            .iter()
            .map(|error| (error["code"].as_str().unwrap(), error["pointer"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(found, wanted, "{what}");
    }
    assert_eq!(rig.get("/api/v1/calls", &rig.keys.admin).json()["data"], json!([]));
}

#[test]
fn a_form_is_what_its_type_says() {
    let rig = Rig::new();
    let one = envelope(json!({})).to_string();
    let two_ids = [("content-type", "application/json"), ("ce-id", "a"), ("ce-id", "b")];
    let cases: &[(&str, Headers<'_>, String, &str)] = &[
        ("a batch of one type", &[("content-type", ONE)], format!("[{one}]"), "400 json_invalid"),
        ("one as a batch", &[("content-type", BATCH)], one.clone(), "400 json_invalid"),
        ("no CloudEvent", &[("content-type", ONE)], event("a", ""), "422 field_missing"),
        (
            "XML",
            &[("content-type", "application/cloudevents+xml")],
            one.clone(),
            "415 unsupported_media_type",
        ),
        (
            "some JSON",
            &[("content-type", "application/problem+json")],
            one.clone(),
            "415 unsupported_media_type",
        ),
        ("two ids", &two_ids, one, "422 field_invalid"),
        ("no body", &[("ce-id", "a"), ("ce-specversion", "1.0")], String::new(), "400 json_invalid"),
        ("an empty batch", &[("content-type", BATCH)], "[]".into(), "200 "),
    ];
    for (what, headers, body, verdict) in cases {
        let answer = send(&rig, headers, body);
        assert_eq!(answer.verdict(), *verdict, "{what}: {}", answer.text());
    }
}

#[test]
fn who_prefers_it_is_told_only_of_refusals() {
    let rig = Rig::new();
    let bad = r#"[{"id":"x"}]"#.to_owned();
    let cases: &[(&str, &str, String, u16)] = &[
        ("minimal", "return=minimal", event("a", ""), 204),
        ("of several", "respond-async, Return=Minimal", event("a", ""), 204),
        ("the whole", "return=representation", event("a", ""), 200),
        ("with a refusal", "return=minimal", bad, 200),
        ("a refusal itself", "return=minimal", "{".into(), 400),
    ];
    for (what, prefer, body, status) in cases {
        let answer = send(&rig, &[("content-type", "application/json"), ("prefer", prefer)], body);
        assert_eq!(answer.status.as_u16(), *status, "{what}: {}", answer.text());
        let applied = answer.headers.get("preference-applied").map(|value| value.to_str().unwrap());
        let is_minimal = *status == 204;
        assert_eq!(applied, is_minimal.then_some("return=minimal"), "{what}");
        assert_eq!(answer.body.is_empty(), is_minimal, "{what}");
    }
}
