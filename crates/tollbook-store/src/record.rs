//! The digests of journal records, which the ledger writes and every back end checks.

use serde::Serialize;
use tollbook_types::{Adjustment, Digest, Entry, Seq};

/// The digest of an entry's record: over `event`, its position in decimal and its JSON, separated
/// by single spaces.
pub fn entry_digest(seq: Seq, entry: &Entry) -> Digest {
    record_digest("event", seq, entry)
}

/// The digest of an adjustment's own record, made the same way with `adjust`. An adjustment that
/// follows from a joined event has no record of its own and carries the digest of that event's
/// record, so only who knows which is which can check it.
pub fn adjustment_digest(seq: Seq, adjustment: &Adjustment) -> Digest {
    record_digest("adjust", seq, adjustment)
}

fn record_digest(kind: &str, seq: Seq, body: &impl Serialize) -> Digest {
    let mut bytes = format!("{kind} {seq} ").into_bytes();
    // Entries and adjustments are plain data; serialising them cannot fail.
    bytes.extend(serde_json::to_vec(body).unwrap_or_default());
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Workload;

    #[test]
    fn a_record_that_is_read_back_has_the_same_digest() {
        let mut work = Workload::new(71).with_huge_costs();
        for seq in 1..=2_000 {
            let entry = work.entry();
            let text = serde_json::to_string(&entry).unwrap();
            let back: Entry = serde_json::from_str(&text).unwrap();
            assert_eq!(entry_digest(seq, &back), entry_digest(seq, &entry), "{text}");
        }
    }

    #[test]
    fn kind_position_and_content_all_count() {
        let entry = Workload::new(72).entry();
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(entry_digest(12, &entry), Digest::of(format!("event 12 {json}").as_bytes()));
        assert_ne!(entry_digest(12, &entry), entry_digest(13, &entry));
    }
}
