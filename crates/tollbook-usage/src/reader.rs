//! The reader of one answer: bytes in, in any chunking; a [`Reading`] out.
//!
//! The framing is found from content type and first bytes. An answer is never held whole: what
//! stays are the figures, and bounded texts for an estimate while no figures have come.

use crate::alike::Alike;
use crate::api::Api;
use crate::eventstream::{Frame, Frames, Kind};
use crate::gate::{Gate, NAME_BYTES_MAX};
use crate::json_push::{Doc, Walker};
use crate::reading::{self, End, Reading};
use crate::request::Request;
use crate::script::Script;
use crate::sse::{self, Lines, Part};
use crate::tally::{Tally, clipped};
use crate::tree::ANSWERS;
use tollbook_types::limits::{CAPTURE_BYTES_MAX, ERROR_BYTES_MAX};

/// Bytes that decide the framing.
const SNIFF_BYTES: usize = 6;

/// What is known of an answer before its body.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: Option<&'a str>,
    /// The headers.
    pub headers: &'a [(String, String)],
}

/// How the body is cut into documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Undecided,
    Json,
    Events,
    Lines,
    Aws,
    Opaque,
}

/// Texts kept for an estimate.
#[derive(Debug)]
pub(crate) struct Kept {
    pub bytes: Vec<u8>,
    /// All that could have been kept.
    pub total: u64,
    pub on: bool,
    /// At most so many bytes are kept.
    max: usize,
    /// Tokens are estimated from bytes alone.
    pub by_bytes: bool,
    /// The words, where somebody keeps them.
    script: Option<Script>,
}

/// So many times as much is made room for when texts have filled theirs.
const GROWTH: usize = 7;

impl Kept {
    fn new(on: bool) -> Kept {
        Kept { bytes: Vec::new(), total: 0, on, max: CAPTURE_BYTES_MAX, by_bytes: false, script: None }
    }

