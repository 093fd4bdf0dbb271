//! A push tokenizer: walks JSON in any chunking and keeps only the members that a tree of
//! interests names.
//!
//! Everything else is skipped without being copied, so an answer is never held whole. It must
//! never know what a member means, and it never judges numbers: captured text is handed on as it
//! stands.

use crate::json_whole;
use crate::text::ESCAPED_MAX;
use crate::tree::{Node, SLOTS, Slot};
use memchr::memchr2;
use tollbook_types::limits::CAPTURE_BYTES_MAX;

/// Longest member name that is compared with the tree, as it stands; longer names interest nobody.
const KEY_BYTES_MAX: usize = ESCAPED_MAX;
/// Captured values of one document.
pub(crate) const ITEMS_MAX: usize = 4_096;

/// What was captured of one document: values in the order in which they stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doc<'a> {
    bytes: &'a [u8],
    items: &'a Items,
    /// Something of interest did not fit.
    pub truncated: bool,
    /// The text stopped being JSON.
    pub malformed: bool,
}

/// Where captured values stand.
#[derive(Debug, Default)]
pub(crate) struct Items {
    pub list: Vec<Item>,
    /// The slots that were ever captured or marked, by bits.
    seen: u64,
}

const _: () = assert!(SLOTS <= 64, "a bit for each");

/// A captured value or a mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub slot: Slot,
    pub start: usize,
    pub end: usize,
}

impl Items {
    #[inline]
    pub fn push(&mut self, item: Item) {
        self.seen |= 1 << item.slot as u32;
        self.list.push(item);
    }

    pub fn clear(&mut self) {
        self.list.clear();
        self.seen = 0;
    }
}

impl<'a> Doc<'a> {
    /// Captured values and marks, in order; a mark has no text.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = (Slot, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.items.list.iter().map(move |item| (item.slot, &bytes[item.start..item.end]))
    }

    /// Whether any of these slots was captured or marked.
    #[inline]
    pub fn has(&self, slots: &[Slot]) -> bool {
        slots.iter().fold(0, |bits, slot| bits | 1_u64 << *slot as u32) & self.items.seen != 0
    }

    /// The last value of a slot that is not `null`.
    pub fn last(&self, slot: Slot) -> Option<&'a [u8]> {
        if !self.has(&[slot]) {
            return None;
        }
        self.items()
            .rev()
            .filter(|(found, _)| *found == slot)
            .map(|(_, text)| text)
            .find(|text| *text != b"null")
    }

    /// How often a slot was marked or captured.
    pub fn count(&self, slot: Slot) -> u64 {
        if !self.has(&[slot]) {
            return 0;
        }
        self.items.list.iter().filter(|item| item.slot == slot).count() as u64
    }
}

/// What is captured of a document that comes in pieces.
#[derive(Debug, Default)]
struct Held {
    arena: Vec<u8>,
    items: Items,
    truncated: bool,
    malformed: bool,
}

