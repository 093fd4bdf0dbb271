//! Attribution in headers: Tollbook's own, LiteLLM's, Helicone's, Portkey's, Cloudflare's, those
//! of coding agents, W3C `baggage`, and the client's name.
//!
//! The headers are walked once. This must never read a header that carries a secret.

use super::draft::{Draft, Field, Rank, object};
use http::{HeaderMap, HeaderName};
use serde_json::Value;

/// Starts of headers that are for a gateway and never for a provider.
const GATEWAYS: &[&str] = &["x-tollbook-", "x-litellm-", "helicone-", "x-portkey-", "cf-aig-"];

/// Whether a header is for a gateway, so that it is not forwarded.
pub fn is_gateway_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Nearly all headers are told apart by their first letter.
    matches!(name.as_bytes().first(), Some(b'x' | b'h' | b'c'))
        && GATEWAYS.iter().any(|start| name.starts_with(start))
}

/// Reads what the headers say.
pub(super) fn read(draft: &mut Draft, headers: &HeaderMap) {
    for (name, value) in headers {
        let name = name.as_str();
        if !matches!(name.as_bytes().first(), Some(b'x' | b'h' | b'c' | b'b' | b's' | b'u' | b'o')) {
            continue;
        }
        let Ok(text) = std::str::from_utf8(value.as_bytes()) else { continue };
        if let Some(name) = name.strip_prefix("x-tollbook-") {
            own(draft, name, text);
        } else if let Some(name) = name.strip_prefix("x-litellm-") {
            litellm(draft, name, text);
        } else if let Some(name) = name.strip_prefix("helicone-") {
            helicone(draft, name, text);
        } else if let Some(name) = name.strip_prefix("x-portkey-") {
            portkey(draft, name, text);
        } else {
            general(draft, name, text);
        }
    }
}

fn own(draft: &mut Draft, name: &str, text: &str) {
    let field = match name {
        "project" => Field::Project,
        "customer" => Field::Customer,
        "user" => Field::User,
        "agent" => Field::Agent,
        "agent-name" => Field::AgentName,
        "operation" => Field::Operation,
        "operation-id" => Field::OperationId,
        "session" => Field::Session,
        "tags" => return tags(draft, Rank::Own, text),
        "metadata" => return draft.notes(Rank::Own, text.as_bytes(), |_, _, _| false),
        _ => return,
    };
    draft.tell(Rank::Own, field, text);
}

fn litellm(draft: &mut Draft, name: &str, text: &str) {
    let rank = Rank::LiteLlm;
    match name {
        "end-user-id" | "customer-id" => draft.tell(rank, Field::User, text),
        "tags" => tags(draft, rank, text),
        "spend-logs-metadata" => draft.notes(rank, text.as_bytes(), |_, _, _| false),
        "session-id" => draft.tell(rank, Field::Session, text),
        "trace-id" => draft.tell(Rank::LiteLlmTrace, Field::Session, text),
        "agent-id" => draft.tell(rank, Field::Agent, text),
        _ => {}
    }
}

fn helicone(draft: &mut Draft, name: &str, text: &str) {
    let rank = Rank::Helicone;
    match name {
        "user-id" => draft.tell(rank, Field::User, text),
        "session-id" => draft.tell(rank, Field::Session, text),
        "session-name" => note(draft, rank, "session_name", text),
        "session-path" => note(draft, rank, "session_path", text),
        "prompt-id" => note(draft, rank, "prompt_id", text),
        // Header names come in small letters.
        _ => {
            if let Some(property) = name.strip_prefix("property-") {
                note(draft, rank, property, text);
            }
        }
    }
}

fn portkey(draft: &mut Draft, name: &str, text: &str) {
    let rank = Rank::Portkey;
    match name {
        "trace-id" => draft.tell(rank, Field::Session, text),
        "metadata" => draft.notes(rank, text.as_bytes(), |draft, member, value| match (member, value) {
            ("_user", Value::String(user)) => {
                draft.tell(rank, Field::User, user);
                true
            }
            _ => false,
        }),
        _ => {}
    }
}

/// Headers of nobody's family.
fn general(draft: &mut Draft, name: &str, text: &str) {
    match name {
        "user-agent" => {
            if let Some(client) = client(text) {
                draft.tag(Rank::Client, "client", client);
            }
        }
        "cf-aig-metadata" => draft.notes(Rank::Cloudflare, text.as_bytes(), |_, _, _| false),
        "baggage" => baggage(draft, text),
        "x-title" => note(draft, Rank::App, "app", text),
        "openai-project" => note(draft, Rank::App, "openai_project", text),
        // Codex, by its versions.
        "session-id" | "session_id" | "conversation_id" => vendor_session(draft, text),
        _ if name.starts_with("x-") && name.ends_with("-session-id") => vendor_session(draft, text),
        _ => {}
    }
}

fn note(draft: &mut Draft, rank: Rank, member: &str, text: &str) {
    if let Some(value) = super::draft::name(text) {
        draft.note(rank, member, Value::from(value));
    }
}

fn tags(draft: &mut Draft, rank: Rank, text: &str) {
    // LiteLLM takes a list as JSON, too.
    if text.starts_with('[') {
        let words: Vec<String> = serde_json::from_str(text).unwrap_or_default();
        return words.iter().for_each(|word| draft.tag_word(rank, word));
    }
    if text.starts_with('{') {
        for (tag, value) in object(text.as_bytes()).unwrap_or_default() {
            if let Value::String(value) = value {
                draft.tag(rank, &tag, &value);
            }
        }
        return;
    }
    text.split(',').for_each(|word| draft.tag_word(rank, word));
}

/// A session's id of a vendor that nobody has heard of counts when it looks like one.
fn vendor_session(draft: &mut Draft, text: &str) {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.len() >= 8 && text.bytes().all(is_id) {
        draft.tell(Rank::VendorSession, Field::Session, text);
    }
}

/// W3C `baggage`: `name=value;property,name=value`, the values percent-encoded.
fn baggage(draft: &mut Draft, text: &str) {
    for member in text.split(',') {
        let pair = member.split(';').next().unwrap_or_default();
        let Some((name, value)) = pair.split_once('=') else { continue };
        let field = match name.trim() {
            "user.id" => Field::User,
            "session.id" => Field::Session,
            "tenant.id" => Field::Customer,
            _ => continue,
        };
        draft.tell(Rank::Baggage, field, &percent_decoded(value.trim()));
    }
}

/// A text with its percent-encoding undone; what is not UTF-8 then is replaced.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|pair| data_encoding::HEXLOWER_PERMISSIVE.decode(pair).ok());
        match hex {
            Some(byte) => {
                decoded.extend_from_slice(&byte);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The client's name: the first product of a user agent, without its version.
fn client(user_agent: &str) -> Option<&str> {
    let product = user_agent.split([' ', '(', ';']).next().unwrap_or_default();
    let is_version = |text: &str| text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let name = match product.rsplit_once('/') {
        Some((name, version)) if is_version(version) => name,
        _ => product,
    };
    (!name.is_empty()).then_some(name)
}
