//! What a budget may have changed in a request's body: its model, its bound on tokens out. Only what
//! stands there once and beyond doubt is changed.

use crate::admission::Admitted;
use crate::members::Members;
use bytes::Bytes;
use std::ops::Range;
use tollbook_usage::{Api, Request as Facts};

/// The text of a body as it is let go; `None` where there is nothing to change.
pub(crate) fn changed(admitted: &Admitted, facts: &Facts, text: &Bytes) -> Option<Bytes> {
    let mut changes = Vec::new();
    if let Some(to) = &admitted.model
        && let Some(place) = model_in(text)
    {
        changes.push((place, serde_json::Value::from(to.as_str()).to_string()));
    }
    if let Some(most) = admitted.max_tokens
        && let Some(bound) = MaxTokens::of(facts, text)
    {
        changes.push((bound.place, format!("{}{most}{}", bound.before, bound.after)));
    }
    // From the back, so that places stay where they are.
    changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut changed = None;
    for (place, new) in changes {
        let text = changed.as_ref().unwrap_or(text);
        changed = Some(Bytes::from([&text[..place.start], new.as_bytes(), &text[place.end..]].concat()));
    }
    changed
}

/// Where a body bounds the tokens of its answer.
pub(crate) struct MaxTokens {
    /// Where the number stands, or would.
    place: Range<usize>,
    /// What has to stand before it, and behind.
    before: String,
    after: &'static str,
}

impl MaxTokens {
    /// `None` where it is bounded twice, or for several answers.
    pub fn of(facts: &Facts, text: &[u8]) -> Option<MaxTokens> {
        // The objects that it may be in, if it is in one, and its names; the first is put in where there is none.
        let (objects, names): (&[&str], &[&str]) = match facts.api {
            // Other providers know only the second.
            Api::Chat if ["openai", "azure"].contains(&facts.provider.as_str()) => {
                (&[], &["max_completion_tokens", "max_tokens"])
            }
            Api::Chat => (&[], &["max_tokens", "max_completion_tokens"]),
            Api::Completions | Api::Messages | Api::CohereChat => (&[], &["max_tokens"]),
            Api::Responses => (&[], &["max_output_tokens"]),
            // Protobuf's JSON knows both spellings.
            Api::GenerateContent => {
                (&["generationConfig", "generation_config"], &["maxOutputTokens", "max_output_tokens"])
            }
            Api::Converse => (&["inferenceConfig"], &["maxTokens"]),
            Api::Ollama => (&["options"], &["num_predict"]),
            _ => return None,
        };
        if facts.n.is_some_and(|answers| answers > 1) {
            return None;
        }
        let whole = 0..text.len();
        let Some(object) = objects.first() else { return MaxTokens::within(text, whole, names) };
        match Found::of(text, whole, objects)? {
            Found::At(place) => MaxTokens::within(text, place, names),
            Found::Nowhere { end, comma } => Some(MaxTokens {
                place: end..end,
                before: format!("{comma}\"{object}\":{{\"{}\":", names.first()?),
                after: "}",
            }),
        }
    }

    /// Among the members of the object that stands there.
    fn within(text: &[u8], object: Range<usize>, names: &[&str]) -> Option<MaxTokens> {
        Some(match Found::of(text, object, names)? {
            Found::At(place) => MaxTokens { place, before: String::new(), after: "" },
            Found::Nowhere { end, comma } => {
                let before = format!("{comma}\"{}\":", names.first()?);
                MaxTokens { place: end..end, before, after: "" }
            }
        })
    }
}

/// Where one of several members stands.
enum Found {
    /// Its value.
    At(Range<usize>),
    /// There is none: where the object ends, and what has to stand before one more.
    Nowhere { end: usize, comma: &'static str },
}

impl Found {
    /// `None` where there are two, or may be under a name with escapes, or there is no object.
    fn of(text: &[u8], object: Range<usize>, names: &[&str]) -> Option<Found> {
        let start = object.start;
        let mut members = Members::of(&text[object]);
        let mut found = None;
        let mut comma = "";
        for member in members.by_ref() {
            comma = ",";
            if member.is_escaped() {
                return None;
            }
            if names.iter().any(|name| name.as_bytes() == member.name) {
                let place = start + member.value.start..start + member.value.end;
                if found.replace(place).is_some() {
                    return None;
                }
            }
        }
        let end = start + members.end()?;
        Some(found.map_or(Found::Nowhere { end, comma }, Found::At))
    }
}

/// Where the model's name stands in a body, with its quotes; `None` where it stands elsewhere or twice,
/// or may do so under a name with escapes.
pub(crate) fn model_in(text: &[u8]) -> Option<Range<usize>> {
    let mut members = Members::of(text);
    let mut found = None;
    for member in members.by_ref() {
        if member.is_escaped() || (member.name == b"model" && found.replace(member.value).is_some()) {
            return None;
        }
    }
    found.filter(|place| text.get(place.start) == Some(&b'"') && members.end().is_some())
}
