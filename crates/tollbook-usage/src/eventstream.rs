//! AWS event streams: binary frames with two checksums.
//!
//! A frame is held until it is whole, within [`AWS_FRAME_BYTES_MAX`]. This must never know what a
//! payload means.

use tollbook_types::limits::AWS_FRAME_BYTES_MAX;

const PRELUDE_BYTES: usize = 12;
const FRAME_BYTES_MIN: usize = PRELUDE_BYTES + 4;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Exception,
}

/// A whole frame.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub kind: Kind,
    /// `:event-type` or `:exception-type`.
    pub name: &'a str,
    pub payload: &'a [u8],
}

/// Cuts bytes into frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    held: Vec<u8>,
    /// Why nothing more is read, if so.
    pub damage: Option<&'static str>,
}

impl Frames {
    /// Reads on; whole frames go to the sink.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&Frame<'_>)) {
        if self.damage.is_some() {
            return;
        }
        let mut rest = bytes;
        while !self.held.is_empty() {
            let wanted = match total(&self.held) {
                None => PRELUDE_BYTES,
                Some(Ok(total)) => total,
                Some(Err(damage)) => return self.fail(damage),
            };
            let take = wanted.saturating_sub(self.held.len()).min(rest.len());
            let (head, tail) = rest.split_at(take);
            self.held.extend_from_slice(head);
            rest = tail;
            if self.held.len() < wanted {
                return;
            }
            if wanted > PRELUDE_BYTES {
                let frame = std::mem::take(&mut self.held);
                if let Err(damage) = read(&frame, sink) {
                    return self.fail(damage);
                }
            }
        }
        while let Some(found) = total(rest) {
            match found {
                Err(damage) => return self.fail(damage),
                Ok(total) if rest.len() < total => break,
                Ok(total) => {
                    if let Err(damage) = read(&rest[..total], sink) {
                        return self.fail(damage);
                    }
                    rest = &rest[total..];
                }
            }
        }
        self.held.extend_from_slice(rest);
    }

    fn fail(&mut self, damage: &'static str) {
        self.damage = Some(damage);
        self.held = Vec::new();
    }

    /// Whether a frame has begun and not ended.
    pub fn is_inside(&self) -> bool {
        !self.held.is_empty()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

/// The length of the frame that begins here, once its prelude is there.
fn total(bytes: &[u8]) -> Option<Result<usize, &'static str>> {
    let prelude = bytes.get(..PRELUDE_BYTES)?;
    let total = word(prelude, 0)? as usize;
    let headers = word(prelude, 4)? as usize;
    let checksum = word(prelude, 8)?;
    if crc32fast::hash(&prelude[..8]) != checksum {
        return Some(Err("event_stream_damaged: prelude checksum"));
    }
    if !(FRAME_BYTES_MIN..=AWS_FRAME_BYTES_MAX).contains(&total) || headers > total - FRAME_BYTES_MIN {
        return Some(Err("event_stream_damaged: frame length"));
    }
    Some(Ok(total))
}

fn read(frame: &[u8], sink: &mut dyn FnMut(&Frame<'_>)) -> Result<(), &'static str> {
    let end = frame.len() - 4;
    if word(frame, end) != Some(crc32fast::hash(&frame[..end])) {
        return Err("event_stream_damaged: frame checksum");
    }
    let headers = word(frame, 4).ok_or("event_stream_damaged: frame length")? as usize;
    let (headers, payload) = frame[PRELUDE_BYTES..end].split_at(headers);
    let mut kind = Kind::Event;
    let mut name = "";
    let mut rest = headers;
    while !rest.is_empty() {
        let (key, value, tail) = header(rest).ok_or("event_stream_damaged: headers")?;
        match (key, value) {
            (b":message-type", b"exception" | b"error") => kind = Kind::Exception,
            (b":event-type" | b":exception-type" | b":error-code", value) => {
                name = std::str::from_utf8(value).unwrap_or_default();
            }
            _ => {}
        }
        rest = tail;
    }
    sink(&Frame { kind, name, payload });
    Ok(())
}

/// One header: name, value bytes, the rest.
fn header(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (&kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 | 8 => (8, rest),
        9 => (16, rest),
        6 | 7 => {
            let (length, rest) = rest.split_at_checked(2)?;
            (usize::from(u16::from_be_bytes([length[0], length[1]])), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((name, value, rest))
}
