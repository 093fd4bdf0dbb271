//! The usage question: chat streams that do not ask for their usage are made to, and what that
//! brings is hidden from callers who did not ask.
//!
//! All other bytes stay as they are. Whole lines pass at once; only a line that is not whole yet
//! is held, in bounded memory.

use crate::members::{Member, Members};
use bytes::Bytes;
use memchr::memmem::Finder;
use memchr::{memchr2, memrchr2};
use std::ops::Range;

/// Longest line that is held until its end comes; a longer one passes as it is.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

const QUESTION: &str = r#"{"include_usage":true}"#;

/// The body with the usage question put in. `None` when it is to stay as it is: it streams not,
/// asks already, or is not plain enough to be sure.
pub fn ask_for_usage(body: &[u8]) -> Option<Vec<u8>> {
    let mut members = Members::of(body);
    let (mut stream, mut options) = (None, None);
    for member in members.by_ref() {
        let seen = match member.name {
            b"stream" => stream.replace(member.value),
            b"stream_options" => options.replace(member.value),
            // An escaped name may be either of these.
            name if name.contains(&b'\\') => return None,
            _ => None,
        };
        if seen.is_some() {
            return None;
        }
    }
    let end = members.end()?;
    if &body[stream?] != b"true" {
        return None;
    }
    let Some(options) = options else {
        return Some(edited(body, end..end, &[",\"stream_options\":", QUESTION]));
    };
    match &body[options.clone()] {
        b"null" => Some(edited(body, options, &[QUESTION])),
        text => ask_in_options(body, options.start, text),
    }
}

/// The body with the question put into its `stream_options`, whose text begins at `start`.
fn ask_in_options(body: &[u8], start: usize, text: &[u8]) -> Option<Vec<u8>> {
    let mut members = Members::of(text);
    let (mut asked, mut count) = (None, 0);
    for member in members.by_ref() {
        count += 1;
        let is_question = member.name == b"include_usage";
        if member.name.contains(&b'\\') || (is_question && asked.replace(member.value).is_some()) {
            return None;
        }
    }
    let end = start + members.end()?;
    match asked {
        None => {
            let comma = if count == 0 { "" } else { "," };
            Some(edited(body, end..end, &[comma, "\"include_usage\":true"]))
        }
        Some(value) => match &text[value.clone()] {
            b"false" | b"null" => Some(edited(body, start + value.start..start + value.end, &["true"])),
            _ => None,
        },
    }
}

fn edited(body: &[u8], range: Range<usize>, texts: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    out.extend_from_slice(&body[..range.start]);
    texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
    out.extend_from_slice(&body[range.end..]);
    out
}

/// Hides what the usage question brings from a stream of server-sent events: the extra chunk, and
/// `"usage":null` in all others.
#[derive(Debug)]
pub struct Hider {
    usage: Finder<'static>,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    /// The line was too long to be held: its rest passes.
    passing: bool,
    /// The next line begins an event.
    fresh: bool,
    /// A whole event was hidden but for the blank line that ends it.
    hide_blank: bool,
    /// The last byte was a carriage return: a line feed that comes now belongs to it, and is
    /// hidden if this says so.
    after_return: Option<bool>,
}

impl Default for Hider {
    fn default() -> Hider {
        Hider::new()
    }
}

/// What becomes of a line.
enum Fate {
    Passes,
    /// A part of it is cut out.
    Loses(Range<usize>),
    IsHidden,
}

impl Hider {
    /// At the beginning of a stream.
    pub fn new() -> Hider {
        Hider {
            usage: Finder::new("usage"),
            held: Vec::new(),
            passing: false,
            fresh: true,
            hide_blank: false,
            after_return: None,
        }
    }

    /// Takes the next bytes of the stream and gives what passes.
    pub fn push(&mut self, mut bytes: Bytes, out: &mut Vec<Bytes>) {
        if bytes.is_empty() {
            return;
        }
        let Some(first) = memchr2(b'\n', b'\r', &bytes) else {
            self.after_return = None;
            return self.hold(bytes, out);
        };
        if self.passing {
            // The rest of the long line passes with its end.
            self.passing = false;
            self.fresh = false;
            let line = bytes.split_to(first + 1);
            self.after_return = line.ends_with(b"\r").then_some(false);
            out.push(line);
            return self.push(bytes, out);
        }
        if !self.held.is_empty() {
            let mut whole = std::mem::take(&mut self.held);
            whole.extend_from_slice(&bytes);
            bytes = Bytes::from(whole);
        }
        let end = memrchr2(b'\n', b'\r', &bytes).map_or(0, |last| last + 1);
        let lines = bytes.split_to(end);
        self.lines(lines, out);
        if !bytes.is_empty() {
            self.after_return = None;
            self.hold(bytes, out);
        }
    }

