//! The audit log: every act on keys and members, by whom, and never a secret.

use crate::matrix::Row;
use crate::rig::{Rig, event};
use http::Method;
use serde_json::{Value, json};
use tollbook_api::Api;
use tollbook_ledger::alerts::{AlertKey, NewAlert, Severity};

/// Who may use its route.
pub const ROWS: &[Row] = &[("GET", "/api/v1/audit", [401, 200, 403, 403, 403, 403])];

fn acts(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|record| record["act"].as_str().unwrap()).collect()
}

#[test]
fn every_act_is_recorded_with_who_did_it_and_no_secret() {
    let rig = Rig::new();
    rig.clock.advance_ms(10);
    let admin = &rig.keys.admin;
    let post = |path: &str, body: &str| rig.call(Method::POST, path, admin, body.to_owned());
    let made = post("/api/v1/keys", r#"{"name":"ci","role":"ingest"}"#).json();
    let key = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    rig.clock.advance_ms(10);
    let rotated = post(&format!("{key}/rotate"), "").json();
    rig.clock.advance_ms(10);
    rig.call(Method::DELETE, &key, admin, "");
    rig.clock.advance_ms(10);
    let member = post("/api/v1/members", r#"{"name":"Ann Lee","role":"viewer"}"#).json();
    let member = format!("/api/v1/members/{}", member["id"].as_str().unwrap());
    rig.clock.advance_ms(10);
    let link = post(&format!("{member}/link"), "").json();
    rig.clock.advance_ms(10);
    rig.call(Method::PATCH, &member, admin, r#"{"role":"admin"}"#);
    rig.clock.advance_ms(10);
    rig.call(Method::DELETE, &member, admin, "");
    // What is refused is no act.
    rig.call(Method::DELETE, "/api/v1/keys/key_none", admin, "");
    post("/api/v1/keys", r#"{"name":"x","role":"root"}"#);

    let page = rig.get("/api/v1/audit?actor=key", admin);
    let wanted = [
        "member.remove",
        "member.change",
        "member.link",
        "member.add",
        "key.revoke",
        "key.rotate",
        "key.create",
    ];
    let found = page.json();
    assert_eq!(acts(&found), wanted, "the rig's own keys were made locally");
    let record = &found["data"][6];
    assert_eq!((&record["target_id"], &record["told"]), (&made["id"], &json!({"role": "ingest"})));
    assert_eq!((&record["actor"], &record["from"]), (&json!("key"), &json!("127.0.0.1")));
    assert!(record["request_id"].as_str().unwrap().starts_with("req_"));
    for secret in [&made["key"], &rotated["key"], &link["link"], &json!("Ann Lee")] {
        assert!(!page.text().contains(secret.as_str().unwrap()));
    }

    let all = rig.get("/api/v1/audit", admin).json();
    assert_eq!(acts(&all).len(), wanted.len() + 5);
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = rig.get(&format!("/api/v1/audit?limit=5{cursor}"), admin).json();
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(Value::from(paged), all["data"]);
    for (query, verdict, count) in [
        ("?from=2026-11-22&to=2026-11-22", "200 ", 12),
        ("?to=2026-11-21", "200 ", 0),
        ("?from=2026-11-22T10:31:00.010Z&to=2026-11-22T10:31:00.030Z", "200 ", 2),
        ("?actor=local", "200 ", 5),
        ("?actor=mem_none", "200 ", 0),
        ("?limit=0", "400 parameter_invalid", 0),
        ("?who=me", "400 parameter_invalid", 0),
        ("?cursor=key%2F", "400 cursor_invalid", 0),
    ] {
        let answer = rig.get(&format!("/api/v1/audit{query}"), admin);
        assert_eq!(answer.verdict(), verdict, "{query}");
        assert_eq!(answer.json()["data"].as_array().map_or(0, Vec::len), count, "{query}");
    }
}

/// Routes by which a caller works or signs in, and changes nothing for others.
const NO_ACTS: &[(&str, &str)] = &[
    ("POST", "/api/v1/events"),
    ("POST", "/api/v1/admit"),
    ("POST", "/api/v1/channels/{name}/test"),
    ("DELETE", "/api/v1/holds/{id}"),
    ("POST", "/v1/traces"),
    ("POST", "/v1/logs"),
    ("POST", "/v1/metrics"),
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("POST", "/welcome"),
];

/// Method, path, body and what the audit log calls it, in an order in which `{id}`, that of what was
/// made last at the start of the path, is there.
const ACTS: &[(&str, &str, &str, &str)] = &[
    ("POST", "/api/v1/keys", r#"{"name":"ci","role":"ingest"}"#, "key.create"),
    ("POST", "/api/v1/keys/{id}/rotate", "", "key.rotate"),
    ("DELETE", "/api/v1/keys/{id}", "", "key.revoke"),
    ("POST", "/api/v1/members", r#"{"name":"Ann","role":"viewer"}"#, "member.add"),
    ("POST", "/api/v1/members/{id}/link", "", "member.link"),
    ("PATCH", "/api/v1/members/{id}", r#"{"role":"admin"}"#, "member.change"),
    ("DELETE", "/api/v1/members/{id}", "", "member.remove"),
    (
        "POST",
        "/api/v1/budgets",
        r#"{"name":"b","match":{"user":"canary"},"limit_usd":"5","window":"day"}"#,
        "budget.create",
    ),
    ("PATCH", "/api/v1/budgets/{id}", r#"{"limit_usd":"6"}"#, "budget.change"),
    (
        "POST",
        "/api/v1/budgets/{id}/raise",
        r#"{"by_usd":"1","until":"2026-11-29T00:00:00Z","reason":"launch"}"#,
        "budget.raise",
    ),
    ("DELETE", "/api/v1/budgets/{id}", "", "budget.remove"),
    ("PUT", "/api/v1/demo", "", "demo.add"),
    ("DELETE", "/api/v1/demo", "", "demo.remove"),
    (
        "POST",
        "/api/v1/rate-limits",
        r#"{"name":"r","match":{"user":"canary"},"requests_per_minute":5}"#,
        "rate_limit.create",
    ),
    ("PATCH", "/api/v1/rate-limits/{id}", r#"{"requests_per_minute":6}"#, "rate_limit.change"),
    ("DELETE", "/api/v1/rate-limits/{id}", "", "rate_limit.remove"),
    ("POST", "/api/v1/channels", r#"{"name":"ops","kind":"log"}"#, "channel.create"),
    ("DELETE", "/api/v1/channels/{name}", "", "channel.remove"),
    ("POST", "/api/v1/alerts/{id}/ack", "", "alert.acknowledge"),
    ("POST", "/api/v1/prices", r#"{"provider":"acme","model":"m","input":"1"}"#, "price.set"),
    ("DELETE", "/api/v1/prices/own/{id}", "", "price.remove"),
    ("POST", "/api/v1/rerate", r#"{"apply":true}"#, "calls.rerate"),
    ("POST", "/api/v1/calls/{id}/settle", r#"{"none":true,"reason":"never sent"}"#, "call.settle"),
    ("POST", "/api/v1/erasures", r#"{"user":"canary","reason":"asked"}"#, "person.erase"),
    (
        "POST",
        "/api/monitoring/chat",
        r#"{"action":"set-alert","domain":"canary","alert_type":"daily","threshold_usd":5}"#,
        "budget.create",
    ),
    ("POST", "/api/monitoring/chat", r#"{"action":"cleanup","older_than_days":30}"#, "calls.purge"),
];

/// An alert that holds.
fn alert(rig: &Rig) -> String {
    let key = AlertKey { rule: "a test".into(), value: None, threshold: "1".into(), period: None, again: 0 };
    let text = |text: &str| text.to_owned();
    let new = NewAlert {
        key,
        severity: Severity::Info,
        subject: text("it"),
        summary: text("it is so"),
        value: text("1"),
        limit: text("1"),
        unit: text("calls"),
        until: None,
        channels: Vec::new(),
        report: None,
    };
    rig.ledger.raise_alert(new).unwrap().unwrap().id.clone()
}

#[test]
fn every_route_that_changes_something_for_others_is_recorded() {
    let rig = Rig::new();
    let admin = &rig.keys.admin;
    let (mut made, alert) = (String::new(), alert(&rig));
    assert_eq!(rig.ingest(event("c1", "")).status, 200);
    for (method, path, body, act) in ACTS {
        rig.clock.advance_ms(10);
        let method: Method = method.parse().unwrap();
        let target = match path {
            path if path.starts_with("/api/v1/alerts") => alert.clone(),
            path if path.starts_with("/api/v1/calls") => "c1".to_owned(),
            _ => made.clone(),
        };
        let full = path.replace("{id}", &target).replace("{name}", "ops");
        let answer = rig.call(method.clone(), &full, admin, (*body).to_owned());
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        if method == Method::POST && !path.contains("{id}") {
            answer.json()["id"].as_str().unwrap_or_default().clone_into(&mut made);
        }
        let page = rig.get("/api/v1/audit?limit=1", admin);
        let record = &page.json()["data"][0];
        assert_eq!((&record["act"], &record["actor"]), (&json!(act), &json!("key")), "{method} {path}");
        assert!(record["request_id"].is_string(), "{record}");
        if path.contains("{id}") {
            assert_eq!(record["target_id"], json!(target), "{method} {path}");
        }
        assert!(!page.text().contains("canary"), "{method} {path}: {}", page.text());
    }
    for listed in Api::routes() {
        let is = |method: &str, path: &str| listed.method.as_str() == method && listed.path == path;
        let is_act = ACTS.iter().any(|(method, path, ..)| is(method, path));
        let is_none = NO_ACTS.iter().any(|(method, path)| is(method, path));
        assert!(listed.method == Method::GET || is_act != is_none, "{listed:?} is no act, or an act?");
    }
}