impl Held {
    fn doc(&self) -> Doc<'_> {
        let (truncated, malformed) = (self.truncated, self.malformed);
        Doc { bytes: &self.arena, items: &self.items, truncated, malformed }
    }

    fn is_empty(&self) -> bool {
        self.items.list.is_empty() && !self.truncated && !self.malformed
    }

    fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.truncated = false;
        self.malformed = false;
    }

    fn begin(&mut self, slot: Slot) -> bool {
        if self.items.list.len() >= ITEMS_MAX {
            self.truncated = true;
            return false;
        }
        let at = self.arena.len();
        self.items.push(Item { slot, start: at, end: at });
        true
    }

    /// Adds to the value begun last; false when it no longer fits, and then the value is dropped.
    fn extend(&mut self, bytes: &[u8]) -> bool {
        if self.arena.len() + bytes.len() > CAPTURE_BYTES_MAX {
            self.abandon();
            self.truncated = true;
            return false;
        }
        self.arena.extend_from_slice(bytes);
        if let Some(item) = self.items.list.last_mut() {
            item.end = self.arena.len();
        }
        true
    }

    fn abandon(&mut self) {
        if let Some(item) = self.items.list.pop() {
            self.arena.truncate(item.start);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between documents.
    Idle,
    /// A value must begin.
    Value,
    /// As `Value`, or the array may end.
    FirstItem,
    /// A member name must begin, or the object may end.
    Key,
    /// Inside a member name.
    InKey,
    /// A colon must come.
    Colon,
    /// After a value: a comma or an end.
    After,
    /// Inside a string value.
    Text,
    /// Inside a number, `true`, `false` or `null`.
    Scalar,
    /// Inside a container that is skipped or captured whole.
    Bulk,
    /// Not JSON any more; the rest of the document is passed over.
    Broken,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    node: &'static Node,
    object: bool,
}

/// The tokenizer. Documents may follow each other; each is handed to the sink when it ends.
#[derive(Debug)]
pub(crate) struct Walker {
    root: &'static Node,
    state: State,
    frames: Vec<Frame>,
    /// The node of the value that is being read, if anybody wants it.
    node: Option<&'static Node>,
    key: Vec<u8>,
    key_long: bool,
    capture: bool,
    escaped: bool,
    in_text: bool,
    depth: u64,
    doc: Held,
}

impl Walker {
    pub fn new(root: &'static Node) -> Walker {
        Walker {
            root,
            state: State::Idle,
            frames: Vec::new(),
            node: None,
            key: Vec::new(),
            key_long: false,
            capture: false,
            escaped: false,
            in_text: false,
            depth: 0,
            doc: Held::default(),
        }
    }

    /// Whether a document has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.state != State::Idle
    }

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&Doc<'_>)) {
        let mut at = 0;
        if self.state == State::Idle {
            at = self.whole(bytes, sink);
        }
        while at < bytes.len() {
            at = match self.state {
                State::Bulk => self.bulk(bytes, at, sink),
                State::Text => self.text(bytes, at, sink),
                State::Scalar => self.scalar(bytes, at, sink),
                State::InKey => self.in_key(bytes, at),
                State::Broken => bytes.len(),
                _ => self.structure(bytes, at, sink),
            };
        }
    }

    /// Reads a document that stands whole at the beginning of the chunk, if one does; its end.
    fn whole(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&Doc<'_>)) -> usize {
        if bytes.trim_ascii_end().last() != Some(&b'}') {
            return 0;
        }
        let items = &mut self.doc.items;
        let end = json_whole::read(bytes, self.root, items);
        if end.is_some() && !items.list.is_empty() {
            sink(&Doc { bytes, items: &*items, truncated: false, malformed: false });
        }
        items.clear();
        end.unwrap_or(0)
    }

    /// Ends the document here, whether or not it is whole: what was captured is handed on. A
    /// captured container that was cut is given up; a cut top-level scalar counts as whole.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&Doc<'_>)) {
        if self.capture && matches!(self.state, State::Bulk | State::Text | State::Scalar) {
            self.doc.abandon();
        }
        if self.is_inside() && !(self.state == State::Scalar && self.frames.is_empty()) {
            self.doc.malformed = true;
        }
        self.emit(sink);
        self.reset();
    }

    fn reset(&mut self) {
        self.frames.clear();
        self.state = State::Idle;
        self.capture = false;
        self.escaped = false;
        self.in_text = false;
        self.node = None;
    }

    fn emit(&mut self, sink: &mut dyn FnMut(&Doc<'_>)) {
        if !self.doc.is_empty() {
            sink(&self.doc.doc());
        }
        self.doc.clear();
    }

    fn broken(&mut self) {
        self.doc.malformed = true;
        self.state = State::Broken;
    }

    fn structure(&mut self, bytes: &[u8], at: usize, sink: &mut dyn FnMut(&Doc<'_>)) -> usize {
        let byte = bytes[at];
        if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return at + 1;
        }
        match (self.state, byte) {
            (State::Idle, b',') => {}
            (State::Idle, _) => {
                self.node = Some(self.root);
                self.state = State::Value;
                return at;
            }
            (State::FirstItem, b']') | (State::After, b']') if !self.top_is_object() => self.pop(sink),
            (State::Key | State::After, b'}') if self.top_is_object() => self.pop(sink),
            (State::Value | State::FirstItem, _) => return self.begin(bytes, at),
            (State::Key, b'"') => {
                self.key.clear();
                self.key_long = false;
                self.state = State::InKey;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') => self.next(),
            _ => self.broken(),
        }
        at + 1
    }

    fn top_is_object(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.object)
    }

    /// After a comma.
    fn next(&mut self) {
        match self.frames.last() {
            Some(frame) if frame.object => self.state = State::Key,
            Some(frame) => {
                self.node = frame.node.items;
                self.state = State::Value;
            }
            None => self.broken(),
        }
    }

    /// A container of interest ended.
    fn pop(&mut self, sink: &mut dyn FnMut(&Doc<'_>)) {
        if let Some(frame) = self.frames.pop()
            && frame.object
            && frame.node.entry
        {
            self.emit(sink);
        }
        self.value_ended(sink);
    }

    fn value_ended(&mut self, sink: &mut dyn FnMut(&Doc<'_>)) {
        self.capture = false;
        self.node = None;
        if self.frames.is_empty() {
            self.emit(sink);
            self.state = State::Idle;
        } else {
            self.state = State::After;
        }
    }

    fn begin(&mut self, bytes: &[u8], at: usize) -> usize {
        let slot = self.node.and_then(|node| node.slot);
        match bytes[at] {
            open @ (b'{' | b'[') => {
                let object = open == b'{';
                if let Some(node) = self.node {
                    if object && let Some(mark) = node.mark {
                        self.doc.begin(mark);
                    }
                    let wanted = if object { !node.members.is_empty() } else { node.items.is_some() };
                    if wanted {
                        self.frames.push(Frame { node, object });
                        self.node = node.items;
                        self.state = if object { State::Key } else { State::FirstItem };
                        return at + 1;
                    }
                }
                let whole = self.node.is_some_and(|node| node.whole);
                self.capture = whole && slot.is_some_and(|slot| self.doc.begin(slot));
                self.depth = 0;
                self.in_text = false;
                self.state = State::Bulk;
                at
            }
            b'"' => {
                self.capture = slot.is_some_and(|slot| self.doc.begin(slot));
                if self.capture {
                    self.capture = self.doc.extend(b"\"");
                }
                self.state = State::Text;
                at + 1
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.capture = slot.is_some_and(|slot| self.doc.begin(slot));
                self.state = State::Scalar;
                at
            }
            _ => {
                self.broken();
                at + 1
            }
        }
    }

    fn in_key(&mut self, bytes: &[u8], at: usize) -> usize {
        let end = text_end(bytes, at, &mut self.escaped);
        let upto = end.unwrap_or(bytes.len());
        if end.is_some() && self.key.is_empty() && !self.key_long {
            self.node = self.frames.last().and_then(|frame| frame.node.member(&bytes[at..upto]));
            self.state = State::Colon;
            return upto + 1;
        }
        if self.key.len() + (upto - at) > KEY_BYTES_MAX {
            self.key_long = true;
        } else {
            self.key.extend_from_slice(&bytes[at..upto]);
        }
        if end.is_none() {
            return bytes.len();
        }
        self.node = None;
        if let Some(frame) = self.frames.last()
            && !self.key_long
        {
            self.node = frame.node.member(&self.key);
        }
        self.state = State::Colon;
        upto + 1
    }

    fn text(&mut self, bytes: &[u8], at: usize, sink: &mut dyn FnMut(&Doc<'_>)) -> usize {
        let end = text_end(bytes, at, &mut self.escaped);
        let next = end.map_or(bytes.len(), |end| end + 1);
        if self.capture {
            self.capture = self.doc.extend(&bytes[at..next]);
        }
        if end.is_some() {
            self.value_ended(sink);
        }
        next
    }

    fn scalar(&mut self, bytes: &[u8], at: usize, sink: &mut dyn FnMut(&Doc<'_>)) -> usize {
        let rest = &bytes[at..];
        let length = word_length(rest);
        if self.capture {
            self.capture = self.doc.extend(&rest[..length]);
        }
        if length < rest.len() {
            self.value_ended(sink);
        }
        at + length
    }

    /// Passes over a container, or captures it as it stands.
    fn bulk(&mut self, bytes: &[u8], at: usize, sink: &mut dyn FnMut(&Doc<'_>)) -> usize {
        let mut here = at;
        let mut ended = false;
        while here < bytes.len() {
            if self.in_text {
                match text_end(bytes, here, &mut self.escaped) {
                    Some(end) => {
                        self.in_text = false;
                        here = end + 1;
                    }
                    None => here = bytes.len(),
                }
                continue;
            }
            here = plain_end(bytes, here);
            let Some(byte) = bytes.get(here) else { break };
            here += 1;
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                _ => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        ended = true;
                        break;
                    }
                }
            }
        }
        if self.capture {
            self.capture = self.doc.extend(&bytes[at..here]);
        }
        if ended {
            self.value_ended(sink);
        }
        here
    }
}

/// The position of the quote that ends a string, from `at` inside of it.
fn text_end(bytes: &[u8], at: usize, escaped: &mut bool) -> Option<usize> {
    let mut here = at;
    if *escaped {
        if here >= bytes.len() {
            return None;
        }
        *escaped = false;
        here += 1;
    }
    loop {
        here = quote_or_escape(bytes, here)?;
        if bytes[here] == b'"' {
            return Some(here);
        }
        if here + 1 >= bytes.len() {
            *escaped = true;
            return None;
        }
        here += 2;
    }
}

/// Words that are searched before a call to the vector search pays.
const SHORT_WORDS: usize = 8;

/// The next quote or backslash. Most stretches are short: eight bytes at a time first.
#[inline(always)]
pub(crate) fn quote_or_escape(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let mut here = 0;
    for word in rest.chunks_exact(8).take(SHORT_WORDS) {
        let word = little(word);
        let found = zero_bytes(word ^ 0x2222_2222_2222_2222) | zero_bytes(word ^ 0x5c5c_5c5c_5c5c_5c5c);
        if found != 0 {
            return Some(at + here + (found.trailing_zeros() / 8) as usize);
        }
        here += 8;
    }
    memchr2(b'"', b'\\', &rest[here..]).map(|more| at + here + more)
}

/// Where the first quote, bracket or brace stands among eight bytes; 8 if none does.
#[inline(always)]
pub(crate) fn is_mark_word(eight: &[u8]) -> usize {
    let word = little(eight);
    let curly = word | 0x2020_2020_2020_2020;
    let found = zero_bytes(word ^ 0x2222_2222_2222_2222)
        | zero_bytes(curly ^ 0x7b7b_7b7b_7b7b_7b7b)
        | zero_bytes(curly ^ 0x7d7d_7d7d_7d7d_7d7d);
    (found.trailing_zeros() / 8) as usize
}

/// Bytes of numbers and words.
static WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        word[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'+' | b'.');
        byte += 1;
    }
    word
};