    /// Ends the stream and gives what was held.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        let line = Bytes::from(std::mem::take(&mut self.held));
        if line.is_empty() {
            return;
        }
        match fate(&line) {
            Fate::IsHidden => {}
            Fate::Passes => out.push(line),
            Fate::Loses(part) => {
                out.push(line.slice(..part.start));
                out.push(line.slice(part.end..));
            }
        }
    }

    /// Holds a line that is not whole, or lets it pass when it is too long.
    fn hold(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) {
        if !self.passing && self.held.len() + bytes.len() <= LINE_BYTES_MAX {
            self.held.extend_from_slice(&bytes);
            return;
        }
        self.passing = true;
        if !self.held.is_empty() {
            out.push(Bytes::from(std::mem::take(&mut self.held)));
        }
        out.push(bytes);
    }

    /// Whole lines.
    fn lines(&mut self, lines: Bytes, out: &mut Vec<Bytes>) {
        if !self.hide_blank && self.after_return != Some(true) && self.usage.find(&lines).is_none() {
            // A line feed alone may be the other half of the end of the line before.
            if self.after_return.is_none() || &lines[..] != b"\n" {
                self.fresh = ends_blank(&lines);
            }
            self.after_return = lines.ends_with(b"\r").then_some(false);
            out.push(lines);
            return;
        }
        let mut cuts = Cuts { lines: &lines, from: 0, kept: Vec::new() };
        let mut start = 0;
        if let Some(hidden) = self.after_return.take()
            && lines.first() == Some(&b'\n')
        {
            start = 1;
            if hidden {
                cuts.cut(0..1);
            }
        }
        while let Some(length) = memchr2(b'\n', b'\r', &lines[start..]) {
            let stop = start + length;
            let crlf = lines[stop..].starts_with(b"\r\n");
            let next = stop + if crlf { 2 } else { 1 };
            let hidden = self.line(start..stop, next, &mut cuts);
            let is_open = lines[stop] == b'\r' && next == lines.len() && !crlf;
            self.after_return = is_open.then_some(hidden);
            start = next;
        }
        let Cuts { from, mut kept, .. } = cuts;
        if from == 0 {
            out.push(lines);
            return;
        }
        kept.extend_from_slice(&lines[from..]);
        if !kept.is_empty() {
            out.push(Bytes::from(kept));
        }
    }

    /// One line; whether its end is hidden.
    fn line(&mut self, line: Range<usize>, next: usize, cuts: &mut Cuts<'_>) -> bool {
        if line.is_empty() {
            self.fresh = true;
            let hidden = std::mem::take(&mut self.hide_blank);
            if hidden {
                cuts.cut(line.start..next);
            }
            return hidden;
        }
        self.hide_blank = false;
        let text = &cuts.lines[line.clone()];
        let fate = if self.usage.find(text).is_some() { fate(text) } else { Fate::Passes };
        match fate {
            Fate::IsHidden => {
                cuts.cut(line.start..next);
                // An event of which something has passed needs the blank line that ends it.
                self.hide_blank = self.fresh;
                return true;
            }
            Fate::Loses(part) => cuts.cut(line.start + part.start..line.start + part.end),
            Fate::Passes => {}
        }
        self.fresh = false;
        false
    }
}

/// Lines of which parts are left out.
struct Cuts<'a> {
    lines: &'a [u8],
    /// Where the stretch begins that has not been copied.
    from: usize,
    kept: Vec<u8>,
}

impl Cuts<'_> {
    fn cut(&mut self, part: Range<usize>) {
        if self.kept.capacity() == 0 {
            self.kept.reserve(self.lines.len());
        }
        self.kept.extend_from_slice(&self.lines[self.from..part.start]);
        self.from = part.end;
    }
}

/// Whether the last of these lines is blank.
fn ends_blank(lines: &[u8]) -> bool {
    let body = lines.strip_suffix(b"\r\n").or_else(|| lines.split_last().map(|(_, body)| body));
    body.unwrap_or_default().last().is_none_or(|last| matches!(last, b'\n' | b'\r'))
}

