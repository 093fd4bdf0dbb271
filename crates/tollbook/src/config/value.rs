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

/// What people's browsers reach the server by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Whether they speak TLS, to the server or to a proxy in front of it.
    pub is_tls: bool,
    /// Host, and port if it is not the usual one.
    pub host: String,
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.host)
    }
}

/// `[server] public_url`
pub fn public_url(text: &str) -> Result<PublicUrl, String> {
    let wrong = || format!("{text:?} is no address of a server, such as https://tollbook.example.com");
    let (is_tls, host) = match text.split_once("://") {
        Some(("https", host)) => (true, host),
        Some(("http", host)) => (false, host),
        _ => return Err(wrong()),
    };
    // The pages stand at the root of their host.
    let host = host.strip_suffix('/').unwrap_or(host);
    let authority: http::uri::Authority = host.parse().map_err(|_| wrong())?;
    if authority.host().is_empty() || host.contains('@') {
        return Err(wrong());
    }
    // As browsers write it.
    let usual = if is_tls { ":443" } else { ":80" };
    let host = host.strip_suffix(usual).unwrap_or(host).to_ascii_lowercase();
    Ok(PublicUrl { is_tls, host })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_scheme_and_host() {
        for (text, meant) in [
            ("https://tollbook.example.com", Some("https://tollbook.example.com")),
            ("https://Tollbook.Example.com:443/", Some("https://tollbook.example.com")),
            ("http://10.0.0.1:8080", Some("http://10.0.0.1:8080")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("tollbook.example.com", None),
            ("https://", None),
            ("https://a.example/books", None),
            ("https://a.example?b", None),
            ("https://name@a.example", None),
            ("ftp://a.example", None),
            ("https://a b", None),
        ] {
            let found = public_url(text).ok().map(|url| url.to_string());
            assert_eq!(found.as_deref(), meant, "{text}");
        }
    }
}
