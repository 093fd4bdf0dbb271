//! Bounds on what a request can use, from what it says: what a strict budget holds for it.
//!
//! They may be too high, never too low. This must never know a price.

use crate::api::Api;
use crate::request::Facts;
use memchr::memmem;

/// Names of members that bring in what bytes of the request do not bound: a picture is a few bytes
/// and many tokens, a reference is any text at all.
const BY_REFERENCE: &[&str] = &[
    "image",
    "images",
    "image_url",
    "input_image",
    "file",
    "file_id",
    "file_url",
    "input_file",
    "document",
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "video",
    "video_url",
    "input_audio",
    "audio",
    "previous_response_id",
    "conversation",
    "prompt_id",
    "cachedContent",
    "cached_content",
    "container",
    "mcp_servers",
    "attachments",
];

/// Bounds on a request's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tokens in: no text has more tokens than bytes. `None` where it brings more than text.
    pub input_tokens: Option<u64>,
    /// Tokens out, over all answers. `None` where it says nothing: then the model decides.
    pub output_tokens: Option<u64>,
    /// Whether tokens bound the bill: not where work is deferred, the provider runs tools that cost
    /// fees, or what is billed is no tokens.
    pub is_by_tokens: bool,
}

impl Bounds {
    /// Of a request, with its body as JSON.
    pub fn of(facts: &Facts, body: &[u8]) -> Bounds {
        let answers = facts.n.unwrap_or(1).max(1);
        let output_tokens = match facts.api {
            Api::Embeddings => Some(0),
            _ => facts.max_tokens.map(|tokens| tokens.saturating_mul(answers)),
        };
        let is_of_tokens = matches!(
            facts.api,
            Api::Chat
                | Api::Completions
                | Api::Responses
                | Api::Messages
                | Api::GenerateContent
                | Api::Converse
                | Api::CohereChat
                | Api::Ollama
                | Api::LlamaCpp
                | Api::Embeddings
        );
        let is_one = output_tokens.is_some() || answers == 1;
        Bounds {
            input_tokens: (!is_by_reference(body)).then_some(facts.input_bytes),
            output_tokens,
            is_by_tokens: is_of_tokens && is_one && !facts.background && facts.tools.is_empty(),
        }
    }
}

fn is_by_reference(body: &[u8]) -> bool {
    // A quote, then the name: also where a text says so, which only makes the bound higher.
    memmem::find_iter(body, "\"").any(|at| {
        let rest = body.get(at + 1..).unwrap_or_default();
        BY_REFERENCE.iter().any(|name| {
            rest.starts_with(name.as_bytes()) && matches!(rest.get(name.len()), Some(b'"' | b'\\'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    #[test]
    fn bounds_of_requests() {
        let chat = "/v1/chat/completions";
        for (provider, path, body, wanted) in [
            ("openai", chat, r#"{"model":"m","max_tokens":50,"messages":[]}"#, (Some(43), Some(50), true)),
            ("openai", chat, r#"{"model":"m","n":4,"max_tokens":50}"#, (Some(35), Some(200), true)),
            ("openai", chat, r#"{"model":"m","n":4}"#, (Some(19), None, false)),
            ("openai", chat, r#"{"model":"m"}"#, (Some(13), None, true)),
            (
                "openai",
                chat,
                r#"{"model":"m","messages":[{"content":[{"type":"image_url"}]}]}"#,
                (None, None, true),
            ),
            ("openai", "/v1/responses", r#"{"model":"m","previous_response_id":"r"}"#, (None, None, true)),
            ("openai", "/v1/responses", r#"{"model":"m","background":true}"#, (Some(31), None, false)),
            (
                "openai",
                "/v1/responses",
                r#"{"model":"m","tools":[{"type":"web_search"}]}"#,
                (Some(45), None, false),
            ),
            ("openai", "/v1/embeddings", r#"{"model":"m","input":"x"}"#, (Some(25), Some(0), true)),
            ("openai", "/v1/images/generations", r#"{"model":"m"}"#, (Some(13), None, false)),
            ("anthropic", "/v1/messages", r#"{"model":"m","max_tokens":9}"#, (Some(28), Some(9), true)),
            ("anthropic", "/v1/messages", r#"{"model":"m","a":"the \"file\" is"}"#, (None, None, true)),
        ] {
            let facts = Request::facts(provider, "POST", path, None, Some(body.as_bytes()));
            let bounds = Bounds::of(&facts, body.as_bytes());
            let found = (bounds.input_tokens, bounds.output_tokens, bounds.is_by_tokens);
            assert_eq!(found, wanted, "{path} {body}");
        }
    }
}
