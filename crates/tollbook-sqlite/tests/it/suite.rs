//! The suite that every back end must pass.

use std::path::PathBuf;
use tollbook_sqlite::{Options, SqliteStore};
use tollbook_store::conformance::Backend;
use tollbook_store::{Store, Zone};

/// Stores in a directory of their own.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Directory {
        Directory(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name.replace('/', "-"))
    }
}

impl Backend for Directory {
    fn open(&self, name: &str, zone: &Zone) -> Box<dyn Store> {
        let path = self.file(name);
        Box::new(SqliteStore::open(&path, Options::creating(zone.clone(), name)).unwrap())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.file(name))
    }
}

tollbook_store::conformance!(Directory::new());
