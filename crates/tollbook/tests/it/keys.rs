//! `tollbook key …`, on books that nobody serves and beside a server.

use crate::program::Place;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

#[test]
fn a_key_is_made_listed_given_another_text_and_ended() {
    let place = Place::new();
    let made = place.json(&[
        "key",
        "create",
        "ci",
        "--role",
        "ingest",
        "--project",
        "web",
        "--tag",
        "team=ops",
        "--expires",
        "2126-01-01T00:00:00Z",
    ]);
    let (id, text) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(text.starts_with("tb_") && text.len() == 55);
    let plain = place.run(&["key", "create", "plain"]).ok();
    assert!(plain.out.starts_with("tb_") && plain.out.trim_end().len() == 55, "{}", plain.out);
    assert!(plain.err.contains("gateway+ingest"));

    let keys = place.json(&["key", "list"]);
    let listed = &keys["data"][0];
    assert_eq!((&listed["name"], &listed["role"]), (&"ci".into(), &"ingest".into()));
    assert_eq!((&listed["project"], &listed["tags"]["team"]), (&"web".into(), &"ops".into()));
    assert!(listed.get("key").is_none() && listed.get("hash").is_none());
    let table = place.run(&["key", "list"]).ok();
    assert!(table.out.contains(id) && !table.out.contains(text));

    let rotated = place.run(&["key", "rotate", id]).ok();
    assert_ne!(rotated.out.trim_end(), text);
    place.run(&["key", "revoke", id]).ok();
    assert!(place.json(&["key", "list"])["data"][0]["revoked_at"].is_string());
    assert!(place.run(&["key", "rotate", id]).code(1).err.contains("no such key"));
    place.run(&["verify"]).ok();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["key", "create", "a", "--role", "root"], 2, "a role is one of admin, member"),
        (&["key", "create", "a", "--role", "member"], 1, "names its user"),
        (&["key", "create", ""], 1, "1 to 256 bytes"),
        (&["key", "create", "a", "--tag", "team"], 2, "is no tag"),
        (&["key", "create", "a", "--expires", "soon"], 2, "--expires"),
        (&["key", "revoke", "key_none"], 1, "no such key"),
        (&["key", "revoke", "../events"], 2, "an id looks like"),
    ];
    for (args, code, words) in cases {
        let ran = place.run(args).code(*code);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    }
    assert_eq!(place.json(&["key", "list"])["data"].as_array().map(Vec::len), Some(0));
}

/// A server of this place, and where it listens.
fn serve(place: &Place) -> (Child, String) {
    let mut server = place
        .process(&["serve", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    (server, told["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned())
}

/// The status of a GET with a key.
fn status(address: &str, path: &str, key: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer[9..12].parse().unwrap()
}

#[test]
fn beside_a_server_keys_hold_at_once_and_without_it_the_books_are_opened() {
    let place = Place::new();
    let (mut server, address) = serve(&place);
    let made = place.json(&["key", "create", "reader", "--role", "viewer", "--user", "ann"]);
    let (id, text) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(made["user"], "ann");
    assert_eq!(status(&address, "/api/v1/calls", text), 200);
    let rotated = place.run(&["key", "rotate", id]).ok().out;
    assert_eq!(status(&address, "/api/v1/calls", text), 401);
    assert_eq!(status(&address, "/api/v1/calls", rotated.trim_end()), 200);
    place.run(&["key", "revoke", id]).ok();
    assert_eq!(status(&address, "/api/v1/calls", rotated.trim_end()), 401);
    assert_eq!(
        place.json(&["key", "list"])["data"].as_array().map(Vec::len),
        Some(3),
        "two were made at the start"
    );
    let refused = place.run(&["key", "create", "m", "--role", "member"]).code(1);
    assert!(refused.err.contains("names its user"), "{}", refused.err);
    assert!(place.run(&["key", "revoke", "key_none"]).code(1).err.contains("no such key"));

    // Killed, it leaves its announcement behind, which is of no use and does no harm.
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(place.path().join("tollbook-data/server.json").exists());
    let keys = place.json(&["key", "list"]);
    assert!(
        keys["data"].as_array().unwrap().iter().any(|key| key["id"] == id && key["revoked_at"].is_string())
    );
}
