//! Reading usage out of answers, against the least that any reader must do.

use crate::figure::{Aim, Samples, Table, nanos_each};
use crate::random::Random;
use crate::run::Run;
use std::hint::black_box;
use tollbook_usage::{End, Reader, Reading, Request, ResponseHead, estimate};

const EVENTS: usize = 201;
const STREAMS: usize = 400;
const BODIES: usize = 20_000;

/// What a typed parse of the same bytes would ask for.
#[derive(serde::Deserialize)]
struct Typed<'a> {
    id: Option<&'a str>,
    model: Option<&'a str>,
    usage: Option<TypedUsage>,
}

#[derive(serde::Deserialize)]
struct TypedUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Option<TypedInput>,
    completion_tokens_details: Option<TypedOutput>,
}

#[derive(serde::Deserialize)]
struct TypedInput {
    cached_tokens: Option<u64>,
}

#[derive(serde::Deserialize)]
struct TypedOutput {
    reasoning_tokens: Option<u64>,
}

impl Typed<'_> {
    fn sum(&self) -> u64 {
        let names = self.id.map_or(0, str::len) + self.model.map_or(0, str::len);
        let tokens = self.usage.as_ref().map_or(0, |usage| {
            let cached = usage.prompt_tokens_details.as_ref().and_then(|input| input.cached_tokens);
            let reasoning = usage.completion_tokens_details.as_ref().and_then(|out| out.reasoning_tokens);
            usage.prompt_tokens
                + usage.completion_tokens
                + usage.total_tokens
                + cached.unwrap_or(0)
                + reasoning.unwrap_or(0)
        });
        names as u64 + tokens
    }
}

/// Streams, bodies, estimates.
pub fn measure(run: &Run, table: &mut Table) -> Result<(), String> {
    streams(run, table)?;
    messages(run, table)?;
    bodies(run, table)?;
    estimates(run, table);
    Ok(())
}

fn read(request: &Request, content_type: &str, chunks: &[&[u8]], with_text: bool) -> Reading {
    let head = ResponseHead { status: 200, content_type: Some(content_type), headers: &[] };
    let mut reader = Reader::new(request, &head).collect_text(with_text);
    for chunk in chunks {
        reader.push(chunk);
    }
    reader.finish(End::Complete)
}

fn insist(reading: &Reading, input: u64, output: u64) -> Result<(), String> {
    let total = reading.usage.as_ref().map(tollbook_types::Usage::total).unwrap_or_default();
    if (total.input_tokens(), total.output_tokens()) == (input, output) {
        return Ok(());
    }
    Err(format!(
        "read {} and {} tokens, not {input} and {output}",
        total.input_tokens(),
        total.output_tokens()
    ))
}

fn streams(run: &Run, table: &mut Table) -> Result<(), String> {
    let events = chat_stream();
    let whole: Vec<u8> = events.concat();
    let chunks: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
    let request = Request::new("openai", "POST", "/v1/chat/completions", Some("gpt-4o-mini"), None);
    let kind = "text/event-stream";
    insist(&read(&request, kind, &[&whole], true), 1_250, 199)?;
    insist(&read(&request, kind, &chunks, true), 1_250, 199)?;
    let [mut by_event, mut at_once, mut no_text, mut split, mut typed] =
        std::array::from_fn(|_| Samples::default());
    for round in 0..run.rounds {
        let mut cells: [(&mut Samples, &dyn Fn()); 5] = [
            (&mut by_event, &|| drop(black_box(read(&request, kind, black_box(&chunks), true)))),
            (&mut at_once, &|| drop(black_box(read(&request, kind, &[black_box(&whole)], true)))),
            (&mut no_text, &|| drop(black_box(read(&request, kind, black_box(&chunks), false)))),
            (&mut split, &|| {
                black_box(memchr::memchr_iter(b'\n', black_box(&whole)).fold(0, |sum, at| sum ^ at));
            }),
            (&mut typed, &|| {
                black_box(typed_stream(black_box(&whole)));
            }),
        ];
        if round % 2 == 1 {
            cells.reverse();
        }
        for (samples, work) in cells {
            samples.add(nanos_each(STREAMS * EVENTS, || (0..STREAMS).for_each(|_| work())));
        }
    }
    let bytes = whole.len() / EVENTS;
    let baseline =
        format!("memchr split {}; serde_json, typed {}", split.text(1, " ns"), typed.text(0, " ns"));
    let aim = Aim::AtMost { bar: 60.0, goal: 60.0 };
    let what = |how: &str| format!("chat stream of {EVENTS} events of {bytes} bytes, {how}");
    table.add(
        &what("an event a chunk"),
        aim,
        " ns an event",
        &by_event,
        "text kept for estimates",
        &baseline,
    );
    table.add(&what("in one chunk"), aim, " ns an event", &at_once, "text kept for estimates", &baseline);
    table.add(&what("an event a chunk"), Aim::Told, " ns an event", &no_text, "no text kept", &baseline);
    Ok(())
}

