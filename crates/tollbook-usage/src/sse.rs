//! Lines: server-sent events, and one JSON text a line.
//!
//! A line is held only while it is cut between two chunks, and only up to a bound: a longer one
//! is passed on in pieces. This must never know what a line means.

use memchr::{memchr, memchr2};

/// A cut line that is held; a longer one is handed on in pieces.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// What the splitter hands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A whole line, without its end.
    Line(&'a [u8]),
    /// A piece of a line that is too long to be held.
    Piece(&'a [u8]),
    /// The long line has ended.
    End,
}

/// Cuts bytes into lines; `\n`, `\r\n` and, if asked, a lone `\r` end one.
#[derive(Debug)]
pub(crate) struct Lines {
    held: Vec<u8>,
    long: bool,
    after_return: bool,
    returns: bool,
}

impl Lines {
    /// `returns`: a lone carriage return ends a line too.
    pub fn new(returns: bool) -> Lines {
        Lines { held: Vec::new(), long: false, after_return: false, returns }
    }

    /// Reads on to the end of the line, and gives back what stands behind it.
    #[inline(always)]
    pub fn push_line<'b>(&mut self, mut bytes: &'b [u8], sink: &mut impl FnMut(Part<'_>)) -> &'b [u8] {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        if self.is_fresh()
            && let Some(rest) = bytes.strip_prefix(b"\n")
        {
            // The blank line that ends each event is worth no search.
            sink(Part::Line(b""));
            return rest;
        }
        let end = if self.returns { memchr2(b'\n', b'\r', bytes) } else { memchr(b'\n', bytes) };
        let Some(end) = end else {
            self.hold(bytes, sink);
            return b"";
        };
        self.after_return = bytes[end] == b'\r';
        self.line(&bytes[..end], sink);
        &bytes[end + 1..]
    }

    /// Whether a line begins here.
    fn is_fresh(&self) -> bool {
        !self.long && self.held.is_empty()
    }

    /// Whether the last line has ended for certain, and a line begins here.
    pub fn is_between(&self) -> bool {
        self.is_fresh() && !self.after_return
    }

    /// The bytes have ended; so does the line.
    pub fn finish(&mut self, sink: &mut impl FnMut(Part<'_>)) {
        if self.long || !self.held.is_empty() {
            self.line(b"", sink);
        }
    }

    fn line(&mut self, tail: &[u8], sink: &mut impl FnMut(Part<'_>)) {
        if self.long {
            self.long = false;
            sink(Part::Piece(tail));
            sink(Part::End);
        } else if self.held.is_empty() {
            sink(Part::Line(tail));
        } else {
            self.held.extend_from_slice(tail);
            sink(Part::Line(&self.held));
            self.held.clear();
        }
    }

    fn hold(&mut self, rest: &[u8], sink: &mut impl FnMut(Part<'_>)) {
        if self.long {
            sink(Part::Piece(rest));
        } else if self.held.len() + rest.len() > HELD_BYTES_MAX {
            self.long = true;
            sink(Part::Piece(&self.held));
            self.held = Vec::new();
            sink(Part::Piece(rest));
        } else {
            self.held.extend_from_slice(rest);
        }
    }
}

/// The value of an SSE `data` line, with the one space after the colon taken off.
pub(crate) fn data(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    match value.split_first() {
        None => Some(b""),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]], returns: bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut splitter = Lines::new(returns);
        let mut sink = |part: Part<'_>| {
            found.push(match part {
                Part::Line(line) => String::from_utf8_lossy(line).into_owned(),
                Part::Piece(piece) => format!("~{}", piece.len()),
                Part::End => "end".to_owned(),
            });
        };
        for chunk in chunks {
            let mut rest = *chunk;
            while !rest.is_empty() {
                rest = splitter.push_line(rest, &mut sink);
            }
        }
        splitter.finish(&mut sink);
        found
    }

    #[test]
    fn lines_end_in_three_ways() {
        assert_eq!(lines(&[b"a\r\nb\n\nc\rd"], true), ["a", "b", "", "c", "d"]);
        assert_eq!(lines(&[b"a\r", b"\nb", b"b\n"], true), ["a", "bb"]);
        assert_eq!(data(b"data:x"), Some(&b"x"[..]));
        assert_eq!(data(b"data:  x"), Some(&b" x"[..]));
        assert_eq!(data(b"data"), Some(&b""[..]));
        assert_eq!(data(b"database: x"), None);
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let long = vec![b'x'; HELD_BYTES_MAX];
        assert_eq!(lines(&[&long, b"yy", b"z\nq\n"], false), ["~65536", "~2", "~1", "end", "q"]);
    }
}