    fn add(&mut self, bytes: &[u8]) {
        if let Some(script) = &mut self.script {
            script.add(bytes);
        }
        if self.on {
            self.total += bytes.len() as u64;
            let room = self.max.saturating_sub(self.bytes.len());
            let bytes = &bytes[..bytes.len().min(room)];
            if self.bytes.capacity() - self.bytes.len() < bytes.len() {
                // Each growth copies everything: three of four are spared.
                self.bytes.reserve_exact(bytes.len().max(GROWTH * self.bytes.len()).min(room));
            }
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn end_event(&mut self) {
        if let Some(script) = &mut self.script {
            script.end_event();
        }
        if self.on && self.bytes.len() < self.max {
            self.bytes.push(b'\n');
        }
    }

    fn stop(&mut self) {
        *self = Kept { by_bytes: self.by_bytes, script: self.script.take(), ..Kept::new(false) };
    }
}

/// Reads one answer.
#[derive(Debug)]
pub struct Reader {
    status: u16,
    told: Told,
    framing: Framing,
    sniffed: Vec<u8>,
    lines: Lines,
    frames: Frames,
    /// The long line that is being passed over is data.
    long_data: bool,
    parser: Parser,
}

/// What whole events and JSON bytes go through.
#[derive(Debug)]
struct Parser {
    request: Request,
    walker: Walker,
    /// Only streams have one.
    gate: Option<Gate>,
    alike: Alike,
    /// What stands before an event on its line.
    lead: &'static [u8],
    tally: Tally,
    kept: Kept,
    /// The event that is being read stands on several lines, or on a long one.
    scattered: bool,
}

impl Reader {
    /// A reader for the answer to this request.
    pub fn new(request: &Request, head: &ResponseHead<'_>) -> Reader {
        let mut tally = Tally::new(request.api);
        tally.read_headers(head.headers);
        let keeps = request.api.is_text() && head.status < 400;
        Reader {
            status: head.status,
            told: Told::of(head.content_type),
            framing: Framing::Undecided,
            sniffed: Vec::new(),
            lines: Lines::new(true),
            frames: Frames::default(),
            long_data: false,
            parser: Parser {
                request: request.clone(),
                walker: Walker::new(&ANSWERS),
                gate: None,
                alike: Alike::default(),
                lead: b"",
                tally,
                kept: Kept::new(keeps),
                scattered: false,
            },
        }
    }

    /// Whether texts are kept for an estimate while no usage has been seen; they are, unless this
    /// says otherwise.
    pub fn collect_text(mut self, on: bool) -> Reader {
        self.parser.kept.on &= on;
        self
    }

    /// Keeps only so many bytes of the texts, as a sample of the rest, and estimates both sides from
    /// bytes alone: no tokenizer is ever loaded, and little is held while an answer goes on.
    pub fn sample_text(mut self, bytes_max: usize) -> Reader {
        self.parser.kept.max = bytes_max.min(CAPTURE_BYTES_MAX);
        self.parser.kept.by_bytes = true;
        self
    }

    /// Keeps the words of an answer that is no failure, at most so many bytes, for
    /// [`Reading::words`]. Of an answer that is not read event by event, what stands beyond 256 KiB is
    /// not seen.
    pub fn keep_words(mut self, bytes_max: usize) -> Reader {
        if self.status < 400 {
            self.parser.kept.script = Some(Script::new(self.parser.request.api, bytes_max));
        }
        self
    }

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.framing != Framing::Undecided {
            return self.read(bytes);
        }
        // Blanks in front are no part of a text; a frame may begin with any byte.
        let blank = self.sniffed.is_empty() && !self.told.aws;
        let fresh = if blank { bytes.trim_ascii_start() } else { bytes };
        let (first, rest) = fresh.split_at(fresh.len().min(SNIFF_BYTES));
        if self.sniffed.is_empty()
            && let Some(framing) = framing(self.told, first)
        {
            self.decide(framing);
            return self.read(without_mark(fresh));
        }
        self.sniffed.extend_from_slice(first);
        if let Some(framing) = framing(self.told, &self.sniffed) {
            self.decide(framing);
            self.read_sniffed();
            self.read(rest);
        }
    }

    fn decide(&mut self, framing: Framing) {
        self.framing = framing;
        self.lines = Lines::new(framing == Framing::Events);
        self.parser.tally.stream = framing.is_stream();
        self.parser.gate = framing.is_stream().then(|| Gate::new(self.parser.request.api));
        self.parser.lead = if framing == Framing::Events { b"data: " } else { b"" };
    }

    fn read_sniffed(&mut self) {
        let sniffed = std::mem::take(&mut self.sniffed);
        self.read(without_mark(&sniffed));
    }

    fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let parser = &mut self.parser;
        match self.framing {
            Framing::Json => parser.json(bytes),
            Framing::Events => {
                let (long, mut rest) = (&mut self.long_data, bytes);
                while !rest.is_empty() {
                    rest = parser.pass_alike(rest, &self.lines);
                    rest = self.lines.push_line(rest, &mut |part| parser.sse(part, long));
                }
            }
            Framing::Lines => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    rest = parser.pass_alike(rest, &self.lines);
                    rest = self.lines.push_line(rest, &mut |part| parser.ndjson(part));
                }
            }
            Framing::Aws => self.frames.push(bytes, &mut |frame| parser.frame(frame)),
            Framing::Opaque | Framing::Undecided => parser.kept.add(bytes),
        }
    }

    /// An estimate of the output tokens so far, made as for an answer that is cut here. `None` while no
    /// text has come, and once the provider's own figures have.
    pub fn output_so_far(&self) -> Option<u64> {
        reading::output_so_far(&self.parser.request, self.framing, &self.parser.kept)
    }

    /// The answer has ended, or was cut.
    pub fn finish(mut self, end: End) -> Reading {
        if self.framing == Framing::Undecided {
            let guess = if self.told.events { Framing::Events } else { Framing::Opaque };
            self.decide(framing(self.told, &self.sniffed).unwrap_or(guess));
            self.read_sniffed();
        }
        let parser = &mut self.parser;
        match self.framing {
            Framing::Events => {
                let long = &mut self.long_data;
                self.lines.finish(&mut |part| parser.sse(part, long));
            }
            Framing::Lines => self.lines.finish(&mut |part| parser.ndjson(part)),
            Framing::Aws => {
                if let Some(damage) = self.frames.damage {
                    parser.tally.flag(damage);
                } else if self.frames.is_inside() && end == End::Complete {
                    parser.tally.flag("event_stream_damaged: the last frame is cut");
                }
            }
            _ => {}
        }
        let cut = parser.walker.is_inside();
        parser.tally.open |= cut;
        parser.end_document();
        if cut && end == End::Complete && self.framing == Framing::Json {
            parser.tally.flag("body_malformed: the answer is no whole JSON text");
        }
        if self.framing == Framing::Opaque && self.status >= 400 {
            let text = String::from_utf8_lossy(&parser.kept.bytes).trim().to_owned();
            parser.tally.error_text = (!text.is_empty()).then(|| clipped(&text, ERROR_BYTES_MAX));
        }
        let Parser { request, tally, kept, .. } = parser;
        let script = kept.script.take();
        let mut reading = reading::conclude(tally, request, self.status, end, self.framing, kept);
        reading.words = script.map(|script| script.finish(self.framing));
        reading
    }
}

