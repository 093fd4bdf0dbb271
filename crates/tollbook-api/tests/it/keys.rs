//! Keys over HTTP: made once, listed without their text, ended at once.

use crate::matrix::Row;
use crate::rig::{Rig, event};
use http::Method;
use serde_json::{Value, json};
use std::path::Path;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/keys", [401, 200, 403, 403, 403, 403]),
    ("POST", "/api/v1/keys", [401, 422, 403, 403, 403, 403]),
    ("DELETE", "/api/v1/keys/{id}", [401, 404, 403, 403, 403, 403]),
    ("POST", "/api/v1/keys/{id}/rotate", [401, 404, 403, 403, 403, 403]),
];

const PATH: &str = "/api/v1/keys";

fn create(rig: &Rig, body: Value) -> Value {
    let answer = rig.call(Method::POST, PATH, &rig.keys.admin, body.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.json()
}

#[test]
fn a_key_lives_from_its_making_to_its_end() {
    let rig = Rig::new();
    let made = create(
        &rig,
        json!({"name": "ci", "role": "gateway+ingest", "project": "web", "tags": {"team": "ops"},
               "expires_at": "2026-12-01T00:00:00+01:00"}),
    );
    let text = made["key"].as_str().unwrap().to_owned();
    assert!(text.starts_with(made["prefix"].as_str().unwrap()));
    assert_eq!((&made["role"], &made["project"]), (&json!("gateway+ingest"), &json!("web")));
    assert_eq!(made["expires_at"], "2026-11-30T23:00:00Z");
    let send = |text: &str| rig.call(Method::POST, "/api/v1/events", text, event("a", "")).status.as_u16();
    assert_eq!(send(&text), 200);

    let listed = rig.get(PATH, &rig.keys.admin);
    assert!(!listed.text().contains(&text) && !listed.text().contains("hash"));
    let mut found =
        listed.json()["data"].as_array().unwrap().iter().find(|key| key["name"] == "ci").unwrap().clone();
    assert_eq!(found.as_object_mut().unwrap().remove("key"), None);
    let mut without = made.clone();
    without.as_object_mut().unwrap().remove("key");
    assert_eq!(found, without);

    let id = made["id"].as_str().unwrap();
    let rotated = rig.call(Method::POST, &format!("{PATH}/{id}/rotate"), &rig.keys.admin, "").json();
    let newer = rotated["key"].as_str().unwrap().to_owned();
    assert_eq!((send(&text), send(&newer)), (401, 200));
    let revoke = || rig.call(Method::DELETE, &format!("{PATH}/{id}"), &rig.keys.admin, "").status.as_u16();
    assert_eq!((revoke(), send(&newer), revoke()), (204, 401, 204), "66");
    let rotated = rig.call(Method::POST, &format!("{PATH}/{id}/rotate"), &rig.keys.admin, "");
    assert_eq!(rotated.verdict(), "404 not_found", "what is revoked stays so");
    let found = rig.get(PATH, &rig.keys.admin).json();
    assert!(
        found["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["name"] == "ci" && key["revoked_at"] != Value::Null)
    );
}

#[test]
fn an_expired_key_opens_nothing() {
    let rig = Rig::new();
    let made = create(&rig, json!({"name": "short", "role": "viewer", "expires_at": "2026-11-22T10:32:00Z"}));
    let text = made["key"].as_str().unwrap();
    assert_eq!(rig.get("/api/v1/calls", text).status, 200);
    rig.clock.advance_ms(60_000);
    assert_eq!(rig.get("/api/v1/calls", text).verdict(), "401 invalid_key");
}

#[test]
fn keys_that_make_no_sense_are_refused() {
    let rig = Rig::new();
    let cases: &[(&str, &str, &str)] = &[
        ("empty", "", "400 json_invalid"),
        ("an array", "[]", "400 json_invalid"),
        ("a member twice", r#"{"name":"a","name":"b"}"#, "400 json_duplicate_key"),
        ("nothing", "{}", "422 field_missing"),
        ("no name", r#"{"role":"viewer"}"#, "422 field_missing"),
        ("an empty name", r#"{"name":"","role":"viewer"}"#, "422 field_invalid"),
        ("a number", r#"{"name":1,"role":"viewer"}"#, "422 field_invalid"),
        ("an unknown role", r#"{"name":"a","role":"root"}"#, "422 field_invalid"),
        ("a member without a user", r#"{"name":"a","role":"member"}"#, "422 field_invalid"),
        (
            "an unknown member",
            r#"{"name":"a","role":"viewer","allowed_routes":["/*"]}"#,
            "422 unknown_member",
        ),
        ("a text of one's own", r#"{"name":"a","role":"viewer","key":"tb_mine"}"#, "422 unknown_member"),
        ("a nested tag", r#"{"name":"a","role":"viewer","tags":{"a":{}}}"#, "422 field_invalid"),
        (
            "an end behind us",
            r#"{"name":"a","role":"viewer","expires_at":"2020-01-01T00:00:00Z"}"#,
            "422 field_invalid",
        ),
        ("no instant", r#"{"name":"a","role":"viewer","expires_at":"soon"}"#, "422 timestamp_invalid"),
    ];
    let before = rig.ledger.keys().list().count();
    for (what, body, verdict) in cases {
        let answer = rig.call(Method::POST, PATH, &rig.keys.admin, *body);
        assert_eq!(answer.verdict(), *verdict, "{what}: {}", answer.text());
    }
    assert_eq!(rig.ledger.keys().list().count(), before);
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn no_text_is_on_the_disk() {
    let rig = Rig::new();
    let made = create(&rig, json!({"name": "ci", "role": "ingest"}));
    let texts = [made["key"].as_str().unwrap(), &rig.keys.admin, &rig.keys.ingest];
    rig.ingest(event("a", ""));
    for file in files(rig.dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for text in texts {
            let secret = &text.as_bytes()[11..];
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", file.display());
        }
    }
}