/// How many bytes of a number or a word stand here.
#[inline(always)]
pub(crate) fn word_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !WORD[usize::from(*byte)]).unwrap_or(bytes.len())
}

/// Past the blanks that stand here, eight at most: indented text has runs of them.
#[inline(always)]
pub(crate) fn past_spaces(bytes: &[u8], at: usize) -> usize {
    let Some(word) = bytes.get(at..at + 8) else { return at };
    at + ((little(word) ^ 0x2020_2020_2020_2020).trailing_zeros() / 8) as usize
}

#[inline(always)]
fn little(eight: &[u8]) -> u64 {
    eight.try_into().map_or(0, u64::from_le_bytes)
}

/// The high bit of the lowest byte that is zero (and perhaps of bytes above it).
pub(crate) const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080
}

/// The next quote or bracket outside of strings.
fn plain_end(bytes: &[u8], at: usize) -> usize {
    const BLOCK: usize = 32;
    let mut here = at;
    let near = bytes.len().min(at + 16);
    while here < near {
        if is_mark(bytes[here]) {
            return here;
        }
        here += 1;
    }
    while let Some(block) = bytes.get(here..here + BLOCK) {
        if block.iter().fold(false, |any, byte| any | is_mark(*byte)) {
            break;
        }
        here += BLOCK;
    }
    while here < bytes.len() && !is_mark(bytes[here]) {
        here += 1;
    }
    here
}

/// A quote, bracket or brace: `[`/`{` and `]`/`}` differ in one bit.
const fn is_mark(byte: u8) -> bool {
    byte == b'"' || (byte | 0x20) == b'{' || (byte | 0x20) == b'}'
}
