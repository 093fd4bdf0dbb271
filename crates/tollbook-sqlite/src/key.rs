//! 63-bit index keys for identities and response ids.
//!
//! A key is 36 bits that keep the order of ids that start with a time, then 27 bits of a digest of
//! the id. Ids of one moment so lie on the same pages of the index, and a commit touches few pages
//! however large the index is; random ids lose nothing. Keys may collide, and the same id may come
//! from several projects and sources: whoever finds a key compares the stored identity.

use crate::pack::{six_bits, uuid_bytes};
use tollbook_types::Digest;

const HASH_BITS: u32 = 27;
const ORDER_MASK: u64 = (1 << 36) - 1;
/// Beyond this many bytes, a separator does not end a prefix such as `chatcmpl-`.
const PREFIX_MAX: usize = 12;

/// The key of an id.
pub(crate) fn local_key(id: &str) -> i64 {
    let hash = Digest::of(id.as_bytes()).short() & ((1 << HASH_BITS) - 1);
    let key = (order_bits(id) & ORDER_MASK) << HASH_BITS | hash;
    // 63 bits: never negative.
    key as i64
}

/// 36 bits in the order of time, for ids that begin with one.
fn order_bits(id: &str) -> u64 {
    if let Some(uuid) = uuid_bytes(id) {
        let millis = uuid[..6].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        // Version 7 begins with Unix milliseconds: quarters of a second are near enough.
        return if uuid[6] >> 4 == 7 { millis >> 8 } else { millis };
    }
    let bytes = id.as_bytes();
    let separator = bytes.iter().take(PREFIX_MAX).position(|b| *b == b'-' || *b == b'_');
    let named = separator.filter(|at| bytes[..*at].iter().all(u8::is_ascii_alphabetic));
    let tail = &bytes[named.map_or(0, |at| at + 1)..];
    (0..6).fold(0, |value, at| {
        let bits = tail.get(at).map_or(0, |byte| six_bits(*byte).unwrap_or(byte & 63));
        value << 6 | u64::from(bits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_time_and_tell_ids_apart() {
        let key = local_key;
        assert!(key("019aa000-0000-7000-8000-000000000000") < key("019aa001-0000-7000-8000-000000000000"));
        assert!(key("chatcmpl-AbCdEfxxxx") < key("chatcmpl-AbCdEgxxxx"));
        assert_ne!(key("a-1"), key("a-2"));
        assert!(key("\u{10ffff}") >= 0);
    }
}
