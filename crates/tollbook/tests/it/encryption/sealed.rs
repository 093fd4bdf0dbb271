//! The program of a build that can encrypt.

use crate::program::{Place, Ran, ran};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const KEY: &str = "correct horse battery staple";
const OTHER: &str = "a quite different secret of ours";
/// Words that stand in the books, and must stand in no file.
const CANARIES: &[&str] = &[
    "canary-call",
    "canary-user",
    "canary-project",
    "canary-customer",
    "canary-session",
    "canary-tag",
    "canary-meta",
    "canary-budget",
    "canary-key",
    "canary-response",
    "gpt-4o-mini",
    "123456789",
    "18518518",
];

fn with(place: &Place, key: Option<&str>, args: &[&str]) -> Ran {
    let mut command = place.command(args);
    if let Some(key) = key {
        command.env("TOLLBOOK_ENCRYPTION_KEY", key);
    }
    ran(&mut command)
}

fn calls(nth: usize) -> String {
    (0..nth)
        .map(|n| {
            format!(
                "{{\"id\":\"canary-call-{n}\",\"occurred_at\":\"2026-11-16T08:00:00Z\",\"provider\":\"openai\",\
                 \"model\":\"gpt-4o-mini\",\"usage\":{{\"input_tokens\":123456789,\"output_tokens\":1}},\
                 \"user\":\"canary-user\",\"project\":\"canary-project\",\"customer\":\"canary-customer\",\
                 \"session\":\"canary-session\",\"tags\":{{\"team\":\"canary-tag\"}},\
                 \"provider_response_id\":\"canary-response-{n}\",\"metadata\":{{\"note\":\"canary-meta\"}}}}\n"
            )
        })
        .collect()
}

/// A place with encrypted books.
fn sealed() -> Place {
    let place = Place::new();
    let file = place.file("calls.jsonl", calls(300));
    with(&place, Some(KEY), &["import", "jsonl", &file]).ok();
    std::fs::remove_file(file).unwrap();
    place
}

/// Every file below a directory with its bytes; the lock names a process and nothing else.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.ends_with("lock") => {}
            false => drop(found.insert(path.clone(), std::fs::read(path).unwrap())),
        }
    }
    found
}

fn spent(place: &Place, key: Option<&str>, data: &str) -> String {
    with(place, key, &["--data-dir", data, "usage", "--all", "--json"]).ok().out
}

#[test]
fn nothing_of_the_books_stands_in_any_file() {
    let place = sealed();
    let run = |args: &[&str]| with(&place, Some(KEY), args).ok();
    run(&["budget", "set", "user=canary-user", "50/month", "--name", "canary-budget"]);
    run(&["key", "create", "canary-key", "--role", "ingest", "--user", "canary-user"]);
    run(&["backup", "copy.db"]);
    run(&["erase", "user=canary-user", "--reason", "canary-user asked", "--yes"]);
    run(&["rebuild"]);
    run(&["verify"]);
    let found = files(place.path());
    assert!(found.keys().any(|path| path.ends_with("erasures.jsonl")), "{:?}", found.keys());
    for (path, bytes) in found {
        for canary in CANARIES {
            let stands = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!stands, "{canary} stands in {}", path.display());
        }
    }
    assert!(run(&["calls", "--all", "--json"]).out.contains("canary-project"));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_touched() {
    let place = sealed();
    let plain = place.file("plain.jsonl", calls(1));
    with(&place, None, &["--data-dir", "open", "import", "jsonl", &plain]).ok();
    let before = files(place.path());
    let data = place.path().join("tollbook-data");
    let check = |key: Option<&str>, data: &str, told: &str| {
        let commands: [&[&str]; 6] = [
            &["usage"],
            &["import", "jsonl", &plain],
            &["verify"],
            &["restore", "--from-journal"],
            &["backup", "copy.db"],
            &["rebuild"],
        ];
        for command in commands {
            let args = [&["--data-dir", data][..], command].concat();
            let ran = with(&place, key, &args).code(78);
            assert!(ran.err.contains(told), "{command:?}: {}", ran.err);
            assert!(!ran.err.contains(KEY) && !ran.err.contains(OTHER), "{}", ran.err);
        }
        assert!(files(place.path()) == before, "{told}: something changed");
    };
    check(None, "tollbook-data", "set TOLLBOOK_ENCRYPTION_KEY");
    check(Some(OTHER), "tollbook-data", "does not open");
    check(Some(KEY), "open", "not encrypted");
    check(Some("too short"), "tollbook-data", "fewer than 16 characters");
    let key_file = data.join("encryption.json");
    let whole = std::fs::read(&key_file).unwrap();
    std::fs::write(&key_file, &whole[..whole.len() / 2]).unwrap();
    let damaged = with(&place, Some(KEY), &["usage"]).code(78);
    assert!(damaged.err.contains("encryption.json is damaged or missing"), "{}", damaged.err);
    std::fs::remove_file(&key_file).unwrap();
    for key in [None, Some(KEY)] {
        let missing = with(&place, key, &["import", "jsonl", &plain]).code(78);
        assert!(missing.err.contains("encryption.json is damaged or missing"), "{}", missing.err);
    }
    std::fs::write(&key_file, &whole).unwrap();
    with(&place, Some(KEY), &["verify"]).ok();
}

