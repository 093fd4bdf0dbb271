//! Paths of requests: which upstream they name, and what is asked of it.

/// The first segment of a path and what follows it, with the query; what follows begins with `/`.
pub(crate) fn split(path_and_query: &str) -> (&str, &str) {
    let path = path_and_query.strip_prefix('/').unwrap_or(path_and_query);
    let end = path.find(['/', '?']).unwrap_or(path.len());
    path.split_at(end)
}

/// Whether a path has a segment that leads somewhere else, as it stands or encoded. What follows a
/// `?` is no path.
pub(crate) fn is_devious(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let suspects = memchr::memchr3(b'%', b'\\', b'.', path.as_bytes()).is_some();
    suspects && path.split(['/', '\\']).any(|segment| is_dots(segment.as_bytes()))
}

/// Whether a segment is `.` or `..`, each dot as it stands or as `%2e`, perhaps with encoded slashes
/// around it.
fn is_dots(segment: &[u8]) -> bool {
    let mut decoded = Vec::new();
    let mut rest = segment;
    while let Some((first, tail)) = rest.split_first() {
        let (byte, tail) = match (first, tail) {
            (b'%', [b'2', b'e' | b'E', tail @ ..]) => (b'.', tail),
            (b'%', [b'2', b'f' | b'F', tail @ ..]) | (b'%', [b'5', b'c' | b'C', tail @ ..]) => (b'/', tail),
            _ => (*first, tail),
        };
        decoded.push(byte);
        rest = tail;
    }
    decoded.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."))
}

/// A path as a lenient server may understand it: decoded, without repeated or trailing slashes, in
/// small letters. The query stays.
pub(crate) fn lenient(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = match hex.and_then(|two| data_encoding::HEXLOWER_PERMISSIVE.decode(two).ok()) {
            Some(decoded) => {
                rest = &tail[2..];
                decoded.first().copied().unwrap_or_default()
            }
            None => {
                rest = tail;
                *first
            }
        };
        if byte != b'/' || plain.last() != Some(&b'/') {
            plain.push(byte.to_ascii_lowercase());
        }
    }
    while plain.len() > 1 && plain.last() == Some(&b'/') {
        plain.pop();
    }
    let plain = String::from_utf8_lossy(&plain);
    if query.is_empty() { plain.into_owned() } else { format!("{plain}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_names_the_upstream() {
        let cases = [
            ("/openai/v1/chat", "openai", "/v1/chat"),
            ("/openai", "openai", ""),
            ("/openai?x=1", "openai", "?x=1"),
            ("/openai/", "openai", "/"),
            ("/", "", ""),
            ("*", "*", ""),
            ("//a/b", "", "/a/b"),
        ];
        for (path, first, rest) in cases {
            assert_eq!(split(path), (first, rest), "{path}");
        }
    }

    #[test]
    fn a_path_is_understood_leniently() {
        let cases = [
            ("/v1/chat/%63ompletions", "/v1/chat/completions"),
            ("/v1/chat%2Fcompletions//?A=%2F", "/v1/chat/completions?A=%2F"),
            ("//v1//Chat/", "/v1/chat"),
            ("/%", "/%"),
            ("/%zz", "/%zz"),
            ("/", "/"),
        ];
        for (path, plain) in cases {
            assert_eq!(lenient(path), plain, "{path}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_seen() {
        let devious = [
            "/v1/../admin",
            "/v1/..",
            "/./v1",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/x",
            "/a%2f..%2fb",
            "/a\\..\\b",
            "/%2e",
            "/v1/%5c..",
        ];
        for path in devious {
            assert!(is_devious(path), "{path}");
        }
        let straight = [
            "/v1/models/gemini-1.5-pro:generateContent",
            "/v1/a..b",
            "/v1/...",
            "/v1?x=/../",
            "/x/%2ea",
            "/",
        ];
        for path in straight {
            assert!(!is_devious(path), "{path}");
        }
    }
}
