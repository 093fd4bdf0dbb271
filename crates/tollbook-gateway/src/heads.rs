//! Heads of requests and answers: what of them goes on, what stays, and which keys they carry.

use crate::attribution::is_gateway_header;
use crate::core::Route;
use crate::refusal::{Reason, Refusal};
use crate::upstream::AuthStyle;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tollbook_ledger::KeyRing;
use tollbook_types::KEY_START;

/// Whether a header holds for one connection only. A match on the text looks at its length first, so that
/// nearly every other header is told apart without comparing.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Headers that make another request of one: what is metered must be what is done.
const TURNING: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Headers of our own in which a Tollbook key may come.
const OUR_KEYS: [&str; 4] = ["x-tollbook-key", "x-litellm-api-key", "x-portkey-api-key", "helicone-auth"];
/// Headers of providers in which a Tollbook key may come in the place of theirs.
static THEIR_KEYS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
];

/// What a request's head says to a gateway.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The Tollbook keys that it carries, as they stand; never more than are needed to see that two
    /// of them differ.
    keys: Vec<Presented>,
    /// Headers that do not go on.
    ours: Vec<HeaderName>,
    pub is_upgrade: bool,
    pub includes_cost: bool,
    pub content_type: ContentType,
}

/// What a body is, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// JSON, whatever it is called.
    #[default]
    Text,
    Multipart,
    Media,
}

#[derive(Debug)]
struct Presented {
    key: String,
    /// It stands where the provider's own key would.
    in_place: bool,
}

impl Head {
    /// Reads a request's headers, once.
    pub fn read(headers: &HeaderMap, keys: &KeyRing) -> Head {
        let mut head = Head::default();
        for (name, value) in headers {
            head.header(name, value, keys);
        }
        head
    }

    fn header(&mut self, name: &HeaderName, value: &HeaderValue, keys: &KeyRing) {
        let text = name.as_str();
        if is_hop_by_hop(name) {
            self.ours.push(name.clone());
            self.is_upgrade |= name == header::UPGRADE;
            if name == header::CONNECTION {
                self.ours.extend(named(value));
            }
        } else if *name == header::CONTENT_TYPE {
            self.content_type = ContentType::of(value.as_bytes());
        } else if is_gateway_header(name) {
            self.ours.push(name.clone());
            let is_key = |key: &&str| text == OUR_KEYS[0] || is_ours(key, keys);
            if OUR_KEYS.contains(&text)
                && let Some(key) = token(value).filter(is_key)
            {
                self.present(key, false);
            }
            self.includes_cost |= text == "x-tollbook-include-cost" && value.as_bytes() == b"true";
        } else if THEIR_KEYS.contains(name)
            && let Some(key) = token(value).filter(|key| is_ours(key, keys))
        {
            self.present(key, true);
            self.ours.push(name.clone());
        } else if *name == header::EXPECT || TURNING.contains(&text) {
            self.ours.push(name.clone());
        }
    }

    /// A key that stands in the query.
    pub fn present(&mut self, key: &str, in_place: bool) {
        if let Some(known) = self.keys.iter_mut().find(|known| known.key == key) {
            known.in_place |= in_place;
        } else if self.keys.len() < 2 {
            self.keys.push(Presented { key: key.to_owned(), in_place });
        }
    }

    /// The one Tollbook key.
    pub fn key(&self) -> Result<&str, Refusal> {
        match self.keys.as_slice() {
            [one] => Ok(&one.key),
            [] => Err(Refusal::new(Reason::MissingKey, "a Tollbook key is needed: tb_…")),
            _ => Err(Refusal::new(Reason::ConflictingKeys, "two different Tollbook keys were sent")),
        }
    }

