//! Upstreams that fail and requests that may not pass: bounded, told, recorded once.

use super::running::{Running, Setup, call_id, chat};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tollbook_testkit::Answer;
use tollbook_testkit::upstream::{Script, Tokens, Upstream, canned};

const LIMITS: &str =
    "connect_timeout_s = 1\nfirst_byte_timeout_s = 1\nidle_timeout_s = 1\nstream_timeout_s = 3";

/// An upstream's fault, and what comes of it.
struct Fault {
    name: &'static str,
    is_stream: bool,
    script: Script,
    status: u16,
    /// Within these many milliseconds.
    within: std::ops::Range<u64>,
    /// What stands in the answer.
    told: &'static str,
    /// The status in the books.
    booked: &'static str,
}

fn fault(name: &'static str, script: Script, status: u16, booked: &'static str) -> Fault {
    Fault { name, is_stream: false, script, status, within: 0..1_000, told: "", booked }
}

fn of_stream(name: &'static str, script: Script, told: &'static str, booked: &'static str) -> Fault {
    Fault { name, is_stream: true, script, status: 200, within: 0..1_000, told, booked }
}

fn faults() -> Vec<Fault> {
    let stream = || canned::chat_stream("gpt-4o-mini", Tokens::of(0), true);
    let json = || canned::chat("gpt-4o-mini", Tokens::of(0));
    let words = std::iter::repeat_n("data: {\"choices\":[{\"delta\":{\"content\":\"on\"}}]}\n\n", 400);
    let refused =
        json!({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}});
    let negative = json!({"id": "chatcmpl-@@@@@@@@", "model": "gpt-4o-mini",
        "choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": -5, "completion_tokens": 3}});
    let twice = String::from_utf8(stream().plain_body()).unwrap();
    let usage = twice.split("\n\n").find(|event| event.contains("\"choices\":[]")).unwrap();
    let twice = twice.replace("data: [DONE]", &format!("{usage}\n\ndata: [DONE]"));
    vec![
        fault("reset before the head", Script::resets(), 502, "upstream_error"),
        fault("closed before the head", Script::hangs_up(), 502, "upstream_error"),
        fault("no HTTP", Script::garbage("SSH-2.0-OpenSSH_9.2\r\n"), 502, "upstream_error"),
        Fault { within: 900..2_000, ..fault("silence", Script::never(), 504, "timeout") },
        Fault {
            told: "slow down",
            ..fault("429", Script::json(&refused).status(429), 429, "upstream_error")
        },
        Fault {
            told: "slow down",
            ..fault("529", Script::json(&refused).status(529), 529, "upstream_error")
        },
        fault("cut in a short answer", json().cut_after(100), 502, "upstream_error"),
        fault("negative usage", Script::json(&negative), 200, "ok"),
        of_stream("whole", stream(), "[DONE]", "ok"),
        of_stream("usage twice", Script::sse([twice]), "[DONE]", "ok"),
        Fault {
            within: 900..2_500,
            ..of_stream(
                "a stall in a stream",
                stream().in_pieces_of(500).stall_after(900),
                "\"error\"",
                "timeout",
            )
        },
        of_stream("a reset in a stream", stream().reset_after(900), "\"error\"", "upstream_error"),
        of_stream("an early end of a stream", stream().cut_after(900), "\"error\"", "upstream_error"),
        of_stream("garbage in a stream", stream().garbage_after(900), "\"error\"", "upstream_error"),
        Fault {
            within: 2_500..5_000,
            ..of_stream(
                "a stream without an end",
                Script::sse(words).every(Duration::from_millis(50)),
                "\"error\"",
                "timeout",
            )
        },
    ]
}

