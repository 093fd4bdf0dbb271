//! Bad input: it is flagged, held in bounded memory, and never a panic.

use crate::support::Answer;
use proptest::prelude::*;
use tollbook_types::limits::{CAPTURE_BYTES_MAX, RAW_USAGE_BYTES_MAX};
use tollbook_types::{Evidence, Meter};
use tollbook_usage::{End, Reading, Request};

fn chat(body: &str) -> Reading {
    Answer::json("openai", "/v1/chat/completions", body).read()
}

#[test]
fn figures_that_cannot_be_are_named() {
    let cases = [
        ("-5", "negative"),
        ("1.5", "not a whole number"),
        ("1e3", "not a whole number"),
        ("NaN", "not a number"),
        ("Infinity", "not a number"),
        ("\"12\"", "not a number"),
        ("99999999999999999999999", "too large"),
        ("9999999999999999", "too large"),
        ("true", "not a number"),
        ("{}", "not a number"),
        ("[1]", "not a number"),
    ];
    for (figure, why) in cases {
        let reading = chat(&format!("{{\"usage\":{{\"prompt_tokens\":{figure},\"completion_tokens\":3}}}}"));
        assert!(reading.inconsistent, "{figure}");
        let flag = format!("usage_damaged: prompt_tokens is {why}");
        assert!(reading.flags.contains(&flag), "{figure}: {:?}", reading.flags);
        assert_eq!(reading.usage.unwrap().total().get(Meter::Input), None, "{figure}");
    }
    let reading = chat(r#"{"usage":{"prompt_tokens":12.0,"completion_tokens":-0}}"#);
    assert_eq!(reading.usage.unwrap().total().input_tokens(), 12);
    assert!(!reading.inconsistent);
}

#[test]
fn duplicates_and_damage_are_flagged() {
    let reading = chat(r#"{"usage":{"prompt_tokens":1,"prompt_tokens":900,"completion_tokens":3}}"#);
    assert!(reading.inconsistent);
    assert_eq!(reading.flags, ["usage_damaged: prompt_tokens stands twice"]);
    let reading = chat(
        r#"{"usage":{"prompt_tokens":1,"completion_tokens":3},"usage":{"prompt_tokens":9,"completion_tokens":3}}"#,
    );
    assert_eq!(reading.flags, ["usage_damaged: usage stands twice"]);
    assert!(reading.inconsistent);
    let reading = chat(r#"{"usage":{"prompt_tokens":1,}}"#);
    assert!(reading.inconsistent && reading.usage.is_none(), "{reading:?}");
    let reading = chat(r#"{"id":"c","usage":{"prompt_tokens":1,"completion_tokens":2}"#);
    assert!(reading.flags.iter().any(|flag| flag.starts_with("body_malformed")));
    assert_eq!(reading.usage.unwrap().total().input_tokens(), 1);
    let not_text = Answer::new(
        "openai",
        "/v1/chat/completions",
        "m",
        "application/json",
        b"{\"usage\":{\"a\":\"\xff\"}}".to_vec(),
    );
    assert!(not_text.read().inconsistent);
}

#[test]
fn empty_usage_is_no_usage() {
    for body in [
        r#"{"usage":{}}"#,
        r#"{"usage":null}"#,
        r#"{"usage":[]}"#,
        r#"{"usage":7}"#,
        r#"{"usage":"x"}"#,
        "{}",
        "",
        "null",
        "[]",
    ] {
        let reading = chat(body);
        assert_eq!((reading.usage, reading.evidence), (None, Evidence::Unknown), "{body}");
    }
}

#[test]
fn depth_is_no_danger() {
    let deep = 200_000;
    let body = format!(
        "{{\"choices\":{}1{},\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":2}}}}",
        "[".repeat(deep),
        "]".repeat(deep)
    );
    assert_eq!(chat(&body).usage.unwrap().total().total_tokens(), 3);
    let body =
        format!("{{\"usage\":{{\"prompt_tokens\":1,\"x\":{}1{}}}}}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(chat(&body).inconsistent);
    chat(&"[".repeat(deep));
    chat(&"{\"a\":".repeat(deep));
}

#[test]
fn huge_members_are_passed_over() {
    let long = "x".repeat(3 * CAPTURE_BYTES_MAX);
    let body = format!(
        "{{\"model\":\"{long}\",\"{long}\":1,\"choices\":\"{long}\",\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":2}}}}"
    );
    let reading = chat(&body);
    assert_eq!(reading.usage.unwrap().total().total_tokens(), 3);
    assert_eq!(reading.model, None);
    assert!(reading.flags.iter().any(|flag| flag.starts_with("capture_truncated")));

    let body = format!("{{\"usage\":{{\"prompt_tokens\":1,\"note\":\"{long}\"}}}}");
    let reading = chat(&body);
    assert_eq!(reading.usage, None);
    assert!(reading.flags.iter().any(|flag| flag.starts_with("capture_truncated")));

    let body =
        format!("{{\"usage\":{{\"prompt_tokens\":1,\"note\":\"{}\"}}}}", "x".repeat(RAW_USAGE_BYTES_MAX));
    let reading = chat(&body);
    assert_eq!(reading.usage.unwrap().total().input_tokens(), 1);
    assert_eq!(reading.raw_usage, None);
}