/// What becomes of a line: a chunk without choices that carries usage is hidden, a `usage` that
/// is null goes with its comma.
fn fate(line: &[u8]) -> Fate {
    let Some(json) = line.strip_prefix(b"data:") else { return Fate::Passes };
    let offset = line.len() - json.len();
    let mut members = Members::of(json);
    let (mut usage, mut empty) = (None::<Member<'_>>, false);
    // Where the value before `usage` ended, and where the name behind it begins.
    let (mut before, mut after, mut last_end) = (None, None, None);
    for member in members.by_ref() {
        if usage.is_some() && after.is_none() {
            after = Some(member.at);
        }
        let end = member.value.end;
        match member.name {
            b"usage" if usage.is_some() => return Fate::Passes,
            b"usage" => {
                before = last_end;
                usage = Some(member);
            }
            b"choices" => empty = is_empty_array(&json[member.value]),
            _ => {}
        }
        last_end = Some(end);
    }
    let (Some(usage), Some(_)) = (usage, members.end()) else { return Fate::Passes };
    match &json[usage.value.clone()] {
        b"null" => {
            let part = match (before, after) {
                (_, Some(next)) => usage.at..next,
                (Some(previous), None) => previous..usage.value.end,
                (None, None) => usage.at..usage.value.end,
            };
            Fate::Loses(offset + part.start..offset + part.end)
        }
        text if empty && text.starts_with(b"{") => Fate::IsHidden,
        _ => Fate::Passes,
    }
}

fn is_empty_array(text: &[u8]) -> bool {
    text.strip_prefix(b"[")
        .and_then(|text| text.strip_suffix(b"]"))
        .is_some_and(|inside| inside.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(body: &str, asked: Option<&str>) {
        let found = ask_for_usage(body.as_bytes()).map(|body| String::from_utf8(body).unwrap());
        assert_eq!(found.as_deref(), asked, "{body}");
        if let Some(found) = found {
            let value: serde_json::Value = serde_json::from_str(&found).unwrap();
            assert_eq!(value["stream_options"]["include_usage"], true);
            assert_eq!(ask_for_usage(found.as_bytes()), None, "it is asked once");
        }
    }

    #[test]
    fn the_question_is_put_in_and_nothing_else_changes() {
        asks(
            r#"{"stream":true,"messages":[{"stream_options":1}]}"#,
            Some(
                r#"{"stream":true,"messages":[{"stream_options":1}],"stream_options":{"include_usage":true}}"#,
            ),
        );
        asks(
            " {\"stream\" : true\n}\n",
            Some(" {\"stream\" : true\n,\"stream_options\":{\"include_usage\":true}}\n"),
        );
        for (options, asked) in [
            ("null", r#"{"include_usage":true}"#),
            ("{ }", r#"{ "include_usage":true}"#),
            (r#"{"include_usage":false,"a":1}"#, r#"{"include_usage":true,"a":1}"#),
            (r#"{"include_usage": null}"#, r#"{"include_usage": true}"#),
            (r#"{"include_obfuscation":false}"#, r#"{"include_obfuscation":false,"include_usage":true}"#),
        ] {
            let body = |options: &str| format!(r#"{{"stream_options":{options},"stream":true}}"#);
            asks(&body(options), Some(&body(asked)));
        }
    }

    #[test]
    fn a_body_that_is_not_plain_stays_as_it_is() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"stream":false}"#,
            r#"{"stream":"true"}"#,
            r#"{"messages":[{"stream":true}]}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":1}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}"#,
            r#"{"stream":true,"stream_options":[]}"#,
            r#"{"stream":true,"stream_options":null,"stream_options":null}"#,
            r#"{"stream":true,"stream":true}"#,
            r#"{"stream":true,"stream\u005foptions":null}"#,
            r#"{"stream":true"#,
            r#"{"stream":true}}"#,
            r#"{"stream":true} {"stream":true}"#,
        ] {
            asks(body, None);
        }
    }

    /// What passes of a stream that comes in these pieces.
    fn hidden<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut hider, mut out) = (Hider::new(), Vec::new());
        for piece in pieces {
            hider.push(Bytes::copy_from_slice(piece), &mut out);
        }
        hider.finish(&mut out);
        assert!(out.iter().all(|bytes| !bytes.is_empty()));
        out.concat()
    }

    fn check(asked: &str, unasked: &str) {
        for step in [asked.len().max(1), 1, 2, 3, 5, 16, 61] {
            let found = String::from_utf8(hidden(asked.as_bytes().chunks(step))).unwrap();
            assert_eq!(found, unasked, "by {step}: {asked:?}");
        }
    }

    #[test]
    fn the_extra_chunk_and_null_members_are_hidden() {
        let usage = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1,"details":{"usage":null}}}"#;
        for end in ["\n", "\r\n", "\r"] {
            let ended = |text: &str| text.replace('\n', end);
            check(
                &ended(&format!("data: {{\"a\":1}}\n\ndata: {usage}\n\ndata: [DONE]\n\n")),
                &ended("data: {\"a\":1}\n\ndata: [DONE]\n\n"),
            );
            check(&ended(&format!("data:{usage}\n\n")), "");
            // An event of which a part has passed keeps its end.
            check(&ended(&format!("id: 1\ndata: {usage}\n\n")), &ended("id: 1\n\n"));
            check(&ended(&format!("data: {usage}\nid: 1\n\n: c\n\n")), &ended("id: 1\n\n: c\n\n"));
            check(&ended(&format!(": c\n\ndata: {usage}\n\n: d\n\n")), &ended(": c\n\n: d\n\n"));
        }
        for (asked, unasked) in [
            (r#"{"choices":[1],"usage":null}"#, r#"{"choices":[1]}"#),
            (r#"{"usage":null,"choices":[1]}"#, r#"{"choices":[1]}"#),
            (r#"{"a": 1, "usage": null, "b": 2}"#, r#"{"a": 1, "b": 2}"#),
            (r#"{"a": 1, "usage" : null }"#, r#"{"a": 1 }"#),
            (r#"{"usage":null}"#, "{}"),
            (
                r#"{"choices":[],"usage":null,"prompt_filter_results":[]}"#,
                r#"{"choices":[],"prompt_filter_results":[]}"#,
            ),
        ] {
            check(&format!("data: {asked}\n\n"), &format!("data: {unasked}\n\n"));
            check(&format!("data: {asked}"), &format!("data: {unasked}"));
        }
    }

    #[test]
    fn all_else_passes_as_it_is() {
        for text in [
            "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\n\n",
            "data: {\"choices\":[{\"usage\":null}]}\n\n",
            "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\n",
            "data: {\"choices\":[],\"usage\":7}\n\n",
            "data: {\"usage\":null,\"usage\":null}\n\n",
            "data: {\"usage\":null\n\n",
            "data: {\"choices\":[],\"usage\":{}}x\n\n",
            "event: usage\ndata: [\"usage\":null]\n\n",
            ": {\"usage\":null}\n\n",
            "{\"usage\":null}",
            "\r\n\n\r\r\n\n",
            "usage",
            "",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn a_line_without_end_is_not_held_for_ever() {
        let usage = "data: {\"choices\":[],\"usage\":{}}\r\n\r\n";
        let long = format!("data: {{\"usage\":null,\"x\":\"{}\"}}\r\n\r\n", "y".repeat(3 * LINE_BYTES_MAX));
        let asked = [&long, usage, &long].concat();
        for step in [1_000, 65_536, LINE_BYTES_MAX] {
            let found = hidden(asked.as_bytes().chunks(step));
            assert!(found == [&long[..], &long].concat().as_bytes(), "by {step}");
        }
        let mut hider = Hider::new();
        for piece in long.as_bytes().chunks(1_000) {
            hider.push(Bytes::copy_from_slice(piece), &mut Vec::new());
            assert!(hider.held.len() <= LINE_BYTES_MAX);
        }
    }

    /// A stream made of a script twice: with what the question brings, and without.
    fn scripted(seed: u64) -> (String, String) {
        let mut state = seed;
        let mut next = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap_or_default() % n
        };
        let end = ["\n", "\r\n", "\r"][next(3)];
        let words = ["a", "usage", "\\\"usage\\\":null", "é", "\\n", "}", "[]"];
        let (mut asked, mut unasked) = (String::new(), String::new());
        for _ in 0..next(12) {
            let word = words[next(words.len())];
            let choices = format!("\"choices\":[{{\"delta\":{{\"content\":\"{word}\",\"usage\":null}}}}]");
            let (with, without) = match next(5) {
                0 => (format!("data: {{{choices},\"usage\":null}}"), format!("data: {{{choices}}}")),
                1 => (format!("data: {{\"usage\":null,{choices}}}"), format!("data: {{{choices}}}")),
                2 => (format!(": {word}"), format!(": {word}")),
                3 => (format!("event: {word}{end}data: {word}"), format!("event: {word}{end}data: {word}")),
                _ => {
                    asked += &format!("data: {{\"choices\":[],\"usage\":{{\"n\":{}}}}}{end}{end}", next(99));
                    continue;
                }
            };
            asked += &format!("{with}{end}{end}");
            unasked += &format!("{without}{end}{end}");
        }
        (asked + "data: [DONE]" + end + end, unasked + "data: [DONE]" + end + end)
    }

    #[test]
    fn a_caller_sees_the_stream_it_would_have_seen() {
        for seed in 0..2_000 {
            let (asked, unasked) = scripted(seed);
            let mut rest = asked.as_bytes();
            let mut cuts = seed;
            let pieces = std::iter::from_fn(|| {
                cuts = cuts.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let size = 1 + usize::try_from(cuts >> 40).unwrap_or_default() % 40;
                let (piece, left) = rest.split_at(size.min(rest.len()));
                rest = left;
                (!piece.is_empty()).then_some(piece)
            });
            assert_eq!(String::from_utf8(hidden(pieces)).unwrap(), unasked, "seed {seed}: {asked:?}");
        }
    }
}
