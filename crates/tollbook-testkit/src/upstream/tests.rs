//! The stand-in does what its scripts say.

use super::*;
use serde_json::json;
use std::io::{Read, Write};

/// Sends these bytes and reads until the connection ends or nothing comes for half a second.
fn exchange(upstream: &Upstream, sent: &str) -> (String, io::Result<()>) {
    let mut stream = TcpStream::connect(upstream.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let ended = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) => break Err(error),
        }
    };
    (String::from_utf8_lossy(&answer).into_owned(), ended)
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn script() -> Script {
    Script::body("text/plain", "0123456789")
}

#[test]
fn each_script_is_played_and_what_was_sent_is_kept() {
    use io::ErrorKind::{ConnectionReset, TimedOut, WouldBlock};
    let cases = [
        ("whole", script(), "\r\ncontent-length: 10\r\n\r\n0123456789", 10, true, None),
        (
            "chunks",
            script().chunked().in_pieces_of(4),
            "\r\n4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n",
            10,
            true,
            None,
        ),
        ("end", script().until_close(), "connection: close\r\n\r\n0123456789", 10, true, None),
        ("cut", script().cut_after(3), "content-length: 10\r\n\r\n012", 3, false, None),
        ("reset", script().chunked().reset_after(3), "\r\n3\r\n012\r\n", 3, false, Some(ConnectionReset)),
        ("stall", script().stall_after(9), "\r\n\r\n012345678", 9, false, Some(WouldBlock)),
        ("garbage", Script::garbage("not http"), "not http", 0, false, None),
        ("hangs up", Script::hangs_up(), "", 0, false, None),
        ("resets", Script::resets(), "", 0, false, Some(ConnectionReset)),
        ("never", Script::never(), "", 0, false, Some(WouldBlock)),
    ];
    for (name, script, answer, sent, whole, error) in cases {
        let mut upstream = Upstream::start().unwrap();
        upstream.at_path("/x", script);
        let (got, ended) = exchange(&upstream, &post("/x?y=1", "body"));
        assert!(got.ends_with(answer), "{name}: {got:?}");
        let ended = ended.err().map(|error| if error.kind() == TimedOut { WouldBlock } else { error.kind() });
        assert_eq!(ended, error, "{name}");
        upstream.stop();
        let served = upstream.served();
        assert_eq!(served.len(), 1, "{name}");
        assert_eq!(
            (served[0].target.as_str(), served[0].body.as_slice()),
            ("/x?y=1", &b"body"[..]),
            "{name}"
        );
        // A stalled answer may still be waiting when its connection is closed.
        let wait = Instant::now();
        while upstream.served()[0].sent_bytes != sent && wait.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!((upstream.served()[0].sent_bytes, upstream.served()[0].whole), (sent, whole), "{name}");
    }
}

#[test]
fn the_queue_is_before_the_name_and_the_path_and_the_canned_answer() {
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/v1/chat/completions", Script::body("text/plain", "path"));
    upstream.named("other", Script::body("text/plain", "name"));
    upstream.queue(Script::body("text/plain", "queue"));
    let named = post("/v1/chat/completions", "{}").replace("host:", "x-script: other\r\nhost:");
    for (sent, ending) in [
        (&named, "queue"),
        (&named, "name"),
        (&post("/v1/chat/completions", "{}"), "path"),
        (&post("/openai/chat/completions", "{\"model\":\"m\"}"), "\"model\":\"m\""),
        (&post("/v1/unknown", ""), "no such path"),
    ] {
        let (answer, ended) = exchange(&upstream, sent);
        assert!(ended.is_ok() && answer.contains(ending), "{ending}: {answer}");
    }
    assert_eq!((upstream.count(), upstream.connections()), (5, 5));
    assert_eq!(upstream.served()[3].tokens, Some(Tokens::of(3)));
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/", Script::json(&json!({"id": "answer-@@@@@@@@"})));
    let one = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let (answer, _) = exchange(&upstream, &one.repeat(2));
    assert!(answer.contains("answer-00000000") && answer.contains("answer-00000001"), "{answer}");
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.served()[1].body, b"{}");
}

#[test]
fn a_gate_and_a_freeze_hold_answers_back_until_they_end() {
    let upstream = Upstream::start().unwrap();
    let gate = Gate::new();
    upstream.at_path("/gate", script().behind(&gate));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| exchange(&upstream, &post("/gate", "")).0);
        assert!(upstream.wait_for(1, Duration::from_secs(5)));
        gate.open();
        assert!(held.join().unwrap().ends_with("0123456789"));
        upstream.freeze();
        let frozen = scope.spawn(|| exchange(&upstream, &post("/gate", "")).0);
        assert_eq!(frozen.join().unwrap(), "");
        upstream.thaw();
    });
}

#[test]
fn once_stopped_connections_are_refused() {
    let mut upstream = Upstream::start().unwrap();
    let address = upstream.address();
    upstream.stop();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_caller_reads_every_framing_and_keeps_its_connection() {
    use crate::{Call, Caller};
    let upstream = Upstream::start().unwrap();
    let mut caller = Caller::new(upstream.address());
    let call = Call::post("/x", &json!({"n": 1})).header("x-script", "it");
    for (script, whole) in [
        (script(), true),
        (script().chunked().in_pieces_of(3), true),
        (script().until_close(), true),
        (script().cut_after(4), false),
    ] {
        upstream.named("it", script);
        let answer = caller.call(&call).unwrap();
        assert_eq!(answer.whole, whole);
        assert_eq!(answer.text(), if whole { "0123456789" } else { "0123" });
    }
    // One for each that ended its connection, one before them.
    assert_eq!(upstream.connections(), 2);
    assert_eq!(caller.quit_after(&call, 2).unwrap().text(), "01");
}
