//! The gate before the tokenizer: an event that names nothing of interest is never parsed.
//!
//! It may let too much through, never too little: what it stops cannot carry usage.

use crate::api::Api;
use crate::json_push::zero_bytes;
use memchr::memmem::Finder;

/// Events that are read whatever they say, until the answer's model and id are known.
const GREETED_MAX: u8 = 8;

/// No name of interest is longer.
pub(crate) const NAME_BYTES_MAX: usize = 32;

/// Bytes that are searched at once.
const BLOCK: usize = 32;

/// Searches an event for names of interest.
#[derive(Debug)]
pub(crate) struct Gate {
    more: Vec<Finder<'static>>,
    greeted: u8,
    open: bool,
}

/// Further names by family.
const fn names(api: Api) -> &'static [&'static str] {
    match api {
        Api::Realtime => &["\"session."],
        Api::GenerateContent => &["webSearchQueries", "groundingChunks"],
        Api::Ollama => &["eval_count"],
        Api::LlamaCpp => &["tokens_predicted"],
        Api::Invoke => &["okenCount", "token_count"],
        Api::CohereChat => &["billed_units"],
        _ => &[],
    }
}

impl Gate {
    pub fn new(api: Api) -> Gate {
        Gate {
            more: names(api).iter().map(|name| Finder::new(*name)).collect(),
            greeted: 0,
            open: matches!(api, Api::BatchResults | Api::Batch | Api::Other),
        }
    }

    /// Whether the event must be read. `known`: the answer's model and id are.
    pub fn passes(&mut self, event: &[u8], known: bool) -> bool {
        if !known && self.greeted < GREETED_MAX {
            self.greeted += 1;
            return true;
        }
        self.open || self.finds(event)
    }

    /// Whether an event must be read of which all but `event` has been searched before, in another that
    /// began with the same bytes and had no name of interest there.
    pub fn passes_rest(&self, event: &[u8], known: bool) -> bool {
        self.open || (!known && self.greeted < GREETED_MAX) || self.finds(event)
    }

    fn finds(&self, event: &[u8]) -> bool {
        says_something(event) || self.more.iter().any(|name| name.find(event).is_some())
    }

    /// How much of an event that did not pass stands before any name of interest, whatever its value.
    pub fn silent(event: &[u8]) -> usize {
        let mut from = 0;
        while let Some(at) = hint(event, from) {
            from = at + 1;
            if event.get(..at + 4).is_some_and(|upto| is_named(event, upto)) {
                return at.saturating_sub(NAME_BYTES_MAX);
            }
        }
        event.len()
    }
}

/// Whether `usage` or `"error"` is there with a value other than `null`.
fn says_something(event: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = hint(event, from) {
        from = at + 1;
        let Some(upto) = event.get(..at + 4) else { return false };
        if is_named(event, upto) && !is_null(&event[at + 4..]) {
            return true;
        }
    }
    false
}

/// Whether what has been read of the event ends with a name of interest.
#[inline(always)]
fn is_named(event: &[u8], upto: &[u8]) -> bool {
    upto.ends_with(b"usage") || (upto.ends_with(b"\"error") && event.get(upto.len()) == Some(&b'"'))
}

/// Whether `null` is the value of the name that has just ended, but for its quote perhaps.
fn is_null(after: &[u8]) -> bool {
    if after.starts_with(b"\":null") {
        return true;
    }
    let rest = after.strip_prefix(b"\"").unwrap_or(after).trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

/// Where the middle of a name may stand, from here on: the `sag` of `usage` or the `rro` of
/// `error`. `s` and `r` differ in one bit, and so do `g` and `o`: one search finds both. Of the
/// last bytes not all are searched: after a middle there is no room for a value.
fn hint(event: &[u8], from: usize) -> Option<usize> {
    let mut rest = event.get(from..)?;
    while let Some(block) = rest.first_chunk::<{ BLOCK + 2 }>() {
        let ends = block[..BLOCK].iter().zip(&block[2..]);
        // Bytes and not flags: that becomes vector instructions.
        if ends.fold(0, |any, (first, last)| any | u8::from(is_hint(*first, *last))) != 0 {
            break;
        }
        rest = &rest[BLOCK..];
    }
    while let Some(eight) = rest.first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let first = word & 0xfefe_fefe_fefe_fefe ^ 0x7272_7272_7272_7272;
        let last = (word >> 16) & 0xf7f7_f7f7_f7f7_f7f7 ^ 0x6767_6767_6767_6767;
        let found = zero_bytes(first | last);
        if found != 0 {
            return Some(event.len() - rest.len() + (found.trailing_zeros() / 8) as usize);
        }
        rest = &rest[6..];
    }
    None
}

const fn is_hint(first: u8, last: u8) -> bool {
    (first & 0xfe == b'r') & (last & 0xf7 == b'g')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_usage_does_not_pass() {
        let mut gate = Gate::new(Api::Chat);
        assert!(
            !gate.passes(br#"{"choices":[{"delta":{"content":"x"}}],"usage":null,"error" : null}"#, true)
        );
        assert!(gate.passes(br#"{"usage":null,"x_groq":{"usage":{"prompt_tokens":1}}}"#, true));
        assert!(gate.passes(br#"{"usageMetadata":{}}"#, true));
        assert!(gate.passes(br#"{"error":{"message":"x"}}"#, true));
        assert!(gate.passes(br#"{}"#, false));
    }

    #[test]
    fn a_name_is_found_wherever_it_stands() {
        let cases = [
            (r#""usage":{}"#, true),
            (r#""usage" : {}"#, true),
            (r#""usageMetadata":{}"#, true),
            (r#""x_usage":1"#, true),
            (r#""error":"x""#, true),
            (r#""error" : {}"#, true),
            (r#""usage":null"#, false),
            (r#""usage" : null"#, false),
            (r#""error":null"#, false),
            (r#""errors":1"#, false),
            (r#""terror":1"#, false),
            (r#""stage":"rages, sago, segno""#, false),
        ];
        for (member, passes) in cases {
            for before in 0..100 {
                for after in ["", ",\"r\":1", ",\"the rest of a longer event\":[1,2,3,4,5]"] {
                    let event = format!("{{\"{}\":1,{member}{after}}}", "x".repeat(before));
                    let found = says_something(event.as_bytes());
                    assert_eq!(found, passes, "{event}");
                }
            }
        }
    }
}
