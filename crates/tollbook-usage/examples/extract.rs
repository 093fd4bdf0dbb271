//! Times the reading of one JSON answer and of one stream of events, with a typed parse of the
//! same bytes beside it, in rounds that take turns.
//!
//! `cargo run --release -p tollbook-usage --example extract [rounds]`, or with `body` or `stream`
//! for one reading only, as a profiler wants it.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::hint::black_box;
use std::time::Instant;
use tollbook_usage::{End, Reader, Reading, Request, ResponseHead};

const EVENTS: usize = 201;
/// Readings of one round: shorter than a turn of the scheduler.
const BODIES: u32 = 200;
const STREAMS: u32 = 20;

#[derive(serde::Deserialize)]
struct Typed {
    usage: Option<TypedUsage>,
}

#[derive(serde::Deserialize)]
struct TypedUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<TypedInput>,
}

#[derive(serde::Deserialize)]
struct TypedInput {
    cached_tokens: Option<u64>,
}

fn typed(bytes: &[u8]) -> u64 {
    let usage = serde_json::from_slice::<Typed>(bytes).ok().and_then(|answer| answer.usage);
    usage.map_or(0, |usage| {
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        usage.prompt_tokens + usage.completion_tokens + cached.unwrap_or(0)
    })
}

fn read<'a>(request: &Request, kind: &str, chunks: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let head = ResponseHead { status: 200, content_type: Some(kind), headers: &[] };
    let mut reader = Reader::new(request, &head);
    for chunk in chunks {
        reader.push(chunk);
    }
    reader.finish(End::Complete)
}

const USAGE: &str = "{\"prompt_tokens\": 1250, \"completion_tokens\": 150, \"total_tokens\": 1400, \
    \"prompt_tokens_details\": {\"cached_tokens\": 1024, \"audio_tokens\": 0}, \
    \"completion_tokens_details\": {\"reasoning_tokens\": 0, \"audio_tokens\": 0, \
    \"accepted_prediction_tokens\": 0, \"rejected_prediction_tokens\": 0}}";

/// An answer as OpenAI indents it.
fn body() -> Vec<u8> {
    let usage = USAGE.replace(", ", ",\n    ").replace('{', "{\n      ").replace('}', "\n    }");
    let text = "the ledger keeps every call and what it cost so that nobody has to guess ".repeat(2);
    format!(
        "{{\n  \"id\": \"chatcmpl-CcXyZ0123456789abcdefghijklmn\",\n  \"object\": \"chat.completion\",\n  \
         \"created\": 1763800000,\n  \"model\": \"gpt-4o-mini-2024-07-18\",\n  \"choices\": [\n    {{\n      \
         \"index\": 0,\n      \"message\": {{\n        \"role\": \"assistant\",\n        \
         \"content\": \"{text}\",\n        \"refusal\": null,\n        \"annotations\": []\n      }},\n      \
         \"logprobs\": null,\n      \"finish_reason\": \"stop\"\n    }}\n  ],\n  \"usage\": {usage},\n  \
         \"service_tier\": \"default\",\n  \"system_fingerprint\": \"fp_0123456789\"\n}}\n"
    )
    .into_bytes()
}

fn event(choices: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-CcXyZ0123456789abcdefghijklmn\",\"object\":\"chat.completion.chunk\",\
         \"created\":1763800000,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\
         \"system_fingerprint\":\"fp_0123456789\",\"choices\":[{choices}],\"usage\":{usage},\
         \"obfuscation\":\"aB3\"}}\n\n"
    )
}

/// A stream of pieces of text, the usage, and the end.
fn stream() -> Vec<Vec<u8>> {
    let piece = "{\"index\":0,\"delta\":{\"content\":\" call\"},\"logprobs\":null,\"finish_reason\":null}";
    let mut events = vec![event(piece, "null"); EVENTS - 2];
    events.push(event("", &USAGE.replace(' ', "")));
    events.push("data: [DONE]\n\n".to_owned());
    events.into_iter().map(String::into_bytes).collect()
}

/// Nanoseconds of one run of the work, out of `times`.
fn nanos(times: u32, mut work: impl FnMut()) -> u128 {
    let start = Instant::now();
    (0..times).for_each(|_| work());
    start.elapsed().as_nanos() / u128::from(times)
}

fn tell(what: &str, each: u128, samples: &mut [u128]) {
    samples.sort_unstable();
    let (least, middle) = (samples[0] / each, samples[samples.len() / 2] / each);
    println!("{what:<44} {least:>6} ns least {middle:>6} ns median");
}

fn main() {
    let request = Request::new("openai", "POST", "/v1/chat/completions", Some("gpt-4o-mini"), None);
    let (body, events) = (body(), stream());
    let whole = events.concat();
    let json = || drop(black_box(read(&request, "application/json", [black_box(&body[..])])));
    let chunks = || events.iter().map(Vec::as_slice);
    let sse = || drop(black_box(read(&request, "text/event-stream", black_box(chunks()))));
    let at_once = || drop(black_box(read(&request, "text/event-stream", [black_box(&whole[..])])));
    let asked = std::env::args().nth(1).unwrap_or_default();
    match asked.as_str() {
        "body" => return (0..1_000).for_each(|_| json()),
        "stream" => return (0..100).for_each(|_| sse()),
        _ => {}
    }
    let rounds = asked.parse().unwrap_or(101);
    let mut samples: [Vec<u128>; 5] = std::array::from_fn(|_| Vec::new());
    for _ in 0..rounds {
        samples[0].push(nanos(BODIES, json));
        samples[1].push(nanos(BODIES, || {
            black_box(typed(black_box(&body)));
        }));
        samples[2].push(nanos(STREAMS, sse));
        samples[3].push(nanos(STREAMS, at_once));
        samples[4].push(nanos(STREAMS, || {
            let datas = black_box(chunks()).filter_map(|chunk| chunk.strip_prefix(b"data: "));
            black_box(datas.fold(0, |sum, data| sum ^ typed(data)));
        }));
    }
    println!("a body of {} bytes, a stream of {EVENTS} events of {} bytes", body.len(), whole.len() / EVENTS);
    let [body, typed_body, by_event, at_once, typed_events] = &mut samples;
    tell("body: a reading", 1, body);
    tell("body: serde_json, typed usage", 1, typed_body);
    tell("event of a stream, a chunk each: a reading", EVENTS as u128, by_event);
    tell("event of a stream, in one chunk: a reading", EVENTS as u128, at_once);
    tell("event of a stream: serde_json, typed usage", EVENTS as u128, typed_events);
}
