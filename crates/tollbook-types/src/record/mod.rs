//! The form in which entries and open calls stand in the journal: one JSON object each, without
//! what is absent, usual or follows from the rest.
//!
//! The form is a function of the value alone, since a record's digest covers it and a store makes
//! it again to compare: what is read back is written in the same bytes. Instants are microseconds,
//! amounts picodollars. A member is only ever added (optional, left out when absent), never renamed;
//! a member that is not known is refused, so that an older program does not read half a record.
//! This module must never know what a record is for.

mod read;
mod write;

use crate::digest::Digest;
use crate::entry::Seq;
use sha2::{Digest as _, Sha256};

pub use read::{read_entry, read_open};
pub use write::{write_entry, write_open};

/// The digest of a record in the making: the body is hashed, its kind and position are not yet.
#[derive(Clone, Debug)]
pub struct BodyHash(Sha256);

impl BodyHash {
    /// Hashes a body, which is most of the work and needs no position.
    pub fn of(body: &[u8]) -> BodyHash {
        BodyHash(Sha256::new_with_prefix(body))
    }

    /// The digest of the record: over its body, its kind and its position in decimal, separated by
    /// single spaces.
    pub fn at(mut self, kind: &str, seq: Seq) -> Digest {
        self.0.update(b" ");
        self.0.update(kind);
        self.0.update(b" ");
        self.0.update(itoa::Buffer::new().format(seq));
        Digest::from_sha256(&self.0.finalize())
    }
}

#[cfg(test)]
mod tests;
