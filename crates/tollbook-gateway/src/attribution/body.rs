//! Attribution in a JSON body: the members that providers have for it, and those that other
//! gateways read there.
//!
//! The body is walked once, at its top level; only the few members of interest are parsed.

use super::draft::{Draft, Field, Rank, object, scalar};
use crate::members::Members;
use serde_json::Value;

/// Reads what a body says to its provider.
pub(super) fn read(draft: &mut Draft, body: &[u8], provider: &str) {
    for member in Members::of(body) {
        let value = || &body[member.value.clone()];
        match member.name {
            b"safety_identifier" => tell(draft, Rank::SafetyIdentifier, Field::User, value()),
            b"user" => tell(draft, Rank::BodyUser, Field::User, value()),
            b"prompt_cache_key" => tell(draft, Rank::CacheKey, Field::Session, value()),
            b"metadata" | b"litellm_metadata" => metadata(draft, value()),
            b"labels" if matches!(provider, "google" | "vertex") => labels(draft, value()),
            b"requestMetadata" if provider == "bedrock" => labels(draft, value()),
            _ => {}
        }
    }
}

fn tell(draft: &mut Draft, rank: Rank, field: Field, raw: &[u8]) {
    if let Some(text) = scalar(raw) {
        draft.tell(rank, field, &text);
    }
}

/// `metadata` as OpenAI, Anthropic and LiteLLM have it.
fn metadata(draft: &mut Draft, raw: &[u8]) {
    let rank = Rank::BodyMetadata;
    draft.notes(rank, raw, |draft, member, value| {
        match (member, value) {
            ("user_id", Value::String(text)) => user_id(draft, text),
            ("session_id", Value::String(text)) => draft.tell(rank, Field::Session, text),
            ("tags", Value::Array(words)) => {
                words.iter().filter_map(Value::as_str).for_each(|word| draft.tag_word(rank, word));
            }
            _ => return false,
        }
        true
    });
}

/// `metadata.user_id`, in which Claude Code tells its session as well: either
/// `user_HASH_account_ID_session_ID`, or a JSON object in a text.
fn user_id(draft: &mut Draft, text: &str) {
    let rank = Rank::BodyMetadata;
    if text.starts_with('{')
        && let Some(ids) = object(text.as_bytes())
    {
        let id = |name: &str| ids.get(name).and_then(Value::as_str).filter(|id| !id.is_empty());
        if let Some(user) = id("account_uuid").or_else(|| id("device_id")) {
            draft.tell(rank, Field::User, user);
        }
        if let Some(session) = id("session_id") {
            draft.tell(rank, Field::Session, session);
        }
        return;
    }
    let parts = text.strip_prefix("user_").and_then(|rest| {
        let (user, session) = rest.rsplit_once("_session_")?;
        let (hash, account) = user.rsplit_once("_account_")?;
        Some((if account.is_empty() { hash } else { account }, session))
    });
    match parts {
        Some((user, session)) => {
            draft.tell(rank, Field::User, user);
            draft.tell(rank, Field::Session, session);
        }
        None => draft.tell(rank, Field::User, text),
    }
}

/// Pairs of texts that become tags.
fn labels(draft: &mut Draft, raw: &[u8]) {
    for (label, value) in object(raw).unwrap_or_default() {
        if let Value::String(value) = value {
            draft.tag(Rank::BodyLabels, &label, &value);
        }
    }
}
