//! The socket: what each caller hears, what comes back after a pause, and when it ends.

use crate::matrix::Row;
use crate::rig::{Listening, Rig, bound, event};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tollbook_ledger::{By, Scope};
use tollbook_pricing::Book;
use tollbook_testkit::{Heard, Socket};
use tollbook_types::Role;

/// Who may use its routes. Without an upgrade it is refused last.
pub const ROWS: &[Row] = &[("GET", "/api/v1/live", [401, 400, 400, 403, 403, 400])];

fn open(server: &Listening, query: &str, key: &str) -> Socket {
    let key = format!("Bearer {key}");
    Socket::open(server.address, &format!("/api/v1/live{query}"), &[("authorization", &key)])
        .unwrap()
        .unwrap()
}

/// The ids of the next calls that are told, up to this one.
fn ids_until(socket: &mut Socket, last: &str) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.last().is_none_or(|id| id != last) {
        ids.push(socket.next("call").unwrap()["call"]["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[test]
fn a_call_is_told_as_it_is_listed_and_today_is_summed() {
    let rig = Rig::new();
    let server = rig.listen();
    let mut socket = open(&server, "", &rig.keys.viewer);
    let first = socket.next("totals").unwrap();
    assert_eq!((&first["total"]["calls"], &first["tz"]), (&json!(0), &json!("UTC")));
    assert_eq!(
        (&first["from"], &first["to"]),
        (&json!("2026-11-22T00:00:00Z"), &json!("2026-11-23T00:00:00Z"))
    );
    rig.ingest(event("a", r#","user":"ann""#));
    let told = socket.next("call").unwrap();
    let listed = &rig.get("/api/v1/calls", &rig.keys.viewer).json()["data"][0];
    assert_eq!((&told["change"], &told["call"]), (&json!("recorded"), listed));
    let totals = socket.next("totals").unwrap();
    assert_eq!(totals["total"], rig.get("/api/v1/usage?from=2026-11-22", &rig.keys.viewer).json()["total"]);
    assert_eq!((&totals["total"]["calls"], &totals["seq"]), (&json!(1), &told["seq"]));
    // The next day begins at 0, without a call.
    rig.clock.set("2026-11-23T00:00:01Z".parse().unwrap());
    let next_day = socket.next("totals").unwrap();
    assert_eq!((&next_day["total"]["calls"], &next_day["from"]), (&json!(0), &json!("2026-11-23T00:00:00Z")));
}

#[test]
fn everybody_hears_what_they_may_see_and_asked_for() {
    let rig = Rig::new();
    let server = rig.listen();
    let of_app = rig.key(&[Role::Viewer], bound(|binding| binding.project = Some("app".into())));
    let cases: &[(&str, &str, &[&str])] = &[
        ("", &rig.keys.admin, &["a", "b", "c", "d", "end"]),
        ("", &rig.keys.viewer, &["a", "b", "c", "d", "end"]),
        ("", &rig.keys.member, &["a", "c", "end"]),
        ("?user=bob&user=ann", &rig.keys.member, &["a", "c", "end"]),
        ("", &of_app, &["c", "d", "end"]),
        ("?user=bob&project=", &rig.keys.viewer, &["b"]),
        ("?user!=bob", &rig.keys.viewer, &["a", "c", "end"]),
        ("?tag.n=2&tag.n=4&model=gpt-x", &rig.keys.viewer, &["c", "end"]),
    ];
    let mut sockets: Vec<Socket> = cases.iter().map(|(query, key, _)| open(&server, query, key)).collect();
    for (id, more) in [
        ("a", r#","user":"ann""#),
        ("b", r#","user":"bob""#),
        ("c", r#","user":"ann","project":"app","tags":{"n":"2"}"#),
        ("d", r#","user":"bob","project":"app","tags":{"n":"3"}"#),
        ("end", r#","user":"ann","project":"app","tags":{"n":"4"}"#),
    ] {
        assert_eq!(rig.ingest(event(id, more)).status, 200);
    }
    for ((query, _, wanted), socket) in cases.iter().zip(&mut sockets) {
        assert_eq!(ids_until(socket, wanted[wanted.len() - 1]), *wanted, "{query}");
        // The sums are those of the same calls.
        let count = wanted.len();
        while socket.next("totals").unwrap()["total"]["calls"] != count {}
    }
}

#[test]
fn a_correction_is_told_with_the_call_as_it_is_now() {
    let rig = Rig::new();
    let server = rig.listen();
    rig.ingest(event("a", ""));
    let mut socket = open(&server, "", &rig.keys.viewer);
    while socket.next("totals").unwrap()["total"]["cost_usd"] != "0.0012" {}
    let dearer = "provider = \"openai\"\nsource = \"a test\"\nchecked = \"2026-11-01\"\n\
        [[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"10\"\noutput = \"20\"\n";
    let dearer = Book::load(&[("openai.toml", dearer)]).unwrap();
    let run = rig.ledger.rerate(&By::local(), dearer.into(), Scope::default()).unwrap();
    assert_eq!(run.changes.unwrap().calls, 1);
    let told = socket.next("call").unwrap();
    assert_eq!((&told["change"], &told["call"]["id"]), (&json!("corrected"), &json!("a")));
    assert_eq!(
        (&told["call"]["cost_usd"], &told["call"]["billed_cost_usd"]),
        (&json!("0.012"), &json!("0.0012"))
    );
    assert_eq!(socket.next("totals").unwrap()["total"]["cost_usd"], "0.012");
}

#[test]
fn who_comes_back_hears_what_was_missed_once_and_in_order() {
    let rig = Rig::new();
    let server = rig.listen();
    let mut socket = open(&server, "", &rig.keys.viewer);
    rig.ingest(event("a", ""));
    rig.ingest(event("b", ""));
    let after = socket.next("call").unwrap()["seq"].as_u64().unwrap();
    drop(socket);
    let many: Vec<String> = (0..450).map(|n| event(&format!("m{n}"), "")).collect();
    assert_eq!(rig.ingest(format!("[{}]", many.join(","))).status, 200);
    let mut socket = open(&server, &format!("?after={after}"), &rig.keys.viewer);
    rig.ingest(event("new", ""));
    let ids = ids_until(&mut socket, "new");
    let wanted =
        ["b".to_owned()].into_iter().chain((0..450).map(|n| format!("m{n}"))).chain(["new".to_owned()]);
    assert_eq!(ids, wanted.collect::<Vec<_>>());
}

#[test]
fn who_reads_too_slowly_is_told_how_much_is_missing() {
    let rig = Rig::new();
    let server = rig.listen();
    let mut socket = open(&server, "?user=ann", &rig.keys.viewer);
    // Far more than the connection's buffers and the queue hold.
    let (batches, batch) = (16_usize, 500_usize);
    let more = format!(r#","user":"ann","metadata":{{"note":"{}"}}"#, "x".repeat(4_000));
    for n in 0..batches {
        let events: Vec<String> = (0..batch).map(|m| event(&format!("{n}-{m}"), &more)).collect();
        assert_eq!(rig.ingest(format!("[{}]", events.join(","))).status, 200);
    }
    let (mut seen, mut missed, mut last) = (BTreeSet::new(), 0, 0);
    while (seen.len() as u64) + missed < (batches * batch) as u64 {
        match socket.hear().unwrap() {
            Heard::Message(message) if message["type"] == "call" => {
                let seq = message["seq"].as_u64().unwrap();
                assert!(seq > last && seen.insert(seq), "{seq} after {last}");
                last = seq;
            }
            Heard::Message(message) if message["type"] == "gap" => {
                let position = |name: &str| message[name].as_u64().unwrap();
                assert!(position("after") >= last && position("through") > position("after"), "{message}");
                (missed, last) = (missed + position("calls"), position("through"));
            }
            Heard::Message(_) => {}
            Heard::Closed(code) => panic!("closed with {code:?}"),
        }
    }
    assert!(missed > 0, "nothing was missed: the case is too small");
    assert!(seen.len() > 1_000, "{}", seen.len());
}

#[test]
fn a_key_that_is_revoked_ends_its_sockets() {
    let rig = Rig::new();
    let server = rig.listen();
    let text = rig.key(&[Role::Viewer], bound(|_| ()));
    let key = rig.ledger.keys().find(&text, rig.now()).unwrap();
    let (mut ends, mut stays) = (open(&server, "", &text), open(&server, "", &rig.keys.viewer));
    ends.next("totals").unwrap();
    rig.ledger.revoke_key(&By::local(), &key.id).unwrap();
    let closed = loop {
        match ends.hear().unwrap() {
            Heard::Closed(code) => break code,
            Heard::Message(_) => {}
        }
    };
    assert_eq!(closed, Some(1008));
    rig.ingest(event("a", ""));
    stays.say("what is said to it is passed over").unwrap();
    assert_eq!(stays.next("call").unwrap()["call"]["id"], "a");
}

#[test]
fn a_browser_gives_its_key_as_a_subprotocol() {
    let rig = Rig::new();
    let server = rig.listen();
    let offered = format!("tollbook, tollbook.key.{}", rig.keys.viewer);
    let headers = [("sec-websocket-protocol", offered.as_str())];
    let socket = Socket::open(server.address, "/api/v1/live", &headers).unwrap().unwrap();
    assert_eq!(socket.protocol.as_deref(), Some("tollbook"));
}

#[test]
fn what_cannot_be_opened_is_a_problem() {
    let rig = Rig::new();
    let server = rig.listen();
    let cases: &[(&str, &str, &str)] = &[
        ("", "", "401 key_missing"),
        ("", "tb_nobody", "401 invalid_key"),
        ("", &rig.keys.ingest, "403 forbidden"),
        ("?nonsense=1", &rig.keys.viewer, "400 parameter_invalid"),
        ("?after=x", &rig.keys.viewer, "400 parameter_invalid"),
        ("?after=1000000", &rig.keys.viewer, "400 parameter_invalid"),
        ("?tz=Mars/Phobos", &rig.keys.viewer, "400 parameter_invalid"),
    ];
    for (query, key, wanted) in cases {
        let offered = format!("tollbook, tollbook.key.{key}");
        let mut headers = vec![("sec-websocket-protocol", offered.as_str())];
        headers.retain(|_| !key.is_empty());
        let refused = Socket::open(server.address, &format!("/api/v1/live{query}"), &headers).unwrap();
        let (status, body) = refused.err().unwrap();
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{query}: {body}"));
        assert_eq!(format!("{status} {}", body["code"].as_str().unwrap()), *wanted, "{query}");
        assert!(!body.to_string().contains("tb_nobody"));
    }
    let plain = rig.get("/api/v1/live", &rig.keys.viewer);
    assert_eq!(plain.verdict(), "400 websocket_expected");
    // One key has so many sockets and no more; closed ones make room.
    let sockets: Vec<Socket> = (0..32).map(|_| open(&server, "", &rig.keys.viewer)).collect();
    let key = format!("Bearer {}", rig.keys.viewer);
    let again = || Socket::open(server.address, "/api/v1/live", &[("authorization", &key)]).unwrap();
    assert_eq!(again().err().unwrap().0, 503);
    open(&server, "", &rig.keys.admin).next("totals").unwrap();
    drop(sockets);
    let since = std::time::Instant::now();
    while again().is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "closed sockets still count");
        std::thread::sleep(Duration::from_millis(20));
    }
}
