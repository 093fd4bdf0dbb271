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

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Part<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.after_return {
                self.after_return = false;
                if rest[0] == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            if rest[0] == b'\n' && self.is_fresh() {
                // The blank line that ends each event is worth no search.
                sink(Part::Line(b""));
                rest = &rest[1..];
                continue;
            }
            let end = if self.returns { memchr2(b'\n', b'\r', rest) } else { memchr(b'\n', rest) };
            let Some(end) = end else { return self.hold(rest, sink) };
            self.after_return = rest[end] == b'\r';
            self.line(&rest[..end], sink);
            rest = &rest[end + 1..];
        }
    }

    /// Whether a line begins here.
    fn is_fresh(&self) -> bool {
        !self.long && self.held.is_empty()
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
            splitter.push(chunk, &mut sink);
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
