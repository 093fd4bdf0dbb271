//! CloudEvents 1.0: an envelope around an event, as JSON or as headers.
//!
//! An envelope becomes the native event that it stands for, and what is wrong with that is told in
//! the envelope's own names. It must never know the ledger, nor what becomes of an event.

use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use tollbook_types::{Event, limits::NAME_BYTES_MAX};
use tollbook_usage::import::{Context, Problem, code, is_usage_member, native};

/// What the source of an entry begins with when a CloudEvent told of it; the event's own source
/// follows. No other source has a colon, so none of them can be claimed.
const SOURCE_PREFIX: &str = "ce:";
/// What the headers of the binary form begin with.
const HEADER_PREFIX: &str = "ce-";
/// The provider of a prompt that names none: it has no price.
const PROVIDER_UNKNOWN: &str = "unknown";
/// Attributes that stand in the envelope and nowhere else.
const OF_ENVELOPE: [(&str, &str); 2] = [("id", "id"), ("occurred_at", "time")];

/// Whether an object is an envelope: no native event has this member.
pub fn is_envelope(members: &Map<String, Value>) -> bool {
    members.contains_key("specversion")
}

/// The attributes that a request's headers tell, if they tell any: those of the binary form.
pub fn attributes(headers: &HeaderMap) -> Result<Option<Map<String, Value>>, Problem> {
    let mut found = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) else { continue };
        let wrong = |detail| Problem::at(code::FIELD_INVALID, format!("/{name}"), detail);
        if found.contains_key(name) {
            return Err(wrong("stands in two headers"));
        }
        let text = header_text(value).ok_or_else(|| wrong("is no text; encode it with percent signs"))?;
        found.insert(name.to_owned(), Value::String(text));
    }
    Ok((!found.is_empty()).then_some(found))
}

/// A header's value as the HTTP binding of CloudEvents writes texts: perhaps in quotes, with what is
/// not ASCII behind percent signs.
fn header_text(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let text = match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) => unquoted(quoted),
        None => text.to_owned(),
    };
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let encoded = behind.get(..2).filter(|_| *first == b'%').and_then(hex);
        bytes.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).ok()
}

fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        plain.extend(if sign == '\\' { signs.next() } else { Some(sign) });
    }
    plain
}

fn hex(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}

/// Reads an envelope and the event in it. Its source is part of the event's identity.
pub fn read(envelope: &Value, ctx: &Context<'_>) -> Result<Event, Vec<Problem>> {
    let Value::Object(envelope) = envelope else {
        return Err(vec![Problem::new(code::FIELD_INVALID, "an event is an object")]);
    };
    let mut problems = Vec::new();
    let source = source(envelope, &mut problems);
    check_attributes(envelope, &mut problems);
    let Some((members, data)) = members(envelope, &mut problems) else { return Err(problems) };
    let of_source = Context { source: &source, now: ctx.now, at: ctx.at, window: ctx.window };
    match native::parse_value(&Value::Object(members), &of_source) {
        Ok(event) if problems.is_empty() => Ok(event),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| data.in_envelope(problem)));
            Err(problems)
        }
    }
}

/// An attribute's text; null is absent.
fn attribute<'a>(
    envelope: &'a Map<String, Value>,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'a str> {
    let detail = match envelope.get(name) {
        None | Some(Value::Null) => return None,
        Some(Value::String(text)) if !text.is_empty() => return Some(text),
        Some(Value::String(_)) => "must not be empty",
        Some(_) => "must be a text",
    };
    problems.push(Problem::at(code::FIELD_INVALID, format!("/{name}"), detail));
    None
}

fn required<'a>(
    envelope: &'a Map<String, Value>,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'a str> {
    if envelope.get(name).is_none_or(Value::is_null) {
        problems.push(Problem::at(code::FIELD_MISSING, format!("/{name}"), "has to be there"));
    }
    attribute(envelope, name, problems)
}

/// The source of the entry.
fn source(envelope: &Map<String, Value>, problems: &mut Vec<Problem>) -> String {
    let told = required(envelope, "source", problems).unwrap_or_default();
    let max = NAME_BYTES_MAX - SOURCE_PREFIX.len();
    if told.len() > max {
        let detail = format!("longer than {max} bytes");
        problems.push(Problem::at(code::FIELD_TOO_LARGE, "/source", detail));
    }
    if told.chars().any(char::is_control) {
        problems.push(Problem::at(code::FIELD_INVALID, "/source", "holds a control character"));
    }
    format!("{SOURCE_PREFIX}{told}")
}

/// Checks the attributes that say what the envelope is and that are not kept.
fn check_attributes(envelope: &Map<String, Value>, problems: &mut Vec<Problem>) {
    if required(envelope, "specversion", problems).is_some_and(|version| version != "1.0") {
        problems.push(Problem::at(code::FIELD_INVALID, "/specversion", "must be \"1.0\""));
    }
    required(envelope, "type", problems);
    if attribute(envelope, "datacontenttype", problems).is_some_and(|told| !is_json(told)) {
        problems.push(Problem::at(code::FIELD_INVALID, "/datacontenttype", "must be application/json"));
    }
    if envelope.contains_key("data_base64") {
        problems.push(Problem::at(code::FIELD_INVALID, "/data_base64", "is not read; send data as JSON"));
    }
}

