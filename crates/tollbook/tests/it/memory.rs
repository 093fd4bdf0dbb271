//! What strangers send takes no more memory of the real server than a refusal may.

use crate::gateway::running::Running;
use serde_json::json;
use std::fs;
use tollbook_testkit::Call;
use tollbook_testkit::upstream::{Coding, encoded};

const MIB: u64 = 1024 * 1024;
/// How much more may be resident at any moment of a request that is refused.
const GROWTH_MAX: u64 = 8 * MIB;
const PATH: &str = "/api/v1/events";
/// What a request may have in its body, and one byte more.
const TOO_LONG: usize = 4 * 1024 * 1024 + 1;

/// A field of the server's memory, in bytes.
fn memory(running: &Running, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// By how much what is resident grew at most while this was answered.
fn growth(running: &Running, call: Call, status: u16) -> u64 {
    // 5 sets the peak to what is resident now (proc_pid_clear_refs(5)).
    fs::write(format!("/proc/{}/clear_refs", running.pid()), "5").unwrap();
    let before = memory(running, "VmRSS");
    let answer = running.call(call);
    assert_eq!(answer.status, status, "{}", answer.text());
    memory(running, "VmHWM").saturating_sub(before)
}

#[test]
fn what_is_refused_takes_little_memory() {
    let running = Running::start();
    let post = |body: Vec<u8>| Call { body, ..Call::post(PATH, &json!({})) };
    let bomb = |name: &str, coding| {
        post(encoded(coding, &vec![b' '; 64 * TOO_LONG]).unwrap()).header("content-encoding", name)
    };
    let event = |nth: usize| format!(r#"{{"id":"e{nth}","provider":"openai","model":"gpt-5-mini"}}"#);
    let text = |start: &str, part: &str, end: &str| {
        let parts = (TOO_LONG - 1 - start.len() - end.len()) / part.len();
        [start, &part.repeat(parts), end].concat().into_bytes()
    };
    // Threads, price book and buffers are there once something was answered.
    for nth in 0..20 {
        growth(&running, post(format!("[{}]", event(nth)).into_bytes()), 200);
        growth(&running, post(b"{".to_vec()), 400);
    }
    let cases: [(&str, Call, u16); 12] = [
        ("a byte too much", post(vec![b' '; TOO_LONG]), 413),
        ("five times too much", post(vec![b' '; 5 * TOO_LONG]), 413),
        ("a gzip bomb", bomb("gzip", Coding::Gzip), 413),
        ("a zstd bomb", bomb("zstd", Coding::Zstd), 413),
        ("an array in an array, and so on", post(text("", "[", "")), 400),
        ("an object in an object, and so on", post(text("", r#"{"a":"#, "")), 400),
        ("items that are no events", post(text("[", "1,", "1]")), 413),
        ("empty objects", post(text("[", "{},", "{}]")), 413),
        ("many members", post(text(r#"{"id":"a""#, r#","a":1"#, "}")), 400),
        ("a long string", post(text(r#"{"id":""#, "x", r#""}"#)), 422),
        ("a string of escapes", post(text(r#"{"id":""#, r"\u0041", r#""}"#)), 422),
        (
            "lines that are no events",
            {
                let mut call = post(text("", "{}\n", ""));
                call.headers = vec![("content-type".to_owned(), "application/x-ndjson".to_owned())];
                call
            },
            413,
        ),
    ];
    let mut beyond = Vec::new();
    for (name, call, status) in cases {
        let grown = growth(&running, call, status);
        println!("{name}: {} KiB", grown / 1024);
        if grown > GROWTH_MAX {
            beyond.push(format!("{name}: {} KiB", grown / 1024));
        }
    }
    assert!(beyond.is_empty(), "{beyond:?}");
}
