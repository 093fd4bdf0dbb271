//! Stores that have a key: nothing of what they hold can be read without it.
//!
//! The suite of [`crate::suite`] runs with a key, too, in a build that can encrypt.

use crate::suite::{filled, made};
use tollbook_sqlite::{Bounds, CAN_ENCRYPT, FileKey, Options, SqliteStore, convert, is_plain};
use tollbook_store::conformance::Workload;
use tollbook_store::{EventStore, StoreError, Zone};

const BOUNDS: Bounds = Bounds { rows_max: 1_000_000, time_max: None };

fn key(byte: u8) -> FileKey {
    FileKey::new([byte; 32])
}

fn with_key(byte: u8) -> Options {
    Options { key: Some(key(byte)), ..Options::creating(Zone::UTC, "test") }
}

#[test]
fn a_build_that_cannot_encrypt_refuses_a_key_instead_of_writing_in_the_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let opened = SqliteStore::open(&path, with_key(7));
    assert_eq!(opened.is_ok(), CAN_ENCRYPT, "{opened:?}");
    if !CAN_ENCRYPT {
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        drop(made(&directory.path().join("plain")));
        let plain = directory.path().join("plain");
        assert!(convert(&plain, None, &directory.path().join("to"), Some(&key(7))).is_err());
        assert!(!directory.path().join("to").exists());
    }
}

#[test]
fn nothing_can_be_read_in_the_files_and_another_key_opens_nothing() {
    if !CAN_ENCRYPT {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = SqliteStore::open(&path, with_key(7)).unwrap();
    let mut work = Workload::new(3);
    (0..5).for_each(|_| store.append(&work.batch(100)).unwrap());
    let backup = directory.path().join("backup");
    store.backup(&backup).unwrap();
    for name in ["store", "store-wal", "backup"] {
        let bytes = std::fs::read(directory.path().join(name)).unwrap();
        // The schema alone would show it, and some models of the workload.
        for word in ["SQLite format", "CREATE TABLE", "entries", "gpt-4o", "whisper-1"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} stands in {name}");
        }
    }
    store.sync().unwrap();
    let position = store.position().unwrap();
    drop(store);
    let before = std::fs::read(&path).unwrap();
    for wrong in [None, Some(key(8))] {
        let read = SqliteStore::open_sealed(&path, BOUNDS, wrong.clone());
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
        let write = SqliteStore::open(&path, Options { key: wrong, ..Options::new(Zone::UTC) });
        assert!(matches!(write, Err(StoreError::Corrupt(_))), "{write:?}");
    }
    assert!(std::fs::read(&path).unwrap() == before, "a wrong key changes nothing");
    for file in [path, backup] {
        let store = SqliteStore::open_sealed(&file, BOUNDS, Some(key(7))).unwrap();
        assert_eq!(store.position().unwrap(), position);
    }
}

#[test]
fn a_store_is_the_same_under_another_key_or_none() {
    if !CAN_ENCRYPT {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let (store, _) = filled(&file("plain"), 5, 4);
    store.sync().unwrap();
    let (position, audit) = (store.position().unwrap(), store.audit().unwrap());
    let ways = [
        ("plain", None, "one", Some(key(1))),
        ("one", Some(key(1)), "two", Some(key(2))),
        ("two", Some(key(2)), "open", None),
    ];
    for (from, from_key, to, to_key) in ways {
        convert(&file(from), from_key.as_ref(), &file(to), to_key.as_ref()).unwrap();
        assert_eq!(is_plain(&file(to)).unwrap(), to_key.is_none(), "{to}");
        let made = SqliteStore::open_sealed(&file(to), BOUNDS, to_key).unwrap();
        assert_eq!(made.position().unwrap(), position, "{to}");
        assert_eq!(made.audit().unwrap(), audit, "{to}");
    }
    // The wrong key, a file that is there and one that is no store leave nothing behind.
    assert!(convert(&file("one"), Some(&key(9)), &file("new"), None).is_err());
    std::fs::write(file("text"), "no store at all, only some text").unwrap();
    assert!(convert(&file("text"), None, &file("new"), Some(&key(1))).is_err());
    assert!(!file("new").exists());
    assert!(convert(&file("plain"), None, &file("one"), Some(&key(1))).is_err());
}
