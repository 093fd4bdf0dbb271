//! The texts inside of requests and answers: for estimates, and for whoever keeps them.
//!
//! Works on bounded copies, cut or not: strings under known names are collected in order. It must
//! never know how text becomes tokens.

use crate::value::Value;
use std::borrow::Cow;

/// Names under which a model's reading or writing stands.
const TEXT_NAMES: &[&str] = &[
    "content",
    "text",
    "input",
    "inputs",
    "prompt",
    "system",
    "instructions",
    "arguments",
    "partial_json",
    "thinking",
    "reasoning",
    "reasoning_content",
    "refusal",
    "delta",
    "completion",
    "inputText",
    "outputText",
    "generation",
    "generations",
    "message",
    "response",
    "transcript",
    "description",
    "name",
    "query",
    "documents",
    "document",
    "texts",
    "contents",
];

/// Names whose strings are never read by a model.
const OTHER_NAMES: &[&str] =
    &["data", "url", "image_url", "b64_json", "signature", "file_data", "encrypted_content"];

/// Names whose strings are no text, though they may stand inside of one.
const REQUEST_NEVER: &[&str] = &["role", "type", "id", "model"];
const ANSWER_NEVER: &[&str] = &["role", "type", "id", "model", "name", "object"];

/// The texts of a request body.
pub(crate) fn of_request(body: &[u8]) -> String {
    collect(body, REQUEST_NEVER, "")
}

/// The texts of a request body, or of its beginning, one a line.
pub fn words_of_request(body: &[u8]) -> String {
    collect(body, REQUEST_NEVER, "\n")
}

/// The texts of an answer, or of a stretch of events.
pub(crate) fn of_answer(bytes: &[u8]) -> String {
    collect(bytes, ANSWER_NEVER, "")
}

/// The texts of a whole answer, one a line.
pub(crate) fn of_whole_answer(bytes: &[u8]) -> String {
    collect(bytes, ANSWER_NEVER, "\n")
}

/// The longest name that anybody looks for with every character escaped, and more.
pub(crate) const ESCAPED_MAX: usize = 256;

/// What a name says that is written with escapes; `None` where it is not.
pub(crate) fn escaped_name(name: &[u8]) -> Option<String> {
    let is_escaped = name.len() <= ESCAPED_MAX && memchr::memchr(b'\\', name).is_some();
    is_escaped.then(|| unquoted(name))?
}

/// A top-level string member of an object.
pub(crate) fn member(body: &[u8], name: &str) -> Option<String> {
    let value = Value::parse(body, &mut Vec::new())?;
    value.member(name)?.text().map(str::to_owned)
}

/// Walks over the bytes as a flat sequence of strings: a string followed by a colon is a name,
/// any other is a value of the name that governs it. Nothing here can fail on damaged text.
fn collect(bytes: &[u8], never: &[&str], between: &str) -> String {
    let mut out = String::new();
    // The name that governs values at each open bracket.
    let mut governing: Vec<bool> = Vec::new();
    let mut current = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => {
                governing.push(current);
                at += 1;
            }
            b'}' | b']' => {
                current = governing.pop().unwrap_or(false);
                at += 1;
            }
            b'"' => {
                let end = string_end(bytes, at + 1);
                let inner = &bytes[at + 1..end.min(bytes.len())];
                at = (end + 1).min(bytes.len());
                let colon = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                if colon {
                    let name = String::from_utf8_lossy(inner);
                    let inherited = governing.last().copied().unwrap_or(false);
                    let is = |names: &[&str]| names.iter().any(|known| *known == name);
                    current =
                        !is(OTHER_NAMES) && !is(never) && (is(TEXT_NAMES) || (inherited && is_free(&name)));
                } else if current {
                    if !out.is_empty() {
                        out.push_str(between);
                    }
                    out.push_str(&unescaped(inner));
                }
            }
            _ => at += 1,
        }
    }
    out
}

/// Inside of a text member (such as tool arguments) any name is free text.
fn is_free(name: &str) -> bool {
    !matches!(
        name,
        "role"
            | "type"
            | "id"
            | "tool_call_id"
            | "call_id"
            | "tool_use_id"
            | "format"
            | "media_type"
            | "object"
            | "status"
            | "finish_reason"
            | "logprobs"
            | "obfuscation"
            | "system_fingerprint"
    )
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn unescaped(inner: &[u8]) -> Cow<'_, str> {
    if !inner.contains(&b'\\') {
        return String::from_utf8_lossy(inner);
    }
    unquoted(inner).map_or_else(|| String::from_utf8_lossy(inner), Cow::Owned)
}

/// What stands between two quotes, read as JSON does.
fn unquoted(inner: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", inner, b"\""].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_and_media_is_not() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hello \"you\""},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"tools":[{"function":{"name":"f"}}]}"#;
        assert_eq!(of_request(body), "Hello \"you\"f");
        let events = br#"{"choices":[{"delta":{"role":"assistant","content":"Hi "}}]}
            {"choices":[{"delta":{"content":"there"}}]}{"type":"content_block_delta","delta":{"type":"text_delta","text":"!"}}"#;
        assert_eq!(of_answer(events), "Hi there!");
        assert_eq!(of_answer(b"{\"content\":\"cut of"), "cut of");
    }
}
