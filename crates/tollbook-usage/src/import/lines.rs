//! Bytes to lines, in pieces of any size, with a bound on each line.
//!
//! The caller reads files as it likes and pushes what it has; a line that ends with its file
//! instead of a line break is marked, since whoever writes the file may not be done with it.

use tollbook_types::limits::LINE_BYTES_MAX;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Without its line break; `None` when it is longer than any line may be.
    pub bytes: Option<&'a [u8]>,
    /// Whether a line break ended it.
    pub ended: bool,
}

/// Cuts a file into lines.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    number: u64,
    too_long: bool,
}

impl Lines {
    /// A cutter at the start of a file.
    pub fn new() -> Lines {
        Lines::default()
    }

    /// Takes the next bytes of the file and gives the lines that end in them.
    pub fn push(&mut self, bytes: &[u8], give: &mut dyn FnMut(Line<'_>)) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.held.is_empty() && !self.too_long {
                self.number += 1;
                give(self.line(line, true));
                continue;
            }
            self.hold(line);
            self.give_held(true, give);
        }
        self.hold(rest);
    }

    /// The file is at its end: gives what stands after its last line break.
    pub fn finish(&mut self, give: &mut dyn FnMut(Line<'_>)) {
        if self.too_long || !self.held.is_empty() {
            self.give_held(false, give);
        }
        self.number = 0;
    }

    fn give_held(&mut self, ended: bool, give: &mut dyn FnMut(Line<'_>)) {
        self.number += 1;
        let held = std::mem::take(&mut self.held);
        if self.too_long {
            give(Line { number: self.number, bytes: None, ended });
        } else {
            give(self.line(&held, ended));
        }
        self.too_long = false;
        self.held = held;
        self.held.clear();
    }

    fn line<'a>(&self, bytes: &'a [u8], ended: bool) -> Line<'a> {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Line { number: self.number, bytes: (bytes.len() <= LINE_BYTES_MAX).then_some(bytes), ended }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.too_long || self.held.len() + bytes.len() > LINE_BYTES_MAX + 1 {
            self.too_long = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], piece: usize) -> Vec<(u64, Option<Vec<u8>>, bool)> {
        let mut found = Vec::new();
        let mut lines = Lines::new();
        let mut give = |line: Line<'_>| found.push((line.number, line.bytes.map(<[u8]>::to_vec), line.ended));
        for part in text.chunks(piece) {
            lines.push(part, &mut give);
        }
        lines.finish(&mut give);
        found
    }

    #[test]
    fn pieces_do_not_matter() {
        let text = b"one\r\n\ntwo\nthree";
        let whole = cut(text, 100);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], (1, Some(b"one".to_vec()), true));
        assert_eq!(whole[3], (4, Some(b"three".to_vec()), false));
        for piece in 1..text.len() {
            assert_eq!(cut(text, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut lines = Lines::new();
        let mut found = Vec::new();
        let mut give = |line: Line<'_>| found.push((line.number, line.bytes.is_some()));
        let piece = vec![b'x'; LINE_BYTES_MAX / 2];
        for _ in 0..6 {
            lines.push(&piece, &mut give);
            assert!(lines.held.len() <= LINE_BYTES_MAX + 1);
        }
        lines.push(b"\nshort\n", &mut give);
        assert_eq!(found, [(1, false), (2, true)]);
    }
}
