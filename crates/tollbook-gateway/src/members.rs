//! The members of a JSON object, found in one pass over its text.
//!
//! Nothing is copied, unescaped or judged: a member is where it stands. Text that is not JSON ends
//! the walk. This must never know what a member means.

use memchr::memchr2;
use std::ops::Range;

/// A walk over the members of one object.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The object has begun.
    First,
    /// A member has been read.
    Further,
    /// The closing brace has been read.
    Ended,
    /// The text is no object.
    Broken,
}

/// One member.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    /// The name between its quotes, escapes and all.
    pub name: &'a [u8],
    /// Where the name's first quote stands.
    pub at: usize,
    /// Where the value stands.
    pub value: Range<usize>,
}

impl Member<'_> {
    /// Whether its name is written with escapes, and so may be any.
    pub fn is_escaped(&self) -> bool {
        self.name.contains(&b'\\')
    }
}

impl<'a> Members<'a> {
    /// The members of the object that the text is; blanks around it are passed over.
    pub fn of(text: &'a [u8]) -> Members<'a> {
        let at = blanks(text, 0);
        let state = if text.get(at) == Some(&b'{') { State::First } else { State::Broken };
        Members { text, at: at + 1, state }
    }

    /// Where the closing brace stands: once all members have been read, and only if nothing but
    /// blanks follows.
    pub fn end(&self) -> Option<usize> {
        let whole = self.state == State::Ended && blanks(self.text, self.at) == self.text.len();
        whole.then(|| self.at - 1)
    }

    fn step(&mut self) -> Option<Member<'a>> {
        let text = self.text;
        let mut at = blanks(text, self.at);
        match (text.get(at)?, self.state) {
            (b'}', State::First | State::Further) => {
                (self.at, self.state) = (at + 1, State::Ended);
                return None;
            }
            (b',', State::Further) => at = blanks(text, at + 1),
            (_, State::First) => {}
            _ => return None,
        }
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let name_end = string_end(text, at)?;
        let colon = blanks(text, name_end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        let start = blanks(text, colon + 1);
        let end = value_end(text, start)?;
        (self.at, self.state) = (end, State::Further);
        Some(Member { name: &text[at + 1..name_end - 1], at, value: start..end })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        if matches!(self.state, State::Ended | State::Broken) {
            return None;
        }
        let member = self.step();
        if member.is_none() && self.state != State::Ended {
            self.state = State::Broken;
        }
        member
    }
}

/// Where the blanks that begin here end.
fn blanks(text: &[u8], at: usize) -> usize {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_blank(byte)).unwrap_or(rest.len())
}

/// Where the string that begins at its quote ends, behind its last quote.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at = quote(text, at)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where the value that begins here ends. Inside of containers only strings and depth count.
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'{' | b'[' => container_end(text, at),
        b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            Some(text[at..].iter().position(is_end).map_or(text.len(), |length| at + length))
        }
        _ => None,
    }
}

fn container_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            // Arrays of numbers are long.
            b'0'..=b'9' => {
                at = mark(text, at + 1)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Words of a string that are looked at before the search for long stretches takes over: most
/// strings in a dense text end sooner than that has begun.
const SHORT_WORDS: usize = 3;

/// Where the next quote or backslash stands.
fn quote(text: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..SHORT_WORDS {
        let Some(eight) = eight(text, at) else { break };
        let found = equals(eight, b'"') | equals(eight, b'\\');
        if found != 0 {
            return Some(at + first(found));
        }
        at += 8;
    }
    memchr2(b'"', b'\\', text.get(at..)?).map(|found| at + found)
}

/// Where the next quote, bracket or brace stands.
fn mark(text: &[u8], mut at: usize) -> Option<usize> {
    while let Some(eight) = eight(text, at) {
        // Brackets and braces differ in one bit.
        let folded = eight | all(0x20);
        let found = equals(eight, b'"') | equals(folded, b'{') | equals(folded, b'}');
        if found != 0 {
            return Some(at + first(found));
        }
        at += 8;
    }
    let is_mark = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']');
    text.get(at..)?.iter().position(is_mark).map(|found| at + found)
}

