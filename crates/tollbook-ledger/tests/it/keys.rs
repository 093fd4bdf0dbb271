//! Keys: what opens, what has ended, and that no text is kept anywhere.

use crate::rig::Rig;
use std::path::Path;
use std::sync::Arc;
use tollbook_ledger::{By, Ledger, LedgerError, NewKey, Options};
use tollbook_sqlite::SqliteStore;
use tollbook_store::Zone;
use tollbook_types::{Attribution, Clock, Role};

fn new_key(name: &str, roles: &[Role]) -> NewKey {
    NewKey { name: name.into(), roles: roles.to_vec(), binding: Attribution::default(), expires_at: None }
}

fn opens(rig: &Rig, ledger: &Ledger, text: &str) -> bool {
    ledger.keys().find(text, rig.clock.now()).is_some()
}

#[test]
fn a_key_opens_until_it_ends_also_after_a_restart() {
    let rig = Rig::new();
    let ledger = rig.open();
    let (key, text) = ledger.create_key(&By::local(), new_key("a", &[Role::Gateway, Role::Ingest])).unwrap();
    rig.clock.advance_seconds(1);
    let expires_at = Some("2026-09-21T15:00:00Z".parse().unwrap());
    let (_, short) =
        ledger.create_key(&By::local(), NewKey { expires_at, ..new_key("b", &[Role::Viewer]) }).unwrap();
    assert_eq!(text.len(), 3 + 52);
    assert!(text.starts_with(&key.prefix) && key.prefix.len() == 11 && key.id.starts_with("key_"));
    assert_ne!(text, short);
    let found = ledger.keys().find(&text, rig.clock.now()).unwrap();
    assert_eq!(*found, key);
    for wrong in ["", "tb_", &text[1..], &format!("{text} "), &text.to_uppercase(), &"x".repeat(8_192)] {
        assert!(!opens(&rig, &ledger, wrong), "{wrong}");
    }
    ledger.close().unwrap();

    let ledger = rig.open();
    assert!(opens(&rig, &ledger, &text) && opens(&rig, &ledger, &short));
    rig.clock.advance_seconds(24 * 3_600);
    assert!(opens(&rig, &ledger, &text) && !opens(&rig, &ledger, &short), "expired");
    let before = ledger.keys();
    let revoked = ledger.revoke_key(&By::local(), &key.id).unwrap().unwrap();
    assert!(!opens(&rig, &ledger, &text), "revoked at once");
    assert!(before.find(&text, rig.clock.now()).is_some(), "a ring does not change");
    rig.clock.advance_seconds(1);
    assert_eq!(ledger.revoke_key(&By::local(), &key.id).unwrap(), Some(revoked), "the first instant stays");
    assert_eq!(ledger.revoke_key(&By::local(), "key_none").unwrap(), None);
    assert!(ledger.rotate_key(&By::local(), &key.id).unwrap().is_none(), "what is revoked stays so");
    ledger.close().unwrap();

    let ledger = rig.open();
    assert!(!opens(&rig, &ledger, &text));
    assert_eq!(ledger.keys().list().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_rotated_key_keeps_its_id_and_loses_its_old_text() {
    let rig = Rig::new();
    let ledger = rig.open();
    let (key, old) = ledger.create_key(&By::local(), new_key("a", &[Role::Admin])).unwrap();
    let (rotated, new) = ledger.rotate_key(&By::local(), &key.id).unwrap().unwrap();
    assert_eq!((rotated.id.as_str(), rotated.created_at), (key.id.as_str(), key.created_at));
    assert!(!opens(&rig, &ledger, &old) && opens(&rig, &ledger, &new));
}

#[test]
fn a_local_key_opens_in_this_process_only() {
    let rig = Rig::new();
    let ledger = rig.open();
    assert!(matches!(ledger.trust_local("admin", "short"), Err(LedgerError::Invalid(_))));
    ledger.trust_local("admin", "correct horse battery staple").unwrap();
    ledger.trust_local("console", "another text for this machine").unwrap();
    ledger.create_key(&By::local(), new_key("a", &[Role::Viewer])).unwrap();
    let found = ledger.keys().find("correct horse battery staple", rig.clock.now()).unwrap();
    assert!(found.may(Role::Admin) && found.id == "key_admin");
    assert!(opens(&rig, &ledger, "another text for this machine"));
    assert_eq!(ledger.keys().list().count(), 1, "never listed");
    ledger.close().unwrap();
    assert!(!opens(&rig, &rig.open(), "correct horse battery staple"));
}

#[test]
fn keys_that_make_no_sense_are_refused() {
    let bound = |change: fn(&mut Attribution)| {
        let mut key = new_key("a", &[Role::Ingest]);
        change(&mut key.binding);
        key
    };
    let wrong = [
        ("no role", new_key("a", &[])),
        ("no name", new_key("", &[Role::Viewer])),
        ("a line break in the name", new_key("a\nb", &[Role::Viewer])),
        ("a name too long", new_key(&"x".repeat(257), &[Role::Viewer])),
        ("a member without a user", new_key("a", &[Role::Member])),
        ("an empty project", bound(|binding| binding.project = Some(String::new()))),
        ("bound to a key", bound(|binding| binding.key = Some("key_1".into()))),
        ("an empty tag", bound(|binding| drop(binding.tags.insert("team".into(), String::new())))),
    ];
    let rig = Rig::new();
    let ledger = rig.open();
    for (what, key) in wrong {
        assert!(matches!(ledger.create_key(&By::local(), key), Err(LedgerError::Invalid(_))), "{what}");
    }
    assert_eq!(ledger.keys().list().count(), 0);
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn no_text_is_kept_anywhere() {
    let rig = Rig::new();
    let data = rig.data();
    let lock = data.lock().unwrap();
    let options = tollbook_sqlite::Options::creating(Zone::UTC, "ledger-1");
    let store = Arc::new(SqliteStore::open(&data.store(), options).unwrap());
    let (ledger, _) =
        Ledger::open(lock, data, store, rig.book.clone(), rig.clock.clone(), Options::default()).unwrap();
    let (key, first) = ledger.create_key(&By::local(), new_key("a", &[Role::Admin])).unwrap();
    let (_, second) = ledger.rotate_key(&By::local(), &key.id).unwrap().unwrap();
    let local = "correct horse battery staple";
    ledger.trust_local("admin", local).unwrap();
    ledger.revoke_key(&By::local(), &key.id).unwrap();
    let debug = format!("{:?}", ledger.keys());
    ledger.close().unwrap();
    let found = files(rig.dir.path());
    assert!(found.len() > 2);
    for text in [&first[11..], &second[11..], local] {
        assert!(!debug.contains(text));
        for file in &found {
            let bytes = std::fs::read(file).unwrap();
            assert_eq!(memchr::memmem::find(&bytes, text.as_bytes()), None, "{}", file.display());
        }
    }
}
