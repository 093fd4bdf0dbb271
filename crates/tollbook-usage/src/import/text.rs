//! Small helpers over text and JSON values that every parser here shares.

use serde_json::{Map, Value};
use tollbook_types::limits::{ERROR_BYTES_MAX, NAME_BYTES_MAX};
use tollbook_types::{Content, Digest, json};

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

/// The digest of members, whatever their order, null being absent.
pub(crate) fn content(members: Map<String, Value>) -> Content {
    Digest::of(json::canonical(&Value::Object(members)).as_bytes())
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

    #[test]
    fn names_are_bounded_and_clean() {
        assert_eq!(name(" a\r\nb "), Some("a  b".to_owned()));
        assert_eq!(name("\u{0}"), None);
        assert_eq!(name(&"é".repeat(200)).map(|text| text.len()), Some(256));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
