//! Instants and ranges. No clock is read here: [`Clock`] is a trait that the binary implements.

pub use jiff::Timestamp;

/// Where "now" comes from. The binary has the only implementation that reads the machine's clock.
pub trait Clock: Send + Sync {
    /// The present instant, to the microsecond.
    fn now(&self) -> Timestamp;
}

/// The instant without its part below a microsecond, which is the resolution of the books.
pub fn floor_to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// Reads an RFC 3339 instant (a zone offset is required) or an HTTP date, to the microsecond.
///
/// ```
/// use tollbook_types::parse_instant;
/// let at = parse_instant("2026-11-22T10:30:45.123Z").unwrap();
/// assert_eq!(at.to_string(), "2026-11-22T10:30:45.123Z");
/// assert_eq!(parse_instant("Wed, 19 Aug 2026 14:47:10 GMT").unwrap().to_string(), "2026-08-19T14:47:10Z");
/// assert!(parse_instant("2026-11-22T10:30:45").is_err());
/// assert!(parse_instant("2026-02-30T00:00:00Z").is_err());
/// ```
pub fn parse_instant(text: &str) -> Result<Timestamp, String> {
    if text.len() > 64 {
        return Err("an instant is at most 64 characters".to_owned());
    }
    let leap_second = text.get(17..19) == Some("60");
    let parsed = if text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        text.parse::<Timestamp>()
    } else {
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text)
    };
    match parsed {
        Ok(_) if leap_second => Err("a leap second is not an instant here".to_owned()),
        Ok(at) => Ok(floor_to_micros(at)),
        Err(_) => Err("not an RFC 3339 instant with a zone, such as 2026-11-22T10:30:45Z".to_owned()),
    }
}

/// A half-open range of instants: `from` is in it, `to` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant, if bounded.
    pub from: Option<Timestamp>,
    /// The first instant after the range, if bounded.
    pub to: Option<Timestamp>,
}

impl TimeRange {
    /// All time.
    pub const ALL: TimeRange = TimeRange { from: None, to: None };

    /// Whether the instant is in the range.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }
}
