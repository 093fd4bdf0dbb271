//! What a call came to, told to its caller: in headers, in a stream's comment, in a usage object.

use crate::call::Outcome;
use crate::members::Members;
use crate::options::Compat;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::collections::VecDeque;

pub(crate) const COST_STATUS: HeaderName = HeaderName::from_static("x-tollbook-cost-status");
const COST: HeaderName = HeaderName::from_static("x-tollbook-cost-usd");
const TOKENS: HeaderName = HeaderName::from_static("x-tollbook-tokens");
const LITELLM_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");

/// The line that ends a stream of OpenAI's kind.
const DONE: &[u8] = b"data: [DONE]";

/// Puts it into the headers of an answer.
pub(crate) fn tell(headers: &mut HeaderMap, outcome: &Outcome, compat: Compat) {
    headers.insert(COST_STATUS, HeaderValue::from_static(outcome.status.name()));
    if let Some(cost) = outcome.cost.and_then(|cost| HeaderValue::try_from(cost.to_string()).ok()) {
        if compat.litellm {
            headers.insert(LITELLM_COST, cost.clone());
        }
        headers.insert(COST, cost);
    }
    let Outcome { input, cached, output, reasoning, .. } = outcome;
    let tokens = format!("in={input},cached={cached},out={output},reasoning={reasoning}");
    if let Ok(tokens) = HeaderValue::try_from(tokens) {
        headers.insert(TOKENS, tokens);
    }
}

/// A whole answer with `cost` in its usage object, as a number; `None` where it has no such object,
/// or one that says its cost already.
pub(crate) fn in_usage(body: &[u8], outcome: &Outcome) -> Option<Vec<u8>> {
    let cost = outcome.cost?;
    let usage = Members::of(body).find(|member| member.name == b"usage")?.value;
    let mut inside = Members::of(&body[usage.clone()]);
    let mut is_empty = true;
    for member in &mut inside {
        is_empty = false;
        if member.name == b"cost" {
            return None;
        }
    }
    inside.end()?;
    let brace = usage.start + 1;
    let comma = if is_empty { "" } else { "," };
    let cost = format!("\"cost\":{cost}{comma}");
    Some([&body[..brace], cost.as_bytes(), &body[brace..]].concat())
}

/// Puts a comment in front of the line that ends a stream. What may be the beginning of that line
/// waits for the rest of it; everything else passes at once.
#[derive(Debug)]
pub(crate) struct Comment {
    call_id: String,
    /// What may be the beginning of the line.
    held: Vec<u8>,
    /// The next byte begins a line.
    at_start: bool,
}

impl Comment {
    pub fn new(call_id: String) -> Comment {
        Comment { call_id, held: Vec::new(), at_start: true }
    }

    /// The next bytes; `outcome` is asked for when the line is there.
    pub fn push(
        &mut self,
        bytes: Bytes,
        outcome: &mut dyn FnMut() -> Option<Outcome>,
        out: &mut VecDeque<Bytes>,
    ) {
        let bytes = if self.held.is_empty() {
            bytes
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&bytes);
            self.at_start = true;
            Bytes::from(held)
        };
        let mut start = if self.at_start { Some(0) } else { after_line(&bytes, 0) };
        while let Some(line) = start {
            let rest = &bytes[line..];
            if rest.starts_with(DONE) {
                out.push_back(bytes.slice(..line));
                out.extend(outcome().map(|outcome| self.text(&outcome)));
                out.push_back(bytes.slice(line..));
                self.at_start = false;
                return;
            }
            if !rest.is_empty() && DONE.starts_with(rest) {
                out.push_back(bytes.slice(..line));
                self.held = rest.to_vec();
                return;
            }
            start = after_line(&bytes, line);
        }
        self.at_start = bytes.last().map_or(self.at_start, |last| *last == b'\n');
        out.push_back(bytes);
    }

    /// What still waits when the stream ends.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) {
        let held = std::mem::take(&mut self.held);
        out.push_back(Bytes::from(held));
    }

    fn text(&self, outcome: &Outcome) -> Bytes {
        let id = &self.call_id;
        let cost = outcome.cost.map(|cost| format!("\"cost_usd\":\"{cost}\",")).unwrap_or_default();
        let total = outcome.input.saturating_add(outcome.output);
        Bytes::from(format!(": tollbook {{\"call_id\":\"{id}\",{cost}\"total_tokens\":{total}}}\n\n"))
    }
}

/// Where the line behind the next line end begins, if there is anything of it.
fn after_line(bytes: &[u8], from: usize) -> Option<usize> {
    let end = from + memchr::memchr(b'\n', &bytes[from..])? + 1;
    (end < bytes.len()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CostStatus;
    use tollbook_types::Money;

    fn outcome() -> Outcome {
        let cost = Some(Money::from_picos(2_302_000_000));
        Outcome {
            cost,
            model: "m".to_owned(),
            is_error: false,
            status: CostStatus::Exact,
            input: 10,
            cached: 0,
            output: 4,
            reasoning: 0,
            seq: 1,
        }
    }

    #[test]
    fn the_comment_stands_in_front_of_the_last_line_in_any_pieces() {
        let stream = "data: {\"x\":\"data: [DONE]\"}\n\ndata: [DONE\n\ndata: [DONE]\n\n";
        let comment = ": tollbook {\"call_id\":\"c1\",\"cost_usd\":\"0.002302\",\"total_tokens\":14}\n\n";
        let wanted = format!("data: {{\"x\":\"data: [DONE]\"}}\n\ndata: [DONE\n\n{comment}data: [DONE]\n\n");
        for size in 1..=stream.len() {
            let mut comment = Comment::new("c1".to_owned());
            let mut out = VecDeque::new();
            for piece in stream.as_bytes().chunks(size) {
                comment.push(Bytes::copy_from_slice(piece), &mut || Some(outcome()), &mut out);
            }
            comment.finish(&mut out);
            let found: Vec<u8> = out.into_iter().flatten().collect();
            assert_eq!(String::from_utf8(found).unwrap(), wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn cost_goes_into_the_usage_object() {
        let cases = [
            (r#"{"id":1,"usage":{"a":1}}"#, Some(r#"{"id":1,"usage":{"cost":0.002302,"a":1}}"#)),
            (r#"{"usage":{}}"#, Some(r#"{"usage":{"cost":0.002302}}"#)),
            (r#"{"usage":{"cost":1}}"#, None),
            (r#"{"usage":null}"#, None),
            (r#"{"choices":[{"usage":{}}]}"#, None),
            ("[]", None),
            ("", None),
        ];
        for (body, wanted) in cases {
            let found = in_usage(body.as_bytes(), &outcome());
            assert_eq!(found.as_deref(), wanted.map(str::as_bytes), "{body}");
        }
    }
}
