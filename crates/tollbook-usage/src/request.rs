//! Facts about a request: what its answer means and what it may cost depend on them.
//!
//! A request body is read once, in bounded memory. It must never be changed or kept beyond a
//! bounded copy for estimates.

use crate::api::{Api, path_only};
use crate::estimate;
use crate::json_push::{Doc, Walker};
use crate::text;
use crate::tree::{REQUEST, Slot};
use crate::value::{quantity, scalar_text};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use tollbook_types::canonical_provider;
use tollbook_types::limits::{CAPTURE_BYTES_MAX, NAME_BYTES_MAX, TAGS_MAX};

/// What is known of a request.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The provider's canonical id.
    pub provider: String,
    /// The family of the endpoint.
    pub api: Api,
    /// The HTTP method.
    pub method: String,
    /// The model that was asked for: from the body, the path, or as given.
    pub model: Option<String>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether a chat stream was asked to report usage.
    pub include_usage: bool,
    /// The bound on output tokens.
    pub max_tokens: Option<u64>,
    /// How many answers or images.
    pub n: Option<u64>,
    /// Image or video size.
    pub size: Option<String>,
    /// Image quality.
    pub quality: Option<String>,
    /// Video seconds.
    pub seconds: Option<u64>,
    /// The service tier that was asked for.
    pub service_tier: Option<String>,
    /// The speed that was asked for.
    pub speed: Option<String>,
    /// The inference geography that was asked for.
    pub inference_geo: Option<String>,
    /// How much context a search may bring.
    pub search_context_size: Option<String>,
    /// Types (or names) of tools that the provider itself runs.
    pub tools: Vec<String>,
    /// Whether the work goes on in the background.
    pub background: bool,
    /// Bytes of the body.
    pub input_bytes: u64,
    path: String,
    body: Option<Box<[u8]>>,
}

/// A request that has been read. A clone shares what is known.
#[derive(Clone, Debug)]
pub struct Request(Arc<Facts>);

impl Deref for Request {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Request {
    /// Reads a request. A bounded copy of the body is kept, so that its text can be estimated.
    pub fn new(
        provider: &str,
        method: &str,
        url_path: &str,
        request_model: Option<&str>,
        body: Option<&[u8]>,
    ) -> Request {
        let mut facts = Facts::read(provider, method, url_path, request_model, body);
        facts.body = body.map(|body| body[..body.len().min(CAPTURE_BYTES_MAX)].into());
        Request(Arc::new(facts))
    }

    /// As [`Request::new`], but without a copy of the body: nothing can be estimated from it.
    pub fn facts(
        provider: &str,
        method: &str,
        url_path: &str,
        request_model: Option<&str>,
        body: Option<&[u8]>,
    ) -> Request {
        Request(Arc::new(Facts::read(provider, method, url_path, request_model, body)))
    }
}

impl Facts {
    fn read(
        provider: &str,
        method: &str,
        url_path: &str,
        request_model: Option<&str>,
        body: Option<&[u8]>,
    ) -> Facts {
        let provider = canonical_provider(provider);
        let path = path_only(url_path);
        let mut facts = Facts {
            api: Api::of(&provider, url_path),
            provider,
            method: method.to_ascii_uppercase(),
            model: None,
            stream: path.contains("stream") || url_path.contains("alt=sse"),
            include_usage: false,
            max_tokens: None,
            n: None,
            size: None,
            quality: None,
            seconds: None,
            service_tier: None,
            speed: None,
            inference_geo: None,
            search_context_size: None,
            tools: Vec::new(),
            background: false,
            input_bytes: body.map_or(0, |body| body.len() as u64),
            path: path.chars().take(1_024).collect(),
            body: None,
        };
        let mut read = |doc: &Doc<'_>| facts.document(doc);
        let mut walker = Walker::new(&REQUEST);
        walker.push(body.unwrap_or_default(), &mut read);
        walker.finish(&mut read);
        let from_path = model_in_path(&facts.path);
        let given = request_model.filter(|model| !model.is_empty()).map(bounded);
        facts.model = facts.model.take().or(given).or(from_path);
        facts
    }

    /// Whether the request can start work that is billed; polls, lists, files and counting
    /// cannot.
    pub fn is_billable_start(&self) -> bool {
        self.api.starts_work(&self.method, &self.path)
    }

    /// The text that a model reads, as far as the body is kept.
    pub fn input_text(&self) -> Option<String> {
        let text = text::of_request(self.body.as_deref()?);
        (!text.is_empty()).then_some(text)
    }

    /// An estimate of the input tokens and the estimator's name.
    pub fn estimate_input(&self) -> Option<(u64, &'static str)> {
        let text = self.input_text()?;
        Some(estimate::estimate_tokens(self.model.as_deref().unwrap_or_default(), &text))
    }