fn eight(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

const fn all(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// The high bit of each of eight bytes that equals this one. Above the first that does, bits may
/// be set that should not be.
const fn equals(eight: u64, byte: u8) -> u64 {
    let zero_where = eight ^ all(byte);
    zero_where.wrapping_sub(all(1)) & !zero_where & all(0x80)
}

/// The place of the first byte whose high bit is set.
const fn first(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    fn check(text: &str, found: &[(&str, &str)], end: Option<usize>) {
        let mut members = Members::of(text.as_bytes());
        let read: Vec<(&str, &str)> = members
            .by_ref()
            .map(|member| {
                assert_eq!(text.as_bytes()[member.at], b'"');
                (std::str::from_utf8(member.name).unwrap(), &text[member.value])
            })
            .collect();
        assert_eq!(read, found, "{text}");
        assert_eq!(members.end(), end, "{text}");
    }

    #[test]
    fn members_are_where_they_stand() {
        check("{}", &[], Some(1));
        check(" { } \n", &[], Some(3));
        check(r#"{"a":1}"#, &[("a", "1")], Some(6));
        check(
            "\t{ \"a\" : [1, {\"}\": \"]\\\"\"}, 22222222222222222222] , \"b\\\"\":\"x\\\\\" ,\"c\":-1.5e3,\"a\":null}",
            &[
                ("a", "[1, {\"}\": \"]\\\"\"}, 22222222222222222222]"),
                ("b\\\"", "\"x\\\\\""),
                ("c", "-1.5e3"),
                ("a", "null"),
            ],
            Some(83),
        );
    }

    #[test]
    fn what_is_no_object_ends_the_walk() {
        for text in
            ["", "[1]", "null", "\"a\"", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":}", "{,}", "{a:1}"]
        {
            check(text, &[], None);
        }
        for text in [
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1}}",
            "{\"a\":1}x",
            "{\"a\":1]",
        ] {
            check(text, &[("a", "1")], None);
        }
        check("{\"a\":[[[", &[], None);
        check("{\"a\":\"\\", &[], None);
    }

    #[test]
    fn it_finds_what_a_parser_finds() {
        let texts = [
            r#"{"model":"m","messages":[{"role":"user","content":"a\"}]b \\"}],"stream":true,"n":12}"#,
            r#"{"input":[[1,2,3,4,5,6,7,8,9,10,11],[12]],"x":{"y":{"z":"\u0022{"}},"é":"é\\\\"}"#,
        ];
        for text in texts {
            let parsed: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
            let found: BTreeMap<String, String> = Members::of(text.as_bytes())
                .map(|member| {
                    (String::from_utf8(member.name.to_vec()).unwrap(), text[member.value].to_owned())
                })
                .collect();
            let parsed: BTreeMap<String, String> =
                parsed.into_iter().map(|(name, raw)| (name, raw.get().to_owned())).collect();
            assert_eq!(found, parsed);
        }
    }

    #[test]
    fn the_first_of_what_is_looked_for_is_found() {
        for (find, wanted) in [(quote as fn(&[u8], usize) -> Option<usize>, &b"\"\\"[..]), (mark, b"\"{}[]")]
        {
            for byte in 0..=255_u8 {
                for place in 0..40 {
                    let mut text = vec![b'a'; 41];
                    text[place] = byte;
                    text[40] = b'"';
                    let expected = if wanted.contains(&byte) { place } else { 40 };
                    assert_eq!(find(&text, 0), Some(expected), "{byte} at {place}");
                    // A neighbour that differs in one bit is where such a search goes wrong.
                    text[place + 1] = byte ^ 1;
                    let first = text.iter().position(|byte| wanted.contains(byte));
                    assert_eq!(find(&text, 0), first, "{byte} and {} at {place}", byte ^ 1);
                }
            }
            assert_eq!(find(&[b'a'; 40], 0), None);
            assert_eq!(find(b"\"", 2), None);
        }
    }
}
