//! The digests of journal records, which the ledger writes and every back end checks.

use tollbook_types::record::{BodyHash, write_entry};
use tollbook_types::{Adjustment, Digest, Entry, Seq};

/// The digest of an entry's record: over its form, `event` and its position in decimal, separated
/// by single spaces.
pub fn entry_digest(seq: Seq, entry: &Entry) -> Digest {
    let mut body = Vec::with_capacity(1_024);
    // An entry is plain data, writing it cannot fail; should it ever, the digest is no record's.
    let written = write_entry(&mut body, entry);
    BodyHash::of(if written.is_ok() { &body } else { &[] }).at("event", seq)
}

/// The digest of an adjustment's own record, made the same way of its JSON and `adjust`. An
/// adjustment that follows from a joined event has no record of its own and carries the digest of
/// that event's record, so only who knows which is which can check it.
pub fn adjustment_digest(seq: Seq, adjustment: &Adjustment) -> Digest {
    BodyHash::of(&serde_json::to_vec(adjustment).unwrap_or_default()).at("adjust", seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Workload;
    use tollbook_types::record::read_entry;

    #[test]
    fn a_record_that_is_read_back_has_the_same_digest() {
        let mut work = Workload::new(71).with_huge_costs();
        for seq in 1..=2_000 {
            let entry = work.entry();
            let mut form = Vec::new();
            write_entry(&mut form, &entry).unwrap();
            let back = read_entry(&form).unwrap();
            assert_eq!(back, entry);
            assert_eq!(entry_digest(seq, &back), entry_digest(seq, &entry));
        }
    }

    #[test]
    fn kind_position_and_content_all_count() {
        let entry = Workload::new(72).entry();
        let mut bytes = Vec::new();
        write_entry(&mut bytes, &entry).unwrap();
        bytes.extend_from_slice(b" event 12");
        assert_eq!(entry_digest(12, &entry), Digest::of(&bytes));
        assert_ne!(entry_digest(12, &entry), entry_digest(13, &entry));
    }
}
