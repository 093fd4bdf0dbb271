//! What the gateway reads in passing: in other pieces it comes to the same, and it stays in bounds.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tollbook_gateway::ask::{Hider, ask_for_usage};
use tollbook_gateway::attribution::attribution;
use tollbook_gateway::decode::{DecodeError, Decoder};
use tollbook_gateway::multipart;
use tollbook_types::limits::{METADATA_BYTES_MAX, NAME_BYTES_MAX, TAGS_MAX};
use tollbook_types::{Attribution, Digest, Key, Role};
use tollbook_usage::Request;

fn hide(data: &[u8], step: usize) -> Vec<u8> {
    let (mut hider, mut out) = (Hider::new(), Vec::new());
    for piece in data.chunks(step) {
        hider.push(Bytes::copy_from_slice(piece), &mut out);
    }
    hider.finish(&mut out);
    out.concat()
}

fn decode(encoding: &str, data: &[u8], step: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::for_encoding(encoding).expect("a known encoding");
    let mut out = Vec::new();
    for piece in data.chunks(step) {
        decoder.push(piece, &mut |bytes| out.extend_from_slice(bytes))?;
    }
    decoder.finish().map(|()| out)
}

/// A question put into a body changes nothing but the question.
fn ask(data: &[u8]) {
    let Some(asked) = ask_for_usage(data) else { return };
    let Ok(mut before) = tollbook_types::json::parse(data) else { return };
    let mut after = tollbook_types::json::parse(&asked).expect("it is still JSON");
    assert_eq!(after["stream_options"]["include_usage"], json!(true));
    if let Some(options) = after["stream_options"].as_object_mut() {
        options.remove("include_usage");
    }
    match before.get_mut("stream_options") {
        Some(Value::Object(options)) => {
            options.remove("include_usage");
        }
        _ => before["stream_options"] = json!({}),
    }
    assert_eq!(before, after);
}

fn attribute(data: &[u8]) -> Attribution {
    let mut headers = HeaderMap::new();
    let mut body = data;
    while let Some(at) = body.iter().position(|byte| *byte == b'\n').filter(|_| headers.len() < 100) {
        let line = &body[..at];
        body = &body[at + 1..];
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or_default();
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let key = Key {
        id: "key_1".to_owned(),
        name: "n".to_owned(),
        roles: vec![Role::Gateway],
        prefix: "tb_".to_owned(),
        hash: Digest::of(b"x"),
        binding: Attribution { user: Some("bound".to_owned()), ..Attribution::default() },
        created_at: "2026-11-22T12:00:00Z".parse().expect("an instant"),
        expires_at: None,
        revoked_at: None,
    };
    let provider = if data.len() % 2 == 0 { "google" } else { "bedrock" };
    let request = Request::facts(provider, "POST", "/v1/chat/completions", None, Some(body));
    attribution(&key, &headers, Some(body), &request)
}

fuzz_target!(|data: &[u8]| {
    let step = 1 + data.first().map_or(0, |byte| usize::from(*byte) % 9);
    assert_eq!(hide(data, data.len().max(1)), hide(data, step));
    ask(data);
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        // A ratio is stricter on what comes in pieces.
        if let Ok(pieces) = decode(encoding, data, step) {
            assert_eq!(decode(encoding, data, data.len().max(1)), Ok(pieces));
        }
    }
    let fields = multipart::fields("multipart/form-data; boundary=x", data);
    assert!(serde_json::from_slice::<Value>(&fields.to_json()).is_ok());
    let found = attribute(data);
    assert_eq!((found.user.as_deref(), found.key.as_deref()), (Some("bound"), Some("key_1")));
    let names = [found.project, found.customer, found.session, found.agent, found.operation];
    assert!(names.into_iter().flatten().all(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX));
    assert!(found.tags.len() <= TAGS_MAX);
    assert!(found.metadata.is_none_or(|metadata| metadata.to_string().len() <= METADATA_BYTES_MAX));
});
