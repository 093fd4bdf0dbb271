//! The audit log: every act on keys and members, by whom, and never a secret.

use crate::matrix::Row;
use crate::rig::Rig;
use http::Method;
use serde_json::{Value, json};

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
