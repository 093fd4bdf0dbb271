//! Clients that say nothing, or little at a time, lose their connection; the others notice nothing.

use super::is_soak;
use super::running::{Running, chat};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tollbook_testkit::Call;
use tollbook_testkit::upstream::Script;

/// Sends a start, then a byte a second; how long the connection stays.
fn drip(running: &Running, start: &[u8], byte: Option<&[u8]>, limit: Duration) -> Option<Duration> {
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(start).unwrap();
    let since = Instant::now();
    let mut answer = [0; 512];
    while since.elapsed() < limit {
        match stream.read(&mut answer) {
            Ok(0) => return Some(since.elapsed()),
            // A refusal is an end as well: 408 and the like.
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Some(since.elapsed());
            }
            Err(_) => {}
        }
        let gone = byte.is_some_and(|byte| stream.write_all(byte).is_err());
        if gone {
            return Some(since.elapsed());
        }
    }
    None
}

/// What a client does, what it sends first, what it sends then, and when it must be gone.
type Case<'a> = (&'a str, Vec<u8>, Option<&'a [u8]>, Duration);

#[test]
fn soak_silent_and_slow_clients_lose_their_connections_and_disturb_nobody() {
    let running = Running::start();
    let head = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n",
        running.key
    );
    let body = format!("{head}content-length: 1000\r\n\r\n{{");
    let seconds = Duration::from_secs;
    let mut cases: Vec<Case<'_>> = vec![
        ("says nothing", Vec::new(), None, seconds(13)),
        ("drips a head", b"POST /openai/v1/chat".to_vec(), Some(b"a"), seconds(13)),
        ("drips headers", head.clone().into_bytes(), Some(b"x"), seconds(13)),
    ];
    if is_soak() {
        cases.push(("stops in a body", body.into_bytes(), None, seconds(35)));
    }
    let running = &running;
    std::thread::scope(|scope| {
        let dripping: Vec<_> = cases
            .iter()
            .flat_map(|case| std::iter::repeat_n(case, 20))
            .map(|(name, start, byte, limit)| {
                scope.spawn(move || (name, drip(running, start, *byte, *limit)))
            })
            .collect();
        let mut caller = running.caller();
        let good = chat(false).bearer(&running.key);
        let mut slowest = Duration::ZERO;
        while dripping.iter().any(|client| !client.is_finished()) {
            let since = Instant::now();
            assert_eq!(caller.call(&good).unwrap().status, 200);
            slowest = slowest.max(since.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("slowest good call {slowest:?}");
        for client in dripping {
            let (name, stayed) = client.join().unwrap();
            assert!(stayed.is_some(), "who {name} keeps the connection");
        }
    });
}

#[test]
fn soak_a_client_that_reads_nothing_is_cut_and_its_call_recorded() {
    if !is_soak() {
        return;
    }
    let mut running = Running::start();
    let events = std::iter::repeat_n(
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "word ".repeat(200)),
        40_000,
    );
    running.upstream.named("long", Script::sse(events));
    let (connection, _) =
        running.caller().begin(&chat(true).bearer(&running.key).header("x-script", "long")).unwrap();
    // While its client still holds the connection, the call has ended and is in the books.
    let since = Instant::now();
    let calls = loop {
        let page = running.place.json(&["calls", "--all"]);
        let calls = page["data"].as_array().unwrap().clone();
        if !calls.is_empty() {
            break calls;
        }
        assert!(since.elapsed() < Duration::from_secs(45), "it keeps its call");
        std::thread::sleep(Duration::from_millis(500));
    };
    assert_eq!((calls.len(), &calls[0]["status"]), (1, &"client_closed".into()), "{calls:?}");
    drop(connection);
    running.end();
    assert_eq!(running.books().len(), 1);
}

#[test]
fn who_sends_all_before_reading_gets_its_refusal() {
    let running = Running::start();
    let body = vec![b' '; 20 * 1024 * 1024];
    let post = |target: &str, key: &str| {
        let call = Call { body: body.clone(), ..Call::post(target, &serde_json::Value::Null) };
        call.bearer(key)
    };
    let chunked = |target: &str| {
        let mut call = post(target, "tb_unknown").header("transfer-encoding", "chunked");
        call.body = [b"1400000\r\n".as_slice(), &body, b"\r\n0\r\n\r\n"].concat();
        call
    };
    let cases = [
        ("ingest, too large", post("/api/v1/events", &running.key), 413),
        ("ingest, no key", post("/api/v1/events", "tb_unknown"), 401),
        ("ingest, no such route", post("/api/v1/nothing", &running.key), 404),
        ("gateway, no key", post("/openai/v1/chat/completions", "tb_unknown"), 401),
        ("gateway, no key, in chunks", chunked("/openai/v1/chat/completions"), 401),
    ];
    for (name, call, status) in cases {
        for _ in 0..5 {
            let answer = running.caller().call(&call);
            assert_eq!(answer.map(|answer| answer.status).ok(), Some(status), "{name}");
        }
    }
}