fn messages(run: &Run, table: &mut Table) -> Result<(), String> {
    let events = messages_stream();
    let chunks: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
    let whole = events.concat();
    let request = Request::new("anthropic", "POST", "/v1/messages", Some("claude-sonnet-4-5"), None);
    let kind = "text/event-stream";
    insist(&read(&request, kind, &chunks, true), 2_472, 199)?;
    let (mut mine, mut split) = (Samples::default(), Samples::default());
    for _ in 0..run.rounds {
        mine.add(nanos_each(STREAMS * events.len(), || {
            (0..STREAMS).for_each(|_| drop(black_box(read(&request, kind, black_box(&chunks), true))));
        }));
        split.add(nanos_each(STREAMS * events.len(), || {
            (0..STREAMS).for_each(|_| {
                black_box(memchr::memchr_iter(b'\n', black_box(&whole)).fold(0, |sum, at| sum ^ at));
            });
        }));
    }
    let what = format!("messages stream of {} events of {} bytes", events.len(), whole.len() / events.len());
    let baseline = format!("memchr split {}", split.text(1, " ns"));
    table.add(&what, Aim::Told, " ns an event", &mine, "", &baseline);
    Ok(())
}

fn bodies(run: &Run, table: &mut Table) -> Result<(), String> {
    let body = chat_body();
    let request = Request::new("openai", "POST", "/v1/chat/completions", Some("gpt-4o-mini"), None);
    let kind = "application/json";
    insist(&read(&request, kind, &[&body], true), 1_250, 150)?;
    let [mut mine, mut no_text, mut facts, mut typed, mut value] =
        std::array::from_fn(|_| Samples::default());
    let asked = chat_request();
    for round in 0..run.rounds {
        let mut cells: [(&mut Samples, &dyn Fn()); 5] = [
            (&mut mine, &|| drop(black_box(read(&request, kind, &[black_box(&body)], true)))),
            (&mut no_text, &|| drop(black_box(read(&request, kind, &[black_box(&body)], false)))),
            (&mut facts, &|| {
                let path = "/v1/chat/completions";
                drop(black_box(Request::facts("openai", "POST", path, None, Some(black_box(&asked)))));
            }),
            (&mut typed, &|| {
                let parsed: Option<Typed<'_>> = serde_json::from_slice(black_box(&body)).ok();
                black_box(parsed.map_or(0, |parsed| parsed.sum()));
            }),
            (&mut value, &|| {
                drop(black_box(serde_json::from_slice::<serde_json::Value>(black_box(&body))));
            }),
        ];
        if round % 2 == 1 {
            cells.reverse();
        }
        for (samples, work) in cells {
            samples.add(nanos_each(BODIES, || (0..BODIES).for_each(|_| work())) / 1_000.0);
        }
    }
    let aim = Aim::AtMost { bar: 0.5, goal: 0.5 };
    let baseline =
        format!("serde_json, typed {}; serde_json::Value {}", typed.text(2, " µs"), value.text(2, " µs"));
    let what = format!("chat completion of {} bytes of JSON", body.len());
    table.add(&what, aim, " µs", &mine, "text kept for estimates", &baseline);
    table.add(&what, Aim::Told, " µs", &no_text, "no text kept", &baseline);
    let what = format!("facts of a request of {} bytes", asked.len());
    table.add(&what, Aim::Told, " µs", &facts, "", "–");
    Ok(())
}

fn estimates(run: &Run, table: &mut Table) {
    let prose = prose(200_000);
    let _ = estimate::estimate_tokens("gpt-4o", "loads the tables");
    for (size, rounds) in [(20_000, run.rounds), (200_000, run.rounds), (2_000_000, run.rounds.min(3))] {
        let text = "a".repeat(size);
        let mut samples = Samples::default();
        for _ in 0..rounds {
            samples.add(nanos_each(size, || {
                black_box(estimate::estimate_tokens("gpt-4o", black_box(&text)));
            }));
        }
        let what = format!("token estimate of {} KB of \"aaaa…\"", size / 1_000);
        table.add(&what, Aim::Told, " ns a byte", &samples, "must not grow with the size", "–");
    }
    let mut samples = Samples::default();
    for _ in 0..run.rounds {
        samples.add(nanos_each(prose.len(), || {
            black_box(estimate::estimate_tokens("gpt-4o", black_box(&prose)));
        }));
    }
    let what = format!("token estimate of {} KB of prose", prose.len() / 1_000);
    table.add(&what, Aim::Told, " ns a byte", &samples, "", "–");
}

/// Events are split, their data cut out, and each parsed.
fn typed_stream(bytes: &[u8]) -> u64 {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"data: "))
        .filter_map(|data| serde_json::from_slice::<Typed<'_>>(data).ok())
        .map(|event| event.sum())
        .fold(0, u64::wrapping_add)
}

