//! Budgets over HTTP: made, changed, read, asked.

use crate::matrix::Row;
use crate::rig::{Rig, event, request};
use http::Method;
use serde_json::{Value, json};

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/budgets", [401, 200, 403, 403, 403, 200]),
    ("POST", "/api/v1/budgets", [401, 422, 403, 403, 403, 403]),
    ("GET", "/api/v1/budgets/{id}", [401, 404, 403, 403, 403, 404]),
    ("PATCH", "/api/v1/budgets/{id}", [401, 404, 403, 403, 403, 403]),
    ("DELETE", "/api/v1/budgets/{id}", [401, 404, 403, 403, 403, 403]),
    ("POST", "/api/v1/budgets/{id}/raise", [401, 422, 403, 403, 403, 403]),
    ("GET", "/api/v1/limits", [401, 400, 403, 403, 403, 400]),
    ("GET", "/api/v1/rate-limits", [401, 200, 403, 403, 403, 200]),
    ("POST", "/api/v1/rate-limits", [401, 422, 403, 403, 403, 403]),
    ("GET", "/api/v1/rate-limits/{id}", [401, 404, 403, 403, 403, 404]),
    ("PATCH", "/api/v1/rate-limits/{id}", [401, 404, 403, 403, 403, 403]),
    ("DELETE", "/api/v1/rate-limits/{id}", [401, 404, 403, 403, 403, 403]),
    ("POST", "/api/v1/admit", [401, 422, 403, 422, 422, 403]),
    ("DELETE", "/api/v1/holds/{id}", [401, 404, 403, 404, 404, 403]),
];

const PATH: &str = "/api/v1/budgets";

