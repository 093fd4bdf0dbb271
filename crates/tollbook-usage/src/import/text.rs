//! Small helpers over text and JSON values that every parser here shares.

use serde_json::{Map, Value};
use tollbook_types::limits::{ERROR_BYTES_MAX, NAME_BYTES_MAX};
use tollbook_types::{Content, Digest};

/// The text without control characters, cut to `bytes_max` at a character; `None` when nothing is left.
pub(crate) fn tidy(text: &str, bytes_max: usize) -> Option<String> {
    let mut kept = String::with_capacity(text.len().min(bytes_max));
    for found in text.chars() {
        let found = if found.is_control() { ' ' } else { found };
        if kept.len() + found.len_utf8() > bytes_max {
            break;
        }
        kept.push(found);
    }
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// A foreign name made fit to be a dimension.
pub(crate) fn name(text: &str) -> Option<String> {
    tidy(text, NAME_BYTES_MAX)
}

/// A foreign error text made fit to be kept.
pub(crate) fn error(text: &str) -> Option<String> {
    tidy(text, ERROR_BYTES_MAX)
}

/// A member's text, if it is one and not empty.
pub(crate) fn member<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The digest of members, whatever their order, null being absent: that of their canonical text.
pub(crate) fn content<'a>(members: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Content {
    let mut canonical = Vec::with_capacity(512);
    write_object(members, &mut canonical);
    Digest::of(&canonical)
}

/// The members of an object.
pub(crate) fn each(members: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    members.iter().map(|(name, value)| (name.as_str(), value))
}

/// Writes what [`tollbook_types::json::canonical`] gives, without copying the value first.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => write_object(each(members), out),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        scalar => write_scalar(scalar, out),
    }
}

fn write_object<'a>(members: impl IntoIterator<Item = (&'a str, &'a Value)>, out: &mut Vec<u8>) {
    let mut sorted: Vec<(&str, &Value)> = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_scalar(name, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn write_scalar(scalar: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    // A scalar's text goes into memory, which does not fail.
    serde_json::to_writer(&mut *out, scalar).unwrap_or_default();
}

/// A digest as text, over the parts and their lengths.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Digest::of(&bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollbook_types::json;

    #[test]
    fn content_is_the_digest_of_the_canonical_text() {
        let text = r#"{"b":null,"a":[{"d":1.5e-7,"c":null,"\u00e9\n":[]},"x\"",null,true],"A":{}}"#;
        let Ok(Value::Object(members)) = json::parse(text.as_bytes()) else { unreachable!() };
        let canonical = json::canonical(&Value::Object(members.clone()));
        assert_eq!(content(each(&members)), Digest::of(canonical.as_bytes()));
    }

    #[test]
    fn names_are_bounded_and_clean() {
        assert_eq!(name(" a\r\nb "), Some("a  b".to_owned()));
        assert_eq!(name("\u{0}"), None);
        assert_eq!(name(&"é".repeat(200)).map(|text| text.len()), Some(256));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
