//! A provider's answer, hostile, in hostile chunks: it is read in bounded memory, and a whole answer
//! and the same answer in pieces yield the same reading.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_usage::{End, Reader, Reading, Request, ResponseHead};

const ROUTES: &[(&str, &str)] = &[
    ("openai", "/v1/chat/completions"),
    ("openai", "/v1/responses"),
    ("openai", "/v1/images/generations"),
    ("openai", "/v1/audio/transcriptions"),
    ("openai", "/v1/realtime"),
    ("openai", "/v1/batches/b"),
    ("anthropic", "/v1/messages"),
    ("google", "/v1beta/models/gemini-2.5-flash:streamGenerateContent"),
    ("google", "/v1beta/interactions"),
    ("bedrock", "/model/anthropic.claude/converse-stream"),
    ("bedrock", "/model/anthropic.claude/invoke-with-response-stream"),
    ("cohere", "/v2/chat"),
    ("mistral", "/v1/ocr"),
    ("xai", "/v1/chat/completions"),
    ("openrouter", "/api/v1/chat/completions"),
    ("perplexity", "/chat/completions"),
    ("ollama", "/api/chat"),
];
const TYPES: &[&str] =
    &["application/json", "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream", ""];

fn read<'a>(
    route: (&str, &str),
    kind: &str,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> Reading {
    let request = Request::new(route.0, "POST", route.1, Some("gpt-4o"), None);
    let head = ResponseHead { status: 200, content_type: Some(kind), headers: &[] };
    let mut reader = Reader::new(&request, &head);
    chunks.for_each(|chunk| reader.push(chunk));
    reader.finish(End::Complete)
}

fuzz_target!(|data: &[u8]| {
    let [route, kind, step, body @ ..] = data else { return };
    let route = ROUTES[usize::from(*route) % ROUTES.len()];
    let kind = TYPES[usize::from(*kind) % TYPES.len()];
    let whole = read(route, kind, std::iter::once(body));
    let pieces = read(route, kind, body.chunks(usize::from(*step % 16) + 1));
    assert_eq!(whole, pieces);
});