impl Parser {
    fn json(&mut self, bytes: &[u8]) {
        self.walk(bytes);
        // Texts are of no use once figures are there.
        if self.kept.on && self.tally.is_settled() {
            self.kept.stop();
        }
        self.kept.add(bytes);
    }

    fn walk(&mut self, bytes: &[u8]) {
        let Parser { walker, tally, request, .. } = self;
        walker.push(bytes, &mut |doc: &Doc<'_>| {
            tally.events += 1;
            tally.document(doc, &request.provider);
        });
    }

    fn end_document(&mut self) {
        let Parser { walker, tally, request, .. } = self;
        walker.finish(&mut |doc: &Doc<'_>| tally.document(doc, &request.provider));
    }

    /// Texts are of no use once figures are there.
    fn forget(&mut self) {
        if self.kept.on && self.tally.is_settled() {
            self.kept.stop();
        }
    }

    fn sse(&mut self, part: Part<'_>, long_data: &mut bool) {
        match part {
            Part::Line(b"") => self.end_open_event(),
            Part::Line(line) => {
                if let Some(data) = sse::data(line) {
                    self.data(data.trim_ascii());
                }
            }
            Part::Piece(piece) => {
                if *long_data {
                    self.kept.add(piece);
                    self.walk_quietly(piece);
                } else if let Some(data) = sse::data(piece) {
                    *long_data = true;
                    self.scattered = true;
                    self.tally.events += 1;
                    self.kept.add(data);
                    self.walk_quietly(data);
                }
            }
            Part::End => *long_data = false,
        }
    }

    fn data(&mut self, data: &[u8]) {
        if data.starts_with(b"{") && data.ends_with(b"}") && !self.walker.is_inside() {
            return self.event(data);
        }
        if data == b"[DONE]" || data.is_empty() {
            return;
        }
        self.scattered = true;
        self.tally.events += u64::from(!self.walker.is_inside());
        self.kept.add(data);
        self.walk_quietly(b"\n");
        self.walk_quietly(data);
    }

    fn end_open_event(&mut self) {
        if self.walker.is_inside() {
            self.end_document();
        } else if !self.scattered {
            return;
        }
        self.scattered = false;
        self.kept.end_event();
        self.forget();
    }

    /// One event that stands on one line.
    fn event(&mut self, event: &[u8]) {
        self.tally.events += 1;
        let known = self.is_known();
        if self.gate.as_mut().is_none_or(|gate| gate.passes(event, known)) {
            self.walk_quietly(event);
            self.forget();
        } else {
            self.alike.learn(self.lead, event);
        }
        self.kept.add(event);
        self.kept.end_event();
    }

    /// Whether model and id of the answer are known.
    fn is_known(&self) -> bool {
        self.tally.model.is_some() && self.tally.id.is_some()
    }

    /// Passes over whole lines at the front whose events say nothing and begin as others before; gives
    /// back what is left.
    #[inline(always)]
    fn pass_alike<'b>(&mut self, bytes: &'b [u8], lines: &Lines) -> &'b [u8] {
        // Asked before every line: streams of short events learn nothing, and pay for no more than this.
        if self.alike.is_empty() { bytes } else { self.pass_known(bytes, lines) }
    }

    #[inline(never)]
    fn pass_known<'b>(&mut self, mut bytes: &'b [u8], lines: &Lines) -> &'b [u8] {
        while lines.is_between() && !self.scattered && !self.walker.is_inside() {
            let same = self.alike.known(bytes);
            if same == 0 {
                break;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', &bytes[same..]) else { break };
            let line = &bytes[..same + end];
            let rest = &line[same.saturating_sub(NAME_BYTES_MAX).max(self.lead.len())..];
            let known = self.is_known();
            let passes = self.gate.as_ref().is_none_or(|gate| gate.passes_rest(rest, known));
            if passes || !line.ends_with(b"}") || bytes[line.len()] != b'\n' {
                break;
            }
            self.alike.met();
            self.tally.events += 1;
            self.kept.add(&line[self.lead.len()..]);
            self.kept.end_event();
            bytes = &bytes[line.len() + 1..];
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        bytes
    }

    fn walk_quietly(&mut self, bytes: &[u8]) {
        let Parser { walker, tally, request, .. } = self;
        walker.push(bytes, &mut |doc: &Doc<'_>| tally.document(doc, &request.provider));
    }

    fn ndjson(&mut self, part: Part<'_>) {
        match part {
            Part::Line(line) => {
                let line = line.trim_ascii();
                if !line.is_empty() {
                    self.event(line);
                    self.end_document();
                }
            }
            Part::Piece(piece) => {
                self.tally.events += u64::from(!self.walker.is_inside());
                self.kept.add(piece);
                self.walk_quietly(piece);
            }
            Part::End => {
                self.end_document();
                self.forget();
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        if frame.kind == Kind::Exception {
            self.tally.events += 1;
            let text = String::from_utf8_lossy(frame.payload);
            self.tally.error = Some(clipped(&format!("{}: {text}", frame.name), ERROR_BYTES_MAX));
            return;
        }
        match inner(frame.payload) {
            Some(inner) => self.event(&inner),
            None => self.event(frame.payload),
        }
        self.end_document();
    }
}

/// The model-native JSON inside of a `chunk` frame.
fn inner(payload: &[u8]) -> Option<Vec<u8>> {
    let at = memchr::memmem::find(payload, b"\"bytes\"")?;
    let rest =
        payload[at + 7..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    data_encoding::BASE64.decode(&rest[..end]).ok()
}

/// The framing, once the first bytes tell it.
fn framing(told: Told, first: &[u8]) -> Option<Framing> {
    if told.aws {
        return Some(Framing::Aws);
    }
    let first = without_mark(first);
    match first.first()? {
        b'{' if told.lines => return Some(Framing::Lines),
        b'{' | b'[' => return Some(Framing::Json),
        0xef if first.len() < 3 => return None,
        _ => {}
    }
    if told.events {
        return Some(Framing::Events);
    }
    let names = [&b"data:"[..], b"event:", b"id:", b"retry:", b":"];
    if names.iter().any(|name| first.starts_with(name)) {
        return Some(Framing::Events);
    }
    if names.iter().any(|name| name.starts_with(first)) {
        return None;
    }
    Some(Framing::Opaque)
}

/// The bytes without a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What the content type tells of the framing.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    aws: bool,
    events: bool,
    lines: bool,
}

impl Told {
    fn of(content_type: Option<&str>) -> Told {
        let content_type = content_type.unwrap_or_default();
        if content_type.is_empty() || content_type.eq_ignore_ascii_case("application/json") {
            return Told::default();
        }
        let lower = content_type.to_ascii_lowercase();
        Told {
            aws: lower.contains("vnd.amazon.eventstream"),
            events: lower.contains("event-stream"),
            lines: ["ndjson", "jsonl", "stream+json", "json-seq"].iter().any(|name| lower.contains(name)),
        }
    }
}

impl Framing {
    /// Whether the body is a stream of events.
    pub fn is_stream(self) -> bool {
        matches!(self, Framing::Events | Framing::Lines | Framing::Aws)
    }
}

/// Families whose kept events hold more than new text, and what marks those that do not.
pub(crate) const fn text_mark(api: Api) -> Option<&'static str> {
    match api {
        Api::Responses | Api::Interactions => Some(".delta\""),
        Api::Messages => Some("content_block_delta"),
        _ => None,
    }
}