#[test]
fn a_huge_event_is_read_in_pieces() {
    let long = "x".repeat(1 << 20);
    let body = format!(
        "data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"delta\":{{\"content\":\"{long}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":2}}}}\n\n"
    );
    let answer = Answer::sse("openai", "/v1/chat/completions", &body);
    let pieces = answer.read_chunks(answer.body.chunks(1_000), End::Complete);
    assert_eq!(pieces.usage, answer.read().usage);
    assert_eq!(pieces.usage.unwrap().total().total_tokens(), 3);
}

#[test]
fn many_of_anything_are_bounded() {
    let items = "{\"type\":\"web_search_call\"},".repeat(20_000);
    let body = format!("{{\"output\":[{items}{{}}],\"usage\":{{\"input_tokens\":1,\"output_tokens\":2}}}}");
    let reading = Answer::json("openai", "/v1/responses", &body).read();
    assert!(reading.flags.iter().any(|flag| flag.starts_with("capture_truncated")));
    let mut lines = String::new();
    for at in 0..200 {
        lines.push_str(&format!("{{\"result\":{{\"message\":{{\"model\":\"m{at}\",\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}}}}}\n"));
    }
    let mut answer = Answer::new("anthropic", "/", "m", "application/x-jsonl", lines);
    answer.request = Request::new("anthropic", "GET", "/v1/messages/batches/b/results", None, None);
    let reading = answer.read();
    assert_eq!(reading.usage.unwrap().legs.len(), tollbook_types::limits::LEGS_MAX);
    assert!(reading.inconsistent);
}

#[test]
fn usage_inside_of_texts_and_tools_is_not_the_answers() {
    for body in [
        r#"{"choices":[{"message":{"content":"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}}"}}]}"#,
        r#"{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":9,"output_tokens":9}}}]}"#,
        r#"{"metadata":{"x":{"usage":{"prompt_tokens":9}}}}"#,
    ] {
        let reading = chat(body);
        assert!(reading.evidence < Evidence::Partial, "{reading:?}");
    }
}

#[test]
fn an_endless_frame_is_refused() {
    let mut body = u32::MAX.to_be_bytes().to_vec();
    body.extend_from_slice(&[0; 4]);
    let checksum = crc32fast::hash(&body);
    body.extend_from_slice(&checksum.to_be_bytes());
    let answer =
        Answer::new("bedrock", "/model/m/converse-stream", "m", "application/vnd.amazon.eventstream", body);
    let reading = answer.read();
    assert_eq!(reading.flags, ["event_stream_damaged: frame length"]);
}

#[test]
fn estimates_take_linear_time() {
    let body = format!(
        "{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
        "a".repeat(CAPTURE_BYTES_MAX * 2)
    );
    let request = Request::new("openai", "POST", "/v1/chat/completions", None, Some(body.as_bytes()));
    let (tokens, estimator) = request.estimate_input().unwrap();
    assert!(tokens > 1_000);
    assert_eq!(estimator, "bpe-openai/o200k");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..2_000), path in 0..8_usize, status in 100..600_u16) {
        let path = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/realtime", "/v1beta/models/g:generateContent",
            "/model/m/converse-stream", "/v1/files/f/content", "/v1/embeddings"][path];
        for kind in ["application/json", "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream", ""] {
            let mut answer = Answer::new("openai", path, "m", kind, body.clone());
            answer.status = status;
            answer.request = Request::new("openai", "POST", path, None, Some(&body));
            answer.read();
            answer.read_cut(body.len() / 2);
        }
    }

    #[test]
    fn any_figures_make_disjoint_meters(input in 0..1_000_u64, output in 0..1_000_u64, cached in 0..1_000_u64, write in 0..1_000_u64, audio in 0..1_000_u64, image in 0..1_000_u64, reasoning in 0..1_000_u64) {
        let body = format!("{{\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{},\"prompt_tokens_details\":{{\"cached_tokens\":{cached},\
            \"cache_write_tokens\":{write},\"audio_tokens\":{audio},\"image_tokens\":{image}}},\"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning}}}}}}}", input + output);
        let reading = chat(&body);
        let total = reading.usage.unwrap().total();
        // The whole is always the provider's whole; the parts are the provider's unless flagged.
        prop_assert_eq!(total.input_tokens(), input);
        prop_assert_eq!(total.output_tokens(), output);
        if !reading.inconsistent {
            prop_assert_eq!(total.cache_read_tokens(), cached);
            prop_assert_eq!(total.cache_write_tokens(), write);
            prop_assert_eq!(total.quantity(Meter::InputAudio) + total.quantity(Meter::CacheReadAudio), audio);
            prop_assert_eq!(total.quantity(Meter::Reasoning), reasoning);
        }
    }
}
