//! One journal record as one line of JSON:
//!
//! ```json
//! {"v":1,"seq":12,"k":"event","sum":"5f0c…","d":{…}}
//! ```
//!
//! `sum` is the digest over the bytes of `d`, the kind and the position, separated by single spaces,
//! the same digest that the store keeps with the entry. It covers the position last, so that the body
//! is hashed before the position is known. `d` comes last so that it can be cut out without parsing it.

use serde::{Deserialize, Serialize};
use tollbook_types::record::{BodyHash, read_entry, read_open};
use tollbook_types::{Adjustment, Digest, Entry, Erasure, Money, OpenCall, Seq, Timestamp};

/// What a line starts with; also where reading can begin again after damage.
pub const START: &[u8] = b"{\"v\":1,\"seq\":";

/// The kinds of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The head of a segment. It shares the number of the first record behind it.
    Segment,
    /// A rated event.
    Event,
    /// A later state of an entry.
    Adjust,
    /// A call let go to its provider.
    Open,
    /// A versioned document.
    Control,
    /// Calls that passed unrecorded.
    Gap,
    /// The totals of a stretch that may go.
    Seal,
    /// A person who was erased.
    Erase,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Segment,
        Kind::Event,
        Kind::Adjust,
        Kind::Open,
        Kind::Control,
        Kind::Gap,
        Kind::Seal,
        Kind::Erase,
    ];

    /// The name in the line.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Segment => "segment",
            Kind::Event => "event",
            Kind::Adjust => "adjust",
            Kind::Open => "open",
            Kind::Control => "control",
            Kind::Gap => "gap",
            Kind::Seal => "seal",
            Kind::Erase => "erase",
        }
    }
}

/// The head of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentHead {
    /// The ledger that the segment belongs to.
    pub ledger: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Set when the records before it were lost and only the store has them: the first of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_from: Option<Seq>,
    /// Inclusive ranges of numbers that are missing behind what the store had when the segment was
    /// begun: records that were never synced, and torn when the power went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<(Seq, Seq)>,
}

/// The body of a control record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlBody {
    /// The document's name.
    pub key: String,
    /// Its version.
    pub version: u32,
    /// JSON text; absent when deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The body of a gap record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapBody {
    /// When it began.
    pub from: Timestamp,
    /// When recording resumed.
    pub to: Timestamp,
    /// Calls that passed.
    pub calls: u64,
    /// Why.
    pub reason: String,
}

/// The body of a seal record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SealBody {
    /// The first position.
    pub first: Seq,
    /// The last position.
    pub last: Seq,
    /// Entries among them.
    pub entries: u64,
    /// Their billed cost.
    pub cost: Money,
    /// Wrapping sum of the short digests.
    pub digest_sum: u64,
    /// Adjustments among them.
    pub adjustments: u64,
    /// Wrapping sum of theirs.
    pub adjustment_digest_sum: u64,
}

/// A record that has been read, its body parsed.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// See [`Kind::Segment`].
    Segment(SegmentHead),
    /// See [`Kind::Event`].
    Event(Box<Entry>),
    /// See [`Kind::Adjust`].
    Adjust(Box<Adjustment>),
    /// See [`Kind::Open`].
    Open(Box<OpenCall>),
    /// See [`Kind::Control`].
    Control(ControlBody),
    /// See [`Kind::Gap`].
    Gap(GapBody),
    /// See [`Kind::Seal`].
    Seal(SealBody),
    /// See [`Kind::Erase`].
    Erase(Box<Erasure>),
}

/// A line whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line<'a> {
    /// The position.
    pub seq: Seq,
    /// The kind.
    pub kind: Kind,
    /// The digest.
    pub digest: Digest,
    /// The body's JSON.
    pub body: &'a [u8],
}

/// Appends the line, with its line end, to `out`. Returns the digest.
pub fn write(out: &mut Vec<u8>, kind: Kind, seq: Seq, body: &[u8]) -> Digest {
    write_hashed(out, kind, seq, body, BodyHash::of(body))
}

/// As [`write`], for a body that is hashed already.
pub fn write_hashed(out: &mut Vec<u8>, kind: Kind, seq: Seq, body: &[u8], hash: BodyHash) -> Digest {
    let sum = hash.at(kind.name(), seq);
    out.extend_from_slice(START);
    out.extend_from_slice(itoa::Buffer::new().format(seq).as_bytes());
    out.extend_from_slice(b",\"k\":\"");
    out.extend_from_slice(kind.name().as_bytes());
    out.extend_from_slice(b"\",\"sum\":\"");
    out.extend_from_slice(&sum.to_hex());
    out.extend_from_slice(b"\",\"d\":");
    out.extend_from_slice(body);
    out.extend_from_slice(b"}\n");
    sum
}

/// The most bytes that a line takes besides its body.
pub const FRAME_BYTES_MAX: usize = 128;

/// Reads a line (without its line end). `None` unless every byte is as [`write`] makes it.
pub fn read(line: &[u8]) -> Option<Line<'_>> {
    let rest = line.strip_prefix(START)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 20 || (digits > 1 && rest[0] == b'0') {
        return None;
    }
    let seq = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let rest = rest[digits..].strip_prefix(b",\"k\":\"")?;
    let kind = Kind::ALL.into_iter().find(|kind| {
        rest.strip_prefix(kind.name().as_bytes()).is_some_and(|after| after.starts_with(b"\",\"sum\":\""))
    })?;
    let rest = &rest[kind.name().len() + "\",\"sum\":\"".len()..];
    let sum = Digest::from_hex(std::str::from_utf8(rest.get(..32)?).ok()?)?;
    let body = rest[32..].strip_prefix(b"\",\"d\":")?.strip_suffix(b"}")?;
    (BodyHash::of(body).at(kind.name(), seq) == sum).then_some(Line { seq, kind, digest: sum, body })
}

/// Where, after the first byte, a line that starts so could begin.
pub fn next_start(bytes: &[u8], start: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes.get(1..)?, start).map(|at| at + 1)
}

impl Line<'_> {
    /// Parses the body.
    pub fn parse(&self) -> Result<Body, serde_json::Error> {
        Ok(match self.kind {
            Kind::Segment => Body::Segment(serde_json::from_slice(self.body)?),
            Kind::Event => Body::Event(Box::new(read_entry(self.body)?)),
            Kind::Adjust => Body::Adjust(Box::new(serde_json::from_slice(self.body)?)),
            Kind::Open => Body::Open(Box::new(read_open(self.body)?)),
            Kind::Control => Body::Control(serde_json::from_slice(self.body)?),
            Kind::Gap => Body::Gap(serde_json::from_slice(self.body)?),
            Kind::Seal => Body::Seal(serde_json::from_slice(self.body)?),
            Kind::Erase => Body::Erase(Box::new(serde_json::from_slice(self.body)?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_any_flipped_bit_shows() {
        let mut line = Vec::new();
        let sum = write(&mut line, Kind::Gap, 7, br#"{"calls":1}"#);
        line.pop();
        let read_back = read(&line).unwrap();
        assert_eq!((read_back.seq, read_back.kind, read_back.digest), (7, Kind::Gap, sum));
        assert_eq!(read_back.body, br#"{"calls":1}"#);
        for bit in 0..line.len() * 8 {
            let mut damaged = line.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged), None, "bit {bit}");
        }
    }
}
