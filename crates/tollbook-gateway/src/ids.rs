//! Ids of calls: time-ordered UUIDs (version 7), made without asking the system for each.

use std::sync::atomic::{AtomicU64, Ordering};
use tollbook_types::Timestamp;
use uuid::Uuid;

/// Makes ids. Each maker has random bits of its own; a counter tells its ids apart.
#[derive(Debug)]
pub struct Ids {
    random: u64,
    next: AtomicU64,
}

impl Ids {
    /// A maker with fresh random bits.
    pub fn new() -> Ids {
        let (high, low) = Uuid::now_v7().as_u64_pair();
        Ids { random: low, next: AtomicU64::new(high & 0xfff) }
    }

    /// An id of this instant.
    pub fn make(&self, at: Timestamp) -> Uuid {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
        let mut rest = [0; 10];
        // The counter stands in front, so that ids of one maker ascend inside of a millisecond.
        // Version and variant take the first four bits of the one half and two of the other.
        let halves = [(count >> 14) & 0xfff, count & 0x3fff];
        for (place, half) in halves.into_iter().enumerate() {
            rest[place * 2..][..2].copy_from_slice(&half.to_be_bytes()[6..]);
        }
        rest[4..].copy_from_slice(&self.random.to_be_bytes()[2..]);
        uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_and_carry_their_instant() {
        let at: Timestamp = "2026-11-22T10:00:00.123Z".parse().unwrap();
        let (left, right) = (Ids::new(), Ids::new());
        let made: HashSet<Uuid> = (0..20_000).flat_map(|_| [left.make(at), right.make(at)]).collect();
        assert_eq!(made.len(), 40_000);
        let id = left.make(at);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.as_u128() >> 80, u128::try_from(at.as_millisecond()).unwrap());
    }
}