    /// Characters of a text to be spoken.
    pub fn input_characters(&self) -> Option<u64> {
        let text = text::member(self.body.as_deref()?, "input")?;
        Some(text.chars().count() as u64)
    }

    /// The request path without its query.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn document(&mut self, doc: &Doc<'_>) {
        for (slot, captured) in doc.items() {
            match slot {
                Slot::Model => self.model = scalar_text(captured).map(|text| bounded(&text)),
                Slot::Stream => self.stream |= captured == b"true",
                Slot::IncludeUsage => self.include_usage = captured == b"true",
                Slot::Background => self.background |= captured == b"true",
                // Said twice, nobody knows which a provider goes by: the most is the bound.
                Slot::MaxTokens => {
                    self.max_tokens = number(captured).map(|more| more.max(self.max_tokens.unwrap_or(0)));
                }
                Slot::Many => self.n = number(captured).max(self.n),
                Slot::Seconds => self.seconds = scalar_text(captured).and_then(|text| quantity(&text).ok()),
                Slot::Size => self.size = scalar_text(captured).map(|text| bounded(&text)),
                Slot::Quality => self.quality = scalar_text(captured).map(|text| bounded(&text)),
                Slot::Tier => self.service_tier = tier(captured).map(|text| lower(&text)),
                Slot::Speed => self.speed = scalar_text(captured).map(|text| lower(&text)),
                Slot::Geo => self.inference_geo = scalar_text(captured).map(|text| lower(&text)),
                Slot::SearchContext => {
                    self.search_context_size = scalar_text(captured).map(|text| lower(&text));
                }
                Slot::ToolType | Slot::ToolName if self.tools.len() < TAGS_MAX => {
                    let name = if captured.is_empty() {
                        Some("web_search_options".into())
                    } else {
                        scalar_text(captured)
                    };
                    self.tools.extend(name.map(|name| bounded(&name)));
                }
                _ => {}
            }
        }
    }
}

/// A tier as a text, or as Bedrock's `{"type": …}`.
pub(crate) fn tier(captured: &[u8]) -> Option<Cow<'_, str>> {
    if captured.first() == Some(&b'{') {
        return text::member(captured, "type").map(Cow::Owned);
    }
    scalar_text(captured)
}

pub(crate) fn lower(text: &str) -> String {
    let mut lower = bounded(text);
    lower.make_ascii_lowercase();
    lower
}

pub(crate) fn bounded(text: &str) -> String {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn number(captured: &[u8]) -> Option<u64> {
    quantity(std::str::from_utf8(captured).ok()?).ok()
}

/// `/model/{id}/…` (Bedrock), `/models/{id}:verb` (Google), `/deployments/{id}/…` (Azure).
fn model_in_path(path: &str) -> Option<String> {
    for (before, stops) in [("/model/", "/"), ("/models/", ":/"), ("/deployments/", "/")] {
        if let Some((_, rest)) = path.split_once(before) {
            let end = rest.find(|c: char| stops.contains(c))?;
            let model = percent_decoded(&rest[..end]);
            return (!model.is_empty()).then(|| bounded(&model));
        }
    }
    None
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|two| data_encoding::HEXLOWER_PERMISSIVE.decode(two).ok());
        match hex {
            Some(byte) => {
                bytes.extend_from_slice(&byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_body_and_path() {
        let body = br#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"max_tokens":10,
            "tools":[{"type":"web_search"}],"service_tier":"Flex","messages":[{"role":"user","content":"hi"}]}"#;
        let request = Request::new("openai", "post", "/v1/chat/completions", None, Some(body));
        assert_eq!(request.model.as_deref(), Some("gpt-4o"));
        assert!(request.stream && request.include_usage && request.is_billable_start());
        assert_eq!(request.max_tokens, Some(10));
        assert_eq!(request.tools, ["web_search"]);
        assert_eq!(request.service_tier.as_deref(), Some("flex"));
        assert_eq!(request.input_bytes, body.len() as u64);
        assert!(request.input_text().is_some_and(|text| text.contains("hi")));

        let bedrock = Request::new("aws", "POST", "/model/us.anthropic.claude-3%3A0/converse", None, None);
        assert_eq!(bedrock.model.as_deref(), Some("us.anthropic.claude-3:0"));
        let google = Request::new("gemini", "POST", "/v1beta/models/g-2:generateContent", None, None);
        assert_eq!((google.provider.as_str(), google.model.as_deref()), ("google", Some("g-2")));
    }

    #[test]
    fn a_bad_body_is_no_body() {
        for body in [&b"{"[..], b"[[[[", b"{\"model\":", b"\xff\xfe", b"{\"max_tokens\":-1,\"n\":1.5}"] {
            let request = Request::new("openai", "POST", "/v1/chat/completions", Some("m"), Some(body));
            assert_eq!(request.model.as_deref(), Some("m"));
            assert_eq!((request.max_tokens, request.n), (None, None));
        }
    }
}