/// Whether a content type is JSON's, or is built on it.
pub fn is_json(content_type: &str) -> bool {
    let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    name == "application/json" || name.ends_with("+json")
}

/// How `data` told what it told, so that problems are pointed at what was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Data {
    /// The customer is the envelope's subject.
    customer_is_subject: bool,
    quantities: Quantities,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quantities {
    /// As a native event has them.
    #[default]
    Native,
    /// The members of `usage` stand among those of data.
    Flat,
    /// `tokens`, and `type` to say which.
    Prompt,
}

/// The native event's members, or `None` and at least one problem.
fn members(envelope: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<(Map<String, Value>, Data)> {
    let Some(Value::Object(told)) = envelope.get("data") else {
        let found = envelope.get("data").is_some_and(|data| !data.is_null());
        let code = if found { code::FIELD_INVALID } else { code::FIELD_MISSING };
        problems.push(Problem::at(code, "/data", "must be there, as an object"));
        return None;
    };
    let mut members = told.clone();
    for (ours, theirs) in OF_ENVELOPE {
        if members.remove(ours).is_some() {
            let detail = format!("stands in the envelope, as {theirs}");
            problems.push(Problem::at(code::UNKNOWN_MEMBER, format!("/data/{ours}"), detail));
        }
        if let Some(value) = envelope.get(theirs) {
            members.insert(ours.to_owned(), value.clone());
        }
    }
    let mut data = Data { quantities: quantities(&mut members, problems), ..Data::default() };
    if members.get("customer").is_none_or(Value::is_null)
        && let Some(subject) = envelope.get("subject").filter(|subject| !subject.is_null())
    {
        members.insert("customer".to_owned(), subject.clone());
        data.customer_is_subject = true;
    }
    Some((members, data))
}

/// Puts the quantities where a native event has them.
fn quantities(members: &mut Map<String, Value>, problems: &mut Vec<Problem>) -> Quantities {
    if members.contains_key("tokens") {
        return prompt(members, problems);
    }
    let flat: Vec<String> = members.keys().filter(|name| is_usage_member(name)).cloned().collect();
    if flat.is_empty() || members.contains_key("usage") {
        return Quantities::Native;
    }
    let usage = flat.into_iter().filter_map(|name| members.remove_entry(&name)).collect();
    members.insert("usage".to_owned(), Value::Object(usage));
    Quantities::Flat
}

/// `{"tokens":123,"type":"input"}`: one side of a call. Its tokens are often a text of digits.
fn prompt(members: &mut Map<String, Value>, problems: &mut Vec<Problem>) -> Quantities {
    let tokens = members.remove("tokens").map(|tokens| match tokens.as_str().and_then(digits) {
        Some(count) => Value::from(count),
        None => tokens,
    });
    let kind = members.remove("type");
    let side = match kind.as_ref().and_then(Value::as_str) {
        Some("input" | "system") => "input_tokens",
        Some("output") => "output_tokens",
        _ => {
            let code = if kind.is_some() { code::FIELD_INVALID } else { code::FIELD_MISSING };
            let detail = "must be input, output or system beside tokens";
            problems.push(Problem::at(code, "/data/type", detail));
            "input_tokens"
        }
    };
    let usage = tokens.into_iter().map(|tokens| (side.to_owned(), tokens)).collect();
    members.insert("usage".to_owned(), Value::Object(usage));
    members.entry("provider").or_insert_with(|| PROVIDER_UNKNOWN.into());
    Quantities::Prompt
}

/// The number that a text of digits is.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Data {
    /// The problem with a native event as one with the envelope around it.
    fn in_envelope(self, mut problem: Problem) -> Problem {
        problem.pointer = problem.pointer.map(|pointer| self.pointer(&pointer));
        problem
    }

    fn pointer(self, native: &str) -> String {
        match (native, self.quantities) {
            ("/id", _) => "/id".to_owned(),
            ("/occurred_at", _) => "/time".to_owned(),
            ("/customer", _) if self.customer_is_subject => "/subject".to_owned(),
            (_, Quantities::Prompt) if native.starts_with("/usage/") => "/data/tokens".to_owned(),
            (_, Quantities::Flat) if native.starts_with("/usage") => {
                format!("/data{}", native.trim_start_matches("/usage"))
            }
            _ => format!("/data{native}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_decoded_once() {
        for (value, text) in [
            ("svc/chat", Some("svc/chat")),
            ("Euro %E2%82%AC", Some("Euro €")),
            ("100%25%32%35", Some("100%25")),
            ("100%, %zz, %4", Some("100%, %zz, %4")),
            ("\"a \\\"b\\\" %41\"", Some("a \"b\" A")),
            ("%FF", None),
        ] {
            let header: HeaderValue = value.parse().unwrap();
            assert_eq!(header_text(&header).as_deref(), text, "{value}");
        }
        assert_eq!(header_text(&HeaderValue::from_bytes(b"caf\xc3\xa9").unwrap()), None);
    }
}