/// A chat stream as OpenAI sends it: 199 pieces of text, the usage, the end.
fn chat_stream() -> Vec<Vec<u8>> {
    let mut random = Random::new(3);
    let event = |choices: &str, usage: &str, pad: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-CcXyZ0123456789abcdefghijklmn\",\"object\":\"chat.completion.chunk\",\
             \"created\":1763800000,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\
             \"system_fingerprint\":\"fp_0123456789\",\"choices\":[{choices}],\"usage\":{usage},\
             \"obfuscation\":\"{pad}\"}}\n\n"
        )
        .into_bytes()
    };
    let mut events: Vec<Vec<u8>> = (0..EVENTS - 2)
        .map(|_| {
            let word = random.name(" ", 5);
            let choice = format!(
                "{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}"
            );
            event(&choice, "null", "aB3")
        })
        .collect();
    events.push(event(
        "",
        "{\"prompt_tokens\":1250,\"completion_tokens\":199,\"total_tokens\":1449,\
         \"prompt_tokens_details\":{\"cached_tokens\":1024,\"audio_tokens\":0},\
         \"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\
         \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
        "",
    ));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

/// A messages stream as Anthropic sends it.
fn messages_stream() -> Vec<Vec<u8>> {
    let mut random = Random::new(4);
    let event = |name: &str, data: String| {
        format!("event: {name}\ndata: {{\"type\":\"{name}\",{data}}}\n\n").into_bytes()
    };
    let mut events = vec![
        event(
            "message_start",
            "\"message\":{\"model\":\"claude-sonnet-4-5-20250929\",\"id\":\"msg_01ABCDEFGHIJKLMNOPQRSTUV\",\
             \"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\
             \"usage\":{\"input_tokens\":472,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":2000,\
             \"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\
             \"output_tokens\":2,\"service_tier\":\"standard\"}}"
                .to_owned(),
        ),
        event("content_block_start", "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}".to_owned()),
    ];
    events.extend((0..196).map(|_| {
        let word = random.name(" ", 5);
        event(
            "content_block_delta",
            format!("\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}"),
        )
    }));
    events.push(event("content_block_stop", "\"index\":0".to_owned()));
    events.push(event(
        "message_delta",
        "\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":472,\
         \"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":2000,\"output_tokens\":199}"
            .to_owned(),
    ));
    events.push(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_vec());
    events
}

fn chat_body() -> Vec<u8> {
    format!(
        "{{\n  \"id\": \"chatcmpl-CcXyZ0123456789abcdefghijklmn\",\n  \"object\": \"chat.completion\",\n  \
         \"created\": 1763800000,\n  \"model\": \"gpt-4o-mini-2024-07-18\",\n  \"choices\": [\n    {{\n      \
         \"index\": 0,\n      \"message\": {{\n        \"role\": \"assistant\",\n        \
         \"content\": \"{}\",\n        \"refusal\": null,\n        \"annotations\": []\n      }},\n      \
         \"logprobs\": null,\n      \"finish_reason\": \"stop\"\n    }}\n  ],\n  \"usage\": {{\n    \
         \"prompt_tokens\": 1250,\n    \"completion_tokens\": 150,\n    \"total_tokens\": 1400,\n    \
         \"prompt_tokens_details\": {{\n      \"cached_tokens\": 1024,\n      \"audio_tokens\": 0\n    }},\n    \
         \"completion_tokens_details\": {{\n      \"reasoning_tokens\": 0,\n      \"audio_tokens\": 0,\n      \
         \"accepted_prediction_tokens\": 0,\n      \"rejected_prediction_tokens\": 0\n    }}\n  }},\n  \
         \"service_tier\": \"default\",\n  \"system_fingerprint\": \"fp_0123456789\"\n}}\n",
        &prose(1_000)[..120]
    )
    .into_bytes()
}

fn chat_request() -> Vec<u8> {
    format!(
        "{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"system\",\"content\":\"{}\"}},\
         {{\"role\":\"user\",\"content\":\"{}\"}}],\"max_tokens\":512,\"stream\":true,\
         \"stream_options\":{{\"include_usage\":true}}}}",
        &prose(1_000)[..300],
        &prose(1_000)[..300]
    )
    .into_bytes()
}

/// Words, ASCII only.
fn prose(bytes: usize) -> String {
    const WORDS: [&str; 16] = [
        "the",
        "ledger",
        "keeps",
        "every",
        "call",
        "and",
        "what",
        "it",
        "cost",
        "so",
        "that",
        "nobody",
        "has",
        "to",
        "guess",
        "afterwards",
    ];
    let mut random = Random::new(5);
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        text.push_str(random.pick::<&str>(&WORDS));
        text.push(' ');
    }
    text
}
