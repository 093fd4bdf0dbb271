//! Bounds on what a request can use, from what it says: what a strict budget holds for it.
//!
//! They may be too high, never too low. This must never know a price.

use crate::api::Api;
use crate::request::Facts;
use crate::text::escaped_name;

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

/// Names of members that bring in what bytes of the request do not bound: a picture is a few bytes
/// and many tokens, a reference is any text at all.
fn brings_more(name: &[u8]) -> bool {
    matches!(
        name,
        b"image"
            | b"images"
            | b"image_url"
            | b"input_image"
            | b"file"
            | b"file_id"
            | b"file_url"
            | b"input_file"
            | b"document"
            | b"inlineData"
            | b"inline_data"
            | b"fileData"
            | b"file_data"
            | b"video"
            | b"video_url"
            | b"input_audio"
            | b"audio"
            | b"previous_response_id"
            | b"conversation"
            | b"prompt_id"
            | b"cachedContent"
            | b"cached_content"
            | b"container"
            | b"mcp_servers"
            | b"attachments"
    )
}

fn is_by_reference(body: &[u8]) -> bool {
    // Anything between two quotes, also where a text says so, which only makes the bound higher.
    let mut quotes = memchr::memchr_iter(b'"', body);
    let mut from = quotes.next();
    quotes.any(|to| {
        let from = from.replace(to).map_or(0, |from| from + 1);
        let quoted = body.get(from..to).unwrap_or_default();
        // In a text the closing quote is escaped.
        let quoted = quoted.strip_suffix(b"\\").unwrap_or(quoted);
        brings_more(quoted) || escaped_name(quoted).is_some_and(|name| brings_more(name.as_bytes()))
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
            ("openai", chat, r#"{"model":"m","\u006e":4,"max_tokens":50}"#, (Some(40), Some(200), true)),
            ("openai", chat, r#"{"model":"m","max_tokens":1,"max_tokens":50}"#, (Some(44), Some(50), true)),
            ("openai", chat, r#"{"model":"m","max_tokens":50,"max_tokens":1}"#, (Some(44), Some(50), true)),
            ("openai", chat, r#"{"model":"m","n":4,"n":1,"max_tokens":50}"#, (Some(41), Some(200), true)),
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
            (
                "openai",
                "/v1/responses",
                r#"{"model":"m","\u0074ool\u0073":[{"type":"web_search"}]}"#,
                (Some(55), None, false),
            ),
            ("openai", "/v1/embeddings", r#"{"model":"m","input":"x"}"#, (Some(25), Some(0), true)),
            ("openai", "/v1/images/generations", r#"{"model":"m"}"#, (Some(13), None, false)),
            ("anthropic", "/v1/messages", r#"{"model":"m","max_tokens":9}"#, (Some(28), Some(9), true)),
            ("anthropic", "/v1/messages", r#"{"model":"m","a":"the \"file\" is"}"#, (None, None, true)),
            ("openai", chat, r#"{"model":"m","a":[{"image\u005furl":"x"}]}"#, (None, None, true)),
            ("openai", chat, r#"{"model":"m","a":[{"\u0069mage":"x"}]}"#, (None, None, true)),
            ("openai", chat, r#"{"model":"m","a":"caf\u00e9"}"#, (Some(29), None, true)),
        ] {
            let facts = Request::facts(provider, "POST", path, None, Some(body.as_bytes()));
            let bounds = Bounds::of(&facts, body.as_bytes());
            let found = (bounds.input_tokens, bounds.output_tokens, bounds.is_by_tokens);
            assert_eq!(found, wanted, "{path} {body}");
        }
    }
}