fn create(rig: &Rig, body: Value) -> Value {
    let answer = rig.call(Method::POST, PATH, &rig.keys.admin, body.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn ops() -> Value {
    json!({"name": "ops", "match": {"tag.team": "ops"}, "limit_usd": "0.01", "window": "month",
           "time_zone": "Europe/Berlin", "mode": "strict"})
}

fn admit(rig: &Rig, more: Value) -> crate::rig::Answer {
    let mut body = json!({"provider": "openai", "model": "gpt-x", "input_tokens": 1000, "max_output_tokens": 500,
                          "tags": {"team": "ops"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rig.call(Method::POST, "/api/v1/admit", &rig.keys.ingest, body.to_string())
}

#[test]
fn a_budget_is_made_shown_changed_and_taken_away() {
    let rig = Rig::new();
    assert_eq!(rig.ingest(event("e1", r#","tags":{"team":"ops"}"#)).status, 200);
    let made = create(&rig, ops());
    let members =
        ["spent_usd", "held_usd", "unsettled_usd", "left_usd", "limit", "source", "since", "resets_at"];
    let stands: Vec<&str> = members.iter().map(|name| made[name].as_str().unwrap()).collect();
    let wanted =
        ["0.0012", "0", "0", "0.0088", "0.01", "api", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"];
    assert_eq!(stands, wanted);
    assert!(made["words"].as_str().unwrap().starts_with("Calls with tag.team = ops together may use $0.01"));
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let shown = rig.get(&one, &rig.keys.viewer);
    assert_eq!((&shown.json(), &shown.headers["etag"]), (&made, &"\"1\"".parse().unwrap()));
    assert_eq!(rig.get(PATH, &rig.keys.viewer).json()["data"], json!([made]));

    let patch = |body: Value, tag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        rig.send(request(Method::PATCH, &one, &rig.keys.admin, &headers, body.to_string()))
    };
    let changed = patch(json!({"limit_usd": "0.02", "mode": null}), "\"1\"");
    assert_eq!((changed.status.as_u16(), &changed.headers["etag"]), (200, &"\"2\"".parse().unwrap()));
    assert_eq!((&changed.json()["left_usd"], &changed.json()["mode"]), (&json!("0.0188"), &Value::Null));
    assert_eq!(patch(json!({"limit_usd": "1"}), "\"1\"").verdict(), "412 precondition_failed");
    assert_eq!(patch(json!({"limit_usd": "x"}), "\"2\"").verdict(), "422 field_invalid");
    assert_eq!(patch(json!({"limt": 1}), "*").verdict(), "422 unknown_member");

    let raise = json!({"by_usd": "1.00", "until": "2026-11-22T12:00:00Z", "reason": "a launch"}).to_string();
    let raised = rig.call(Method::POST, &format!("{one}/raise"), &rig.keys.admin, raise);
    assert_eq!(raised.json()["limit"], "1.02", "{}", raised.text());
    let late = json!({"by_usd": "1.00", "until": "2026-11-22T10:00:00Z", "reason": "a launch"}).to_string();
    assert_eq!(
        rig.call(Method::POST, &format!("{one}/raise"), &rig.keys.admin, late).verdict(),
        "422 field_invalid"
    );
    // What is changed later keeps the raise.
    assert_eq!(patch(json!({"limit_usd": "0.03"}), "*").json()["limit"], "1.03");

    assert_eq!(rig.call(Method::DELETE, &one, &rig.keys.admin, "").status, 204);
    assert_eq!(rig.get(&one, &rig.keys.admin).verdict(), "404 not_found");
}

#[test]
fn everything_that_is_wrong_with_a_budget_is_told_at_once() {
    let rig = Rig::new();
    let body = json!({"name": "", "limit_usd": 1, "limit_calls": 1, "limt": 2, "window": "day"});
    let answer = rig.call(Method::POST, PATH, &rig.keys.admin, body.to_string());
    let pointers: Vec<String> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap().into())
        .collect();
    assert_eq!(pointers, ["/limit_usd", "/limt"], "{}", answer.text());
    let body = json!({"name": "", "limit_usd": "1", "limit_calls": 1, "window": "yearly"});
    let answer = rig.call(Method::POST, PATH, &rig.keys.admin, body.to_string());
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 3, "{}", answer.text());
    assert_eq!(answer.verdict(), "422 field_invalid");
}

#[test]
fn who_calls_a_provider_itself_asks_first_and_settles_by_an_event() {
    let rig = Rig::new();
    let made = create(&rig, ops());
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let stands = || {
        let budget = rig.get(&one, &rig.keys.admin).json();
        format!("{} {}", budget["spent_usd"].as_str().unwrap(), budget["held_usd"].as_str().unwrap())
    };
    let first = admit(&rig, json!({})).json();
    assert_eq!(
        (&first["decision"], &first["held_usd"], &first["left_usd"]),
        (&json!("allow"), &json!("0.002"), &json!("0.008"))
    );
    assert_eq!(first["expires_at"], "2026-11-22T10:36:00Z");
    assert_eq!(stands(), "0 0.002");
    let hold = first["hold_id"].as_str().unwrap();
    let settle = event("e1", &format!(r#","hold_id":"{hold}","tags":{{"team":"ops"}}"#));
    assert_eq!(rig.ingest(settle).status, 200);
    assert_eq!(stands(), "0.0012 0");
    for (more, verdict) in [
        (json!({"max_output_tokens": 5_000_000}), "402 budget_exceeded"),
        (json!({"model": "no-such-model"}), "403 model_unpriced"),
        (json!({"max_output_tokens": null}), "403 unbounded_call"),
        (json!({"ttl_s": 0}), "422 field_invalid"),
        (json!({"ttl_s": 3601}), "422 field_invalid"),
        (json!({"input_tokens": -1}), "422 field_invalid"),
        (json!({"max_tokens": 1}), "422 unknown_member"),
        (json!({"tags": {"team": "dev"}, "model": "no-such-model"}), "200 "),
    ] {
        assert_eq!(admit(&rig, more.clone()).verdict(), verdict, "{more}");
    }
    let refused = admit(&rig, json!({"max_output_tokens": 5_000_000})).json();
    let wanted = "Budget 'ops' is spent: 0.0012 spent, 0 held and 0 unsettled of 0.01 USD; this call may need 10.001. It \
                  resets at 2026-11-30T23:00:00Z.";
    assert_eq!(refused["detail"], wanted);
    // Given back, once.
    let second = admit(&rig, json!({"ttl_s": 60})).json();
    let hold = format!("/api/v1/holds/{}", second["hold_id"].as_str().unwrap());
    assert_eq!(rig.call(Method::DELETE, &hold, &rig.keys.ingest, "").status, 204);
    assert_eq!(rig.call(Method::DELETE, &hold, &rig.keys.ingest, "").verdict(), "404 not_found");
    // Or over by itself, and of no use to anybody else then.
    admit(&rig, json!({"ttl_s": 60}));
    assert_eq!(stands(), "0.0012 0.002");
    rig.clock.advance_ms(61_000);
    rig.ledger.look_at_budgets();
    assert_eq!(stands(), "0.0012 0");
    let unknown = event("e2", r#","hold_id":"hold_none","tags":{"team":"ops"}"#);
    assert_eq!(rig.ingest(unknown).status, 200);
    assert_eq!(stands(), "0.0024 0");
}

#[test]
fn which_limits_apply_is_explained_for_a_call_and_for_a_key() {
    let rig = Rig::new();
    create(&rig, ops());
    create(&rig, json!({"name": "each user", "each": "user", "limit_calls": 1, "window": "day"}));
    create(&rig, json!({"name": "dev", "match": {"tag.team": "dev"}, "limit_usd": "1", "window": "total"}));
    assert_eq!(rig.ingest(event("e1", r#","tags":{"team":"ops"},"user":"ann""#)).status, 200);
    let explain = |query: &str| rig.get(&format!("/api/v1/limits?{query}"), &rig.keys.viewer);
    let of_call = explain("call=e1").json();
    let names = |limits: &Value| -> Vec<String> {
        let name = |limit: &Value| format!("{} {} {}", limit["name"], limit["is_exceeded"], limit["value"]);
        limits["data"].as_array().unwrap().iter().map(name).collect()
    };
    assert_eq!(names(&of_call), [r#""ops" false null"#, r#""each user" true "ann""#]);
    assert_eq!(of_call["data"][0]["spent_usd"], "0.0012");
    assert_eq!(of_call["data"][0]["source"], "api");
    // A key may be used for any call that it does not rule out.
    let key = json!({"name": "k", "role": "gateway", "user": "ann", "tags": {"team": "dev"}});
    let key = rig.call(Method::POST, "/api/v1/keys", &rig.keys.admin, key.to_string()).json();
    let of_key = explain(&format!("key={}", key["id"].as_str().unwrap())).json();
    assert_eq!(names(&of_key), [r#""each user" true "ann""#, r#""dev" false null"#]);
    let key = json!({"name": "k", "role": "gateway"});
    let key = rig.call(Method::POST, "/api/v1/keys", &rig.keys.admin, key.to_string()).json();
    let of_key = explain(&format!("key={}", key["id"].as_str().unwrap())).json();
    assert_eq!(of_key["data"][0]["when"], json!({"tag.team": "ops"}));
    for (query, verdict) in [
        ("call=none", "404 not_found"),
        ("key=key_none", "404 not_found"),
        ("", "400 parameter_invalid"),
        ("call=e1&key=key_none", "400 parameter_invalid"),
        ("call=e1&user=ann", "400 parameter_invalid"),
    ] {
        assert_eq!(explain(query).verdict(), verdict, "{query}");
    }
}

#[test]
fn a_rate_limit_is_made_changed_and_taken_away_and_binds_who_asks_first() {
    let rig = Rig::new();
    let path = "/api/v1/rate-limits";
    let post = |body: Value| rig.call(Method::POST, path, &rig.keys.admin, body.to_string());
    let made = post(json!({"name": "r", "match": {"tag.team": "ops"}, "requests_per_minute": 1}));
    assert_eq!(made.status, 201, "{}", made.text());
    let one = format!("{path}/{}", made.json()["id"].as_str().unwrap());
    let shown = rig.get(&one, &rig.keys.viewer);
    assert_eq!((shown.json(), &shown.headers["etag"]), (made.json(), &"\"1\"".parse().unwrap()));
    assert_eq!(
        made.json()["words"],
        "Calls with tag.team = ops together may be at most 1 requests a minute."
    );
    assert_eq!(admit(&rig, json!({})).verdict(), "200 ");
    let refused = admit(&rig, json!({}));
    assert_eq!(
        (refused.verdict().as_str(), &refused.headers["retry-after"]),
        ("429 rate_limited", &"60".parse().unwrap())
    );

    let patch = |body: Value, tag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        rig.send(request(Method::PATCH, &one, &rig.keys.admin, &headers, body.to_string()))
    };
    let changed = patch(json!({"requests_per_minute": null, "concurrent_calls": 1}), "\"1\"").json();
    assert_eq!((&changed["requests_per_minute"], &changed["concurrent_calls"]), (&Value::Null, &json!(1)));
    assert_eq!(patch(json!({"concurrent_calls": 2}), "\"1\"").verdict(), "412 precondition_failed");
    assert_eq!(patch(json!({"concurrent_calls": null}), "*").verdict(), "422 field_invalid");
    // A hold is a call under way until it is settled.
    let hold = admit(&rig, json!({})).json()["hold_id"].as_str().unwrap().to_owned();
    assert_eq!(admit(&rig, json!({})).verdict(), "429 rate_limited");
    assert_eq!(
        rig.ingest(event("e1", &format!(r#","hold_id":"{hold}","tags":{{"team":"ops"}}"#))).status,
        200
    );
    assert_eq!(admit(&rig, json!({})).verdict(), "200 ");

    assert_eq!(rig.call(Method::DELETE, &one, &rig.keys.admin, "").status, 204);
    assert_eq!(rig.get(path, &rig.keys.viewer).json()["data"], json!([]));
    assert_eq!(admit(&rig, json!({})).verdict(), "200 ");
    for (body, verdict) in [
        (json!({"name": "r"}), "422 field_invalid"),
        (json!({"name": "r", "requests_per_minute": -1}), "422 field_invalid"),
        (json!({"name": "r", "requests_per_hour": 1}), "422 unknown_member"),
        (json!({"name": "r", "each": "status", "concurrent_calls": 1}), "422 field_invalid"),
    ] {
        assert_eq!(post(body.clone()).verdict(), verdict, "{body}");
    }
}
