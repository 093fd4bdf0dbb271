//! What the single values may be.

use super::MIB;
use std::net::SocketAddr;
use tollbook_ledger::Durability;

/// The largest journal segment.
const SEGMENT_MIB_MAX: u64 = 4_096;
/// The smallest: a record and what is kept free for the last words must fit.
const SEGMENT_MIB_MIN: u64 = 2;
/// The longest retention: a century.
const RETENTION_DAYS_MAX: u64 = 36_525;

/// A whole number in text.
pub fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number"))
}

/// `[server] listen`
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| format!("{text:?} is no address with a port, such as 127.0.0.1:4680"))
}

/// `true` or `false` in text.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// `[store] durability`
pub fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "full" => Ok(Durability::Full),
        "strict" => Ok(Durability::Strict),
        "process" => Ok(Durability::Process),
        _ => Err(format!("there is no durability {text:?}; there are full, strict and process")),
    }
}

/// The word for a durability.
pub fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Full => "full",
        Durability::Strict => "strict",
        Durability::Process => "process",
    }
}

/// `[journal] segment_mib`, as bytes.
pub fn segment_mib(mib: u64) -> Result<u64, String> {
    if (SEGMENT_MIB_MIN..=SEGMENT_MIB_MAX).contains(&mib) {
        return Ok(mib * MIB);
    }
    Err(format!("a segment has {SEGMENT_MIB_MIN} to {SEGMENT_MIB_MAX} MiB, not {mib}"))
}

/// `[retention] entries_days` and `raw_days`
pub fn retention_days(days: u64) -> Result<u32, String> {
    match u32::try_from(days) {
        Ok(short) if (1..=RETENTION_DAYS_MAX).contains(&days) => Ok(short),
        _ => Err(format!(
            "1 to {RETENTION_DAYS_MAX} days are kept, not {days}; leave it out to keep all for ever"
        )),
    }
}
