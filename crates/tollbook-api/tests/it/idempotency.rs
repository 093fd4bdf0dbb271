//! Commands that come again: done once, also across a restart; and what is kept of them.

use crate::rig::{Answer, Rig, request};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use tollbook_api::{Api, Options};
use tollbook_types::Role;

const PATH: &str = "/api/v1/keys";
const BODY: &str = r#"{"name":"ci","role":"ingest"}"#;

fn send(rig: &Rig, key: &str, path: &str, name: &str, body: &str) -> Answer {
    let headers = [("idempotency-key", name), ("content-type", "application/json")];
    rig.send(request(Method::POST, path, key, &headers, body.to_owned()))
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

fn keys(rig: &Rig) -> usize {
    rig.ledger.keys().list().count()
}

/// The server ends and starts again, over the same books.
fn restart(rig: &mut Rig) {
    let api = Api::new(rig.ledger.clone(), Arc::clone(&rig.clock) as _, Options::default());
    rig.router = api.unwrap().router();
}

#[test]
fn a_command_that_comes_again_is_not_done_again() {
    let mut rig = Rig::new();
    let (admin, before) = (rig.keys.admin.clone(), keys(&rig));
    let first = send(&rig, &admin, PATH, "\"a-1\"", BODY);
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (201, false));
    let mut made = first.json();
    let text = made.as_object_mut().unwrap().remove("key").unwrap();
    for round in 0..4 {
        if round == 2 {
            restart(&mut rig);
        }
        // Quoted or bare, it is the same name.
        let name = if round % 2 == 0 { "a-1" } else { "\"a-1\"" };
        let again = send(&rig, &admin, PATH, name, BODY);
        assert_eq!((again.status.as_u16(), is_replayed(&again)), (201, true), "{}", again.text());
        assert_eq!(again.json(), made, "without the text, which is told once");
        assert_eq!(again.headers["cache-control"], "no-store");
    }
    assert_eq!(keys(&rig), before + 1);
    let other = r#"{"name":"other","role":"ingest"}"#;
    assert_eq!(send(&rig, &admin, PATH, "a-1", other).verdict(), "422 idempotency_key_reused");

    // What is told again is the key as it is now.
    let id = made["id"].as_str().unwrap();
    rig.call(Method::DELETE, &format!("{PATH}/{id}"), &admin, "");
    assert_ne!(send(&rig, &admin, PATH, "a-1", BODY).json()["revoked_at"], Value::Null);

    // Another caller, another name, or no name: another command.
    let second = rig.key(&[Role::Admin], Default::default());
    let before = keys(&rig);
    assert!(!is_replayed(&send(&rig, &second, PATH, "a-1", BODY)));
    assert!(!is_replayed(&send(&rig, &admin, PATH, "a-2", BODY)));
    assert_eq!(rig.call(Method::POST, PATH, &admin, BODY).status, 201);
    assert_eq!(keys(&rig), before + 3);
    let documents = rig.ledger.store().controls("idempotency/").unwrap();
    assert_eq!(documents.len(), 3);
    let secret = text.as_str().unwrap();
    assert!(documents.iter().all(|document| !document.body.as_ref().unwrap().contains(&secret[11..])));
}