    /// Takes out of the headers what does not go on, and puts the provider's key in.
    pub fn forward(&self, headers: &mut HeaderMap, route: &Route) -> Result<(), Refusal> {
        for name in &self.ours {
            headers.remove(name);
        }
        let in_place = self.keys.iter().any(|key| key.in_place);
        if route.upstream.passthrough && !in_place {
            return Ok(());
        }
        if let Some(what) = &route.missing {
            let message = format!("no key for {} is configured: set {what}", route.upstream.name);
            return Err(Refusal::new(Reason::NotConfigured, message));
        }
        if route.upstream.passthrough && route.key.is_none() {
            let message =
                "this upstream takes the provider's own key: send the Tollbook key in x-tollbook-key";
            return Err(Refusal::new(Reason::InvalidKey, message));
        }
        // Whatever a caller has put there is not what this upstream is paid with.
        for name in &THEIR_KEYS {
            headers.remove(name);
        }
        if let Some(key) = &route.key {
            headers.insert(route.auth.clone(), key.clone());
        }
        Ok(())
    }
}

impl ContentType {
    fn of(value: &[u8]) -> ContentType {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &str| kind.eq_ignore_ascii_case(name.as_bytes());
        let starts =
            |start: &[u8]| kind.get(..start.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(start));
        let media: [&[u8]; 4] = [b"audio/", b"image/", b"video/", b"multipart/"];
        if is("multipart/form-data") {
            ContentType::Multipart
        } else if is("application/octet-stream") || media.into_iter().any(starts) {
            ContentType::Media
        } else {
            ContentType::Text
        }
    }
}

/// Whether a text is a key of ours. An admin's key that a person chose begins as they like: it must
/// not reach a provider either.
fn is_ours(key: &str, keys: &KeyRing) -> bool {
    key.starts_with(KEY_START) || keys.is_local(key)
}

/// A header's value as a key: with or without the word that says what it is.
fn token(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?.trim();
    let text = match text.split_once(' ') {
        Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => rest.trim(),
        _ => text,
    };
    (!text.is_empty()).then_some(text)
}

/// Headers that a `connection` header names.
fn named(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let text = value.to_str().unwrap_or_default().to_owned();
    let names: Vec<HeaderName> = text.split(',').filter_map(|name| name.trim().parse().ok()).collect();
    names.into_iter().filter(|name| !is_kept(name))
}

/// Headers that nobody can have taken out by naming them.
fn is_kept(name: &HeaderName) -> bool {
    matches!(*name, header::HOST | header::CONTENT_LENGTH | header::CONTENT_TYPE | header::CONTENT_ENCODING)
        || matches!(name.as_str(), "close" | "keep-alive")
        || is_gateway_header(name)
        || THEIR_KEYS.contains(name)
}

/// Takes out of an answer's headers what holds for the upstream's connection only.
pub(crate) fn backward(headers: &mut HeaderMap) {
    let also = headers.get_all(header::CONNECTION).iter().flat_map(named);
    // What another gateway says of the call is not what is recorded here.
    let is_gone = |name: &&HeaderName| is_hop_by_hop(name) || is_gateway_header(name);
    let gone: Vec<HeaderName> = also.chain(headers.keys().filter(is_gone).cloned()).collect();
    for name in gone {
        headers.remove(name);
    }
}

/// The query without what carries a key: Tollbook keys, which are returned, and for an upstream
/// that is asked with its own, anybody's.
pub(crate) fn query_keys<'a>(rest: &'a str, route: &Route, keys: &KeyRing) -> Option<(String, Vec<&'a str>)> {
    let (path, query) = rest.split_once('?')?;
    if !query.contains("key=") {
        return None;
    }
    let mut found = Vec::new();
    let strips_all = !route.upstream.passthrough && route.upstream.auth == AuthStyle::XGoogApiKey;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let Some(key) = pair.strip_prefix("key=") else { return true };
            let is_ours = is_ours(key, keys);
            if is_ours {
                found.push(key);
            }
            !is_ours && !strips_all
        })
        .collect();
    let kept = kept.join("&");
    let rest = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
    Some((rest, found))
}
