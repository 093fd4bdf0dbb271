//! An attribution in the making: of several sources that name one thing, the strongest counts.
//!
//! This must never know where a value was found beyond its rank.

use serde_json::{Map, Value};
use tollbook_types::limits::{METADATA_BYTES_MAX, NAME_BYTES_MAX, TAGS_MAX};
use tollbook_types::{Attribution, Key, json};

/// Sources, the strongest first. A key's binding is stronger than all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// `x-tollbook-*`.
    Own,
    LiteLlm,
    /// What LiteLLM sends for want of something better.
    LiteLlmTrace,
    Helicone,
    Portkey,
    Cloudflare,
    /// A session's id in a header of any vendor.
    VendorSession,
    /// Headers that name the application.
    App,
    SafetyIdentifier,
    BodyUser,
    BodyMetadata,
    BodyLabels,
    Baggage,
    CacheKey,
    /// The name of the client program.
    Client,
}

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Project,
    Customer,
    User,
    Agent,
    AgentName,
    Operation,
    OperationId,
    Session,
}

const FIELDS: usize = 8;
/// Tags that are looked at, whoever sends them.
const TOLD_TAGS_MAX: usize = 4 * TAGS_MAX;
/// Texts that are looked at for one value.
const TOLD_BYTES_MAX: usize = 8 * 1024;

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    fields: [Option<(Rank, String)>; FIELDS],
    tags: Vec<(Rank, String, String)>,
    metadata: Vec<(Rank, String, Value)>,
}

impl Draft {
    /// A value, unless a source at least as strong has told one.
    pub fn tell(&mut self, rank: Rank, field: Field, text: &str) {
        let told = &mut self.fields[field as usize];
        if told.as_ref().is_some_and(|(stronger, _)| *stronger <= rank) {
            return;
        }
        if let Some(value) = name(text) {
            *told = Some((rank, value));
        }
    }

    /// One tag.
    pub fn tag(&mut self, rank: Rank, tag: &str, value: &str) {
        if let (true, Some(tag), Some(value)) = (self.tags.len() < TOLD_TAGS_MAX, name(tag), name(value)) {
            self.tags.push((rank, tag, value));
        }
    }

    /// A tag as one word: `name=value` or `name:value`; another word is a tag that is `true`.
    pub fn tag_word(&mut self, rank: Rank, word: &str) {
        let word = word.trim();
        let (tag, value) = word.split_once(['=', ':']).unwrap_or((word, "true"));
        self.tag(rank, tag, value);
    }

    /// A member of the metadata.
    pub fn note(&mut self, rank: Rank, member: &str, value: Value) {
        if let (true, Some(member)) = (self.metadata.len() < TOLD_TAGS_MAX, name(member)) {
            self.metadata.push((rank, member, value));
        }
    }

    /// The members of a JSON object that is short enough to be kept as metadata.
    pub fn notes(
        &mut self,
        rank: Rank,
        text: &[u8],
        mut takes: impl FnMut(&mut Draft, &str, &Value) -> bool,
    ) {
        for (member, value) in object(text).unwrap_or_default() {
            if !takes(self, &member, &value) {
                self.note(rank, &member, value);
            }
        }
    }

    /// The attribution: the key's binding, and beside it what was told.
    pub fn finish(mut self, key: &Key) -> Attribution {
        let binding = &key.binding;
        let mut take = |bound: &Option<String>, field: Field| {
            bound.clone().or_else(|| self.fields[field as usize].take().map(|(_, value)| value))
        };
        let mut attribution = Attribution {
            project: take(&binding.project, Field::Project),
            customer: take(&binding.customer, Field::Customer),
            user: take(&binding.user, Field::User),
            agent: take(&binding.agent, Field::Agent),
            agent_name: take(&binding.agent_name, Field::AgentName),
            operation: take(&binding.operation, Field::Operation),
            operation_id: take(&binding.operation_id, Field::OperationId),
            session: take(&binding.session, Field::Session),
            key: Some(key.id.clone()),
            tags: binding.tags.clone(),
            metadata: None,
        };
        self.tags.sort_by_key(|(rank, ..)| *rank);
        for (_, tag, value) in self.tags {
            if attribution.tags.len() < TAGS_MAX {
                attribution.tags.entry(tag).or_insert(value);
            }
        }
        attribution.metadata = merged(binding.metadata.as_ref(), self.metadata);
        attribution
    }
}

/// Metadata of several sources as one object, as far as it fits.
fn merged(bound: Option<&Value>, mut told: Vec<(Rank, String, Value)>) -> Option<Value> {
    let mut members = bound.and_then(Value::as_object).cloned().unwrap_or_default();
    told.sort_by_key(|(rank, ..)| *rank);
    let mut bytes = if members.is_empty() { 2 } else { Value::Object(members.clone()).to_string().len() };
    for (_, member, value) in told {
        if members.contains_key(&member) {
            continue;
        }
        // Two quotes, a colon and a comma; escapes in the name count as well.
        let adds = Value::from(member.as_str()).to_string().len() + value.to_string().len() + 2;
        if bytes + adds <= METADATA_BYTES_MAX {
            bytes += adds;
            members.insert(member, value);
        }
    }
    (!members.is_empty()).then_some(Value::Object(members))
}

/// A JSON object that is short enough to be kept.
pub(super) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    if text.len() > METADATA_BYTES_MAX {
        return None;
    }
    match json::parse(text) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// A text made fit to be a dimension: without control characters and blanks around it, cut at a
/// character; `None` when nothing is left.
pub(super) fn name(text: &str) -> Option<String> {
    let mut kept = String::with_capacity(text.len().min(NAME_BYTES_MAX));
    for letter in text.trim_start().chars().take(TOLD_BYTES_MAX).filter(|letter| !letter.is_control()) {
        if kept.len() + letter.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        kept.push(letter);
    }
    kept.truncate(kept.trim_end().len());
    (!kept.is_empty()).then_some(kept)
}

/// The text of a JSON scalar as it stands in a body; long strings are cut first.
pub(super) fn scalar(raw: &[u8]) -> Option<String> {
    match raw.first()? {
        b'"' if raw.len() <= TOLD_BYTES_MAX => serde_json::from_slice(raw).ok(),
        b'"' => {
            // The cut may fall into an escape or a character: of any twelve bytes one is free.
            let ends = (0..12).map(|back| TOLD_BYTES_MAX - back);
            let mut starts = ends.map(|end| [&raw[..end], b"\""].concat());
            starts.find_map(|start| serde_json::from_slice(&start).ok())
        }
        b'-' | b'0'..=b'9' => std::str::from_utf8(raw).ok().map(str::to_owned),
        _ => None,
    }
}