#[test]
fn a_failing_upstream_is_bounded_told_and_recorded_once() {
    let mut running = Running::with(Setup::gateway(LIMITS));
    let faults = faults();
    let one = |fault: &Fault| {
        running.upstream.named(fault.name, fault.script.clone());
        let call = chat(fault.is_stream).bearer(&running.key).header("x-script", fault.name);
        let since = Instant::now();
        let answer = running.caller().call(&call).unwrap_or_else(|error| panic!("{}: {error}", fault.name));
        (answer, u64::try_from(since.elapsed().as_millis()).unwrap())
    };
    let answers: Vec<(Answer, u64)> = std::thread::scope(|scope| {
        let one = &one;
        let callers: Vec<_> = faults.iter().map(|fault| scope.spawn(move || one(fault))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    running.end();
    let books = running.books();
    let mut wrong = Vec::new();
    for (fault, (answer, took)) in faults.iter().zip(&answers) {
        let call = books.get(&call_id(answer)).unwrap_or(&Value::Null);
        let ours = (answer.status, answer.text().contains(fault.told), call["status"].as_str());
        if ours != (fault.status, true, Some(fault.booked)) || !fault.within.contains(took) {
            wrong.push(format!("{}: {ours:?} after {took} ms: {} / {call}", fault.name, answer.text()));
        }
        let has_usage = fault.is_stream && call["status"] == "ok";
        let cost = call["cost_usd"].as_str();
        if has_usage && call["usage"]["output_tokens"] != Tokens::of(0).output {
            wrong.push(format!("{}: {call}", fault.name));
        }
        // An answer that had begun was worked for: what it used is estimated. Else nothing is charged.
        let is_cut = fault.name.starts_with("cut in");
        if is_cut && call["evidence"] != "estimated" && call["evidence"] != "partial" {
            wrong.push(format!("{}: is known by {}", fault.name, call["evidence"]));
        }
        if !fault.is_stream && !is_cut && cost.is_some_and(|cost| cost != "0") {
            wrong.push(format!("{}: is charged {cost:?}", fault.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(books.len(), faults.len());
    assert_eq!(running.upstream.count(), faults.len(), "no request is sent twice");
}

#[test]
fn an_upstream_that_is_not_there_costs_nothing() {
    let mut gone = Upstream::start().unwrap();
    gone.stop();
    let mut running = Running::with(Setup { base_url: Some(gone.url()), ..Setup::gateway(LIMITS) });
    for is_stream in [false, true] {
        let since = Instant::now();
        let answer = running.call(chat(is_stream));
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(since.elapsed() < Duration::from_secs(1));
        assert!(answer.json()["error"]["message"].is_string(), "{}", answer.text());
    }
    running.end();
    for call in running.books().values() {
        assert_eq!((&call["status"], &call["cost_usd"]), (&json!("upstream_error"), &json!("0")), "{call}");
    }
    assert_eq!(running.books().len(), 2);
}

#[test]
fn a_redirect_passes_and_is_not_followed() {
    let mut running = Running::start();
    let canary = Upstream::start().unwrap();
    let script = Script::body("text/plain", "elsewhere").status(307).header("location", &canary.url());
    running.upstream.named("redirect", script);
    let answer = running.call(chat(false).header("x-script", "redirect"));
    assert_eq!((answer.status, answer.header("location")), (307, Some(canary.url().as_str())));
    let body = json!({"model": "gpt-4o-mini", "api_base": canary.url(), "messages": []});
    let mut call =
        chat(false).header("x-target-url", &canary.url()).header("helicone-target-url", &canary.url());
    call.body = body.to_string().into_bytes();
    assert_eq!(running.call(call).status, 200);
    assert_eq!((canary.count(), running.upstream.count()), (0, 2));
    running.end();
}

/// Sends these bytes; the status that comes back, if one does.
fn status_of(running: &Running, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // It may be refused before all of it is sent.
    let _ = stream.write_all(bytes);
    let mut answer = [0; 64];
    let mut filled = 0;
    while filled < 16 {
        match stream.read(&mut answer[filled..]) {
            Ok(read) if read > 0 => filled += read,
            _ => break,
        }
    }
    std::str::from_utf8(&answer[..filled]).ok()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[test]
fn what_may_not_pass_is_refused_before_anything_is_sent_or_recorded() {
    let mut running = Running::start();
    let (key, other) = (running.key.clone(), running.admin.clone());
    let post = |target: &str, headers: &str| {
        format!("POST {target} HTTP/1.1\r\nhost: tollbook\r\n{headers}content-length: 2\r\n\r\n{{}}")
    };
    let chat = "/openai/v1/chat/completions";
    let mine = format!("authorization: Bearer {key}\r\n");
    let long = format!("{mine}x-long: {}\r\n", "a".repeat(64 * 1024));
    let many = format!("{mine}{}", "x-many: a\r\n".repeat(110));
    let chunked = format!("{mine}transfer-encoding: chunked\r\n");
    let upgrade = format!(
        "GET /openai/v1/realtime?model=gpt-realtime HTTP/1.1\r\nhost: tollbook\r\n{mine}connection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let cases = [
        ("no key", post(chat, ""), 401),
        ("a key that nobody has", post(chat, "authorization: Bearer tb_nobody-has-this-key\r\n"), 401),
        ("a provider's key", post(chat, "authorization: Bearer sk-something\r\n"), 401),
        ("two different keys", post(chat, &format!("{mine}x-api-key: {other}\r\n")), 400),
        ("dots", post("/openai/v1/../admin", &mine), 404),
        ("encoded dots", post("/openai/%2e%2e/api/v1/keys", &mine), 404),
        ("another's address", post("http://127.0.0.1:9/v1/chat/completions", &mine), 404),
        ("a tunnel", "CONNECT 127.0.0.1:9 HTTP/1.1\r\nhost: tollbook\r\n\r\n".to_owned(), 405),
        ("chunks and a length", post(chat, &chunked), 400),
        ("two lengths", post(chat, &format!("{mine}content-length: 3\r\n")), 400),
        ("64 KiB of a header", post(chat, &long), 431),
        ("110 headers", post(chat, &many), 431),
        ("a websocket", upgrade, 426),
        ("no such upstream", post("/nobody/v1/chat/completions", &mine), 404),
    ];
    let found: Vec<_> = cases
        .iter()
        .filter_map(|(name, bytes, status)| {
            let found = status_of(&running, bytes.as_bytes());
            (found != Some(*status)).then(|| format!("{name}: {found:?}, not {status}"))
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(running.upstream.count(), 0);
    running.end();
    assert_eq!(running.books().len(), 0);
}