#[test]
fn what_is_gone_since_is_not_made_again() {
    let rig = Rig::new();
    let admin = rig.keys.admin.clone();
    let cases = [
        ("/api/v1/channels", r#"{"name":"ops","kind":"log"}"#, "/api/v1/channels/ops"),
        ("/api/v1/prices", r#"{"provider":"acme","model":"m","input":"1"}"#, "/api/v1/prices/own/{id}"),
        (
            "/api/v1/budgets",
            r#"{"name":"b","match":{"user":"ann"},"limit_usd":"5","window":"day"}"#,
            "/api/v1/budgets/{id}",
        ),
        (
            "/api/v1/rate-limits",
            r#"{"name":"r","match":{"user":"ann"},"requests_per_minute":5}"#,
            "/api/v1/rate-limits/{id}",
        ),
    ];
    for (path, body, made) in cases {
        let first = send(&rig, &admin, path, "once", body);
        assert_eq!(first.status, 201, "{path}: {}", first.text());
        let made = made.replace("{id}", first.json()["id"].as_str().unwrap_or_default());
        assert_eq!(rig.call(Method::DELETE, &made, &admin, "").status, 204, "{made}");
        assert_eq!(send(&rig, &admin, path, "once", body).verdict(), "404 not_found", "{path}");
    }
}

#[test]
fn a_name_is_known_for_a_day() {
    let rig = Rig::new();
    let admin = &rig.keys.admin;
    let first = send(&rig, admin, PATH, "a", BODY).json();
    rig.clock.advance_ms(24 * 3_600_000 - 1);
    assert_eq!(send(&rig, admin, PATH, "a", BODY).json()["id"], first["id"]);
    rig.clock.advance_ms(1);
    assert_ne!(send(&rig, admin, PATH, "a", BODY).json()["id"], first["id"]);
    assert_eq!(rig.ledger.store().controls("idempotency/").unwrap().len(), 1, "its slot serves again");
}

#[test]
fn a_key_is_rotated_once() {
    let rig = Rig::new();
    let made = send(&rig, &rig.keys.admin, PATH, "make", BODY).json();
    let path = format!("{PATH}/{}/rotate", made["id"].as_str().unwrap());
    let rotated = send(&rig, &rig.keys.admin, &path, "turn", "");
    let again = send(&rig, &rig.keys.admin, &path, "turn", "");
    assert!(!is_replayed(&rotated) && is_replayed(&again));
    assert_eq!(again.json()["prefix"], rotated.json()["prefix"]);
    let text = rotated.json()["key"].as_str().unwrap().to_owned();
    let sent = rig.call(Method::POST, "/api/v1/events", &text, crate::rig::event("a", ""));
    assert_eq!(sent.status, 200, "the first new text is still the one");
}

#[test]
fn a_refused_command_may_come_again_otherwise() {
    let rig = Rig::new();
    let admin = &rig.keys.admin;
    // Refused before it began, and refused by the ledger.
    for bad in ["{}", r#"{"name":"a","role":"member"}"#] {
        for _ in 0..2 {
            assert_eq!(send(&rig, admin, PATH, "a", bad).status, 422);
        }
    }
    assert_eq!(send(&rig, admin, PATH, "a", BODY).status, 201);
    let nowhere = format!("{PATH}/nobody/rotate");
    assert_eq!(send(&rig, admin, &nowhere, "b", "").verdict(), "404 not_found");
}

#[test]
fn an_interrupted_command_is_not_guessed_about() {
    let mut rig = Rig::new();
    let admin = rig.keys.admin.clone();
    send(&rig, &admin, PATH, "a", BODY);
    // As a process leaves it that dies before the command's end is noted.
    let document = rig.ledger.store().controls("idempotency/").unwrap().remove(0);
    let mut kept: Value = serde_json::from_str(&document.body.unwrap()).unwrap();
    kept["done"] = json!(null);
    rig.ledger.control(&document.key, Some(kept.to_string())).unwrap();
    restart(&mut rig);
    let before = keys(&rig);
    assert_eq!(send(&rig, &admin, PATH, "a", BODY).verdict(), "409 command_unknown");
    assert_eq!(keys(&rig), before);
    rig.clock.advance_ms(24 * 3_600_000);
    assert_eq!(send(&rig, &admin, PATH, "a", BODY).status, 201);
}

#[test]
fn names_that_are_none_are_refused() {
    let rig = Rig::new();
    let long = "x".repeat(256);
    for name in ["", "\"\"", "a b", "a\"b", "é", &long] {
        let answer = send(&rig, &rig.keys.admin, PATH, name, BODY);
        assert_eq!(answer.verdict(), "400 parameter_invalid", "{name}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = rig.send(request(Method::POST, PATH, &rig.keys.admin, &twice, BODY));
    assert_eq!(answer.verdict(), "400 parameter_invalid");
}

#[test]
fn whatever_is_made_is_made_once() {
    let rig = Rig::new();
    let admin = rig.keys.admin.clone();
    let cases = [
        (PATH, BODY),
        ("/api/v1/members", r#"{"name":"Ann","role":"viewer"}"#),
        ("/api/v1/rate-limits", r#"{"name":"r","requests_per_minute":5}"#),
        ("/api/v1/budgets", r#"{"name":"b","match":{"user":"ann"},"limit_usd":"5","window":"day"}"#),
    ];
    let mut budget = String::new();
    for (path, body) in cases {
        let count = || rig.get(path, &admin).json()["data"].as_array().unwrap().len();
        let before = count();
        let [first, again] = [(); 2].map(|()| send(&rig, &admin, path, "once", body));
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201), "{path}");
        assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true), "{path}");
        let id = |answer: &Answer| answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!((id(&first), count()), (id(&again), before + 1), "{path}");
        budget = id(&first);
    }
    let raise = r#"{"by_usd":"1","until":"2026-11-29T00:00:00Z","reason":"launch"}"#;
    let path = format!("/api/v1/budgets/{budget}/raise");
    let [first, again] = [(); 2].map(|()| send(&rig, &admin, &path, "once", raise));
    assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true));
    assert_eq!((&first.json()["left_usd"], first.json()), (&json!("6"), again.json()));
}
