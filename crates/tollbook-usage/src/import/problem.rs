//! What is wrong with something that was sent, for programs (`code`) and for people (`detail`).
//!
//! A detail names members and bounds; it never repeats what was sent, which may hold secrets.

use std::fmt;

/// The closed set of codes.
pub mod code {
    /// Not JSON; the detail names line and column.
    pub const JSON_INVALID: &str = "json_invalid";
    /// Nested beyond the bound.
    pub const JSON_TOO_DEEP: &str = "json_too_deep";
    /// More values than are held in memory.
    pub const JSON_TOO_LARGE: &str = "json_too_large";
    /// A member stands twice in an object.
    pub const JSON_DUPLICATE_KEY: &str = "json_duplicate_key";
    /// Not UTF-8.
    pub const NOT_UTF8: &str = "not_utf8";
    /// A line beyond the bound.
    pub const LINE_TOO_LONG: &str = "line_too_long";
    /// A member of the wrong type or form.
    pub const FIELD_INVALID: &str = "field_invalid";
    /// A member beyond its bound.
    pub const FIELD_TOO_LARGE: &str = "field_too_large";
    /// A member that has to be there.
    pub const FIELD_MISSING: &str = "field_missing";
    /// A member that is not known.
    pub const UNKNOWN_MEMBER: &str = "unknown_member";
    /// An id that cannot be one.
    pub const ID_INVALID: &str = "id_invalid";
    /// A part above its whole.
    pub const USAGE_INCONSISTENT: &str = "usage_inconsistent";
    /// Not an instant.
    pub const TIMESTAMP_INVALID: &str = "timestamp_invalid";
    /// An instant too far ahead.
    pub const TIMESTAMP_FUTURE: &str = "timestamp_future";
    /// An instant too long ago.
    pub const TIMESTAMP_TOO_OLD: &str = "timestamp_too_old";

    /// Every code.
    pub const ALL: &[&str] = &[
        JSON_INVALID,
        JSON_TOO_DEEP,
        JSON_TOO_LARGE,
        JSON_DUPLICATE_KEY,
        NOT_UTF8,
        LINE_TOO_LONG,
        FIELD_INVALID,
        FIELD_TOO_LARGE,
        FIELD_MISSING,
        UNKNOWN_MEMBER,
        ID_INVALID,
        USAGE_INCONSISTENT,
        TIMESTAMP_INVALID,
        TIMESTAMP_FUTURE,
        TIMESTAMP_TOO_OLD,
    ];
}

/// Something wrong with what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One of [`code::ALL`].
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// The member, as a JSON pointer such as `/usage/input_tokens`.
    pub pointer: Option<String>,
}

impl Problem {
    /// A problem with the whole.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), pointer: None }
    }

    /// A problem with one member.
    pub fn at(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), pointer: Some(pointer.into()) }
    }

    /// The same problem, with one member named.
    #[must_use]
    pub fn pointed(mut self, pointer: &str) -> Problem {
        self.pointer = Some(pointer.to_owned());
        self
    }

    /// Whether the text itself could not be read, as against what it says.
    pub fn is_syntax(&self) -> bool {
        matches!(
            self.code,
            code::JSON_INVALID
                | code::JSON_TOO_DEEP
                | code::JSON_TOO_LARGE
                | code::JSON_DUPLICATE_KEY
                | code::NOT_UTF8
                | code::LINE_TOO_LONG
        )
    }

    /// From the strict JSON reader's error.
    pub fn of_json(error: &serde_json::Error, text: &[u8]) -> Problem {
        if let Err(utf8) = std::str::from_utf8(text) {
            let detail = format!("byte {} is not UTF-8", utf8.valid_up_to() + 1);
            return Problem::new(code::NOT_UTF8, detail);
        }
        let place = format!("{}:{}", error.line(), error.column());
        let said = error.to_string();
        let (code, detail) = if said.starts_with("duplicate member") || said.starts_with("duplicate field") {
            (code::JSON_DUPLICATE_KEY, "a member stands twice in one object")
        } else if said.starts_with("nested too deeply") || said.starts_with("recursion limit") {
            (code::JSON_TOO_DEEP, "nested too deeply")
        } else if said.starts_with("too many values") {
            (code::JSON_TOO_LARGE, "too many values; send a long response as a text")
        } else if text.starts_with(b"\xef\xbb\xbf") {
            (code::JSON_INVALID, "starts with a byte order mark; leave it out")
        } else if error.is_data() {
            (code::FIELD_INVALID, "a member is of the wrong type")
        } else if error.is_eof() {
            (code::JSON_INVALID, "the text ends too early")
        } else {
            (code::JSON_INVALID, "not JSON")
        };
        Problem::new(code, format!("{detail}, at {place}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pointer {
            Some(pointer) => write!(f, "{}: {pointer}: {}", self.code, self.detail),
            None => write!(f, "{}: {}", self.code, self.detail),
        }
    }
}

impl std::error::Error for Problem {}

/// A name's JSON pointer below another one, cut where it is absurdly long.
pub(crate) fn below(pointer: &str, name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The known name that an unknown one is likely to be.
pub(crate) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const WORDS: &[(&str, &str)] = &[
        ("prompt_tokens", "input_tokens"),
        ("completion_tokens", "output_tokens"),
        ("cached_tokens", "cache_read_tokens"),
        ("cache_read_input_tokens", "cache_read_tokens"),
        ("cache_creation_input_tokens", "cache_write_tokens"),
        ("timestamp", "occurred_at"),
        ("time", "occurred_at"),
        ("cost", "provider_cost_usd"),
        ("cost_usd", "provider_cost_usd"),
        ("user_id", "user"),
        ("session_id", "session"),
        ("agent_id", "agent"),
        ("customer_id", "customer"),
        ("tenant_id", "project"),
        ("event_id", "id"),
    ];
    if name.len() > 64 {
        return None;
    }
    let mut known = known;
    let word = WORDS.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
    known
        .by_ref()
        .find(|candidate| word.map_or_else(|| distance(name, candidate) <= 2, |ours| ours == *candidate))
}

/// How many single-character edits lie between two short names.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, here) in left.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (at, other) in right.iter().enumerate() {
            let replace = diagonal + usize::from(here != *other);
            diagonal = row[at + 1];
            row[at + 1] = replace.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_met_with_the_name_that_was_meant() {
        let known = ["input_tokens", "output_tokens", "occurred_at", "id"];
        let meant = |name| meant(name, known.into_iter());
        assert_eq!(meant("input_token"), Some("input_tokens"));
        assert_eq!(meant("ouptut_tokens"), Some("output_tokens"));
        assert_eq!(meant("prompt_tokens"), Some("input_tokens"));
        assert_eq!(meant("timestamp"), Some("occurred_at"));
        assert_eq!(meant("colour"), None);
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(below("/tags", "a/b~c"), "/tags/a~1b~0c");
    }
}
