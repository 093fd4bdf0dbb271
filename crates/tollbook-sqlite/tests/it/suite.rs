//! The suite that every back end must pass, on stores in a directory of their own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use tollbook_sqlite::{CAN_ENCRYPT, FileKey, Options, SqliteStore};
use tollbook_store::conformance::{Backend, Workload};
use tollbook_store::{EventStore, Store, Zone};

/// Stores in a directory of their own, which hold back the sums of so many entries.
struct Directory(tempfile::TempDir, usize);

impl Directory {
    fn new(held_back_max: usize) -> Directory {
        Directory(tempfile::tempdir().unwrap(), held_back_max)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name.replace('/', "-"))
    }
}

impl Backend for Directory {
    fn open(&self, name: &str, zone: &Zone) -> Box<dyn Store> {
        let path = self.file(name);
        let key = CAN_ENCRYPT.then(|| FileKey::new([7; 32]));
        let options = Options { held_back_max: self.1, key, ..Options::creating(zone.clone(), name) };
        Box::new(SqliteStore::open(&path, options).unwrap())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.file(name))
    }
}

tollbook_store::conformance!(Directory::new(70));

mod all_rolled_up {
    use super::Directory;

    tollbook_store::conformance!(Directory::new(0));
}

mod all_held_back {
    use super::Directory;

    tollbook_store::conformance!(Directory::new(usize::MAX));
}

/// A new and empty store.
pub fn made(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Options::creating(Zone::UTC, "test")).unwrap()
}

/// A new store with some batches of a seeded workload, and the workload.
pub fn filled(path: &Path, seed: u64, batches: usize) -> (SqliteStore, Workload) {
    let store = made(path);
    let mut work = Workload::new(seed);
    for _ in 0..batches {
        store.append(&work.batch(100)).unwrap();
    }
    (store, work)
}
