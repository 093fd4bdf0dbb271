//! The short way through a document that stands whole in one chunk: the same values as the push
//! tokenizer finds, as stretches of the chunk itself.
//!
//! Whatever is not plain sailing is given up, and the push tokenizer reads it from its beginning:
//! text that is cut or is no JSON, lists of documents, more than is kept. So it must never find
//! anything else than the tokenizer would.

use crate::json_push::{ITEMS_MAX, Item, Items, is_mark_word, past_spaces, quote_or_escape, word_length};
use crate::tree::{Node, Slot};
use tollbook_types::limits::CAPTURE_BYTES_MAX;

/// Values of a usual document.
const ITEMS: usize = 24;

/// Reads the document that begins with the chunk; where it ends, if all of it could be read.
pub(crate) fn read(bytes: &[u8], root: &'static Node, items: &mut Items) -> Option<usize> {
    if bytes.first() != Some(&b'{') || root.members.is_empty() || bytes.len() > CAPTURE_BYTES_MAX {
        return None;
    }
    items.list.reserve(ITEMS);
    Whole { bytes, items }.object(1, root)
}

struct Whole<'a, 'i> {
    bytes: &'a [u8],
    items: &'i mut Items,
}

impl Whole<'_, '_> {
    /// The first byte from here that is no space, and where it stands.
    #[inline(always)]
    fn next(&self, mut at: usize) -> Option<(usize, u8)> {
        loop {
            let byte = *self.bytes.get(at)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some((at, byte));
            }
            at = past_spaces(self.bytes, at + 1);
        }
    }

    /// Past the string that `at` is inside of.
    #[inline(always)]
    fn text(&self, mut at: usize) -> Option<usize> {
        loop {
            at = quote_or_escape(self.bytes, at)?;
            if self.bytes[at] == b'"' {
                return Some(at + 1);
            }
            at += 2;
        }
    }

    /// The members of an object of interest, and past it.
    fn object(&mut self, mut at: usize, node: &'static Node) -> Option<usize> {
        loop {
            let (start, byte) = self.next(at)?;
            match byte {
                b'"' => {}
                b'}' => return Some(start + 1),
                _ => return None,
            }
            let end = self.text(start + 1)?;
            let wanted = node.member(&self.bytes[start + 1..end - 1]);
            let (colon, byte) = self.next(end)?;
            if byte != b':' {
                return None;
            }
            at = self.value(colon + 1, wanted)?;
            let (end, byte) = self.next(at)?;
            match byte {
                b',' => at = end + 1,
                b'}' => return Some(end + 1),
                _ => return None,
            }
        }
    }

    /// The items of a list of interest, and past it.
    fn list(&mut self, mut at: usize, items: &'static Node) -> Option<usize> {
        if let (end, b']') = self.next(at)? {
            return Some(end + 1);
        }
        loop {
            at = self.value(at, Some(items))?;
            let (end, byte) = self.next(at)?;
            match byte {
                b',' => at = end + 1,
                b']' => return Some(end + 1),
                _ => return None,
            }
        }
    }

    fn value(&mut self, at: usize, node: Option<&'static Node>) -> Option<usize> {
        let (at, byte) = self.next(at)?;
        let slot = node.and_then(|node| node.slot);
        let (end, kept) = match byte {
            b'"' => (self.text(at + 1)?, true),
            b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => (self.scalar(at + 1)?, true),
            b'{' | b'[' => match node {
                Some(node) => return self.container(at, byte, node),
                None => (self.bulk(at)?, false),
            },
            _ => return None,
        };
        if let (Some(slot), true) = (slot, kept) {
            self.keep(slot, at, end)?;
        }
        Some(end)
    }

    fn container(&mut self, at: usize, byte: u8, node: &'static Node) -> Option<usize> {
        if byte == b'{' {
            if node.entry {
                return None;
            }
            if let Some(mark) = node.mark {
                self.keep(mark, at, at)?;
            }
            if !node.members.is_empty() {
                return self.object(at + 1, node);
            }
        } else if let Some(items) = node.items {
            return self.list(at + 1, items);
        }
        let end = self.bulk(at)?;
        if let (Some(slot), true) = (node.slot, node.whole) {
            self.keep(slot, at, end)?;
        }
        Some(end)
    }

    fn keep(&mut self, slot: Slot, start: usize, end: usize) -> Option<()> {
        (self.items.list.len() < ITEMS_MAX).then(|| self.items.push(Item { slot, start, end }))
    }

    /// Past a number or a word; one that the chunk ends with may go on.
    #[inline(always)]
    fn scalar(&self, at: usize) -> Option<usize> {
        let end = at + word_length(self.bytes.get(at..)?);
        (end < self.bytes.len()).then_some(end)
    }

    /// Past a container of no interest, or one that is kept as it stands.
    fn bulk(&self, mut at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        loop {
            while let Some(word) = self.bytes.get(at..at + 8) {
                let found = is_mark_word(word);
                if found < 8 {
                    at += found;
                    break;
                }
                at += 8;
            }
            let byte = *self.bytes.get(at)?;
            at += 1;
            match byte {
                b'"' => at = self.text(at)?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
    }
}