#[test]
fn books_go_from_plain_to_encrypted_and_back_by_a_backup() {
    let place = Place::new();
    let file = place.file("calls.jsonl", calls(300));
    with(&place, None, &["import", "jsonl", &file]).ok();
    let sum = spent(&place, None, "tollbook-data");
    with(&place, None, &["backup", "plain.db"]).ok();
    with(&place, Some(KEY), &["--data-dir", "sealed", "restore", "plain.db"]).ok();
    assert_eq!(spent(&place, Some(KEY), "sealed"), sum);
    agrees(&place, Some(KEY), "sealed");
    // An encrypted backup, elsewhere: with its key file, and under a directory's own key.
    with(&place, Some(KEY), &["--data-dir", "sealed", "backup", "sealed.db"]).ok();
    with(&place, None, &["--data-dir", "no-key", "restore", "sealed.db"]).code(78);
    with(&place, Some(OTHER), &["--data-dir", "wrong", "restore", "sealed.db"]).code(78);
    with(&place, Some(KEY), &["--data-dir", "again", "restore", "sealed.db"]).ok();
    assert_eq!(spent(&place, Some(KEY), "again"), sum);
    with(&place, Some(KEY), &["--data-dir", "sealed", "backup", "--plain", "back.db"]).ok();
    with(&place, None, &["--data-dir", "back", "restore", "back.db"]).ok();
    assert_eq!(spent(&place, None, "back"), sum);
    agrees(&place, None, "back");
}

/// The books agree with themselves, and have all calls.
fn agrees(place: &Place, key: Option<&str>, data: &str) {
    let told = with(place, key, &["--data-dir", data, "verify", "--json"]).ok();
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&told["ok"], &told["entries"]), (&true.into(), &300.into()), "{told}");
}

#[test]
fn another_key_takes_the_place_of_the_first_whenever_the_change_is_killed() {
    let place = sealed();
    let sum = spent(&place, Some(KEY), "tollbook-data");
    with(&place, Some(KEY), &["backup", "before.db"]).ok();
    with(&place, Some(KEY), &["rekey"]).code(2);
    let (mut now, mut next) = (KEY, OTHER);
    let mut changed = 0;
    for kill in 0..12_u64 {
        let mut change = place
            .process(&["rekey"])
            .env("TOLLBOOK_ENCRYPTION_KEY", now)
            .env("TOLLBOOK_NEW_ENCRYPTION_KEY", next)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(kill * 80));
        let _ = change.kill();
        change.wait().unwrap();
        let opens = |key: &str| with(&place, Some(key), &["usage"]).code == 0;
        let (old, new) = (opens(now), opens(next));
        assert!(old != new, "kill {kill}: the old key opens: {old}, the new one: {new}");
        if new {
            changed += 1;
            (now, next) = (next, now);
        }
        assert_eq!(spent(&place, Some(now), "tollbook-data"), sum, "kill {kill}");
    }
    let mut change = place.command(&["rekey"]);
    change.env("TOLLBOOK_ENCRYPTION_KEY", now).env("TOLLBOOK_NEW_ENCRYPTION_KEY", next);
    ran(&mut change).ok();
    with(&place, Some(now), &["usage"]).code(78);
    with(&place, Some(next), &["verify"]).ok();
    let audit = with(&place, Some(next), &["audit"]).ok();
    assert!(audit.out.contains("store.rekey"), "{} after {changed}", audit.out);
    // The books know what a backup of before was encrypted with, whatever key opens its own file.
    with(&place, Some(next), &["restore", "before.db"]).ok();
    assert_eq!(spent(&place, Some(next), "tollbook-data"), sum);
}

#[test]
fn what_was_answered_survives_a_kill() {
    let place = Place::new();
    let file = place.file("calls.jsonl", calls(20_000));
    for kill in 1..=5_u64 {
        let mut import = place
            .process(&["import", "jsonl", &file, "--json"])
            .env("TOLLBOOK_ENCRYPTION_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(400 * kill));
        import.kill().unwrap();
        let answered = import.wait_with_output().unwrap().stdout;
        let whole = answered.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"}")).count();
        let total: serde_json::Value = match with(&place, Some(KEY), &["usage", "--all", "--json"]) {
            told if told.code == 0 => serde_json::from_str(&told.out).unwrap(),
            told => {
                assert!(whole == 0, "{}", told.err);
                continue;
            }
        };
        assert!(total["total"]["calls"].as_u64().unwrap() >= whole as u64, "kill {kill}: {whole} answered");
        with(&place, Some(KEY), &["verify"]).ok();
    }
}
